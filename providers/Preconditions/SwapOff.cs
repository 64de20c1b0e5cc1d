using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Providers.Preconditions;

/// <summary>No swap is in use: a database that is swapped out misses its heartbeats.</summary>
internal sealed class SwapOff : PreconditionCheck
{
    private static readonly FileRead Swaps = new("/proc/swaps");

    public override string Kind => "swap";

    public override string Description => "/proc/swaps lists no swap: a database that is swapped out misses its heartbeats.";

    public override PreconditionLevel Default => PreconditionLevel.Error;

    public override Read Read(Precondition precondition) => Swaps;

    public override Finding? Evaluate(Precondition precondition, Snapshot snapshot)
    {
        // The first line is a heading; a kernel without swap has no such file.
        var areas = (snapshot.Get(Swaps)?.Text ?? "")
            .Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)
            .Skip(1)
            .Select(line => line.Split([' ', '\t'], 2)[0])
            .ToList();

        return areas.Count == 0
            ? null
            : new Finding(
                "swap is on",
                $"/proc/swaps lists {string.Join(", ", areas)}",
                @"swapoff -a && sed -i '/\sswap\s/s/^/#/' /etc/fstab"
            );
    }
}
