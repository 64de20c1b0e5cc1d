using System.Collections.Immutable;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Graph;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Surveying;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary>One look at the hosts of a cluster file for what was changed on them. It holds no type that can write
/// (<c>ArchitectureTests.Drift_holds_no_type_that_can_change_a_host</c>).</summary>
internal sealed class DriftSession(Cluster cluster, ProviderRegistry providers, FleetReader fleet) : IAsyncDisposable
{
    /// <summary>Reads the hosts and compares what is recorded with what is there.</summary>
    public async Task<Drift> FindAsync(
        ImmutableArray<AddressPattern> targets,
        IEnumerable<IgnoreRule> ignored,
        CancellationToken cancellationToken
    )
    {
        var graph = cluster.Graph;
        var finder = new DriftFinder(providers, graph, cluster.Secrets.Find(Secrets.KeyName));
        var hosts = Hosts(graph, targets);
        var survey = await fleet.SurveyAppliedAsync(hosts, finder.Applied, finder.Applied, cancellationToken).ConfigureAwait(false);
        var drift = finder.Find(
            new DriftInput(
                survey.Records,
                survey.Observe,
                survey.HostErrors,
                [.. hosts.Select(host => host.Name)],
                targets,
                [.. ignored, .. cluster.IgnoredDrift]
            )
            {
                ObserveGroup = survey.ObserveGroup,
            }
        );
        return drift with { Diagnostics = [.. cluster.Warnings, .. survey.Diagnostics, .. drift.Diagnostics] };
    }

    public void ShowCost(Terminal terminal)
    {
        foreach (var (host, reader) in fleet.Readers.OrderBy(pair => pair.Key, StringComparer.Ordinal))
        {
            terminal.ErrorLine($"{host}: 1 connection, {reader.ScriptCount} probe scripts", Terminal.Tone.Faint);
        }
    }

    public ValueTask DisposeAsync() => fleet.DisposeAsync();

    // Of a resource that only records know, the host part of the pattern says where it is; where not even that does, all hosts are looked
    // at.
    private ImmutableArray<Host> Hosts(ResourceGraph graph, ImmutableArray<AddressPattern> targets)
    {
        var places = graph
            .Order.Concat(graph.Policies.Select(node => node.Policy.Address))
            .Where(address => targets.Any(target => target.Matches(address)))
            .SelectMany(address => cluster.HostsOf(address.Host))
            .Concat(cluster.Groups.Where(group => targets.Any(target => target.MatchesHost(group.Name))).SelectMany(group => group.Members))
            .ToHashSet(StringComparer.Ordinal);
        ImmutableArray<Host> hosts =
        [
            .. cluster.Hosts.Where(host => places.Contains(host.Name) || targets.Any(target => target.MatchesHost(host.Name))),
        ];
        return hosts.IsEmpty ? cluster.Hosts : hosts;
    }
}
