using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Surveying;

namespace KeyBuzz.Reconciler.Applying;

/// <summary>What one apply works with, once it holds the locks.</summary>
/// <param name="Cluster">The configuration.</param>
/// <param name="Providers">The resource types.</param>
/// <param name="Fleet">The connections.</param>
/// <param name="Time">The clock.</param>
/// <param name="Survey">The answers of the hosts.</param>
/// <param name="Places">Where steps work.</param>
/// <param name="Writers">The writers of the locked hosts.</param>
/// <param name="Disruptions">Whether a disruptive step may begin.</param>
/// <param name="Progress">Receives the progress.</param>
/// <param name="Stop">Once cancelled, no further change begins.</param>
/// <param name="Abort">Once cancelled, running changes are aborted.</param>
internal sealed record ApplyRun(
    Cluster Cluster,
    ProviderRegistry Providers,
    Fleet Fleet,
    TimeProvider Time,
    Survey Survey,
    Placement Places,
    IReadOnlyDictionary<string, IHostWriter> Writers,
    DisruptionGate Disruptions,
    IApplyProgress Progress,
    CancellationToken Stop,
    CancellationToken Abort
)
{
    /// <summary>The locked hosts that hold what an address names, and its record.</summary>
    public IEnumerable<string> LockedHostsOf(Address address) => Places.HostsOf(address).Where(Writers.ContainsKey);

    /// <summary>The members of a group.</summary>
    /// <param name="group">The group.</param>
    /// <param name="report">Receives the steps.</param>
    /// <param name="leaving">Hosts that are no members by the configuration any more.</param>
    public GroupAccess AccessOf(string group, IStepReport report, params IEnumerable<string> leaving)
    {
        var members = Cluster.HostsOf(group).Concat(leaving).ToHashSet(StringComparer.Ordinal);
        return new GroupAccess(
            [.. Cluster.Hosts.Where(host => members.Contains(host.Name))],
            Fleet.Connections,
            Writers,
            Time,
            report,
            Disruptions
        );
    }
}
