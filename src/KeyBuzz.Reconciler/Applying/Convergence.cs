using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Applying;

/// <summary>Judges whether a resource or a group is as desired after a change. Pure.</summary>
internal static class Convergence
{
    /// <summary>How the found state differs from the desired one, in words; null when it does not. Secrets and texts are only
    /// named.</summary>
    public static string? Difference(SortedMap<AttributeValue> desired, Observation observation)
    {
        if (observation is not Observation.Present present)
        {
            return observation is Observation.Unknown unknown ? unknown.Reason : "it does not exist";
        }

        var names = desired
            .Where(pair => present.Attributes.GetValueOrDefault(pair.Key)?.Value != pair.Value.Value)
            .Select(pair =>
                pair.Value.IsText || pair.Value.Secret is not null
                    ? pair.Key
                    : $"{pair.Key} is {present.Attributes.GetValueOrDefault(pair.Key)?.Value ?? "nothing"} and not {pair.Value.Value}"
            )
            .ToList();
        return names.Count == 0 ? null : "it differs: " + string.Join(", ", names);
    }
}
