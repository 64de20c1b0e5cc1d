using System.CommandLine;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary><c>kbr state list</c>, <c>show</c> and <c>pull</c>: the records as they are on the hosts. They change nothing there, and need
/// no secrets.</summary>
internal static class StateCommand
{
    public static Command Create(ReadOnlyContext context, SessionContext session)
    {
        var command = new Command("state", "Manage the records of applied resources: list, show, rm, mv, pull.")
        {
            List(context),
            Show(context),
            Pull(context),
            StateEditCommand.CreateRemove(session),
            StateEditCommand.CreateMove(session),
        };
        command.SetAction(KbrCommandLine.Help);
        return command;
    }

    private static Command List(ReadOnlyContext context)
    {
        var patterns = new Argument<string[]>("ADDRESS") { Description = "Only these (globs).", Arity = ArgumentArity.ZeroOrMore };
        var command = new Command("list", "List the recorded resources of all hosts. Changes nothing.") { patterns }.With(
            context.Options.Hosts
        );
        command.SetAction(parsed =>
            context.RunAsync(parsed, (terminal, stop, _) =>
                ShowAsync(context, parsed, terminal, CommonOptions.Patterns(parsed.Read(patterns)), whole: false, stop)
            )
        );
        return command;
    }

    private static Command Show(ReadOnlyContext context)
    {
        var pattern = new Argument<string>("ADDRESS") { Description = "The resource; a glob shows several." };
        var command = new Command("show", "Show a record; records contain no secrets. Changes nothing.") { pattern }.With(
            context.Options.Hosts
        );
        command.SetAction(parsed =>
            context.RunAsync(parsed, (terminal, stop, _) =>
                ShowAsync(context, parsed, terminal, [new AddressPattern(parsed.Read(pattern)!)], whole: true, stop)
            )
        );
        return command;
    }

    private static Command Pull(ReadOnlyContext context)
    {
        var command = new Command(
            "pull",
            "Update the local copy of the records (state/CLUSTER.json) from the hosts. Changes nothing there."
        ).With(context.Options.Hosts);
        command.SetAction(parsed => context.RunAsync(parsed, async (terminal, stop, _) =>
            {
                var cluster = context.Load(parsed, terminal, secretsOptional: true);
                await using var session = context.OpenRecords(parsed, cluster);
                var found = await session.ReadAsync(stop).ConfigureAwait(false);
                var (path, serial, count) = session.Pull(found);
                if (parsed.Read(context.Options.Json))
                {
                    terminal.Line(StateView.PullDocument(cluster.Name, path, serial, count, found.Diagnostics));
                }
                else
                {
                    terminal.Line($"{path}: {count} records, serial {serial}");
                    DiagnosticView.Show(terminal, found.Diagnostics);
                }

                return found.Diagnostics.Any(diagnostic => diagnostic.Severity == Severity.Error) ? ExitCode.Error : ExitCode.Done;
            }));
        return command;
    }

    private static async Task<int> ShowAsync(
        ReadOnlyContext context,
        ParseResult parsed,
        Terminal terminal,
        IReadOnlyCollection<AddressPattern> patterns,
        bool whole,
        CancellationToken stop
    )
    {
        var cluster = context.Load(parsed, terminal, secretsOptional: true);
        await using var session = context.OpenRecords(parsed, cluster);
        var found = await session.ReadAsync(stop).ConfigureAwait(false);
        var shown =
            patterns.Count == 0 ? found : found with { Copies = [.. patterns.SelectMany(pattern => found.Matching(pattern)).Distinct()] };
        if (parsed.Read(context.Options.Json))
        {
            terminal.Line(StateView.Document(cluster.Name, shown));
        }
        else
        {
            StateView.Show(terminal, shown, whole);
            DiagnosticView.Show(terminal, shown.Diagnostics);
        }

        return shown.Diagnostics.Any(diagnostic => diagnostic.Severity == Severity.Error) ? ExitCode.Error : ExitCode.Done;
    }
}
