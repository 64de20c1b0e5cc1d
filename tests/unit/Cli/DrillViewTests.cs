using System.Collections.Immutable;
using System.Text.Json;
using System.Xml.Linq;
using KeyBuzz.Reconciler.Cli.Blueprints.Postgres;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.PostgresHa.Drill;

namespace KeyBuzz.Reconciler.Tests.Cli;

[TestFixture]
public sealed class DrillViewTests
{
    private static readonly DrillReport s_passed = new()
    {
        Kind = DrillKind.Kill,
        Scope = "keybuzz-pg",
        Leader = "db-1",
        NewLeader = "db-2",
        Members = ["db-1", "db-2", "db-3"],
        Synchronous = false,
        Started = S(-2),
        Undone = null,
        Whole = S(25.3),
        Ended = S(26),
        Ways =
        [
            new(
                new DrillWay("direct", "10.0.0.10", 5432),
                400,
                3,
                new Gap(S(0.1), S(19.35), false),
                S(19.35),
                [],
                [41],
                [new("db-1", S(-2), S(0.1), 40, false), new("db-2", S(19.35), S(26), 360, false)]
            ),
            new(
                new DrillWay("pooled", "10.0.0.10", 6432),
                390,
                9,
                new Gap(S(0.1), S(19.9), false),
                S(19.9),
                [],
                [],
                [new("db-1", S(-2), S(0.1), 40, false), new("db-2", S(19.9), S(26), 350, false)]
            ),
        ],
        AcknowledgedByTwo = 0,
        Failures = [],
    };

    private static readonly DrillReport s_lost = s_passed with
    {
        Kind = DrillKind.CutPeers,
        Undone = S(21),
        Ways =
        [
            s_passed.Ways[0] with
            {
                Lost = [41, 42],
                Served =
                [
                    new("db-1", S(-2), S(0.1), 40, false),
                    new("db-1", S(0.2), S(0.3), 2, true),
                    new("db-2", S(19.35), S(26), 360, false),
                ],
            },
            s_passed.Ways[1],
        ],
    };

    [Test]
    public void A_passed_drill_shows_each_endpoints_time_without_writes_and_the_primary() =>
        Assert.That(
            Shown(s_passed),
            Is.EqualTo(
                """
                Drill of keybuzz-pg: the container of the primary db-1 is killed
                  direct  10.0.0.10:5432         19.3 s without an acknowledged write; 400 acknowledged, 0 of them missing; 3 not acknowledged, 1 of them there
                  pooled  10.0.0.10:6432         19.8 s without an acknowledged write; 390 acknowledged, 0 of them missing; 9 not acknowledged, 0 of them there
                  primary db-1 before, db-2 after
                  whole   after 25.3 s

                Passed: the service and the cluster recovered, and no acknowledged write was lost.
                """
            )
        );

    [Test]
    public void Lost_writes_are_shown_with_the_acknowledging_member_and_the_time() =>
        Assert.That(
            Shown(s_lost),
            Is.EqualTo(
                """
                Drill of keybuzz-pg: the primary db-1 is cut off from the other members
                  direct  10.0.0.10:5432         19.3 s without an acknowledged write; 400 acknowledged, 2 of them missing; 3 not acknowledged, 1 of them there
                          2 of the missing were acknowledged by db-1 from 0.2 s to 0.3 s after the fault
                  pooled  10.0.0.10:6432         19.8 s without an acknowledged write; 390 acknowledged, 0 of them missing; 9 not acknowledged, 0 of them there
                  primary db-1 before, db-2 after
                  whole   after 25.3 s; the fault was undone after 21.0 s

                Lost: 2 acknowledged writes are missing. Replication is asynchronous: writes that no replica had received were lost with the primary.
                """
            )
        );

    [Test]
    public void A_drill_that_failed_says_why_and_not_that_it_passed()
    {
        var shown = Shown(
            s_passed with
            {
                NewLeader = null,
                Whole = null,
                AcknowledgedByTwo = 2,
                Failures = ["keybuzz-pg was not healthy again within 120 s: no member is the primary"],
            }
        );
        Assert.That(
            shown,
            Does.Contain("db-1 before, none after")
                .And.Contain("whole   not in time")
                .And.Contain("Failed: keybuzz-pg was not healthy again within 120 s: no member is the primary.")
                .And.Contain("Failed: two members were primary at once: one acknowledged 2 writes after the other had begun to.")
                .And.Not.Contain("Passed")
        );
    }

    [Test]
    public void The_json_has_the_same_with_a_version()
    {
        Assert.That(JsonSchemas.Problems(DrillView.Document("keybuzz", s_lost)), Is.Empty);
        using var document = JsonDocument.Parse(DrillView.Document("keybuzz", s_lost));
        var root = document.RootElement;
        Assert.Multiple(() =>
        {
            Assert.That(
                (
                    root.GetProperty("format_version").GetInt32(),
                    root.GetProperty("kind").GetString(),
                    root.GetProperty("cluster").GetString()
                ),
                Is.EqualTo((1, "drill", "keybuzz"))
            );
            Assert.That(
                (root.GetProperty("drill").GetString(), root.GetProperty("outcome").GetString()),
                Is.EqualTo(("cut-peers", "lost"))
            );
            Assert.That(
                (root.GetProperty("leader_before").GetString(), root.GetProperty("leader_after").GetString()),
                Is.EqualTo(("db-1", "db-2"))
            );
            Assert.That(
                (root.GetProperty("undone_seconds").GetDouble(), root.GetProperty("whole_seconds").GetDouble()),
                Is.EqualTo((21.0, 25.3))
            );
            var way = root.GetProperty("ways")[0];
            Assert.That(
                (
                    way.GetProperty("way").GetString(),
                    way.GetProperty("longest_gap_seconds").GetDouble(),
                    way.GetProperty("lost").GetInt32()
                ),
                Is.EqualTo(("direct", 19.25, 2))
            );
            Assert.That(
                way.GetProperty("served")
                    .EnumerateArray()
                    .Select(span => $"{span.GetProperty("server")} {span.GetProperty("writes")} {span.GetProperty("lost")}"),
                Is.EqualTo(new[] { "db-1 40 False", "db-1 2 True", "db-2 360 False" })
            );
        });
    }

    [Test]
    public void The_picture_is_one_svg_with_a_bar_where_each_member_acknowledged_and_the_gap_between()
    {
        var svg = XDocument.Parse(DrillPicture.Of(s_lost));
        XNamespace ns = "http://www.w3.org/2000/svg";
        var bars = svg.Descendants(ns + "rect").Where(rect => rect.Element(ns + "title") is not null).ToList();
        Assert.Multiple(() =>
        {
            Assert.That(svg.Root!.Name, Is.EqualTo(ns + "svg"));
            Assert.That(
                bars.Select(bar => bar.Element(ns + "title")!.Value),
                Is.EqualTo(
                    new[]
                    {
                        "db-1: 40 writes",
                        "db-1: 2 writes, all missing afterwards",
                        "db-2: 360 writes",
                        "db-1: 40 writes",
                        "db-2: 350 writes",
                    }
                )
            );
            Assert.That(
                bars[0].Attribute("fill")!.Value,
                Is.EqualTo(bars[3].Attribute("fill")!.Value).And.Not.EqualTo(bars[2].Attribute("fill")!.Value),
                "a colour for each member"
            );
            Assert.That(X(bars[0]) + Width(bars[0]), Is.LessThan(X(bars[2])));
            Assert.That(Width(bars[2]) / Width(bars[0]), Is.EqualTo(6.65 / 2.1).Within(0.02), "the time axis is the same for all");
            Assert.That(
                svg.Descendants(ns + "text").Select(text => text.Value),
                Does.Contain("19.3 s")
                    .And.Contain("19.8 s")
                    .And.Contain("fault")
                    .And.Contain("undone after 21.0 s")
                    .And.Contain("healthy after 25.3 s")
                    .And.Contain("0")
                    .And.Not.Contain("-0")
            );
            Assert.That(svg.ToString(), Does.Not.Contain("href"), "it needs no other file");
        });

        static double X(XElement rect) => (double)rect.Attribute("x")!;
        static double Width(XElement rect) => (double)rect.Attribute("width")!;
    }

    [Test]
    public void The_picture_of_a_drill_without_any_answer_is_drawn_as_well()
    {
        var silent = s_passed with
        {
            Whole = null,
            NewLeader = null,
            Ways = [s_passed.Ways[0] with { Served = [], LongestGap = new Gap(S(0), S(26), true) }],
        };
        Assert.That(() => XDocument.Parse(DrillPicture.Of(silent)), Throws.Nothing);
    }

    private static string Shown(DrillReport report)
    {
        using var output = new StringWriter();
        DrillView.Show(new Terminal(output, output, color: false), report);
        return output.ToString().TrimEnd();
    }

    private static TimeSpan S(double seconds) => TimeSpan.FromSeconds(seconds);
}
