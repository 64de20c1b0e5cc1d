using KeyBuzz.Reconciler.Graph;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>What every decision of one plan is made from. Nothing of it changes while the plan is made.</summary>
/// <param name="Input">The planner's input, with renamed records under their new addresses.</param>
/// <param name="RecordedGraph">The graph of the recorded resources. Its edges order removals: it is built where something is removed, or
/// where somebody chooses.</param>
/// <param name="Scope">The resources that are looked at.</param>
/// <param name="Members">The resources that run the members of groups.</param>
/// <param name="DesiredObjects">The desired resources by the objects that they stand for; built when it is first asked for.</param>
internal sealed record PlanContext(
    PlanInput Input,
    Lazy<ResourceGraph> RecordedGraph,
    PlanScope Scope,
    GroupMembers Members,
    Lazy<ILookup<HostObject, Address>> DesiredObjects
)
{
    /// <summary>The graph of the recorded resources.</summary>
    public ResourceGraph Recorded => RecordedGraph.Value;
}
