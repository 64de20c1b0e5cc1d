using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa.Monitoring;
using KeyBuzz.Reconciler.PostgresHa.Sections;
using KeyBuzz.Reconciler.Providers.Certificate;
using KeyBuzz.Reconciler.Providers.ConsensusStore;
using KeyBuzz.Reconciler.Providers.Preconditions;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.PostgresHa;

/// <summary>The <c>postgres</c> section: a PostgreSQL cluster under Patroni, with HAProxy and PgBouncer in front of it.</summary>
/// <param name="stores">The consensus stores to choose from.</param>
/// <param name="time">The clock.</param>
public sealed class PostgresBlueprint(ConsensusStores stores, TimeProvider time) : IBlueprint
{
    /// <summary>The section with the consensus stores that kbr knows.</summary>
    /// <param name="time">The clock.</param>
    public PostgresBlueprint(TimeProvider time)
        : this(ConsensusStores.Known, time) { }

    /// <summary>What the section stands for while members are lost: a cluster without them. For a recovery and a restore.</summary>
    public Func<PostgresTopology, PostgresTopology> Part { get; init; } = whole => whole;

    /// <summary>The name of the section.</summary>
    public const string SectionKey = "postgres";

    /// <inheritdoc />
    public string Key => SectionKey;

    /// <inheritdoc />
    public string Description => "A PostgreSQL HA cluster: Patroni and PostgreSQL on the members, HAProxy and PgBouncer on the proxies.";

    /// <inheritdoc />
    public SectionSchema Schema => PostgresSchema.Of(stores);

    /// <inheritdoc />
    public string CredentialsFile => "credentials/postgres.env";

    /// <inheritdoc />
    public IReadOnlyCollection<string> PlainNames { get; } =
    [.. PostgresCredentials.Plain.Select(one => one.Name), PostgresCredentials.Monitoring.Name];

    /// <summary>PostgreSQL's major version as a cluster.yaml declares it, whose other values may still be missing; the default where it
    /// declares none, or is not there.</summary>
    /// <param name="file">The file.</param>
    /// <exception cref="DiagnosticException">It is no YAML, or cannot be read.</exception>
    public static int DeclaredVersion(string file) =>
        File.Exists(file)
        && YamlDocument.Parse(SourceText.Read(file, file, largest: SourceText.LargestCluster), new Findings()) is YamlMapping root
        && root.Find(SectionKey) is YamlMapping section
            ? PostgresSection.VersionIn(section.Find(PostgresSection.VersionKey))
            : PostgresSection.DefaultVersion;

    /// <inheritdoc />
    public BlueprintExpansion Expand(SectionReader section, BlueprintContext context)
    {
        var topology = new PostgresSection(section, context, stores).Read();
        if (topology is null)
        {
            return BlueprintExpansion.Empty;
        }

        PostgresChecks.Run(topology, section, context.Hosts, context.Findings);
        topology = Part(topology);
        ImmutableArray<HostGroup> groups =
        [
            new(topology.Scope, [.. topology.Members.Select(member => member.Name)]),
            new(topology.ProxyGroup, [.. topology.Proxies.Select(proxy => proxy.Name)]),
            .. topology.Store.Service is { } service
                ? new[] { new HostGroup(service.Group, [.. topology.Members.Select(member => member.Name)]) }
                : [],
        ];
        var key = context.Secrets.Use(Secrets.KeyName, section.At, context.Findings);
        if (context.Findings.HasErrors || key is null)
        {
            // Resources made of values that are wrong would only speak of the same mistakes again.
            return new BlueprintExpansion([.. groups.Where(group => context.Hosts.ProblemOfGroup(group.Name) is null)], [], []);
        }

        var factory = new ResourceFactory(context.Providers);
        var verifier = new RoleVerifier(key, topology.Scope);
        ImmutableArray<Host> others = [.. context.Hosts.All.Where(host => topology.Members.All(member => member.Name != host.Name))];
        var hosts = new HostResources(topology, others, verifier, factory, section);
        var whole = new GroupResources(topology, others, stores, verifier, factory, section);
        ImmutableArray<Resource> behind = [.. whole.OfCluster()];
        ImmutableArray<Resource> resources =
        [
            .. topology.Members.SelectMany(hosts.OfMember),
            .. topology.Proxies.SelectMany(hosts.OfProxy),
            .. behind,
            .. topology.Monitoring is { } monitoring ? new MonitoringResources(topology, monitoring, verifier, factory, section).All() : [],
        ];
        return new BlueprintExpansion(groups, resources, Preconditions(topology, section))
        {
            Policies = [.. whole.Store() is { } store ? new[] { store } : [], whole.Members(), whole.Proxies(behind)],
            Model = topology,
        };
    }

    /// <inheritdoc />
    public IEnumerable<Diagnostic> Check(BlueprintExpansion expansion, IReadOnlyCollection<Resource> others) =>
        expansion.Model is PostgresTopology topology ? PostgresChecks.Neighbours(topology, others) : [];

    /// <inheritdoc />
    public string? PlaceholderRemedy(IReadOnlyList<string> path) =>
        path switch
        {
            ["postgres", .., "image"] => "build and push the image, and write REPOSITORY:TAG@sha256:DIGEST (images/README.md)",
            ["postgres", "volume", "device", var member] => $"on {member}, ls -l /dev/disk/by-id names the empty volume: write that path",
            ["postgres", "volume", "device"] => "ls -l /dev/disk/by-id on each member names its empty volume: write that path",
            ["postgres", "virtual_ip", "interface"] =>
                "on a proxy, ip -brief address shows the interface of the private network: write its name",
            ["postgres", "virtual_ip", "address"] => "write an address of the hosts' network that nobody has",
            ["postgres", "load_balancer", "address"] => "write the load balancer's private address, or remove 'load_balancer'",
            _ => null,
        };

    /// <inheritdoc />
    public IEnumerable<CredentialNeeded> CredentialsNeeded(SectionReader section, string cluster)
    {
        foreach (var plain in PostgresCredentials.Plain)
        {
            yield return plain with
            {
                Value = plain.Value ?? cluster,
            };
        }

        (string Key, string Password)[] own =
        [
            ("superuser", PostgresCredentials.SuperuserPassword),
            ("replication", PostgresCredentials.ReplicationPassword),
            ("application", PostgresCredentials.ApplicationPassword),
        ];
        // One that names another secret for its password does not need this one.
        var elsewhere = own.Where(user => section.Find(user.Key) is YamlMapping map && map.Find("password") is not null)
            .Select(user => user.Password)
            .ToArray();
        var ofStore = PostgresSection.StoreOf(section, stores).PasswordsNeeded(section);
        foreach (var password in PostgresCredentials.Passwords(ofStore).Except(elsewhere))
        {
            yield return new CredentialNeeded(password);
        }

        if (section.Find(MonitoringSection.Key) is not null)
        {
            foreach (var one in PostgresCredentials.OfMonitoring)
            {
                yield return one;
            }
        }

        if (TlsSection.NeedsOwnAuthority(section))
        {
            yield return new CredentialNeeded(
                PostgresCredentials.TlsAuthority,
                CertificateAuthority.Create($"kbr {cluster}", time.GetUtcNow())
            );
        }

        // The keys of an S3 server are given by it.
        foreach (var cipher in BackupSection.CipherKeysNeeded(section))
        {
            yield return new CredentialNeeded(cipher);
        }
    }

    // Leases of Patroni compare the clocks of the members. A port that is silent is only a warning: the peer may be down, and that must not
    // keep kbr from the others.
    private static ImmutableArray<Precondition> Preconditions(PostgresTopology topology, SectionReader section)
    {
        var preconditions = ImmutableArray.CreateBuilder<Precondition>();
        foreach (var member in topology.Members)
        {
            preconditions.Add(Tools(member, HostTool.OfVolumes));
            preconditions.Add(
                new Precondition("clock", PreconditionLevel.Error, member.Name, AttributeSet.Empty, section.Place("members"))
            );
            foreach (var peer in topology.Members.Where(peer => peer.Name != member.Name))
            {
                int[] ports = [topology.Ports.Postgres, topology.Ports.Rest, .. topology.Store.Ports.Select(port => port.Number)];
                preconditions.AddRange(Reach(member, peer, ports));
            }
        }

        foreach (var proxy in topology.Proxies)
        {
            if (topology.VirtualAddress is not null)
            {
                preconditions.Add(Tools(proxy, HostTool.OfVirtualAddresses));
            }

            foreach (var member in topology.Members)
            {
                preconditions.AddRange(Reach(proxy, member, topology.Ports.Postgres, topology.Ports.Rest));
            }

            foreach (var peer in topology.Proxies.Where(peer => peer.Name != proxy.Name))
            {
                preconditions.AddRange(Reach(proxy, peer, topology.PgBouncer.Port));
            }
        }

        return preconditions.ToImmutable();

        Precondition Tools(Host host, IEnumerable<HostTool> tools) =>
            new("tools", PreconditionLevel.Error, host.Name, HostTool.Settings(tools), section.Place("members"));

        IEnumerable<Precondition> Reach(Host from, Host to, params IEnumerable<int> ports) =>
            ports.Select(port => new Precondition(
                "ports",
                PreconditionLevel.Warn,
                from.Name,
                AttributeSet.Empty.With("address", to.Address).With("port", (long)port).With("peer", to.Name),
                section.Place("members")
            ));
    }
}
