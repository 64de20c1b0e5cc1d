using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.Providers;
using KeyBuzz.Reconciler.Providers.Certificate;
using KeyBuzz.Reconciler.Providers.Preconditions;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Ssh;
using Microsoft.Extensions.DependencyInjection;

namespace KeyBuzz.Reconciler.Tests.PostgresHa;

/// <summary>A cluster file with a postgres section, loaded with the real resource types.</summary>
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
internal abstract class BlueprintFixture : IDisposable
{
    protected const string Digest = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    /// <summary>The shortest section there is, on five hosts.</summary>
    protected const string Minimal = $$"""
        version: 1
        cluster: keybuzz-pg
        hosts:
          db-master-01: { role: db, address: 10.0.0.120 }
          db-slave-01: { role: db, address: 10.0.0.121 }
          db-slave-02: { role: db, address: 10.0.0.122 }
          haproxy-01: { role: lb, address: 10.0.0.11 }
          haproxy-02: { role: lb, address: 10.0.0.12 }
        postgres:
          version: 16
          members: db
          proxies: lb
          load_balancer: { address: 10.0.0.10 }
          image: registry.example.com/kbr/patroni:16{{Digest}}
          volume: { device: /dev/sdb }
          haproxy: { image: "registry.example.com/kbr/haproxy:3{{Digest}}" }
          pgbouncer: { image: "registry.example.com/kbr/pgbouncer:1{{Digest}}", max_db_connections: 40 }

        """;

    protected static readonly IResourceProvider[] RealProviders = Providers();

    protected static readonly ClusterSyntax RealSyntax = new(
        RealProviders,
        new PreconditionChecks().Kinds,
        new SshSection(),
        [new PostgresBlueprint(TimeProvider.System)]
    );

    protected string Folder { get; } = Directory.CreateTempSubdirectory("kbr-postgres-").FullName;

    protected string File => Path.Combine(Folder, "cluster.yaml");

    /// <summary>The authority of clusters with TLS.</summary>
    protected static string Authority { get; } = CertificateAuthority.Create("kbr keybuzz-pg", TimeProvider.System.GetUtcNow());

    /// <summary>Every secret has a value that is found nowhere else.</summary>
    protected Dictionary<string, string> Environment { get; } =
        new()
        {
            [Secrets.KeyName] = "canary-of-the-key",
            ["POSTGRES_SUPERPASS"] = "canary-of-the-superuser",
            ["POSTGRES_REPL_PASS"] = "canary-of-the-replication",
            ["POSTGRES_APP_PASS"] = "canary-of-the-application",
            ["PATRONI_REST_PASS"] = "canary-of-the-rest-api",
            ["PATRONI_RAFT_PASS"] = "canary-of-raft",
            ["PGBOUNCER_STATS_PASS"] = "canary-of-the-statistics",
            ["TLS_AUTHORITY"] = Authority,
        };

    protected Cluster Load(string yaml)
    {
        System.IO.File.WriteAllText(File, yaml);
        return ClusterLoader.Load(File, RealSyntax, Environment);
    }

    protected PostgresTopology Topology(string yaml) => Load(yaml).Model<PostgresTopology>()!;

    /// <summary>The errors as <c>line: summary [detail] (remedy)</c>.</summary>
    protected string[] Errors(string yaml) =>
        Shown(Assert.Throws<DiagnosticException>(() => Load(yaml))!.Diagnostics.Where(finding => finding.Severity == Severity.Error), yaml);

    protected string OnlyError(string yaml)
    {
        var errors = Errors(yaml);
        Assert.That(errors, Has.Length.EqualTo(1), string.Join('\n', errors));
        return errors[0];
    }

    protected string[] Warnings(string yaml) => Shown(Load(yaml).Warnings, yaml);

    /// <summary>The minimal section with these lines more in it.</summary>
    protected static string With(params string[] lines) => Minimal + string.Concat(lines.Select(line => $"  {line}\n"));

    /// <summary>The minimal file with one piece of it written otherwise.</summary>
    protected static string Changed(string from, string to)
    {
        var changed = Minimal.Replace(from, to, StringComparison.Ordinal);
        Assert.That(changed, Is.Not.EqualTo(Minimal));
        return changed;
    }

    /// <summary>The cluster.yaml of the repository, with something in place of each placeholder.</summary>
    protected static string Filled(string yaml) =>
        yaml.Replace($"@sha256:{new string('0', 64)}", Digest, StringComparison.Ordinal)
            .Replace("REPLACE-ME", "scsi-0HC_Volume_1", StringComparison.Ordinal);

    protected Resource Find(string yaml, string address) => Find(Load(yaml), address);

    protected static Resource Find(Cluster cluster, string address) =>
        cluster.Resources.SingleOrDefault(resource => resource.Address.ToString() == address)
        ?? throw new AssertionException(
            $"there is no {address} among {string.Join(", ", cluster.Resources.Select(resource => resource.Address))}"
        );

    protected GroupPolicy FindPolicy(string yaml, string group) => FindPolicy(Load(yaml), group);

    protected static GroupPolicy FindPolicy(Cluster cluster, string group) => cluster.Policies.Single(policy => policy.Group == group);

    protected static string Content(Cluster cluster, string address) => Find(cluster, address).Spec.Text("content")!.Reveal();

    public void Dispose() => Directory.Delete(Folder, recursive: true);

    // Each place as the line's own text, so that a test reads without counting.
    private static string[] Shown(IEnumerable<Diagnostic> findings, string yaml)
    {
        var lines = yaml.Split('\n');
        return
        [
            .. findings.Select(finding =>
                $"{(finding.Location is { } at ? lines[at.Line - 1].Trim() : "nowhere")}: {finding.Summary}"
                + (finding.Detail is null ? "" : $" [{finding.Detail}]")
                + (finding.Remedy is null ? "" : $" ({finding.Remedy})")
            ),
        ];
    }

    private static IResourceProvider[] Providers()
    {
        var services = new ServiceCollection();
        services.AddSingleton(TimeProvider.System);
        Registration.AddProviders(services);
        using var provider = services.BuildServiceProvider();
        return [.. provider.GetServices<IResourceProvider>()];
    }
}
