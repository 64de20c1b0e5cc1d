using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary>The hosts that <c>--target</c> means to a command that is about hosts and not about resources.</summary>
internal static class TargetedHosts
{
    /// <summary>All hosts without a target. A group's name means its members. Throws <see cref="DiagnosticException"/> for targets that
    /// match nothing.</summary>
    /// <param name="cluster">The cluster file.</param>
    /// <param name="targets">The targets.</param>
    public static ImmutableArray<Host> Of(Cluster cluster, ImmutableArray<AddressPattern> targets)
    {
        ArgumentNullException.ThrowIfNull(cluster);
        if (targets.IsEmpty)
        {
            return cluster.Hosts;
        }

        var unmatched = targets.Where(target => !IsMatched(cluster, target)).ToList();
        if (unmatched.Count > 0)
        {
            throw new DiagnosticException([
                .. unmatched.Select(target =>
                    Diagnostic.Error($"no host matches '{target}'", remedy: "write *@HOST, or *@GROUP for the members of a group")
                ),
            ]);
        }

        var members = cluster
            .Groups.Where(group => targets.Any(target => target.MatchesHost(group.Name)))
            .SelectMany(group => group.Members);
        var named = members.ToHashSet(StringComparer.Ordinal);
        return [.. cluster.Hosts.Where(host => named.Contains(host.Name) || targets.Any(target => target.MatchesHost(host.Name)))];
    }

    // A pattern for every host, such as db-9 without an @, says something of resources only.
    private static bool IsMatched(Cluster cluster, AddressPattern target) =>
        cluster.Resources.Any(resource => target.Matches(resource.Address))
        || cluster.Policies.Any(policy => target.Matches(policy.Address))
        || (
            target.NamesHosts
            && cluster.Hosts.Select(host => host.Name).Concat(cluster.Groups.Select(group => group.Name)).Any(target.MatchesHost)
        );
}
