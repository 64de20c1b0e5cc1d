using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Providers.Preconditions;

/// <summary>The clock is kept in step: leases compare wall clocks between hosts.</summary>
internal sealed class ClockInStep : PreconditionCheck
{
    private static readonly ClockRead Clock = new();

    public override string Kind => "clock";

    public override string Description => "Something on the host says that the clock is synchronised: leases compare clocks between hosts.";

    public override PreconditionLevel Default => PreconditionLevel.Warn;

    public override Read Read(Precondition precondition) => Clock;

    public override Finding? Evaluate(Precondition precondition, Snapshot snapshot)
    {
        var clock = snapshot.Get(Clock);
        const string Remedy = "apt-get install -y chrony && systemctl enable --now chrony, and wait until timedatectl says synchronized";
        return clock.Synchronized switch
        {
            true => null,
            false => new Finding("the clock is not synchronized", clock.Source, Remedy),
            null => new Finding("no service on the host reports whether the clock is synchronized", clock.Source, Remedy),
        };
    }
}
