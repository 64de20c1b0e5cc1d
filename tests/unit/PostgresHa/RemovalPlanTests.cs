using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.PostgresHa;

/// <summary>The plan of a member, or a proxy, that leaves while another one joins.</summary>
internal sealed class RemovalPlanTests : BlueprintFixture
{
    private static readonly ProviderRegistry s_providers = new(RealProviders);

    private static string Spare =>
        Changed(
            "  haproxy-01: {",
            "  spare-01: { role: spare, address: 10.0.0.99 }\n  lb-03: { role: other, address: 10.0.0.13 }\n  haproxy-01: {"
        );

    [Test]
    public void A_member_leaves_before_another_one_joins_because_the_others_files_wait_for_it()
    {
        var plan = Change(
            Spare,
            Spare.Replace("members: db\n", "members: [db-master-01, db-slave-01, spare-01]\n", StringComparison.Ordinal)
        );

        Assert.That(ActionOf(plan, "container.patroni@db-slave-02"), Is.EqualTo(ResourceAction.Delete));
        Assert.That(ActionOf(plan, "container.patroni@spare-01"), Is.EqualTo(ResourceAction.Create));
        Assert.That(RemovalOrder.IsLeavingFirst(plan.Changes, plan.Groups, "keybuzz-pg"));
    }

    [TestCase(true)]
    [TestCase(false)]
    public void A_proxy_leaves_first_only_with_a_virtual_address(bool hasAddress)
    {
        var from = !hasAddress
            ? Spare
            : Spare.Replace(
                "  load_balancer: { address: 10.0.0.10 }\n",
                $"  virtual_ip: {{ address: 10.0.0.100, interface: eth1, image: \"registry.example.com/kbr/keepalived:2{Digest}\" }}\n",
                StringComparison.Ordinal
            );
        var plan = Change(from, from.Replace("proxies: lb\n", "proxies: [haproxy-01, lb-03]\n", StringComparison.Ordinal));

        Assert.That(ActionOf(plan, "container.haproxy@haproxy-02"), Is.EqualTo(ResourceAction.Delete));
        Assert.That(RemovalOrder.IsLeavingFirst(plan.Changes, plan.Groups, "keybuzz-pg-proxies"), Is.EqualTo(hasAddress));
    }

    private static ResourceAction ActionOf(Plan plan, string address) =>
        plan.Changes.Single(change => change.Address.ToString() == address).Action;

    // The plan of one file on hosts that are as another one wants them.
    private Plan Change(string from, string to)
    {
        Assert.That(to, Is.Not.EqualTo(from));
        var planner = new Planner(s_providers, new Fingerprint("a key"));
        var applied = Load(from);
        var held = applied.Resources.ToDictionary(
            resource => resource.Address,
            resource => s_providers.Get(resource.Address.Type).Desired(resource)
        );
        var records = Plan(
            planner,
            applied,
            ImmutableDictionary<Address, ResourceRecord>.Empty,
            Declared(applied).ToDictionary(declared => declared.Address, _ => (Observation)new Observation.Absent())
        )
            .Changes.Select(change => change.Record)
            .OfType<ResourceRecord>()
            .ToDictionary(record => record.Address);
        var wanted = Load(to);
        var observed = Declared(wanted)
            .ToDictionary(
                declared => declared.Address,
                declared =>
                    declared is GroupPolicy policy ? new Observation.Present(policy.Rules.Desired(policy))
                    : held.TryGetValue(declared.Address, out var desired) ? (Observation)new Observation.Present(desired)
                    : new Observation.Absent()
            );
        foreach (var record in records.Keys.Where(address => !observed.ContainsKey(address)))
        {
            observed[record] = new Observation.Present(held[record]);
        }

        return Plan(planner, wanted, records, observed);
    }

    private static IEnumerable<IDeclared> Declared(Cluster cluster) => cluster.Resources.Concat<IDeclared>(cluster.Policies);

    private static Plan Plan(
        Planner planner,
        Cluster cluster,
        IReadOnlyDictionary<Address, ResourceRecord> records,
        IReadOnlyDictionary<Address, Observation> observed
    ) => planner.Plan(new PlanInput(cluster.Graph, records, observed, ImmutableSortedDictionary<string, string>.Empty, new PlanOptions()));
}
