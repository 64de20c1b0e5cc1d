using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>The findings of <c>kbr drift</c>, as texts for output: every secret in them is masked, so that each format writes them as they
/// are.</summary>
/// <param name="Cluster">The cluster; empty where the cluster file could not be read.</param>
/// <param name="File">The cluster file as the operator named it.</param>
/// <param name="At">When it was found.</param>
/// <param name="Findings">What was changed, by host.</param>
/// <param name="Compared">The resources that were compared.</param>
/// <param name="Uncompared">What could not be.</param>
/// <param name="NotApplied">The resources that were never applied.</param>
/// <param name="Diagnostics">What else was found.</param>
public sealed record DriftReport(
    string Cluster,
    string File,
    DateTimeOffset At,
    ImmutableArray<DriftReport.Finding> Findings,
    ImmutableArray<Address> Compared,
    ImmutableArray<Uncompared> Uncompared,
    ImmutableArray<Address> NotApplied,
    ImmutableArray<Diagnostic> Diagnostics
)
{
    /// <summary>A resource that was changed.</summary>
    /// <param name="Address">The resource.</param>
    /// <param name="Deleted">Whether it is gone.</param>
    /// <param name="Ignored">Why the whole of it is not counted; null when it is.</param>
    /// <param name="Note">Something the operator should know, or null.</param>
    /// <param name="Location">Where cluster.yaml speaks of it, or null.</param>
    /// <param name="Details">What was changed of it.</param>
    public sealed record Finding(
        Address Address,
        bool Deleted,
        string? Ignored,
        string? Note,
        SourceLocation? Location,
        ImmutableArray<Detail> Details
    )
    {
        /// <summary>Whether it counts.</summary>
        public bool Counts => Ignored is null;

        /// <summary>The word for what happened to it.</summary>
        public string Change => Deleted ? "deleted" : "changed";
    }

    /// <summary>An attribute that was changed.</summary>
    /// <param name="Attribute">Its name.</param>
    /// <param name="Applied">What was applied, in one line; null for a text.</param>
    /// <param name="Actual">What is there, in one line; null for a text.</param>
    /// <param name="Diff">For a text, the lines of a unified diff from what is there to what was applied, as a plan shows it; empty
    /// otherwise.</param>
    /// <param name="Ignored">Why it is not counted; null when it is.</param>
    public sealed record Detail(string Attribute, string? Applied, string? Actual, ImmutableArray<string> Diff, string? Ignored);

    /// <summary>1 when something is incomplete, which beats drift; 2 with drift; 0 without.</summary>
    public int ExitCode =>
        Diagnostics.Any(diagnostic => diagnostic.Severity == Severity.Error) ? Commands.ExitCode.Error
        : Findings.Any(finding => finding.Counts) ? Commands.ExitCode.Changes
        : Commands.ExitCode.Done;

    /// <summary>The exit code in a word.</summary>
    public string Verdict =>
        ExitCode switch
        {
            Commands.ExitCode.Done => "none",
            Commands.ExitCode.Changes => "drift",
            _ => "error",
        };

    /// <summary>How many resources were changed and count.</summary>
    public int ChangedCount => Findings.Count(finding => finding is { Counts: true, Deleted: false });

    /// <summary>How many resources are gone and count.</summary>
    public int DeletedCount => Findings.Count(finding => finding is { Counts: true, Deleted: true });

    /// <summary>How many resources do not count, though they were changed.</summary>
    public int IgnoredCount => Findings.Count(finding => !finding.Counts);

    /// <summary>The sum in a line.</summary>
    public string Summary =>
        $"{ChangedCount} changed, {DeletedCount} deleted"
        + (IgnoredCount > 0 ? $", {IgnoredCount} ignored" : "")
        + $"; {Compared.Length} compared"
        + (Uncompared.Length > 0 ? $", {Uncompared.Length} could not be compared in full" : "");

    /// <summary>Makes the report.</summary>
    /// <param name="drift">What was found.</param>
    /// <param name="cluster">The cluster.</param>
    /// <param name="file">The cluster file as the operator named it.</param>
    /// <param name="at">When it was found.</param>
    /// <param name="mask">Masks the secrets that are known.</param>
    public static DriftReport Of(Drift drift, string cluster, string file, DateTimeOffset at, Func<string, string> mask)
    {
        ArgumentNullException.ThrowIfNull(drift);
        ArgumentNullException.ThrowIfNull(mask);
        return new DriftReport(
            cluster,
            file,
            at,
            [.. drift.Resources.OrderBy(resource => resource.Address).Select(Find)],
            drift.Compared,
            [.. drift.Uncompared.Select(one => one with { Reason = mask(one.Reason) })],
            drift.NotApplied,
            [
                .. drift.Diagnostics.Select(one =>
                    one with
                    {
                        Summary = mask(one.Summary),
                        Detail = Masked(one.Detail),
                        Remedy = Masked(one.Remedy),
                    }
                ),
            ]
        );

        string? Masked(string? text) => text is null ? null : mask(text);

        Finding Find(DriftedResource resource) =>
            new(
                resource.Address,
                resource.Deleted,
                resource.IgnoredBy?.Reason
                    ?? (
                        resource.IsIgnored
                            ? string.Join("; ", resource.Attributes.Select(attribute => attribute.IgnoredBy!.Reason).Distinct())
                            : null
                    ),
                Masked(resource.Note),
                resource.Location,
                [.. resource.Attributes.Select(Describe)]
            );

        Detail Describe(DriftedAttribute attribute)
        {
            if (attribute is { Applied: { IsText: true } applied, Actual: { IsText: true } actual })
            {
                // Where nothing but a secret differs there is nothing to be seen.
                ImmutableArray<string> diff = [.. TextDifference.Lines(actual, applied).Select(mask)];
                return diff.IsEmpty
                    ? Line(SecretText.Mask, SecretText.Mask)
                    : new Detail(attribute.Name, null, null, diff, attribute.IgnoredBy?.Reason);
            }

            return Line(
                attribute.Applied switch
                {
                    null => attribute.IsForeign ? "(not declared)" : "(not recorded)",
                    { IsText: true } => "a text",
                    var value => mask(PlanView.Shown(value)),
                },
                attribute.Actual switch
                {
                    null => "nothing",
                    { IsText: true } => "another text",
                    var value => mask(PlanView.Shown(value, attribute.Applied)),
                }
            );

            Detail Line(string before, string after) => new(attribute.Name, before, after, [], attribute.IgnoredBy?.Reason);
        }
    }

    /// <summary>The report of a run that could not even begin.</summary>
    /// <param name="file">The cluster file as the operator named it.</param>
    /// <param name="diagnostics">Why.</param>
    /// <param name="at">When.</param>
    public static DriftReport Failed(string file, IEnumerable<Diagnostic> diagnostics, DateTimeOffset at) =>
        new("", file, at, [], [], [], [], [.. diagnostics]);
}
