using System.Collections.Immutable;
using System.CommandLine;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary>The options that every command takes.</summary>
internal sealed class CommonOptions
{
    /// <summary>The cluster file where none is named.</summary>
    public const string DefaultFile = "cluster.yaml";

    public Option<string> File { get; } = new("--file", "-c") { Description = "The cluster file.", DefaultValueFactory = _ => DefaultFile, Recursive = true };

    public Option<string[]> Target { get; } = new("--target") { Description = "Only these addresses (globs) and what they need.", Recursive = true };

    public Option<int> Parallelism { get; } = new("--parallelism") { Description = "How many hosts are read, and changes made, at once.", DefaultValueFactory = _ => 10, Recursive = true };

    public Option<bool> Json { get; } = new("--json") { Description = "Versioned JSON, one document a line.", Recursive = true };

    public Option<bool> Verbose { get; } = new("--verbose") { Description = "Also say what it cost, and where an internal error came from.", Recursive = true };

    public Option<bool> NoColor { get; } = new("--no-color") { Description = "No colours; also by the environment variable NO_COLOR.", Recursive = true };

    public CommonOptions() =>
        Parallelism.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int>() < 1)
            {
                result.AddError("--parallelism must be at least 1");
            }
        });

    public IEnumerable<Option> All => [File, Target, Parallelism, Json, Verbose, NoColor];

    public static ImmutableArray<AddressPattern> Patterns(string[]? globs) => [.. (globs ?? []).Select(glob => new AddressPattern(glob))];
}
