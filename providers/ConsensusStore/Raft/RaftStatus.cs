using System.Collections.Immutable;
using System.Text.Json;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.ConsensusStore.Raft;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.PostgreSql;

namespace KeyBuzz.Reconciler.Providers.ConsensusStore.Raft;

/// <summary>RAFT as one member sees it (pysyncobj's <c>status</c>). Patroni's <c>/cluster</c> says "streaming" long before RAFT has
/// connected again, so that a roll-out which only looks there can end without a quorum.</summary>
/// <param name="Self">Its own address, <c>10.0.0.120:7000</c>.</param>
/// <param name="Leader">The RAFT leader's address, or null. It need not be the member that PostgreSQL's leader runs on.</param>
/// <param name="HasQuorum">Whether it sees a majority.</param>
/// <param name="Partners">Whether it is connected, by the partner's address.</param>
public sealed record RaftStatus(string Self, string? Leader, bool HasQuorum, ImmutableSortedDictionary<string, bool> Partners)
{
    private const string PartnerPrefix = "partner_node_status_server_";

    /// <summary>The number of the election by which it goes: in one there is at most one leader. 0 where that was not told.</summary>
    public long Term { get; init; }

    /// <summary>Whether the member's RAFT has a password; null where that was not told.</summary>
    public bool? HasPassword { get; init; }

    /// <summary>A member's answer to a <see cref="RaftRead"/>. Null where Patroni does not use RAFT, with <paramref name="trouble"/> null,
    /// or where there is no answer, with the reason there.</summary>
    public static RaftStatus? Parse(ToolAnswer answer, out string? trouble)
    {
        ArgumentNullException.ThrowIfNull(answer);
        trouble = null;
        var said = string.Join('\n', answer.Output.Trim().Split('\n').SkipWhile(line => Namespace(line) is not null));
        var last = said.Split('\n')[^1];
        if (answer.ExitCode == 0 && last == "null")
        {
            return null;
        }

        if (answer.ExitCode == 0 && JsonAnswer.Parse(last) is { ValueKind: JsonValueKind.Object } status && status.Text("self") is { } self)
        {
            var partners = status
                .EnumerateObject()
                .Where(property => property.Name.StartsWith(PartnerPrefix, StringComparison.Ordinal))
                .ToImmutableSortedDictionary(
                    property => property.Name[PartnerPrefix.Length..],
                    property => property.Value.ValueKind == JsonValueKind.Number && property.Value.TryGetInt32(out var state) && state == 2,
                    StringComparer.Ordinal
                );
            return new RaftStatus(self, status.Text("leader"), status.Boolean("has_quorum") == true, partners)
            {
                Term = status.Number("raft_term") ?? 0,
                HasPassword = status.Boolean("kbr_password"),
            };
        }

        trouble = said.Length == 0 ? $"RAFT's status query failed (exit status {answer.ExitCode})" : "RAFT's status query failed: " + last;
        return null;
    }

    /// <summary>The namespace of the member's Patroni, as its file spells it; null where that was not told.</summary>
    public static string? NamespaceOf(ToolAnswer answer)
    {
        ArgumentNullException.ThrowIfNull(answer);
        return answer.Output.Trim().Split('\n').Select(Namespace).FirstOrDefault(found => found is not null);
    }

    private static string? Namespace(string line) =>
        line.StartsWith('{') && JsonAnswer.Parse(line) is { ValueKind: JsonValueKind.Object } json
            ? json.Text(RaftProgram.NamespaceKey)
            : null;
}
