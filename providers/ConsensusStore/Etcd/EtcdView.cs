using System.Collections.Immutable;
using System.Text.Json;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.PostgreSql;

namespace KeyBuzz.Reconciler.Providers.ConsensusStore.Etcd;

/// <summary>A member in etcd's own list.</summary>
/// <param name="Id">Its id in decimal, as JSON has it: it may exceed 63 bits.</param>
/// <param name="Name">Its name, which is its host's; empty until it has started.</param>
/// <param name="Address">Its address for the other members, <c>10.0.0.120:2380</c>.</param>
/// <param name="IsLearner">Whether it does not count yet.</param>
public sealed record EtcdMember(string Id, string Name, string Address, bool IsLearner)
{
    /// <summary>Its id as etcdctl takes it.</summary>
    public string HexId => ulong.Parse(Id, System.Globalization.CultureInfo.InvariantCulture).ToString("x", null);
}

/// <summary>What one member says of itself.</summary>
/// <param name="Leader">The id of its leader; null for none.</param>
/// <param name="Term">The leader's term.</param>
/// <param name="Version">Its version.</param>
/// <param name="Size">The size of its database file in bytes.</param>
/// <param name="Alarms">The alarms, such as <c>NOSPACE</c>.</param>
public sealed record EtcdMemberStatus(string? Leader, long Term, string Version, long Size, ImmutableArray<string> Alarms);

/// <summary>etcd as all answers together show it. Pure.</summary>
public sealed class EtcdView
{
    private const string AlarmWord = "alarm:";

    private readonly SortedDictionary<string, string> _silent = new(StringComparer.Ordinal);
    private readonly Dictionary<string, EtcdMemberStatus> _statuses = new(StringComparer.Ordinal);
    private readonly HashSet<string> _logins = new(StringComparer.Ordinal);

    /// <summary>Reads the answers of the members, by host.</summary>
    public EtcdView(IEnumerable<KeyValuePair<string, ToolAnswer>> answers)
    {
        ArgumentNullException.ThrowIfNull(answers);
        foreach (var (host, answer) in answers.OrderBy(pair => pair.Key, StringComparer.Ordinal))
        {
            Add(host, answer);
        }

        Leader = _statuses
            .Where(pair => pair.Value.Leader == pair.Key)
            .OrderByDescending(pair => pair.Value.Term)
            .Select(pair => Members.FirstOrDefault(member => member.Id == pair.Key))
            .FirstOrDefault();
        if (Leader is not null && Voters.Count(IsConnected) * 2 <= Voters.Length)
        {
            Leader = null;
        }
    }

    /// <summary>etcd's members by its own list; empty while it has no quorum to tell.</summary>
    public ImmutableArray<EtcdMember> Members { get; private set; } = [];

    /// <summary>Those that count for a majority.</summary>
    public ImmutableArray<EtcdMember> Voters => [.. Members.Where(member => !member.IsLearner)];

    /// <summary>The leader that a majority follows; null for none.</summary>
    public EtcdMember? Leader { get; }

    /// <summary>Hosts whose etcd did not answer, each with the reason.</summary>
    public IReadOnlyDictionary<string, string> Silent => _silent;

    /// <summary>The most that a database file may have, in bytes; 0 where it was not told.</summary>
    public long Quota { get; private set; }

    /// <summary>Whether authentication is on; null where it was not told.</summary>
    public bool? Authentication { get; private set; }

    /// <summary>Hosts on which Patroni's user could log in.</summary>
    public IReadOnlySet<string> Logins => _logins;

    /// <summary>The status of a member; null for none.</summary>
    public EtcdMemberStatus? StatusOf(EtcdMember member) => member is null ? null : _statuses.GetValueOrDefault(member.Id);

    /// <summary>Whether a member answers, and follows the leader.</summary>
    public bool IsConnected(EtcdMember member) => Leader is { } leader && StatusOf(member)?.Leader == leader.Id;

    /// <summary>The alarms, each once.</summary>
    public IEnumerable<string> Alarms => _statuses.Values.SelectMany(status => status.Alarms).Distinct().Order(StringComparer.Ordinal);

    /// <summary>The largest database file, in bytes.</summary>
    public long Size
    {
        get
        {
            var largest = 0L;
            foreach (var status in _statuses.Values)
            {
                largest = Math.Max(largest, status.Size);
            }

            return largest;
        }
    }

    private void Add(string host, ToolAnswer answer)
    {
        var answered = false;
        foreach (var line in answer.Output.Split('\n'))
        {
            if (line.StartsWith("[{", StringComparison.Ordinal) && JsonAnswer.Rows(line) is { } rows)
            {
                answered = true;
                foreach (var row in rows)
                {
                    AddStatus(row);
                }
            }
            else if (line.StartsWith("{\"header\"", StringComparison.Ordinal) && JsonAnswer.Parse(line) is { } list)
            {
                Members =
                [
                    .. list.Items("members")
                        .Select(member => new EtcdMember(
                            Raw(member, "ID") ?? "",
                            member.Text("name") ?? "",
                            AddressOf(member.Texts("peerURLs").FirstOrDefault() ?? ""),
                            member.Boolean("isLearner") == true
                        ))
                        .OrderBy(member => member.Address, StringComparer.Ordinal),
                ];
            }
            else
            {
                AddWord(host, line.Trim());
            }
        }

        if (!answered)
        {
            var lines = answer.Output.Trim().Split('\n');
            _silent[host] =
                lines[^1].EndsWith(" is not running", StringComparison.Ordinal)
                || lines[^1].Contains("No such container", StringComparison.Ordinal)
                    ? "etcd does not run"
                : lines[^1].Length == 0 || lines[^1].StartsWith("quota ", StringComparison.Ordinal)
                    ? $"etcd does not answer (exit status {answer.ExitCode})"
                : "etcd does not answer: " + lines[^1];
        }
    }

    private void AddWord(string host, string word)
    {
        if (word.StartsWith("quota ", StringComparison.Ordinal) && long.TryParse(word.AsSpan(6), null, out var quota))
        {
            Quota = quota;
        }
        else if (word is "authentication on" or "authentication off")
        {
            Authentication = word == "authentication on";
        }
        else if (word == "login works")
        {
            _logins.Add(host);
        }
    }

    private void AddStatus(JsonElement row)
    {
        if (row.At("Status") is not { } status || status.At("header") is not { } header || Raw(header, "member_id") is not { } id)
        {
            return;
        }

        _statuses[id] = new EtcdMemberStatus(
            Raw(status, "leader"),
            status.Number("raftTerm") ?? 0,
            status.Text("version") ?? "",
            status.Number("dbSize") ?? 0,
            [
                .. status
                    .Texts("errors")
                    .Select(error => error.Split(AlarmWord))
                    .Where(parts => parts.Length == 2)
                    .Select(parts => parts[1].Trim()),
            ]
        );
    }

    // Ids are unsigned 64-bit numbers.
    private static string? Raw(JsonElement element, string name) =>
        element.At(name) is { ValueKind: JsonValueKind.Number } number ? number.GetRawText() : null;

    private static string AddressOf(string url) => url[(url.LastIndexOf('/') + 1)..];
}
