using System.Buffers;
using System.Text.Json;
using System.Text.RegularExpressions;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.ConsensusStore;
using KeyBuzz.Reconciler.Providers.PatroniCluster.Policy;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Providers.SqlProxies;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.PatroniCluster;

/// <summary>Restarts PostgreSQL on members and hands the lead over, by Patroni's REST API, and only while the cluster is healthy.</summary>
/// <param name="resource">A resource of the cluster: how its members are reached, and how far one may be behind.</param>
/// <param name="group">The members.</param>
/// <param name="store">Their consensus store.</param>
/// <param name="patience">How long the cluster may take to be healthy.</param>
internal sealed class PatroniMembers(IDeclared resource, IGroupAccess group, IConsensusStore store, TimeSpan patience)
{
    private static readonly Regex s_insteadPattern = new(
        "^Switched over to \"([^\"]+)\" instead of \"",
        RegexOptions.CultureInvariant,
        TimeSpan.FromSeconds(1)
    );

    private readonly ClusterConnection _connection = ClusterConnection.Of(resource);

    /// <summary>Receives each hand-over of <see cref="RestartNextAsync"/>.</summary>
    public Action<HandOver> HandedOver { get; init; } = _ => { };

    /// <summary>Takes the next step towards members that run with the stored configuration, and returns when the cluster is healthy again.
    /// A step restarts a replica, the least lag first; then switches over, after which Patroni restarts the former primary as a replica; or
    /// restarts the primary in place, if it is alone or must be first. Answers the restarted members. Throws <see
    /// cref="ChangeFailedException"/>, and <see cref="ChangeHeldException"/> where no member may be restarted now.</summary>
    /// <param name="members">The members that have to be restarted.</param>
    /// <param name="leaderFirst">Whether the leader is restarted first and in place.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public async Task<string> RestartNextAsync(IReadOnlyCollection<string> members, bool leaderFirst, CancellationToken cancellationToken)
    {
        ThrowIfClosed(members);
        var health = await HealthyAsync(cancellationToken).ConfigureAwait(false);
        ThrowIfClosed(members);
        // It is healthy by the consensus store's account, too.
        var view = new ClusterView(health.Names, health)
        {
            Fenced = [.. health.Fenced.Keys],
            Store = new StoreView([], []),
            HasReplicationPassword = true,
        };
        var intent = new ClusterIntent([.. members], []) { OnlyServer = true, PrimaryFirst = leaderFirst };
        string next;
        switch (ClusterPolicy.Next(view, intent))
        {
            case ClusterStep.SwitchOver(var from, var to, _):
                group.Report.Begins(new RolloutStep(RolloutStepKind.Switchover, [from, to], ""));
                HandedOver(await SwitchoverAsync(from, to, cancellationToken).ConfigureAwait(false));
                // Patroni restarts it.
                group.Report.Begins(new RolloutStep(RolloutStepKind.Restart, [from], ""));
                await HealthyAsync(cancellationToken).ConfigureAwait(false);
                return from;
            case ClusterStep.Disrupt(var member, _):
                next = member;
                break;
            case ClusterStep.Refuse refused:
                throw new ChangeFailedException($"{string.Join(" and ", members)} have a pending restart: {refused.Text}");
            case var other:
                throw new InvalidOperationException($"unexpected policy step in a healthy cluster: {other}");
        }

        group.Report.Begins(new RolloutStep(RolloutStepKind.Restart, [next], ""));
        try
        {
            await CallAsync(
                    next,
                    "/restart",
                    Json(),
                    TimeSpan.FromMinutes(5),
                    $"PostgreSQL on {next} could not be restarted",
                    cancellationToken
                )
                .ConfigureAwait(false);
        }
        catch (ChangeFailedException exception)
        {
            var said = await StartFailure.QuoteAsync(group, _connection, [next], cancellationToken).ConfigureAwait(false);
            throw said.Length == 0
                ? exception
                : new ChangeFailedException(
                    $"{exception.Message}. {said}. No other member was restarted; revert the value that stops it from starting, and apply again",
                    exception
                );
        }

        await HealthyAsync(cancellationToken).ConfigureAwait(false);
        return next;
    }

    private void ThrowIfClosed(IReadOnlyCollection<string> members)
    {
        if (group.ClosedBecause is { } closed)
        {
            throw new ChangeHeldException($"{string.Join(" and ", members)} wait for a restart: {closed}");
        }
    }

    /// <summary>Hands the lead over, while the pools in front of the cluster are paused. Throws
    /// <see cref="ChangeFailedException"/>.</summary>
    public async Task<HandOver> SwitchoverAsync(string leader, string candidate, CancellationToken cancellationToken)
    {
        await CheckpointAsync(leader, cancellationToken).ConfigureAwait(false);
        return await new PlannedHandOver(ConnectionPools.Of(resource), group)
            .RunAsync(
                candidate,
                async stop =>
                    PrimaryAfter(
                        await CallAsync(
                                leader,
                                "/switchover",
                                Json(("leader", leader), ("candidate", candidate)),
                                TimeSpan.FromMinutes(2),
                                $"the switchover from {leader} to {candidate} failed",
                                stop
                            )
                            .ConfigureAwait(false),
                        candidate
                    ),
                cancellationToken
            )
            .ConfigureAwait(false);
    }

    /// <summary>The primary after a switchover that Patroni calls done: also where another replica than the candidate took the lead, it
    /// answers 200.</summary>
    /// <param name="answer">The body of its answer.</param>
    /// <param name="candidate">Who was to lead.</param>
    internal static string PrimaryAfter(string answer, string candidate) =>
        s_insteadPattern.Match(answer) is { Success: true } match ? match.Groups[1].Value : candidate;

    // The leader makes one when it stops, while everybody waits: what it has to write then, it writes now. A hand-over works without it.
    private async Task CheckpointAsync(string leader, CancellationToken cancellationToken)
    {
        try
        {
            await new LeaderSession(group, _connection)
                .RunOnAsync(leader, [SqlStatement.Run("CHECKPOINT")], cancellationToken)
                .ConfigureAwait(false);
        }
        catch (Exception exception) when (exception is ChangeFailedException or TransientFailureException or HostException)
        {
            // The hand-over says what is wrong with the leader.
        }
    }

    /// <summary>Waits until the cluster is healthy by Patroni and by the consensus store: <c>/cluster</c> says "streaming" long before
    /// the store is whole again. Throws <see cref="ChangeFailedException"/>.</summary>
    public async Task<PatroniHealth> HealthyAsync(CancellationToken cancellationToken)
    {
        var health = await PatroniGroup.WaitHealthyAsync(resource, group, store, patience, cancellationToken).ConfigureAwait(false);
        if (health.IsHealthy)
        {
            return health;
        }

        var said = await StartFailure.QuoteAsync(group, _connection, StartFailure.Members(health), cancellationToken).ConfigureAwait(false);
        throw new ChangeFailedException(
            $"no member is restarted while {_connection.Scope} is not healthy; after {patience.TotalSeconds:0} s: "
                + $"{string.Join("; ", health.Problems)}{(said.Length == 0 ? "" : $". {said}")}"
        );
    }

    // Answers the body.
    private async Task<string> CallAsync(
        string host,
        string path,
        byte[] body,
        TimeSpan timeout,
        string failure,
        CancellationToken cancellationToken
    )
    {
        try
        {
            var answer = await new PatroniRest(group, _connection)
                .SendAsync(host, "POST", path, body, timeout, cancellationToken)
                .ConfigureAwait(false);
            if (answer.Status is not (200 or 202))
            {
                throw new ChangeFailedException($"{failure}: Patroni answers {answer.Status}: {answer.Body.Trim()}");
            }

            return answer.Body;
        }
        catch (TransientFailureException exception)
        {
            throw new ChangeFailedException($"{failure}: {exception.Message}", exception);
        }
    }

    private static byte[] Json(params ReadOnlySpan<(string Name, string Value)> values)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            foreach (var (name, value) in values)
            {
                json.WriteString(name, value);
            }

            json.WriteEndObject();
        }

        return buffer.WrittenSpan.ToArray();
    }
}
