using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

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
            new ToolsInstalled(),
            new ResolversConfigured(),
            new ClockInStep(),
            new EnoughDisk(),
            new OnXfs(),
            new PortReachable(),
        ];
        _checks = checks.ToDictionary(check => check.Kind, StringComparer.Ordinal);
        Kinds = checks;
    }

    /// <inheritdoc />
    public IReadOnlyList<IPreconditionKind> Kinds { get; }

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
internal abstract class PreconditionCheck : IPreconditionKind
{
    /// <inheritdoc />
    public abstract string Kind { get; }

    /// <inheritdoc />
    public abstract string Description { get; }

    /// <inheritdoc />
    public virtual PreconditionLevel Default => PreconditionLevel.Off;

    /// <inheritdoc />
    public virtual string? Example => null;

    /// <inheritdoc />
    public virtual AttributeSet Settings => AttributeSet.Empty;

    /// <inheritdoc />
    public virtual string PlacementKey => "hosts";

    /// <inheritdoc />
    public virtual ImmutableArray<SectionKey> Keys => [];

    /// <inheritdoc />
    public virtual bool IsList => false;

    /// <inheritdoc />
    public virtual IEnumerable<DeclaredPrecondition> Read(SectionReader settings, HostTable hosts, Findings findings) =>
        [new DeclaredPrecondition(Settings, settings.Map)];

    /// <summary>Its reads.</summary>
    public abstract Read Read(Precondition precondition);

    /// <summary>The finding, or null.</summary>
    public abstract Finding? Evaluate(Precondition precondition, Snapshot snapshot);

    /// <summary>The path that its settings name, or null.</summary>
    protected static string? ReadPath(SectionReader settings, Findings findings, bool required)
    {
        if (settings.Word("path", "an absolute path", required) is not { } word)
        {
            return null;
        }

        if (HostPath.TryNormalize(word.Value, out var path, out var problem))
        {
            return path;
        }

        findings.Error($"'path' cannot be '{word.Value}'", word.At, problem);
        return null;
    }
}
