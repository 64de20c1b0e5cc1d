using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.PostgresHa.Recovery;
using KeyBuzz.Reconciler.Providers.PatroniCluster;

namespace KeyBuzz.Reconciler.Tests.PostgresHa;

[TestFixture]
internal sealed class RecoveryEndTests
{
    // Members: a name, its password of the store ('+' the desired, '~' another, '?' not known), and '*' for the primary.
    [TestCase("done", "db-1 +*; db-2 +; db-3 +", true, true, ExpectedResult = "confirm")]
    [TestCase(
        "done",
        "db-1 +*; db-2 +; db-3 +",
        true,
        false,
        ExpectedResult = "pg is not healthy, and what was kept aside may still be needed"
    )]
    [TestCase(
        "done",
        "db-1 ~; db-2 ~*; db-3 ~",
        true,
        false,
        ExpectedResult = "pg is not healthy, and what was kept aside may still be needed"
    )]
    [TestCase("begun", "db-1 ~; db-2 ~*; db-3 ~", true, false, ExpectedResult = "give up", Description = "its survivor is stopped")]
    [TestCase("begun", "db-1 ~; db-2 ~*; db-3 ~", true, true, ExpectedResult = "give up", Description = "its survivor is a replica")]
    [TestCase("begun", "db-1 ~*; db-2 ~; db-3 ~", true, false, ExpectedResult = "give up", Description = "of the former cluster")]
    [TestCase(
        "begun",
        "db-1 ~*; db-2 ~; db-3 ~",
        false,
        false,
        ExpectedResult = "not elected",
        Description = "its lease has not ended yet"
    )]
    [TestCase("begun", "db-1 ~; db-2 ~; db-3 ~", true, false, ExpectedResult = "not elected")]
    [TestCase("begun", "db-1 +; db-2 ~*; db-3 ~", true, false, ExpectedResult = "may have taken writes; stop db-2")]
    [TestCase("begun", "db-1 ?; db-2 ~*; db-3 ~", true, false, ExpectedResult = "may have taken writes; stop db-2")]
    [TestCase("begun", "db-1 +*; db-2 ~; db-3 ~", false, false, ExpectedResult = "may have taken writes")]
    [TestCase("begun", "db-1 +*; db-2 +; db-3 +", true, true, ExpectedResult = "confirm", Description = "an apply ended it")]
    [TestCase("done", "db-1 ?*; db-2 ?; db-3 ?", true, true, ExpectedResult = "confirm", Description = "a store that tells no password")]
    [TestCase(
        "done",
        "db-1 ?*; db-2 ?; db-3 ?",
        true,
        false,
        ExpectedResult = "pg is not healthy, and what was kept aside may still be needed",
        Description = "such a store"
    )]
    public string What_ends_a_recovery(string phase, string members, bool hasQuorum, bool isHealthy)
    {
        RecoveryMember[] all =
        [
            .. members
                .Split("; ")
                .Select(one => new RecoveryMember(one.Split(' ')[0])
                {
                    HasDesiredPassword = one.Split(' ')[1][0] switch
                    {
                        '+' => true,
                        '~' => false,
                        _ => null,
                    },
                    IsPrimary = one.EndsWith('*'),
                }),
        ];
        var journal = new RecoveryJournal("20261128T211000Z", "db-1", ["db-2", "db-3"], phase == "done");
        try
        {
            var end = RecoveryEnd.Of("pg", journal, all, hasQuorum ? "db-2" : null, isHealthy ? [] : ["db-1 does not answer"]);
            return end is RecoveryEnd.GiveUp ? "give up" : "confirm";
        }
        catch (DiagnosticException exception)
        {
            var (summary, remedy) = (exception.Diagnostics[0].Summary, exception.Diagnostics[0].Remedy!);
            return summary.EndsWith("have not elected a primary by themselves", StringComparison.Ordinal) ? "not elected"
                : !summary.EndsWith("db-1 may have taken writes since", StringComparison.Ordinal) ? summary.Split(':')[0]
                : remedy.EndsWith("Stop db-2's Patroni first", StringComparison.Ordinal) ? "may have taken writes; stop db-2"
                : "may have taken writes";
        }
    }
}
