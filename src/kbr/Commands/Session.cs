using System.Collections.Immutable;
using System.CommandLine;
using KeyBuzz.Reconciler.Applying;
using KeyBuzz.Reconciler.Cli.Steps;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Graph;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Surveying;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary>One run over one cluster file: what plan, apply and destroy have in common.</summary>
internal sealed class Session : IAsyncDisposable
{
    private readonly IPreconditionChecks _preconditions;
    private readonly RemoteSteps _steps;

    public Session(
        Cluster cluster,
        ProviderRegistry providers,
        IPreconditionChecks preconditions,
        IHostConnector connector,
        RemoteSteps steps,
        TimeProvider time,
        int parallelism
    )
    {
        _preconditions = preconditions;
        _steps = steps;
        Time = time;
        Cluster = cluster;
        Providers = providers;
        Fleet = new Fleet(cluster, providers, _preconditions, new CountedConnector(connector, steps), parallelism);
        Fingerprint = new Fingerprint(cluster.Secrets.Find(Secrets.KeyName)!);
        Planner = new Planner(providers, Fingerprint);
        Parallelism = parallelism;
    }

    public Cluster Cluster { get; }

    public ProviderRegistry Providers { get; }

    public ResourceGraph Graph => Cluster.Graph;

    public Fleet Fleet { get; }

    public Planner Planner { get; }

    public Fingerprint Fingerprint { get; }

    public int Parallelism { get; }

    /// <summary>The clock of this run.</summary>
    public TimeProvider Time { get; }

    /// <summary>Reads the hosts and plans.</summary>
    public async Task<PlannedRun> PlanAsync(PlanOptions options, CancellationToken cancellationToken)
    {
        var copy = StateFile.Read(StateFile.PathOf(Cluster.Directory, Cluster.Name), Cluster.Name, Providers);
        var survey = await SurveyAsync(options, cancellationToken).ConfigureAwait(false);
        var input = new PlanInput(Graph, survey.Records, survey.Observations, survey.HostErrors, options)
        {
            UnevenRecords = survey.UnevenRecords,
            Unreachable = survey.Unreachable,
            Moved = Cluster.Moved,
            ReportedHosts =
            [
                .. survey
                    .Diagnostics.Where(diagnostic => diagnostic.Severity == Severity.Error)
                    .Select(diagnostic => diagnostic.Host)
                    .OfType<string>(),
            ],
            LastKnown = survey
                .Unreachable.Select(host => KeyValuePair.Create(host, copy.Held(host)))
                .Where(pair => pair.Value is not null)
                .ToImmutableDictionary()!,
        };
        var plan = Planner.Plan(input);
        return new PlannedRun(
            plan with
            {
                Diagnostics =
                [
                    .. Cluster.Warnings,
                    .. copy.Diagnostics,
                    .. Left(copy, options),
                    .. survey.Diagnostics,
                    .. plan.Diagnostics,
                    .. Targeted(options),
                ],
            },
            input,
            survey
        );
    }

    // A destroy removes the applied resource at its applied path and name, whatever cluster.yaml says now.
    private Task<Survey> SurveyAsync(PlanOptions options, CancellationToken cancellationToken)
    {
        if (!options.Destroy)
        {
            return Fleet.SurveyAsync(Hosts(options), checkPreconditions: !options.Import, cancellationToken);
        }

        var applied = new DriftFinder(Providers, Graph, Cluster.Secrets.Find(Secrets.KeyName));
        return Fleet.SurveyAppliedAsync(Hosts(options), applied.Applied, applied.Applied, cancellationToken);
    }

    /// <summary>The basis of a plan, as fingerprints for a saved plan.</summary>
    public PlanBasis BasisOf(PlannedRun run, byte[] key) =>
        PlanBasis.Of(
            run.Input,
            run.Plan,
            Providers,
            key,
            Cluster.Sources,
            Cluster.Hosts.Select(host => KeyValuePair.Create(host.Name, $"{host.Address} {host.Endpoint}"))
        );

    public Applier Applier() =>
        new(Cluster, Providers, Fleet, Time, Parallelism, perHost: 4)
        {
            History = new HistoryWriter(Cluster.Name, VersionCommand.Version, Cluster.Secrets.Mask),
        };

    /// <summary>The description of this run in its locks.</summary>
    /// <param name="word">The command.</param>
    public LockHolder Holder(string word) => HolderOf(word, Time);

    /// <summary>This run as the holder of a lock.</summary>
    public static LockHolder HolderOf(string word, TimeProvider time) =>
        new(Environment.UserName, Environment.MachineName, Environment.ProcessId, Environment.CurrentDirectory, word, time.GetUtcNow());

    /// <summary>Writes the operator's copy of the records as they are on the hosts now; of hosts that could not be read it keeps what it
    /// has, unless that was to be forgotten.</summary>
    /// <param name="options">What the run was about.</param>
    /// <param name="givenUp">The hosts whose records are forgotten where they still cannot be read.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public async Task SaveStateAsync(PlanOptions options, IReadOnlySet<string> givenUp, CancellationToken cancellationToken)
    {
        var found = await RecordsSession.ReadAsync(Cluster, Providers, Fleet, Hosts(options), cancellationToken).ConfigureAwait(false);
        RecordsSession.Pull(
            Cluster,
            found,
            found
                .Copies.Select(copy => copy.Record.Address)
                .Where(address =>
                    givenUp.Contains(address.Host) && (options.Targets.IsEmpty || options.Targets.Any(target => target.Matches(address)))
                )
        );
    }

    // Resources on hosts that left the cluster file, which are not read.
    private IEnumerable<Diagnostic> Left(StateCopy copy, PlanOptions options) =>
        copy
            .Records.Where(record =>
                Providers.Find(record.Address.Type) is IHostResourceProvider && Cluster.Hosts.All(host => host.Name != record.Address.Host)
            )
            .GroupBy(record => record.Address.Host)
            .Where(left => options.Targets.IsEmpty)
            .OrderBy(left => left.Key, StringComparer.Ordinal)
            .Select(left =>
                Diagnostic.Warning(
                    $"{left.Key} is no longer a host of {Cluster.File}, and {left.Count()} "
                        + $"{(left.Count() == 1 ? "resource was" : "resources were")} left there when it was last read",
                    detail: copy.Held(left.Key),
                    remedy: $"put it back and run kbr destroy --target '*@{left.Key}' to remove them; if the host no longer "
                        + $"exists: kbr state rm '*@{left.Key}'",
                    host: left.Key
                )
            );

    // To destroy a part, or to import one, is complete in itself.
    private IEnumerable<Diagnostic> Targeted(PlanOptions options) =>
        options is { Targets.IsEmpty: true } or { Destroy: true } or { Import: true } or { TargetsOnly: true }
            ? []
            :
            [
                Diagnostic.Warning(
                    "--target is in effect: the plan covers the targeted resources and their dependencies only",
                    detail: $"other resources may differ from {Cluster.File}, too, and stay as they are",
                    remedy: "use --target in exceptional situations, such as a recovery; then run kbr plan without it"
                ),
            ];

    public void ShowCost(Terminal terminal)
    {
        foreach (var (host, connection) in Fleet.Connections.OrderBy(pair => pair.Key, StringComparer.Ordinal))
        {
            terminal.ErrorLine($"{host}: 1 connection, {connection.Reader.ScriptCount} probe scripts", Terminal.Tone.Faint);
        }

        terminal.ErrorLine($"writers opened: {Fleet.WriterCount}", Terminal.Tone.Faint);
        terminal.ErrorLine($"remote steps: {_steps.Count}", Terminal.Tone.Faint);
    }

    public ValueTask DisposeAsync() => Fleet.DisposeAsync();

    // With targets only their hosts and those of their dependencies are read; for a destroy, those of their dependents, which go first.
    private IEnumerable<Host> Hosts(PlanOptions options)
    {
        if (options.Targets.IsEmpty)
        {
            return Cluster.Hosts;
        }

        // A resource that left the configuration is known by its record only: so all hosts and groups that are named are looked at. A
        // member of a group is not disrupted without a look at the others, and at the hosts beside them that its policy works on.
        var matched = Graph.Order.Where(address => options.Targets.Any(target => target.Matches(address)));
        var places = (options.Destroy ? Graph.WithDependents(matched) : Graph.WithRequirements(matched))
            .SelectMany(address => (string?[])[address.Host, Graph.Find(address)?.Resource.Group])
            .Concat(Cluster.Hosts.Select(host => host.Name).Where(IsNamed))
            .Concat(Cluster.Groups.Select(group => group.Name).Where(IsNamed))
            .OfType<string>()
            .ToHashSet(StringComparer.Ordinal);
        var beside = Cluster.Policies.Where(policy => places.Contains(policy.Group)).SelectMany(policy => policy.Beside);
        var needed = places.SelectMany(place => Cluster.HostsOf(place)).Concat(beside).ToHashSet(StringComparer.Ordinal);
        return Cluster.Hosts.Where(host => needed.Contains(host.Name));

        bool IsNamed(string place) => options.Targets.Any(target => target.MatchesHost(place));
    }
}
