namespace KeyBuzz.Reconciler.Diagnostics;

/// <summary>How bad a finding is.</summary>
public enum Severity
{
    /// <summary>Worth a look; nothing is refused.</summary>
    Warning,

    /// <summary>The request cannot be executed.</summary>
    Error,
}

/// <summary>A place in a YAML file. Line and column count from 1.</summary>
/// <param name="File">The file as the operator named it.</param>
/// <param name="Line">Line, from 1.</param>
/// <param name="Column">Column, from 1.</param>
/// <param name="LineText">The line itself, shown under the message.</param>
public sealed record SourceLocation(string File, int Line, int Column, string LineText)
{
    /// <inheritdoc />
    public override string ToString() => $"{File}:{Line}:{Column}";
}

/// <summary>A finding for the operator: what, where, and what to do about it.</summary>
/// <param name="Severity">Error or warning.</param>
/// <param name="Summary">One line.</param>
/// <param name="Detail">What was found, or null.</param>
/// <param name="Remedy">What to do, or null.</param>
/// <param name="Location">The place in a file, or null.</param>
/// <param name="Host">The host it speaks of, or null.</param>
/// <param name="Address">The resource it speaks of, or null.</param>
public sealed record Diagnostic(
    Severity Severity,
    string Summary,
    string? Detail = null,
    string? Remedy = null,
    SourceLocation? Location = null,
    string? Host = null,
    string? Address = null
)
{
    /// <summary>Another host that the finding is about, such as the one whose port is silent; null for none.</summary>
    public string? Peer { get; init; }

    /// <summary>Makes an error.</summary>
    public static Diagnostic Error(
        string summary,
        SourceLocation? location = null,
        string? detail = null,
        string? remedy = null,
        string? host = null,
        string? address = null
    ) => new(Severity.Error, summary, detail, remedy, location, host, address);

    /// <summary>Makes a warning.</summary>
    public static Diagnostic Warning(
        string summary,
        SourceLocation? location = null,
        string? detail = null,
        string? remedy = null,
        string? host = null,
        string? address = null
    ) => new(Severity.Warning, summary, detail, remedy, location, host, address);
}

/// <summary>Thrown when a command cannot go on; carries everything found so far.</summary>
public sealed class DiagnosticException : Exception
{
    /// <summary>Carries the findings.</summary>
    public DiagnosticException(IReadOnlyList<Diagnostic> diagnostics)
        : base(diagnostics.Count > 0 ? diagnostics[0].Summary : "failed") => Diagnostics = diagnostics;

    /// <summary>Carries one finding.</summary>
    public DiagnosticException(Diagnostic diagnostic)
        : this([diagnostic]) { }

    /// <summary>The findings, in the order they were made.</summary>
    public IReadOnlyList<Diagnostic> Diagnostics { get; }
}
