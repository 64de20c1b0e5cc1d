using System.Collections.Immutable;
using System.CommandLine;
using System.Globalization;
using KeyBuzz.Reconciler.Cli.Blueprints;
using KeyBuzz.Reconciler.Cli.Firewall;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary><c>kbr check</c>: whether the hosts are as kbr needs them; only the preconditions. Changes nothing, and needs no
/// secrets. With <c>--ports</c> it reaches no host and prints the connections that firewalls must let through.</summary>
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

    public static Command Create(
        ReadOnlyContext context,
        IReadOnlyCollection<IBlueprintCommands> blueprints,
        Func<IConnectionSettings, IHostRoutes> routesOf
    )
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
                foreach (var option in (Option[])[format, operators, clients])
                {
                    if (result.GetResult(option) is { Implicit: false })
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
                var hosts = TargetedHosts.Of(cluster, CommonOptions.Patterns(parsed.Read(context.Options.Target)));
                if (parsed.Read(ports))
                {
                    var networks = ((string Name, Option<string[]> Option)[])[(FirewallRules.Operator, operators), ("clients", clients)];
                    var (routes, unsettled) = await RoutesAsync(routesOf(cluster.Connection), cluster.Hosts, stop).ConfigureAwait(false);
                    var rules = FirewallRules.Of(
                        cluster,
                        hosts,
                        context.Providers,
                        blueprints,
                        routes,
                        networks
                            .SelectMany(one => (parsed.Read(one.Option) ?? []).Select(network => (one.Name, Network: network)))
                            .ToLookup(one => one.Name, one => one.Network, StringComparer.Ordinal)
                    );
                    Show(terminal, cluster, rules, parsed.Read(format) ?? Plain, parsed.Read(context.Options.Json));
                    DiagnosticView.Show(terminal, unsettled);
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
        }
    }

    // By cluster.yaml and OpenSSH's configuration, as every command reaches them.
    private static async Task<(Dictionary<string, HostRoute> Routes, List<Diagnostic> Unsettled)> RoutesAsync(
        IHostRoutes routes,
        ImmutableArray<Host> hosts,
        CancellationToken stop
    )
    {
        var (settled, unsettled) = (new Dictionary<string, HostRoute>(StringComparer.Ordinal), new List<Diagnostic>());
        foreach (var host in hosts)
        {
            try
            {
                settled[host.Name] = await routes.ResolveAsync(host, stop).ConfigureAwait(false);
            }
            catch (HostException exception)
            {
                unsettled.Add(
                    Diagnostic.Warning(
                        string.Create(
                            CultureInfo.InvariantCulture,
                            $"{host.Name}: the rules let SSH in on port {host.Endpoint.Port}, from the operator: {exception.Message}"
                        ),
                        remedy: exception.Remedy,
                        host: host.Name
                    )
                );
            }
        }

        return (settled, unsettled);
    }

    private static Option<string[]> Network(string name, string description)
    {
        var option = new Option<string[]>(name)
        {
            Description = $"{description}, such as 10.0.0.0/16; may be given several times; default: any.",
        };
        option.Validators.Add(result =>
        {
            foreach (var word in result.Tokens.Select(token => token.Value))
            {
                if (NetworkAddress.Problem(word) is not null && NetworkAddress.ProblemOfNetwork(word) is { } problem)
                {
                    result.AddError($"{name} cannot be '{word}': {problem}");
                }
            }
        });
        return option;
    }
}
