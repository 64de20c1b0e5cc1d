using System.Collections.Immutable;
using System.Text.Json;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.PostgreSql;

namespace KeyBuzz.Reconciler.Providers.PatroniCluster;

/// <summary>RAFT as one member sees it (pysyncobj's <c>status</c>). Patroni's <c>/cluster</c> says "streaming" long before RAFT has connected again, so that a
/// roll-out which only looks there can end without a quorum.</summary>
/// <param name="Self">Its own address, <c>10.0.0.120:7000</c>.</param>
/// <param name="Leader">The RAFT leader's address, or null. It need not be the member that PostgreSQL's leader runs on.</param>
/// <param name="HasQuorum">Whether it sees a majority.</param>
/// <param name="Partners">Whether it is connected, by the partner's address.</param>
public sealed record RaftStatus(string Self, string? Leader, bool HasQuorum, ImmutableSortedDictionary<string, bool> Partners)
{
    // The password is read inside the container from the file that Patroni was started with; nothing secret is on a command line.
    private const string Program = """
        import json, sys
        import yaml
        from pysyncobj.utility import TcpUtility

        path = "/etc/patroni/patroni.yml"
        with open("/proc/1/cmdline", "rb") as cmdline:
            for word in cmdline.read().decode(errors="replace").split("\0"):
                if word.endswith((".yml", ".yaml")):
                    path = word
        with open(path) as file:
            raft = (yaml.safe_load(file) or {}).get("raft")
        if not raft:
            print("null")
            sys.exit()
        port = str(raft.get("bind_addr") or raft["self_addr"]).rsplit(":", 1)[1]
        password = raft.get("password")
        status = TcpUtility(None if password is None else str(password), 5).executeCommand("127.0.0.1:" + port, ["status"])
        if not status:
            sys.exit("RAFT does not answer on port " + port)
        print(json.dumps({str(key): value if isinstance(value, (bool, int)) else None if value is None else str(value) for key, value in status.items()}))
        """;

    private const string PartnerPrefix = "partner_node_status_server_";

    /// <summary>The script that asks a member.</summary>
    /// <param name="container">The container that runs Patroni.</param>
    public static Script Ask(string container) => new($"""
        timeout 15 docker exec -i {Script.Quote(container)} python3 - <<'kbr_end_of_python'
        {Program}
        kbr_end_of_python

        """) { Deadline = TimeSpan.FromSeconds(20) };

    /// <summary>What the script printed. Null where Patroni does not use RAFT, with <paramref name="trouble"/> null, or where there is no answer, with the reason there.</summary>
    public static RaftStatus? Parse(ScriptResult result, out string? trouble)
    {
        ArgumentNullException.ThrowIfNull(result);
        trouble = null;
        if (result.ExitCode == 0 && result.Output.Trim() == "null")
        {
            return null;
        }

        if (result.ExitCode == 0 && JsonAnswer.Parse(result.Output) is { ValueKind: JsonValueKind.Object } status && status.Text("self") is { } self)
        {
            var partners = status.EnumerateObject().Where(property => property.Name.StartsWith(PartnerPrefix, StringComparison.Ordinal)).ToImmutableSortedDictionary(
                property => property.Name[PartnerPrefix.Length..], property => property.Value.ValueKind == JsonValueKind.Number && property.Value.TryGetInt32(out var state) && state == 2, StringComparer.Ordinal);
            return new RaftStatus(self, status.Text("leader"), status.Truth("has_quorum") == true, partners);
        }

        var said = (result.Error.Trim().Length > 0 ? result.Error : result.Output).Trim();
        trouble = said.Length == 0 ? $"RAFT could not be asked (exit status {result.ExitCode})" : "RAFT could not be asked: " + said.Split('\n')[^1];
        return null;
    }

    /// <summary>What is not as it should be from the RAFT leader's own view, which alone counts: two members can disagree about the link between them for a minute after a cut.</summary>
    /// <param name="views">What the members say, by name; those that were not asked or do not use RAFT are missing.</param>
    /// <param name="gone">Addresses of members that were taken down for good and still count.</param>
    public static ImmutableArray<string> Problems(IReadOnlyDictionary<string, RaftStatus> views, IReadOnlyCollection<string> gone)
    {
        ArgumentNullException.ThrowIfNull(views);
        var leading = views.Where(pair => pair.Value.Leader == pair.Value.Self && pair.Value.HasQuorum).OrderBy(pair => pair.Key, StringComparer.Ordinal).ToList();
        if (views.Count == 0)
        {
            return [];
        }

        if (leading is not [var (name, leader)])
        {
            return [leading.Count == 0 ? "RAFT has no leader with a quorum" : $"{string.Join(" and ", leading.Select(pair => pair.Key))} both say that they lead RAFT"];
        }

        return [.. leader.Partners.Where(partner => !partner.Value && !gone.Contains(partner.Key)).Select(partner => $"RAFT: {name}, which leads it, is not connected to {partner.Key}")];
    }
}
