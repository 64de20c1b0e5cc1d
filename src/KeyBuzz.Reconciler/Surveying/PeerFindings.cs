using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;

namespace KeyBuzz.Reconciler.Surveying;

/// <summary>Merges the findings of several hosts about one other host. Pure.</summary>
internal static class PeerFindings
{
    /// <summary>Drops warnings about unreachable hosts, which have their own error, and merges several warnings about another
    /// host.</summary>
    /// <param name="findings">What the hosts said.</param>
    /// <param name="unreachable">The hosts that could not be read.</param>
    public static ImmutableArray<Diagnostic> Fold(ImmutableArray<Diagnostic> findings, IReadOnlySet<string> unreachable)
    {
        var folded = ImmutableArray.CreateBuilder<Diagnostic>();
        var told = findings
            .Where(IsOfPeer)
            .GroupBy(finding => finding.Peer!)
            .ToDictionary(group => group.Key, group => group.ToList(), StringComparer.Ordinal);
        foreach (var finding in findings)
        {
            if (!IsOfPeer(finding))
            {
                folded.Add(finding);
            }
            else if (told[finding.Peer!] is var all && ReferenceEquals(all[0], finding) && !unreachable.Contains(finding.Peer!))
            {
                folded.Add(
                    all.Count == 1
                        ? finding
                        : finding with
                        {
                            Detail = $"{finding.Detail}; {all.Count - 1} more like it about {finding.Peer}: kbr check shows all",
                        }
                );
            }
        }

        return folded.ToImmutable();
    }

    private static bool IsOfPeer(Diagnostic finding) => finding is { Severity: Severity.Warning, Peer: not null };
}
