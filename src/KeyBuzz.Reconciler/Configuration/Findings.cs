using KeyBuzz.Reconciler.Diagnostics;

namespace KeyBuzz.Reconciler.Configuration;

/// <summary>The findings of the validation so far. The same finding at the same place is kept once: a resource placed on three hosts is
/// bound three times.</summary>
public sealed class Findings
{
    private readonly List<Diagnostic> _all = [];
    private readonly HashSet<(string, SourceLocation?)> _seen = [];
    private readonly HashSet<SourceLocation> _settled = [];

    public bool HasErrors { get; private set; }

    public IReadOnlyList<Diagnostic> All => InOrder();

    public IEnumerable<Diagnostic> Warnings => InOrder().Where(finding => finding.Severity == Severity.Warning);

    /// <summary>Leaves out whatever else is found at a place.</summary>
    public void Settle(SourceLocation at) => _settled.Add(at);

    public void Add(Diagnostic finding)
    {
        if (finding.Location is { } at && _settled.Contains(at))
        {
            return;
        }

        if (_seen.Add((finding.Summary, finding.Location)))
        {
            _all.Add(finding);
        }

        HasErrors |= finding.Severity == Severity.Error;
    }

    public void Error(
        string summary,
        SourceLocation? at,
        string? detail = null,
        string? remedy = null,
        string? host = null,
        string? address = null
    ) => Add(Diagnostic.Error(summary, at, detail, remedy, host, address));

    public void Warning(string summary, SourceLocation? at, string? detail = null, string? remedy = null) =>
        Add(Diagnostic.Warning(summary, at, detail, remedy));

    /// <summary>Says that a name is not known: the near one when there is one, the known ones otherwise.</summary>
    public void Unknown(string summary, SourceLocation? at, string name, IEnumerable<string> known, string knownAre)
    {
        var candidates = known.Distinct().Order(StringComparer.Ordinal).ToArray();
        var near = NearName.Of(name, candidates);
        Error(
            summary,
            at,
            near is null && candidates.Length is > 0 and <= 40 ? $"{knownAre}: {string.Join(", ", candidates)}" : null,
            near is null ? null : $"did you mean '{near}'?"
        );
    }

    public void ThrowIfErrors()
    {
        if (HasErrors)
        {
            throw new DiagnosticException(InOrder());
        }
    }

    // In the order of the file, so that the operator walks through it once.
    private List<Diagnostic> InOrder() =>
        [
            .. _all.OrderBy(finding => finding.Location?.File == _all.Find(one => one.Location is not null)?.Location?.File ? 0 : 1)
                .ThenBy(finding => finding.Location?.File, StringComparer.Ordinal)
                .ThenBy(finding => finding.Location?.Line)
                .ThenBy(finding => finding.Location?.Column),
        ];
}
