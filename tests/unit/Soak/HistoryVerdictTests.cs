using System.Collections.Immutable;
using KeyBuzz.Reconciler.PostgresHa.Drill;
using KeyBuzz.Reconciler.Soak;

namespace KeyBuzz.Reconciler.Tests.Soak;

/// <summary>The checker of a soak's history has to find what must never be, and nothing else.</summary>
[TestFixture]
public sealed class HistoryVerdictTests
{
    private const string A = "10.0.0.1";
    private const string B = "10.0.0.2";

    [Test]
    public void A_history_in_which_the_lead_moved_twice_and_came_back_passes()
    {
        var verdict = Of(
            [Acked(1, 1, A, 1), Acked(2, 2, A, 1), Unknown(3, 3), Acked(4, 10, B, 2), Acked(5, 11, B, 2), Acked(6, 20, A, 3)],
            present: [1, 2, 3, 4, 5, 6]
        );

        Assert.Multiple(() =>
        {
            Assert.That(verdict.Failures, Is.Empty);
            Assert.That((verdict.Acknowledged, verdict.Unknown, verdict.UnknownThere), Is.EqualTo((5, 1, 1)));
            Assert.That(verdict.Lost, Is.Empty);
        });
    }

    [Test]
    public void A_row_without_an_acknowledgement_may_be_there_or_not() =>
        Assert.Multiple(() =>
        {
            Assert.That(Of([Acked(1, 1, A, 1), Unknown(2, 2)], present: [1]).Failures, Is.Empty);
            Assert.That(Of([Acked(1, 1, A, 1), Unknown(2, 2)], present: [1, 2]).Failures, Is.Empty);
        });

    [Test]
    public void A_lost_acknowledged_row_fails_a_synchronous_soak_and_is_counted_in_an_asynchronous_one() =>
        Assert.Multiple(() =>
        {
            var attempts = new[] { Acked(1, 1, A, 1), Acked(2, 2, A, 1), Acked(3, 10, B, 2) };
            var synchronous = Of(attempts, present: [1, 3]);
            Assert.That(synchronous.Failures, Is.EqualTo(new[] { "1 acknowledged rows are missing, although commits wait for a standby" }));
            Assert.That(synchronous.Lost, Is.EqualTo(new[] { "direct 2" }));
            var asynchronous = Of(attempts, present: [1, 3], synchronous: false);
            Assert.That(asynchronous.Failures, Is.Empty);
            Assert.That(asynchronous.Lost, Has.Length.EqualTo(1));
        });

    [Test]
    public void Two_members_that_write_the_same_timeline_fail_it() =>
        Assert.That(
            Of([Acked(1, 1, A, 1), Acked(2, 2, B, 1)], present: [1, 2]).Failures,
            Is.EqualTo(new[] { $"{A} and {B} both acknowledged writes on timeline 1" })
        );

    [Test]
    public void A_member_that_acknowledges_after_a_failover_fails_it_and_answers_in_flight_do_not() =>
        Assert.Multiple(() =>
        {
            Assert.That(
                Of([Acked(1, 1, A, 1), Acked(2, 5, B, 2), Acked(3, 6, A, 1)], present: [1, 2, 3]).Failures,
                Is.EqualTo(new[] { $"{A} acknowledged 1 writes on timeline 1 after {B} had begun to on timeline 2" })
            );
            Assert.That(
                Of(
                    [Acked(1, 1, A, 1), Acked(2, 5, B, 2), new WriteAttempt(3, At(4), At(7), A) { Timeline = 1 }],
                    present: [1, 2, 3]
                ).Failures,
                Is.Empty,
                "it was sent before"
            );
            Assert.That(
                Of([Acked(1, 1, A, 1), Acked(2, 5, A, 2), Acked(3, 6, A, 2)], present: [1, 2, 3]).Failures,
                Is.Empty,
                "it took over from itself"
            );
        });

    [Test]
    public void An_unknown_result_fails_it() =>
        Assert.Multiple(() =>
        {
            Assert.That(
                Of([Acked(1, 1, A, 1)], present: null).Failures,
                Is.EqualTo(new[] { "the rows written through direct could not be read back" })
            );
            Assert.That(Of([Unknown(1, 1)], present: []).Failures, Is.EqualTo(new[] { "no write through direct was ever acknowledged" }));
            Assert.That(Of([Acked(1, 1, A, 1)], present: [1, 7]).Failures, Is.EqualTo(new[] { "1 rows are there that nobody sent" }));
            Assert.That(
                Of(
                    [Acked(1, 1, A, 1)],
                    present: [1],
                    events: [new SoakEvent(1, "cut", "db-1 is cut off", At(2), null, "not healthy after 300 s")]
                ).Failures,
                Is.EqualTo(new[] { "event 1, db-1 is cut off: not healthy after 300 s" })
            );
        });

    [Test]
    public void Each_event_has_its_longest_gap_its_gaps_over_a_second_and_its_lost_rows()
    {
        var verdict = Of(
            [
                Acked(1, 1, A, 1),
                Acked(2, 9, A, 1),
                Acked(3, 14, A, 1),
                Acked(4, 21, A, 1),
                Acked(5, 22, A, 1),
                Acked(6, 50, B, 2),
                Acked(7, 75, B, 2),
                Acked(8, 99, B, 2),
            ],
            present: [1, 2, 3, 5, 6, 7, 8],
            synchronous: false,
            events: [new SoakEvent(1, "one", "one", At(10), At(18), null), new SoakEvent(2, "two", "two", At(20), At(55), null)]
        );

        Assert.That(
            verdict.Events.Select(one => (one.Event.Kind, one.Gaps.Single().Longest.TotalSeconds, one.Gaps.Single().Noticed, one.Lost)),
            Is.EqualTo(new[] { ("one", 7.0, 2, 0), ("two", 28.0, 4, 1) })
        );
        var never = Of([Acked(1, 1, A, 1)], present: [1], events: [new SoakEvent(1, "one", "one", At(10), At(18), null)]);
        Assert.That(never.Events.Single().Gaps.Single().Longest.TotalSeconds, Is.EqualTo(99), "nothing was acknowledged any more");
    }

    [Test]
    public void The_plan_follows_from_the_seed_alone_and_has_every_kind_before_any_comes_again()
    {
        var kinds = Enum.GetValues<SoakKind>();
        var plan = SoakPlan.Of(7, kinds, 40);

        Assert.That(SoakPlan.Of(7, kinds.Reverse(), 40), Is.EqualTo(plan));
        Assert.That(SoakPlan.Of(8, kinds, 40), Is.Not.EqualTo(plan));
        Assert.That(plan.Take(kinds.Length).Select(step => step.Kind), Is.EquivalentTo(kinds));
        Assert.That(plan.Select(step => step.Seconds), Is.All.InRange(8, 20));
        Assert.That(SoakPlan.Of(7, kinds, 10), Is.EqualTo(plan.Take(10)), "a shorter soak is the beginning of a longer one");
    }

    [Test]
    public void The_reports_have_the_gaps_of_each_kind_in_a_row_and_the_failure()
    {
        var verdict = Of(
            [Acked(1, 1, A, 1), Acked(2, 12, A, 1), Acked(3, 25, A, 1)],
            present: [1, 3],
            events:
            [
                new SoakEvent(1, "cut", "db-1 is cut off", At(2), At(14), null),
                new SoakEvent(2, "cut", "db-1 is cut off", At(15), At(26), null),
            ]
        );

        Assert.That(
            SoakReport.Markdown(verdict),
            Is.EqualTo(
                "| event | direct, s | gaps over 1 s | healthy again after, s | lost |\n| --- | --- | --- | --- | "
                    + "--- |\n| cut | 13.0 / 75.0 | 2 / 2 | 12.0 / 11.0 | 1 / 0 |\n"
            )
        );
        Assert.That(
            SoakReport.Text(verdict),
            Does.Contain("3 rows acknowledged, 1 of them missing")
                .And.Contain("FAILED: 1 acknowledged rows are missing")
                .And.Contain("missing: direct 2")
                .And.EndWith("Failed.\n")
        );
        using var json = System.Text.Json.JsonDocument.Parse(SoakReport.Json(verdict));
        Assert.That(json.RootElement.GetProperty("passed").GetBoolean(), Is.False);
        Assert.That(json.RootElement.GetProperty("events")[0].GetProperty("gap_seconds").GetProperty("direct").GetDouble(), Is.EqualTo(13));
        Assert.That(json.RootElement.GetProperty("events")[0].GetProperty("gaps_over_1s").GetProperty("direct").GetInt32(), Is.EqualTo(2));
    }

    private static TimeSpan At(double seconds) => TimeSpan.FromSeconds(seconds);

    private static WriteAttempt Acked(long number, double at, string server, long timeline) =>
        new(number, At(at), At(at), server) { Timeline = timeline };

    private static WriteAttempt Unknown(long number, double at) => new(number, At(at), null, null);

    private static HistoryVerdict Of(WriteAttempt[] attempts, long[]? present, bool synchronous = true, SoakEvent[]? events = null) =>
        HistoryVerdict.Of(
            new SoakHistory(
                1,
                synchronous,
                [new WayMeasurement(new DrillWay("direct", "10.0.0.10", 5432), [.. attempts], present is null ? null : [.. present])],
                [.. events ?? []],
                At(100)
            )
        );
}
