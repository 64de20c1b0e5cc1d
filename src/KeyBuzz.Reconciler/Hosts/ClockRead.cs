namespace KeyBuzz.Reconciler.Hosts;

/// <summary>Whether the clock is kept in step (kernel's and timedated's view).</summary>
public sealed record ClockRead : Read<ClockState>
{
    /// <summary>How it is asked and answered.</summary>
    public static ReadKind Kind { get; } = ReadKind.Of<ClockRead>(Render, Parse);

    // The clock's own service is asked first: timedated has to be started for every question. It gives the kernel's flag, which counts
    // where no service says that the clock is in step.
    private static void Render(ProbeText script, IReadOnlyList<ClockRead> reads) =>
        script
            .Append("date +'now=%s.%N'; l=; t=\n")
            .Append(
                "command -v chronyc >/dev/null && l=$(timeout 5 chronyc -n tracking 2>/dev/null | while IFS=: read -r k "
                    + "v; do case $k in Leap*) echo \"${v# }\";; esac; done)\n"
            )
            .Append("[ -z \"$l\" ] || echo \"chrony=$l\"\n")
            .Append("[ ! -e /run/systemd/timesync/synchronized ] || { t=yes; echo timesyncd=yes; }\n")
            .Append("case $l$t in '' | Not*)\n")
            .Append("v=$(timeout 5 timedatectl show -p NTPSynchronized --value 2>/dev/null) && echo \"kernel=$v\"\n")
            .Append("if [ \"${v:-no}\" != yes ] && systemd-detect-virt -q -c 2>/dev/null; then echo container=yes; fi;; esac\n")
            .Append("end clock 0\n");

    private static void Parse(ProbeAnswer answer, IReadOnlyList<ClockRead> reads)
    {
        foreach (var read in reads)
        {
            answer.Set(read, StateOf(answer.Part("clock")));
        }
    }

    private static ClockState StateOf(ProbePart part)
    {
        var said = part
            .Lines.Select(line => line.Split('=', 2))
            .Where(pair => pair.Length == 2)
            .ToDictionary(pair => pair[0], pair => pair[1], StringComparer.Ordinal);
        var now = ProbePart.Time(said.GetValueOrDefault("now") ?? "0");
        if (said.GetValueOrDefault("kernel") == "yes")
        {
            return new ClockState(true, "the kernel, by timedated", now);
        }

        if (said.TryGetValue("chrony", out var leap))
        {
            return new ClockState(!leap.Trim().StartsWith("Not", StringComparison.Ordinal), "chrony", now);
        }

        if (said.ContainsKey("timesyncd"))
        {
            return new ClockState(true, "systemd-timesyncd", now);
        }

        // Inside a container the clock is kept, or not, by the machine beneath, in ways that cannot be seen from here.
        if (said.ContainsKey("container"))
        {
            return new ClockState(null, "a container's clock is its machine's, which cannot be read from here", now);
        }

        return said.GetValueOrDefault("kernel") == "no"
            ? new ClockState(false, "the kernel, by timedated", now)
            : new ClockState(null, "neither timedated nor chrony nor systemd-timesyncd answers", now);
    }
}

/// <summary>Whether the clock is in step.</summary>
/// <param name="Synchronized">True or false; null when no service on the host reports it.</param>
/// <param name="Source">The source, in words.</param>
/// <param name="Now">The host's clock when it was read.</param>
public sealed record ClockState(bool? Synchronized, string Source, DateTimeOffset Now);
