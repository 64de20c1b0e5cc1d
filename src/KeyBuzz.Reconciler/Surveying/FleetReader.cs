using System.Collections.Concurrent;
using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Graph;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Surveying;

/// <summary>Reads from the hosts of a run, all in parallel. It holds nothing that can write.</summary>
public class FleetReader : IAsyncDisposable
{
    private readonly Cluster _cluster;
    private readonly ILookup<string, ResourceGraph.Node> _nodes;
    private readonly ProviderRegistry _providers;
    private readonly SurveyJoin _join;
    private readonly IPreconditionChecks _preconditions;
    private readonly IReaderSource _source;
    private readonly int _parallelism;
    private readonly TextPool _texts = new();
    private readonly ConcurrentDictionary<string, IHostReader> _readers = new(StringComparer.Ordinal);

    /// <summary>Takes what a survey needs; opens nothing yet. Closes the source with itself.</summary>
    public FleetReader(
        Cluster cluster,
        ProviderRegistry providers,
        IPreconditionChecks preconditions,
        IReaderSource source,
        int parallelism
    )
    {
        _cluster = cluster;
        _nodes = cluster.Graph.Nodes.ToLookup(node => node.Resource.Address.Host, StringComparer.Ordinal);
        _providers = providers;
        _join = new SurveyJoin(cluster, providers);
        _preconditions = preconditions;
        _source = source;
        _parallelism = parallelism;
    }

    /// <summary>The readers that are open, by host.</summary>
    public IReadOnlyDictionary<string, IHostReader> Readers => _readers;

    /// <summary>The reads of the first probe of a host, as every command makes it.</summary>
    public IReadOnlyCollection<Read> ProbeReads(string host, bool checkPreconditions)
    {
        // A resource asks for about two things.
        var reads = new HashSet<Read>(2 * _nodes[host].Count()) { new RecordsRead(_cluster.Name) };
        foreach (var resource in Concerning(host))
        {
            reads.UnionWith(_providers.Get(resource.Address.Type).Reads(resource));
        }

        foreach (var policy in _cluster.Policies.Where(policy => _cluster.HostsOf(policy.Group).Contains(host)))
        {
            reads.UnionWith(policy.Rules.Reads(policy));
        }

        if (checkPreconditions)
        {
            foreach (var precondition in Preconditions(host))
            {
                reads.UnionWith(_preconditions.Reads(precondition));
            }
        }

        return reads;
    }

    /// <summary>Connects to every host that is not connected yet and reads what it holds: one script per host, and one more where records
    /// speak of resources that the configuration does not have any more. A host that fails is named in the survey; the others are read all
    /// the same.</summary>
    /// <param name="hosts">The hosts to look at.</param>
    /// <param name="checkPreconditions">Whether preconditions are read and judged.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public async Task<Survey> SurveyAsync(IEnumerable<Host> hosts, bool checkPreconditions, CancellationToken cancellationToken)
    {
        var survey = await SurveyAsync(
                hosts,
                new SurveyKind(checkPreconditions, AsksAgain: false),
                known => known.Removed.Select(record => record.ToResource()),
                (policy, _) => policy,
                cancellationToken
            )
            .ConfigureAwait(false);
        // The answers take much memory, and the observations say all of them.
        return survey with { Observe = _ => null, ObserveGroup = _ => null };
    }

    /// <summary>The same, but what is recorded is read as it was last applied and not as it is configured now; preconditions are left
    /// aside. A second script goes only to hosts where that asks for other things. <see cref="Survey.Observe"/> then answers for the
    /// resources that were handed out.</summary>
    /// <param name="hosts">The hosts to look at.</param>
    /// <param name="applied">The resource that a record speaks of.</param>
    /// <param name="appliedPolicy">The policy as it was last applied, as far as the records tell.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public Task<Survey> SurveyAppliedAsync(
        IEnumerable<Host> hosts,
        Func<ResourceRecord, Resource> applied,
        Func<GroupPolicy, IEnumerable<ResourceRecord>, GroupPolicy> appliedPolicy,
        CancellationToken cancellationToken
    ) =>
        SurveyAsync(
            hosts,
            new SurveyKind(ChecksPreconditions: false, AsksAgain: true),
            known => known.Newest.Values.Select(applied),
            appliedPolicy,
            cancellationToken
        );

    private async Task<Survey> SurveyAsync(
        IEnumerable<Host> hosts,
        SurveyKind kind,
        Func<KnownRecords, IEnumerable<Resource>> recorded,
        Func<GroupPolicy, IEnumerable<ResourceRecord>, GroupPolicy> recordedPolicy,
        CancellationToken cancellationToken
    )
    {
        var parts = new ConcurrentBag<HostPart>();
        await OnEachAsync(
                hosts,
                async (host, token) => parts.Add(await SurveyHostAsync(host, kind, token).ConfigureAwait(false)),
                cancellationToken
            )
            .ConfigureAwait(false);

        // What else is to be read is known once the records are: those of a group are kept on every member, and the newest copy counts on
        // all of them.
        var known = KnownRecords.Of([.. parts], _cluster, _providers);
        var more = recorded(known).ToList();
        var policies = _cluster.Policies.Select(policy => recordedPolicy(policy, known.Newest.Values)).ToList();
        var complete = new ConcurrentBag<HostPart>();
        await OnEachAsync(
                parts,
                async (part, token) => complete.Add(await ReadMoreAsync(part, known, more, policies, token).ConfigureAwait(false)),
                cancellationToken
            )
            .ConfigureAwait(false);

        // Only a host that was asked for more can have lost its records by failing.
        var asked = more.Count > 0 || policies.Count > 0;
        return _join.Join([.. complete], more, policies, asked ? KnownRecords.Of([.. complete], _cluster, _providers) : known);
    }

    /// <summary>Connects to every host that is not connected yet and asks each its own reads, one script per host; answers what each said,
    /// or why it could not be read.</summary>
    /// <param name="hosts">The hosts.</param>
    /// <param name="reads">What each is asked.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <param name="beside">Runs beside the reads of a host that is connected, and throws nothing of its own; null for nothing.</param>
    public async Task<IReadOnlyDictionary<string, (Snapshot? Snapshot, string? Error)>> ReadAsync(
        IEnumerable<Host> hosts,
        Func<Host, IReadOnlyCollection<Read>> reads,
        CancellationToken cancellationToken,
        Func<Host, Task>? beside = null
    )
    {
        var answers = new Dictionary<string, (Snapshot?, string?)>(StringComparer.Ordinal);
        var answering = new Lock();
        await OnEachAsync(
                hosts,
                async (host, token) =>
                {
                    var more = Task.CompletedTask;
                    try
                    {
                        var reader = await ReaderAsync(host, token).ConfigureAwait(false);
                        more = beside?.Invoke(host) ?? more;
                        Keep(host, await reader.ReadAsync(reads(host), token).ConfigureAwait(false), null);
                    }
                    catch (HostException exception)
                    {
                        Keep(host, null, exception.InFull);
                    }

                    await more.ConfigureAwait(false);
                },
                cancellationToken
            )
            .ConfigureAwait(false);
        return answers;

        void Keep(Host host, Snapshot? snapshot, string? error)
        {
            lock (answering)
            {
                answers[host.Name] = (snapshot, error);
            }
        }
    }

    /// <summary>Reads the records of these hosts, and nothing else.</summary>
    public async Task<RecordsFound> ReadRecordsAsync(IEnumerable<Host> hosts, CancellationToken cancellationToken)
    {
        var answers = await ReadAsync(hosts, _ => [new RecordsRead(_cluster.Name)], cancellationToken).ConfigureAwait(false);
        var copies = ImmutableArray.CreateBuilder<RecordCopy>();
        var strays = ImmutableArray.CreateBuilder<RecordCopy>();
        var read = ImmutableHashSet.CreateBuilder<string>();
        var diagnostics = ImmutableArray.CreateBuilder<Diagnostic>();
        foreach (var (host, (snapshot, unreachable)) in answers.OrderBy(pair => pair.Key, StringComparer.Ordinal))
        {
            var found = snapshot is null
                ? new HostRecords([], [], [], [], null)
                : HostRecords.In(host, snapshot, _cluster, _nodes[host], _providers, _texts);
            copies.AddRange(found.Own.Select(record => new RecordCopy(host, record)));
            strays.AddRange(found.Others.Select(record => new RecordCopy(host, record)));
            var unusable = unreachable ?? found.Damaged;
            if (unusable is null)
            {
                read.Add(host);
            }

            if ((unusable ?? found.NotOf(host, _cluster)) is { } error)
            {
                diagnostics.Add(Diagnostic.Error($"{host}: {error}", host: host));
            }
        }

        // Of two that are as new the first counts, and that is the one on the host it speaks of.
        return new RecordsFound([.. copies, .. strays], read.ToImmutable(), diagnostics.ToImmutable());
    }

    /// <summary>Reads and judges the preconditions of these hosts, and nothing else.</summary>
    public async Task<ImmutableArray<HostCheck>> CheckAsync(IEnumerable<Host> hosts, CancellationToken cancellationToken)
    {
        var answers = await ReadAsync(
                hosts,
                host => [.. Preconditions(host.Name).SelectMany(_preconditions.Reads).Distinct()],
                cancellationToken
            )
            .ConfigureAwait(false);
        return
        [
            .. answers
                .OrderBy(pair => pair.Key, StringComparer.Ordinal)
                .Select(pair => new HostCheck(
                    pair.Key,
                    pair.Value.Error,
                    pair.Value.Snapshot is { } snapshot
                        ? [.. Preconditions(pair.Key).Select(one => new CheckedPrecondition(one, _preconditions.Evaluate(one, snapshot)))]
                        : []
                )),
        ];
    }

    private async Task<IHostReader> ReaderAsync(Host host, CancellationToken cancellationToken)
    {
        if (!_readers.TryGetValue(host.Name, out var reader))
        {
            reader = await _source.OpenAsync(host, cancellationToken).ConfigureAwait(false);
            _readers[host.Name] = reader;
        }

        return reader;
    }

    private Task OnEachAsync<T>(IEnumerable<T> items, Func<T, CancellationToken, ValueTask> body, CancellationToken cancellationToken) =>
        Parallel.ForEachAsync(
            items,
            new ParallelOptions { MaxDegreeOfParallelism = _parallelism, CancellationToken = cancellationToken },
            body
        );

    /// <summary>Reads one resource again.</summary>
    public async Task<Observation> ObserveAsync(Resource resource, CancellationToken cancellationToken)
    {
        var reads = _providers.Get(resource.Address.Type).Reads(resource).ToHashSet();
        if (_providers.Get(resource.Address.Type) is IHostResourceProvider provider)
        {
            return provider.Observe(
                resource,
                await _readers[resource.Address.Host].ReadAsync(reads, cancellationToken).ConfigureAwait(false)
            );
        }

        return ((IGroupResourceProvider)_providers.Get(resource.Address.Type)).Observe(
            resource,
            await ReadMembersAsync(resource.Address.Host, reads, cancellationToken).ConfigureAwait(false)
        );
    }

    /// <summary>Reads one group again.</summary>
    public async Task<Observation> ObserveAsync(GroupPolicy policy, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(policy);
        var answers = await ReadMembersAsync(policy.Group, policy.Rules.Reads(policy).ToHashSet(), cancellationToken).ConfigureAwait(false);
        return policy.Rules.Observe(policy, answers);
    }

    private async Task<IReadOnlyDictionary<string, Snapshot>> ReadMembersAsync(
        string group,
        HashSet<Read> reads,
        CancellationToken cancellationToken
    )
    {
        var snapshots = new ConcurrentDictionary<string, Snapshot>(StringComparer.Ordinal);
        await Task.WhenAll(
                _cluster
                    .HostsOf(group)
                    .Where(_readers.ContainsKey)
                    .Select(async host =>
                    {
                        try
                        {
                            snapshots[host] = await _readers[host].ReadAsync(reads, cancellationToken).ConfigureAwait(false);
                        }
                        catch (HostException)
                        {
                            // Judged by the members that answer; the provider says when they are too few.
                        }
                    })
            )
            .ConfigureAwait(false);
        return snapshots;
    }

    /// <inheritdoc />
    public async ValueTask DisposeAsync()
    {
        await _source.DisposeAsync().ConfigureAwait(false);
        _readers.Clear();
        GC.SuppressFinalize(this);
    }

    private IEnumerable<Precondition> Preconditions(string host) =>
        _cluster.Preconditions.Where(precondition => precondition.Host == host && precondition.Level != PreconditionLevel.Off);

    // What is read on a host: its own resources, and those of the groups it is a member of.
    private IEnumerable<Resource> Concerning(string host)
    {
        var places = _cluster
            .Groups.Where(group => group.Members.Contains(host))
            .Select(group => group.Name)
            .Append(host)
            .ToHashSet(StringComparer.Ordinal);
        return places.SelectMany(place => _nodes[place]).Select(node => node.Resource);
    }

    private async Task<HostPart> SurveyHostAsync(Host host, SurveyKind kind, CancellationToken cancellationToken)
    {
        try
        {
            var reader = await ReaderAsync(host, cancellationToken).ConfigureAwait(false);
            return await ReadHostAsync(host, reader, kind, cancellationToken).ConfigureAwait(false);
        }
        catch (HostException exception)
        {
            return Failed(host, exception);
        }
    }

    private static HostPart Failed(Host host, HostException exception) => new(host, exception.InFull, null, [], []);

    private async Task<HostPart> ReadHostAsync(Host host, IHostReader reader, SurveyKind kind, CancellationToken cancellationToken)
    {
        var snapshot = await reader.ReadAsync(ProbeReads(host.Name, kind.ChecksPreconditions), cancellationToken).ConfigureAwait(false);
        var diagnostics = ImmutableArray.CreateBuilder<Diagnostic>();
        var found = HostRecords.In(host.Name, snapshot, _cluster, _nodes[host.Name], _providers, _texts);
        var error = found.Damaged ?? found.NotOf(host.Name, _cluster);
        var loose = found.Damaged is null ? RecordsTrust.Loose(snapshot.Get(new RecordsRead(_cluster.Name))) : null;
        if (loose is not null)
        {
            diagnostics.Add(
                Diagnostic.Warning(
                    $"{host.Name}: {loose}",
                    detail: "kbr removes recorded resources as root, so only root may read and write records",
                    remedy: "the next apply sets it",
                    host: host.Name
                )
            );
        }

        if (kind.ChecksPreconditions)
        {
            foreach (var precondition in Preconditions(host.Name))
            {
                if (_preconditions.Evaluate(precondition, snapshot) is { } finding)
                {
                    var severity = precondition.Level == PreconditionLevel.Error ? Severity.Error : Severity.Warning;
                    diagnostics.Add(
                        finding with
                        {
                            Severity = severity,
                            Host = host.Name,
                            Location = finding.Location ?? precondition.Location,
                        }
                    );
                    if (severity == Severity.Error)
                    {
                        error = "a precondition does not hold";
                    }
                }
            }
        }

        // Answers take much memory: those that nobody asks again go as soon as they are judged, and the text of the records always does.
        var areAskedAgain = kind.AsksAgain || _cluster.Policies.Length > 0 || _cluster.Groups.Length > 0 || !found.Removed.IsEmpty;
        var kept = areAskedAgain ? snapshot.Without(new RecordsRead(_cluster.Name)) : Snapshot.Empty;
        return new HostPart(host, error, kept, found.Own, diagnostics.ToImmutable())
        {
            Observed = _join.Observed(_nodes[host.Name], snapshot),
            Removed = found.Removed,
            RecordsAreWhole = found.Damaged is null,
            RecordsAreLoose = loose is not null,
            Obsolete = found.Obsolete,
        };
    }

    // Asks a host what only the records made known.
    private async Task<HostPart> ReadMoreAsync(
        HostPart part,
        KnownRecords records,
        IEnumerable<Resource> more,
        IEnumerable<GroupPolicy> policies,
        CancellationToken cancellationToken
    )
    {
        if (part.Snapshot is not { } snapshot)
        {
            return part;
        }

        var wanted = more.Where(resource =>
                resource.Address.Host == part.Host.Name || _join.MembersOf(resource.Address.Host, records).Contains(part.Host.Name)
            )
            .SelectMany(resource => _providers.Get(resource.Address.Type).Reads(resource))
            .Concat(
                policies
                    .Where(policy => _join.MembersOf(policy.Group, records).Contains(part.Host.Name))
                    .SelectMany(policy => policy.Rules.Reads(policy))
            )
            .Where(read => !snapshot.Has(read))
            .ToHashSet();
        try
        {
            return wanted.Count == 0
                ? part
                : part with
                {
                    Snapshot = snapshot.With(await _readers[part.Host.Name].ReadAsync(wanted, cancellationToken).ConfigureAwait(false)),
                };
        }
        catch (HostException exception)
        {
            return Failed(part.Host, exception);
        }
    }

    // What a survey is made for.
    private readonly record struct SurveyKind(bool ChecksPreconditions, bool AsksAgain);
}
