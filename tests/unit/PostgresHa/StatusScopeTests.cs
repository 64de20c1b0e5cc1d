using KeyBuzz.Reconciler.PostgresHa.Status;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.PostgresHa;

/// <summary>What of the checklist an apply with --target is judged by.</summary>
internal sealed class StatusScopeTests : BlueprintFixture
{
    // As it is while a cluster is adopted: nothing of kbr's runs yet.
    private static readonly ClusterStatus Adopting = new(
        [
            new("hosts", StatusVerdict.Ok, "") { Topic = StatusTopic.Hosts },
            new("units", StatusVerdict.NotOk, "")
            {
                Topic = StatusTopic.Services,
                Places = [new("patroni", "db-slave-01"), new("haproxy", "haproxy-01"), new("haproxy", "haproxy-02")],
            },
            new("leader", StatusVerdict.Ok, "") { Topic = StatusTopic.Members },
            new("parameters", StatusVerdict.NotOk, "") { Topic = StatusTopic.Configuration },
            new("haproxy's view", StatusVerdict.NotOk, "") { Topic = StatusTopic.Haproxy, Places = [new("haproxy", "haproxy-02")] },
            new("pgbouncer", StatusVerdict.NotOk, "")
            {
                Topic = StatusTopic.Pooler,
                Places = [new("pgbouncer", "haproxy-01"), new("pgbouncer", "haproxy-02")],
            },
            new("extension vector", StatusVerdict.Ok, "") { Topic = StatusTopic.Extensions },
            new("sql through PgBouncer", StatusVerdict.NotOk, "")
            {
                Topic = StatusTopic.SqlEndpoints,
                Places = [new("pgbouncer", "haproxy-01")],
            },
        ],
        new StatusConclusion(StatusVerdict.Ok, "", 3, 3, [], [new("patroni on db-slave-01 does not exist")])
    );

    [TestCase("role.kb_app@keybuzz-pg", "hosts, leader", StatusVerdict.Ok)]
    [TestCase("extension.vector@keybuzz-pg", "hosts, leader, extension vector", StatusVerdict.Ok)]
    [TestCase("patroni_config.keybuzz-pg@keybuzz-pg", "hosts, leader, parameters", StatusVerdict.NotOk)]
    [TestCase("config_file.patroni@db-slave-01", "hosts, leader", StatusVerdict.Ok)]
    [TestCase("systemd_unit.patroni@db-slave-01", "hosts, units, leader, extension vector", StatusVerdict.NotOk)]
    [TestCase("systemd_unit.patroni@db-slave-02", "hosts, leader, extension vector", StatusVerdict.Ok)]
    [TestCase("container.haproxy@haproxy-01", "hosts, units", StatusVerdict.NotOk)]
    [TestCase("config_file.haproxy@haproxy-01", "hosts", StatusVerdict.Ok)]
    [TestCase("config_file.haproxy@haproxy-02", "hosts, haproxy's view", StatusVerdict.NotOk)]
    [TestCase("config_file.pgbouncer-users@haproxy-01", "hosts, pgbouncer, sql through PgBouncer", StatusVerdict.NotOk)]
    [TestCase("config_file.other@haproxy-01", "hosts", StatusVerdict.Ok)]
    public void Only_changed_resources_are_judged(string touched, string items, StatusVerdict verdict)
    {
        Assert.That(Address.TryParse(touched, out var address), Is.True);
        var judged = new StatusScope(Topology(Minimal), [address]).Of(Adopting);
        Assert.That(string.Join(", ", judged.Items.Select(item => item.Name)), Is.EqualTo(items));
        Assert.That(judged.Verdict, Is.EqualTo(verdict));
        Assert.That(judged.Conclusion.Causes.IsEmpty, Is.EqualTo(verdict == StatusVerdict.Ok), "what is not judged is no cause");
    }
}
