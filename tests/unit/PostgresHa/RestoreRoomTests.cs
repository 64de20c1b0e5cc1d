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
    [TestCase("a:100+600 b:100+600", "600 100", 601, "a b", Description = "a table was dropped since the backup")]
    [TestCase("a:100+150 b:100+150", "600! 100", 101, "", Description = "what cannot be restored needs no room")]
    [TestCase("a:0+100 b:0+9", "100", 101, "a", Description = "the hosts have lost everything")]
    [TestCase("a:0+101 b:0+9", "100", 101, "")]
    [TestCase("a:0+0 b:0+9", "-", 1, "a", Description = "nobody says what the repositories hold")]
    [TestCase("a:100+100 b:100+100", "-", 101, "a b")]
    public void The_larger_of_the_database_and_its_backups_must_fit_beside_it(string sizes, string backups, long needed, string without)
    {
        var all = Sizes(sizes);
        var room = RestoreRoom.Needed(all, Report(backups));
        Assert.That(room, Is.EqualTo(needed * GiB));
        Assert.That(string.Join(' ', RestoreRoom.MembersWithout(Journal(isCopy: false), all, room)), Is.EqualTo(without));
    }

    [TestCase("a:100+101 b:100+0", "")]
    [TestCase("a:100+100 b:100+0", "a")]
    public void A_copy_needs_room_on_its_member_alone(string sizes, string without)
    {
        var all = Sizes(sizes);
        Assert.That(
            string.Join(' ', RestoreRoom.MembersWithout(Journal(isCopy: true), all, RestoreRoom.Needed(all, Report("100")))),
            Is.EqualTo(without)
        );
    }

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
                ImmutableSortedDictionary<long, RepositoryReport>.Empty.Add(
                    1,
                    new RepositoryReport(RepositoryState.Ready, "ok", "7")
                    {
                        Backups =
                        [
                            .. backups
                                .Split(' ')
                                .Select(one => new StoredBackup("x", BackupKind.Full, default, default, Number(one.TrimEnd('!')), 0)
                                {
                                    HasErrors = one.EndsWith('!'),
                                }),
                        ],
                    }
                )
            );

    private static long Number(string word) => long.Parse(word, CultureInfo.InvariantCulture) * GiB;
}
