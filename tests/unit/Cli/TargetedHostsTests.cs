using KeyBuzz.Reconciler.Cli.Commands;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Tests.PostgresHa;

namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary>The hosts that <c>--target</c> means to kbr check and kbr unlock.</summary>
internal sealed class TargetedHostsTests : BlueprintFixture
{
    [TestCase("*@haproxy-02", "haproxy-02")]
    [TestCase("*@db-slave-*", "db-slave-01 db-slave-02")]
    [TestCase("*@keybuzz-pg", "db-master-01 db-slave-01 db-slave-02")]
    [TestCase("group.keybuzz-pg-proxies@keybuzz-pg-proxies", "haproxy-01 haproxy-02")]
    public void A_target_means_the_hosts_of_that_name_and_of_a_group_its_members(string target, string hosts) =>
        Assert.That(
            string.Join(' ', TargetedHosts.Of(Load(Minimal), [new AddressPattern(target)]).Select(host => host.Name)),
            Is.EqualTo(hosts)
        );

    [Test]
    public void Every_target_that_matches_nothing_is_named()
    {
        var cluster = Load(Minimal);
        Assert.That(TargetedHosts.Of(cluster, []), Is.EqualTo(cluster.Hosts));
        Assert.That(
            Assert
                .Throws<DiagnosticException>(() =>
                    TargetedHosts.Of(cluster, [new AddressPattern("*@db-slave-1"), new("*@db-slave-01"), new("db-slave-01")])
                )!
                .Diagnostics.Select(one => one.Summary),
            Is.EqualTo(new[] { "no host matches '*@db-slave-1'", "no host matches 'db-slave-01@*'" })
        );
    }
}
