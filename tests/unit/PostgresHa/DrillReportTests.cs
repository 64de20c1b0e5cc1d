using System.Collections.Immutable;
using KeyBuzz.Reconciler.PostgresHa.Drill;

namespace KeyBuzz.Reconciler.Tests.PostgresHa;

/// <summary>What is made of the writes of a drill. The fault comes after 10 s.</summary>
[TestFixture]
internal sealed class DrillReportTests
{
    private const string Old = "10.0.0.120";
    private const string New = "10.0.0.121";

    [Test]
    public void The_gap_is_the_longest_time_without_acknowledgement_that_ends_after_the_fault()
    {
        var report = Report(DrillKind.Kill, Acknowledged(Old, 1, 8.0, 10.1), Acknowledged(New, 22.5, 23.0, 30.0));
        Assert.That(report.Ways[0].LongestGap, Is.EqualTo(new Gap(S(0.1), S(12.5), IsOpen: false)), "not the 7 s before it");
        Assert.That((report.Ways[0].Back, report.NewLeader, report.Outcome), Is.EqualTo((S(12.5), "db-2", DrillOutcome.Passed)));
    }

    [Test]
    public void A_service_that_does_not_come_back_is_a_gap_to_the_end_and_a_failure()
    {
        var report = Report(DrillKind.Kill, Acknowledged(Old, 9.9, 10.1));
        Assert.That(report.Ways[0].LongestGap, Is.EqualTo(new Gap(S(0.1), S(30), IsOpen: true)));
        Assert.That(
            (report.Outcome, report.Failures[0], report.NewLeader),
            Is.EqualTo((DrillOutcome.Failed, "no write through 10.0.0.10:5432 was acknowledged again within 60 s", (string?)null))
        );
    }

    [Test]
    public void Writes_that_the_former_leader_acknowledges_do_not_count_as_recovery()
    {
        var report = Report(DrillKind.CutPeers, Acknowledged(Old, 9.9, 11, 12, 13), Acknowledged(New, 32.0, 32.1));
        Assert.That((report.Ways[0].Back, report.Ways[0].LongestGap.Length), Is.EqualTo((S(22), S(19))));
    }

    [Test]
    public void A_killed_leader_that_is_back_before_its_lease_ran_out_serves_again() =>
        Assert.That(
            Report(DrillKind.Kill, Acknowledged(Old, 9.9, 10.1, 16, 16.1)) is { Outcome: DrillOutcome.Passed, NewLeader: "db-1" } report
                && report.Ways[0].Back == S(6)
        );

    [Test]
    public void Missing_acknowledged_rows_are_lost_with_their_member_and_time()
    {
        var report = Judged(DrillKind.CutPeers, [.. Acknowledged(Old, 9.5, 10.5, 11, 11.5), .. Acknowledged(New, 32, 33)], [2, 3]);
        Assert.That(report.Outcome, Is.EqualTo(DrillOutcome.Lost));
        Assert.That(report.Ways[0].Lost, Is.EqualTo(new long[] { 2, 3 }));
        Assert.That(
            report.Ways[0].Served,
            Is.EqualTo(
                new[]
                {
                    new ServedSpan("db-1", S(-0.5), S(-0.5), 1, Lost: false),
                    new ServedSpan("db-1", S(0.5), S(1), 2, Lost: true),
                    new ServedSpan("db-1", S(1.5), S(1.5), 1, Lost: false),
                    new ServedSpan("db-2", S(22), S(23), 2, Lost: false),
                }
            )
        );
    }

    [Test]
    public void A_row_without_an_acknowledgement_is_reported_and_not_a_fault()
    {
        ImmutableArray<WriteAttempt> attempts =
        [
            .. Numbered(Acknowledged(Old, 9.9)),
            new(2, At(10.05), null, null),
            new(3, At(12), null, null),
            new(4, At(20), At(20.1), New),
        ];
        var report = DrillReport.Of(Measured(DrillKind.Kill) with { Ways = [new(Way, attempts, [1, 2, 4])] });
        Assert.That((report.Ways[0].Acknowledged, report.Ways[0].Unacknowledged, report.Outcome), Is.EqualTo((2, 2, DrillOutcome.Passed)));
        Assert.That(report.Ways[0].Unexpected, Is.EqualTo(new long[] { 2 }));
    }

    [Test]
    public void Two_members_that_acknowledge_at_one_time_are_found_over_all_ways()
    {
        var direct = new WayMeasurement(Way, Numbered([.. Acknowledged(Old, 9.9), .. Acknowledged(New, 12, 13, 20)]), [1, 2, 3, 4]);
        var pooled = new WayMeasurement(
            Way with
            {
                Name = "pooled",
            },
            Numbered([.. Acknowledged(Old, 9.9, 11, 12.5, 13.5), .. Acknowledged(New, 20)]),
            [1, 2, 3, 4, 5]
        );
        var report = DrillReport.Of(Measured(DrillKind.CutPeers) with { Ways = [direct, pooled] });
        Assert.That((report.AcknowledgedByTwo, report.Outcome), Is.EqualTo((2, DrillOutcome.Lost)), "those of 12.5 and 13.5");
        Assert.That(DrillReport.Of(Measured(DrillKind.CutPeers) with { Ways = [direct] }).AcknowledgedByTwo, Is.Zero);
    }

    [Test]
    public void A_drill_after_which_the_rows_cannot_be_read_or_the_cluster_is_not_well_has_failed()
    {
        var attempts = Numbered([.. Acknowledged(Old, 9.9), .. Acknowledged(New, 20, 29)]);
        var unread = DrillReport.Of(Measured(DrillKind.Kill) with { Ways = [new(Way, attempts, null)] });
        Assert.That(
            (unread.Outcome, unread.Failures.Single()),
            Is.EqualTo((DrillOutcome.Failed, "the rows could not be read back, so lost writes cannot be counted"))
        );
        var unwell = DrillReport.Of(
            Measured(DrillKind.Kill) with
            {
                Whole = null,
                Problems = ["db-1: it does not stream"],
                Ways = [new(Way, attempts, [1, 2, 3])],
            }
        );
        Assert.That(
            (unwell.Outcome, unwell.Failures.Single()),
            Is.EqualTo((DrillOutcome.Failed, "pg was not healthy again within 60 s: db-1: it does not stream"))
        );
    }

    internal static DrillWay Way { get; } = new("direct", "10.0.0.10", 5432);

    internal static DrillMeasurement Measured(DrillKind kind) =>
        new()
        {
            Kind = kind,
            Scope = "pg",
            Leader = "db-1",
            Members = ImmutableSortedDictionary<string, string>.Empty.Add(Old, "db-1").Add(New, "db-2"),
            Synchronous = false,
            Begun = At(10),
            Made = At(10.2),
            Undone = At(33),
            Whole = At(38),
            Ended = At(40),
            Timeout = TimeSpan.FromSeconds(60),
            Ways = [],
        };

    internal static IEnumerable<WriteAttempt> Acknowledged(string server, params double[] seconds) =>
        seconds.Select(second => new WriteAttempt(0, At(second) - TimeSpan.FromMilliseconds(5), At(second), server));

    internal static ImmutableArray<WriteAttempt> Numbered(IEnumerable<WriteAttempt> attempts) =>
        [.. attempts.Index().Select(pair => pair.Item with { Number = pair.Index + 1 })];

    private static DrillReport Report(DrillKind kind, params IEnumerable<WriteAttempt>[] attempts) =>
        Judged(kind, attempts.SelectMany(each => each), []);

    private static DrillReport Judged(DrillKind kind, IEnumerable<WriteAttempt> attempts, long[] lost)
    {
        var numbered = Numbered(attempts);
        return DrillReport.Of(
            Measured(kind) with
            {
                Ways = [new(Way, numbered, [.. numbered.Select(attempt => attempt.Number).Except(lost)])],
            }
        );
    }

    private static TimeSpan At(double second) => TimeSpan.FromSeconds(second);

    private static TimeSpan S(double second) => TimeSpan.FromSeconds(second);
}
