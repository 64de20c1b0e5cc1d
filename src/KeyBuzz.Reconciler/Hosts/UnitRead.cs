using System.Collections.Immutable;

namespace KeyBuzz.Reconciler.Hosts;

/// <summary>Properties of a systemd unit (<c>systemctl show</c>), and the files of this host that belong to it beside its own.</summary>
public sealed record UnitRead(string Name) : Read<UnitState>
{
    private const string Properties =
        "Id,Names,LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload,MainPID,ActiveEnterTimestamp,InvocationID,FragmentPath,DropInPaths,Result,Type,NRestarts";

    /// <summary>How it is asked and answered.</summary>
    public static ReadKind Kind { get; } = ReadKind.Of<UnitRead>(Render, Parse);

    private static void Render(ProbeText script, IReadOnlyList<UnitRead> reads) =>
        script
            .Append($"systemctl show --timestamp=us+utc --no-pager -p {Properties} --")
            .AppendQuoted(reads.Select(read => read.Name))
            .Append(" 2>/dev/null; end units $?\n")
            // From the disk: systemd lists a drop-in only once it has loaded it.
            .Append("for u in")
            .AppendQuoted(reads.Select(read => read.Name))
            .Append(
                """
                ; do for f in /etc/systemd/system/*.wants/"$u" /etc/systemd/system/*.requires/"$u" /etc/systemd/system/"$u".d/*.conf /etc/systemd/system.control/"$u".d/*.conf \
                /run/systemd/system/"$u".d/*.conf /run/systemd/system.control/"$u".d/*.conf /run/systemd/transient/"$u".d/*.conf
                do if [ -e "$f" ] || [ -L "$f" ]; then printf '%s\n' "$f"; fi; done; done; end unitfiles 0

                """
            );

    private static void Parse(ProbeAnswer answer, IReadOnlyList<UnitRead> reads)
    {
        // Matched by name and not by position: a name that systemd refuses leaves no block.
        Dictionary<string, ImmutableDictionary<string, string>> byName = new(StringComparer.Ordinal);
        foreach (var block in answer.Part("units").Whole().Text.Split("\n\n"))
        {
            var properties = ImmutableDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
            foreach (var line in block.Split('\n'))
            {
                var equals = line.IndexOf('=', StringComparison.Ordinal);
                if (equals > 0)
                {
                    properties[line[..equals]] = line[(equals + 1)..];
                }
            }

            var found = properties.ToImmutable();
            foreach (
                var name in (found.GetValueOrDefault("Names") + " " + found.GetValueOrDefault("Id")).Split(
                    ' ',
                    StringSplitOptions.RemoveEmptyEntries
                )
            )
            {
                byName[name] = found;
            }
        }

        var files = answer.Part("unitfiles").Lines;
        foreach (var read in reads)
        {
            var properties = byName.GetValueOrDefault(read.Name)
                ?? byName.GetValueOrDefault(read.Name + ".service")
                ?? ImmutableDictionary<string, string>.Empty;
            // One that is loaded and whose file is gone still counts.
            var loaded = properties.GetValueOrDefault("DropInPaths", "").Split(' ', StringSplitOptions.RemoveEmptyEntries);
            answer.Set(
                read,
                new UnitState(properties)
                {
                    DropIns = [.. files.Concat(loaded).Where(path => IsDropIn(path, read.Name)).Distinct().Order(StringComparer.Ordinal)],
                    StartedWith =
                    [
                        .. files
                            .Where(path => path.EndsWith("/" + read.Name, StringComparison.Ordinal))
                            .Select(Target)
                            .Distinct()
                            .Order(StringComparer.Ordinal),
                    ],
                }
            );
        }
    }

    private static bool IsDropIn(string path, string unit) =>
        path.Contains($"/{unit}.d/", StringComparison.Ordinal)
        && (
            path.StartsWith("/etc/systemd/", StringComparison.Ordinal)
            || (
                path.StartsWith("/run/systemd/", StringComparison.Ordinal)
                && !path.StartsWith("/run/systemd/generator", StringComparison.Ordinal)
            )
        );

    // /etc/systemd/system/multi-user.target.wants/app.service
    private static string Target(string link) => Path.GetFileNameWithoutExtension(Path.GetFileName(Path.GetDirectoryName(link)!));
}

/// <summary>Properties of a unit, as <c>systemctl show --timestamp=us+utc</c> prints them.</summary>
public sealed record UnitState(IReadOnlyDictionary<string, string> Properties)
{
    /// <summary>A property's value; empty when absent.</summary>
    public string this[string name] => Properties.TryGetValue(name, out var value) ? value : "";

    /// <summary>The drop-ins of this host (<c>/etc/systemd/…/UNIT.d/*.conf</c>, <c>/run/systemd/…</c>), loaded or not, sorted. Not those
    /// that a package or a generator brought, nor those for many units, such as <c>service.d</c>.</summary>
    public ImmutableArray<string> DropIns { get; init; } = [];

    /// <summary>The units of whose start this one is a part, by a link in <c>/etc/systemd/system</c> (<c>TARGET.wants</c>,
    /// <c>TARGET.requires</c>), sorted.</summary>
    public ImmutableArray<string> StartedWith { get; init; } = [];

    /// <summary>When the unit last became active; null when it never did.</summary>
    public DateTimeOffset? ActiveSince => ParseTimestamp(this["ActiveEnterTimestamp"]);

    // systemd prints "Mon 2026-11-23 11:00:00.123456 UTC".
    private static DateTimeOffset? ParseTimestamp(string text)
    {
        var parts = text.Split(' ');
        return
            parts.Length == 4
            && DateTimeOffset.TryParse(
                $"{parts[1]}T{parts[2]}Z",
                System.Globalization.CultureInfo.InvariantCulture,
                System.Globalization.DateTimeStyles.AssumeUniversal,
                out var time
            )
            ? time
            : null;
    }
}
