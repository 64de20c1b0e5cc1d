using System.Globalization;

namespace KeyBuzz.Reconciler.PostgresHa.Recovery;

/// <summary>How far the database in a member's data directory is, by its control file and its write-ahead log, whether or not a server runs
/// on it.</summary>
/// <param name="SystemIdentifier">Its system identifier.</param>
/// <param name="Timeline">The timeline that it is on.</param>
/// <param name="Lsn">Its last position.</param>
public sealed record SurvivorData(string SystemIdentifier, long Timeline, ulong Lsn)
{
    /// <summary>Whether the write-ahead log was read to its end; otherwise the position is only that of the control file, and it may have
    /// more.</summary>
    public bool IsExact { get; init; }

    /// <summary>The time of the last commit that was found, as PostgreSQL prints it; null for none since the last checkpoint.</summary>
    public string? LastCommit { get; init; }

    /// <summary>The position in PostgreSQL's spelling.</summary>
    public string Position => string.Create(CultureInfo.InvariantCulture, $"{Lsn >> 32:X}/{Lsn & 0xFFFFFFFF:X8}");

    /// <summary>The answer for a data directory without a database.</summary>
    public const string None = "none";

    /// <summary>Shell that reads a data directory and writes nothing, printed as <see cref="Parse"/> reads it; to be run in the members'
    /// image.</summary>
    /// <param name="directory">The data directory.</param>
    public static string Look(string directory) =>
        $$"""
            set -eu
            export LC_ALL=C
            [ -e {{directory}}/global/pg_control ] || { echo {{None}}; exit 0; }
            control=$(pg_controldata -D {{directory}})
            of() { printf '%s\n' "$control" | sed -n "s/^$1: *//p"; }
            echo "system $(of 'Database system identifier')"
            echo "checkpoint $(of 'Latest checkpoint location')"
            echo "recovered $(of 'Minimum recovery ending location')"
            timeline=$(of "Latest checkpoint's TimeLineID")
            echo "timeline $timeline"
            start=$(of "Latest checkpoint's REDO location")
            size=$(of 'Bytes per WAL segment')
            newest=$(ls {{directory}}/pg_wal | grep -E '^[0-9A-F]{24}$' | cut -c 1-8 | sort | tail -n 1)
            [ -n "$newest" ] || exit 0
            newest=$((0x$newest))
            if [ "$newest" -gt "$timeline" ]; then
                # It has followed a later timeline since its last checkpoint; its segments begin with the one where that forked.
                first=$(ls {{directory}}/pg_wal | grep -E "^$(printf '%08X' "$newest")[0-9A-F]{16}$" | sort | head -n 1)
                offset=$(( 0x$(echo "$first" | cut -c 17-24) * size ))
                start=$(printf '%X/%X' "0x$(echo "$first" | cut -c 9-16)" "$offset")
                timeline=$newest
            fi
            pg_waldump -p {{directory}}/pg_wal -t "$timeline" -s "$start" 2>/tmp/end | awk -v timeline="$timeline" '
                match($0, /lsn: [0-9A-F]+\/[0-9A-F]+/) { last = substr($0, RSTART + 5, RLENGTH - 5) }
                /rmgr: Transaction/ && match($0, /desc: COMMIT[A-Z_ ]* [0-9-]+ [0-9:.]+ [A-Z]+/) {
                    commit = substr($0, RSTART + 6, RLENGTH - 6); sub(/^COMMIT[A-Z_]* /, "", commit)
                }
                END { if (last != "") print "last " timeline " " last; if (commit != "") print "commit " commit }
            ' || true
            """;

    /// <summary>What <see cref="Look"/> printed; null where there is no database, or it cannot be read.</summary>
    public static SurvivorData? Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var (system, timeline, lsn, exact, commit) = ("", 0L, 0UL, false, (string?)null);
        foreach (var line in text.Split('\n'))
        {
            var words = line.Split(' ', 2);
            var rest = words.Length == 2 ? words[1].Trim() : "";
            switch (words[0])
            {
                case "system":
                    system = rest;
                    break;
                case "timeline" when long.TryParse(rest, NumberStyles.None, CultureInfo.InvariantCulture, out var number):
                    timeline = number;
                    break;
                case "checkpoint" or "recovered" when PositionOf(rest) is { } position && position > lsn:
                    lsn = position;
                    break;
                case "last" when rest.Split(' ') is [var on, var at] && PositionOf(at) is { } last:
                    _ = long.TryParse(on, NumberStyles.None, CultureInfo.InvariantCulture, out timeline);
                    lsn = Math.Max(lsn, last);
                    exact = true;
                    break;
                case "commit":
                    commit = rest;
                    break;
            }
        }

        return system.Length == 0 || timeline == 0
            ? null
            : new SurvivorData(system, timeline, lsn) { IsExact = exact, LastCommit = commit };
    }

    private static ulong? PositionOf(string text) =>
        text.Split('/') is [var high, var low]
        && ulong.TryParse(high, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var left)
        && ulong.TryParse(low, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var right)
            ? (left << 32) | right
            : null;
}
