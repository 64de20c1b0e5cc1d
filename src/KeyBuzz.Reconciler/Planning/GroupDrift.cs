using System.Collections.Immutable;
using System.Diagnostics;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>Judges whether a group with a policy lost its health since it was applied. It has no record: it is compared with a healthy
/// one.</summary>
/// <param name="members">The members of groups as they were applied.</param>
internal sealed class GroupDrift(AppliedMembers members)
{
    /// <summary>Whether a group was applied: one that never was has no health to lose.</summary>
    public static bool IsApplied(DriftInput input, GroupPolicy policy) => input.Records.Values.Any(record => record.Group == policy.Group);

    /// <summary>Judges a group, with its members by the configuration where these are the ones that were applied.</summary>
    /// <param name="input">The inputs.</param>
    /// <param name="policy">The policy as it was applied.</param>
    /// <param name="keyed">Whether secrets can be compared by fingerprint.</param>
    public DriftVerdict Judge(DriftInput input, GroupPolicy policy, bool keyed)
    {
        var address = policy.Address;
        return input.ObserveGroup(policy) switch
        {
            // Said once, for the hosts.
            null when !input.HostErrors.IsEmpty => DriftVerdict.Unread(address, "none of its members was read"),
            null => DriftVerdict.Unknown(address, "none of its members was read"),
            Observation.Unknown unknown => DriftVerdict.Unknown(address, unknown.Reason),
            Observation.Absent absent => DriftVerdict.Compared(Drifted(input, policy, [], absent.Note)),
            Observation.Present present => JudgePresent(input, policy, present, keyed),
            _ => throw new UnreachableException(),
        };
    }

    private DriftVerdict JudgePresent(DriftInput input, GroupPolicy policy, Observation.Present present, bool keyed)
    {
        var address = policy.Address;
        var isConfigured = keyed && members.AreAsConfigured(input, policy.Group);
        var changed = GroupHealth
            .Differences(policy, present.Attributes)
            // What follows the configuration is compared only where that was applied.
            .Where(one => isConfigured || !policy.Spec.Has(one.Name))
            .Select(one => new DriftedAttribute(one.Name, one.Wanted, one.Found, input.Ignoring(address, one.Name)))
            .ToImmutableArray();
        ImmutableArray<Uncompared> uncompared = [];
        if (!changed.IsEmpty && members.Changed(input, policy.Group) is { } why)
        {
            uncompared = [.. changed.Select(one => new Uncompared(address, one.Name, why, IsError: false))];
            changed = [];
        }

        changed = changed.AddRange(ForeignNotices.Drift(present.Foreign, address, input));
        var note = ForeignNotices.Remedies(present.Foreign.RemoveAll(one => !one.IsTrouble)) ?? present.Note;
        return new DriftVerdict(
            IsCompared: true,
            changed.IsEmpty ? null : Drifted(input, policy, changed, note),
            uncompared,
            [.. ForeignNotices.Of(address, present.Foreign.RemoveAll(one => one.IsTrouble), policy.Location)]
        );
    }

    private static DriftedResource Drifted(
        DriftInput input,
        GroupPolicy policy,
        ImmutableArray<DriftedAttribute> attributes,
        string? note
    ) => new(policy.Address, attributes, input.Ignoring(policy.Address, null)) { Note = note, Location = policy.Location };
}
