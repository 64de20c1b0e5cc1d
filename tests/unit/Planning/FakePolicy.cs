using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.Planning;

/// <summary>The policy of a group whose health is the attribute <c>health</c>, and whose setting <c>members</c> follows the
/// configuration; a fake because plan, drift and apply are the same for any policy.</summary>
internal class FakePolicy : IGroupPolicy
{
    public IReadOnlyList<AttributeDefinition> Settings { get; } =
    [new("members", AttributeKind.String, "Members."), new("port", AttributeKind.String, "A port.")];

    public string Constraint => "one at a time";

    public string? Refusal { get; init; }

    public IEnumerable<Read> Reads(GroupPolicy policy) => [];

    public SortedMap<AttributeValue> Desired(GroupPolicy policy)
    {
        var desired = Comparable.None.Add("health", new("good"));
        return policy.Spec.OptionalString("members") is { } members ? desired.Add("members", new(members)) : desired;
    }

    public virtual Observation Observe(GroupPolicy policy, IReadOnlyDictionary<string, Snapshot> members) =>
        new Observation.Present(Comparable.None.Add("health", new("good")));

    public GroupPolicy AsApplied(GroupPolicy policy, IEnumerable<Resource> applied) =>
        applied.Select(resource => resource.Spec.OptionalString("port")).FirstOrDefault(port => port is not null) is { } port
            ? policy with
            {
                Spec = policy.Spec.With("port", port),
            }
            : policy;

    public RolloutForecast? Forecast(GroupPolicy policy, RolloutState state, IEnumerable<GroupOutlook> outlooks) =>
        state.ToCome.IsEmpty
            ? null
            : new RolloutForecast(
                policy.Address,
                [.. state.ToCome.Select(host => new RolloutStep(RolloutStepKind.Restart, [host], ""))],
                TimeSpan.Zero,
                "writes continue"
            )
            {
                Refusal = Refusal,
            };

    public virtual Task BringToHealthAsync(GroupPolicy policy, IGroupAccess group, CancellationToken cancellationToken) =>
        Task.CompletedTask;

    public virtual Task<RolloutTurn> NextAsync(
        GroupPolicy policy,
        RolloutState state,
        IGroupAccess access,
        CancellationToken cancellationToken
    ) => Task.FromResult<RolloutTurn>(new RolloutTurn.Go([.. state.ToCome.Take(1)]));

    public virtual Task LeftAsync(GroupPolicy policy, string host, IGroupAccess access, CancellationToken cancellationToken) =>
        Task.CompletedTask;

    public virtual Task<string?> WithdrawAsync(GroupPolicy policy, IGroupAccess access) => Task.FromResult<string?>(null);

    public virtual TimeSpan GateTimeout(GroupPolicy policy) => TimeSpan.FromSeconds(5);
}
