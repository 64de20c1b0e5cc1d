using System.CommandLine;
using KeyBuzz.Reconciler.Applying;
using KeyBuzz.Reconciler.Cli.Commands;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.PostgresHa.Switchover;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Cli.Blueprints.Postgres;

/// <summary><c>kbr switchover</c>: moves the lead to another member, while all is well.</summary>
internal static class SwitchoverCommand
{
    public static Command Create(SessionContext context)
    {
        var to = new Option<string>("--to")
        {
            Description = "The new primary; default: the preferred primary, else the replica with the least lag.",
        };
        var approve = new Option<bool>("--auto-approve") { Description = "Do not ask for confirmation." };
        var command = new Command(
            "switchover",
            "Switch over to another member through Patroni; needs a healthy cluster, and waits until it is healthy again."
        )
        {
            to,
            approve,
        }.With([.. context.Options.Hosts, context.Options.LockTimeout]);
        command.SetAction(parsed => context.RunAsync(parsed, async (terminal, stop, _) =>
            {
                var json = parsed.Read(context.Options.Json);
                var candidate = parsed.Read(to);
                var approved = parsed.Read(approve);
                await using var session = context.Open(parsed, terminal);
                var topology = Topology(session, "switchover");
                var choice = await ChooseAsync(session, topology, candidate, stop).ConfigureAwait(false);
                if (!json)
                {
                    terminal.Line($"{topology.Scope}: {choice.Leader} → {choice.Candidate}", Terminal.Tone.Changed);
                    terminal.Line(SwitchoverView.Effect(topology));
                }

                if (!approved)
                {
                    Approval.Ask(terminal, "switchover", json, stop);
                }

                await using var group = await LockAsync(session, topology, [], "switchover", stop).ConfigureAwait(false);
                var cluster = Running(session, topology, group);
                await CheckAgainAsync(topology, cluster, choice, stop).ConfigureAwait(false);
                var begun = session.Time.GetTimestamp();
                var made = await HandOverAsync(cluster, choice, stop).ConfigureAwait(false);
                var handedOver = session.Time.GetElapsedTime(begun);
                var health = await cluster.WaitHealthyAsync(topology.Health.GateTimeout, stop).ConfigureAwait(false);
                if (!health.IsHealthy || health.Leader != choice.Candidate)
                {
                    throw new DiagnosticException(
                        Diagnostic.Error(
                            health.IsHealthy
                                ? $"{health.Leader} became the primary instead of {choice.Candidate}"
                                : $"{choice.Candidate} took over, but {topology.Scope} is not healthy after "
                                    + $"{topology.Health.GateTimeout.TotalSeconds:0} s: {string.Join("; ", health.Problems)}",
                            remedy: "run kbr status"
                        )
                    );
                }

                SwitchoverView.Show(terminal, json, topology.Scope, choice, made, handedOver, session.Time.GetElapsedTime(begun));
                return ExitCode.Done;
            }));
        return command;
    }

    /// <summary>The PostgreSQL cluster of the file. Throws <see cref="DiagnosticException"/> when it has none.</summary>
    public static PostgresTopology Topology(Session session, string word) =>
        session.Cluster.Model<PostgresTopology>()
        ?? throw new DiagnosticException(Diagnostic.Error($"{session.Cluster.File} has no 'postgres' section, so there is no {word}"));

    /// <summary>Reads the members without a lock and chooses. Throws <see cref="DiagnosticException"/> with the reason when no member can
    /// take over.</summary>
    public static async Task<SwitchoverChoice> ChooseAsync(
        Session session,
        PostgresTopology topology,
        string? to,
        CancellationToken cancellationToken
    )
    {
        var answers = await session
            .Fleet.ReadAsync(topology.Members, _ => PatroniHealth.Reads(topology.Ports.Rest), cancellationToken)
            .ConfigureAwait(false);
        var health = PatroniHealth.Judge(
            topology.Ports.Rest,
            answers
                .Where(pair => pair.Value.Snapshot is not null)
                .ToDictionary(pair => pair.Key, pair => pair.Value.Snapshot!, StringComparer.Ordinal),
            topology.Members.Select(member => member.Name),
            topology.Health.MaxLag
        );
        return SwitchoverChoice.Of(topology.Scope, health, to, topology.PreferredLeader);
    }

    /// <summary>Takes the locks of all members, of others that must not change meanwhile, and of the proxies whose pools are paused. A
    /// proxy that cannot be reached or locked keeps nothing from being done, unless another run holds its lock.</summary>
    public static async Task<LockedGroup> LockAsync(
        Session session,
        PostgresTopology topology,
        IEnumerable<Host> others,
        string word,
        CancellationToken cancellationToken
    )
    {
        IReadOnlyCollection<Host> proxies = topology.PausesPools ? topology.Proxies : [];
        if (proxies.Count > 0)
        {
            await session.Fleet.ReadAsync(topology.Proxies, _ => [new LockRead()], cancellationToken).ConfigureAwait(false);
        }

        return await LockedGroup
            .TakeAsync(session.Fleet, topology.Members, others, proxies, session.Holder(word), session.Time, cancellationToken)
            .ConfigureAwait(false);
    }

    /// <summary>The cluster behind its locks.</summary>
    public static RunningCluster Running(Session session, PostgresTopology topology, LockedGroup group) =>
        new(session.Cluster.Policies.First(policy => policy.Group == topology.Scope), group);

    /// <summary>Checks under the locks, with the status of the consensus store, that the choice still holds.</summary>
    public static async Task CheckAgainAsync(
        PostgresTopology topology,
        RunningCluster cluster,
        SwitchoverChoice choice,
        CancellationToken cancellationToken
    )
    {
        var health = await cluster.LookAsync(cancellationToken).ConfigureAwait(false);
        var again = SwitchoverChoice.Of(topology.Scope, health, health.Leader == choice.Candidate ? null : choice.Candidate, null);
        if (again != choice)
        {
            throw new DiagnosticException(
                Diagnostic.Error(
                    $"the primary of {topology.Scope} is now {again.Leader}, no longer {choice.Leader}; nothing was changed",
                    remedy: "run it again"
                )
            );
        }
    }

    private static async Task<HandOver> HandOverAsync(RunningCluster cluster, SwitchoverChoice choice, CancellationToken cancellationToken)
    {
        try
        {
            return await cluster.SwitchoverAsync(choice.Leader, choice.Candidate, cancellationToken).ConfigureAwait(false);
        }
        catch (ChangeFailedException exception)
        {
            throw new DiagnosticException(Diagnostic.Error(exception.Message, remedy: "run kbr status to see the primary"));
        }
    }
}
