using System.Globalization;

namespace KeyBuzz.Reconciler.Hosts;

/// <summary>Size, free space and inodes of the file system that holds a path.</summary>
public sealed record DiskSpaceRead(string Path) : Read<DiskSpace?>
{
    /// <summary>How it is asked and answered.</summary>
    public static ReadKind Kind { get; } = ReadKind.Of<DiskSpaceRead>(Render, Parse);

    private static void Render(ProbeText script, IReadOnlyList<DiskSpaceRead> reads)
    {
        script.Append(
            "space() { d=$2; while [ -n \"$d\" ] && [ ! -e \"$d\" ]; do d=${d%/*}; done; df -B1 "
                + "--output=size,avail,fstype,itotal,iavail -- \"${d:-/}\" 2>/dev/null; end \"s$1\" $?; }\n"
        );
        foreach (var (number, read) in reads.Index())
        {
            script.Append($"space {number} {Script.Quote(read.Path)}\n");
        }
    }

    private static void Parse(ProbeAnswer answer, IReadOnlyList<DiskSpaceRead> reads) => answer.Each(reads, "s", SpaceOf);

    private static DiskSpace? SpaceOf(ProbePart part)
    {
        var words = part is { Status: "0", Lines: [.., var last] } ? last.Split(' ', StringSplitOptions.RemoveEmptyEntries) : [];
        return
            words.Length == 5
            && long.TryParse(words[0], CultureInfo.InvariantCulture, out var size)
            && long.TryParse(words[1], CultureInfo.InvariantCulture, out var available)
            ? new DiskSpace(size, available, words[2]) { Inodes = Inodes(words[3]), AvailableInodes = Inodes(words[4]) }
            : null;

        // A file system without a table of inodes has none to count.
        static long Inodes(string word) => long.TryParse(word, CultureInfo.InvariantCulture, out var number) ? number : 0;
    }
}

/// <summary>Size and free space in bytes, and the type of the file system (as <c>df --output=fstype</c>).</summary>
public sealed record DiskSpace(long SizeBytes, long AvailableBytes, string FileSystem)
{
    /// <summary>How many inodes it can have; 0 where it does not count them.</summary>
    public long Inodes { get; init; }

    /// <summary>How many of them are free.</summary>
    public long AvailableInodes { get; init; }
}
