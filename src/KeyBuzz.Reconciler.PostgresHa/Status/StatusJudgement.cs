using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Providers.SqlProxies;

namespace KeyBuzz.Reconciler.PostgresHa.Status;

/// <summary>Judges what the hosts said by the checklist. Pure: no I/O, no clock.</summary>
internal sealed partial class StatusJudgement
{
    private readonly PostgresTopology _topology;
    private readonly StatusReads _reads;
    private readonly IReadOnlyDictionary<string, (Snapshot? Snapshot, string? Error)> _hosts;
    private readonly IReadOnlyList<EndpointAnswer> _endpoints;
    private readonly ImmutableArray<(Host Member, FenceMark Mark)> _fenced;
    private readonly int _declared;

    public StatusJudgement(
        PostgresTopology topology,
        StatusReads reads,
        IReadOnlyDictionary<string, (Snapshot? Snapshot, string? Error)> hosts,
        IReadOnlyList<EndpointAnswer> endpoints
    )
    {
        // A fenced member is asked for nothing more than that it stays down.
        var fenced = ImmutableArray.CreateBuilder<(Host Member, FenceMark Mark)>();
        foreach (var member in topology.Members)
        {
            if (hosts.GetValueOrDefault(member.Name).Snapshot is { } snapshot && FenceMark.On(snapshot) is { } mark)
            {
                fenced.Add((member, mark));
            }
        }

        _fenced = fenced.ToImmutable();
        _declared = topology.Members.Length;
        _topology = _fenced.IsEmpty ? topology : topology with { Members = topology.Members.RemoveAll(member => IsFenced(member)) };
        _reads = reads;
        _hosts = hosts;
        _endpoints = endpoints;
    }

    /// <summary>Judges all.</summary>
    /// <param name="volumes">What the volumes held before, and <see cref="Volumes"/>.</param>
    public ClusterStatus Judge(VolumeHistory? volumes = null)
    {
        var history = volumes ?? VolumeHistory.None;
        var items = ImmutableArray.CreateBuilder<StatusItem>();
        items.Add(Reachable() with { Topic = StatusTopic.Hosts });
        items.Add(WithRestarts(EachRuns("units", UnitTrouble)) with { Topic = StatusTopic.Services });
        items.Add(EachRuns("containers", (host, name) => ContainerTrouble(host, name)) with { Topic = StatusTopic.Services });
        if (!_fenced.IsEmpty)
        {
            items.Add(Fenced());
        }

        items.AddRange(Members());
        items.Add(HaproxyValid() with { Topic = StatusTopic.Haproxy });
        items.Add(HaproxySees() with { Topic = StatusTopic.Haproxy });
        items.Add(Pools() with { Topic = StatusTopic.Pooler });
        if (_topology.VirtualAddress is { } held)
        {
            items.Add(Held(held) with { Topic = StatusTopic.VirtualAddress });
        }

        items.Add(Listeners() with { Topic = StatusTopic.Services });
        items.AddRange(_topology.Extensions.Select(Extension).Select(item => item with { Topic = StatusTopic.Extensions }));
        if (_reads.VectorExtension is { } vector)
        {
            items.Add(VectorOnReplica(vector) with { Topic = StatusTopic.Extensions });
        }

        if (Tls() is { } tls)
        {
            items.Add(tls with { Topic = StatusTopic.Outlook });
        }

        items.AddRange(Outlook(history).Select(item => item with { Topic = StatusTopic.Outlook }));
        items.AddRange(
            _endpoints
                .GroupBy(endpoint =>
                    endpoint.Way.Split(' ')[0] switch
                    {
                        "load" or "virtual" => endpoint.Way,
                        var kind => kind,
                    }
                )
                .Select(group => Endpoint("sql through " + group.Key, [.. group]) with { Topic = StatusTopic.SqlEndpoints })
        );
        return new ClusterStatus(items.ToImmutable(), Conclude(items)) { BackupAge = BackupAge(), Measures = [.. Measures(history)] };
    }

    private bool IsFenced(Host member)
    {
        foreach (var (fenced, _) in _fenced)
        {
            if (fenced.Name == member.Name)
            {
                return true;
            }
        }

        return false;
    }

    // It is as somebody wants it, unless it runs.
    private StatusItem Fenced()
    {
        var said = new List<string>();
        var wrong = ImmutableArray.CreateBuilder<StatusPlace>();
        foreach (var (member, mark) in _fenced)
        {
            var runs = Of(member) is { } snapshot && ContainerTrouble(snapshot, StatusReads.Patroni) is null;
            said.Add(
                runs
                    ? $"{member.Name} is {mark.Text}, and still runs: run kbr fence {member.Name} again"
                    : $"{member.Name} is {mark.Text}; kbr unfence {member.Name} brings it back"
            );
            if (runs)
            {
                wrong.Add(new StatusPlace(StatusReads.Patroni, member.Name));
            }
        }

        return new StatusItem("fenced", wrong.Count == 0 ? StatusVerdict.Ok : StatusVerdict.NotOk, string.Join("; ", said))
        {
            Places = wrong.ToImmutable(),
        };
    }

    private IEnumerable<Host> All => _topology.Members.Concat(_topology.Proxies);

    private Snapshot? Of(Host host) => _hosts.GetValueOrDefault(host.Name).Snapshot;

    private const string HostsItem = "hosts";

    private StatusItem Reachable()
    {
        var failed = All.Where(host => Of(host) is null).ToList();
        // A fenced member is known by its host's answer.
        var answering = All.Count() + _fenced.Length;
        return failed.Count == 0
            ? new StatusItem(HostsItem, StatusVerdict.Ok, $"{answering} of {answering} answer over SSH")
            : new StatusItem(
                HostsItem,
                StatusVerdict.Unknown,
                string.Join("; ", failed.Select(host => $"{host.Name}: {_hosts.GetValueOrDefault(host.Name).Error ?? "not read"}"))
            )
            {
                Places = [.. failed.Select(host => new StatusPlace("", host.Name))],
            };
    }

    // "patroni 3/3, haproxy 2/2, pgbouncer 2/2", or what is wrong where. A host that cannot be read has its own line.
    private StatusItem EachRuns(string name, Func<Snapshot, string, string?> trouble)
    {
        var troubles = TroublesOf(trouble);
        var counts = string.Join(
            ", ",
            Services.Select(service =>
                $"{service.Name} "
                + $"{service.Hosts.Count(host => Of(host) is { } snapshot && trouble(snapshot, service.Name) is null)}/{service.Hosts.Length}"
            )
        );
        return troubles.Count == 0
            ? Item(name, All, counts)
            : new StatusItem(name, StatusVerdict.NotOk, $"{counts}: {string.Join("; ", troubles.Select(one => one.Text))}")
            {
                Places = [.. troubles.Select(one => one.Place)],
            };
    }

    private (string Name, ImmutableArray<Host> Hosts)[] Services =>
        [
            (StatusReads.Patroni, _topology.Members),
            .. _topology.Store.Service is { } store ? new[] { (store.Name, _topology.Members) } : [],
            (StatusReads.Haproxy, _topology.Proxies),
            (StatusReads.PgBouncer, _topology.Proxies),
            .. _topology.VirtualAddress is null ? [] : new[] { (StatusReads.Keepalived, _topology.Proxies) },
        ];

    private List<(StatusPlace Place, string Text)> TroublesOf(Func<Snapshot, string, string?> trouble) =>
        [
            .. Services.SelectMany(service =>
                service
                    .Hosts.Where(host => Of(host) is not null)
                    .Select(host => (Place: new StatusPlace(service.Name, host.Name), Wrong: trouble(Of(host)!, service.Name)))
                    .Where(one => one.Wrong is not null)
                    .Select(one => (one.Place, $"{one.Place.Service} on {one.Place.Host} {one.Wrong}"))
            ),
        ];

    private string? UnitTrouble(Snapshot host, string name)
    {
        var unit = host.Get(new UnitRead(name + ".service"));
        var state = unit["ActiveState"];
        var trouble = HostResources.UnitOf(name, _topology.DropIns).Trouble(unit);
        return unit["LoadState"] == "not-found" || unit.Properties.Count == 0 ? "does not exist"
            : state != "active" ? $"is {state} ({unit["Result"]}){(trouble is null ? "" : $" and {trouble}")}"
            : trouble is not null ? $"is active but {trouble}"
            : unit["UnitFileState"] != "enabled" ? $"is active but {unit["UnitFileState"]}: it will not start at boot"
            : null;
    }

    private static string? ContainerTrouble(Snapshot host, string name)
    {
        var answer = host.Get(new ContainerRead(name));
        return answer.Status switch
        {
            0 => "is unknown: Docker Engine does not answer",
            404 => "does not exist",
            _ when JsonAnswer.Parse(answer.Json)?.At("State")?.Text("Status") is { } state => state == "running" ? null
            : JsonAnswer.Parse(answer.Json)?.At("State")?.Boolean("OOMKilled") == true ? $"is {state}: killed for lack of memory"
            : $"is {state}",
            _ => "cannot be read",
        };
    }

    // Known not to run, and not only unknown because Docker Engine does not answer.
    private static bool IsDown(Snapshot host, string name)
    {
        var answer = host.Get(new ContainerRead(name));
        return answer.Status == 404 || JsonAnswer.Parse(answer.Json)?.At("State")?.Text("Status") is not (null or "running");
    }

    private StatusItem HaproxyValid()
    {
        var wrong = _topology
            .Proxies.Where(host => Of(host) is not null)
            .Select(host => (host.Name, Answer: Of(host)!.Get(StatusReads.HaproxyCheck)))
            .Where(pair => pair.Answer.ExitCode != 0)
            .ToList();
        return wrong.Count == 0
            ? Item(
                "haproxy configuration",
                _topology.Proxies,
                $"valid on {_topology.Proxies.Count(host => Of(host) is not null)} of {_topology.Proxies.Length}, by haproxy -c"
            )
            : new StatusItem(
                "haproxy configuration",
                StatusVerdict.NotOk,
                string.Join("; ", wrong.Select(pair => $"{pair.Name}: {LastLine(pair.Answer.Output)}"))
            )
            {
                Places = [.. wrong.Select(pair => new StatusPlace(StatusReads.Haproxy, pair.Name))],
            };
    }

    private StatusItem HaproxySees()
    {
        var said = new List<string>();
        var wrong = ImmutableArray.CreateBuilder<StatusPlace>();
        foreach (var proxy in _topology.Proxies.Where(host => Of(host) is not null))
        {
            var answer = Of(proxy)!.Get(_reads.HaproxyTable);
            var rows = answer.Status == 200 ? CommaTable.Read(answer.Body) : [];
            var up = rows.Where(row =>
                    row.GetValueOrDefault("pxname") == PostgresTopology.HaproxyPrimaryBackend
                    && row.GetValueOrDefault("svname") is not (null or "FRONTEND" or "BACKEND")
                    && row.GetValueOrDefault("status")?.StartsWith("UP", StringComparison.Ordinal) == true
                )
                .Select(row => row["svname"])
                .ToList();
            var poolers = rows.Where(row =>
                    row.GetValueOrDefault("pxname") == PostgresTopology.HaproxyPooledBackend
                    && row.GetValueOrDefault("svname") is not (null or "FRONTEND" or "BACKEND")
                )
                .ToList();
            var poolersUp = poolers.Count(row => row["status"].StartsWith("UP", StringComparison.Ordinal));
            var reads = rows.Count(row =>
                row.GetValueOrDefault("pxname") == PostgresTopology.HaproxyReadBackend
                && row.GetValueOrDefault("svname") is not (null or "FRONTEND" or "BACKEND")
                && row.GetValueOrDefault("status")?.StartsWith("UP", StringComparison.Ordinal) == true
            );
            // During a hand-over; for good only where one of an older kbr went wrong.
            var holds = rows.Any(row =>
                row.GetValueOrDefault("pxname") == ConnectionPools.DirectFrontend
                && row.GetValueOrDefault("svname") == "FRONTEND"
                && row.GetValueOrDefault("slim") == "0"
            );
            // A cluster of one member has no replica to read from.
            if (
                holds
                || up.Count != 1
                || up[0] != Leader
                || poolers.Count == 0
                || poolersUp != poolers.Count
                || (_topology.Haproxy.ReadPort is not null && reads == 0 && _topology.Members.Length > 1)
            )
            {
                wrong.Add(new StatusPlace(StatusReads.Haproxy, proxy.Name));
            }

            said.Add(
                answer.Status != 200
                    ? $"{proxy.Name}: its statistics page does not answer on port {_topology.Haproxy.StatsPort}"
                    : $"{proxy.Name}: primary {(up.Count == 0 ? "none" : string.Join(" and ", up))}, PgBouncer "
                        + $"{poolersUp}/{poolers.Count}{(_topology.Haproxy.ReadPort is null ? "" : $", reads from {reads}")}"
                        + (holds ? ", keeps new direct sessions waiting: unless a hand-over is under way, docker kill -s USR2 haproxy" : "")
            );
        }

        return wrong.Count == 0
            ? Item("haproxy's view", _topology.Proxies, string.Join("; ", said))
            : new StatusItem("haproxy's view", StatusVerdict.NotOk, string.Join("; ", said)) { Places = wrong.ToImmutable() };
    }

    private StatusItem Pools()
    {
        var said = new List<string>();
        var wrong = ImmutableArray.CreateBuilder<StatusPlace>();
        foreach (var proxy in _topology.Proxies.Where(host => Of(host) is not null))
        {
            var pools = Of(proxy)!.Get(_reads.Pools);
            var config = Of(proxy)!.Get(_reads.PoolerConfig);
            if (pools.ExitCode != 0 || config.ExitCode != 0)
            {
                wrong.Add(new StatusPlace(StatusReads.PgBouncer, proxy.Name));
                said.Add($"{proxy.Name}: {LastLine(pools.ExitCode != 0 ? pools.Output : config.Output)}");
                continue;
            }

            var settings = CommaTable.Read(config.Output).ToDictionary(row => row["key"], row => row["value"], StringComparer.Ordinal);
            var differs = Wanted()
                .Where(pair => settings.GetValueOrDefault(pair.Key) != pair.Value)
                .Select(pair => $"{pair.Key} is {settings.GetValueOrDefault(pair.Key, "missing")} instead of {pair.Value}")
                .ToList();
            var application = CommaTable
                .Read(pools.Output)
                .Where(row => row.GetValueOrDefault("database") == _topology.ApplicationDatabase.Name)
                .ToList();
            if (differs.Count > 0)
            {
                wrong.Add(new StatusPlace(StatusReads.PgBouncer, proxy.Name));
            }

            said.Add(
                differs.Count > 0
                    ? $"{proxy.Name}: {string.Join(", ", differs)}"
                    : $"{proxy.Name}: {settings["pool_mode"]}, {Sum(application, "cl_active")} clients on "
                        + $"{Sum(application, "sv_active") + Sum(application, "sv_idle") + Sum(application, "sv_used")} "
                        + $"servers, {Sum(application, "cl_waiting")} waiting"
            );
        }

        return wrong.Count == 0
            ? Item("pgbouncer", _topology.Proxies, string.Join("; ", said))
            : new StatusItem("pgbouncer", StatusVerdict.NotOk, string.Join("; ", said)) { Places = wrong.ToImmutable() };
    }

    // One proxy holds it. Where a host could not be read, that one may be the holder.
    private StatusItem Held(VirtualAddress held)
    {
        var read = _topology.Proxies.Where(host => Of(host) is not null).ToList();
        string[] holders = [.. read.Where(host => LocalAddresses.Has(Of(host)!, held.Address)).Select(host => host.Name)];
        const string Name = "virtual address";
        return holders.Length switch
        {
            1 => new StatusItem(Name, StatusVerdict.Ok, $"{held.Address} held by {holders[0]}"),
            0 when read.Count < _topology.Proxies.Length => Item(Name, _topology.Proxies, $"{held.Address} held by no proxy that was read"),
            0 => new StatusItem(Name, StatusVerdict.NotOk, $"{held.Address} held by no proxy"),
            _ => new StatusItem(Name, StatusVerdict.NotOk, $"{held.Address} held by {string.Join(" and ", holders)}")
            {
                Places = [.. holders.Select(host => new StatusPlace(StatusReads.Keepalived, host))],
            },
        };
    }

    private IEnumerable<KeyValuePair<string, string>> Wanted()
    {
        var pooler = _topology.PgBouncer;
        yield return new("pool_mode", pooler.PoolMode);
        yield return new("auth_type", "scram-sha-256");
        yield return new("max_client_conn", Plain(pooler.MaxClientConnections));
        yield return new("default_pool_size", Plain(pooler.DefaultPoolSize));
        yield return new("min_pool_size", Plain(pooler.MinPoolSize));
        yield return new("reserve_pool_size", Plain(pooler.ReservePoolSize));
        yield return new("max_db_connections", Plain(pooler.MaxDatabaseConnections));
        yield return new("max_user_connections", Plain(pooler.MaxUserConnections));
    }

    private StatusItem Listeners()
    {
        var asked = _topology.Proxies.Where(host => Of(host) is not null).ToList();
        var listeners = _reads.Listeners.Where(listener => !IsFenced(listener.Host)).ToList();
        // A host is named once, with its ports and the probing proxies.
        var wrong = asked
            .SelectMany(from =>
                listeners
                    .Select(listener => (from, listener, State: Of(from)!.Get(new PortRead(listener.Host.Address, listener.Port))))
                    .Where(seen => seen.State != PortState.Answered)
            )
            .ToList();
        return wrong.Count == 0
            ? Item("listeners", _topology.Proxies, $"{listeners.Count} ports answer the proxies")
            : new StatusItem(
                "listeners",
                StatusVerdict.NotOk,
                string.Join(
                    "; ",
                    wrong
                        .GroupBy(seen => (seen.listener.Host.Name, seen.State))
                        .Select(group =>
                            $"{group.Key.Name}: "
                            + $"{string.Join(", ", group.Select(seen => $"{seen.listener.What} {seen.listener.Host.Address}:{seen.listener.Port}").Distinct())} "
                            + $""
                            + $"{(group.Key.State == PortState.Refused ? "refuses" : "does not answer")} "
                            + $"{string.Join(" and ", group.Select(seen => seen.from.Name).Distinct())}"
                        )
                )
            )
            {
                Places =
                [
                    .. wrong
                        .Select(seen => new StatusPlace(
                            _topology.Members.Contains(seen.listener.Host) ? StatusReads.Patroni
                                : seen.listener.Port == _topology.PgBouncer.Port ? StatusReads.PgBouncer
                                : StatusReads.Haproxy,
                            seen.listener.Host.Name
                        ))
                        .Distinct(),
                ],
            };
    }

    private StatusItem Extension(PostgresExtension extension)
    {
        // One extension may be in several databases; in the application's it has its plain name, as its resource has.
        var place = extension.Database == _topology.ApplicationDatabase.Name ? "" : $" in {extension.Database}";
        var name = $"extension {extension.Name}{place}";
        if (LeaderHost is not { } leader)
        {
            return new StatusItem(name, StatusVerdict.NotOk, "no primary to query");
        }

        var installed = JsonAnswer
            .Rows(Of(leader)!.Get(_reads.Extensions(extension.Database)).Json)
            ?.FirstOrDefault(row => row.Text("name") == extension.Name)
            .Text("version");
        var available = _topology
            .Members.Where(host => Of(host) is not null)
            .ToDictionary(
                host => host.Name,
                host =>
                    JsonAnswer
                        .Rows(Of(host)!.Get(_reads.Available).Json)
                        ?.FirstOrDefault(row => row.Text("name") == extension.Name)
                        .Text("version")
                    ?? "missing"
            );
        var same =
            installed is not null
            && (extension.Version is null || extension.Version == installed)
            && available.Values.All(version => version == installed);
        var text =
            $"{installed ?? "not installed"} in {extension.Database}; on the members "
            + $"{string.Join(", ", available.Select(pair => $"{pair.Key} {pair.Value}"))}";
        return same ? Item(name, _topology.Members, text) : new StatusItem(name, StatusVerdict.NotOk, text);
    }

    private StatusItem VectorOnReplica(PostgresExtension vector)
    {
        var said = _topology
            .Members.Where(host => Of(host) is not null && host.Name != Leader)
            .Select(host =>
            {
                var answer = Of(host)!.Get(_reads.Vector(vector.Database));
                var row = JsonAnswer.Rows(answer.Json) is [var first, ..] ? first : default(System.Text.Json.JsonElement?);
                var distance = row?.At("distance") is { ValueKind: JsonValueKind.Number } number ? number.GetDouble() : (double?)null;
                return (
                    Good: distance is not null && row?.Boolean("in_recovery") == true,
                    Text: $"{host.Name}: "
                        + $"{(distance is { } value ? "distance " + value.ToString("0.###", CultureInfo.InvariantCulture) : answer.Error.Length > 0 ? answer.Error.Split('\n')[0] : "no answer")}"
                );
            })
            .ToList();
        var text = said.Count == 0 ? "no replica" : string.Join("; ", said.Select(one => one.Text));
        return (said.Count > 0 || _topology.Members.Length < 2) && said.TrueForAll(one => one.Good)
            ? Item("vector query on replicas", _topology.Members, text)
            : new StatusItem("vector query on replicas", StatusVerdict.NotOk, text);
    }

    // The server at the other end must lead, and must see a proxy: a client that it sees as the load balancer came past the proxies (a
    // member is among the balancer's targets).
    private StatusItem Endpoint(string name, IReadOnlyList<EndpointAnswer> endpoints)
    {
        var unmeasured = endpoints.Where(IsUnknown).Select(endpoint => $"{endpoint.From}: {endpoint.Trouble}").ToList();
        var wrong = endpoints
            .Where(endpoint => !IsUnknown(endpoint))
            .Select(endpoint => EndpointProblem(endpoint) is { } trouble ? $"from {endpoint.From}: {trouble}" : null)
            .OfType<string>()
            .ToList();

        // Sessions through the load balancer or the virtual address may use any proxy.
        ImmutableArray<StatusPlace> places =
        [
            .. endpoints
                .Where(endpoint =>
                    !endpoint.Way.StartsWith(SqlEndpointProbe.LoadBalancer, StringComparison.Ordinal)
                    && !endpoint.Way.StartsWith(SqlEndpointProbe.VirtualAddress, StringComparison.Ordinal)
                    && (!endpoint.Measured || EndpointProblem(endpoint) is not null)
                )
                .Select(endpoint => new StatusPlace(
                    endpoint.Way.StartsWith("HAProxy", StringComparison.Ordinal) ? StatusReads.Haproxy : StatusReads.PgBouncer,
                    endpoint.From
                )),
        ];
        var servers = string.Join(
            " and ",
            endpoints.Select(endpoint => endpoint.Answer).OfType<ServerAnswer>().Select(answer => NameOf(answer.Server)).Distinct()
        );
        return wrong.Count > 0 ? new StatusItem(name, StatusVerdict.NotOk, string.Join("; ", wrong)) { Places = places }
            : unmeasured.Count > 0
                ? new StatusItem(name, StatusVerdict.Unknown, string.Join("; ", unmeasured))
                {
                    Places = places,
                    UnknownBy = endpoints.All(endpoint => !IsUnknown(endpoint) || IsUnread(endpoint.From)) ? HostsItem : null,
                }
            : new StatusItem(name, StatusVerdict.Ok, $"reaches {servers}, writable, from {endpoints.Count} of {endpoints.Count} proxies");
    }

    private string? EndpointProblem(EndpointAnswer endpoint) =>
        endpoint.Answer switch
        {
            null when !endpoint.Measured => "not tried, since pgbouncer does not run there",
            null => endpoint.Trouble,
            { InRecovery: true } answer => $"it connects to the replica {NameOf(answer.Server)}",
            { IsReadOnly: true } answer => $"{NameOf(answer.Server)} is read-only for the application: default_transaction_read_only is on",
            var answer when _topology.Proxies.All(proxy => proxy.Address != answer.Client) =>
                $"{NameOf(answer.Server)} sees {answer.Client}, which is not a proxy: is a member a target of the load balancer?",
            _ => null,
        };

    // With tls: required, psql runs in PgBouncer's container, and tries nothing where that is down.
    private bool IsUnknown(EndpointAnswer endpoint) =>
        !endpoint.Measured
        && !(
            _topology.Tls is { ClientsRequired: true }
            && _hosts.GetValueOrDefault(endpoint.From).Snapshot is { } proxy
            && IsDown(proxy, StatusReads.PgBouncer)
        );

    private bool IsUnread(string host) => _hosts.GetValueOrDefault(host).Snapshot is null;

    private string NameOf(string address) => _topology.Members.FirstOrDefault(member => member.Address == address)?.Name ?? address;

    // Holds as far as could be seen; where a host could not be read, it is not known.
    private StatusItem Item(string name, IEnumerable<Host> hosts, string measured)
    {
        var unread = hosts.Where(host => Of(host) is null).Select(host => host.Name).ToList();
        return unread.Count == 0
            ? new StatusItem(name, StatusVerdict.Ok, measured)
            : new StatusItem(
                name,
                StatusVerdict.Unknown,
                $"{measured}{(measured.Length > 0 ? "; " : "")}not read: {string.Join(", ", unread)}"
            )
            {
                UnknownBy = HostsItem,
            };
    }

    private static long Sum(IEnumerable<IReadOnlyDictionary<string, string>> rows, string column) =>
        rows.Sum(row => long.TryParse(row.GetValueOrDefault(column), CultureInfo.InvariantCulture, out var value) ? value : 0);

    private static string Plain(long value) => value.ToString(CultureInfo.InvariantCulture);

    private static string LastLine(string text) =>
        text.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries) is [.., var last] ? last : "no answer";
}
