using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Configuration;

/// <summary>A resource got another name in the cluster file: its record follows, and the host is not touched.</summary>
/// <param name="Type">Its type.</param>
/// <param name="From">The name it is recorded under.</param>
/// <param name="To">The name it has now.</param>
/// <param name="Host">The host it is on; null for every host.</param>
/// <param name="Location">Where cluster.yaml says it.</param>
public sealed record MovedRule(string Type, string From, string To, string? Host, SourceLocation Location)
{
    /// <summary>Whether it is about that recorded address.</summary>
    public bool IsAbout(Address address) => address.Type == Type && address.Name == From && (Host is null || address.Host == Host);

    /// <summary>The address that a recorded one has now, by all rules, one after another.</summary>
    public static Address Follow(IReadOnlyCollection<MovedRule> rules, Address address)
    {
        ArgumentNullException.ThrowIfNull(rules);

        // No more steps than rules: cycles were reported when the file was read.
        for (var step = 0; step < rules.Count && rules.FirstOrDefault(rule => rule.IsAbout(address)) is { } rule; step++)
        {
            address = address with { Name = rule.To };
        }

        return address;
    }
}
