using System.Collections.Concurrent;
using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Hosts;

/// <summary>What all hosts were found to hold at one time.</summary>
/// <param name="Records">What was last applied.</param>
/// <param name="Observations">What is there, for desired and recorded resources.</param>
/// <param name="HostErrors">Hosts that could not be read or may not be touched, with the reason.</param>
/// <param name="Diagnostics">Preconditions that do not hold, and records that could not be read.</param>
public sealed record Survey(
    ImmutableDictionary<Address, ResourceRecord> Records,
    ImmutableDictionary<Address, Observation> Observations,
    ImmutableSortedDictionary<string, string> HostErrors,
    ImmutableArray<Diagnostic> Diagnostics)
{
    /// <summary>Records of a group that are not the same on every member that could be read.</summary>
    public ImmutableHashSet<Address> UnevenRecords { get; init; } = [];

    /// <summary>The hosts that each group's records were found on, also of groups that the configuration has no more.</summary>
    public ImmutableDictionary<string, ImmutableArray<string>> RecordedGroups { get; init; } = ImmutableDictionary<string, ImmutableArray<string>>.Empty;
}

/// <summary>Holds the one connection per host of a run, and reads through them. It hands out no writer by itself.</summary>
public sealed class Fleet : IAsyncDisposable
{
    private readonly Cluster _cluster;
    private readonly ProviderRegistry _providers;
    private readonly IPreconditionChecks _preconditions;
    private readonly IHostConnector _connector;
    private readonly int _parallelism;
    private readonly ConcurrentDictionary<string, IHostConnection> _connections = new(StringComparer.Ordinal);
    private ImmutableDictionary<Address, long> _serials = ImmutableDictionary<Address, long>.Empty;
    private int _writers;

    /// <summary>Takes what a survey needs; opens nothing yet.</summary>
    public Fleet(Cluster cluster, ProviderRegistry providers, IPreconditionChecks preconditions, IHostConnector connector, int parallelism)
    {
        _cluster = cluster;
        _providers = providers;
        _preconditions = preconditions;
        _connector = connector;
        _parallelism = parallelism;
    }

    /// <summary>The connections that are open, by host.</summary>
    public IReadOnlyDictionary<string, IHostConnection> Connections => _connections;

    /// <summary>The reads of the first probe of a host, as every command makes it.</summary>
    public IReadOnlyCollection<Read> ProbeReads(string host, bool checkPreconditions)
    {
        var reads = new HashSet<Read> { new RecordsRead(_cluster.Name) };
        foreach (var resource in Concerning(host))
        {
            reads.UnionWith(_providers.Get(resource.Address.Type).Reads(resource));
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

    /// <summary>Connects to every host that is not connected yet and reads what it holds: one script per host, and one more where records speak of
    /// resources that the configuration does not have any more. A host that fails is named in the survey; the others are read all the same.</summary>
    /// <param name="hosts">The hosts to look at.</param>
    /// <param name="checkPreconditions">Whether preconditions are read and judged.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public async Task<Survey> SurveyAsync(IEnumerable<Host> hosts, bool checkPreconditions, CancellationToken cancellationToken)
    {
        var parts = new ConcurrentBag<HostPart>();
        await Parallel.ForEachAsync(
            hosts,
            new ParallelOptions { MaxDegreeOfParallelism = _parallelism, CancellationToken = cancellationToken },
            async (host, token) => parts.Add(await SurveyHostAsync(host, checkPreconditions, token).ConfigureAwait(false))).ConfigureAwait(false);
        var survey = Join([.. parts]);
        RecordedGroups = survey.RecordedGroups;
        _serials = survey.Records.Values.Where(record => record.Serial > 0).ToImmutableDictionary(record => record.Address, record => record.Serial);
        return survey;
    }

    /// <summary>The hosts that a group's records were found on in the last survey.</summary>
    public ImmutableDictionary<string, ImmutableArray<string>> RecordedGroups { get; private set; } = ImmutableDictionary<string, ImmutableArray<string>>.Empty;

    /// <summary>The serial of a group's record in the last survey; 0 when it had none.</summary>
    public long SerialOf(Address address) => _serials.GetValueOrDefault(address);

    /// <summary>Connects to every host that is not connected yet and asks each its own reads, one script per host; answers what each said, or why it could not be read.</summary>
    public async Task<IReadOnlyDictionary<string, (Snapshot? Snapshot, string? Error)>> ReadAsync(
        IEnumerable<Host> hosts, Func<Host, IReadOnlyCollection<Read>> reads, CancellationToken cancellationToken)
    {
        var answers = new ConcurrentDictionary<string, (Snapshot?, string?)>(StringComparer.Ordinal);
        await Parallel.ForEachAsync(
            hosts,
            new ParallelOptions { MaxDegreeOfParallelism = _parallelism, CancellationToken = cancellationToken },
            async (host, token) =>
            {
                try
                {
                    var connection = await ConnectAsync(host, token).ConfigureAwait(false);
                    answers[host.Name] = (await connection.Reader.ReadAsync(reads(host), token).ConfigureAwait(false), null);
                }
                catch (HostException exception)
                {
                    answers[host.Name] = (null, exception.Message);
                }
            }).ConfigureAwait(false);
        return answers;
    }

    private async Task<IHostConnection> ConnectAsync(Host host, CancellationToken cancellationToken)
    {
        if (!_connections.TryGetValue(host.Name, out var connection))
        {
            connection = await _connector.ConnectAsync(host, cancellationToken).ConfigureAwait(false);
            _connections[host.Name] = connection;
        }

        return connection;
    }

    /// <summary>How many writers were opened; a run that changes nothing opens none.</summary>
    public int WriterCount => _writers;

    /// <summary>Takes the lock of a host that was surveyed and opens its writer.</summary>
    public Task<IHostWriter> OpenWriterAsync(string host, LockHolder holder, int parallelism, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _writers);
        return _connections[host].OpenWriterAsync(holder, parallelism, cancellationToken);
    }

    /// <summary>Reads one resource again.</summary>
    public async Task<Observation> ObserveAsync(Resource resource, CancellationToken cancellationToken)
    {
        var reads = _providers.Get(resource.Address.Type).Reads(resource).ToHashSet();
        if (_providers.Get(resource.Address.Type) is IHostResourceProvider provider)
        {
            return provider.Observe(resource, await _connections[resource.Address.Host].Reader.ReadAsync(reads, cancellationToken).ConfigureAwait(false));
        }

        var snapshots = new ConcurrentDictionary<string, Snapshot>(StringComparer.Ordinal);
        await Task.WhenAll(_cluster.HostsOf(resource.Address.Host).Where(_connections.ContainsKey).Select(async host =>
        {
            try
            {
                snapshots[host] = await _connections[host].Reader.ReadAsync(reads, cancellationToken).ConfigureAwait(false);
            }
            catch (HostException)
            {
                // Judged by the members that answer; the provider says when they are too few.
            }
        })).ConfigureAwait(false);
        return ((IGroupResourceProvider)_providers.Get(resource.Address.Type)).Observe(resource, snapshots);
    }

    /// <inheritdoc />
    public async ValueTask DisposeAsync()
    {
        await Task.WhenAll(_connections.Values.Select(connection => connection.DisposeAsync().AsTask())).ConfigureAwait(false);
        _connections.Clear();
    }

    private IEnumerable<Precondition> Preconditions(string host) =>
        _cluster.Preconditions.Where(precondition => precondition.Host == host && precondition.Level != PreconditionLevel.Off);

    // What is read on a host: its own resources, and those of the groups it is a member of.
    private IEnumerable<Resource> Concerning(string host)
    {
        var places = _cluster.Groups.Where(group => group.Members.Contains(host)).Select(group => group.Name).Append(host).ToHashSet(StringComparer.Ordinal);
        return _cluster.Resources.Where(resource => places.Contains(resource.Address.Host));
    }

    // What one host contributes to a survey. Error is the reason why it may not be planned for; Snapshot is null when it could not be read.
    private sealed record HostPart(string Host, string? Error, Snapshot? Snapshot, ImmutableArray<ResourceRecord> Records, ImmutableArray<Diagnostic> Diagnostics);

    private Survey Join(IReadOnlyList<HostPart> parts)
    {
        var records = new Dictionary<Address, ResourceRecord>();
        var copies = new Dictionary<Address, List<(string Host, long Serial)>>();
        foreach (var (part, record) in parts.SelectMany(part => part.Records.Select(record => (part, record))))
        {
            var group = IsOfGroup(record.Address);
            if (group)
            {
                copies.TryAdd(record.Address, []);
                copies[record.Address].Add((part.Host, record.Serial));
            }

            if (!group || !records.TryGetValue(record.Address, out var other) || other.Serial < record.Serial)
            {
                records[record.Address] = record;
            }
        }

        var snapshots = parts.Where(part => part.Snapshot is not null).ToDictionary(part => part.Host, part => part.Snapshot!, StringComparer.Ordinal);
        var recordedGroups = copies.GroupBy(pair => pair.Key.Host).ToImmutableDictionary(
            group => group.Key, group => group.SelectMany(pair => pair.Value).Select(copy => copy.Host).Distinct().Order(StringComparer.Ordinal).ToImmutableArray(), StringComparer.Ordinal);
        var desired = _cluster.Resources.Select(resource => resource.Address).ToHashSet();
        var observations = ImmutableDictionary.CreateBuilder<Address, Observation>();
        foreach (var resource in _cluster.Resources.Concat(records.Values.Where(record => !desired.Contains(record.Address)).Select(record => record.ToResource())))
        {
            switch (_providers.Get(resource.Address.Type))
            {
                case IHostResourceProvider provider when snapshots.TryGetValue(resource.Address.Host, out var snapshot):
                    observations[resource.Address] = provider.Observe(resource, snapshot);
                    break;
                case IGroupResourceProvider provider:
                    var members = _cluster.Groups.Any(group => group.Name == resource.Address.Host)
                        ? _cluster.HostsOf(resource.Address.Host)
                        : recordedGroups.GetValueOrDefault(resource.Address.Host, []);
                    var answers = members.Where(snapshots.ContainsKey).ToDictionary(host => host, host => snapshots[host], StringComparer.Ordinal);
                    if (answers.Count > 0)
                    {
                        observations[resource.Address] = provider.Observe(resource, answers);
                    }

                    break;
            }
        }

        var uneven = copies.Where(pair => pair.Value.Select(copy => copy.Serial).Distinct().Count() > 1
            || _cluster.HostsOf(pair.Key.Host).Any(host => snapshots.ContainsKey(host) && pair.Value.All(copy => copy.Host != host)));
        return new Survey(
            records.ToImmutableDictionary(),
            observations.ToImmutable(),
            parts.Where(part => part.Error is not null).ToImmutableSortedDictionary(part => part.Host, part => part.Error!, StringComparer.Ordinal),
            [.. parts.SelectMany(part => part.Diagnostics).OrderBy(diagnostic => diagnostic.Host, StringComparer.Ordinal).ThenBy(diagnostic => diagnostic.Summary, StringComparer.Ordinal)])
        {
            UnevenRecords = uneven.Select(pair => pair.Key).ToImmutableHashSet(),
            RecordedGroups = recordedGroups,
        };
    }

    private bool IsOfGroup(Address address) => _providers.Find(address.Type) is IGroupResourceProvider;

    private async Task<HostPart> SurveyHostAsync(Host host, bool checkPreconditions, CancellationToken cancellationToken)
    {
        try
        {
            var connection = await ConnectAsync(host, cancellationToken).ConfigureAwait(false);
            return await ReadHostAsync(connection, checkPreconditions, cancellationToken).ConfigureAwait(false);
        }
        catch (HostException exception)
        {
            var reason = exception.Remedy is null ? exception.Message : $"{exception.Message}; {exception.Remedy}";
            return new HostPart(host.Name, reason, null, [], []);
        }
    }

    private async Task<HostPart> ReadHostAsync(IHostConnection connection, bool checkPreconditions, CancellationToken cancellationToken)
    {
        var host = connection.Host.Name;
        var snapshot = await connection.Reader.ReadAsync(ProbeReads(host, checkPreconditions), cancellationToken).ConfigureAwait(false);
        var diagnostics = ImmutableArray.CreateBuilder<Diagnostic>();
        string? error = null;
        var records = ImmutableArray.CreateBuilder<ResourceRecord>();
        foreach (var text in snapshot.Get(new RecordsRead(_cluster.Name)))
        {
            try
            {
                records.Add(RecordJson.Read(text, _cluster.Name, _providers));
            }
            catch (FormatException exception)
            {
                error = $"a record in /var/lib/kbr/{_cluster.Name}/records cannot be used: {exception.Message}";
            }
        }

        if (checkPreconditions)
        {
            foreach (var precondition in Preconditions(host))
            {
                if (_preconditions.Evaluate(precondition, snapshot) is { } finding)
                {
                    var severity = precondition.Level == PreconditionLevel.Error ? Severity.Error : Severity.Warning;
                    diagnostics.Add(finding with { Severity = severity, Host = host, Location = finding.Location ?? precondition.Location });
                    if (severity == Severity.Error)
                    {
                        error = "a precondition does not hold";
                    }
                }
            }
        }

        var desired = Concerning(host).Select(resource => resource.Address).ToHashSet();
        var wanted = records.Where(record => !desired.Contains(record.Address)).Select(record => record.ToResource())
            .SelectMany(orphan => _providers.Get(orphan.Address.Type).Reads(orphan)).ToHashSet();
        if (wanted.Count > 0)
        {
            snapshot = snapshot.With(await connection.Reader.ReadAsync(wanted, cancellationToken).ConfigureAwait(false));
        }

        return new HostPart(host, error, snapshot, records.ToImmutable(), diagnostics.ToImmutable());
    }
}
