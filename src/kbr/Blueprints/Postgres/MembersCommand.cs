using System.CommandLine;
using KeyBuzz.Reconciler.Cli.Commands;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.Providers.PatroniCluster;

namespace KeyBuzz.Reconciler.Cli.Blueprints.Postgres;

/// <summary><c>kbr members</c>: the members of the PostgreSQL cluster, as their own Patroni describes them. Changes nothing.</summary>
internal static class MembersCommand
{
    public static Command Create(SessionContext context)
    {
        var command = new Command(
            "members",
            "Show the members of the PostgreSQL cluster: role, state, timeline, lag, version, pending restart. Changes nothing."
        ).With(context.Options.Hosts);
        command.SetAction(parsed => context.RunAsync(parsed, async (terminal, stop, _) =>
            {
                var cluster = context.Load(parsed, terminal, secretsOptional: true);
                await using var fleet = context.OpenFleet(parsed, cluster);
                var topology = cluster.Model<PostgresTopology>()
                    ?? throw new DiagnosticException(
                        Diagnostic.Error($"{cluster.File} has no 'postgres' section, so there are no members")
                    );
                var answers = await fleet
                    .ReadAsync(topology.Members, _ => PatroniHealth.Reads(topology.Ports.Rest), stop)
                    .ConfigureAwait(false);
                var health = PatroniHealth.Judge(
                    topology.Ports.Rest,
                    answers
                        .Where(pair => pair.Value.Snapshot is not null)
                        .ToDictionary(pair => pair.Key, pair => pair.Value.Snapshot!, StringComparer.Ordinal),
                    topology.Members.Select(member => member.Name),
                    topology.Health.MaxLag
                );
                var members = MembersView.Of(topology, health, answers.ToDictionary(pair => pair.Key, pair => pair.Value.Error));
                if (parsed.Read(context.Options.Json))
                {
                    terminal.Line(MembersView.Document(topology.Scope, members));
                }
                else
                {
                    MembersView.Show(terminal, members);
                }

                return members.Any(member => member.Error is not null) ? ExitCode.Error : ExitCode.Done;
            }));
        return command;
    }
}
