using KeyBuzz.Reconciler.Cli.Blueprints.Postgres;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.PostgresHa.Status;

namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary>What somebody reads of the checklist at once.</summary>
[TestFixture]
public sealed class StatusViewTests
{
    [Test]
    public void What_it_comes_to_stands_first_with_all_that_does_not_hold_and_the_next_command()
    {
        var shown = Shown(
            new StatusConclusion(StatusVerdict.Ok, "", 2, 3, ["db-slave-01"], ["db-slave-01 unreachable"]),
            new StatusItem("hosts", StatusVerdict.Unknown, "db-slave-01: refused"),
            new StatusItem("quorum", StatusVerdict.NotOk, "2 of 3"),
            new StatusItem("lag", StatusVerdict.Ok, "0")
        );

        Assert.That(
            shown.Take(5),
            Is.EqualTo(
                new[]
                {
                    "pg is not healthy. Writes: OK. Redundancy: 2 of 3. Cause: db-slave-01 unreachable.",
                    "NOT OK: quorum",
                    "unknown: hosts",
                    "Next: bring db-slave-01 back, then: kbr plan -c 'my file'",
                    "",
                }
            )
        );
        Assert.That(shown[5], Is.EqualTo("unknown  hosts   db-slave-01: refused"));
    }

    [Test]
    public void A_cluster_that_takes_no_writes_says_which_way_is_shut()
    {
        var shown = Shown(
            new StatusConclusion(
                StatusVerdict.NotOk,
                "load balancer 10.0.0.10:5432: connection refused",
                3,
                3,
                [],
                ["sql through load balancer: refused"]
            ),
            new StatusItem("sql through load balancer", StatusVerdict.NotOk, "refused")
        );
        Assert.That(
            shown[0],
            Is.EqualTo(
                "pg is not healthy. Writes: NOT OK (load balancer 10.0.0.10:5432: connection refused). Redundancy: 3 "
                    + "of 3. Cause: sql through load balancer: refused."
            )
        );
        Assert.That(shown[2], Is.EqualTo("Next: kbr plan -c 'my file'"));
    }

    [Test]
    public void A_healthy_cluster_says_so_in_one_line_and_asks_for_nothing()
    {
        var shown = Shown(new StatusConclusion(StatusVerdict.Ok, "", 3, 3, [], []), new StatusItem("lag", StatusVerdict.Ok, "0"));
        Assert.That(shown, Is.EqualTo(new[] { "pg is healthy. Writes: OK. Redundancy: 3 of 3.", "", "ok       lag  0" }));
    }

    private static string[] Shown(StatusConclusion conclusion, params StatusItem[] items)
    {
        using var text = new StringWriter { NewLine = "\n" };
        StatusView.Show(
            new Terminal(text, text, color: false),
            "pg",
            PostgresHealth.ReportOf(new ClusterStatus([.. items], conclusion)),
            "kbr plan -c 'my file'"
        );
        return text.ToString().TrimEnd('\n').Split('\n');
    }
}
