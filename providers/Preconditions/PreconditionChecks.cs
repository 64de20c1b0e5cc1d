using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Providers.Preconditions;

/// <summary>The supported preconditions of a host, checked before any change.</summary>
public sealed class PreconditionChecks : IPreconditionChecks
{
    private readonly Dictionary<string, PreconditionCheck> _checks;

    /// <summary>All kinds.</summary>
    public PreconditionChecks()
    {
        PreconditionCheck[] checks =
        [
            new SwapOff(),
            new DockerRunning(),
            new ResolversConfigured(),
            new ClockInStep(),
            new EnoughDisk(),
            new OnXfs(),
            new PortReachable(),
        ];
        _checks = checks.ToDictionary(check => check.Kind, StringComparer.Ordinal);
        Kinds = [.. checks.Select(check => check.Kind)];
    }

    /// <inheritdoc />
    public IReadOnlyList<string> Kinds { get; }

    /// <inheritdoc />
    public IEnumerable<Read> Reads(Precondition precondition) =>
        precondition.Level == PreconditionLevel.Off ? [] : [Find(precondition).Read(precondition)];

    /// <inheritdoc />
    public Diagnostic? Evaluate(Precondition precondition, Snapshot snapshot)
    {
        if (precondition.Level == PreconditionLevel.Off || Find(precondition).Evaluate(precondition, snapshot) is not { } finding)
        {
            return null;
        }

        var severity = precondition.Level == PreconditionLevel.Warn ? Severity.Warning : Severity.Error;
        return new Diagnostic(
            severity,
            $"{precondition.Host}: {finding.Summary}",
            finding.Found,
            finding.Remedy,
            precondition.Location,
            precondition.Host
        )
        {
            Peer = precondition.Settings.OptionalString("peer"),
        };
    }

    private PreconditionCheck Find(Precondition precondition) =>
        _checks.TryGetValue(precondition.Kind, out var check)
            ? check
            : throw new ArgumentException($"no precondition of kind '{precondition.Kind}'", nameof(precondition));
}

/// <summary>A failed precondition.</summary>
/// <param name="Summary">One line.</param>
/// <param name="Found">What the host said.</param>
/// <param name="Remedy">What to do.</param>
internal sealed record Finding(string Summary, string Found, string Remedy);

/// <summary>One kind of precondition.</summary>
internal abstract class PreconditionCheck
{
    /// <summary>The word in cluster.yaml.</summary>
    public abstract string Kind { get; }

    /// <summary>Its reads.</summary>
    public abstract Read Read(Precondition precondition);

    /// <summary>The finding, or null.</summary>
    public abstract Finding? Evaluate(Precondition precondition, Snapshot snapshot);
}
