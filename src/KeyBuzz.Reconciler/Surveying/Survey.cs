using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Text.Json;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Surveying;

/// <summary>What all hosts were found to hold at one time.</summary>
/// <param name="Records">What was last applied.</param>
/// <param name="Observations">What is there, for desired and recorded resources, and for groups with a policy.</param>
/// <param name="HostErrors">Hosts that could not be read or may not be touched, with the reason.</param>
/// <param name="Diagnostics">Preconditions that do not hold, and records that could not be read.</param>
public sealed record Survey(
    IReadOnlyDictionary<Address, ResourceRecord> Records,
    IReadOnlyDictionary<Address, Observation> Observations,
    ImmutableSortedDictionary<string, string> HostErrors,
    ImmutableArray<Diagnostic> Diagnostics
)
{
    /// <summary>Records that are to be written again: those of a group that are not the same on every member that could be read, and one of
    /// a directory that is open to others.</summary>
    public ImmutableHashSet<Address> UnevenRecords { get; init; } = [];

    /// <summary>The hosts that each group's records were found on, also of groups that the configuration has no more.</summary>
    public ImmutableDictionary<string, ImmutableArray<string>> RecordedGroups { get; init; } =
        ImmutableDictionary<string, ImmutableArray<string>>.Empty;

    /// <summary>Hosts that could not be read at all.</summary>
    public ImmutableHashSet<string> Unreachable { get; init; } = [];

    /// <summary>Files of records that say nothing any more, by host; the next apply removes them.</summary>
    public ImmutableDictionary<string, ImmutableArray<string>> ObsoleteRecords { get; init; } =
        ImmutableDictionary<string, ImmutableArray<string>>.Empty;

    /// <summary>The hosts whose records were all read.</summary>
    public ImmutableHashSet<string> RecordsRead { get; init; } = [];

    /// <summary>The serial of a group's record; 0 when it has none.</summary>
    public long SerialOf(Address address) => Records.GetValueOrDefault(address)?.Serial ?? 0;

    /// <summary>What the answers of the hosts say of a resource that was read, or is like one that was but for its secrets; null when no
    /// host that could say so was read. Only a survey of what was applied keeps the answers; of another one it is always null.</summary>
    public Func<Resource, Observation?> Observe { get; init; } = _ => null;

    /// <summary>The same of a group with a policy.</summary>
    public Func<GroupPolicy, Observation?> ObserveGroup { get; init; } = _ => null;
}

/// <summary>Reads from the hosts of a run, all in parallel. It holds nothing that can write.</summary>
public class FleetReader : IAsyncDisposable
{
    private readonly Cluster _cluster;
    private readonly ILookup<string, Resource> _resources;
    private readonly ProviderRegistry _providers;
    private readonly IPreconditionChecks _preconditions;
    private readonly IReaderSource _source;
    private readonly int _parallelism;
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
        _resources = cluster.Resources.ToLookup(resource => resource.Address.Host, StringComparer.Ordinal);
        _providers = providers;
        _preconditions = preconditions;
        _source = source;
        _parallelism = parallelism;
    }

    /// <summary>The readers that are open, by host.</summary>
    public IReadOnlyDictionary<string, IHostReader> Readers => _readers;

    /// <summary>The reads of the first probe of a host, as every command makes it.</summary>
    public IReadOnlyCollection<Read> ProbeReads(string host, bool checkPreconditions)
    {
        var reads = new HashSet<Read> { new RecordsRead(_cluster.Name) };
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
        var configured = _cluster.Resources.Select(resource => resource.Address).ToHashSet();
        var survey = await SurveyAsync(
                hosts,
                checkPreconditions,
                record => configured.Contains(record.Address) ? null : record.ToResource(),
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
    ) => SurveyAsync(hosts, checkPreconditions: false, applied, appliedPolicy, cancellationToken);

    private async Task<Survey> SurveyAsync(
        IEnumerable<Host> hosts,
        bool checkPreconditions,
        Func<ResourceRecord, Resource?> recorded,
        Func<GroupPolicy, IEnumerable<ResourceRecord>, GroupPolicy> recordedPolicy,
        CancellationToken cancellationToken
    )
    {
        var parts = new ConcurrentBag<HostPart>();
        await OnEachAsync(
                hosts,
                async (host, token) => parts.Add(await SurveyHostAsync(host, checkPreconditions, token).ConfigureAwait(false)),
                cancellationToken
            )
            .ConfigureAwait(false);

        // What else is to be read is known once the records are: those of a group are kept on every member, and the newest copy counts on
        // all of them.
        var known = Records.Of([.. parts], this);
        var more = known.Newest.Values.Select(recorded).OfType<Resource>().ToList();
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
        return Join([.. complete], more, policies, asked ? Records.Of([.. complete], this) : known);
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
        var answers = new ConcurrentDictionary<string, (Snapshot?, string?)>(StringComparer.Ordinal);
        await OnEachAsync(
                hosts,
                async (host, token) =>
                {
                    var more = Task.CompletedTask;
                    try
                    {
                        var reader = await ReaderAsync(host, token).ConfigureAwait(false);
                        more = beside?.Invoke(host) ?? more;
                        answers[host.Name] = (await reader.ReadAsync(reads(host), token).ConfigureAwait(false), null);
                    }
                    catch (HostException exception)
                    {
                        answers[host.Name] = (null, exception.InFull);
                    }

                    await more.ConfigureAwait(false);
                },
                cancellationToken
            )
            .ConfigureAwait(false);
        return answers;
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
            var (own, others, _, damaged) = snapshot is null ? ([], [], [], null) : RecordsIn(host, snapshot);
            copies.AddRange(own.Select(record => new RecordCopy(host, record)));
            strays.AddRange(others.Select(record => new RecordCopy(host, record)));
            var unusable = unreachable ?? damaged;
            if (unusable is null)
            {
                read.Add(host);
            }

            if ((unusable ?? NotOf(host, others)) is { } error)
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
        return places.SelectMany(place => _resources[place]);
    }

    // What one host contributes to a survey. Error is the reason why it may not be planned for; Snapshot is null when it could not be read.
    private sealed record HostPart(
        Host Host,
        string? Error,
        Snapshot? Snapshot,
        ImmutableArray<ResourceRecord> Records,
        ImmutableArray<Diagnostic> Diagnostics
    )
    {
        public bool RecordsAreWhole { get; init; } = true;

        public bool RecordsAreLoose { get; init; }

        public ImmutableArray<string> Obsolete { get; init; } = [];
    }

    // The records of all hosts: of a group's the newest copy, and on which hosts there is a copy.
    private sealed record Records(
        Dictionary<Address, ResourceRecord> Newest,
        Dictionary<Address, List<(string Host, long Serial)>> Copies,
        ImmutableDictionary<string, ImmutableArray<string>> Groups
    )
    {
        public static Records Of(IReadOnlyCollection<HostPart> parts, FleetReader fleet)
        {
            var newest = new Dictionary<Address, ResourceRecord>(parts.Sum(part => part.Records.Length));
            var copies = new Dictionary<Address, List<(string Host, long Serial)>>();
            // In the order of their names: of two copies that are as new the same one counts every time.
            foreach (
                var (part, record) in parts
                    .OrderBy(part => part.Host.Name, StringComparer.Ordinal)
                    .SelectMany(part => part.Records.Select(record => (part, record)))
            )
            {
                var group = fleet._providers.Find(record.Address.Type) is IGroupResourceProvider;
                if (group)
                {
                    copies.TryAdd(record.Address, []);
                    copies[record.Address].Add((part.Host.Name, record.Serial));
                }

                if (!group || !newest.TryGetValue(record.Address, out var other) || other.Serial < record.Serial)
                {
                    newest[record.Address] = record;
                }
            }

            var groups = copies
                .GroupBy(pair => pair.Key.Host)
                .ToImmutableDictionary(
                    group => group.Key,
                    group =>
                        group
                            .SelectMany(pair => pair.Value)
                            .Select(copy => copy.Host)
                            .Distinct()
                            .Order(StringComparer.Ordinal)
                            .ToImmutableArray(),
                    StringComparer.Ordinal
                );
            return new Records(newest, copies, groups);
        }
    }

    // The hosts that a resource of a group is read from.
    private ImmutableArray<string> MembersOf(string group, Records records) =>
        _cluster.Groups.Any(known => known.Name == group) ? _cluster.HostsOf(group) : records.Groups.GetValueOrDefault(group, []);

    private Survey Join(IReadOnlyCollection<HostPart> parts, List<Resource> more, List<GroupPolicy> policies, Records records)
    {
        var snapshots = parts
            .Where(part => part.Snapshot is not null)
            .ToDictionary(part => part.Host.Name, part => part.Snapshot!, StringComparer.Ordinal);
        var observations = new Dictionary<Address, Observation>(_cluster.Resources.Length + more.Count);
        Func<Resource, Observation?> judge = Judge;
        foreach (var resource in _cluster.Resources.Concat(more))
        {
            if (Observe(resource) is { } observation)
            {
                observations[resource.Address] = observation;
            }
        }

        foreach (var policy in policies)
        {
            if (ObserveGroup(policy) is { } observation)
            {
                observations[policy.Address] = observation;
            }
        }

        // Who has left the group may still have an old copy.
        var unreachable = parts.Where(part => part.Snapshot is null).Select(part => part.Host.Name).ToImmutableHashSet();
        var uneven = records.Copies.Where(pair =>
            pair.Value.Where(copy => MembersOf(pair.Key.Host, records).Contains(copy.Host)).Select(copy => copy.Serial).Distinct().Count()
                > 1
            || _cluster.HostsOf(pair.Key.Host).Any(host => snapshots.ContainsKey(host) && pair.Value.All(copy => copy.Host != host))
        );
        // One record that is written again mends the directory that holds them all.
        var mending = parts
            .Where(part => part.RecordsAreLoose && !part.Records.IsEmpty)
            .Select(part => part.Records.Min(record => record.Address));
        return new Survey(
            records.Newest,
            observations,
            parts
                .Where(part => part.Error is not null)
                .ToImmutableSortedDictionary(part => part.Host.Name, part => part.Error!, StringComparer.Ordinal),
            PeerFindings.Fold(
                [
                    .. parts
                        .SelectMany(part => part.Diagnostics)
                        .OrderBy(diagnostic => diagnostic.Host, StringComparer.Ordinal)
                        .ThenBy(diagnostic => diagnostic.Summary, StringComparer.Ordinal),
                ],
                unreachable
            )
        )
        {
            UnevenRecords = [.. uneven.Select(pair => pair.Key), .. mending],
            Unreachable = unreachable,
            RecordsRead = [.. parts.Where(part => part.Snapshot is not null && part.RecordsAreWhole).Select(part => part.Host.Name)],
            ObsoleteRecords = parts
                .Where(part => !part.Obsolete.IsEmpty)
                .ToImmutableDictionary(part => part.Host.Name, part => part.Obsolete, StringComparer.Ordinal),
            RecordedGroups = records.Groups,
            Observe = Observe,
            ObserveGroup = ObserveGroup,
        };

        // The last one counts: a resource that was read as it was applied, over one that was read as it is configured.
        Observation? Observe(Resource resource) => Understood(judge, resource);

        Observation? ObserveGroup(GroupPolicy policy) =>
            Answers(policy.Group) is { Count: > 0 } answers ? Understood(subject => subject.Rules.Observe(subject, answers), policy) : null;

        static Observation? Understood<T>(Func<T, Observation?> judge, T subject)
        {
            try
            {
                return judge(subject);
            }
            catch (Exception exception)
                when (exception
                        is JsonException
                            or KeyNotFoundException
                            or InvalidOperationException
                            or FormatException
                            or OverflowException
                )
            {
                // A number where a text should be, or a key that is missing: another program answered than the one that was asked.
                return new Observation.Unknown($"the host's answer was not understood: {exception.Message}");
            }
            catch (Exception exception) when (exception is not OperationCanceledException)
            {
                // What a provider did not foresee in a host's answer is an error of that resource; all others are planned.
                return new Observation.Unknown($"internal error while observing it: {exception.Message}");
            }
        }

        Observation? Judge(Resource resource)
        {
            switch (_providers.Get(resource.Address.Type))
            {
                case IHostResourceProvider provider:
                    return snapshots.TryGetValue(resource.Address.Host, out var snapshot) ? provider.Observe(resource, snapshot) : null;
                case IGroupResourceProvider provider:
                    var answers = Answers(resource.Address.Host);
                    return answers.Count > 0 ? provider.Observe(resource, answers) : null;
                default:
                    return null;
            }
        }

        Dictionary<string, Snapshot> Answers(string group) =>
            MembersOf(group, records)
                .Where(snapshots.ContainsKey)
                .ToDictionary(host => host, host => snapshots[host], StringComparer.Ordinal);
    }

    private async Task<HostPart> SurveyHostAsync(Host host, bool checkPreconditions, CancellationToken cancellationToken)
    {
        try
        {
            var reader = await ReaderAsync(host, cancellationToken).ConfigureAwait(false);
            return await ReadHostAsync(host, reader, checkPreconditions, cancellationToken).ConfigureAwait(false);
        }
        catch (HostException exception)
        {
            return Failed(host, exception);
        }
    }

    private static HostPart Failed(Host host, HostException exception) => new(host, exception.InFull, null, [], []);

    private async Task<HostPart> ReadHostAsync(Host host, IHostReader reader, bool checkPreconditions, CancellationToken cancellationToken)
    {
        var snapshot = await reader.ReadAsync(ProbeReads(host.Name, checkPreconditions), cancellationToken).ConfigureAwait(false);
        var diagnostics = ImmutableArray.CreateBuilder<Diagnostic>();
        var (records, others, obsolete, damaged) = RecordsIn(host.Name, snapshot);
        var error = damaged ?? NotOf(host.Name, others);
        var loose = damaged is null ? RecordsTrust.Loose(snapshot.Get(new RecordsRead(_cluster.Name))) : null;
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

        if (checkPreconditions)
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

        // The text of the records takes much memory, and is read.
        return new HostPart(host, error, snapshot.Without(new RecordsRead(_cluster.Name)), records, diagnostics.ToImmutable())
        {
            RecordsAreWhole = damaged is null,
            RecordsAreLoose = loose is not null,
            Obsolete = obsolete,
        };
    }

    // A host's own records, with those of its groups; those that speak of another host; the files that say nothing any more; and why a
    // record cannot be used.
    private (
        ImmutableArray<ResourceRecord> Own,
        ImmutableArray<ResourceRecord> Others,
        ImmutableArray<string> Obsolete,
        string? Damaged
    ) RecordsIn(string host, Snapshot snapshot)
    {
        var folder = snapshot.Get(new RecordsRead(_cluster.Name));
        if (RecordsTrust.Refusal(folder) is { } refusal)
        {
            return ([], [], [], refusal);
        }

        string? error = null;
        var own = ImmutableArray.CreateBuilder<ResourceRecord>();
        var others = ImmutableArray.CreateBuilder<ResourceRecord>();
        var texts = new TextPool(_resources[host]);
        var obsolete = ImmutableArray.CreateBuilder<string>();
        foreach (var file in folder.Files)
        {
            try
            {
                if (RecordJson.Read(file.Text, _cluster.Name, _providers, texts: texts) is not { } record)
                {
                    obsolete.Add(file.At.Path);
                    continue;
                }

                if (RecordScript.PathOf(record.Address, _cluster.Name) is var path && path != file.At.Path)
                {
                    throw new FormatException($"it is the record of {record.Address}, whose file is {path}");
                }

                Understand(record);
                (record.Address.Host != host && _providers.Find(record.Address.Type) is IHostResourceProvider ? others : own).Add(record);
            }
            catch (Exception exception)
                when (exception is FormatException or InvalidOperationException or KeyNotFoundException or ArgumentException)
            {
                error ??= $"the record {file.At.Path} cannot be used: {exception.Message}";
            }
        }

        return (own.ToImmutable(), others.ToImmutable(), obsolete.ToImmutable(), error);
    }

    // A record that its own type cannot ask about or compare is damaged, and makes its host an error instead of the run.
    private void Understand(ResourceRecord record)
    {
        var (provider, resource) = (_providers.Get(record.Address.Type), record.ToResource());
        _ = provider.Reads(resource).Count();
        _ = provider.Links(resource);
        _ = provider.Desired(resource);
    }

    // Records go with the disk: into a host that was made from a copy of another, and along with one that got another name. What they speak
    // of is not what is there, or is not called that any more.
    private string? NotOf(string host, ImmutableArray<ResourceRecord> others)
    {
        var directory = RecordScript.Directory(_cluster.Name);
        var said = others
            .GroupBy(record => record.Address.Host)
            .OrderBy(group => group.Key, StringComparer.Ordinal)
            .Select(group =>
            {
                var other = group.Key;
                var first = group.Min(record => record.Address);
                return (
                        group.Count() == 1
                            ? $"{directory} holds a record of {other}, {first}; "
                            : $"{directory} holds {group.Count()} records of {other}, such as {first}; "
                    )
                    + (
                        _cluster.Hosts.Any(known => known.Name == other)
                            ? $"if {host} was cloned from {other}, move that directory away on {host}; kbr state rm would "
                                + $"remove the records on {other}, too"
                            : $"if {other} is called {host} now: kbr state mv '*@{other}' '*@{host}', or kbr state rm '*@{other}' "
                                + $"and then adopt its resources; if {host} was cloned from it, move that directory away on "
                                + $"{host}"
                    );
            })
            .ToList();
        return said.Count == 0 ? null : string.Join("; ", said);
    }

    // Asks a host what only the records made known.
    private async Task<HostPart> ReadMoreAsync(
        HostPart part,
        Records records,
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
                resource.Address.Host == part.Host.Name || MembersOf(resource.Address.Host, records).Contains(part.Host.Name)
            )
            .SelectMany(resource => _providers.Get(resource.Address.Type).Reads(resource))
            .Concat(
                policies
                    .Where(policy => MembersOf(policy.Group, records).Contains(part.Host.Name))
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
}
