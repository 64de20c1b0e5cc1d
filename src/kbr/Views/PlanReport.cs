using System.Collections.Frozen;
using System.Collections.Immutable;
using System.Text.Json;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>A plan for a reviewer, read from its JSON document: so a saved plan reads like one that was just made, and has no more in it
/// than the document, whose secrets are masked.</summary>
internal sealed record PlanReport
{
    private const string Flag = "waits";
    private const string Waits = "waits for the maintenance window";

    private static readonly FrozenDictionary<string, string> s_causes = Enum.GetValues<Cause>()
        .ToFrozenDictionary(cause => cause.Word(), cause => cause.Sentence());

    private static readonly FrozenDictionary<string, string> s_symbols = Enum.GetValues<ResourceAction>()
        .ToFrozenDictionary(action => action.Word(), action => action.Symbol());

    /// <summary>The cluster; the cluster file where it could not be read.</summary>
    public required string Cluster { get; init; }

    /// <summary>When it was made, with what, and what was asked.</summary>
    public required string Origin { get; init; }

    /// <summary>What is done, dependencies first.</summary>
    public ImmutableArray<Change> Changes { get; init; } = [];

    /// <summary>What could not be planned, with the reason.</summary>
    public ImmutableArray<(string Address, string Reason)> Blocked { get; init; } = [];

    /// <summary>The groups that are brought to health, or whose members are disrupted.</summary>
    public ImmutableArray<Group> Groups { get; init; } = [];

    /// <summary>The roll-outs of changes that restart members by themselves.</summary>
    public ImmutableArray<Rollout> Rollouts { get; init; } = [];

    /// <summary>The sums, by their words.</summary>
    public ImmutableArray<(string Word, int Count)> Counts { get; init; } = [];

    /// <summary>What was found.</summary>
    public ImmutableArray<Finding> Findings { get; init; } = [];

    /// <summary>The sum in a line.</summary>
    public string Summary
    {
        get
        {
            string[] parts =
            [
                .. Counts.Where(pair => pair.Count > 0).Select(pair => $"{pair.Count} to {pair.Word.Replace('_', ' ')}"),
                .. Blocked.IsEmpty ? Array.Empty<string>() : [$"{Blocked.Length} could not be planned"],
            ];
            return parts.Length > 0 ? string.Join(", ", parts)
                : HasErrors ? "The plan has errors."
                : "No changes.";
        }
    }

    /// <summary>Whether something could not be planned.</summary>
    public bool HasErrors => Findings.Any(finding => finding.IsError);

    /// <summary>Reads a plan's JSON document.</summary>
    /// <param name="json">The document, secrets masked.</param>
    /// <param name="origin">When it was made, with what, and what was asked.</param>
    public static PlanReport Read(string json, string origin)
    {
        using var document = JsonDocument.Parse(json);
        var root = document.RootElement;
        return new PlanReport
        {
            Cluster = Text(root, "cluster"),
            Origin = origin,
            Changes = Each(root, "changes", ReadChange),
            Blocked = Each(root, "blocked", one => (Text(one, "address"), Text(one, "reason"))),
            Groups = Each(root, "groups", ReadGroup),
            Rollouts = Each(root, "rollouts", ReadRollout),
            Counts = [.. root.GetProperty("summary").EnumerateObject().Select(pair => (pair.Name, pair.Value.GetInt32()))],
            Findings = Each(root, "diagnostics", ReadFinding),
        };
    }

    /// <summary>A plan that could not be made.</summary>
    /// <param name="file">The cluster file.</param>
    /// <param name="origin">When, and with what.</param>
    /// <param name="diagnostics">Why, secrets masked.</param>
    public static PlanReport Failed(string file, string origin, IEnumerable<Diagnostic> diagnostics)
    {
        using var document = JsonDocument.Parse(JsonView.DiagnosticsDocument(diagnostics));
        return new PlanReport
        {
            Cluster = file,
            Origin = origin,
            Findings = Each(document.RootElement, "diagnostics", ReadFinding),
        };
    }

    /// <summary>The steps of a roll-out in words.</summary>
    public static IEnumerable<string> StepsOf(Rollout rollout) =>
        rollout.Steps.Select(step =>
        {
            var hosts = string.Join(" and ", step.Hosts);
            var what = step.Kind switch
            {
                "start" => $"start {hosts}",
                "remove" => $"stop and remove {hosts}",
                "restart_together" => $"stop {hosts}, then start them together",
                "switchover" => $"switch over from {step.Hosts[0]} to {step.Hosts[^1]}",
                _ => $"restart {hosts}",
            };
            return $"{what}{(step.Note.Length > 0 ? $" ({step.Note})" : "")}{(step.Waits ? $", {Waits}" : "")}";
        });

    private static Change ReadChange(JsonElement json) =>
        new(
            Text(json, "address"),
            Text(json, "host"),
            Text(json, "action"),
            s_symbols.GetValueOrDefault(Text(json, "action"), "?"),
            Sentence(json),
            ReadDifferences(json)
        )
        {
            DeletesData = json.GetProperty("delete_data").GetBoolean(),
            Remarks =
            [
                .. new[] { ("at ", "place"), ("", "note"), ("moved from ", "moved_from") }
                    .Where(pair => Text(json, pair.Item2).Length > 0)
                    .Select(pair => pair.Item1 + Text(json, pair.Item2)),
                .. IsTrue(json, Flag) ? [Waits] : Array.Empty<string>(),
            ],
            DependsOn = Words(json, "depends_on"),
        };

    private static Group ReadGroup(JsonElement json)
    {
        var health = json.GetProperty("health");
        var isIll = health.ValueKind == JsonValueKind.Object;
        var rollout = json.GetProperty("rollout");
        return new Group(Text(json, "group"), Text(json, "address"), Text(json, "constraint"))
        {
            Cause = isIll ? Sentence(health) : null,
            Note = isIll ? Text(health, "note") : "",
            Differences = isIll ? ReadDifferences(health) : [],
            Rollout = rollout.ValueKind == JsonValueKind.Object ? ReadRollout(rollout) : null,
            DependsOn = Words(json, "depends_on"),
        };
    }

    private static Rollout ReadRollout(JsonElement json) =>
        new(
            Text(json, "address"),
            Text(json, "summary"),
            Each(json, "steps", step => new Step(Text(step, "kind"), Words(step, "hosts"), Text(step, "note"))
            {
                Waits = IsTrue(step, Flag),
                WhatIf = Each(step, "what_if", ReadFailure),
            })
        )
        {
            AtRest = Each(json, "at_rest", ReadFailure),
        };

    private static Failure ReadFailure(JsonElement json) =>
        new(
            Text(json, "cost"),
            WhatIfView.Condition(Text(json, "failure"), Text(json, "host")),
            WhatIfView.Quorum(
                json.GetProperty("votes").GetInt32(),
                json.GetProperty("counted").GetInt32(),
                IsTrue(json, "has_quorum"),
                FailureOutlook.TextOf(Words(json, "primaries"))
            ),
            WhatIfView.Consequence(
                Text(json, "cost"),
                json.GetProperty("without_writes_seconds") is { ValueKind: JsonValueKind.Number } stop ? stop.GetDouble() : null,
                Text(json, "at_risk")
            ),
            Text(json, "at_risk"),
            Text(json, "remedy")
        );

    // A new attribute without a value says nothing.
    private static ImmutableArray<Difference> ReadDifferences(JsonElement json) =>
        [
            .. Each(json, "differences", one => new Difference(
                    Text(one, "attribute"),
                    Sentence(one),
                    Text(one, "effect"),
                    TextOrNull(one, "before"),
                    TextOrNull(one, "after")
                )
                {
                    Diff = one.TryGetProperty("diff", out _) ? Words(one, "diff") : null,
                })
                .Where(one => one.Diff is not null || one is not { Before: null, After: null or "\"\"" }),
        ];

    private static Finding ReadFinding(JsonElement json)
    {
        var file = Text(json, "file");
        return new Finding(Text(json, "severity") == "error", Text(json, "summary"))
        {
            Place = file.Length == 0 ? "" : $"{file}:{json.GetProperty("line").GetInt32()}:{json.GetProperty("column").GetInt32()}",
            Detail = Text(json, "detail"),
            Remedy = Text(json, "remedy"),
        };
    }

    private static bool IsTrue(JsonElement json, string name) =>
        json.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.True;

    private static string Sentence(JsonElement json) => s_causes.GetValueOrDefault(Text(json, "cause"), Text(json, "cause"));

    private static string Text(JsonElement json, string name) => TextOrNull(json, name) ?? "";

    private static string? TextOrNull(JsonElement json, string name) =>
        json.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private static ImmutableArray<string> Words(JsonElement json, string name) => Each(json, name, word => word.GetString()!);

    private static ImmutableArray<T> Each<T>(JsonElement json, string name, Func<JsonElement, T> read) =>
        json.TryGetProperty(name, out var array) ? [.. array.EnumerateArray().Select(read)] : [];

    /// <summary>What is done to a resource.</summary>
    /// <param name="Address">The resource.</param>
    /// <param name="Host">Its host or group.</param>
    /// <param name="Action">The word of the action.</param>
    /// <param name="Symbol">Its symbol.</param>
    /// <param name="Cause">Why.</param>
    /// <param name="Differences">What differs.</param>
    public sealed record Change(
        string Address,
        string Host,
        string Action,
        string Symbol,
        string Cause,
        ImmutableArray<Difference> Differences
    )
    {
        /// <summary>Whether data is deleted with it.</summary>
        public bool DeletesData { get; init; }

        /// <summary>Its place, note and former address.</summary>
        public ImmutableArray<string> Remarks { get; init; } = [];

        /// <summary>The changes and groups of the plan that go first.</summary>
        public ImmutableArray<string> DependsOn { get; init; } = [];
    }

    /// <summary>An attribute that differs.</summary>
    /// <param name="Attribute">Its name.</param>
    /// <param name="Cause">Why.</param>
    /// <param name="Effect">The word for what its change costs.</param>
    /// <param name="Before">The value on the host; null for none.</param>
    /// <param name="After">The value it gets; null for none.</param>
    public sealed record Difference(string Attribute, string Cause, string Effect, string? Before, string? After)
    {
        /// <summary>For a text, the lines of its diff; null for other values.</summary>
        public ImmutableArray<string>? Diff { get; init; }

        /// <summary>The cost in words; empty for none.</summary>
        public string Cost =>
            Effect switch
            {
                "replace" when Before is not null || Diff is not null => "forces replacement",
                "disruptive" when Before is not null || Diff is not null => "interrupts the service",
                _ => "",
            };

        /// <summary>The lines of a diff, also for a value in one line.</summary>
        public IEnumerable<string> Lines =>
            Diff is { } diff
                ? diff
                :
                [
                    .. Before is null ? Array.Empty<string>() : [$"- {Attribute}: {Before}"],
                    .. After is null ? Array.Empty<string>() : [$"+ {Attribute}: {After}"],
                ];
    }

    /// <summary>A group.</summary>
    /// <param name="Name">Its name.</param>
    /// <param name="Address">Its address.</param>
    /// <param name="Constraint">What holds while members are disrupted.</param>
    public sealed record Group(string Name, string Address, string Constraint)
    {
        /// <summary>Why it is brought to health; null when it is healthy.</summary>
        public string? Cause { get; init; }

        /// <summary>A note on that; empty for none.</summary>
        public string Note { get; init; } = "";

        /// <summary>How it differs from a healthy one.</summary>
        public ImmutableArray<Difference> Differences { get; init; } = [];

        /// <summary>The steps in which members are disrupted; null for none.</summary>
        public Rollout? Rollout { get; init; }

        /// <summary>The changes and groups of the plan that go first.</summary>
        public ImmutableArray<string> DependsOn { get; init; } = [];
    }

    /// <summary>A roll-out.</summary>
    /// <param name="Address">The resource or group.</param>
    /// <param name="Summary">Its cost in a line.</param>
    /// <param name="Steps">Its steps in order.</param>
    public sealed record Rollout(string Address, string Summary, ImmutableArray<Step> Steps)
    {
        /// <summary>What single failures do without the change.</summary>
        public ImmutableArray<Failure> AtRest { get; init; } = [];
    }

    /// <summary>What a single failure does.</summary>
    /// <param name="Cost">The word of its cost.</param>
    /// <param name="Condition">The failure.</param>
    /// <param name="Quorum">The votes, and the primary.</param>
    /// <param name="Consequence">How long writes stop.</param>
    /// <param name="AtRisk">The rows that may be lost; empty for none.</param>
    /// <param name="Remedy">What brings it back.</param>
    public sealed record Failure(string Cost, string Condition, string Quorum, string Consequence, string AtRisk, string Remedy);

    /// <summary>A step of a roll-out.</summary>
    /// <param name="Kind">Its word.</param>
    /// <param name="Hosts">The members.</param>
    /// <param name="Note">Why it is its turn; empty for none.</param>
    public sealed record Step(string Kind, ImmutableArray<string> Hosts, string Note)
    {
        /// <summary>Whether it waits for a maintenance window.</summary>
        public bool Waits { get; init; }

        /// <summary>What single failures do at it.</summary>
        public ImmutableArray<Failure> WhatIf { get; init; } = [];
    }

    /// <summary>An error or a warning.</summary>
    /// <param name="IsError">Which of the two.</param>
    /// <param name="Summary">What was found.</param>
    public sealed record Finding(bool IsError, string Summary)
    {
        /// <summary>Where, as file, line and column; empty for nowhere.</summary>
        public string Place { get; init; } = "";

        /// <summary>More on it; empty for nothing.</summary>
        public string Detail { get; init; } = "";

        /// <summary>What to do; empty for nothing.</summary>
        public string Remedy { get; init; } = "";

        /// <summary>All of it, a line for each.</summary>
        public IEnumerable<string> Lines =>
            [
                $"{(IsError ? "Error" : "Warning")}: {Summary}",
                .. Place.Length > 0 ? [$"  at {Place}"] : Array.Empty<string>(),
                .. Detail.Length > 0 ? [$"  {Detail}"] : Array.Empty<string>(),
                .. Remedy.Length > 0 ? [$"  → {Remedy}"] : Array.Empty<string>(),
            ];
    }
}
