using System.Collections.Immutable;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>Compares a group with a healthy one. Pure.</summary>
internal static class GroupHealth
{
    /// <summary>What the plan does about the health of a group.</summary>
    /// <param name="planned">The group in the plan, without its health.</param>
    /// <param name="observed">How it was found: there, or not there yet.</param>
    /// <param name="isApplied">Whether a record says that the group was applied before.</param>
    /// <param name="joining">The hosts that become members.</param>
    /// <param name="isReconfigured">Whether the configuration changes or removes a member.</param>
    public static PlannedGroup Judge(
        PlannedGroup planned,
        Observation observed,
        bool isApplied,
        IReadOnlyCollection<string> joining,
        bool isReconfigured
    )
    {
        var policy = planned.Policy;
        var present = observed as Observation.Present;
        var differences = Differences(policy, present?.Attributes ?? Comparable.None)
            .Select(one => new AttributeDifference(one.Name, one.Found, one.Wanted, CauseOf(one.Name), ChangeEffect.InPlace))
            .ToImmutableArray();
        var joins = joining.Count == 0 || !isApplied ? null : PlanNote.OfJoining(joining);
        var note = present?.Note ?? (observed as Observation.Absent)?.Note;
        return planned with
        {
            Differences = differences,
            Note = joins is null ? note : PlanNote.Join(joins, note),
            // Of a group without any member nothing has to be compared: what comes after it waits for its health.
            Cause =
                present is null ? CauseOf(null)
                : differences.IsEmpty ? null
                : Overall(differences),
        };

        // A group that a member joins differs because of that, and not because anybody changed it.
        Cause CauseOf(string? attribute) =>
            !isApplied || joining.Count > 0 ? Cause.New
            : isReconfigured && attribute is not null && policy.Spec.Has(attribute) ? Cause.ConfigurationChanged
            : Cause.Drift;
    }

    /// <summary>The attributes in which a group differs from a healthy one.</summary>
    public static IEnumerable<(string Name, AttributeValue? Found, AttributeValue Wanted)> Differences(
        GroupPolicy policy,
        IReadOnlyDictionary<string, AttributeValue> actual
    ) =>
        policy
            .Rules.Desired(policy)
            .Select(pair => (Name: pair.Key, Found: actual.GetValueOrDefault(pair.Key), Wanted: pair.Value))
            .Where(one => one.Found?.Value != one.Wanted.Value);

    private static Cause Overall(ImmutableArray<AttributeDifference> differences) =>
        differences.Select(difference => difference.Cause).Distinct().ToList() is [var only] ? only : Cause.ConfigurationChangedAndDrift;
}
