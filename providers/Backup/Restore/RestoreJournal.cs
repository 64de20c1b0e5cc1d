using System.Collections.Immutable;
using System.Text;
using System.Text.RegularExpressions;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.PostgreSql;

namespace KeyBuzz.Reconciler.Providers.Backup.Restore;

/// <summary>How far the restore of a cluster is, as each member has it on disk: whichever run comes next goes on from there, or
/// back.</summary>
/// <param name="Id">Its own name, the time it began, which the directories that it makes carry.</param>
/// <param name="Target">The point that is restored to, as <see cref="RestoreTarget.Parse"/> reads it.</param>
/// <param name="Member">The member that it is restored on.</param>
/// <param name="Former">The member whose data is the former database; null where there was none.</param>
/// <param name="Phase">What was begun last; everything before it is complete on every member.</param>
public sealed record RestoreJournal(string Id, string Target, string Member, string? Former, RestorePhase Phase)
{
    private static readonly Regex s_hostName = new("^[A-Za-z0-9][A-Za-z0-9.-]{0,252}$");

    private const int Format = 1;
    private const int MostBytes = 4096;

    /// <summary>Whether the restored database is a copy to look at, which never takes the cluster's place.</summary>
    public bool IsCopy { get; init; }

    /// <summary>Whether writes go on until the restored database takes over.</summary>
    public bool KeepsWrites { get; init; }

    /// <summary>Members that could not be reached, and that the operator has declared off: the restore goes on without them.</summary>
    public ImmutableArray<string> Lost { get; init; } = [];

    /// <summary>When it began.</summary>
    public DateTimeOffset Begun => HostDocument.TimeOf(Id);

    /// <summary>What is going on, in words.</summary>
    public string Text => Lost.IsEmpty ? What : $"{What} (left out: {string.Join(", ", Lost)})";

    private string What =>
        Phase switch
        {
            RestorePhase.Prepare => $"the database of {Point} is being restored on {Member}",
            RestorePhase.Look => $"the database of {Point} runs apart on {Member}",
            RestorePhase.Exchange => $"the members are stopped, and the database of {Point} is put in place on {Member}",
            RestorePhase.Open => $"the members are being started on the database of {Point}",
            RestorePhase.Kept => $"the cluster runs the database of {Point}, and keeps the former one",
            RestorePhase.Return => $"the members are stopped, and the former database is put back on {Former}",
            RestorePhase.Reopen => "the members are being started on the former database",
            _ => "what the restore kept is being removed",
        };

    private string Point => RestoreTarget.Parse(Target)?.Label ?? Target;

    /// <summary>Whether members may not be started or changed now: their directories are being exchanged.</summary>
    public bool IsExchanging => Phase is RestorePhase.Exchange or RestorePhase.Return;

    /// <summary>Whether members may be started by the restore alone: a lost one is fenced by what only its apply knows.</summary>
    public bool IsOpeningWithout => !Lost.IsEmpty && IsOpening;

    /// <summary>Whether the members are being started after their directories were exchanged.</summary>
    public bool IsOpening => Phase is RestorePhase.Open or RestorePhase.Reopen;

    /// <summary>The name of a restore that begins then.</summary>
    public static string IdOf(DateTimeOffset time) => HostDocument.NameOf(time);

    /// <summary>The file that has it on every member.</summary>
    /// <param name="cluster">The cluster's name.</param>
    public static string PathOf(string cluster) => $"/var/lib/kbr/restore-{cluster}.json";

    /// <summary>Reads it.</summary>
    /// <param name="cluster">The cluster's name.</param>
    public static FileRead Read(string cluster) => new(PathOf(cluster));

    /// <summary>The restore that the members are in, the furthest phase of the newest; null for none.</summary>
    public static RestoreJournal? Of(string cluster, IEnumerable<Snapshot> members) =>
        members
            .Where(snapshot => snapshot.Has(Read(cluster)))
            .Select(snapshot => snapshot.Get(Read(cluster)) is { } file ? Parse(file.Bytes.Span) : null)
            .OfType<RestoreJournal>()
            .OrderBy(journal => journal.Id, StringComparer.Ordinal)
            .ThenBy(journal => journal.Phase)
            .LastOrDefault();

    /// <summary>Reads its JSON; null where it is none, or says what no kbr wrote.</summary>
    public static RestoreJournal? Parse(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > MostBytes || JsonAnswer.Parse(Encoding.UTF8.GetString(bytes)) is not { } json)
        {
            return null;
        }

        return
            json.Number("format") == Format
            && json.Text("id") is { } id
            && HostDocument.IsName(id)
            && json.Text("target") is { } target
            && RestoreTarget.Parse(target) is not null
            && json.Text("member") is { } member
            && s_hostName.IsMatch(member)
            && Enum.TryParse<RestorePhase>(json.Text("phase"), out var phase)
            && Enum.IsDefined(phase)
            && (json.Text("former") is not { } former || s_hostName.IsMatch(former))
            && LostOf(json.Text("lost")) is { } lost
            ? new RestoreJournal(id, target, member, json.Text("former"), phase)
            {
                IsCopy = json.Boolean("copy") == true,
                KeepsWrites = json.Boolean("keeps_writes") == true,
                Lost = lost,
            }
            : null;
    }

    // Null where one is no host's name.
    private static ImmutableArray<string>? LostOf(string? names)
    {
        string[] all = (names ?? "").Split(' ', StringSplitOptions.RemoveEmptyEntries);
        foreach (var name in all)
        {
            if (!s_hostName.IsMatch(name))
            {
                return null;
            }
        }

        return all.Length == 0 ? [] : [.. all];
    }

    /// <summary>The script that writes it on a member: beside, synced, renamed.</summary>
    /// <param name="cluster">The cluster's name.</param>
    public Script Write(string cluster) => new(HostDocument.Write(PathOf(cluster), Json()));

    private string Json() => HostDocument.Json(Format, json =>
        {
            json.WriteString("id", Id);
            json.WriteString("target", Target);
            json.WriteString("member", Member);
            if (Former is not null)
            {
                json.WriteString("former", Former);
            }

            json.WriteBoolean("copy", IsCopy);
            json.WriteBoolean("keeps_writes", KeepsWrites);
            if (!Lost.IsEmpty)
            {
                json.WriteString("lost", string.Join(' ', Lost));
            }

            json.WriteString("phase", Phase.ToString());
        });
}

/// <summary>The phases of a restore, in their order. A phase is written before its first step, and each of its steps may be taken
/// again.</summary>
public enum RestorePhase
{
    /// <summary>Writes are refused, and the database is restored beside the present one.</summary>
    Prepare,

    /// <summary>The restored database runs apart, for the operator to look at.</summary>
    Look,

    /// <summary>All members are stopped, and the directories are exchanged.</summary>
    Exchange,

    /// <summary>The members are started on the restored database.</summary>
    Open,

    /// <summary>The cluster runs; the former data is kept.</summary>
    Kept,

    /// <summary>All members are stopped, and the former data is put back.</summary>
    Return,

    /// <summary>The members are started on the former data.</summary>
    Reopen,

    /// <summary>What the restore kept is removed.</summary>
    Remove,
}
