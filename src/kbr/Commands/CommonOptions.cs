using System.Collections.Immutable;
using System.CommandLine;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary>The options that several commands take. Each command names the set that it reads.</summary>
internal sealed class CommonOptions
{
    /// <summary>The cluster file where none is named.</summary>
    public const string DefaultFile = "cluster.yaml";

    public Option<string> File { get; } = new("--file", "-c") { Description = "The cluster file.", DefaultValueFactory = _ => DefaultFile };

    public Option<string[]> Target { get; } = new("--target") { Description = "Only these addresses (globs) and their dependencies." };

    public Option<int> Parallelism { get; } =
        OptionReading.WholeNumber("--parallelism", "How many hosts are read, and changes applied, in parallel.", least: 1, preset: 10);

    public Option<TimeSpan> LockTimeout { get; } =
        OptionReading.Duration("--lock-timeout", "How long to wait for hosts that another run has locked, such as 30s or 5m; default: 0s.");

    public Option<string[]> Replace { get; } =
        new("--replace") { Description = "Take down this resource and make it anew, although nothing differs: an exact address." };

    public Option<string[]> Within { get; } =
        new("--within")
        {
            Description =
                "Disruptive steps wait for this maintenance window, such as 'Sun 02:00-04:00 Europe/Paris'; repeat it for several.",
            HelpName = "WINDOW",
        };

    public Option<bool> RefuseRisk { get; } =
        new("--refuse-risk") { Description = "Refuse a plan in which a single failure at a step may lose acknowledged rows." };

    public Option<bool> Json { get; } = new("--json") { Description = "Print versioned JSON, one document a line." };

    public Option<bool> Verbose { get; } =
        new("--verbose") { Description = "Also print connections, scripts and the origin of internal errors." };

    public Option<bool> NoColor { get; } = new("--no-color") { Description = "No colours; also by the environment variable NO_COLOR." };

    /// <summary>Of a command that reads no cluster file: how it shows what it says.</summary>
    public IEnumerable<Option> Shown => [Json, Verbose, NoColor];

    /// <summary>Of a command that reads the cluster file and reaches no host.</summary>
    public IEnumerable<Option> Cluster => [File, .. Shown];

    /// <summary>Of a command that reaches hosts.</summary>
    public IEnumerable<Option> Hosts => [File, Parallelism, .. Shown];

    /// <summary>The options of a command that reaches hosts, all or some of them.</summary>
    public IEnumerable<Option> Targeted => [File, Target, Parallelism, .. Shown];

    public IEnumerable<Option> All => Targeted;

    /// <summary>Exact addresses. Throws <see cref="DiagnosticException"/> for anything else.</summary>
    public static ImmutableArray<Address> Addresses(string option, string[]? texts) =>
        [
            .. (texts ?? [])
                .Select(text =>
                    Address.TryParse(text, out var address) && address.CanBeDeclared && !text.AsSpan().ContainsAny('*', '?')
                        ? address
                        : throw new DiagnosticException(
                            Diagnostic.Error(
                                $"{option} '{text}' is not an address",
                                remedy: "write type.name@host in full, once for each resource; globs are not taken here"
                            )
                        )
                )
                .Distinct(),
        ];

    /// <summary>The maintenance windows of <see cref="Within"/>; null for none. Throws <see cref="DiagnosticException"/>.</summary>
    public MaintenanceWindows? Windows(ParseResult parsed) =>
        parsed.Read(Within) is { Length: > 0 } texts ? MaintenanceWindows.Parse(Within.Name, texts) : null;

    public static ImmutableArray<AddressPattern> Patterns(string[]? globs) => [.. (globs ?? []).Select(glob => new AddressPattern(glob))];
}
