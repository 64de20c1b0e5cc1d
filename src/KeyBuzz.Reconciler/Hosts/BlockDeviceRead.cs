using System.Collections.Immutable;
using System.Globalization;
using System.Text;

namespace KeyBuzz.Reconciler.Hosts;

/// <summary>The content of a block device, by blkid's low-level probe, and whether its first MiB is all zero.</summary>
public sealed record BlockDeviceRead(string Path) : Read<BlockDeviceState>
{
    /// <summary>How it is asked and answered.</summary>
    public static ReadKind Kind { get; } = ReadKind.Of<BlockDeviceRead>(Render, Parse);

    private static void Render(ProbeText script, IReadOnlyList<BlockDeviceRead> reads)
    {
        script
            .Append(
                "device() { if [ -b \"$2\" ]; then p=$(readlink -f -- \"$2\"); stat -c '%t %T' -- \"$p\"; blockdev "
                    + "--getsize64 \"$p\" 2>/dev/null || echo 0\n"
            )
            .Append(
                "if cmp -s -n 1048576 -- \"$p\" /dev/zero; then echo zero; else echo data; fi; blkid -p -o export -- "
                    + "\"$p\" 2>/dev/null; end \"b$1\" $?; else end \"b$1\" none; fi; }\n"
            );
        foreach (var (number, read) in reads.Index())
        {
            script.Append($"device {number} {Script.Quote(read.Path)}\n");
        }
    }

    private static void Parse(ProbeAnswer answer, IReadOnlyList<BlockDeviceRead> reads) => answer.Each(reads, "b", StateOf);

    private static BlockDeviceState StateOf(ProbePart part)
    {
        var lines = part.Lines;
        if (part.Status == "none" || lines.Length < 3)
        {
            return new BlockDeviceState(false, null, ImmutableDictionary<string, string>.Empty, false, 0);
        }

        var tags = ImmutableSortedDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        foreach (var line in lines.Skip(3))
        {
            var equals = line.IndexOf('=', StringComparison.Ordinal);
            if (equals > 0 && line[..equals] != "DEVNAME")
            {
                tags[line[..equals]] = Unescape(line[(equals + 1)..]);
            }
        }

        // 2 is "nothing recognised". Anything else that is not success must not look like an empty device.
        switch (part.Status)
        {
            case "0" or "2":
                break;
            case "8":
                tags["AMBIVALENT"] = "yes";
                break;
            default:
                tags["PROBE_FAILED"] = $"blkid exit {part.Status}";
                break;
        }

        var numbers = lines[0].Split(' ');
        var device =
            numbers.Length == 2
            && int.TryParse(numbers[0], NumberStyles.HexNumber, CultureInfo.InvariantCulture, out var major)
            && int.TryParse(numbers[1], NumberStyles.HexNumber, CultureInfo.InvariantCulture, out var minor)
                ? string.Create(CultureInfo.InvariantCulture, $"{major}:{minor}")
                : null;
        _ = long.TryParse(lines[1], CultureInfo.InvariantCulture, out var size);
        return new BlockDeviceState(true, device, tags.ToImmutable(), lines[2] == "zero", size);
    }

    private static string Unescape(string value)
    {
        var result = new StringBuilder(value.Length);
        for (var i = 0; i < value.Length; i++)
        {
            if (value[i] == '\\' && i + 1 < value.Length)
            {
                i++;
            }

            result.Append(value[i]);
        }

        return result.ToString();
    }
}

/// <summary>The content of a block device.</summary>
/// <param name="Exists">Whether it is a block device at all.</param>
/// <param name="DeviceNumber">major:minor in decimal, or null.</param>
/// <param name="Signatures">blkid's low-level tags (TYPE, UUID, LABEL, PTTYPE …); empty when it recognises nothing.</param>
/// <param name="FirstMebibyteIsZero">Whether the first MiB is all zero bytes.</param>
/// <param name="SizeBytes">Its size in bytes.</param>
public sealed record BlockDeviceState(
    bool Exists,
    string? DeviceNumber,
    IReadOnlyDictionary<string, string> Signatures,
    bool FirstMebibyteIsZero,
    long SizeBytes
);
