using System.Collections.Immutable;
using System.CommandLine;
using KeyBuzz.Reconciler.Cli.Commands;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Providers.PatroniConfig;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Cli.Blueprints.Postgres;

/// <summary><c>kbr restart</c>: restarts PostgreSQL on the members that wait for it, one at a time, while all is well.</summary>
internal static class RestartCommand
{
    private const string Word = "restart";

    public static Command Create(SessionContext context)
    {
        var all = new Option<bool>("--all") { Description = "Restart every member, also those without a pending restart." };
        var approve = new Option<bool>("--auto-approve") { Description = "Do not ask for confirmation." };
        var command = new Command(
            Word,
            "Restart PostgreSQL on the members with a pending restart, one at a time: replicas, a switchover, the "
                + "former primary. Ends with the status. Exit 0 restarted and healthy, 1 otherwise."
        )
        {
            all,
            approve,
        }.With([.. context.Options.Hosts, context.Options.LockTimeout]);
        command.SetAction(parsed => context.RunAsync(parsed, async (terminal, stop, abort) =>
            {
                var json = parsed.Read(context.Options.Json);
                var everybody = parsed.Read(all);
                var approved = parsed.Read(approve);
                await using var session = context.Open(parsed, terminal);
                var topology = SwitchoverCommand.Topology(session, Word);
                var config = session.Cluster.Resources.First(resource =>
                    resource.Address.Type == "patroni_config" && resource.Address.Host == topology.Scope
                );
                var plan = await PlanAsync(session, topology, config, everybody, stop).ConfigureAwait(false);
                if (!json)
                {
                    RestartView.ShowPlan(terminal, topology.Scope, plan);
                }

                var begun = session.Time.GetTimestamp();
                var restarted = ImmutableArray<string>.Empty;
                if (!plan.Next.IsEmpty)
                {
                    if (!approved)
                    {
                        Approval.Ask(terminal, Word, json, stop);
                    }

                    await using var group = await SwitchoverCommand.LockAsync(session, topology, [], Word, stop).ConfigureAwait(false);
                    restarted = await RunAsync(
                            new RollingRestart(config, group, topology.Health.GateTimeout)
                            {
                                HandedOver = made => Tell(terminal, json, made),
                            },
                            everybody,
                            name => Tell(terminal, json, name, session.Time.GetElapsedTime(begun)),
                            stop
                        )
                        .ConfigureAwait(false);
                }

                terminal.Line(json ? RestartView.Document(topology.Scope, plan, restarted, session.Time.GetElapsedTime(begun)) : "");
                return
                    await StatusCommand
                        .ShowSettledAsync(
                            session,
                            new PostgresHealth(session.Cluster, topology),
                            terminal,
                            json,
                            topology.Health.GateTimeout,
                            touched: null,
                            abort
                        )
                        .ConfigureAwait(false) == ExitCode.Done
                    ? ExitCode.Done
                    : ExitCode.Error;
            }));
        return command;
    }

    // Without a lock. Throws DiagnosticException when no member may be restarted now.
    private static async Task<RestartPlan> PlanAsync(
        Session session,
        PostgresTopology topology,
        Resource config,
        bool all,
        CancellationToken cancellationToken
    )
    {
        var answers = await session
            .Fleet.ReadAsync(topology.Members, _ => RestartPlan.Reads(config), cancellationToken)
            .ConfigureAwait(false);
        var snapshots = answers
            .Where(pair => pair.Value.Snapshot is not null)
            .ToDictionary(pair => pair.Key, pair => pair.Value.Snapshot!, StringComparer.Ordinal);
        var names = topology.Members.Select(member => member.Name).ToList();
        var health = PatroniHealth.Judge(topology.Ports.Rest, snapshots, names, topology.Health.MaxLag);
        if (!health.IsHealthy)
        {
            throw new DiagnosticException(
                Diagnostic.Error(
                    $"{topology.Scope} is not healthy: {string.Join("; ", health.Problems)}",
                    remedy: "run kbr status; members are restarted only while the cluster is healthy"
                )
            );
        }

        if (health.IsPaused)
        {
            throw new DiagnosticException(
                Diagnostic.Error(
                    $"{topology.Scope} is paused: Patroni starts and promotes nothing",
                    remedy: "end the pause first: patronictl resume, or PATCH /config with {\"pause\": null}"
                )
            );
        }

        return RestartPlan.Of(config, health, snapshots, all ? names.Except(health.Fenced.Keys) : []);
    }

    private static async Task<ImmutableArray<string>> RunAsync(
        RollingRestart rolling,
        bool all,
        Action<string> restarted,
        CancellationToken cancellationToken
    )
    {
        var names = ImmutableArray.CreateBuilder<string>();
        try
        {
            return await rolling
                .RunAsync(
                    all,
                    name =>
                    {
                        names.Add(name);
                        restarted(name);
                    },
                    cancellationToken
                )
                .ConfigureAwait(false);
        }
        catch (ChangeFailedException exception)
        {
            throw new DiagnosticException(
                Diagnostic.Error(
                    exception.Message,
                    null,
                    names.Count == 0 ? "no member was restarted" : $"restarted so far: {string.Join(", ", names)}",
                    "run kbr status; run kbr restart again once the cluster is healthy"
                )
            );
        }
    }

    private static void Tell(Terminal terminal, bool json, HandOver made)
    {
        if (!json)
        {
            SwitchoverView.ShowNotes(terminal, made);
        }
    }

    private static void Tell(Terminal terminal, bool json, string name, TimeSpan since)
    {
        if (!json)
        {
            RestartView.ShowStep(terminal, name, since);
        }
    }
}
