using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Resources;

/// <summary>The rules of a <see cref="GroupPolicy"/>. They hold no state.</summary>
public interface IGroupPolicy : IRollout
{
    /// <summary>The settings that a policy of this kind has.</summary>
    IReadOnlyList<AttributeDefinition> Settings { get; }

    /// <summary>The order and the conditions of a roll-out, in a line for the operator.</summary>
    string Constraint { get; }

    /// <summary>The reads that <see cref="Observe"/> wants, asked on every member.</summary>
    IEnumerable<Read> Reads(GroupPolicy policy);

    /// <summary>What a healthy group shows, compared by name with <see cref="Observe"/>. A name that is also one of the policy's settings
    /// follows the configuration; the others are health alone.</summary>
    SortedMap<AttributeValue> Desired(GroupPolicy policy);

    /// <summary>Judges the members' answers. <see cref="Observation.Absent"/> says that nothing of the group runs yet.</summary>
    /// <param name="policy">The policy.</param>
    /// <param name="members">The members' answers by host name; a member that could not be read is missing.</param>
    Observation Observe(GroupPolicy policy, IReadOnlyDictionary<string, Snapshot> members);

    /// <summary>The policy with the settings that were last applied, as far as the applied resources of the group tell: an edit that was
    /// not applied yet is no drift.</summary>
    /// <param name="policy">The policy as it is configured.</param>
    /// <param name="applied">The resources that were applied to the group as a whole.</param>
    GroupPolicy AsApplied(GroupPolicy policy, IEnumerable<Resource> applied) => policy;

    /// <summary>The steps of a roll-out as of now; null when it disrupts no serving member. Pure.</summary>
    /// <param name="policy">The policy.</param>
    /// <param name="state">The members to be disrupted.</param>
    /// <param name="outlooks">What is known now of the group, and after that of the others.</param>
    RolloutForecast? Forecast(GroupPolicy policy, RolloutState state, IEnumerable<GroupOutlook> outlooks);

    /// <summary>Work that comes before any change of a plan, idempotent, where <see cref="Observation.Ahead"/> names members: for example
    /// members are stopped that nothing may send requests to. Throws <see cref="ChangeFailedException"/>; nothing is changed
    /// then.</summary>
    Task PrepareAsync(GroupPolicy policy, IGroupAccess access, CancellationToken cancellationToken) => Task.CompletedTask;

    /// <summary>Brings the group to health, idempotently, and returns once it is. Throws <see cref="ChangeFailedException"/> with what to
    /// tell the operator.</summary>
    Task BringToHealthAsync(GroupPolicy policy, IGroupAccess group, CancellationToken cancellationToken);
}
