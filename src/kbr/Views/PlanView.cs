using System.Collections.Immutable;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>A plan for a person: hosts with their changes, and groups with their roll-out and their changes.</summary>
public static class PlanView
{
    private const string ClusterFile = "cluster.yaml";
    private const string Waits = "  # waits for the maintenance window";

    /// <summary>Shows it: a legend of the symbols that occur, the hosts and groups, and the sum.</summary>
    /// <param name="terminal">Where.</param>
    /// <param name="plan">The plan.</param>
    /// <param name="file">The cluster file.</param>
    /// <param name="whatIf">How much is said of failures at its steps.</param>
    public static void Show(Terminal terminal, Plan plan, string file = ClusterFile, WhatIfDetail whatIf = WhatIfDetail.None)
    {
        ArgumentNullException.ThrowIfNull(terminal);
        ArgumentNullException.ThrowIfNull(plan);
        ShowLegend(terminal, plan);
        if (plan.Window is { } window && !plan.IsSettled)
        {
            terminal.Line($"Within {window.Windows.Describe(window.AsOf)}", Terminal.Tone.Changed);
            terminal.Line();
        }

        var changes = plan.Effective.ToLookup(change => change.Address.Host, StringComparer.Ordinal);
        var groups = plan.Groups.Where(group => group.IsShown).ToDictionary(group => group.Policy.Group, StringComparer.Ordinal);
        foreach (var place in changes.Select(place => place.Key).Union(groups.Keys, StringComparer.Ordinal).Order(StringComparer.Ordinal))
        {
            if (groups.TryGetValue(place, out var group))
            {
                ShowGroup(terminal, group, plan.Window, whatIf);
            }
            else
            {
                terminal.Line(place, Terminal.Tone.Bold);
            }

            foreach (var change in changes[place])
            {
                ShowChange(terminal, change, plan.Window);
            }

            terminal.Line();
        }

        foreach (var change in plan.Changes.Where(change => change.Deferred))
        {
            terminal.Line($"  ? {change.Address}  {change.Note}", Terminal.Tone.Faint);
        }

        foreach (var blocked in plan.Blocked.GroupBy(blocked => (blocked.Address.Host, blocked.Reason)))
        {
            // A host's error is shown once, below.
            var isSaid = plan.Diagnostics.Any(diagnostic => diagnostic.Summary == $"{blocked.Key.Host}: {blocked.Key.Reason}");
            var reason = isSaid ? "" : $": {blocked.Key.Reason}";
            var what = blocked.Count() == 1 ? blocked.First().Address.ToString() : $"{blocked.Key.Host}, {blocked.Count()} resources,";
            terminal.Line($"  ! {what} not planned{reason}", Terminal.Tone.Removed);
        }

        foreach (var rollout in plan.Rollouts)
        {
            ShowRollout(terminal, rollout, plan.Window, whatIf);
        }

        if (whatIf != WhatIfDetail.None && plan.Rollouts.IsEmpty && plan.Groups.All(group => group.Rollout is null))
        {
            terminal.Line("What if: no step disrupts a serving member or proxy.");
        }

        terminal.Line(Summary(plan, file), Terminal.Tone.Bold);
    }

    // As Terraform has it: once, above the changes, and only what occurs.
    private static void ShowLegend(Terminal terminal, Plan plan)
    {
        (bool Occurs, string Symbol, string Meaning, Terminal.Tone Tone)[] symbols =
        [
            Of(ResourceAction.Create, "create", Terminal.Tone.Added),
            Of(ResourceAction.Update, "update in place", Terminal.Tone.Changed),
            Of(ResourceAction.Replace, "replace: take down, then create", Terminal.Tone.Changed),
            Of(ResourceAction.Delete, "delete", Terminal.Tone.Removed),
            Of(ResourceAction.Adopt, "adopt: only its record is written", Terminal.Tone.Faint),
            Of(ResourceAction.Forget, "forget: only its record is dropped", Terminal.Tone.Faint),
            (plan.Changes.Any(change => change.Deferred), "?", "checked again during the apply", Terminal.Tone.Faint),
            (!plan.Blocked.IsEmpty, "!", "not planned", Terminal.Tone.Removed),
        ];
        var occurring = symbols.Where(one => one.Occurs).ToList();
        if (occurring.Count == 0)
        {
            return;
        }

        terminal.Line("Actions are indicated with these symbols:");
        foreach (var (_, symbol, meaning, tone) in occurring)
        {
            terminal.Line($"{symbol, 5} {meaning}", tone);
        }

        terminal.Line();

        (bool, string, string, Terminal.Tone) Of(ResourceAction action, string meaning, Terminal.Tone tone) =>
            (plan.Count(action) > 0 || (action == ResourceAction.Update && plan.BroughtToHealth.Any()), action.Symbol(), meaning, tone);
    }

    /// <summary>The steps of a roll-out.</summary>
    public static void ShowRollout(
        Terminal terminal,
        RolloutForecast rollout,
        WindowOutlook? window = null,
        WhatIfDetail whatIf = WhatIfDetail.None
    )
    {
        terminal.Line($"{rollout.Address} roll-out: {rollout.Summary}", Terminal.Tone.Bold);
        ShowSteps(terminal, rollout, window, whatIf);
        terminal.Line();
    }

    // Its heading, and what is done to the group as a whole, in that order.
    private static void ShowGroup(Terminal terminal, PlannedGroup group, WindowOutlook? window, WhatIfDetail whatIf)
    {
        terminal.Line($"{group.Policy.Group}{(group.Rollout is { } cost ? $": {cost.Summary}" : "")}", Terminal.Tone.Bold);
        terminal.Line($"  {group.Policy.Rules.Constraint}", Terminal.Tone.Faint);
        if (group.Rollout is { } rollout)
        {
            ShowSteps(terminal, rollout, window, whatIf);
        }

        if (group.Cause is { } cause)
        {
            terminal.Line($"  {ResourceAction.Update.Symbol()} bring the group to health  {cause.Sentence()}", Terminal.Tone.Changed);
            ShowDetails(terminal, group.Note, group.Differences);
        }
    }

    private static void ShowSteps(Terminal terminal, RolloutForecast rollout, WindowOutlook? window, WhatIfDetail whatIf)
    {
        foreach (var (number, step) in rollout.Steps.Index())
        {
            var what = step.Kind switch
            {
                RolloutStepKind.Start => $"start {string.Join(" and ", step.Hosts)}",
                RolloutStepKind.Remove => $"stop and remove {string.Join(" and ", step.Hosts)}",
                RolloutStepKind.RestartTogether => $"stop {string.Join(" and ", step.Hosts)}, then start them together",
                RolloutStepKind.Switchover => $"switch over from {step.Hosts[0]} to {step.Hosts[^1]}",
                _ => $"restart {string.Join(" and ", step.Hosts)}",
            };
            var waits = window?.Waits(step) == true ? Waits : "";
            terminal.Line($"  {number + 1}. {what}{(step.Note.Length > 0 ? $"  ({step.Note})" : "")}{waits}");
            if (number < rollout.WhatIf.Length)
            {
                WhatIfView.Show(terminal, rollout.WhatIf[number], whatIf);
            }
        }

        if (whatIf != WhatIfDetail.None && rollout.AtRest is { Worst: not null } rest)
        {
            terminal.Line("  without this change");
            WhatIfView.Show(terminal, rest, whatIf);
            terminal.Line($"  {WhatIfView.Legend}", Terminal.Tone.Faint);
        }
    }

    /// <summary>The sum in a line, or that there is nothing to do.</summary>
    /// <param name="plan">The plan.</param>
    /// <param name="file">The cluster file.</param>
    public static string Summary(Plan plan, string file = ClusterFile)
    {
        ArgumentNullException.ThrowIfNull(plan);
        if (plan.IsSettled)
        {
            return plan.Options switch
            {
                { Destroy: true } => "No changes. Nothing is left to destroy.",
                { Import: true } => "No changes. Every existing resource has a record.",
                { Targets.IsEmpty: false } => $"No changes. The targeted resources match {file}.",
                _ => $"No changes. The hosts match {file}.",
            };
        }

        var counts =
            $"{plan.Count(ResourceAction.Create)} to create, {plan.Count(ResourceAction.Update)} to update, "
            + $"{plan.Count(ResourceAction.Replace)} to replace, {plan.Count(ResourceAction.Delete)} to delete";
        var records = (plan.Count(ResourceAction.Adopt), plan.Count(ResourceAction.Forget)) switch
        {
            (0, 0) => "",
            (var adopt, 0) => $" ({adopt} to adopt)",
            (0, var forget) => $" ({forget} to forget)",
            var (adopt, forget) => $" ({adopt} to adopt, {forget} to forget)",
        };
        var blocked = plan.Blocked.Length == 0 ? "" : $"; {plan.Blocked.Length} could not be planned";
        var health = plan.BroughtToHealth.Count() switch
        {
            0 => "",
            1 => "; 1 group to bring to health",
            var many => $"; {many} groups to bring to health",
        };
        return $"Plan: {counts}{records}{health}{blocked}";
    }

    private static void ShowChange(Terminal terminal, PlannedChange change, WindowOutlook? window)
    {
        var tone = change.Action switch
        {
            ResourceAction.Create => Terminal.Tone.Added,
            ResourceAction.Delete => Terminal.Tone.Removed,
            ResourceAction.Adopt or ResourceAction.Forget => Terminal.Tone.Faint,
            _ => Terminal.Tone.Changed,
        };
        var data = change.DeleteData ? "  DATA IS DELETED" : "";
        var waits = window?.Waits(change.Address) == true ? Waits : "";
        var place = change.Place is { } where ? $"  {where}" : "";
        terminal.Line($"  {change.Action.Symbol()} {change.Address}{place}  {change.Cause.Sentence()}{data}{waits}", tone);
        ShowDetails(terminal, change.Note, change.Differences);
    }

    private static void ShowDetails(Terminal terminal, string? note, ImmutableArray<AttributeDifference> differences)
    {
        if (note is not null)
        {
            terminal.Line($"      {note}", Terminal.Tone.Faint);
        }

        // An empty attribute of a new resource is not shown.
        var mixed = differences.Select(difference => difference.Cause).Distinct().Count() > 1;
        foreach (var difference in differences.Where(difference => difference.Before is not null || difference.After is not { Value: "" }))
        {
            ShowDifference(terminal, difference, mixed);
        }
    }

    private static void ShowDifference(Terminal terminal, AttributeDifference difference, bool showCause)
    {
        var cause = showCause ? $"  ({difference.Cause.Sentence()})" : "";
        var effect = difference.Before is null
            ? ""
            : difference.Effect switch
            {
                ChangeEffect.Replace => "  # forces replacement",
                ChangeEffect.Disruptive => "  # interrupts the service",
                _ => "",
            };
        if ((difference.After ?? difference.Before)!.IsText)
        {
            terminal.Line($"      {difference.Name}:{cause}{effect}");
            foreach (var line in TextDifference.Lines(difference.Before, difference.After))
            {
                terminal.Line("        " + line, ToneOf(line));
            }

            return;
        }

        var text = (difference.Before, difference.After) switch
        {
            (null, var after) => Shown(after!),
            (var before, null) => $"{Shown(before)} (on the host)",
            var (before, after) => $"{Shown(before, after)} → {Shown(after)}",
        };
        terminal.Line($"      {difference.Name}: {text}{cause}{effect}");
    }

    /// <summary>The colour of a line of a diff.</summary>
    public static Terminal.Tone ToneOf(string line) =>
        line is null or ""
            ? Terminal.Tone.Plain
            : line[0] switch
            {
                '+' => Terminal.Tone.Added,
                '-' => Terminal.Tone.Removed,
                '@' => Terminal.Tone.Faint,
                _ => Terminal.Tone.Plain,
            };

    /// <summary>A value in one line, without its secrets.</summary>
    public static string Shown(AttributeValue value, AttributeValue? counterpart = null) =>
        value.Secret is not null || counterpart?.Secret is not null ? SecretText.Mask
        : value.Value.Length == 0 ? "\"\""
        : value.Value.Replace("\n", ", ", StringComparison.Ordinal);
}
