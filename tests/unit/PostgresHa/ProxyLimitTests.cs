using System.Collections.Immutable;
using System.Globalization;
using System.Text.RegularExpressions;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.PostgresHa;

/// <summary>The limits of the proxies' containers, and of the files that their processes load.</summary>
internal sealed class ProxyLimitTests : BlueprintFixture
{
    private static readonly ProviderRegistry s_providers = new(RealProviders);

    [TestCase(10)]
    [TestCase(2000)]
    [TestCase(50000)]
    public void The_statistics_answer_while_every_port_of_HAProxy_is_full(long most)
    {
        var cluster = Load(Haproxy($"read_port: 5433, max_connections: {most}"));
        var file = Content(cluster, "config_file.haproxy@haproxy-01");
        var limits = Regex
            .Matches(file, @"(?m)^(?<section>global|frontend \w+)\n(?:    .*\n)*?    maxconn (?<most>\d+)\n")
            .ToDictionary(match => match.Groups["section"].Value, match => Number(match.Groups["most"].Value));

        Assert.That(
            limits.Keys,
            Is.EquivalentTo(new[] { "global", "frontend postgres", "frontend pooled", "frontend reads", "frontend statistics" })
        );
        var ports = limits.Where(pair => pair.Key != "global").Sum(pair => pair.Value);
        Assert.That(limits["frontend postgres"], Is.EqualTo(most));
        Assert.That(limits["frontend statistics"], Is.GreaterThanOrEqualTo(50));
        Assert.That(limits["global"], Is.GreaterThanOrEqualTo(ports));
        Assert.That(
            Number(Find(cluster, "container.haproxy@haproxy-01").Spec.Map("ulimits")["nofile"].Split(':')[1]),
            Is.GreaterThanOrEqualTo((2 * limits["global"]) + 400),
            "a connection to the client and one to the server each"
        );
    }

    [Test]
    public void Another_port_of_HAProxy_needs_no_other_container()
    {
        const string Container = "container.haproxy@haproxy-01";
        Assert.That(
            Find(Haproxy("read_port: 5433"), Container).Spec.Map("ulimits"),
            Is.EqualTo(Find(Minimal, Container).Spec.Map("ulimits"))
        );
    }

    [TestCase("max_connections: 2000", "max_connections: 9000")]
    [TestCase("max_connections: 9000", "max_connections: 2000")]
    public void Another_limit_of_HAProxy_replaces_its_container_which_loads_the_new_file(string before, string after)
    {
        var plan = Change(Haproxy(before), Haproxy(after));

        Assert.That(
            plan.Effective.Select(change => $"{change.Action} {change.Address} {change.Disrupts} {change.ReplacedProcess}".TrimEnd()),
            Is.EquivalentTo(
                new[] { "haproxy-01", "haproxy-02" }.SelectMany(host =>
                    new[]
                    {
                        $"Update config_file.haproxy@{host}  container.haproxy@{host}",
                        $"Replace container.haproxy@{host} keybuzz-pg-proxies",
                    }
                )
            ),
            "so a process that cannot load the file does not keep its container from being replaced"
        );
    }

    [Test]
    public void Another_limit_of_PgBouncer_replaces_its_container_which_loads_the_new_file()
    {
        string PgBouncer(long clients) => Changed("max_db_connections: 40", $"max_db_connections: 40, max_client_conn: {clients}");

        var plan = Change(PgBouncer(500), PgBouncer(20000));

        Assert.That(
            plan.Effective.Where(change => change.Address.Host == "haproxy-01")
                .Select(change => $"{change.Action} {change.Address} {change.ReplacedProcess}".TrimEnd()),
            Is.EqualTo(
                new[] { "Update config_file.pgbouncer@haproxy-01 container.pgbouncer@haproxy-01", "Replace container.pgbouncer@haproxy-01" }
            )
        );
    }

    [Test]
    public void A_file_whose_process_stays_must_be_loaded_by_it()
    {
        var plan = Change(Minimal, Haproxy("fall: 3"));

        Assert.That(
            plan.Effective.Select(change => $"{change.Action} {change.Address} {change.ReplacedProcess}".TrimEnd()),
            Is.EqualTo(new[] { "Update config_file.haproxy@haproxy-01", "Update config_file.haproxy@haproxy-02" })
        );
    }

    private static long Number(string text) => long.Parse(text, CultureInfo.InvariantCulture);

    private static string Haproxy(string settings) => Changed("haproxy: { image:", $"haproxy: {{ {settings}, image:");

    // The plan of one file on hosts that are as another one wants them.
    private Plan Change(string from, string to)
    {
        var planner = new Planner(s_providers, new Fingerprint("a key"));
        var applied = Load(from);
        var records = Plan(planner, applied, ImmutableDictionary<Address, ResourceRecord>.Empty, _ => new Observation.Absent())
            .Changes.Select(change => change.Record)
            .OfType<ResourceRecord>()
            .ToDictionary(record => record.Address);
        var held = applied.Resources.ToDictionary(
            resource => resource.Address,
            resource => s_providers.Get(resource.Address.Type).Desired(resource)
        );
        return Plan(planner, Load(to), records, declared => new Observation.Present(
            declared is GroupPolicy policy ? policy.Rules.Desired(policy) : held[declared.Address]
        ));
    }

    private static Plan Plan(
        Planner planner,
        Cluster cluster,
        IReadOnlyDictionary<Address, ResourceRecord> records,
        Func<IDeclared, Observation> observe
    ) =>
        planner.Plan(
            new PlanInput(
                cluster.Graph,
                records,
                cluster.Resources.Concat<IDeclared>(cluster.Policies).ToDictionary(declared => declared.Address, observe),
                ImmutableSortedDictionary<string, string>.Empty,
                new PlanOptions()
            )
        );
}
