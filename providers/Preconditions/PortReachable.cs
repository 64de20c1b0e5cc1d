using System.Globalization;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Providers.Preconditions;

/// <summary>A port of another host can be reached. A refusal is enough, because before the first apply the port has no listener, unless the
/// port must answer.</summary>
internal sealed class PortReachable : PreconditionCheck
{
    public override string Kind => "ports";

    public override Read Read(Precondition precondition) => Port(precondition);

    public override Finding? Evaluate(Precondition precondition, Snapshot snapshot)
    {
        var port = Port(precondition);
        var number = port.Port.ToString(CultureInfo.InvariantCulture);
        var peer = precondition.Settings.OptionalString("peer") is { } name ? $"{name} ({port.Address})" : port.Address;
        return snapshot.Get(port) switch
        {
            PortState.Silent => new Finding(
                $"port {number} of {peer} cannot be reached",
                "neither an answer nor a refusal in time",
                $"allow TCP {number} from {precondition.Host} in the firewalls between the two, and check that {peer} is up"
            ),
            PortState.Refused when precondition.Settings.Boolean("must_answer") => new Finding(
                $"port {number} of {peer} has no listener",
                "the host refuses the connection",
                $"start that service on {port.Address}, not on loopback only; or remove must_answer " + $"if kbr installs it"
            ),
            _ => null,
        };
    }

    private static PortRead Port(Precondition precondition) =>
        new(
            precondition.Settings.String("address"),
            (int)(precondition.Settings.Integer("port") ?? throw new InvalidOperationException("a ports precondition has no port"))
        );
}
