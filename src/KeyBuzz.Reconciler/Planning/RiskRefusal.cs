using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>Why a plan is refused that must risk no acknowledged row (<c>--refuse-risk</c>). Pure.</summary>
public static class RiskRefusal
{
    /// <summary>An error for each roll-out with a step whose worst case is a loss; empty when there is none.</summary>
    public static ImmutableArray<Diagnostic> Of(Plan plan)
    {
        ArgumentNullException.ThrowIfNull(plan);
        var refused = ImmutableArray.CreateBuilder<Diagnostic>();
        foreach (var group in plan.Groups)
        {
            Add(refused, group.Rollout);
        }

        foreach (var rollout in plan.Rollouts)
        {
            Add(refused, rollout);
        }

        return refused.ToImmutable();
    }

    private static void Add(ImmutableArray<Diagnostic>.Builder refused, RolloutForecast? rollout)
    {
        List<string> steps = [];
        FailureOutlook? worst = null;
        for (var index = 0; index < (rollout?.WhatIf.Length ?? 0); index++)
        {
            if (rollout!.WhatIf[index] is { MayLose: true, Worst: { } one })
            {
                steps.Add($"{index + 1}");
                worst ??= one;
            }
        }

        if (worst is null)
        {
            return;
        }

        var known = rollout!.AtRest?.MayLose == true ? " Without the change a single failure may lose rows, too." : "";
        refused.Add(
            Diagnostic.Error(
                $"{rollout.Address}: a single failure at step {string.Join(", ", steps)} may lose acknowledged rows",
                detail: $"at step {steps[0]} {(worst.Host.Length > 0 ? $"the failure of {worst.Host}" : "the end of kbr")} loses "
                    + $"{worst.AtRisk}.{known}",
                remedy: "look at kbr plan --what-if; docs/what-if.md says what closes it; or leave --refuse-risk out"
            )
        );
    }
}
