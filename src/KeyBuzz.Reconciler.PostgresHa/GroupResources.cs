using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.ConsensusStore;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.PostgresHa;

/// <summary>The resources of the cluster as a whole: the members as a group, the dynamic configuration, roles, databases,
/// extensions.</summary>
internal sealed class GroupResources(
    PostgresTopology topology,
    ImmutableArray<Host> others,
    ConsensusStores stores,
    RoleVerifier verifier,
    ResourceFactory factory,
    SectionReader section
)
{
    public IEnumerable<Resource> All()
    {
        var cluster = Make(
            "patroni_cluster",
            topology.Scope,
            "members",
            [
                ("version", (long)topology.Version),
                ("rest_user", topology.Rest.Name),
                ("rest_password", topology.Rest.Password),
                ("unit", PostgresTopology.PatroniContainer + ".service"),
                (ClusterIdentity.Attribute, topology.Namespace),
                ("other_hosts", ResourceFactory.Map(others.Select(host => (topology.Store.AddressOf(host), host.Name)))),
                ("bootstrap_host", topology.FirstLeader),
                ("mount_point", topology.Volume.MountPoint),
                ("data_directory", topology.Directories.DataDirectory),
                ("replication_role", topology.Replication.Name),
                ("replication_password", topology.Replication.Password),
                ("replication_verifier", verifier.Of(topology.Replication)),
                ("former_data_directory", topology.Directories.Data),
                ("max_lag", topology.Health.MaxLag),
                ("gate_timeout", (long)topology.Health.GateTimeout.TotalSeconds),
                ("preferred_leader", topology.PreferredLeader),
                stores.Choose(topology.Store.Kind),
                .. topology.Store.ClusterAttributes(settings => verifier.Fingerprint(settings.AsSpan())),
            ]
        ) with
        {
            After = [.. topology.Members.Select(member => new Address("systemd_unit", PostgresTopology.PatroniContainer, member.Name))],
            AfterRemovalOf = HostResources.FormerMembers(others),
        };
        yield return cluster;

        var config = Make(
            "patroni_config",
            topology.Scope,
            "dynamic",
            [
                ("rest_user", topology.Rest.Name),
                ("rest_password", topology.Rest.Password),
                ("settings", topology.Settings),
                (ClusterIdentity.Attribute, topology.Namespace),
                ("max_lag", topology.Health.MaxLag),
                ("gate_timeout", (long)topology.Health.GateTimeout.TotalSeconds),
                stores.Choose(topology.Store.Kind),
                .. topology.Store.GateAttributes,
            ]
        ) with
        {
            Requires = [cluster.Address],
            After = [InGroup("role", topology.Replication.Name)],
        };
        yield return config;

        // SQL changes come after changes that may restart the leader, except for the password that a restarted member logs in with.
        foreach (var resource in BySql(cluster))
        {
            yield return config.After.Contains(resource.Address) ? resource : resource with { After = [.. resource.After, config.Address] };
        }
    }

    private IEnumerable<Resource> BySql(Resource cluster)
    {
        // Patroni makes these two by itself, with the first leader.
        yield return Role(topology.Superuser, "superuser", cluster, ("superuser", true), ("bootstrap", true));
        yield return Role(topology.Replication, "replication", cluster, ("replication", true), ("bootstrap", true));
        yield return Role(topology.Application, "application", cluster);
        foreach (var user in topology.Users)
        {
            // Objects of a second login belong to the first one, so an application may use either.
            yield return user.ActsAs is not { } first
                ? Role(user, "users", cluster)
                : Role(user, "users", cluster, ("member_of", ResourceFactory.List(first)), ("set_role", first)) with
                {
                    Requires = [cluster.Address, InGroup("role", first)],
                };
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
                Requires = [cluster.Address, .. owner],
            };
        }

        // A database that it owned has another owner by then.
        foreach (var name in topology.DroppedUsers)
        {
            yield return Make("role", name, "users", ("role", name), ("absent", true)) with
            {
                Requires = [cluster.Address],
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
                ("image", topology.Image)
            ) with
            {
                Requires = [cluster.Address, InGroup("database", extension.Database)],
            };
        }
    }

    /// <summary>The proxies as a whole. They depend on the cluster behind them, so they are rolled out last; stopped ones are started
    /// anyway.</summary>
    public Resource Proxies(IEnumerable<Resource> behind) =>
        factory.Make(
            "sql_proxies",
            topology.Scope,
            topology.ProxyGroup,
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
            ("connect_as", topology.Application.Name),
            ("connect_password", topology.Application.Password),
            ("database", topology.ApplicationDatabase.Name),
            ("gate_timeout", (long)topology.Health.GateTimeout.TotalSeconds)
        ) with
        {
            After =
            [
                .. topology.Proxies.SelectMany(proxy =>
                    new[] { PostgresTopology.HaproxyContainer, PostgresTopology.PgBouncerContainer }.Select(unit => new Address(
                        "systemd_unit",
                        unit,
                        proxy.Name
                    ))
                ),
                .. behind.Select(resource => resource.Address),
            ],
        };

    private Resource Role(PostgresUser user, string key, Resource cluster, params ReadOnlySpan<(string, object?)> attributes) =>
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
        ) with
        {
            Requires = [cluster.Address],
        };

    private bool HasRole(string name) =>
        name == topology.Superuser.Name
        || name == topology.Replication.Name
        || name == topology.Application.Name
        || topology.Users.Any(user => user.Name == name);

    private Address InGroup(string type, string name) => new(type, Address.NameOf(name), topology.Scope);

    private Resource Make(string type, string name, string key, params ReadOnlySpan<(string, object?)> attributes) =>
        factory.Make(
            type,
            Address.NameOf(name),
            topology.Scope,
            section.Place(key),
            [
                ("container", PostgresTopology.PatroniContainer),
                ("connect_as", topology.Superuser.Name),
                ("connect_password", topology.Superuser.Password),
                ("postgres_port", (long)topology.Ports.Postgres),
                ("rest_port", (long)topology.Ports.Rest),
                .. attributes,
            ]
        );
}
