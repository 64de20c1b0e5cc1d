using System.Collections.Immutable;
using KeyBuzz.Reconciler.Applying;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.ConsensusStore;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.PatroniCluster.Policy;

/// <summary>Performs the steps of <see cref="ClusterPolicy"/> in a roll-out: reads what it asks for, hands over, sets passwords, and lets
/// members go.</summary>
/// <param name="group">The resource that stands for the cluster.</param>
/// <param name="access">The members.</param>
/// <param name="store">Their consensus store.</param>
internal sealed class ClusterExecutor(IDeclared group, IGroupAccess access, IConsensusStore store)
{
    private readonly ClusterConnection _connection = ClusterConnection.Of(group);

    /// <summary>Takes steps until members may be disrupted, or a wait or a refusal is due.</summary>
    /// <param name="view">The cluster as it was read.</param>
    /// <param name="intent">What the change asks for.</param>
    /// <param name="readStore">Asks the consensus store, with these members counting as gone.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public async Task<RolloutTurn> NextAsync(
        ClusterView view,
        ClusterIntent intent,
        Func<ImmutableSortedSet<string>, Task<StoreView>> readStore,
        CancellationToken cancellationToken
    )
    {
        string? fenced = null;
        string? left = null;
        RolloutTurn? turn = null;
        try
        {
            turn = await DecideAsync(view, intent, readStore, primary => fenced = primary, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            // The members are not stopped after all.
            if (fenced is not null && turn is not RolloutTurn.Go)
            {
                left = await CommitFence.LowerAsync(_connection, fenced, access).ConfigureAwait(false);
            }
        }

        return left is null
            ? turn
            : turn switch
            {
                RolloutTurn.Wait wait => wait with { Reason = $"{wait.Reason}; {left}" },
                RolloutTurn.Stop stop => stop with { Reason = $"{stop.Reason}; {left}" },
                _ => turn,
            };
    }

    private async Task<RolloutTurn> DecideAsync(
        ClusterView view,
        ClusterIntent intent,
        Func<ImmutableSortedSet<string>, Task<StoreView>> readStore,
        Action<string> hasFenced,
        CancellationToken cancellationToken
    )
    {
        while (true)
        {
            switch (ClusterPolicy.Next(view, intent))
            {
                case ClusterStep.Look { Fact: ClusterFact.Store, Without: var without }:
                    view = view with { Store = await readStore(without).ConfigureAwait(false) };
                    break;
                case ClusterStep.Look:
                    view = view with
                    {
                        LostForGood = await PatroniGroup
                            .LostAsync(group, view.Health, access, intent.All, cancellationToken)
                            .ConfigureAwait(false)
                            ?? "",
                    };
                    break;
                case ClusterStep.SetReplicationPassword(var primary):
                    if (await ReplicationPassword.SetAsync(group, primary, access, cancellationToken).ConfigureAwait(false) is { } notYet)
                    {
                        return notYet;
                    }

                    view = view with { HasReplicationPassword = true };
                    break;
                case ClusterStep.FenceCommits(var primary, var replicas):
                    if (
                        await CommitFence
                            .RaiseAsync(_connection, store.Name, primary, replicas, access, cancellationToken)
                            .ConfigureAwait(false) is
                        { } open
                    )
                    {
                        return open;
                    }

                    hasFenced(primary);
                    view = view with { IsFenced = true };
                    break;
                case ClusterStep.MendStore(var problems):
                    return new RolloutTurn.Wait(
                        await new ClusterStore(group, access, store)
                            .ChangeAsync(access.Members, mayAdd: false, cancellationToken)
                            .ConfigureAwait(false)
                            ?? string.Join("; ", problems)
                    );
                case ClusterStep.SwitchOver step:
                    return await SwitchOverAsync(step, cancellationToken).ConfigureAwait(false);
                case ClusterStep.SetAside(var journal, var members):
                    return await SetAsideAsync(journal, members, cancellationToken).ConfigureAwait(false);
                case ClusterStep.MoveStore(var members, var first):
                    return await MoveStoreAsync(members, first, cancellationToken).ConfigureAwait(false);
                case ClusterStep.Start(var members) when view.BetweenStores.IsSupersetOf(members):
                    return new RolloutTurn.Go(members) { Kind = RolloutStepKind.Start, Continues = true };
                case ClusterStep.Start(var members):
                    return new RolloutTurn.Go(members) { Kind = RolloutStepKind.Start };
                case ClusterStep.StopAll(var members):
                    return new RolloutTurn.Go(members) { Kind = RolloutStepKind.RestartTogether };
                case ClusterStep.Disrupt(var member, var turn):
                    return new RolloutTurn.Go([member])
                    {
                        Kind = turn == ClusterTurn.NotRunning ? RolloutStepKind.Start : RolloutStepKind.Restart,
                    };
                case ClusterStep.Done:
                    return new RolloutTurn.Go([]);
                case ClusterStep.Wait wait:
                    return await ExplainAsync(wait, view.Health, cancellationToken).ConfigureAwait(false);
                case ClusterStep.Refuse refused:
                    return new RolloutTurn.Stop(refused.Text);
                default:
                    throw new InvalidOperationException("the policy returned a step without an executor");
            }
        }
    }

    private async Task<RolloutTurn> SetAsideAsync(
        RecoveryJournal journal,
        ImmutableArray<string> members,
        CancellationToken cancellationToken
    ) =>
        new RolloutTurn.Wait(
            await new ReturnedMembers(group, access, store)
                .SetAsideAsync(journal, members, needsData: true, cancellationToken)
                .ConfigureAwait(false)
                ?? $"kept the former data of {string.Join(" and ", members)} aside"
        );

    private async Task<RolloutTurn> MoveStoreAsync(ImmutableArray<string> members, string? first, CancellationToken cancellationToken)
    {
        access.Report.Begins(new RolloutStep(RolloutStepKind.RestartTogether, members, ""));
        if (await new StoreMove(group, access, store).LeaveAsync(members, cancellationToken).ConfigureAwait(false) is { } trouble)
        {
            return new RolloutTurn.Stop(trouble);
        }

        // Another may have become the primary meanwhile.
        var directory = PatroniGroupSpec.Of(group).DataDirectory;
        var newest = directory is null
            ? null
            : StoreMove.LastPrimary(
                directory,
                await PatroniGroup.ReadAllAsync(access, [MemberIdentity.ControlFile(directory)], cancellationToken).ConfigureAwait(false)
            );
        return new RolloutTurn.Go((newest ?? first) is { } one && members.Contains(one) ? [one] : members)
        {
            Kind = RolloutStepKind.Start,
            Continues = true,
        };
    }

    private async Task<RolloutTurn> SwitchOverAsync(ClusterStep.SwitchOver step, CancellationToken cancellationToken)
    {
        access.Report.Begins(new RolloutStep(RolloutStepKind.Switchover, [step.From, step.To], ""));
        try
        {
            var made = await new PatroniMembers(group, access, store, TimeSpan.Zero)
                .SwitchoverAsync(step.From, step.To, cancellationToken)
                .ConfigureAwait(false);
            var unpaused = made.Unpaused.IsEmpty ? "" : $" ({string.Join("; ", made.Unpaused)})";
            return new RolloutTurn.Wait(
                $"switch over from {step.From} to {step.To}{(step.IsPreferred ? ", the preferred primary" : "")}{unpaused}"
            );
        }
        catch (HandOverPostponedException exception)
        {
            return new RolloutTurn.Stop(exception.Message);
        }
        catch (ChangeFailedException exception)
        {
            // It may work next time: a candidate is not ready at once after it was restarted itself.
            return new RolloutTurn.Wait(exception.Message);
        }
    }

    // PostgreSQL's messages of members that do not start, or the progress of a copy.
    private async Task<RolloutTurn.Wait> ExplainAsync(ClusterStep.Wait wait, PatroniHealth health, CancellationToken cancellationToken)
    {
        if (StartFailure.Members(health).Any())
        {
            var said = await StartFailure
                .QuoteAsync(access, _connection, StartFailure.Members(health), cancellationToken)
                .ConfigureAwait(false);
            return new RolloutTurn.Wait(said.Length == 0 ? wait.Text : $"{wait.Text}; {said}");
        }

        return new RolloutTurn.Wait(wait.Text)
        {
            Progress = await PatroniGroup.CopiedAsync(_connection, health, access, cancellationToken).ConfigureAwait(false),
        };
    }
}
