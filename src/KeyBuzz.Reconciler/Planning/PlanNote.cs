using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>The words of a planned step.</summary>
internal static class PlanNote
{
    /// <summary>Two notes as one; the second may be missing.</summary>
    public static string Join(string first, string? second) => second is null ? first : first + "; " + second;

    /// <summary>Names the hosts that join a group.</summary>
    public static string OfJoining(IReadOnlyCollection<string> hosts) =>
        $"{string.Join(" and ", hosts)} {(hosts.Count == 1 ? "joins" : "join")}";

    /// <summary>A value within a sentence; secrets masked.</summary>
    public static string Shown(AttributeValue? value) =>
        value switch
        {
            null => "nothing",
            { Secret: not null } => SecretText.Mask,
            { IsText: true } => "a different text",
            _ => value.Value.Length == 0 ? "\"\"" : value.Value.Replace('\n', ' '),
        };
}
