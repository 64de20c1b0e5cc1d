using System.Collections.Immutable;
using System.Globalization;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.Preconditions;

/// <summary>A port of another host can be reached. A refusal is enough, because before the first apply the port has no listener, unless the
/// port must answer.</summary>
internal sealed class PortReachable : PreconditionCheck
{
    private static readonly SectionSchema s_target = new([
        new("host", ValueForm.Word, "A host, a role, or a list of those.") { Or = [ValueForm.Words], Required = true },
        new("port", ValueForm.Port, "A port, or a list of ports.") { Or = [ValueForm.Words], Required = true },
    ]);

    public override string Kind => "ports";

    public override string Description => "Ports of other hosts answer or refuse; silence fails it, as a firewall is silent.";

    public override string Example => "ports: { level: error, from: [ROLE], to: [{ host: HOST, port: 5432 }] }";

    public override string PlacementKey => "from";

    public override ImmutableArray<SectionKey> Keys =>
        [
            new("to", ValueForm.Sections, "The ports that are tried.") { Required = true, Section = s_target },
            new("must_answer", ValueForm.Boolean, "Whether a refusal fails it too, for services that exist already.") { Default = "false" },
        ];

    public override bool IsList => true;

    public override IEnumerable<DeclaredPrecondition> Read(SectionReader settings, HostTable hosts, Findings findings)
    {
        if (settings.Find("to") is not YamlSequence { Items.Count: > 0 } targets)
        {
            findings.Error("'to' must be a list such as [{ host: db-1, port: 5432 }]", settings.Find("to")?.At ?? settings.At);
            yield break;
        }

        var mustAnswer = settings.Boolean("must_answer") ?? false;
        foreach (var item in targets.Items)
        {
            if (SectionReader.Of(item, "a target of precondition 'ports'", findings)?.Allow(s_target) is not { } target)
            {
                continue;
            }

            var ports = ReadPorts(target, findings);
            if (target.Find("host") is null)
            {
                findings.Error("a target of precondition 'ports' has no 'host'", target.At);
                continue;
            }

            foreach (var peer in hosts.Select(target.Words("host", "a host name or a role")))
            {
                foreach (var port in ports)
                {
                    yield return new DeclaredPrecondition(
                        AttributeSet
                            .Empty.With("address", peer.Address)
                            .With("port", port)
                            .With("peer", peer.Name)
                            .With("must_answer", mustAnswer),
                        item,
                        peer.Name
                    );
                }
            }
        }
    }

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
                $"allow TCP {number} from {precondition.Host} on {peer} (kbr check --ports prints the rules), and check that it is up"
            ),
            PortState.Refused when precondition.Settings.Boolean("must_answer") => new Finding(
                $"port {number} of {peer} has no listener",
                "the host refuses the connection",
                $"start that service on {port.Address}, not on loopback only; or remove must_answer " + $"if kbr installs it"
            ),
            _ => null,
        };
    }

    // One port or a list of them.
    private static List<long> ReadPorts(SectionReader target, Findings findings)
    {
        if (target.Find("port") is not YamlSequence list)
        {
            return target.Port("port", required: true) is { } one ? [one] : [];
        }

        if (list.Items.Count == 0)
        {
            findings.Error("'port' must be a port number or a list of them, not an empty list", list.At);
        }

        var ports = new List<long>();
        foreach (var word in target.Words("port", "a port number or a list of them"))
        {
            if (ValueSyntax.TryParseInteger(word.Value, out var number) && number is >= 1 and <= 65535)
            {
                ports.Add(number);
            }
            else
            {
                findings.Error($"'port' must be a port number from 1 to 65535, not {word.Kind}", word.At);
            }
        }

        return ports;
    }

    private static PortRead Port(Precondition precondition) =>
        new(
            precondition.Settings.String("address"),
            (int)(precondition.Settings.Integer("port") ?? throw new InvalidOperationException("a ports precondition has no port"))
        );
}
