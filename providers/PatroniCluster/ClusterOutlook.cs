using System.Collections.Immutable;
using System.Globalization;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Providers.PatroniCluster.Policy;
using KeyBuzz.Reconciler.Providers.SqlProxies;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.PatroniCluster;

/// <summary>The steps in which a change would disrupt a cluster: the policy run against a model of it. Pure.</summary>
/// <param name="View">The cluster as it is now.</param>
public sealed record ClusterOutlook(ClusterView View) : GroupOutlook
{
    // Measured on the lab: a switchover takes 2.2 to 3.3 s, a stop of all members 13.7 to 17.2 s.
    private static readonly TimeSpan s_switchover = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan s_stopOfAll = TimeSpan.FromSeconds(15);

    // One after another: the replicas stop, the primary stops, and it starts.
    private static readonly TimeSpan s_moveOfStore = TimeSpan.FromSeconds(20);

    /// <summary>The member that is to be the primary after a roll-out; null when any may.</summary>
    public string? Preferred { get; init; }

    /// <summary>The proxies in front of the cluster that serve.</summary>
    public ImmutableSortedSet<string> Proxies { get; init; } = [];

    /// <summary>The primary; null when there is none, or several.</summary>
    public string? Leader => View.Health.Leader;

    /// <summary>The members that serve: the primary, and the replicas that run.</summary>
    public IEnumerable<string> Serving => View.Health.Members.Where(member => member.IsRunning).Select(member => member.Name);

    /// <summary>The cluster among the groups, with the proxies that serve; null when it is not known.</summary>
    public static ClusterOutlook? Of(IEnumerable<GroupOutlook> groups)
    {
        ClusterOutlook? cluster = null;
        ImmutableSortedSet<string> proxies = [];
        foreach (var group in groups)
        {
            cluster ??= group as ClusterOutlook;
            proxies = group is ProxiesOutlook { Serving: var serving } ? serving : proxies;
        }

        return cluster is null ? null : cluster with { Proxies = proxies };
    }

    /// <summary>A cluster known from its members' answers alone.</summary>
    /// <param name="health">What they say.</param>
    /// <param name="preferred">The member that is to be the primary after a roll-out; null when any may.</param>
    public static ClusterOutlook Of(PatroniHealth health, string? preferred)
    {
        ArgumentNullException.ThrowIfNull(health);
        return new ClusterOutlook(
            new ClusterView(health.Names, health)
            {
                Fenced = [.. health.Fenced.Keys],
                Stopped = [.. health.Members.Where(member => !member.Answers).Select(member => member.Name)],
            }
        )
        {
            Preferred = preferred,
        };
    }

    /// <summary>The cluster after a roll-out.</summary>
    /// <param name="pending">The members to be disrupted.</param>
    /// <param name="leaving">The members that are taken down for good.</param>
    public ClusterOutlook After(ImmutableSortedSet<string> pending, ImmutableSortedSet<string> leaving)
    {
        ArgumentNullException.ThrowIfNull(pending);
        return pending.IsEmpty ? this : this with { View = Run(new ClusterIntent(pending, leaving) { Preferred = Preferred })[^1].After };
    }

    /// <summary>The steps of a roll-out; null when it disrupts no member that serves.</summary>
    /// <param name="address">The resource whose change it is.</param>
    /// <param name="pending">The members to be disrupted.</param>
    /// <param name="leaving">The members that are taken down for good.</param>
    public RolloutForecast? Forecast(Address address, ImmutableSortedSet<string> pending, ImmutableSortedSet<string> leaving) =>
        Forecast(address, new ClusterIntent(pending, leaving) { Preferred = Preferred });

    /// <summary>The steps of a roll-out in the order of its turns; null when it disrupts no member that serves.</summary>
    /// <param name="address">The resource whose change it is.</param>
    /// <param name="state">The members to be disrupted.</param>
    public RolloutForecast? Forecast(Address address, RolloutState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        return Forecast(address, new ClusterIntent(state.ToCome, state.Leaving) { Later = state.Later, Preferred = Preferred });
    }

    /// <summary>The steps of a restart of PostgreSQL alone; null when it disrupts no member that serves.</summary>
    /// <param name="address">The resource whose change it is.</param>
    /// <param name="pending">The members to be restarted.</param>
    /// <param name="primaryFirst">Whether the primary is restarted first and in place.</param>
    public RolloutForecast? ForecastServer(Address address, ImmutableSortedSet<string> pending, bool primaryFirst) =>
        Forecast(address, new ClusterIntent(pending, []) { OnlyServer = true, PrimaryFirst = primaryFirst });

    private RolloutForecast? Forecast(Address address, ClusterIntent intent)
    {
        ArgumentNullException.ThrowIfNull(intent);
        if (ClusterPolicy.WithoutAll(View, intent) is { } others)
        {
            return new RolloutForecast(address, [], null, $"refused: {others}") { Refusal = others };
        }

        if (!intent.All.Any(Serving.Contains))
        {
            return null;
        }

        var run = Run(intent);
        if (run[^1].Step is ClusterStep.Refuse { Cause: ClusterCause.Paused })
        {
            var unpaused = this with { View = View with { Health = View.Health with { IsPaused = false } } };
            return unpaused.WithFailures(
                new RolloutForecast(address, Steps(unpaused.Run(intent), intent), TimeSpan.Zero, "refused while Patroni is paused"),
                unpaused.Run(intent),
                intent
            );
        }

        var steps = Steps(run, intent);
        var forecast = run[^1].Step switch
        {
            ClusterStep.Refuse refused => new RolloutForecast(address, steps, null, $"refused: {refused.Text}"),
            ClusterStep.Wait waits => new RolloutForecast(address, steps, null, $"waits: {waits.Text}"),
            _ => Estimate(
                address,
                steps,
                ofAll: View.Moving.IsEmpty ? s_stopOfAll : s_moveOfStore,
                inPlace: run.Any(taken =>
                    taken.Step is ClusterStep.Disrupt { Turn: ClusterTurn.PrimaryInPlace or ClusterTurn.PrimaryFirst }
                )
            ),
        };
        return WithFailures(forecast, run, intent);
    }

    // A hand-over of a server's restart is two of the plan's steps, and one of the policy's.
    private RolloutForecast WithFailures(
        RolloutForecast forecast,
        ImmutableArray<(ClusterView Before, ClusterStep Step, ClusterView After)> run,
        ClusterIntent intent
    )
    {
        var outlooks = ImmutableArray.CreateBuilder<StepOutlook>(forecast.Steps.Length);
        var rest = intent;
        foreach (var taken in run)
        {
            var shown = Steps([taken], intent).Length;
            if (shown > 0)
            {
                var outlook = ClusterFailures.Of(taken.Before, rest, taken.Step, Proxies);
                for (var one = 0; one < shown; one++)
                {
                    outlooks.Add(outlook);
                }
            }

            rest = ClusterModel.Apply(taken.Before, rest, taken.Step).Intent;
        }

        return forecast with
        {
            WhatIf = outlooks.ToImmutable(),
            AtRest = AtRest(),
        };
    }

    /// <summary>What every single failure does without a change.</summary>
    public StepOutlook AtRest() => ClusterFailures.Of(View, ClusterIntent.Settle, step: null, Proxies);

    private ImmutableArray<(ClusterView Before, ClusterStep Step, ClusterView After)> Run(ClusterIntent intent)
    {
        // Members that the health does not know are still to be made.
        var unknown = intent.All.Where(name => View.Member(name) is null).ToImmutableArray();
        var view = View with { Names = [.. View.Names.Union(unknown, StringComparer.Ordinal)], Stopped = View.Stopped.Union(unknown) };
        return [.. ClusterModel.Run(view, intent)];
    }

    private static ImmutableArray<RolloutStep> Steps(
        ImmutableArray<(ClusterView Before, ClusterStep Step, ClusterView After)> run,
        ClusterIntent intent
    )
    {
        var steps = ImmutableArray.CreateBuilder<RolloutStep>();
        HashSet<string> formerPrimaries = [];
        foreach (var (before, step, _) in run)
        {
            switch (step)
            {
                case ClusterStep.MoveStore(var members, var first):
                    steps.Add(
                        new RolloutStep(
                            RolloutStepKind.RestartTogether,
                            members,
                            $"from {before.FormerStore} to {before.StoreWords.Name}; {first ?? "the last primary"} stops last, starts first and leads"
                        )
                    );
                    break;
                // A part of the move.
                case ClusterStep.Start(var members) when before.BetweenStores.IsSupersetOf(members):
                    break;
                case ClusterStep.Start(var members):
                    if (members.Except(intent.Leaving).ToImmutableArray() is { IsEmpty: false } started)
                    {
                        steps.Add(new RolloutStep(RolloutStepKind.Start, started, "not running"));
                    }

                    steps.AddRange(
                        members.Intersect(intent.Leaving).Select(name => new RolloutStep(RolloutStepKind.Remove, [name], "not running"))
                    );
                    break;
                case ClusterStep.StopAll(var members):
                    steps.Add(
                        new RolloutStep(RolloutStepKind.RestartTogether, members, "members with different passwords cannot communicate")
                    );
                    break;
                case ClusterStep.SwitchOver(var from, var to, var isPreferred):
                    steps.Add(new RolloutStep(RolloutStepKind.Switchover, [from, to], isPreferred ? "the preferred primary" : ""));
                    formerPrimaries.Add(from);
                    // Patroni restarts the former primary as a replica with the stored configuration.
                    if (intent.OnlyServer)
                    {
                        steps.Add(new RolloutStep(RolloutStepKind.Restart, [from], "the former primary"));
                    }

                    break;
                case ClusterStep.Disrupt { Turn: ClusterTurn.NotRunning, Member: var down } when !intent.Leaving.Contains(down):
                    steps.Add(new RolloutStep(RolloutStepKind.Start, [down], "not running"));
                    break;
                case ClusterStep.Disrupt(var member, var turn):
                    steps.Add(
                        new RolloutStep(
                            intent.Leaving.Contains(member) ? RolloutStepKind.Remove : RolloutStepKind.Restart,
                            [member],
                            formerPrimaries.Contains(member) ? "the former primary" : Note(turn, before.Member(member))
                        )
                    );
                    break;
                default:
                    break;
            }
        }

        return steps.ToImmutable();
    }

    private static string Note(ClusterTurn turn, PatroniMember? member) =>
        turn switch
        {
            ClusterTurn.NotRunning => "not running",
            ClusterTurn.PrimaryInPlace => "the primary, in place: no replica can take over",
            ClusterTurn.PrimaryFirst => "the primary, in place and first: a standby needs at least its value",
            _ => member?.LagBytes is { } bytes
                ? string.Create(CultureInfo.InvariantCulture, $"a replica, {bytes} bytes behind")
                : "a replica",
        };

    private static RolloutForecast Estimate(Address address, ImmutableArray<RolloutStep> steps, TimeSpan ofAll, bool inPlace)
    {
        var gap =
            (s_switchover * steps.Count(step => step.Kind == RolloutStepKind.Switchover))
            + (ofAll * steps.Count(step => step.Kind == RolloutStepKind.RestartTogether));
        return inPlace
            ? new RolloutForecast(address, steps, null, "no writes while the primary restarts")
            : new RolloutForecast(
                address,
                steps,
                gap,
                gap == TimeSpan.Zero
                    ? "writes continue"
                    : string.Create(CultureInfo.InvariantCulture, $"about {gap.TotalSeconds:0} s without writes")
            );
    }
}
