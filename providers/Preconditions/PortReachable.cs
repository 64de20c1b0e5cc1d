using System.Globalization;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Providers.Preconditions;

/// <summary>A port of another host can be reached. A refusal is enough: before the first apply nobody listens yet.</summary>
internal sealed class PortReachable : PreconditionCheck
{
    public override string Kind => "ports";

    public override Read Read(Precondition precondition) => Port(precondition);

    public override Finding? Evaluate(Precondition precondition, Snapshot snapshot)
    {
        var port = Port(precondition);
        if (snapshot.Get(port) != PortState.Silent)
        {
            return null;
        }

        var number = port.Port.ToString(CultureInfo.InvariantCulture);
        var peer = precondition.Settings.OptionalString("peer") is { } name ? $"{name} ({port.Address})" : port.Address;
        return new Finding($"port {number} of {peer} cannot be reached", "neither an answer nor a refusal in time", $"let {precondition.Host} through to TCP {number} in the firewalls between the two, and see that {peer} is up");
    }

    private static PortRead Port(Precondition precondition) =>
        new(precondition.Settings.String("address"), (int)(precondition.Settings.Integer("port") ?? throw new InvalidOperationException("a ports precondition has no port")));
}
