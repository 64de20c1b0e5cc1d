using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;

namespace KeyBuzz.Reconciler.Records;

/// <summary>An apply, and the hosts whose history has it.</summary>
/// <param name="Entry">What it says.</param>
/// <param name="Places">The hosts.</param>
public sealed record KnownApply(HistoryEntry Entry, ImmutableArray<string> Places);

/// <summary>The histories of all hosts as one, each checked by itself and against the others. Pure.</summary>
/// <param name="Applies">What was applied, the newest first.</param>
/// <param name="Diagnostics">Hosts that could not be read, and chains that are broken.</param>
public sealed record HistoryFound(ImmutableArray<KnownApply> Applies, ImmutableArray<Diagnostic> Diagnostics)
{
    /// <summary>Joins what the hosts say.</summary>
    /// <param name="path">The path of the file on each host.</param>
    /// <param name="hosts">By host: its file, or why it could not be read.</param>
    public static HistoryFound Of(string path, IEnumerable<(string Host, HistoryFile? File, string? Error)> hosts)
    {
        ArgumentNullException.ThrowIfNull(hosts);
        var diagnostics = ImmutableArray.CreateBuilder<Diagnostic>();
        var chains = new SortedDictionary<string, HistoryChain>(StringComparer.Ordinal);
        foreach (var (host, file, error) in hosts.OrderBy(one => one.Host, StringComparer.Ordinal))
        {
            if ((error ?? file?.Refusal) is { } refusal)
            {
                diagnostics.Add(Diagnostic.Error($"{host}: {refusal}", host: host));
                continue;
            }

            var chain = HistoryChain.Read(file!.Text);
            chains.Add(host, chain);
            diagnostics.AddRange(
                chain.Problems.Select(problem =>
                    Diagnostic.Error(
                        $"{host}: {path}:{problem.Line} {problem.What}",
                        remedy: "find out who changed it, compare with other hosts, and move it away; the next apply begins anew",
                        host: host
                    )
                )
            );
        }

        var known = chains
            .SelectMany(pair => pair.Value.Entries.Select((entry, at) => (Host: pair.Key, Entry: entry, At: at)))
            // Two of the same second are in the order of their chain.
            .OrderByDescending(one => one.At)
            .GroupBy(one => one.Entry.Id, StringComparer.Ordinal)
            .Select(group => new KnownApply(
                group.First().Entry,
                [.. group.Select(one => one.Host).Distinct().Order(StringComparer.Ordinal)]
            ))
            .OrderByDescending(one => one.Entry.Ended)
            .ToImmutableArray();
        diagnostics.AddRange(Differing(chains));
        diagnostics.AddRange(Missing(chains, known));
        return new HistoryFound(known, diagnostics.ToImmutable());
    }

    // Whoever rewrites a whole chain on one host does not reach the others.
    private static IEnumerable<Diagnostic> Differing(SortedDictionary<string, HistoryChain> chains) =>
        chains
            .SelectMany(pair => pair.Value.Entries.Select(entry => (Host: pair.Key, entry.Id, Text: entry.Properties())))
            .GroupBy(one => one.Id, StringComparer.Ordinal)
            .Where(group => group.Select(one => one.Text).Distinct().Count() > 1)
            .Select(group =>
                Diagnostic.Error($"{string.Join(" and ", group.Select(one => one.Host).Distinct())} say different things about {group.Key}")
            );

    // A host that was made anew, or whose file was, has nothing older.
    private static IEnumerable<Diagnostic> Missing(SortedDictionary<string, HistoryChain> chains, ImmutableArray<KnownApply> known) =>
        from one in known
        from host in one.Entry.Hosts
        where
            chains.TryGetValue(host, out var chain)
            && !one.Places.Contains(host)
            && chain.Entries.Any(entry => entry.Ended < one.Entry.Ended)
        select Diagnostic.Warning(
            $"{host}: its history lacks the {one.Entry.Command} {one.Entry.Id}, which {string.Join(" and ", one.Places)} has",
            detail: "it could not be written there then, for example because the host was lost, or it is being written, or was removed",
            host: host
        );
}
