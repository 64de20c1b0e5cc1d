using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using System.Text.Json;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.PostgreSql;

namespace KeyBuzz.Reconciler.Providers.PatroniCluster;

/// <summary>A member that an operator took out of service, as its host has it on disk. Patroni is stopped there, also after a reboot: the
/// member is neither the primary nor asked by a proxy, and its data stays as it is.</summary>
/// <param name="Since">When; null where the file cannot be understood, which fences all the same.</param>
/// <param name="By">By whom; null where that is not known.</param>
/// <param name="Reason">Why; null for no reason given.</param>
public sealed record FenceMark(DateTimeOffset? Since, string? By, string? Reason)
{
    /// <summary>The file. While it is there, the unit of Patroni is not started.</summary>
    public const string Path = "/var/lib/kbr/fence.json";

    /// <summary>How long a reason may be.</summary>
    public const int MostReason = 200;

    // The mark of a member that is being started again.
    private const string Lifted = ".lifted";

    private const int Format = 1;
    private const int MostBytes = 8192;
    private const string TimeFormat = "yyyy-MM-dd'T'HH:mm:ss'Z'";

    // Stopping takes as long as the unit and the container are given.
    private static readonly TimeSpan s_deadline = TimeSpan.FromMinutes(5);

    /// <summary>Reads it.</summary>
    public static FileRead Read { get; } = new(Path);

    /// <summary>Reads what an end of the fence that was cut off, or did not succeed, leaves on a host.</summary>
    /// <param name="unit">The unit that runs Patroni.</param>
    public static ImmutableArray<FileRead> Remains(string unit) => [new FileRead(Path + Lifted), new FileRead(DropInFileOf(unit))];

    /// <summary>Whether the end of a fence was begun on a host, and not finished.</summary>
    /// <param name="member">The answers to <see cref="Remains"/>.</param>
    /// <param name="unit">The unit that runs Patroni.</param>
    public static bool HasRemains(Snapshot member, string unit)
    {
        ArgumentNullException.ThrowIfNull(member);
        foreach (var file in Remains(unit))
        {
            if (member.Has(file) && member.Get(file) is not null)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>The words for it, such as <c>fenced since 2026-11-29 21:10:00 UTC by root@install-01 (disk errors)</c>.</summary>
    public string Text =>
        "fenced"
        + (Since is { } since ? string.Create(CultureInfo.InvariantCulture, $" since {since:yyyy-MM-dd HH:mm:ss} UTC") : "")
        + (By is null ? "" : $" by {By}")
        + (Reason is null ? "" : $" ({Reason})");

    /// <summary>A member's; null for none.</summary>
    public static FenceMark? On(Snapshot member)
    {
        ArgumentNullException.ThrowIfNull(member);
        return member.Has(Read) && member.Get(Read) is { } file ? Parse(file.Bytes.Span) : null;
    }

    /// <summary>Reads its JSON. A file that cannot be understood fences, too.</summary>
    public static FenceMark Parse(ReadOnlySpan<byte> bytes) =>
        bytes.Length <= MostBytes
        && JsonAnswer.Parse(Encoding.UTF8.GetString(bytes)) is { ValueKind: JsonValueKind.Object } json
        && json.Number("format") == Format
            ? new FenceMark(
                DateTimeOffset.TryParseExact(
                    json.Text("since"),
                    TimeFormat,
                    CultureInfo.InvariantCulture,
                    DateTimeStyles.AssumeUniversal,
                    out var since
                )
                    ? since
                    : null,
                Plain(json.Text("by")),
                Plain(json.Text("reason"))
            )
            : new FenceMark(null, null, null);

    /// <summary>Stops a member for good. The mark comes first: one that was cut off is known, and can be run again. One that is there
    /// already stays as it is.</summary>
    /// <param name="unit">The unit that runs Patroni.</param>
    /// <param name="container">Its container.</param>
    public Script Set(string unit, string container)
    {
        var (path, folder) = (Script.Quote(Path), Script.Quote(DropInOf(unit)));
        return new Script(
            $"""
            set -eu
            install -d -m 700 /var/lib/kbr
            rm -f {path}{Lifted}
            [ -e {path} ] || (umask 077; printf '%s\n' {Script.Quote(Json())} >{path}.new; sync {path}.new; mv -f {path}.new {path})
            install -d -m 755 {folder}
            printf '%s\n' '# Written by kbr fence; kbr unfence removes it.' '[Unit]' 'ConditionPathExists=!{Path}' >{folder}/kbr-fence.conf
            chmod 644 {folder}/kbr-fence.conf
            sync {folder}/kbr-fence.conf
            systemctl daemon-reload

            """ + RecoveryJournal.Stop(container, unit)
        )
        {
            Deadline = s_deadline,
        };
    }

    /// <summary>Starts a member again. The mark alone decides at a boot: its file is moved away at once, and comes back where Patroni does
    /// not start. The rest of the fence does nothing without it, and goes last.</summary>
    /// <param name="unit">The unit that runs Patroni.</param>
    /// <param name="container">Its container.</param>
    public static Script Clear(string unit, string container)
    {
        var (path, folder, name) = (Script.Quote(Path), Script.Quote(DropInOf(unit)), Script.Quote(unit));
        return new Script(
            $$"""
            set -eu
            stays=
            if [ -e {{path}} ]; then
                mv -f {{path}} {{path}}{{Lifted}}
                stays=', and stays fenced'
            fi
            systemctl daemon-reload
            systemctl reset-failed {{name}} 2>/dev/null || true
            if ! said=$(systemctl start {{name}} 2>&1); then
                {
                    printf '%s did not start%s\n%s\n' {{name}} "$stays" "$said"
                    journalctl -u {{name}} -n 5 -o cat --no-pager 2>/dev/null || true
                } >&2
                if [ -n "$stays" ]; then
                    mv -f {{path}}{{Lifted}} {{path}}

            """
                + RecoveryJournal.Stop(container, unit)
                + $$"""
                    fi
                    exit 1
                fi
                rm -f {{path}}{{Lifted}} {{folder}}/kbr-fence.conf
                rmdir {{folder}} 2>/dev/null || true
                systemctl daemon-reload

                """
        )
        {
            Deadline = s_deadline,
        };
    }

    private static string DropInFileOf(string unit) => $"{DropInOf(unit)}/kbr-fence.conf";

    private static string DropInOf(string unit) =>
        $"/etc/systemd/system/{(unit.EndsWith(".service", StringComparison.Ordinal) ? unit : unit + ".service")}.d";

    // A host's word must not break a line.
    private static string? Plain(string? text)
    {
        if (string.IsNullOrEmpty(text))
        {
            return null;
        }

        var plain = new StringBuilder(text.Length);
        foreach (var letter in text)
        {
            plain.Append(char.IsControl(letter) ? '\uFFFD' : letter);
        }

        return plain.Length > MostReason ? plain.ToString(0, MostReason) : plain.ToString();
    }

    private string Json() => HostDocument.Json(Format, json =>
        {
            json.WriteString("since", Since?.UtcDateTime.ToString(TimeFormat, CultureInfo.InvariantCulture));
            json.WriteString("by", By);
            json.WriteString("reason", Reason);
        });
}
