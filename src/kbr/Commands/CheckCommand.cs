using System.Collections.Immutable;
using System.CommandLine;
using KeyBuzz.Reconciler.Cli.Blueprints;
using KeyBuzz.Reconciler.Cli.Firewall;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary><c>kbr check</c>: whether the hosts are as kbr needs them; only the preconditions. Changes nothing, and needs no
/// secrets. With <c>--ports</c> it reaches no host: it prints the connections that firewalls must let through.</summary>
internal static class CheckCommand
{
    private const string Plain = "plain";

    private static readonly ImmutableSortedDictionary<string, Func<string, FirewallRules, string>> s_formats = new Dictionary<
        string,
        Func<string, FirewallRules, string>
    >(StringComparer.Ordinal)
    {
        ["nft"] = FirewallFormats.Nft,
        ["ufw"] = FirewallFormats.Ufw,
        ["hetzner"] = (_, rules) => FirewallFormats.Hetzner(rules),
    }.ToImmutableSortedDictionary(StringComparer.Ordinal);

    public static Command Create(ReadOnlyContext context, IReadOnlyCollection<IBlueprintCommands> blueprints)
    {
        var ports = new Option<bool>("--ports") { Description = "Print the firewall rules that the cluster needs. Connects to nothing." };
        var format = new Option<string>("--format")
        {
            Description = $"Of --ports: {Plain} (a table), or the rules of each host for {string.Join(", ", s_formats.Keys)}.",
        };
        format.AcceptOnlyFromAmong([Plain, .. s_formats.Keys]);
        var operators = Network("--operator", "Of --ports: the network that kbr connects from");
        var clients = Network("--clients", "Of --ports: the network of the applications");
        var command = new Command(
            "check",
            "Check only the preconditions of the hosts. Changes nothing. Exit 0 all hold, 2 one fails, 1 a host could not be read."
        )
        {
            ports,
            format,
            operators,
            clients,
        }.With(context.Options.Targeted);
        command.Validators.Add(result =>
        {
            if (!result.GetValue(ports))
            {
                foreach (var option in (Option<string>[])[format, operators, clients])
                {
                    if (result.GetValue(option) is not null)
                    {
                        result.AddError($"{option.Name} needs --ports");
                    }
                }
            }
            else if (result.GetValue(context.Options.Json) && result.GetValue(format) is { } other)
            {
                result.AddError($"--json and --format {other} both go to the standard output; give one of them");
            }
        });
        command.SetAction(parsed => context.RunAsync(parsed, async (terminal, stop, _) =>
            {
                var cluster = context.Load(parsed, terminal, secretsOptional: true);
                var targets = CommonOptions.Patterns(parsed.Read(context.Options.Target));
                ImmutableArray<Host> hosts =
                [
                    .. cluster.Hosts.Where(host => targets.IsEmpty || targets.Any(target => target.MatchesHost(host.Name))),
                ];
                if (parsed.Read(ports))
                {
                    var networks = new Dictionary<string, string>(StringComparer.Ordinal);
                    foreach (var (name, option) in ((string, Option<string>)[])[(FirewallRules.Operator, operators), ("clients", clients)])
                    {
                        if (parsed.Read(option) is { } network)
                        {
                            networks[name] = network;
                        }
                    }

                    var rules = FirewallRules.Of(cluster, hosts, context.Providers, blueprints, networks);
                    Show(terminal, cluster, rules, parsed.Read(format) ?? Plain, parsed.Read(context.Options.Json));
                    return ExitCode.Done;
                }

                await using var fleet = context.Fleet(parsed, cluster);
                var checks = await fleet.CheckAsync(hosts, stop).ConfigureAwait(false);
                var verdict =
                    checks.Any(check => check.Error is not null) ? ExitCode.Error
                    : checks.Any(check => check.Preconditions.Any(one => one.Refuses)) ? ExitCode.Changes
                    : ExitCode.Done;
                if (parsed.Read(context.Options.Json))
                {
                    terminal.Line(CheckView.Document(cluster.Name, checks, verdict));
                }
                else
                {
                    CheckView.Show(terminal, checks);
                }

                return verdict;
            }));
        return command;
    }

    private static void Show(Terminal terminal, Cluster cluster, FirewallRules rules, string format, bool json)
    {
        if (json)
        {
            terminal.Line(PortsView.Document(cluster.Name, rules));
        }
        else if (format == Plain)
        {
            PortsView.Show(terminal, cluster.Hosts, rules);
        }
        else
        {
            terminal.Line(s_formats[format](cluster.Name, rules).TrimEnd('\n'));
            if (rules.ByHost().Where(one => !one.Host.Endpoint.IsPortDeclared).Select(one => one.Host.Name).ToList() is { Count: > 0 } open)
            {
                DiagnosticView.Show(
                    terminal,
                    [
                        Diagnostic.Warning(
                            $"these rules let SSH in on port 22 of {string.Join(", ", open)}, since cluster.yaml says no port",
                            remedy: "where OpenSSH's configuration says another port, set ssh.port before you load them"
                        ),
                    ]
                );
            }
        }
    }

    private static Option<string> Network(string name, string description)
    {
        var option = new Option<string>(name) { Description = $"{description}, such as 10.0.0.0/16; default: any." };
        option.Validators.Add(result =>
        {
            var word = result.Tokens.Count == 1 ? result.Tokens[0].Value : "";
            if (NetworkAddress.Problem(word) is not null && NetworkAddress.ProblemOfNetwork(word) is { } problem)
            {
                result.AddError($"{name} cannot be '{word}': {problem}");
            }
        });
        return option;
    }
}
