using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Records;

/// <summary>The shell that writes and removes records; it goes into the same script as the change it speaks of.</summary>
public static class RecordScript
{
    /// <summary>The directory of a cluster's records on a host.</summary>
    public static string Directory(string cluster) => $"/var/lib/kbr/{cluster}/records";

    /// <summary>Writes a record: beside, synced, renamed.</summary>
    public static string Write(ResourceRecord record, string cluster)
    {
        var path = PathOf(record.Address, cluster);
        return $"""
            (
            umask 077
            mkdir -p {Script.Quote(Directory(cluster))}
            # A script beside this one may just have removed the last record, and the directory with it.
            true 2>/dev/null >{Script.Quote(path + ".new")} || mkdir -p {Script.Quote(Directory(cluster))}
            # Only root may write records: they say what is removed as root.
            set -- /var/lib/kbr {Script.Quote($"/var/lib/kbr/{cluster}")} {Script.Quote(Directory(cluster))}
            case $(stat --printf '%F %u %a;' -- "$@") in
            'directory 0 700;directory 0 700;directory 0 700;') ;;
            *)  for d do
                    [ "$(stat -c '%F %u' -- "$d")" = 'directory 0' ] || {"{"} echo "$d is not a directory that belongs to root; no record is written into it" >&2; exit 1; {"}"}
                done
                chmod 0700 -- "$@" ;;
            esac
            # On a full disk too nothing half-written stays.
            trap {Script.Quote($"rm -f {Script.Quote(path + ".new")}")} EXIT
            full() {"{"} echo {Script.Quote(
                $"the record {path} cannot be written; is its file system full? df -h {Directory(cluster)}"
            )} >&2; exit 1; {"}"}
            cat > {Script.Quote(path + ".new")} <<'KBR_RECORD_END' || full
            {RecordJson.Write(record, cluster)}
            KBR_RECORD_END
            sync {Script.Quote(path + ".new")} || full
            mv -f {Script.Quote(path + ".new")} {Script.Quote(path)}
            )

            """;
    }

    /// <summary>Removes a record, and with the last one the directories, so that an interrupted destroy leaves no empty ones.</summary>
    public static string Remove(Address address, string cluster)
    {
        var path = Script.Quote(PathOf(address, cluster));
        return $"rm -f {path} {path}.new\n" + RemoveEmptyDirectories(cluster);
    }

    /// <summary>Removes all records of what belongs to a group.</summary>
    public static Script RemoveOfGroup(string group, string cluster) =>
        new($"rm -f -- {Script.Quote(Directory(cluster))}/*{Script.Quote($"@{group}.json")}\n" + RemoveEmptyDirectories(cluster));

    /// <summary>Removes files of records that say nothing any more.</summary>
    public static Script RemoveFiles(IEnumerable<string> paths, string cluster) =>
        new($"rm -f -- {string.Join(' ', paths.Select(Script.Quote))}\n" + RemoveEmptyDirectories(cluster));

    // As far as they are empty; another script may do the same.
    private static string RemoveEmptyDirectories(string cluster) =>
        $"(cd /var/lib && rmdir -p {Script.Quote($"kbr/{cluster}/records")}) 2>/dev/null || :\n";

    /// <summary>The file that holds the record of an address. A name that has escapes already is not escaped again: it would be too long
    /// for a file's name.</summary>
    public static string PathOf(Address address, string cluster) =>
        $"{Directory(cluster)}/{Escape(address.Type)}.{Escape(address.Name)}@{Escape(address.Host)}.json";

    /// <summary>Whether a file is the one that <see cref="PathOf"/> names.</summary>
    public static bool IsPathOf(ReadOnlySpan<char> path, Address address, string cluster) =>
        Takes(ref path, Directory(cluster))
        && Takes(ref path, "/")
        && Takes(ref path, Escape(address.Type))
        && Takes(ref path, ".")
        && Takes(ref path, Escape(address.Name))
        && Takes(ref path, "@")
        && Takes(ref path, Escape(address.Host))
        && path is ".json";

    private static bool Takes(ref ReadOnlySpan<char> text, string part)
    {
        var begins = text.StartsWith(part, StringComparison.Ordinal);
        text = begins ? text[part.Length..] : text;
        return begins;
    }

    private static string Escape(string word) =>
        Uri.EscapeDataString(word).Replace("%40", "@", StringComparison.Ordinal).Replace("%25", "%", StringComparison.Ordinal);
}
