using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa.Switchover;
using static KeyBuzz.Reconciler.Tests.Providers.PatroniCluster.PatroniAnswers;

namespace KeyBuzz.Reconciler.Tests.PostgresHa;

[TestFixture]
internal sealed class SwitchoverChoiceTests
{
    [Test]
    public void Without_a_name_the_replica_that_is_the_least_behind_takes_over() =>
        Assert.Multiple(() =>
        {
            Assert.That(Choice(Healthy()), Is.EqualTo("db-1 → db-2"));
            Assert.That(Choice(Healthy(("db-2", Behind("db-2", 100)))), Is.EqualTo("db-1 → db-3"));
        });

    [Test]
    public void The_preferred_leader_takes_over_when_it_does_not_lead_although_it_is_further_behind() =>
        Assert.Multiple(() =>
        {
            Assert.That(Choice(Healthy(("db-3", Behind("db-3", 100))), preferred: "db-3"), Is.EqualTo("db-1 → db-3"));
            Assert.That(Choice(Healthy(), preferred: "db-1"), Is.EqualTo("db-1 → db-2"), "it leads");
        });

    [Test]
    public void A_member_that_was_asked_for_takes_over_before_any_other() =>
        Assert.That(Choice(Healthy(("db-3", Behind("db-3", 100))), to: "db-3", preferred: "db-2"), Is.EqualTo("db-1 → db-3"));

    [Test]
    public void A_member_that_cannot_take_over_is_refused_with_the_reason() =>
        Assert.Multiple(() =>
        {
            Assert.That(Choice(Healthy(), to: "db-1"), Is.EqualTo("db-1 cannot take over: it is already the primary"));
            Assert.That(Choice(Healthy(), to: "db-4"), Is.EqualTo("'db-4' is not a member of pg (members are db-1, db-2, db-3)"));
            Assert.That(
                Choice(Healthy(("db-2", Behind("db-2", 2 << 20))), to: "db-2"),
                Is.EqualTo("db-2 cannot take over: its lag is 2097152 bytes, more than 1048576")
            );
            Assert.That(Choice(Healthy(("db-2", "")), to: "db-2"), Is.EqualTo("db-2 cannot take over: its Patroni does not answer"));
            Assert.That(
                Choice(Healthy(("db-2", Replica("db-2").Replace("\"running\"", "\"starting\"", StringComparison.Ordinal))), to: "db-2"),
                Is.EqualTo("db-2 cannot take over: PostgreSQL is not running there (starting)")
            );
            Assert.That(
                Choice(
                    Healthy(("db-2", Replica("db-2").Replace("\"streaming\"", "\"in archive recovery\"", StringComparison.Ordinal))),
                    to: "db-2"
                ),
                Is.EqualTo("db-2 cannot take over: it does not stream from db-1 (in archive recovery)")
            );
            Assert.That(
                Choice(Healthy(("db-2", Replica("db-2").Replace("67108960", "null", StringComparison.Ordinal))), to: "db-2"),
                Is.EqualTo("db-2 cannot take over: its lag is unknown")
            );
        });

    [Test]
    public void With_synchronous_replication_only_the_synchronous_standby_takes_over() =>
        Assert.Multiple(() =>
        {
            var answers = Synchronous(Healthy(("db-3", SyncStandby("db-3"))));
            Assert.That(Choice(answers), Is.EqualTo("db-1 → db-3"));
            Assert.That(Choice(answers, preferred: "db-2"), Is.EqualTo("db-1 → db-3"));
            Assert.That(Choice(answers, to: "db-2"), Is.EqualTo("db-2 cannot take over: it is not the synchronous standby, db-3 is"));
            Assert.That(Choice(Synchronous(Healthy())), Is.EqualTo("pg is not healthy: db-1 has no synchronous standby"));
            Assert.That(Choice(Synchronous(Healthy()), to: "db-2"), Is.EqualTo("db-2 cannot take over: there is no synchronous standby"));
        });

    [Test]
    public void No_member_takes_over_while_another_is_unhealthy() =>
        Assert.Multiple(() =>
        {
            Assert.That(
                Choice(Healthy(("db-3", "")), to: "db-2"),
                Is.EqualTo("pg is not healthy: db-3: Patroni does not answer on port 8008")
            );
            Assert.That(Choice(Healthy(("db-1", Replica("db-1")))), Is.EqualTo("pg is not healthy: no member is the primary"));
            Assert.That(
                Choice(Healthy(("db-2", Leader("db-2")))),
                Does.StartWith("pg is not healthy: ").And.Contain("accept writes: 2 primaries")
            );
        });

    [Test]
    public void While_patroni_is_paused_the_lead_stays_where_it_is() =>
        Assert.That(
            Choice(
                Healthy(("db-1", Leader("db-1").Replace("\"timeline\": 1", "\"timeline\": 1, \"pause\": true", StringComparison.Ordinal)))
            ),
            Is.EqualTo("pg is paused: Patroni starts and promotes nothing")
        );

    private static string Behind(string name, long bytes) =>
        Replica(name)
            .Replace("67108960", (67108960 - bytes).ToString(System.Globalization.CultureInfo.InvariantCulture), StringComparison.Ordinal);

    private static string Choice(Dictionary<string, Snapshot> answers, string? to = null, string? preferred = null)
    {
        try
        {
            var choice = SwitchoverChoice.Of("pg", Judge(answers), to, preferred);
            return $"{choice.Leader} → {choice.Candidate}";
        }
        catch (DiagnosticException refused)
        {
            var diagnostic = refused.Diagnostics.Single();
            return diagnostic.Summary
                + (diagnostic.Remedy?.StartsWith("members are", StringComparison.Ordinal) == true ? $" ({diagnostic.Remedy})" : "");
        }
    }
}
