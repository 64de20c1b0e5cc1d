using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.PostgresHa.Recovery;

namespace KeyBuzz.Reconciler.Tests.PostgresHa;

[TestFixture]
internal sealed class RecoveryChoiceTests
{
    // Members: a name and what is so of it. Data is "timeline/LSN"; '-' is none, '?' a silent host; '!' runs, '*' leads, '+' is reached.
    [TestCase("db-1 1:500!; db-2 ?; db-3 ?", "db-2 db-3", ExpectedResult = "db-1")]
    [TestCase("db-1 1:500; db-2 ?; db-3 ?", "db-2 db-3", ExpectedResult = "db-1", Description = "its Patroni is dead")]
    [TestCase("db-1 1:500!; db-2 -; db-3 -", "", ExpectedResult = "db-1", Description = "two hosts have lost their disks")]
    [TestCase("db-1 1:500!; db-2 1:700!; db-3 1:600!", "", ExpectedResult = "db-2", Description = "every journal is broken: the furthest")]
    [TestCase("db-1 1:900!; db-2 2:700!; db-3 ?", "db-3", ExpectedResult = "db-2", Description = "a later timeline beats a later LSN")]
    [TestCase("db-1 1:500!; db-2 1:500!; db-3 ?", "db-3", ExpectedResult = "db-1", Description = "equal: by name")]
    [TestCase("db-1 1:500!; db-2 ?; db-3 ?", "db-2", ExpectedResult = "db-3 cannot be reached, and may serve pg all the same")]
    [TestCase("db-1 1:500!; db-2 ?; db-3 ?", "", ExpectedResult = "db-2 and db-3 cannot be reached, and may serve pg all the same")]
    [TestCase(
        "db-1 1:500!; db-2 ?+; db-3 ?",
        "db-2 db-3",
        ExpectedResult = "db-2 is named lost, but it is alive: it could lead the majority"
    )]
    [TestCase(
        "db-1 1:500!; db-2 1:400; db-3 ?",
        "db-2 db-3",
        ExpectedResult = "db-2 is named lost, but its host answers: kbr stops it there itself"
    )]
    [TestCase("db-1 1:500!; db-2 ?; db-3 ?", "db-2 db-4", ExpectedResult = "--lost names db-4, which is no host of pg")]
    [TestCase("db-1 1:500!*; db-2 ?; db-3 ?", "db-2 db-3", ExpectedResult = "db-1 is the primary of pg: there is nothing to recover")]
    [TestCase(
        "db-1 1:500!; db-2 1:400; db-3 ?",
        "db-3",
        ExpectedResult = "db-2 can be started, and then 2 of 3 members of pg have their data"
    )]
    [TestCase(
        "db-1 -; db-2 ?; db-3 ?",
        "db-2 db-3",
        ExpectedResult = "no member of pg that answers holds a database, so there is nothing to recover from"
    )]
    public string The_furthest_survivor_is_chosen_or_the_reason_is_named(string members, string lost) => Choice(members, lost);

    [Test]
    public void A_quorum_a_primary_that_a_proxy_sees_and_a_silent_proxy_refuse_it()
    {
        const string Left = "db-1 1:500!; db-2 ?; db-3 ?";
        Assert.That(
            Choice(Left, "db-2 db-3", "db-1"),
            Is.EqualTo("pg still has a quorum, by the word of db-1: its members can elect a primary")
        );
        Assert.That(
            Choice(Left, "db-2 db-3", new RecoveryProxy("lb-1", null, "db-2")),
            Is.EqualTo("lb-1 still sends sessions to db-2: pg has a primary")
        );
        Assert.That(
            Choice(Left, "db-2 db-3", new RecoveryProxy("lb-1", "timed out", null)),
            Is.EqualTo("lb-1 cannot be reached, and may serve pg all the same")
        );
        Assert.That(Choice(Left, "db-2 db-3 lb-1", new RecoveryProxy("lb-1", "timed out", null)), Is.EqualTo("db-1"));
    }

    [Test]
    public void What_is_lost_is_the_bytes_behind_the_furthest_survivor_and_what_only_the_lost_had_is_unknown()
    {
        var members = Members("db-1 1:500!; db-2 1:700!; db-3 ?");
        var choice = RecoveryChoice.Of("pg", members, [], null, new RecoveryRequest(["db-3"], "db-1"));
        Assert.That(choice.Behind(choice.Survivor), Is.EqualTo(0x200));
        Assert.That(
            choice.Losses(["db-3"], hasArchive: false),
            Is.EqualTo(
                new[]
                {
                    "at most 512 bytes of WAL that another survivor (db-2) has",
                    "unknown: what only db-3 had, acknowledged commits among it",
                }
            )
        );
        Assert.That(choice.Others, Is.EqualTo(new[] { "db-2", "db-3" }));
    }

    [Test]
    public void Two_databases_are_no_cluster()
    {
        var members = Members("db-1 1:500!; db-2 1:700!; db-3 ?");
        members[1] = members[1] with { Data = members[1].Data! with { SystemIdentifier = "8" } };
        Assert.That(
            () => RecoveryChoice.Of("pg", members, [], null, new RecoveryRequest(["db-3"], null)),
            Throws.InstanceOf<DiagnosticException>().With.Message.Contains("the members of pg hold different databases")
        );
    }

    [Test]
    public void What_a_data_directory_says_is_read_also_where_its_log_is_not()
    {
        const string Control = "system 7312\ncheckpoint 0/3000060\nrecovered 0/3000100\ntimeline 2\n";
        var whole = SurvivorData.Parse(Control + "last 3 1/4000148\ncommit 2026-11-29 13:00:00.123456 UTC\n")!;
        Assert.That(
            (whole.Timeline, whole.Position, whole.IsExact, whole.LastCommit),
            Is.EqualTo((3L, "1/04000148", true, "2026-11-29 13:00:00.123456 UTC"))
        );
        var part = SurvivorData.Parse(Control)!;
        Assert.That((part.Timeline, part.Position, part.IsExact, part.LastCommit), Is.EqualTo((2L, "0/03000100", false, (string?)null)));
        Assert.That(SurvivorData.Parse("none\n"), Is.Null);
    }

    [Test]
    public void A_new_password_takes_the_place_of_its_line_and_every_other_line_stays()
    {
        var file = Path.GetTempFileName();
        try
        {
            File.WriteAllText(file, "# kept\nA=1\nexport STORE=old\nSTORE_X=2\n");
            CredentialsFile.Renew(file, "STORE");
            var text = File.ReadAllText(file);
            Assert.That(text, Does.StartWith("# kept\nA=1\nSTORE_X=2\nSTORE=").And.Not.Contain("old"));
            var first = text;
            CredentialsFile.Renew(file, "STORE");
            Assert.That(File.ReadAllText(file), Is.Not.EqualTo(first));
            Assert.That(CredentialsFile.Parse(text, file).Values["STORE"], Has.Length.GreaterThan(30));
        }
        finally
        {
            File.Delete(file);
        }
    }

    private static string Choice(string members, string lost, params RecoveryProxy[] proxies) =>
        Choice(members, lost, (string?)null, proxies);

    private static string Choice(string members, string lost, string? storeLeader, params RecoveryProxy[] proxies)
    {
        try
        {
            string[] names = lost.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            return RecoveryChoice.Of("pg", Members(members), proxies, storeLeader, new RecoveryRequest([.. names], null)).Survivor.Name;
        }
        catch (DiagnosticException exception)
        {
            return exception.Diagnostics[0].Summary;
        }
    }

    private static RecoveryMember[] Members(string text) =>
        [
            .. text.Split("; ")
                .Select(one =>
                {
                    var (name, what) = (one.Split(' ')[0], one.Split(' ')[1]);
                    var place = what.TrimEnd('!', '*', '+').Split(':');
                    return new RecoveryMember(name)
                    {
                        Error = what.StartsWith('?') ? "timed out" : null,
                        Runs = what.Contains('!', StringComparison.Ordinal),
                        IsPrimary = what.Contains('*', StringComparison.Ordinal),
                        Reached = what.Contains('+', StringComparison.Ordinal) ? ["port 8008 of it answers lb-1"] : [],
                        Data =
                            place.Length == 2
                                ? new SurvivorData("7", long.Parse(place[0]), Convert.ToUInt64(place[1], 16)) { IsExact = true }
                                : null,
                    };
                }),
        ];
}
