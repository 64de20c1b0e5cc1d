using System.Collections.Immutable;
using System.Globalization;

namespace KeyBuzz.Reconciler.Hosts;

/// <summary>The disks and partitions of the host, with their stable names.</summary>
public sealed record DisksRead : Read<IReadOnlyList<DiskState>>
{
    /// <summary>How it is asked and answered.</summary>
    public static ReadKind Kind { get; } = ReadKind.Of<DisksRead>(Render, Parse);

    // A device that a file system, a partition or another device uses is in use; blkid says 2 of one that it recognises nothing on.
    private static void Render(ProbeText script, IReadOnlyList<DisksRead> reads) =>
        script
            .Append(
                "disks=$(for f in /dev/disk/by-id/* /dev/sd[a-z] /dev/sd[a-z][a-z] /dev/vd[a-z] /dev/xvd[a-z] /dev/nvme*n[0-9]; do "
                    + "[ -b \"$f\" ] && printf 'name\\t%s\\t%s\\n' \"$(readlink -f -- \"$f\")\" \"$f\"; done | sort -u)\n"
            )
            .Append("printf '%s\\n' \"$disks\"; printf '%s\\n' \"$disks\" | cut -f2 | sort -u | while IFS= read -r p; do\n")
            .Append("[ -b \"$p\" ] || continue; n=${p##*/}; k=disk; [ -e \"/sys/class/block/$n/partition\" ] && k=part\n")
            .Append(
                "u=free; for x in \"/sys/class/block/$n/$n\"*/partition \"/sys/class/block/$n/holders\"/*; do "
                    + "[ -e \"$x\" ] && u=used; done\n"
            )
            .Append("blkid -p -- \"$p\" >/dev/null 2>&1; b=$?; if cmp -s -n 1048576 -- \"$p\" /dev/zero; then z=zero; else z=data; fi\n")
            .Append(
                "printf 'disk\\t%s\\t%s\\t%s\\t%s\\t%s\\t%s\\t%s\\n' \"$p\" \"$(stat -c '%t %T' -- \"$p\")\" "
                    + "\"$(blockdev --getsize64 \"$p\" 2>/dev/null || echo 0)\" \"$k\" \"$u\" \"$b\" \"$z\"; done; end disks 0\n"
            );

    private static void Parse(ProbeAnswer answer, IReadOnlyList<DisksRead> reads)
    {
        var lines = answer.Part("disks").Lines.Select(line => line.Split('\t')).ToList();
        var names = lines.Where(cells => cells is ["name", _, _]).ToLookup(cells => cells[1], cells => cells[2], StringComparer.Ordinal);
        IReadOnlyList<DiskState> disks =
        [
            .. lines
                .Where(cells => cells is ["disk", _, _, _, _, _, _, _])
                .Select(cells => new DiskState(
                    cells[1],
                    [.. names[cells[1]].Where(name => name != cells[1]).Order(StringComparer.Ordinal)],
                    NumberOf(cells[2]),
                    long.TryParse(cells[3], CultureInfo.InvariantCulture, out var size) ? size : 0,
                    cells[4] == "part",
                    cells[4] == "disk" && cells[5] == "free" && cells[6] == "2" && cells[7] == "zero"
                )),
        ];
        foreach (var read in reads)
        {
            answer.Set(read, disks);
        }
    }

    private static string? NumberOf(string hex) =>
        hex.Split(' ') is [var one, var other]
        && int.TryParse(one, NumberStyles.HexNumber, CultureInfo.InvariantCulture, out var major)
        && int.TryParse(other, NumberStyles.HexNumber, CultureInfo.InvariantCulture, out var minor)
            ? string.Create(CultureInfo.InvariantCulture, $"{major}:{minor}")
            : null;
}

/// <summary>A disk or a partition.</summary>
/// <param name="Path">Its node under /dev.</param>
/// <param name="Names">Its stable names, under /dev/disk/by-id.</param>
/// <param name="DeviceNumber">major:minor in decimal, or null.</param>
/// <param name="SizeBytes">Its size in bytes.</param>
/// <param name="IsPartition">Whether it is a partition.</param>
/// <param name="IsEmpty">Whether it is a whole disk without partitions, unused, on which nothing is recognised and whose first MiB is all
/// zero.</param>
public sealed record DiskState(
    string Path,
    ImmutableArray<string> Names,
    string? DeviceNumber,
    long SizeBytes,
    bool IsPartition,
    bool IsEmpty
);
