using System.Collections.Immutable;
using KeyBuzz.Reconciler.PostgresHa.Backups;
using KeyBuzz.Reconciler.Providers.Backup;

namespace KeyBuzz.Reconciler.Tests.PostgresHa;

/// <summary>The seconds of a proof, of backups on several timelines. Times are minutes.</summary>
[TestFixture]
public sealed class ProofWindowTests
{
    private static readonly DateTimeOffset s_day = new(2026, 11, 28, 0, 0, 0, TimeSpan.Zero);

    // The database was restored to a point at 0/5000000 and is on timeline 2: a backup at 0/7000000 on timeline 1 is of the former one.
    private const string Restored = "1\t0/5000000\tbefore 2026-11-28 00:15:00+00\n";

    // It came back by an undo: timeline 2 was of the restored one, and 3 follows on 1.
    private const string Undone = "1\t0/9000000\tno recovery target specified\n\n";

    [TestCase(1, "", "1 10 0/3000000, 1 20 0/7000000", "10-20, 20-60")]
    [TestCase(2, Restored, "1 10 0/3000000, 1 20 0/7000000", "10-20", Description = "what the tool would restore is not the present one")]
    [TestCase(2, Restored, "1 10 0/3000000, 1 20 0/7000000, 2 30 0/7000000", "10-20, 30-60")]
    [TestCase(2, Restored, "1 20 0/7000000", "")]
    [TestCase(2, Restored, "1 10 0/5000000", "10-60", Description = "one that ends where the timeline does is on it")]
    [TestCase(3, Undone, "1 10 0/7000000, 2 20 0/6000000, 3 30 0/A000000", "10-20, 30-60")]
    public void A_second_whose_backup_is_of_a_replaced_database_is_not_drawn(long timeline, string history, string backups, string spans)
    {
        var window = new ProofWindow([Report(backups)], TimelineHistory.Parse(timeline, history), s_day.AddMinutes(60));
        Assert.That(Spans(window), Is.EqualTo(spans));
    }

    [Test]
    public void Of_two_repositories_neither_may_hold_one_of_a_replaced_database() =>
        Assert.That(
            Spans(
                new ProofWindow(
                    [Report("1 10 0/3000000, 1 20 0/7000000"), Report("1 15 0/4000000, 2 30 0/7000000")],
                    TimelineHistory.Parse(2, Restored),
                    s_day.AddMinutes(60)
                )
            ),
            Is.EqualTo("10-15, 15-20"),
            "the first repository has no later one"
        );

    [Test]
    public void A_backup_that_has_just_ended_can_be_proven()
    {
        var window = new ProofWindow([Report("1 59 0/3000000")], TimelineHistory.Parse(1, ""), s_day.AddMinutes(58));
        Assert.That((window.Seconds, window.At(0)), Is.EqualTo((1, s_day.AddMinutes(59).AddSeconds(2))));
        Assert.That(() => window.At(1), Throws.InstanceOf<ArgumentOutOfRangeException>());
    }

    private static RepositoryReport Report(string backups) =>
        new(RepositoryState.Ready, "ok", null)
        {
            Backups =
            [
                .. backups
                    .Split(", ")
                    .Select(text => text.Split(' '))
                    .Select(words => new StoredBackup(words[1], BackupKind.Full, Minute(words[1]), Minute(words[1]), 1, 1)
                    {
                        LastWal = words[0].PadLeft(8, '0') + "0000000000000007",
                        StopLsn = words[2],
                    }),
            ],
        };

    private static DateTimeOffset Minute(string text) =>
        s_day.AddMinutes(int.Parse(text, System.Globalization.CultureInfo.InvariantCulture));

    // Every second that it has, as ranges of minutes: each begins two seconds after a backup.
    private static string Spans(ProofWindow window)
    {
        var spans = new List<(DateTimeOffset From, DateTimeOffset To)>();
        for (var number = 0L; number < window.Seconds; number++)
        {
            var at = window.At(number);
            if (spans.Count > 0 && spans[^1].To == at)
            {
                spans[^1] = (spans[^1].From, at.AddSeconds(1));
            }
            else
            {
                spans.Add((at, at.AddSeconds(1)));
            }
        }

        return string.Join(
            ", ",
            spans.Select(span => $"{(span.From.AddSeconds(-2) - s_day).TotalMinutes}-{(span.To - s_day).TotalMinutes}")
        );
    }
}
