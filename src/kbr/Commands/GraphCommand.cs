using System.CommandLine;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary><c>kbr graph</c>: the resources and what comes before what. Reaches no host, and needs no secrets.</summary>
internal static class GraphCommand
{
    public static Command Create(CommandContext context)
    {
        var command = new Command("graph", "Show the resources and their order, for Graphviz (dot) or as JSON. Connects to nothing.").With([
            context.Options.Target,
            .. context.Options.Cluster,
        ]);
        command.SetAction(parsed => context.RunAsync(parsed, (terminal, _, _) =>
            {
                var cluster = context.Load(parsed, terminal, secretsOptional: true);
                var graph = cluster.Graph;
                var targets = CommonOptions.Patterns(parsed.Read(context.Options.Target));
                bool IsTarget(Address address) => targets.IsEmpty || targets.Any(target => target.Matches(address));
                var resources = graph.WithRequirements(graph.Order.Where(IsTarget));
                HashSet<Address> shown =
                [
                    .. resources,
                    .. resources.Select(graph.PolicyOver).OfType<GroupPolicy>().Select(policy => policy.Address),
                    .. graph.Policies.Select(node => node.Policy.Address).Where(IsTarget),
                ];
                foreach (
                    var line in parsed.Read(context.Options.Json)
                        ? [GraphView.Document(cluster.Name, graph, shown)]
                        : GraphView.Dot(cluster.Name, graph, shown)
                )
                {
                    terminal.Line(line);
                }

                return Task.FromResult(ExitCode.Done);
            }));
        return command;
    }
}
