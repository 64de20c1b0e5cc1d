using System.Collections.Immutable;
using System.Globalization;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa.Sections;
using KeyBuzz.Reconciler.Providers.Backup;
using KeyBuzz.Reconciler.Providers.ConsensusStore;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Providers.SystemdUnit;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.PostgresHa;

/// <summary>Reads the <c>postgres</c> section: fills in the defaults and notes what is wrong with each value by itself.</summary>
internal sealed class PostgresSection(SectionReader section, BlueprintContext context, ConsensusStores stores)
{
    /// <summary>The key that chooses the consensus store.</summary>
    public const string StoreKey = "store";
    private const string BalancerKey = "load_balancer";

    /// <summary>The key of the address that the proxies hold in turn.</summary>
    public const string VirtualKey = "virtual_ip";

    /// <summary>Whether the root file system of the members' containers is read-only.</summary>
    public const string ReadOnlyKey = "read_only";

    internal const int DefaultVersion = 16;

    internal const string VersionKey = "version";

    /// <summary>A version as written; the default where it is none, which has its own error.</summary>
    internal static int VersionIn(YamlNode? value) =>
        value is YamlScalar word && int.TryParse(word.Value, NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            ? number
            : DefaultVersion;

    private readonly Findings _findings = context.Findings;

    /// <summary>The section, or null when so much is missing that it says nothing.</summary>
    public PostgresTopology? Read()
    {
        var (store, ownOfStore) = StoreAndOwn(section, stores, _findings);
        section.Allow([.. PostgresSchema.Common.Names, .. store.SectionKeys]);
        var members = Hosts("members");
        var proxies = Hosts("proxies");
        var scope = Scope();
        var balancer = ReadLoadBalancer();
        var values = new SectionValues(section, context);
        var virtualAddress = ReadVirtualAddress(values);
        var (accounts, storage) = (new AccountsSection(section, context, values), new StorageSection(section, _findings));
        var dynamic = new DynamicSection(section, _findings, values);
        var image = values.Image(section);
        var directory = section.HostPath("directory", "/opt/keybuzz");
        var volume = storage.Volume(members, directory);
        var superuser = accounts.User("superuser", PostgresCredentials.Superuser, PostgresCredentials.SuperuserPassword) with
        {
            Pooled = true,
        };
        var replication = accounts.User("replication", PostgresCredentials.Replication, PostgresCredentials.ReplicationPassword);
        var application = accounts.User("application", PostgresCredentials.Application, PostgresCredentials.ApplicationPassword) with
        {
            Pooled = true,
        };
        var monitoring = new MonitoringSection(section, context, values).Read(() =>
            accounts.Credentials(PostgresCredentials.Monitoring, PostgresCredentials.MonitoringPassword)
        );
        var dropped = ImmutableArray.CreateBuilder<string>();
        var users = accounts.Users(
            dropped,
            [superuser, replication, application, .. monitoring is null ? Array.Empty<PostgresUser>() : [monitoring.Login]],
            accounts.RotateWith(
                section.Find("application") as YamlMapping is { } map ? new SectionReader(map, "'application'", _findings) : null,
                application
            )
        );
        var databases = accounts.Databases(application.Name);
        var times = dynamic.Times();
        var synchronous = dynamic.Synchronous();
        var haproxy = new HaproxySection(section, values).Read(balancer);
        var tls = new TlsSection(section, context).Read();
        var pgbouncer = new PgBouncerSection(section, _findings, values).Read(hasTls: tls is not null);
        var rest = accounts.Credentials(PostgresCredentials.Rest, PostgresCredentials.RestPassword);
        var backups = new BackupSection(section, context, values);
        var health = Health();
        var ports = Ports(store);
        var settings = store.Read(
            section,
            new StoreContext(scope, members, volume.MountPoint, PatroniFile.Directory, values.Password)
            {
                Own = ownOfStore,
                Findings = _findings,
                Namespace = Namespace(),
                GateTimeout = health.GateTimeout,
                RestPort = ports.Rest,
                Image = own => values.Image(own) is { } one ? new StoreImage(one.Reference, [.. one.Attributes]) : null,
            }
        );
        var stopTimeout = section.Duration("stop_timeout", TimeSpan.FromSeconds(60), TimeSpan.FromSeconds(60));
        var directories = storage.Directories(volume, directory, settings);
        var backup = backups.Read(
            scope,
            new BackupServer(directories.DataDirectory, PostgresTopology.PostgresSocketDirectory, ports.Postgres, superuser.Name),
            [.. members.Select(member => member.Name)],
            [volume.MountPoint, directories.Data, directories.Archive, directories.Configuration]
        );
        var topology = new PostgresTopology
        {
            Scope = scope,
            Cluster = context.Cluster,
            Namespace = Namespace(),
            Version = (int)section.Integer(VersionKey, DefaultVersion, 13, 99),
            Members = members,
            Proxies = proxies,
            LoadBalancer = balancer,
            VirtualAddress = virtualAddress,
            Ports = ports,
            Image = image ?? ServiceImage.None,
            Uid = section.Integer("uid", 999, 1),
            Gid = section.Integer("gid", 999, 1),
            SharedMemory = section.Size("shm_size", 1L << 30),
            ReadOnly = section.Boolean(ReadOnlyKey) ?? true,
            DropIns = DropIns(),
            StopTimeout = stopTimeout,
            BaseDirectory = directory,
            Volume = volume,
            Directories = directories,
            FirstLeader = Member("first_leader", members) ?? members.FirstOrDefault()?.Name ?? "",
            PreferredLeader = Member("preferred_leader", members),
            Locale = section.Word("locale", "a locale such as C.UTF-8")?.Value ?? "C.UTF-8",
            Networks = Networks(),
            Times = times,
            Synchronous = synchronous,
            Settings = dynamic.Settings(
                times,
                synchronous,
                members,
                databases,
                backup is null ? null : BackupSection.ArchiveCommand(scope, stopTimeout),
                settings.IsFailsafe,
                hasTls: tls is not null
            ),
            Superuser = superuser,
            SuperuserLogin = section.Choice(
                "superuser_login",
                SuperuserLogin.Proxies,
                ("proxies", SuperuserLogin.Proxies),
                ("members", SuperuserLogin.Members)
            ),
            Replication = replication,
            Application = application,
            Users = users,
            DroppedUsers = dropped.ToImmutable(),
            Databases = databases,
            Extensions = accounts.Extensions(databases),
            Rest = rest,
            Store = settings,
            PatroniFileName = stores.FileOf(store),
            PoolerStatistics = accounts.Credentials(PostgresCredentials.PoolerStatistics, PostgresCredentials.PoolerStatisticsPassword),
            Haproxy = haproxy
                ?? new HaproxySettings(
                    ServiceImage.None,
                    99,
                    99,
                    LoadBalancer.DefaultPort,
                    LoadBalancer.DefaultPooledPort,
                    8404,
                    null,
                    1,
                    1,
                    default,
                    default,
                    default,
                    1,
                    1,
                    default,
                    default,
                    1,
                    default
                ),
            PgBouncer = pgbouncer ?? new PgBouncerSettings(ServiceImage.None, 999, 999, 6433, "transaction", 1, 1, 1, 1, 1, 1, 1),
            Monitoring = monitoring,
            Tls = tls,
            Health = health,
            Switchover = Switchover(),
            Backup = backup,
            BackupFiles = backups.Files,
        };
        return
            members.IsEmpty
            || proxies.IsEmpty
            || (balancer is null && section.Find(BalancerKey) is not null)
            || (virtualAddress is null && section.Find(VirtualKey) is not null)
            || image is null
            || haproxy is null
            || pgbouncer is null
            || (monitoring is null && section.Find(MonitoringSection.Key) is not null)
            || volume.Devices.Count == 0
            ? null
            : topology;
    }

    /// <summary>The consensus store that a section chooses.</summary>
    public static IConsensusStore StoreOf(SectionReader section, ConsensusStores stores) =>
        StoreAndOwn(section, stores, new Findings()).Store;

    // By its name alone, or by a map with its settings under its name.
    private static (IConsensusStore Store, SectionReader Own) StoreAndOwn(SectionReader section, ConsensusStores stores, Findings findings)
    {
        if (section.Find(StoreKey) is not YamlMapping map)
        {
            var named = section.Choice(StoreKey, stores.Default, [.. stores.All.Select(store => (store.Key, store))]);
            return (named, new SectionReader(new YamlMapping(section.Place(StoreKey), []), $"'{named.Key}'", findings));
        }

        var own = new SectionReader(map, $"'{StoreKey}'", findings).Allow([
            .. stores.All.Where(store => store.Own is not null).Select(store => store.Key),
        ]);
        var chosen = stores.All.FirstOrDefault(store => store.Own is not null && own.Find(store.Key) is not null);
        if (chosen is null || map.Entries.Count != 1)
        {
            findings.Error($"'{StoreKey}' must name one store", map.At, null, $"write {StoreKey}: {stores.Default.Key}");
        }

        return chosen is null ? (stores.Default, own) : (chosen, own.Section(chosen.Key).Allow(chosen.Own!));
    }

    /// <summary>The name of the cluster's group.</summary>
    public string Scope()
    {
        var word = section.Word("scope", "Patroni's name of the cluster");
        var scope = word?.Value ?? context.Secrets.Plain(PostgresCredentials.Scope.Name) ?? context.Cluster;
        if (context.Hosts.ProblemOfGroup(scope) is { } problem)
        {
            _findings.Error(
                $"'{scope}' cannot be the scope of the cluster",
                section.Place("scope"),
                problem,
                word is null ? $"give 'scope', or another value to {PostgresCredentials.Scope.Name} in the credentials file" : null
            );
        }

        return scope;
    }

    private string Namespace()
    {
        if (section.Word("namespace", "a path such as /db/, the 'namespace' of patroni.yml") is not { } word)
        {
            return ClusterIdentity.DefaultNamespace;
        }

        if (!word.Value.All(character => char.IsAsciiLetterOrDigit(character) || character is '/' or '.' or '_' or '-'))
        {
            _findings.Error(
                $"'{word.Value}' cannot be the namespace of the cluster",
                word.At,
                "it may have letters, digits, '.', '_', '-' and '/'",
                "write the 'namespace' of patroni.yml, such as /db/"
            );
        }

        return ClusterIdentity.Normal(word.Value);
    }

    private ImmutableArray<Host> Hosts(string key)
    {
        if (section.Find(key) is null)
        {
            _findings.Error($"'postgres' has no '{key}'", section.At, $"'{key}' is a role, a host, or a list of hosts");
            return [];
        }

        var words = section.Words(key, "a role, a host, or a list of hosts");
        foreach (var twice in words.GroupBy(word => word.Value).Where(group => group.Count() > 1))
        {
            _findings.Error(
                $"'{twice.Key}' is named twice in '{key}'",
                twice.Last().At,
                key == "members" ? "a host runs one Patroni" : null,
                "remove one of them"
            );
        }

        return context.Hosts.Select(words);
    }

    private string? Member(string key, ImmutableArray<Host> members)
    {
        if (section.Word(key, "a member") is not { } word)
        {
            return null;
        }

        if (members.Any(member => member.Name == word.Value))
        {
            return word.Value;
        }

        _findings.Unknown(
            $"'{key}' names '{word.Value}', which is not a member",
            word.At,
            word.Value,
            members.Select(member => member.Name),
            "members are"
        );
        return null;
    }

    private LoadBalancer? ReadLoadBalancer()
    {
        if (section.Find(BalancerKey) is null)
        {
            return null;
        }

        var own = section.Section(BalancerKey).Allow(PostgresSchema.LoadBalancer);
        var address = own.Word("address", "the load balancer's private address", required: true);
        if (address is not null && NetworkAddress.Problem(address.Value) is { } problem)
        {
            _findings.Error($"bad address '{address.Value}' of the load balancer", address.At, problem);
        }

        return address is null
            ? null
            : new LoadBalancer(
                address.Value,
                own.Port("port") ?? LoadBalancer.DefaultPort,
                own.Port("pooled_port") ?? LoadBalancer.DefaultPooledPort
            );
    }

    private VirtualAddress? ReadVirtualAddress(SectionValues values)
    {
        if (section.Find(VirtualKey) is null)
        {
            return null;
        }

        var own = section.Section(VirtualKey).Allow(PostgresSchema.VirtualAddress);
        var address = own.Word("address", "an IPv4 address that no host has as its own", required: true);
        if (address is not null && VirtualAddress.ProblemOfAddress(address.Value) is { } problem)
        {
            _findings.Error($"'{address.Value}' cannot be the virtual address", address.At, problem);
        }

        var network = own.Word("interface", "a network interface of the proxies, such as eth1", required: true);
        if (network is not null && VirtualAddress.ProblemOfInterface(network.Value) is { } wrong)
        {
            _findings.Error($"'{network.Value}' is not the name of a network interface", network.At, wrong);
        }

        var image = values.Image(own);
        return address is null || network is null || image is null
            ? null
            : new VirtualAddress(
                address.Value,
                network.Value,
                (int)own.Integer("router_id", VirtualAddress.RouterIdOf(address.Value), 1, 255),
                image
            );
    }

    private MemberPorts Ports(IConsensusStore store)
    {
        var own = section.Section("ports").Allow([.. PostgresSchema.Ports.Names, .. store.PortKeys]);
        return new MemberPorts(own.Port("postgres") ?? ClusterDefaults.PostgresPort, own.Port("rest") ?? ClusterDefaults.RestPort);
    }

    private ImmutableArray<string> DropIns()
    {
        var words = section.Words("drop_ins", "a list of paths such as /etc/systemd/system/patroni.service.d/limits.conf");
        foreach (
            var word in words.Where(word =>
                !HostResources.Containers.Any(container => HostResources.UnitOf(container, [word.Value]).AllowedDropIns.Length > 0)
            )
        )
        {
            _findings.Error(
                $"'{word.Value}' is not a drop-in of patroni, haproxy, pgbouncer or keepalived",
                word.At,
                null,
                $"give its path, as in {UnitDefinition.Directory}patroni.service.d/limits.conf"
            );
        }

        return [.. words.Select(word => word.Value)];
    }

    private ImmutableArray<string> Networks()
    {
        var words = section.Words("networks", "a list of networks such as 10.0.0.0/16");
        foreach (var word in words)
        {
            if (NetworkAddress.ProblemOfNetwork(word.Value) is { } problem)
            {
                _findings.Error($"'{word.Value}' is not a network", word.At, problem);
            }
            else if (word.Value.EndsWith("/0", StringComparison.Ordinal))
            {
                _findings.Error(
                    $"the network {word.Value} matches every address",
                    word.At,
                    "pg_hba would let any address try passwords",
                    "list the networks of your own hosts"
                );
            }
        }

        return [.. words.Select(word => word.Value)];
    }

    private SwitchoverSettings Switchover()
    {
        var own = section.Section("switchover").Allow(PostgresSchema.Switchover);
        var patience = own.Duration("patience", SwitchoverSettings.Default.Patience, TimeSpan.Zero);
        if (patience > TimeSpan.Zero && patience.Ticks % TimeSpan.TicksPerSecond != 0)
        {
            own.Error("'patience' must be whole seconds", own.Place("patience"), null, "write 5s, or 0s to pause nothing");
        }

        return new SwitchoverSettings(
            patience,
            own.Choice("on_timeout", SwitchoverSettings.Default.RequiresPause, ("proceed", false), ("postpone", true))
        );
    }

    private HealthBounds Health()
    {
        var own = section.Section("health").Allow(PostgresSchema.Health);
        return new HealthBounds(
            own.Size("max_lag", 1L << 20),
            own.Duration("gate_timeout", ClusterDefaults.GateTimeout, TimeSpan.FromSeconds(10))
        )
        {
            MaxVolumeUsed = own.Integer("max_volume_used", HealthBounds.DefaultMaxVolumeUsed, 1, 99),
        };
    }
}
