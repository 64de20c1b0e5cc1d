namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>The changes of a resource, in plain lines for several formats.</summary>
internal static class DriftDetails
{
    /// <summary>A paragraph per attribute, the ignored ones with the reason.</summary>
    public static string Text(DriftReport.Finding finding) => string.Join('\n', Lines(finding));

    /// <summary>The lines of one attribute.</summary>
    public static IEnumerable<string> Lines(DriftReport.Detail detail)
    {
        var ignored = detail.Ignored is null ? "" : $" (ignored: {detail.Ignored})";
        return detail.Diff.IsEmpty
            ? [$"{detail.Attribute}: {detail.Actual} → {detail.Applied}{ignored}"]
            : [$"{detail.Attribute}:{ignored}", .. detail.Diff];
    }

    private static IEnumerable<string> Lines(DriftReport.Finding finding) =>
        [.. finding.Note is null ? [] : new[] { finding.Note }, .. finding.Details.SelectMany(Lines)];
}
