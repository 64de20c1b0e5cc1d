using System.Globalization;

namespace KeyBuzz.Reconciler.Hosts;

/// <summary>stat(1) of a path, not following a final symbolic link. Answer: null when there is nothing.</summary>
public sealed record StatRead(string Path) : Read<FileStat?>
{
    // Of stat's %b, whatever the file system's own are.
    private const long BytesInBlock = 512;

    /// <summary>How it is asked and answered.</summary>
    public static ReadKind Kind { get; } = ReadKind.Of<StatRead>(Render, Parse);

    private static void Render(ProbeText script, IReadOnlyList<StatRead> reads) =>
        script
            .Append("stat --printf '%F\\t%u\\t%g\\t%U\\t%G\\t%a\\t%.9Y\\t%b\\t%n\\n' --")
            .AppendQuoted(reads.Select(read => read.Path))
            .Append(" 2>/dev/null; end stat $?\n");

    private static void Parse(ProbeAnswer answer, IReadOnlyList<StatRead> reads)
    {
        Dictionary<string, FileStat> found = new(StringComparer.Ordinal);
        foreach (var line in answer.Part("stat").Whole().Lines)
        {
            var fields = line.Split('\t', 9);
            if (fields.Length == 9)
            {
                found[fields[8]] = new FileStat(
                    FileStat.KindOf(fields[0]),
                    ProbePart.Number(fields[1]),
                    ProbePart.Number(fields[2]),
                    fields[3],
                    fields[4],
                    fields[5].PadLeft(4, '0'),
                    ProbePart.Time(fields[6])
                )
                {
                    AllocatedBytes = long.TryParse(fields[7], CultureInfo.InvariantCulture, out var blocks) ? blocks * BytesInBlock : 0,
                };
            }
        }

        foreach (var read in reads)
        {
            answer.Set(read, found.GetValueOrDefault(read.Path));
        }
    }
}

/// <summary>The answer of stat(1).</summary>
/// <param name="Kind">As <c>stat -c %F</c>: <c>directory</c>, <c>regular file</c>, <c>symbolic link</c> …</param>
/// <param name="Uid">Numeric owner.</param>
/// <param name="Gid">Numeric group.</param>
/// <param name="User">Owner's name, or <c>UNKNOWN</c>.</param>
/// <param name="Group">Group's name, or <c>UNKNOWN</c>.</param>
/// <param name="Mode">Four octal digits.</param>
/// <param name="ModifiedAt">Time of the last change of content.</param>
public sealed record FileStat(string Kind, int Uid, int Gid, string User, string Group, string Mode, DateTimeOffset ModifiedAt)
{
    /// <summary>How much room it takes on its file system.</summary>
    public long AllocatedBytes { get; init; }

    /// <summary>The owner in the form in which one is wanted: a number beside a number, a name beside a name. An owner without a name still
    /// shows as its number.</summary>
    public string OwnerBeside(string wanted) => Beside(wanted, Uid, User);

    /// <summary>The group in the form in which one is wanted.</summary>
    public string GroupBeside(string wanted) => Beside(wanted, Gid, Group);

    private static string Beside(string wanted, int id, string name) =>
        !wanted.AsSpan().ContainsAnyExceptInRange('0', '9') || name == "UNKNOWN" ? id.ToString(CultureInfo.InvariantCulture) : name;

    /// <summary>stat(1) has a kind of its own for an empty file; to kbr it is a file.</summary>
    internal static string KindOf(string kind) => kind == "regular empty file" ? "regular file" : kind;
}
