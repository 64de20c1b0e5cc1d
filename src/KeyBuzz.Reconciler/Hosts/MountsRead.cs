using System.Text;

namespace KeyBuzz.Reconciler.Hosts;

/// <summary>Every mounted file system, as in /proc/self/mountinfo.</summary>
public sealed record MountsRead : Read<IReadOnlyList<MountEntry>>
{
    /// <summary>How it is asked and answered.</summary>
    public static ReadKind Kind { get; } = ReadKind.Of<MountsRead>(Render, Parse);

    private static void Render(ProbeText script, IReadOnlyList<MountsRead> reads) =>
        script.Append("cat /proc/self/mountinfo; end mounts $?\n");

    private static void Parse(ProbeAnswer answer, IReadOnlyList<MountsRead> reads)
    {
        foreach (var read in reads)
        {
            answer.Set(read, EntriesOf(answer.Part("mounts").Whole()));
        }
    }

    private static List<MountEntry> EntriesOf(ProbePart part)
    {
        List<MountEntry> mounts = [];
        foreach (var line in part.Lines)
        {
            // 36 35 98:0 /root /mount/point rw,noatime shared:1 - ext4 /dev/sda1 rw,errors=continue
            var fields = line.Split(' ');
            var dash = Array.IndexOf(fields, "-", Math.Min(6, fields.Length));
            if (dash > 0 && fields.Length >= dash + 4)
            {
                mounts.Add(
                    new MountEntry(
                        Octal(fields[4]),
                        Octal(fields[dash + 2]),
                        fields[2],
                        fields[dash + 1],
                        $"{fields[5]},{fields[dash + 3]}"
                    )
                );
            }
        }

        return mounts;
    }

    // The kernel writes space, tab, newline and backslash as \ooo.
    private static string Octal(string text)
    {
        if (!text.Contains('\\', StringComparison.Ordinal))
        {
            return text;
        }

        var result = new StringBuilder();
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] == '\\' && i + 3 < text.Length && text.AsSpan(i + 1, 3).IndexOfAnyExceptInRange('0', '7') < 0)
            {
                result.Append((char)(((text[i + 1] - '0') * 64) + ((text[i + 2] - '0') * 8) + (text[i + 3] - '0')));
                i += 3;
            }
            else
            {
                result.Append(text[i]);
            }
        }

        return result.ToString();
    }
}

/// <summary>A mounted file system.</summary>
/// <param name="MountPoint">Where.</param>
/// <param name="Source">From what, as the kernel names it.</param>
/// <param name="DeviceNumber">major:minor.</param>
/// <param name="Type">File system type.</param>
/// <param name="Options">Mount and superblock options, comma-separated.</param>
public sealed record MountEntry(string MountPoint, string Source, string DeviceNumber, string Type, string Options);
