using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa.Sections;
using KeyBuzz.Reconciler.Providers.Backup;
using KeyBuzz.Reconciler.Providers.ConsensusStore;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Providers.SqlProxies;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.PostgresHa;

/// <summary>What belongs to the members and to the proxies as a whole: their policies, and the dynamic configuration, the roles, databases
/// and extensions of the cluster, which wait for its health.</summary>
internal sealed class GroupResources(
    PostgresTopology topology,
    ImmutableArray<Host> others,
    ConsensusStores stores,
    RoleVerifier verifier,
    ResourceFactory factory,
    SectionReader section
)
{
    /// <summary>The policy of the members.</summary>
    public GroupPolicy Members() =>
        ResourceFactory.Policy(
            topology.Scope,
            new PatroniGroup(stores),
            section.Place("members"),
            [
                .. Connection,
                ("version", (long)topology.Version),
                ("rest_user", topology.Rest.Name),
                ("rest_password", topology.Rest.Password),
                ("unit", PostgresTopology.PatroniContainer + ".service"),
                (ClusterIdentity.Attribute, topology.Namespace),
                ("patroni_file", $"{topology.Directories.Configuration}/{topology.PatroniFileName}"),
                ("image", topology.Image.Reference),
                ("other_hosts", ResourceFactory.Map(others.Select(host => (topology.Store.AddressOf(host), host.Name)))),
                ("bootstrap_host", topology.FirstLeader),
                ("recovers", topology.Recovers),
                ("mount_point", topology.Volume.MountPoint),
                ("data_directory", topology.Directories.DataDirectory),
                ("replication_role", topology.Replication.Name),
                ("replication_password", topology.Replication.Password),
                ("replication_verifier", verifier.Of(topology.Replication)),
                ("former_data_directory", topology.Directories.Data),
                ("max_lag", topology.Health.MaxLag),
                ("gate_timeout", (long)topology.Health.GateTimeout.TotalSeconds),
                ("preferred_leader", topology.PreferredLeader),
                .. Pools,
                stores.Choose(topology.Store.Kind),
                .. topology.Store.ClusterAttributes(settings => verifier.Fingerprint(settings.AsSpan())),
            ]
        ) with
        {
            Places = new Dictionary<string, SourceLocation> { [PostgresSection.StoreKey] = section.Place(PostgresSection.StoreKey) },
            After = topology.Store.Service is { } service ? [GroupPolicy.AddressOf(service.Group)] : [],
            AfterRemovalOf = HostResources.FormerMembers(others),
            Beside = topology.PausesPools ? [.. topology.Proxies.Select(proxy => proxy.Name)] : [],
        };

    /// <summary>The policy of the store's own service; null for a store that runs inside of Patroni.</summary>
    public GroupPolicy? Store() =>
        topology.Store.Service is not { } service
            ? null
            : ResourceFactory.Policy(
                service.Group,
                service.Rules,
                service.At,
                [.. service.Settings, (StoreService.FixedKey, HostResources.FixedMark(service, verifier))]
            ) with
            {
                AfterRemovalOf = HostResources.ContainersOn(others, service.Name),
            };

    // Everything by which the lead is handed over says which pools wait meanwhile.
    private (string Name, object? Value)[] Pools =>
        topology.PausesPools
            ?
            [
                (ConnectionPools.HostsKey, ResourceFactory.List(topology.Proxies.Select(proxy => proxy.Name))),
                (ConnectionPools.ContainerKey, PostgresTopology.PgBouncerContainer),
                (ConnectionPools.SocketKey, PostgresTopology.PgBouncerSocketDirectory),
                (ConnectionPools.PortKey, (long)topology.PgBouncer.Port),
                (ConnectionPools.StatisticsKey, (long)topology.Haproxy.StatsPort),
                (ConnectionPools.BackendKey, PostgresTopology.HaproxyPrimaryBackend),
                (ConnectionPools.PatienceKey, (long)topology.Switchover.Patience.TotalSeconds),
                (ConnectionPools.RequiredKey, topology.Switchover.RequiresPause),
            ]
            : [];

    /// <summary>The policy of the proxies. They depend on the cluster behind them, so they are rolled out last; stopped ones are started
    /// anyway.</summary>
    /// <param name="behind">The resources of the cluster as a whole.</param>
    public GroupPolicy Proxies(IEnumerable<Resource> behind) =>
        ResourceFactory.Policy(
            topology.ProxyGroup,
            new ProxyGroup(),
            section.Place("proxies"),
            ("haproxy_container", PostgresTopology.HaproxyContainer),
            ("pgbouncer_container", PostgresTopology.PgBouncerContainer),
            ("port", (long)topology.Haproxy.Port),
            ("stats_port", (long)topology.Haproxy.StatsPort),
            ("pgbouncer_port", (long)topology.PgBouncer.Port),
            ("primary_backend", PostgresTopology.HaproxyPrimaryBackend),
            ("pooled_backend", PostgresTopology.HaproxyPooledBackend),
            ("balancer_address", topology.LoadBalancer?.Address),
            ("balancer_port", topology.LoadBalancer is { } balancer ? (long)balancer.Port : null),
            ("virtual_address", topology.VirtualAddress?.Address),
            ("virtual_container", topology.VirtualAddress is null ? null : PostgresTopology.KeepalivedContainer),
            ("connect_as", topology.Application.Name),
            ("connect_password", topology.Application.Password),
            ("database", topology.ApplicationDatabase.Name),
            ("authority_file", topology.Tls is null ? null : ApplicationLogin.AuthorityFile),
            ("requires_tls", topology.Tls is { ClientsRequired: true } ? true : null),
            ("gate_timeout", (long)topology.Health.GateTimeout.TotalSeconds)
        ) with
        {
            After = [GroupPolicy.AddressOf(topology.Scope), .. behind.Select(resource => resource.Address)],
        };

    /// <summary>The resources of the cluster as a whole.</summary>
    public IEnumerable<Resource> OfCluster()
    {
        var config = Make(
            "patroni_config",
            topology.Scope,
            "dynamic",
            [
                ("rest_user", topology.Rest.Name),
                ("rest_password", topology.Rest.Password),
                ("settings", topology.Settings),
                ("volume_path", topology.Volume.MountPoint),
                ("volume_members", (long)topology.Members.Length),
                (ClusterIdentity.Attribute, topology.Namespace),
                ("max_lag", topology.Health.MaxLag),
                ("gate_timeout", (long)topology.Health.GateTimeout.TotalSeconds),
                .. Pools,
                stores.Choose(topology.Store.Kind),
                .. topology.Store.GateAttributes,
            ]
        ) with
        {
            // The members have left the store, and the cluster is healthy with another one, before its service is removed.
            Requires = topology.Store.Service is { } service
                ? [.. topology.Members.Select(member => new Address("systemd_unit", service.Name, member.Name))]
                : [],
            After = [InGroup("role", topology.Replication.Name), .. Repository() is { } one ? [one.Address] : Array.Empty<Address>()],
        };
        if (Repository() is { } repository)
        {
            yield return repository;
        }

        yield return config;

        // SQL changes come after changes that may restart the leader, except for the password that a restarted member logs in with.
        foreach (var resource in BySql())
        {
            yield return config.After.Contains(resource.Address) ? resource : resource with { After = [.. resource.After, config.Address] };
        }
    }

    // PostgreSQL archives from when there is somewhere to.
    private Resource? Repository() =>
        topology.Backup is not { } backup
            ? null
            : Make(
                "backup_repository",
                topology.Scope,
                "backup",
                ("repositories", ResourceFactory.List(backup.Repositories.Select(one => one.Label))),
                (
                    "directories",
                    backup.Repositories.Any(one => one.Place is SharedDirectory)
                        ? ResourceFactory.List(backup.Repositories.Where(one => one.Place is SharedDirectory).Select(one => one.Label))
                        : null
                ),
                ("file", BackupSection.File),
                ("configuration", $"{topology.Directories.Configuration}/{BackupSection.Tool.FileName}")
            ) with
            {
                Requires = [.. topology.Members.Select(member => new Address("config_file", BackupSection.FileResource, member.Name))],
            };

    private IEnumerable<Resource> BySql()
    {
        // Patroni makes these two by itself, with the first leader.
        yield return Role(topology.Superuser, "superuser", ("superuser", true), ("bootstrap", true));
        yield return Role(topology.Replication, "replication", ("replication", true), ("bootstrap", true));
        yield return Role(topology.Application, "application");
        foreach (var user in topology.Users)
        {
            // Objects of a second login belong to the first one, so an application may use either.
            yield return user.ActsAs is not { } first
                ? Role(user, "users")
                : Role(user, "users", ("member_of", ResourceFactory.List(first)), ("set_role", first)) with
                {
                    Requires = [InGroup("role", first)],
                };
        }

        if (topology.Monitoring is { ExportsPostgres: true } monitoring)
        {
            yield return Role(
                monitoring.Login,
                MonitoringSection.Key,
                ("member_of", ResourceFactory.List("pg_monitor")),
                ("connection_limit", 3L)
            );
        }

        foreach (var database in topology.Databases)
        {
            ImmutableArray<Address> owner = HasRole(database.Owner) ? [InGroup("role", database.Owner)] : [];
            yield return Make(
                "database",
                database.Name,
                database == topology.ApplicationDatabase ? "database" : "databases",
                ("database", database.Name),
                ("owner", database.Owner)
            ) with
            {
                Requires = owner,
            };
        }

        // A database that it owned has another owner by then.
        foreach (var name in topology.DroppedUsers)
        {
            yield return Make("role", name, "users", ("role", name), ("absent", true)) with
            {
                After = [.. topology.Databases.Select(database => InGroup("database", database.Name))],
            };
        }

        foreach (var extension in topology.Extensions)
        {
            // The same extension may be in several databases; in the application's it has its plain name.
            var name = extension.Database == topology.ApplicationDatabase.Name ? extension.Name : $"{extension.Name}.{extension.Database}";
            yield return Make(
                "extension",
                name,
                "extensions",
                ("extension", extension.Name),
                ("database", extension.Database),
                ("version", extension.Version),
                ("image", topology.Image.Reference)
            ) with
            {
                Requires = [InGroup("database", extension.Database)],
            };
        }
    }

    private Resource Role(PostgresUser user, string key, params ReadOnlySpan<(string, object?)> attributes) =>
        Make(
            "role",
            user.Name,
            key,
            [
                ("role", user.Name),
                ("password", user.Password),
                ("verifier", verifier.Of(user)),
                ("exact", user.Pooled),
                ("login", true),
                .. attributes,
            ]
        );

    private bool HasRole(string name) =>
        name == topology.Superuser.Name
        || name == topology.Replication.Name
        || name == topology.Application.Name
        || topology.Users.Any(user => user.Name == name);

    private Address InGroup(string type, string name) => new(type, Address.NameOf(name), topology.Scope);

    private Resource Make(string type, string name, string key, params ReadOnlySpan<(string, object?)> attributes) =>
        factory.Make(type, Address.NameOf(name), topology.Scope, section.Place(key), [.. Connection, .. attributes]);

    private ImmutableArray<(string, object?)> Connection =>
        [
            ("container", PostgresTopology.PatroniContainer),
            ("connect_as", topology.Superuser.Name),
            ("connect_password", topology.Superuser.Password),
            ("postgres_port", (long)topology.Ports.Postgres),
            ("rest_port", (long)topology.Ports.Rest),
        ];
}
