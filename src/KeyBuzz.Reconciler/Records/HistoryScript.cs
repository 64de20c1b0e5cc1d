using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Records;

/// <summary>The shell that appends to the history of a host, under the host's lock. The file is beside the records and not among them: it
/// outlives a destroy, and changes nothing that is compared.</summary>
public static class HistoryScript
{
    /// <summary>The directory of the histories on a host.</summary>
    public const string Directory = "/var/log/kbr";

    /// <summary>The most lines of a file, and as many as stay when it has that many.</summary>
    public const int MostLines = 1000;

    private const int LinesKept = 500;
    private const int MostBytes = 1024 * 1024;
    private const int BytesKept = MostBytes / 2;

    /// <summary>The file of a cluster.</summary>
    public static string PathOf(string cluster) => $"{Directory}/{cluster}.jsonl";

    /// <summary>Appends an entry: beside, synced, renamed. A file that is full begins anew with an anchor and its newer half.</summary>
    public static Script Append(string cluster, HistoryEntry entry)
    {
        ArgumentNullException.ThrowIfNull(entry);
        return new Script(
            $$$"""
            (
            umask 077
            LC_ALL=C; export LC_ALL
            f={{{Script.Quote(PathOf(cluster))}}}
            mkdir -p {{{Directory}}}
            [ "$(stat -c '%F %u' -- {{{Directory}}})" = 'directory 0' ] || { echo "{{{Directory}}} is not a directory that belongs to root" >&2; exit 1; }
            if [ -e "$f" ] || [ -L "$f" ]; then
                case $(stat -c '%F %u' -- "$f") in
                'regular file 0'|'regular empty file 0') ;;
                *) echo "$f is not a file that belongs to root" >&2; exit 1 ;;
                esac
            fi
            trap 'rm -f "$f.new" "$f.kept"' EXIT
            : >"$f.new"
            if [ -s "$f" ]; then
                n=$(wc -l <"$f")
                if [ "$n" -ge {{{MostLines}}} ] || [ "$(wc -c <"$f")" -ge {{{MostBytes - 16 * 1024}}} ]; then
                    tail -c {{{BytesKept}}} -- "$f" | tail -n +2 | tail -n {{{LinesKept}}} >"$f.kept"
                    gone=$((n - $(wc -l <"$f.kept")))
                    last=$(sed -n "${gone}p" "$f" | tr -d '\n' | sha256sum | cut -c 1-64)
                    before=$(sed -n '1s/^{"anchor":{"dropped":\([0-9]\{1,15\}\),.*/\1/p' "$f")
                    printf '{"anchor":{"dropped":%s,"previous":"%s"}}\n' "$((gone + ${before:-1} - 1))" "$last" >"$f.new"
                    cat -- "$f.kept" >>"$f.new"
                else
                    cat -- "$f" >"$f.new"
                fi
                # What was cut off by a lost power stays visible, on a line of its own.
                [ -z "$(tail -c 1 -- "$f.new")" ] || echo >>"$f.new"
            fi
            p=$(tail -n 1 -- "$f.new" | tr -d '\n' | sha256sum | cut -c 1-64)
            printf '{"previous":"%s",%s}\n' "$p" {{{Script.Quote(entry.Properties())}}} >>"$f.new"
            sync -- "$f.new"
            mv -f -- "$f.new" "$f"
            )
            """
        )
        {
            Deadline = TimeSpan.FromSeconds(20),
        };
    }
}
