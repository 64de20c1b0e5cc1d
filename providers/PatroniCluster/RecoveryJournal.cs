using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.PostgreSql;

namespace KeyBuzz.Reconciler.Providers.PatroniCluster;

/// <summary>A recovery of a cluster that had lost its majority, as each member that knows of it has it on disk. A lost member that has no
/// copy has come back as it was: it is stopped and its data is kept aside before it takes part again.</summary>
/// <param name="Id">Its own name, the time it began, which what is kept aside carries.</param>
/// <param name="Survivor">The member whose database goes on.</param>
/// <param name="Others">The other members; their data does not count any more.</param>
/// <param name="IsDone">Whether the survivor has led since; until then the recovery is unfinished.</param>
public sealed record RecoveryJournal(string Id, string Survivor, ImmutableArray<string> Others, bool IsDone = false)
{
    private const int Format = 1;
    private const int MostBytes = 8192;
    private const string Unfinished = "begun";
    private const string Done = "done";

    /// <summary>When it began.</summary>
    public DateTimeOffset Begun => HostDocument.TimeOf(Id);

    /// <summary>The name of a recovery that begins then.</summary>
    public static string IdOf(DateTimeOffset time) => HostDocument.NameOf(time);

    /// <summary>The file that has it.</summary>
    /// <param name="cluster">The cluster's name.</param>
    public static string PathOf(string cluster) => $"/var/lib/kbr/recover-{cluster}.json";

    /// <summary>Reads it.</summary>
    /// <param name="cluster">The cluster's name.</param>
    public static FileRead Read(string cluster) => new(PathOf(cluster));

    /// <summary>The name of a recovery that begins then, another than any before it has.</summary>
    /// <param name="time">The time.</param>
    /// <param name="before">The recovery before it; null for none.</param>
    public static string IdAfter(DateTimeOffset time, RecoveryJournal? before) =>
        IdOf(before is not null && time <= before.Begun.AddSeconds(1) ? before.Begun.AddSeconds(1) : time);

    /// <summary>A member's copy; null for none, or one that cannot be understood (<see cref="IsDamaged"/>).</summary>
    public static RecoveryJournal? On(string cluster, Snapshot member)
    {
        ArgumentNullException.ThrowIfNull(member);
        return member.Has(Read(cluster)) && member.Get(Read(cluster)) is { } file ? Parse(file.Bytes.Span) : null;
    }

    /// <summary>Whether a member has a file that says what no kbr wrote: nobody knows then whether there is a recovery.</summary>
    public static bool IsDamaged(string cluster, Snapshot member)
    {
        ArgumentNullException.ThrowIfNull(member);
        return member.Has(Read(cluster)) && member.Get(Read(cluster)) is not null && On(cluster, member) is null;
    }

    /// <summary>The newest that any member knows; null for none.</summary>
    public static RecoveryJournal? Newest(string cluster, IEnumerable<Snapshot> members)
    {
        ArgumentNullException.ThrowIfNull(members);
        RecoveryJournal? newest = null;
        foreach (var member in members)
        {
            if (On(cluster, member) is { } journal && (newest is null || journal.IsAfter(newest)))
            {
                newest = journal;
            }
        }

        return newest;
    }

    /// <summary>Whether it is newer than another, or further.</summary>
    internal bool IsAfter(RecoveryJournal other) =>
        string.CompareOrdinal(Id, other.Id) is var order && (order > 0 || (order == 0 && IsDone && !other.IsDone));

    /// <summary>The name of what is kept aside of a directory.</summary>
    public string Aside(string directory) => $"{directory}.lost-{Id}";

    /// <summary>Shell that writes it on a member: beside, synced, renamed.</summary>
    /// <param name="cluster">The cluster's name.</param>
    public string Write(string cluster) => HostDocument.Write(PathOf(cluster), Json());

    /// <summary>Shell that stops a member for good. Without Docker Engine nothing runs; one that does not answer is an error.</summary>
    /// <param name="container">Its container.</param>
    /// <param name="unit">Its unit; null for none.</param>
    /// <param name="then">Shell for while it is stopped and Docker Engine answers.</param>
    public static string Stop(string container, string? unit, string then = "")
    {
        var name = Script.Quote(container);
        return "set -eu\n"
            + (unit is null ? "" : $"systemctl stop {Script.Quote(unit)} 2>/dev/null || true\n")
            + $$$"""
                if command -v docker >/dev/null; then
                    docker version >/dev/null
                    if docker inspect {{{name}}} >/dev/null 2>&1; then
                        docker stop {{{name}}} >/dev/null
                        [ "$(docker inspect -f '{{.State.Running}}' {{{name}}})" = false ]
                    fi
                    {{{then}}}
                fi

                """;
    }

    /// <summary>Shell that fails unless a directory is mounted; none where there is nothing to mount.</summary>
    /// <param name="mountPoint">The directory; null for none.</param>
    public static string NeedsMount(string? mountPoint) =>
        mountPoint is null
            ? ""
            : $"mountpoint -q {Script.Quote(mountPoint)} || {{ echo {Script.Quote(mountPoint + " is not mounted")} >&2; exit 1; }}\n";

    /// <summary>Shell that keeps directories of a stopped member aside under another name.</summary>
    /// <param name="data">Its data directory, which is not made anew; null where it stays.</param>
    /// <param name="emptied">Directories that are made anew, empty; a member that was started meanwhile may have filled them again.</param>
    public string SetAside(string? data, IEnumerable<string> emptied)
    {
        ArgumentNullException.ThrowIfNull(emptied);
        var script = new StringBuilder();
        if (data is not null)
        {
            var (from, to) = (Script.Quote(data), Script.Quote(Aside(data)));
            script.Append(CultureInfo.InvariantCulture, $"if [ -e {from} ] && [ ! -e {to} ]; then mv -T {from} {to}; fi\n");
        }

        foreach (var directory in emptied)
        {
            var (from, to) = (Script.Quote(directory), Script.Quote(Aside(directory)));
            script.Append(
                CultureInfo.InvariantCulture,
                $$"""
                if [ -d {{from}} ] && [ ! -e {{to}} ]; then mv -T {{from}} {{to}}; fi
                if [ -d {{from}} ] && [ -n "$(ls -A {{from}})" ]; then
                    number=1
                    while [ -e {{to}}."$number" ]; do number=$((number + 1)); done
                    mv -T {{from}} {{to}}."$number"
                fi
                if [ -d {{to}} ] && [ ! -e {{from}} ]; then
                    install -d -o "$(stat -c %u {{to}})" -g "$(stat -c %g {{to}})" -m "$(stat -c %a {{to}})" {{from}}
                fi

                """
            );
        }

        return script.ToString();
    }

    /// <summary>Reads its JSON; null where it is none, or says what no kbr wrote.</summary>
    public static RecoveryJournal? Parse(ReadOnlySpan<byte> bytes)
    {
        if (
            bytes.Length > MostBytes
            || JsonAnswer.Parse(Encoding.UTF8.GetString(bytes)) is not { } json
            || json.Number("format") != Format
            || json.Text("id") is not { } id
            || !HostDocument.IsName(id)
            || json.Text("survivor") is not { } survivor
            || json.Text("others") is not { } others
            || json.Text("phase") is not (Unfinished or Done)
        )
        {
            return null;
        }

        string[] names = others.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return survivor.Length == 0 || names.Contains(survivor)
            ? null
            : new RecoveryJournal(id, survivor, [.. names], json.Text("phase") == Done);
    }

    private string Json() => HostDocument.Json(Format, json =>
        {
            json.WriteString("id", Id);
            json.WriteString("survivor", Survivor);
            json.WriteString("others", string.Join(' ', Others));
            json.WriteString("phase", IsDone ? Done : Unfinished);
        });
}
