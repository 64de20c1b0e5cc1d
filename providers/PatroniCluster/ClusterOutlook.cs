using System.Collections.Immutable;
using System.Globalization;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.PatroniCluster;

/// <summary>Who leads and who follows now, and in which steps members would be restarted. Pure.</summary>
/// <param name="Leader">The leader; null when nobody leads, or two do.</param>
/// <param name="Replicas">The members that run and do not lead, the least behind first.</param>
public sealed record ClusterOutlook(string? Leader, ImmutableArray<(string Name, long? LagBytes)> Replicas) : GroupOutlook
{
    /// <summary>The member that is to lead after a roll-out; null when any may.</summary>
    public string? Preferred { get; init; }

    /// <summary>The members that take writes; one when all is well.</summary>
    public ImmutableArray<string> Primaries { get; init; } = [];

    /// <summary>Whether Patroni is paused, and so no roll-out is begun.</summary>
    public bool IsPaused { get; init; }

    // Measured on the lab: 2.2 to 3.3 s.
    private static readonly TimeSpan s_switchover = TimeSpan.FromSeconds(3);

    /// <summary>What the members themselves say.</summary>
    /// <param name="health">What they say.</param>
    /// <param name="preferred">The member that is to lead after a roll-out, or null.</param>
    public static ClusterOutlook Of(PatroniHealth health, string? preferred)
    {
        ArgumentNullException.ThrowIfNull(health);
        var replicas = health
            .Members.Where(member => member.IsRunning && !member.Leads)
            .OrderBy(member => member.LagBytes ?? long.MaxValue)
            .ThenBy(member => member.Name, StringComparer.Ordinal);
        return new ClusterOutlook(health.Leader, [.. replicas.Select(member => (member.Name, member.LagBytes))])
        {
            Preferred = preferred,
            IsPaused = health.IsPaused,
            Primaries = health.Leaders,
        };
    }

    /// <summary>How it will be after a roll-out: who was restarted catches up meanwhile, so how far anybody is behind is not
    /// known.</summary>
    /// <param name="toCome">The members to be disrupted.</param>
    /// <param name="leaving">The members that are taken down for good.</param>
    public ClusterOutlook After(ImmutableSortedSet<string> toCome, ImmutableSortedSet<string> leaving)
    {
        ArgumentNullException.ThrowIfNull(toCome);
        ArgumentNullException.ThrowIfNull(leaving);
        if (toCome.IsEmpty)
        {
            return this;
        }

        var leader = Steps(toCome, leaving).LastOrDefault(step => step.Kind == RolloutStepKind.Switchover)?.Hosts[^1] ?? Leader;
        var replicas = Replicas
            .Select(replica => replica.Name)
            .Append(Leader)
            .OfType<string>()
            .Union(toCome)
            .Except(leaving)
            .Where(name => name != leader)
            .Order(StringComparer.Ordinal);
        return this with { Leader = leader, Replicas = [.. replicas.Select(name => (name, (long?)null))] };
    }

    /// <summary>The steps of a roll-out; null when it disrupts nobody who serves.</summary>
    /// <param name="address">Whose change it is.</param>
    /// <param name="toCome">The members to be disrupted.</param>
    /// <param name="leaving">The members that are taken down for good.</param>
    public RolloutForecast? Foresee(Address address, ImmutableSortedSet<string> toCome, ImmutableSortedSet<string> leaving)
    {
        ArgumentNullException.ThrowIfNull(toCome);
        ArgumentNullException.ThrowIfNull(leaving);
        var steps = Steps(toCome, leaving);
        return steps.IsEmpty ? null
            : IsPaused && !toCome.IsSubsetOf(leaving) ? Refused(address, steps)
            : Forecast(
                address,
                steps,
                inPlace: Leader is not null && toCome.Contains(Leader) && steps.All(step => step.Kind != RolloutStepKind.Switchover)
            );
    }

    private ImmutableArray<RolloutStep> Steps(ImmutableSortedSet<string> toCome, ImmutableSortedSet<string> leaving)
    {
        var serving = toCome.Where(name => name == Leader || Replicas.Any(replica => replica.Name == name)).ToList();
        if (serving.Count == 0)
        {
            return [];
        }

        var steps = ImmutableArray.CreateBuilder<RolloutStep>();
        var down = toCome.Except(serving).Except(Primaries);
        if (down.Except(leaving) is { IsEmpty: false } started)
        {
            steps.Add(new RolloutStep(RolloutStepKind.Start, [.. started], "not running"));
        }

        steps.AddRange(down.Intersect(leaving).Select(name => new RolloutStep(RolloutStepKind.Remove, [name], "not running")));
        steps.AddRange(
            Replicas
                .Where(replica => toCome.Contains(replica.Name))
                .Select(replica => new RolloutStep(KindOf(replica.Name, leaving), [replica.Name], Lag(replica.LagBytes)))
        );
        var leads = Leader;
        if (Leader is not null && toCome.Contains(Leader))
        {
            var candidate = Replicas.Select(replica => replica.Name).Concat(down).FirstOrDefault(name => !leaving.Contains(name));
            if (candidate is not null)
            {
                steps.Add(new RolloutStep(RolloutStepKind.Switchover, [Leader, candidate], ""));
                leads = candidate;
            }

            var note = candidate is null ? "the leader, in place: nobody can take over" : "the former leader";
            steps.Add(new RolloutStep(KindOf(Leader, leaving), [Leader], note));
        }

        if (
            Preferred is not null
            && leads is not null
            && Preferred != leads
            && !leaving.Contains(Preferred)
            && (Preferred == Leader || toCome.Contains(Preferred) || Replicas.Any(replica => replica.Name == Preferred))
        )
        {
            steps.Add(new RolloutStep(RolloutStepKind.Switchover, [leads, Preferred], "the preferred leader"));
        }

        return steps.ToImmutable();
    }

    private static RolloutStepKind KindOf(string member, ImmutableSortedSet<string> leaving) =>
        leaving.Contains(member) ? RolloutStepKind.Remove : RolloutStepKind.Restart;

    /// <summary>The steps where the leader goes first, and stays where it is.</summary>
    /// <param name="address">Whose change it is.</param>
    /// <param name="toCome">The members to be disrupted.</param>
    public RolloutForecast? LeaderFirst(Address address, ImmutableSortedSet<string> toCome)
    {
        ArgumentNullException.ThrowIfNull(toCome);
        var steps = ImmutableArray.CreateBuilder<RolloutStep>();
        if (Leader is not null && toCome.Contains(Leader))
        {
            steps.Add(
                new RolloutStep(RolloutStepKind.Restart, [Leader], "the leader, in place and first: a standby may not have less than it")
            );
        }

        var inPlace = steps.Count > 0;
        steps.AddRange(
            Replicas
                .Where(replica => toCome.Contains(replica.Name))
                .Select(replica => new RolloutStep(RolloutStepKind.Restart, [replica.Name], Lag(replica.LagBytes)))
        );
        return steps.Count == 0 ? null
            : IsPaused ? Refused(address, steps.ToImmutable())
            : Forecast(address, steps.ToImmutable(), inPlace);
    }

    private static RolloutForecast Refused(Address address, ImmutableArray<RolloutStep> steps) =>
        new(address, steps, TimeSpan.Zero, "refused while Patroni is paused");

    private static RolloutForecast Forecast(Address address, ImmutableArray<RolloutStep> steps, bool inPlace)
    {
        var gap = s_switchover * steps.Count(step => step.Kind == RolloutStepKind.Switchover);
        return inPlace
            ? new RolloutForecast(address, steps, null, "no writes while the leader restarts")
            : new RolloutForecast(
                address,
                steps,
                gap,
                gap == TimeSpan.Zero
                    ? "writes continue"
                    : string.Create(CultureInfo.InvariantCulture, $"about {gap.TotalSeconds:0} s without writes")
            );
    }

    private static string Lag(long? bytes) =>
        bytes is null ? "a replica" : string.Create(CultureInfo.InvariantCulture, $"a replica, {bytes} bytes behind");
}
