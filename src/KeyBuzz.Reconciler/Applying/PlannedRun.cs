using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Surveying;

namespace KeyBuzz.Reconciler.Applying;

/// <summary>One look at the hosts and what was planned from it.</summary>
/// <param name="Plan">The plan.</param>
/// <param name="Input">What the planner made it from.</param>
/// <param name="Survey">What the hosts said.</param>
public sealed record PlannedRun(Plan Plan, PlanInput Input, Survey Survey);
