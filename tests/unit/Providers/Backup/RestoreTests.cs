using System.Text;
using KeyBuzz.Reconciler.Providers.Backup.Restore;

namespace KeyBuzz.Reconciler.Tests.Providers.Backup;

/// <summary>The target of a restore, and its journal on the members.</summary>
[TestFixture]
public sealed class RestoreTests
{
    private static readonly RestoreJournal s_journal = new(
        "20261128T211000Z",
        "2026-11-28 20:10:00.500000+00",
        "db-1",
        "db-2",
        RestorePhase.Look
    )
    {
        KeepsWrites = true,
    };

    private static readonly RestoreJournal s_without = s_journal with { Lost = ["db-2", "db-3"] };

    [TestCase("2026-11-28 21:10:00+01", ExpectedResult = "Time 2026-11-28 20:10:00.000000+00")]
    [TestCase("2026-11-28T21:10:00.25+01:00", ExpectedResult = "Time 2026-11-28 20:10:00.250000+00")]
    [TestCase("2026-11-28T20:10Z", ExpectedResult = "Time 2026-11-28 20:10:00.000000+00")]
    [TestCase("2026-11-28 20:10:00 UTC", ExpectedResult = "Time 2026-11-28 20:10:00.000000+00")]
    [TestCase("2026-11-28 21:45:16.63434+00", ExpectedResult = "Time 2026-11-28 21:45:16.634340+00")]
    [TestCase("0/3000060", ExpectedResult = "Lsn 0/3000060")]
    [TestCase("a/bcd", ExpectedResult = "Lsn A/BCD")]
    [TestCase("latest", ExpectedResult = "Latest ")]
    [TestCase("before_release-2.1", ExpectedResult = "Name before_release-2.1")]
    [TestCase("2026-11-28 21:10:00", ExpectedResult = null, TestName = "A time without a zone is none")]
    [TestCase("2026-13-28T21:10:00Z", ExpectedResult = null, TestName = "A day that does not exist is none")]
    [TestCase("2026-11-28", ExpectedResult = null, TestName = "A day without a time is none")]
    [TestCase("a'; DROP", ExpectedResult = null, TestName = "A name with a quote is none")]
    [TestCase("", ExpectedResult = null)]
    public string? A_target_is_read(string text) => RestoreTarget.Parse(text) is { } target ? $"{target.Kind} {target.Value}" : null;

    [TestCase("2026-11-28 21:10:00.5+01")]
    [TestCase("0/3000060")]
    [TestCase("latest")]
    [TestCase("point")]
    public void A_target_in_a_journal_is_the_same_again(string text)
    {
        var target = RestoreTarget.Parse(text)!;
        Assert.That(RestoreTarget.Parse(target.Word), Is.EqualTo(target));
    }

    [Test]
    public void A_journal_is_read_as_it_was_written()
    {
        Assert.That(RestoreJournal.Parse(Encoding.UTF8.GetBytes(Json(s_journal))), Is.EqualTo(s_journal));
        var first = s_journal with { Former = null, IsCopy = true, KeepsWrites = false, Phase = RestorePhase.Prepare };
        Assert.That(RestoreJournal.Parse(Encoding.UTF8.GetBytes(Json(first))), Is.EqualTo(first));
        var without = RestoreJournal.Parse(Encoding.UTF8.GetBytes(Json(s_without)))!;
        Assert.That(without.Lost, Is.EqualTo(s_without.Lost));
        Assert.That(without.Text, Does.EndWith(" runs apart on db-1 (left out: db-2, db-3)"));
    }

    // What a host says becomes paths and commands of root.
    [TestCase("\"20261128T211000Z\"", "\"../../etc\"")]
    [TestCase("\"db-1\"", "\"db-1; reboot\"")]
    [TestCase("\"db-2\"", "\"$(reboot)\"")]
    [TestCase("\"db-2 db-3\"", "\"db-2 $(reboot)\"")]
    [TestCase("\"Look\"", "\"Dance\"")]
    [TestCase("\"Look\"", "\"99\"")]
    [TestCase("2026-11-28 20:10:00.500000", "2026-11-28 ; reboot")]
    [TestCase("{", "")]
    [TestCase("\"format\":1", "\"format\":2")]
    public void A_journal_that_no_kbr_wrote_is_none(string written, string hostile)
    {
        var json = Json(s_without);
        Assert.That(json, Does.Contain(written));
        Assert.That(RestoreJournal.Parse(Encoding.UTF8.GetBytes(json.Replace(written, hostile, StringComparison.Ordinal))), Is.Null);
    }

    [Test]
    public void The_furthest_phase_of_the_newest_restore_counts()
    {
        var older = s_journal with { Id = "20261127T000000Z", Phase = RestorePhase.Kept };
        var next = s_journal with { Phase = RestorePhase.Exchange };
        Assert.That(RestoreJournal.Of("pg", new[] { next, older, s_journal }.Select(Answer)), Is.EqualTo(next));
        Assert.That(RestoreJournal.Of("pg", []), Is.Null);
    }

    private static Reconciler.Hosts.Snapshot Answer(RestoreJournal journal) =>
        ProviderBench.Snapshot((RestoreJournal.Read("pg"), new Reconciler.Hosts.FileContent(Encoding.UTF8.GetBytes(Json(journal)))));

    private static string Json(RestoreJournal journal) => journal.Write("pg").Text.Split('\'').First(part => part.StartsWith('{'));
}
