using System.CommandLine;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary><c>kbr graph</c>: the resources and what comes before what. Reaches no host, and needs no secrets.</summary>
internal static class GraphCommand
{
    private const string Dot = "dot";
    private const string Json = "json";
    private const string Svg = "svg";

    public static Command Create(CommandContext context)
    {
        var format = new Option<string>("--format") { Description = "The format: dot (for Graphviz), json, svg." };
        format.AcceptOnlyFromAmong(Dot, Json, Svg);
        var command = new Command(
            "graph",
            "Show the resources and their order, for Graphviz (dot), as SVG or as JSON. Connects to nothing."
        )
        {
            format,
        }.With([context.Options.Target, .. context.Options.Cluster]);
        command.Validators.Add(result =>
        {
            if (result.GetValue(context.Options.Json) && result.GetValue(format) is { } other && other != Json)
            {
                result.AddError($"--json and --format {other} both go to the standard output; give one of them");
            }
        });
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
                    var line in (parsed.Read(format), parsed.Read(context.Options.Json)) switch
                    {
                        (_, true) or (Json, _) => [GraphView.Document(cluster.Name, graph, shown)],
                        (Svg, _) => [GraphSvg.Render(GraphPicture.Of(cluster.Name, graph, shown)).TrimEnd('\n')],
                        _ => GraphView.Dot(cluster.Name, graph, shown),
                    }
                )
                {
                    terminal.Line(line);
                }

                return Task.FromResult(ExitCode.Done);
            }));
        return command;
    }
}
