using System.Globalization;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa.Sections;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.PostgresHa;

/// <summary>Checks across the values of the section.</summary>
internal static class PostgresChecks
{
    // PostgreSQL's own default of superuser_reserved_connections.
    private const int ReservedConnections = 3;

    private const string Commit = "postgresql.parameters.synchronous_commit";

    // Patroni's and kbr's own sessions, and a person's.
    private const int Headroom = 10;

    public static void Run(PostgresTopology topology, SectionReader section, HostTable hosts, Findings findings)
    {
        var both = topology.Members.Intersect(topology.Proxies).Select(host => host.Name).ToArray();
        if (both.Length > 0)
        {
            findings.Error(
                $"{string.Join(", ", both)} would be both member and proxy",
                section.Place("proxies"),
                "PostgreSQL and HAProxy would use the same port",
                "give the proxies hosts of their own"
            );
        }

        if (topology.Members.Length % 2 == 0)
        {
            findings.Warning(
                $"{topology.Members.Length} members: an even number",
                section.Place("members"),
                $"its majority is {(topology.Members.Length / 2) + 1}, so it survives no "
                    + $"more lost members than {topology.Members.Length - 1} would",
                "run three or five members"
            );
        }
        else if (topology.Members.Length == 1)
        {
            findings.Warning("a single member: no replica can take over", section.Place("members"), null, "run three or five members");
        }

        topology.Store.Check(findings);
        Logs(topology, section, findings);
        Synchronous(topology, section, findings);
        LoadBalancer(topology, section, hosts, findings);
        VirtualAddress(topology, section, hosts, findings);
        Ports(topology, section, findings);
        Owners(topology, section, findings);
        Pools(topology, section, findings);
    }

    // PostgreSQL would not start.
    private static void Logs(PostgresTopology topology, SectionReader section, Findings findings)
    {
        const string Parameter = "log_directory";
        var directories = topology.Directories;
        if (
            topology.ReadOnly
            && topology.Settings.GetValueOrDefault("postgresql.parameters." + Parameter) is ['/', ..] path
            && !new[] { directories.Data, directories.Archive, "/tmp" }.Any(writable =>
                path == writable || path.StartsWith(writable + "/", StringComparison.Ordinal)
            )
        )
        {
            findings.Error(
                $"{Parameter} {path} lies in the container, whose root is read-only",
                section.Section("parameters").Place(Parameter),
                $"PostgreSQL would not start; files there are lost with each container",
                $"give a path under {directories.Archive}, or one without a slash in front, under PGDATA; or "
                    + $"'{PostgresSection.ReadOnlyKey}: false'"
            );
        }
    }

    private static void Synchronous(PostgresTopology topology, SectionReader section, Findings findings)
    {
        if (topology.Synchronous == SynchronousMode.Off)
        {
            return;
        }

        switch (topology.Members.Length)
        {
            case 1:
                findings.Error(
                    "'synchronous' with a single member",
                    section.Place("synchronous"),
                    "no other member can be the synchronous standby",
                    "run three or five members"
                );
                break;
            case 2 when topology.Synchronous == SynchronousMode.Strict:
                findings.Warning(
                    "'synchronous: { strict: true }' with two members",
                    section.Place("synchronous"),
                    "while either is down, no write is committed",
                    "run three or five members"
                );
                break;
        }

        // The values of synchronous_commit that do not wait for another server.
        if (
            topology.Settings.GetValueOrDefault(Commit) is { } commit
            && (commit.ToLowerInvariant() is "local" or "off" or "false" or "no" or "0")
        )
        {
            findings.Error(
                $"with synchronous_commit '{commit}' no commit waits for the synchronous standby",
                section.Section("parameters").Place("synchronous_commit"),
                "acknowledged writes could still be lost",
                "remove it, or 'synchronous'; applications can set it for a single transaction"
            );
        }
    }

    /// <summary>Other resources of the file that would get in the way of a member.</summary>
    public static IEnumerable<Diagnostic> Neighbours(PostgresTopology topology, IReadOnlyCollection<Resource> others)
    {
        string[] owned = [topology.Directories.Data, .. topology.Store.AllDirectories.Select(directory => directory.Path)];
        foreach (
            var container in others.Where(other =>
                other.Address.Type == "container" && topology.Members.Any(member => member.Name == other.Address.Host)
            )
        )
        {
            if (container.Spec.OptionalString("image") == topology.Image.Reference)
            {
                yield return Error(
                    $"{container.Address} would be a second Patroni on {container.Address.Host}",
                    "two members on one host fail together, and conflict on ports and data",
                    container
                );
                continue;
            }

            var mounted = container
                .Spec.List("mounts")
                .Select(mount => mount.Split(':')[0])
                .FirstOrDefault(source => owned.Any(directory => HostPath.IsIn(source, directory) || HostPath.IsIn(directory, source)));
            if (mounted is not null)
            {
                yield return Error(
                    $"{container.Address} mounts {mounted}, the member's data",
                    "only the member's own container may use it",
                    container
                );
            }
        }

        static Diagnostic Error(string summary, string detail, Resource resource) =>
            Diagnostic.Error(
                summary,
                resource.Location,
                detail,
                "remove it, or place it on another host",
                resource.Address.Host,
                resource.Address.ToString()
            );
    }

    private static void LoadBalancer(PostgresTopology topology, SectionReader section, HostTable hosts, Findings findings)
    {
        if (topology.LoadBalancer is not { } balancer || hosts.All.FirstOrDefault(host => host.Address == balancer.Address) is not { } host)
        {
            return;
        }

        var member = topology.Members.Any(one => one.Name == host.Name);
        findings.Error(
            $"the load balancer has the address of {host.Name}",
            section.Section("load_balancer").Place("address"),
            member
                ? "applications would always connect to one member, even as a replica"
                : "applications would lose access when that host fails",
            "give the address of the load balancer itself; its targets are the proxies"
        );
    }

    private static void VirtualAddress(PostgresTopology topology, SectionReader section, HostTable hosts, Findings findings)
    {
        if (topology.VirtualAddress is not { } held)
        {
            return;
        }

        var own = section.Section(PostgresSection.VirtualKey);
        if (topology.LoadBalancer is not null)
        {
            findings.Error(
                "'virtual_ip' beside 'load_balancer'",
                section.Place(PostgresSection.VirtualKey),
                "applications connect to one of them",
                "remove the other one"
            );
        }

        if (hosts.All.FirstOrDefault(host => NetworkAddress.Canonical(host.Address) == held.Address) is { } host)
        {
            findings.Error(
                $"the virtual address is the own address of {host.Name}",
                own.Place("address"),
                "it could not move to another proxy",
                "give an address of the hosts' network that nobody has"
            );
        }

        foreach (var other in topology.Proxies.Where(proxy => proxy.Address.Contains(':', StringComparison.Ordinal)))
        {
            findings.Error(
                $"{other.Name} has the IPv6 address {other.Address}",
                own.Place("address"),
                "the proxies agree over IPv4 on who holds the virtual address",
                "give the proxies IPv4 addresses, or remove 'virtual_ip'"
            );
        }

        if (topology.Proxies.Length == 1)
        {
            findings.Warning("a single proxy: the virtual address has nowhere to move", section.Place("proxies"), null, "run two proxies");
        }
    }

    private static void Ports(PostgresTopology topology, SectionReader section, Findings findings)
    {
        (int Port, string Who, SourceLocation At)[] proxy =
        [
            (topology.Haproxy.Port, "HAProxy's SQL", section.Section("haproxy").Place("port")),
            (topology.Haproxy.PooledPort, "HAProxy's pooled SQL", section.Section("haproxy").Place("pooled_port")),
            (topology.Haproxy.StatsPort, "HAProxy's statistics", section.Section("haproxy").Place("stats_port")),
            (topology.PgBouncer.Port, "PgBouncer", section.Section("pgbouncer").Place("port")),
            .. topology.Haproxy.ReadPort is { } reads
                ? [(reads, "HAProxy's SQL for replicas", section.Section("haproxy").Place("read_port"))]
                : Array.Empty<(int, string, SourceLocation)>(),
            .. OfMonitoring(onMembers: false),
        ];
        (int Port, string Who, SourceLocation At)[] member =
        [
            (topology.Ports.Postgres, "PostgreSQL", section.Section("ports").Place("postgres")),
            (topology.Ports.Rest, "Patroni's REST API", section.Section("ports").Place("rest")),
            .. topology.Store.Ports.Select(port => (port.Number, port.Name, port.At)),
            .. OfMonitoring(onMembers: true),
        ];
        foreach (var group in new[] { proxy, member })
        {
            foreach (var clash in group.GroupBy(one => one.Port).Where(same => same.Count() > 1))
            {
                var (port, who, at) = clash.Last();
                findings.Error(
                    $"{who} and {clash.First().Who} would both listen on port {port}",
                    at,
                    "they share the host's network",
                    "give one of them another port; PgBouncer's default is 6433"
                );
            }
        }

        if (topology.LoadBalancer is { } balancer && balancer.Port == balancer.PooledPort)
        {
            findings.Error(
                $"the load balancer's two ports are both {balancer.Port}",
                section.Section("load_balancer").Place("pooled_port")
            );
        }

        IEnumerable<(int, string, SourceLocation)> OfMonitoring(bool onMembers)
        {
            if (topology.Monitoring is not { } monitoring)
            {
                yield break;
            }

            var at = section.Section(MonitoringSection.Key).Section("ports");
            if (onMembers ? monitoring.ExportsPostgres : monitoring.ExportsPgBouncer)
            {
                yield return onMembers
                    ? (monitoring.Ports.Postgres, "the exporter of PostgreSQL", at.Place("postgres"))
                    : (monitoring.Ports.PgBouncer, "the exporter of PgBouncer", at.Place("pgbouncer"));
            }

            if (monitoring.ExportsHosts || monitoring.Server is not null)
            {
                yield return (monitoring.Ports.Host, "the exporter of the host", at.Place("node"));
            }

            if (monitoring.Server is not null)
            {
                yield return (monitoring.Ports.Prometheus, "Prometheus", at.Place("prometheus"));
                yield return (monitoring.Ports.Alertmanager, "Alertmanager", at.Place("alertmanager"));
            }
        }
    }

    private static void Owners(PostgresTopology topology, SectionReader section, Findings findings)
    {
        string[] roles = [topology.Superuser.Name, topology.Application.Name, .. topology.Users.Select(user => user.Name)];
        foreach (var database in topology.Databases.Where(database => !roles.Contains(database.Owner)))
        {
            findings.Unknown(
                $"the owner '{database.Owner}' of the database '{database.Name}' is not a declared user",
                section.Place("databases"),
                database.Owner,
                roles,
                "users are"
            );
        }
    }

    // Each PgBouncer knows only its own connections; PostgreSQL counts them all.
    private static void Pools(PostgresTopology topology, SectionReader section, Findings findings)
    {
        if (
            !topology.Settings.TryGetValue("postgresql.parameters.max_connections", out var text)
            || !long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var most)
        )
        {
            return;
        }

        var settings = topology.PgBouncer;
        var users = topology.PooledUsers.Count();
        var databases = topology.Databases.Count(database => database.Pooled);
        var ofUser = Bounded(settings.DefaultPoolSize + settings.ReservePoolSize, settings.MaxUserConnections);
        var ofDatabase = Bounded(users * ofUser, settings.MaxDatabaseConnections);
        var ofPooler = Math.Min(
            databases * ofDatabase,
            settings.MaxUserConnections == 0 ? long.MaxValue : users * settings.MaxUserConnections
        );
        var sum = topology.Proxies.Length * ofPooler;
        var room = most - ReservedConnections - Headroom;
        if (sum > room)
        {
            findings.Warning(
                string.Create(CultureInfo.InvariantCulture, $"the pools may open {sum} connections, but PostgreSQL allows {room}"),
                section.Section("pgbouncer").Place("max_db_connections"),
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"{topology.Proxies.Length} PgBouncers × {ofPooler}; max_connections {most} less "
                        + $"{ReservedConnections} reserved for superusers and {Headroom} for Patroni, kbr and operators"
                ),
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"lower pgbouncer.max_db_connections to {Math.Max(1, room / topology.Proxies.Length / databases)}, or "
                        + $"raise parameters.max_connections to {sum + ReservedConnections + Headroom}"
                )
            );
        }

        // Zero is PgBouncer's word for no bound.
        static long Bounded(long number, long bound) => bound == 0 ? number : Math.Min(number, bound);
    }
}
