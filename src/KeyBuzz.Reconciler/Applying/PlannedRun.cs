using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Surveying;

namespace KeyBuzz.Reconciler.Applying;

/// <summary>A survey of the hosts, with its plan.</summary>
/// <param name="Plan">The plan.</param>
/// <param name="Input">The planner's input.</param>
/// <param name="Survey">The answers of the hosts.</param>
public sealed record PlannedRun(Plan Plan, PlanInput Input, Survey Survey);
