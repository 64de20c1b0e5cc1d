using System.CommandLine;
using KeyBuzz.Reconciler.Cli.Views;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary><c>kbr check</c>: whether the hosts are as kbr needs them; only the preconditions. Changes nothing, and needs no
/// secrets.</summary>
internal static class CheckCommand
{
    public static Command Create(ReadOnlyContext context)
    {
        var command = new Command(
            "check",
            "Check only the preconditions of the hosts. Changes nothing. Exit 0 all hold, 2 one " + "fails, 1 a host could not be read."
        ).With(context.Options.Targeted);
        command.SetAction(parsed => context.RunAsync(parsed, async (terminal, stop, _) =>
            {
                var cluster = context.Load(parsed, terminal, secretsOptional: true);
                await using var fleet = context.Fleet(parsed, cluster);
                var targets = CommonOptions.Patterns(parsed.Read(context.Options.Target));
                var checks = await fleet
                    .CheckAsync(cluster.Hosts.Where(host => targets.IsEmpty || targets.Any(target => target.MatchesHost(host.Name))), stop)
                    .ConfigureAwait(false);
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
}
