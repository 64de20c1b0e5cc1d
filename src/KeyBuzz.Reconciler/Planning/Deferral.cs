using KeyBuzz.Reconciler.Graph;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>What has to happen before a resource can be compared. An apply makes it happen, and then checks the resource again.</summary>
/// <param name="Awaited">The condition.</param>
/// <param name="Note">What the plan says of a resource that was applied before.</param>
internal readonly record struct Deferral(string Awaited, string Note)
{
    /// <summary>The volume over the resource is not mounted.</summary>
    public static Deferral UntilMounted(Address volume) =>
        new("its volume is mounted", $"{volume} is not mounted; checked again once it is");

    /// <summary>Why a resource is unknown that an apply may bring within reach: its group is not healthy yet (a role without a primary
    /// after an interrupted first apply), or a requirement is changed. Null where the apply brings nothing about.</summary>
    /// <param name="node">The resource with its edges.</param>
    /// <param name="isOfGroup">Whether it is of a type that belongs to a group.</param>
    /// <param name="group">Its group in the plan; null for none.</param>
    /// <param name="changes">The changes that are planned so far.</param>
    public static Deferral? OfUnknown(
        ResourceGraph.Node node,
        bool isOfGroup,
        PlannedGroup? group,
        IReadOnlyDictionary<Address, PlannedChange> changes
    )
    {
        if (group is { BringsToHealth: true })
        {
            return Until($"{group.Policy.Group} is healthy");
        }

        foreach (var required in isOfGroup ? node.Requires : [])
        {
            if (changes.GetValueOrDefault(required)?.Action.Counts() == true)
            {
                return Until($"{required} is applied");
            }
        }

        return null;
    }

    private static Deferral Until(string awaited) => new(awaited, $"checked again once {awaited}");
}
