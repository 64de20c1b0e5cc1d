using System.Collections.Immutable;
using System.Globalization;
using KeyBuzz.Reconciler.PostgresHa.Restore;
using KeyBuzz.Reconciler.Providers.Backup;
using KeyBuzz.Reconciler.Providers.Backup.Restore;

namespace KeyBuzz.Reconciler.Tests.PostgresHa;

/// <summary>Whether the members have the room for a second database, in GiB. The restore is on a.</summary>
[TestFixture]
internal sealed class RestoreRoomTests
{
    private const long GiB = 1L << 30;

    // Each member's database and free room, and the databases of the backups; one that is damaged has a '!'.
    [TestCase("a:100+101 b:100+101", "100", 101, "")]
    [TestCase("a:100+100 b:100+200", "100", 101, "a")]
    [TestCase("a:100+200 b:100+100", "100", 101, "b")]
    [TestCase("a:100+600 b:100+600", "100 600", 601, "a b", Description = "a table was dropped since the backup")]
    [TestCase("a:100+150 b:100+150", "600! 100", 101, "", Description = "what cannot be restored needs no room")]
    [TestCase("a:0+100 b:0+9", "100", 101, "a", Description = "the hosts have lost everything")]
    [TestCase("a:0+101 b:0+9", "100", 101, "")]
    [TestCase("a:0+0 b:0+9", "-", 1, "a", Description = "nobody says what the repositories hold")]
    [TestCase("a:100+100 b:100+100", "-", 101, "a b")]
    public void The_larger_of_the_database_and_its_backups_must_fit_beside_it(string sizes, string backups, long needed, string without)
    {
        var all = Sizes(sizes);
        var room = RestoreRoom.Needed(all, Report(backups), RestoreTarget.Latest);
        Assert.That(room, Is.EqualTo(needed * GiB));
        Assert.That(string.Join(' ', RestoreRoom.MembersWithout(Journal(isCopy: false), all, room)), Is.EqualTo(without));
    }

    [TestCase("a:100+101 b:100+0", "")]
    [TestCase("a:100+100 b:100+0", "a")]
    public void A_copy_needs_room_on_its_member_alone(string sizes, string without)
    {
        var all = Sizes(sizes);
        Assert.That(
            string.Join(
                ' ',
                RestoreRoom.MembersWithout(Journal(isCopy: true), all, RestoreRoom.Needed(all, Report("100"), RestoreTarget.Latest))
            ),
            Is.EqualTo(without)
        );
    }

    // The backups of each repository, the first one ends at ten past, at 0/1000000, the next at twenty past; ':2' is timeline 2.
    [TestCase("600 100", "latest", 100)]
    [TestCase("600 100", "point", 100, Description = "the name does not say which backup is before it")]
    [TestCase("600 100 50", "1970-01-01T00:25:00Z", 100)]
    [TestCase("100 50 700", "1970-01-01T00:15:00Z", 100, Description = "it grew after the next backup")]
    [TestCase("100 600 700", "1970-01-01T00:15:00Z", 600, Description = "by then it may have grown to what the next backup has")]
    [TestCase("600 100 50", "1970-01-01T00:20:00Z", 600, Description = "a backup that ends then is not before it")]
    [TestCase("600 100 50", "0/2000000", 100)]
    [TestCase("100 50 700", "0/1800000", 100)]
    [TestCase("100", "0/0800000", 0, Description = "no backup is before it")]
    [TestCase("600 100! 50", "1970-01-01T00:25:00Z", 600)]
    [TestCase("600 100|300", "latest", 300, Description = "of whichever repository")]
    [TestCase("600 100 50|:2", "latest", 600, Description = "each may be of a database that a restore has replaced")]
    [TestCase("600 100 50:2|:2", "latest", 50)]
    [TestCase("600 100:2 50|:2", "latest", 100, Description = "the last may be of the replaced one")]
    [TestCase("600 100", null, 600, Description = "it is not known which second is drawn")]
    public void Of_the_backups_those_count_that_a_restore_to_the_target_meets(string backups, string? target, long largest) =>
        Assert.That(
            RestoreRoom.LargestBackup(Report(backups), target is null ? null : RestoreTarget.Parse(target)),
            Is.EqualTo(largest * GiB)
        );

    private static RestoreJournal Journal(bool isCopy) =>
        new("20261128T211000Z", "latest", "a", "a", RestorePhase.Prepare) { IsCopy = isCopy };

    private static ImmutableSortedDictionary<string, (long Used, long Free)> Sizes(string text) =>
        text.Split(' ')
            .Select(one => one.Split(':', '+'))
            .ToImmutableSortedDictionary(words => words[0], words => (Number(words[1]), Number(words[2])), StringComparer.Ordinal);

    private static BackupReport? Report(string backups) =>
        backups == "-"
            ? null
            : new BackupReport(
                null,
                IsSetUp: true,
                backups.Split('|').Index().ToImmutableSortedDictionary(one => one.Index + 1L, one => Repository(one.Item))
            );

    // One that is only ':2' has no backup, and archives on timeline 2.
    private static RepositoryReport Repository(string backups) =>
        new(RepositoryState.Ready, "ok", "7")
        {
            LastWal = Segment(backups.Split(' ')[^1]),
            Backups =
            [
                .. backups
                    .Split(' ')
                    .Index()
                    .Where(one => !one.Item.StartsWith(':'))
                    .Select(one => new StoredBackup(
                        "x",
                        BackupKind.Full,
                        default,
                        DateTimeOffset.UnixEpoch.AddMinutes(10 * (one.Index + 1)),
                        Number(one.Item.Split(':')[0].TrimEnd('!')),
                        0
                    )
                    {
                        HasErrors = one.Item.EndsWith('!'),
                        StopLsn = $"0/{one.Index + 1}000000",
                        LastWal = Segment(one.Item),
                    }),
            ],
        };

    private static string Segment(string backup) =>
        (backup.EndsWith(":2", StringComparison.Ordinal) ? "00000002" : "00000001") + "0000000000000009";

    private static long Number(string word) => long.Parse(word, CultureInfo.InvariantCulture) * GiB;
}
