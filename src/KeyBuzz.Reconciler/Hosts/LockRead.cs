using System.Globalization;
using System.Text;

namespace KeyBuzz.Reconciler.Hosts;

/// <summary>The holder of the host's lock, with its description. Scans every process of the host, so only for kbr unlock.</summary>
public sealed record LockRead : Read<LockState>
{
    /// <summary>How it is asked and answered.</summary>
    public static ReadKind Kind { get; } = ReadKind.Of<LockRead>(Render, Parse);

    // A process that has the file open may only wait: the holder has a line for it in fdinfo. A process in a mount namespace of its
    // own has another file of that name.
    private static void Render(ProbeText script, IReadOnlyList<LockRead> reads) =>
        script
            .Append(
                "k=$(stat -L -c %d:%i /run/kbr/lock 2>/dev/null); ls -l /proc/[0-9]*/fd 2>/dev/null | while read -r "
                    + "l; do case $l in /proc/*/fd:) p=${l#/proc/}; p=${p%/fd:};;\n"
            )
            .Append(
                "*' -> /run/kbr/lock') f=${l% -> *}; f=${f##* }; case $(stat -L -c %d:%i \"/proc/$p/fd/$f\" "
                    + "2>/dev/null):$(cat \"/proc/$p/fdinfo/$f\" 2>/dev/null) in \"$k\":*FLOCK*) echo \"pid $p\";; esac;; "
                    + "esac; done\n"
            )
            .Append("cat /run/kbr/lock.json 2>/dev/null; end lock 0\n");

    private static void Parse(ProbeAnswer answer, IReadOnlyList<LockRead> reads)
    {
        var lines = answer.Part("lock").Lines.ToLookup(line => line.StartsWith("pid ", StringComparison.Ordinal));
        foreach (var read in reads)
        {
            answer.Set(
                read,
                new LockState(
                    [.. lines[true].Select(line => int.Parse(line.AsSpan(4), CultureInfo.InvariantCulture)).Distinct()],
                    LockHolder.Read(Encoding.UTF8.GetBytes(string.Concat(lines[false])))
                )
            );
        }
    }
}

/// <summary>The lock of a host.</summary>
/// <param name="ProcessIds">The processes that hold it; none when it is free.</param>
/// <param name="Holder">What its description says; of a lock that is free it was left over. Null when there is none, or none that can be
/// read.</param>
public sealed record LockState(IReadOnlyList<int> ProcessIds, LockHolder? Holder);
