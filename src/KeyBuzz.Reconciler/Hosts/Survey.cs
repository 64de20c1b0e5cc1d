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
    ImmutableArray<Diagnostic> Diagnostics);

/// <summary>Holds the one connection per host of a run, and reads through them. It hands out no writer by itself.</summary>
public sealed class Fleet : IAsyncDisposable
{
    private readonly Cluster _cluster;
    private readonly ProviderRegistry _providers;
    private readonly IPreconditionChecks _preconditions;
    private readonly IHostConnector _connector;
    private readonly int _parallelism;
    private readonly ConcurrentDictionary<string, IHostConnection> _connections = new(StringComparer.Ordinal);
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
        foreach (var resource in _cluster.Resources.Where(resource => resource.Address.Host == host))
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
        var parts = new ConcurrentBag<Survey>();
        await Parallel.ForEachAsync(
            hosts,
            new ParallelOptions { MaxDegreeOfParallelism = _parallelism, CancellationToken = cancellationToken },
            async (host, token) => parts.Add(await SurveyHostAsync(host, checkPreconditions, token).ConfigureAwait(false))).ConfigureAwait(false);
        return new Survey(
            parts.SelectMany(part => part.Records).ToImmutableDictionary(),
            parts.SelectMany(part => part.Observations).ToImmutableDictionary(),
            parts.SelectMany(part => part.HostErrors).ToImmutableSortedDictionary(StringComparer.Ordinal),
            [.. parts.SelectMany(part => part.Diagnostics).OrderBy(diagnostic => diagnostic.Host, StringComparer.Ordinal).ThenBy(diagnostic => diagnostic.Summary, StringComparer.Ordinal)]);
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
        var provider = (IHostResourceProvider)_providers.Get(resource.Address.Type);
        var snapshot = await _connections[resource.Address.Host].Reader.ReadAsync([.. provider.Reads(resource)], cancellationToken).ConfigureAwait(false);
        return provider.Observe(resource, snapshot);
    }

    /// <inheritdoc />
    public async ValueTask DisposeAsync()
    {
        await Task.WhenAll(_connections.Values.Select(connection => connection.DisposeAsync().AsTask())).ConfigureAwait(false);
        _connections.Clear();
    }

    private IEnumerable<Precondition> Preconditions(string host) =>
        _cluster.Preconditions.Where(precondition => precondition.Host == host && precondition.Level != PreconditionLevel.Off);

    private async Task<Survey> SurveyHostAsync(Host host, bool checkPreconditions, CancellationToken cancellationToken)
    {
        var none = new Survey(
            ImmutableDictionary<Address, ResourceRecord>.Empty, ImmutableDictionary<Address, Observation>.Empty, ImmutableSortedDictionary<string, string>.Empty, []);
        try
        {
            if (!_connections.TryGetValue(host.Name, out var connection))
            {
                connection = await _connector.ConnectAsync(host, cancellationToken).ConfigureAwait(false);
                _connections[host.Name] = connection;
            }

            return await ReadHostAsync(connection, checkPreconditions, none, cancellationToken).ConfigureAwait(false);
        }
        catch (HostException exception)
        {
            var reason = exception.Remedy is null ? exception.Message : $"{exception.Message}; {exception.Remedy}";
            return none with { HostErrors = none.HostErrors.Add(host.Name, reason) };
        }
    }

    private async Task<Survey> ReadHostAsync(IHostConnection connection, bool checkPreconditions, Survey none, CancellationToken cancellationToken)
    {
        var host = connection.Host.Name;
        var snapshot = await connection.Reader.ReadAsync(ProbeReads(host, checkPreconditions), cancellationToken).ConfigureAwait(false);
        var diagnostics = ImmutableArray.CreateBuilder<Diagnostic>();
        var errors = none.HostErrors;
        var records = ImmutableDictionary.CreateBuilder<Address, ResourceRecord>();
        foreach (var text in snapshot.Get(new RecordsRead(_cluster.Name)))
        {
            try
            {
                var record = RecordJson.Read(text, _cluster.Name, _providers);
                records[record.Address] = record;
            }
            catch (FormatException exception)
            {
                var reason = $"a record in /var/lib/kbr/{_cluster.Name}/records cannot be used: {exception.Message}";
                errors = errors.SetItem(host, reason);
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
                        errors = errors.SetItem(host, "a precondition does not hold");
                    }
                }
            }
        }

        var desired = _cluster.Resources.Where(resource => resource.Address.Host == host).ToDictionary(resource => resource.Address);
        var orphans = records.Values.Where(record => !desired.ContainsKey(record.Address)).Select(record => record.ToResource()).ToList();
        var wanted = orphans.SelectMany(orphan => _providers.Get(orphan.Address.Type).Reads(orphan)).ToHashSet();
        if (wanted.Count > 0)
        {
            snapshot = snapshot.With(await connection.Reader.ReadAsync(wanted, cancellationToken).ConfigureAwait(false));
        }

        var observations = desired.Values.Concat(orphans)
            .ToImmutableDictionary(resource => resource.Address, resource => ((IHostResourceProvider)_providers.Get(resource.Address.Type)).Observe(resource, snapshot));
        return new Survey(records.ToImmutable(), observations, errors, diagnostics.ToImmutable());
    }
}
