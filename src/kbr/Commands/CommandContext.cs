using System.Collections;
using System.CommandLine;
using System.Runtime.InteropServices;
using KeyBuzz.Reconciler.Cli.Steps;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary>Exit codes; an error beats the others.</summary>
internal static class ExitCode
{
    public const int Done = 0;
    public const int Error = 1;
    public const int Changes = 2;
    public const int Lost = 2;
}

/// <summary>What every command runs with: its options and its terminal. It reaches no host.</summary>
internal class CommandContext(ProviderRegistry providers, IEnumerable<IBlueprint> blueprints, CommonOptions options)
{
    public ProviderRegistry Providers => providers;

    public IReadOnlyCollection<IBlueprint> Blueprints { get; } = [.. blueprints];

    public CommonOptions Options => options;

    public Terminal Terminal(ParseResult parsed)
    {
        var screen = !parsed.GetValue(options.Json) && !Console.IsOutputRedirected;
        var color = screen && !parsed.GetValue(options.NoColor) && Environment.GetEnvironmentVariable("NO_COLOR") is null or "";

        // A terminal that says it is dumb cannot move its cursor.
        var drawn = screen && Environment.GetEnvironmentVariable("TERM") is not (null or "" or "dumb");
        return new Terminal(Console.Out, Console.Error, color, drawn ? () => (Console.WindowWidth, Console.WindowHeight) : null);
    }

    public Cluster Load(ParseResult parsed, Terminal terminal, bool secretsOptional = false)
    {
        var cluster = ClusterLoader.Load(parsed.GetValue(options.File)!, providers.All, EnvironmentVariables(), Blueprints, secretsOptional);
        terminal.MaskWith(cluster.Secrets.Mask);
        return cluster;
    }

    /// <summary>Runs a command; whatever goes wrong ends as a message and exit code 1. The first Ctrl-C or SIGTERM cancels <c>stop</c>, the second <c>abort</c>.</summary>
    public async Task<int> RunAsync(ParseResult parsed, Func<Terminal, CancellationToken, CancellationToken, Task<int>> body)
    {
        var terminal = Terminal(parsed);
        using var stop = new CancellationTokenSource();
        using var abort = new CancellationTokenSource();
        void Signalled(PosixSignalContext context)
        {
            context.Cancel = true;
            if (stop.IsCancellationRequested)
            {
                abort.Cancel();
                return;
            }

            terminal.ErrorLine("Interrupted: what runs is finished, nothing more is begun. Once more ends what runs, too.", Views.Terminal.Tone.Changed);
            stop.Cancel();
        }

        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Signalled);
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Signalled);
        try
        {
            return await body(terminal, stop.Token, abort.Token).ConfigureAwait(false);
        }
        catch (DiagnosticException exception)
        {
            return Fail(parsed, terminal, exception.Diagnostics);
        }
        catch (HostException exception)
        {
            return Fail(parsed, terminal, [Diagnostic.Error($"{exception.Host}: {exception.Message}", remedy: exception.Remedy, host: exception.Host)]);
        }
        catch (OperationCanceledException)
        {
            return Fail(parsed, terminal, [Diagnostic.Error("interrupted")]);
        }
        catch (Exception exception)
        {
            // The edge of the program: what nobody foresaw is still one line, and the whole of it for who asks.
            var detail = parsed.GetValue(options.Verbose) ? exception.ToString() : null;
            return Fail(parsed, terminal, [Diagnostic.Error($"internal error: {exception.Message}", detail: detail, remedy: detail is null ? "run again with --verbose and report it" : null)]);
        }
    }

    private int Fail(ParseResult parsed, Terminal terminal, IReadOnlyList<Diagnostic> diagnostics)
    {
        Show(terminal, diagnostics, parsed.GetValue(options.Json));
        return ExitCode.Error;
    }

    /// <summary>Shows what was found, for a person or as a JSON document.</summary>
    public static void Show(Terminal terminal, IReadOnlyList<Diagnostic> diagnostics, bool json)
    {
        if (json)
        {
            terminal.Line(JsonView.DiagnosticsDocument(diagnostics));
        }
        else
        {
            DiagnosticView.Show(terminal, diagnostics);
        }
    }

    private static Dictionary<string, string> EnvironmentVariables() =>
        Environment.GetEnvironmentVariables().Cast<DictionaryEntry>().ToDictionary(entry => (string)entry.Key, entry => (string?)entry.Value ?? "", StringComparer.Ordinal);
}

/// <summary>What a command runs with that changes hosts, or may be about to.</summary>
internal sealed class SessionContext(
    ProviderRegistry providers, IEnumerable<IBlueprint> blueprints, IPreconditionChecks preconditions, Func<SshSettings, IHostConnector> connect, CommonOptions options)
    : CommandContext(providers, blueprints, options)
{
    public Session Open(ParseResult parsed, Terminal terminal)
    {
        var cluster = Load(parsed, terminal);
        var steps = new RemoteSteps { Kills = KillPoint.Parse(Environment.GetEnvironmentVariable(KillPoint.Variable)) };
        return new Session(cluster, Providers, preconditions, connect(cluster.Ssh), steps, parsed.GetValue(Options.Parallelism));
    }

    public Fleet OpenFleet(ParseResult parsed, Cluster cluster) => new(cluster, Providers, preconditions, connect(cluster.Ssh), parsed.GetValue(Options.Parallelism));
}

/// <summary>What a command runs with that reads from hosts and holds nothing that can write.</summary>
internal sealed class ReadOnlyContext(
    ProviderRegistry providers, IEnumerable<IBlueprint> blueprints, IPreconditionChecks preconditions, Func<SshSettings, IReaderSource> readers, CommonOptions options)
    : CommandContext(providers, blueprints, options)
{
    public DriftSession Open(ParseResult parsed, Cluster cluster) =>
        new(cluster, Providers, Fleet(parsed, cluster));

    public RecordsSession OpenRecords(ParseResult parsed, Cluster cluster) => new(cluster, Providers, Fleet(parsed, cluster));

    public FleetReader Fleet(ParseResult parsed, Cluster cluster) =>
        new(cluster, Providers, preconditions, readers(cluster.Ssh), parsed.GetValue(Options.Parallelism));
}
