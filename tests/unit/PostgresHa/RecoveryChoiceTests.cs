using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
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

    // The loss by going on from the member, of what the others have. '~' is a position that is not exact, '#' no readable database.
    [TestCase("db-1 1:500!; db-2 1:700!; db-3 ?", "db-1", ExpectedResult = "at most 512 bytes of WAL that db-2 has; +")]
    [TestCase("db-1 1:500!~; db-2 1:700!; db-3 ?", "db-1", ExpectedResult = "about 512 bytes of WAL that db-2 has; db-1~; +")]
    [TestCase("db-1 1:500!; db-2 1:700!~; db-3 ?", "db-1", ExpectedResult = "about 512 bytes of WAL that db-2 has; +")]
    [TestCase("db-1 1:700!; db-2 1:500!~; db-3 ?", "db-1", ExpectedResult = "unknown: the end of db-2's WAL could not be read; +")]
    [TestCase("db-1 1:700!; db-2 1:500!; db-3 ?", "db-1", ExpectedResult = "nothing of what the other survivors have; +")]
    [TestCase("db-1 1:700!; db-2 ?; db-3 ?", "db-1", ExpectedResult = "no other survivor has a database to compare with; +")]
    [TestCase("db-1 1:900!; db-2 2:700!; db-3 ?", "db-2", ExpectedResult = "unknown: what only db-1 has of timeline 1; +")]
    [TestCase("db-1 1:900!; db-2 2:700!; db-3 ?", "db-1", ExpectedResult = "everything that db-2 has from timeline 2 on; +")]
    [TestCase("db-1 1:900!; db-2 #; db-3 ?", "db-1", ExpectedResult = "unknown: what only db-2 has; +")]
    public string What_is_lost_is_said_of_each_survivor_and_of_what_is_unknown(string members, string from)
    {
        var choice = RecoveryChoice.Of("pg", Members(members), [], null, new RecoveryRequest(Silent(members), from));
        Assert.That(choice.Others, Does.Not.Contain(from));
        return string.Join(
            "; ",
            choice
                .Losses(Silent(members), hasArchive: false)
                .Select(loss =>
                    loss.EndsWith("acknowledged commits among it", StringComparison.Ordinal) ? "+"
                    : loss.EndsWith("more than is shown", StringComparison.Ordinal) ? $"{from}~"
                    : loss.Split(';', ',')[0]
                )
        );
    }

    // It stopped the members itself, and its survivor may already have gone on.
    [TestCase(null, null, ExpectedResult = "db-2 can be started, and then 2 of 3 members of pg have their data")]
    [TestCase("db-2", null, ExpectedResult = "db-2")]
    [TestCase("db-2", "db-2", ExpectedResult = "db-2")]
    [TestCase("db-2", "db-1", ExpectedResult = "a recovery of pg from db-2 was begun: it cannot go on from db-1")]
    [TestCase("db-3", null, ExpectedResult = "db-3 holds no database that can be read")]
    public string A_recovery_that_was_killed_goes_on_from_its_own_survivor(string? begun, string? from)
    {
        try
        {
            var request = new RecoveryRequest(["db-3"], from) { Begun = begun };
            return RecoveryChoice.Of("pg", Members("db-1 1:500!; db-2 1:400; db-3 ?"), [], null, request).Survivor.Name;
        }
        catch (DiagnosticException exception)
        {
            return exception.Diagnostics[0].Summary;
        }
    }

    // The survivor of a recovery that was killed leads alone ('=' is a store of its own): the rest of the recovery is still to be done.
    [TestCase("db-1 1:500!*=; db-2 1:400; db-3 ?", "db-1", null, "db-1", ExpectedResult = "db-1, led")]
    [TestCase("db-1 1:500!*=; db-2 ?; db-3 ?", "db-1", null, "db-1", ExpectedResult = "db-1, led")]
    [TestCase("db-1 1:500!*=; db-2 ?; db-3 ?", null, null, null, ExpectedResult = "db-1 is the primary of pg; kbr apply")]
    [TestCase("db-1 1:500!*=; db-2 1:400!*; db-3 ?", "db-1", null, null, ExpectedResult = "db-2 is the primary of pg; confirm")]
    [TestCase("db-1 1:500!*; db-2 1:400!; db-3 ?", "db-1", null, null, ExpectedResult = "db-1 is the primary of pg; confirm")]
    [TestCase("db-1 1:500; db-2 1:400!*; db-3 ?", "db-1", null, null, ExpectedResult = "db-2 is the primary of pg; confirm")]
    [TestCase("db-1 1:500!*=; db-2 1:400!; db-3 ?", "db-1", "db-2", "db-1", ExpectedResult = "pg still has a quorum; confirm")]
    [TestCase("db-1 1:500!*=; db-2 ?; db-3 ?", "db-1", null, "db-2", ExpectedResult = "lb-1 still sends sessions to db-2; no primary")]
    public string A_recovery_that_was_killed_goes_on_also_where_its_survivor_leads(
        string members,
        string? begun,
        string? storeLeader,
        string? seen
    )
    {
        try
        {
            var request = new RecoveryRequest(Silent(members), null) { Begun = begun };
            var proxy = new RecoveryProxy("lb-1", null, seen);
            var choice = RecoveryChoice.Of("pg", Members(members), [proxy], storeLeader, request);
            return $"{choice.Survivor.Name}, {(choice.IsLed ? "led" : "stopped")}";
        }
        catch (DiagnosticException exception)
        {
            var remedy = exception.Diagnostics[0].Remedy!;
            return $"{exception.Diagnostics[0].Summary.Split(':', ',')[0]}; "
                + (
                    remedy.StartsWith("kbr recover confirm gives up the recovery from db-1", StringComparison.Ordinal) ? "confirm"
                    : remedy.StartsWith("kbr apply", StringComparison.Ordinal) ? "kbr apply"
                    : remedy.EndsWith("no proxy sees it", StringComparison.Ordinal) ? "no primary"
                    : remedy
                );
        }
    }

    // It takes writes, so its position moves.
    [TestCase("db-1 1:900!*=; db-2 1:400; db-3 ?", ExpectedResult = true)]
    [TestCase("db-1 1:500!; db-2 1:400; db-3 ?", ExpectedResult = false)]
    [TestCase("db-1 1:500!*=; db-2 1:410; db-3 ?", ExpectedResult = false)]
    public bool A_survivor_that_leads_may_go_on_while_the_question_stands(string later)
    {
        var shown = Of("db-1 1:500!*=; db-2 1:400; db-3 ?");
        try
        {
            shown.RefuseChanged(Of(later));
            return true;
        }
        catch (DiagnosticException)
        {
            return false;
        }

        static RecoveryChoice Of(string members) =>
            RecoveryChoice.Of("pg", Members(members), [], null, new RecoveryRequest(["db-3"], null) { Begun = "db-1" });
    }

    [TestCase("db-1 1:500!; db-2 1:400!; db-3 ?", ExpectedResult = true)]
    [TestCase("db-1 1:500!; db-2 1:410!; db-3 ?", ExpectedResult = false)]
    [TestCase("db-1 1:500!; db-2 1:700!; db-3 ?", ExpectedResult = false)]
    [TestCase("db-1 1:500!; db-2 #; db-3 ?", ExpectedResult = false)]
    public bool What_changed_while_the_question_stood_is_decided_again(string later)
    {
        var shown = Of("db-1 1:500!; db-2 1:400!; db-3 ?");
        try
        {
            shown.RefuseChanged(Of(later));
            return true;
        }
        catch (DiagnosticException exception)
        {
            Assert.That(exception.Message, Does.Contain("have changed since the recovery was shown; nothing was changed"));
            return false;
        }

        static RecoveryChoice Of(string members) =>
            RecoveryChoice.Of("pg", Members(members), [], null, new RecoveryRequest(["db-3"], null));
    }

    [TestCase(0, "none\n", "", ExpectedResult = "no database")]
    [TestCase(0, "system 7\ncheckpoint 0/500\ntimeline 1\n", "", ExpectedResult = "0/00000500")]
    [TestCase(0, "", "", ExpectedResult = "its control file was not understood")]
    [TestCase(1, "", "/opt/x is not mounted\n", ExpectedResult = "/opt/x is not mounted")]
    [TestCase(125, "", "Unable to find image\ndocker: no such image\n", ExpectedResult = "docker: no such image")]
    [TestCase(1, "", "", ExpectedResult = "exit status 1")]
    public string A_look_that_fails_makes_a_member_no_survivor_and_keeps_no_other_from_being_one(int exit, string output, string error)
    {
        var member = RecoveryRun.Looked(new RecoveryMember("db-2"), new ScriptResult(exit, output, error));
        return member.Data?.Position ?? member.Unreadable ?? "no database";
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

    private static ImmutableArray<string> Silent(string members) =>
        [.. Members(members).Where(member => member.Error is not null).Select(member => member.Name)];

    private static RecoveryMember[] Members(string text) =>
        [
            .. text.Split("; ")
                .Select(one =>
                {
                    var (name, what) = (one.Split(' ')[0], one.Split(' ')[1]);
                    var place = what.TrimEnd('!', '*', '+', '~', '=').Split(':');
                    return new RecoveryMember(name)
                    {
                        Error = what.StartsWith('?') ? "timed out" : null,
                        Unreadable = what.StartsWith('#') ? "its image is not there" : null,
                        Runs = what.Contains('!', StringComparison.Ordinal),
                        IsPrimary = what.Contains('*', StringComparison.Ordinal),
                        HasOwnStore = what.Contains('=', StringComparison.Ordinal),
                        Reached = what.Contains('+', StringComparison.Ordinal) ? ["port 8008 of it answers lb-1"] : [],
                        Data =
                            place.Length == 2
                                ? new SurvivorData("7", long.Parse(place[0]), Convert.ToUInt64(place[1], 16))
                                {
                                    IsExact = !what.Contains('~', StringComparison.Ordinal),
                                }
                                : null,
                    };
                }),
        ];
}
