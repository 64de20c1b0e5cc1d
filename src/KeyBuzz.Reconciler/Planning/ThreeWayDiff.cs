using System.Collections.Immutable;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>A resource that exists, compared attribute by attribute: as desired, as last applied, as found.</summary>
/// <param name="Differences">The attributes that differ from the desired ones, each with its cause.</param>
/// <param name="IsRecorded">Whether nothing differs and the record is as a new one would be.</param>
internal readonly record struct ThreeWayDiff(ImmutableArray<AttributeDifference> Differences, bool IsRecorded)
{
    /// <summary>The cause of the change as a whole.</summary>
    public Cause Cause
    {
        get
        {
            var causes = Differences.Select(difference => difference.Cause).Distinct().ToList();
            return causes.Count == 1 ? causes[0]
                : causes.TrueForAll(cause => cause is Cause.Interrupted or Cause.ConfigurationChanged) ? Cause.Interrupted
                : Cause.ConfigurationChangedAndDrift;
        }
    }

    /// <summary>Compares a resource.</summary>
    /// <param name="desired">The resource; its record is that of the found object.</param>
    /// <param name="present">What was found.</param>
    /// <param name="schema">Its type.</param>
    /// <param name="fingerprint">The key of fingerprints.</param>
    /// <param name="isUneven">Whether the record is not the same on every member of its group.</param>
    /// <param name="joins">Whether a member joins its group: it differs because of that, and not because anybody changed it.</param>
    public static ThreeWayDiff Of(
        in DesiredResource desired,
        Observation.Present present,
        ResourceSchema schema,
        Fingerprint fingerprint,
        bool isUneven,
        bool joins
    )
    {
        var (actual, address, record) = (present.Attributes, desired.Address, desired.Record);
        var differences = new List<AttributeDifference>();
        var isRecordOld = record is null || record.Pending || !record.Intended.IsEmpty || record.RenamedFrom is not null || isUneven;
        foreach (var (name, wanted) in desired.Values)
        {
            var found = actual.GetValueOrDefault(name);
            var last = record?.Fingerprints.GetValueOrDefault(name);
            var isApplied = last is not null && fingerprint.Is(last, address, name, wanted);
            if (found?.Value == wanted.Value)
            {
                isRecordOld |= !isApplied;
                continue;
            }

            var cause = record switch
            {
                null when present.IsManaged => Cause.New,
                null => Cause.Adopted,
                { Pending: true } => Cause.Interrupted,
                _ when record.Intended.Contains(name) => Cause.Interrupted,
                _ when last is null || (found is not null && fingerprint.Matches(last, address, name, found)) => Cause.ConfigurationChanged,
                _ when isApplied => joins ? Cause.New : Cause.Drift,
                _ => Cause.ConfigurationChangedAndDrift,
            };
            // Where cluster.yaml holds no secret any more, nothing tells which parts of what is on the host are one.
            var shown =
                found is not null && wanted.Secret is null && last is not null && Fingerprint.IsSecret(last)
                    ? new AttributeValue(SecretText.Mask)
                    : found;
            differences.Add(new AttributeDifference(name, shown, wanted, cause, schema.EffectOf(name)));
        }

        if (differences.Count == 0 && !isRecordOld && RecordFactory.IsComplete(record!, desired.Node, desired.Values.Count))
        {
            return new ThreeWayDiff([], IsRecorded: true);
        }

        if (record is not null)
        {
            AddLeftovers(differences, desired.Values, record, actual, schema);
        }

        return new ThreeWayDiff([.. differences], IsRecorded: false);
    }

    // What was applied, or was about to be, is not desired any more and is still there is removed.
    private static void AddLeftovers(
        List<AttributeDifference> differences,
        SortedMap<AttributeValue> desired,
        ResourceRecord record,
        SortedMap<AttributeValue> actual,
        ResourceSchema schema
    )
    {
        foreach (var name in record.Owned)
        {
            if (desired.ContainsKey(name) || !actual.TryGetValue(name, out var left))
            {
                continue;
            }

            var secret = record.Fingerprints.TryGetValue(name, out var last)
                ? Fingerprint.IsSecret(last)
                : schema.Find(name) is { MayHoldSecret: true };
            var cause = record.Intended.Contains(name) ? Cause.Interrupted : Cause.ConfigurationChanged;
            differences.Add(
                new AttributeDifference(name, secret ? new AttributeValue(SecretText.Mask) : left, null, cause, schema.EffectOf(name))
            );
        }
    }
}
