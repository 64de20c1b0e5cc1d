using System.Collections.Immutable;
using System.CommandLine;
using KeyBuzz.Reconciler.Cli.Commands;

namespace KeyBuzz.Reconciler.Cli.Blueprints;

/// <summary>Writes a first cluster file with a blueprint's section.</summary>
internal interface IClusterInit
{
    /// <summary>Its own options of <c>kbr init</c>.</summary>
    IReadOnlyCollection<Option> Options { get; }

    /// <summary>Makes the file; it changes no host. Throws <see cref="Diagnostics.DiagnosticException"/> when the hosts are not
    /// named, or cannot be those of one cluster.</summary>
    Task<FirstFile> MakeAsync(InitRequest request, CancellationToken cancellationToken);
}

/// <summary>A first cluster file.</summary>
/// <param name="Text">Its text.</param>
/// <param name="Notes">What it was made of, and what to know about the hosts, a line each.</param>
internal sealed record FirstFile(string Text, ImmutableArray<string> Notes)
{
    /// <summary>Whether resources exist already that <c>kbr import</c> is to record before the first apply.</summary>
    public bool Adopts { get; init; }

    /// <summary>The words of a command that makes what the file names and is not there yet; empty for none.</summary>
    public ImmutableArray<string> First { get; init; } = [];
}
