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

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary>One run over one cluster file: what plan, apply and destroy have in common.</summary>
internal sealed class Session : IAsyncDisposable
{
    private readonly IPreconditionChecks _preconditions;
    private readonly RemoteSteps _steps;

    public Session(Cluster cluster, ProviderRegistry providers, IPreconditionChecks preconditions, IHostConnector connector, RemoteSteps steps, int parallelism)
    {
        _preconditions = preconditions;
        _steps = steps;
        Cluster = cluster;
        Providers = providers;
        Graph = ResourceGraph.Build(cluster.Resources, providers);
        Fleet = new Fleet(cluster, providers, _preconditions, new CountedConnector(connector, steps), parallelism);
        Planner = new Planner(providers, new Fingerprint(cluster.Secrets.Find(Secrets.KeyName)!));
        Parallelism = parallelism;
    }

    public Cluster Cluster { get; }

    public ProviderRegistry Providers { get; }

    public ResourceGraph Graph { get; }

    public Fleet Fleet { get; }

    public Planner Planner { get; }

    public int Parallelism { get; }

    /// <summary>The last survey; null before the first.</summary>
    public Survey? Survey { get; private set; }

    public async Task<Plan> PlanAsync(PlanOptions options, CancellationToken cancellationToken)
    {
        Survey = await Fleet.SurveyAsync(Hosts(options), checkPreconditions: !options.Destroy && !options.Import, cancellationToken).ConfigureAwait(false);
        var plan = Planner.Plan(new PlanInput(Graph, Survey.Records, Survey.Observations, Survey.HostErrors, options) { UnevenRecords = Survey.UnevenRecords });
        return plan with { Diagnostics = [.. Cluster.Warnings, .. Survey.Diagnostics, .. plan.Diagnostics] };
    }

    public Applier Applier() => new(Cluster, Providers, Fleet, TimeProvider.System, Parallelism, perHost: 4);

    /// <summary>Writes the operator's copy of the records as they are on the hosts now.</summary>
    public async Task SaveStateAsync(PlanOptions options, CancellationToken cancellationToken)
    {
        await PlanAsync(options, cancellationToken).ConfigureAwait(false);
        StateFile.Write(Path.Combine(Cluster.Directory, "state", Cluster.Name + ".json"), Cluster.Name, Survey!.Records.Values);
    }

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

    // With targets only the hosts that they and what they need are on are looked at.
    private IEnumerable<Host> Hosts(PlanOptions options)
    {
        if (options.Targets.IsEmpty)
        {
            return Cluster.Hosts;
        }

        // A member of a group is not disrupted without a look at the others.
        var needed = Graph.WithRequirements(Graph.Order.Where(address => options.Targets.Any(target => target.Matches(address))))
            .SelectMany(address => Cluster.HostsOf(address.Host).Concat(Graph.Find(address)?.Resource.Group is { } group ? Cluster.HostsOf(group) : []))
            .ToHashSet(StringComparer.Ordinal);
        return Cluster.Hosts.Where(host => needed.Contains(host.Name) || options.Targets.Any(target => target.MatchesHost(host.Name)));
    }
}
