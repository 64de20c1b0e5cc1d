using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.Blueprints.Pool;

/// <summary>Values of the pool as a whole, in files beside each page: one of them takes a restart. A part of a change goes ahead of
/// everything else; a file beside has the order.</summary>
internal sealed class PoolSettingProvider : IGroupResourceProvider, IChangesAhead, IChangesInPart, IForecastsRollout
{
    public ResourceSchema Schema { get; } =
        new(
            "pool_setting",
            "A value of the pool.",
            [
                new AttributeDefinition("page", AttributeKind.Path, "The page."),
                new AttributeDefinition("value", AttributeKind.String, "The value."),
                new AttributeDefinition("boot", AttributeKind.String, "A value that takes a restart."),
            ]
        );

    public bool HoldsData(Resource resource) => false;

    public IEnumerable<Diagnostic> Validate(Resource resource) => [];

    public ResourceLinks Links(Resource resource) => ResourceLinks.None;

    public IEnumerable<Read> Reads(Resource resource) => [Value(resource), Boot(resource)];

    public SortedMap<AttributeValue> Desired(Resource resource) =>
        Comparable.None.Add("value", new(resource.Spec.String("value"))).Add("boot", new(resource.Spec.OptionalString("boot") ?? "none"));

    public Observation Observe(Resource resource, IReadOnlyDictionary<string, Snapshot> members) =>
        members.Values.Select(member => (Value: Text(member, Value(resource)), Boot: Text(member, Boot(resource)))).FirstOrDefault()
            is { Value: { } value, Boot: { } boot }
            ? new Observation.Present(Comparable.None.Add("value", new(value)).Add("boot", new(boot)))
            : new Observation.Absent();

    public RolloutForecast? Forecast(RolloutQuestion question) =>
        question.Change is { Action: ResourceAction.Update } change && change.Differences.Any(difference => difference.Name == "boot")
            ? new RolloutForecast(change.Address, [new RolloutStep(RolloutStepKind.Restart, ["db-1"], "")], TimeSpan.Zero, "one restart")
            : null;

    public ResourceChange? WithoutDisruption(ResourceChange change, AttributeSet applied, GroupOutlook? outlook) =>
        change.Changed.Contains("value")
            ? change with
            {
                Resource = change.Resource with { Spec = change.Resource.Spec.With("boot", applied.OptionalString("boot") ?? "none") },
                Changed = ["value"],
            }
            : null;

    public Task ChangeAheadAsync(ResourceChange change, IGroupAccess group, CancellationToken cancellationToken) =>
        RunAsync(change, group, "[ ! -e PAGE.refuses ] || exit 1; echo ahead VALUE >> PAGE.order", cancellationToken);

    public Task ChangeAsync(ResourceChange change, IGroupAccess group, CancellationToken cancellationToken) =>
        RunAsync(
            change,
            group,
            "[ ! -e PAGE.breaks ] || exit 1; echo change VALUE >> PAGE.order; echo VALUE > PAGE.setting; echo BOOT > PAGE.boot",
            cancellationToken
        );

    private static async Task RunAsync(ResourceChange change, IGroupAccess group, string text, CancellationToken cancellationToken)
    {
        var script = text.Replace("PAGE", change.Resource.Spec.String("page"), StringComparison.Ordinal)
            .Replace("BOOT", change.Resource.Spec.OptionalString("boot") ?? "none", StringComparison.Ordinal)
            .Replace("VALUE", change.Resource.Spec.String("value"), StringComparison.Ordinal);
        foreach (var member in group.Members)
        {
            if ((await group.RunAsync(member.Name, new Script(script), cancellationToken).ConfigureAwait(false)).ExitCode != 0)
            {
                throw new ChangeFailedException($"{member.Name} refuses the value");
            }
        }
    }

    private static string? Text(Snapshot member, FileRead file) => member.Get(file)?.Text.Trim();

    private static FileRead Boot(Resource resource) => new(resource.Spec.String("page") + ".boot");

    private static FileRead Value(Resource resource) => new(resource.Spec.String("page") + ".setting");
}
