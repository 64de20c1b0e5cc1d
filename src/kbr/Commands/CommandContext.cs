using System.Collections;
using System.Collections.Immutable;
using System.CommandLine;
using System.CommandLine.Parsing;
using System.Runtime.InteropServices;
using KeyBuzz.Reconciler.Applying;
using KeyBuzz.Reconciler.Cli.Blueprints;
using KeyBuzz.Reconciler.Cli.Steps;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Surveying;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary>Exit codes; an error beats the others.</summary>
internal static class ExitCode
{
    public const int Done = 0;
    public const int Error = 1;
    public const int Changes = 2;
    public const int Lost = 2;

    /// <summary>The exit code of a command with both results.</summary>
    public static int Worse(int one, int other) => one == Error || other == Error ? Error : Math.Max(one, other);
}

/// <summary>The context of every command: its options and its terminal. It reaches no host.</summary>
internal class CommandContext(
    ProviderRegistry providers,
    IEnumerable<IBlueprint> blueprints,
    IPreconditionChecks preconditions,
    IConnectionSection connection,
    CommonOptions options,
    TimeProvider time
)
{
    public ProviderRegistry Providers => providers;

    public IReadOnlyCollection<IBlueprint> Blueprints { get; } = [.. blueprints];

    /// <summary>The syntax of a cluster file.</summary>
    public ClusterSyntax Syntax => new(providers.All, preconditions.Kinds, connection, Blueprints);

    public IPreconditionChecks Preconditions => preconditions;

    public CommonOptions Options => options;

    /// <summary>The clock of this run.</summary>
    public TimeProvider Time => time;

    public Terminal Terminal(ParseResult parsed)
    {
        var (json, plain) = (parsed.Read(options.Json), parsed.Read(options.NoColor));
        // A terminal that says it is dumb knows neither colours nor cursor movements.
        var screen = !json && !Console.IsOutputRedirected && Environment.GetEnvironmentVariable("TERM") is not (null or "" or "dumb");
        var color = screen && !plain && Environment.GetEnvironmentVariable("NO_COLOR") is null or "";
        return new Terminal(
            Console.Out,
            Console.Error,
            color,
            screen ? () => (Console.WindowWidth, Console.WindowHeight) : null,
            colorErrors: color && !Console.IsErrorRedirected,
            hasNoReader: Console.IsOutputRedirected ? OutputPipe.HasNoReader : null
        );
    }

    public Cluster Load(ParseResult parsed, Terminal terminal, bool secretsOptional = false)
    {
        var cluster = ClusterLoader.Load(parsed.Read(options.File)!, Syntax, EnvironmentVariables(), secretsOptional);
        terminal.MaskWith(cluster.Secrets.Mask);
        return cluster;
    }

    /// <summary>Reads only the hosts of the cluster file: the rest may still need what the command makes.</summary>
    public Cluster LoadHosts(ParseResult parsed) => ClusterLoader.LoadHosts(parsed.Read(options.File)!, Syntax, EnvironmentVariables());

    /// <summary>Runs a command; whatever goes wrong ends as a message and exit code 1, output that cannot be written too. The first Ctrl-C,
    /// SIGTERM or SIGHUP cancels <c>stop</c>, the second <c>abort</c>.</summary>
    public async Task<int> RunAsync(ParseResult parsed, Func<Terminal, CancellationToken, CancellationToken, Task<int>> body)
    {
        var terminal = Terminal(parsed);
        var verbose = parsed.Read(options.Verbose);
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

            if (!terminal.IsAsking && !terminal.IsWatching)
            {
                terminal.ErrorLine("Interrupted. Finishing what is running. Press Ctrl-C again to abort it.", Views.Terminal.Tone.Changed);
            }

            stop.Cancel();
        }

        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Signalled);
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Signalled);
        // A terminal that is closed, or an ssh session that is lost, is no reason to leave a host half changed. Under nohup it is to go on
        // as if nothing had been.
        using var hangup = IgnoresHangup() ? null : PosixSignalRegistration.Create(PosixSignal.SIGHUP, Signalled);
        try
        {
            RefuseForeign(parsed);
            var exit = await body(terminal, stop.Token, abort.Token).ConfigureAwait(false);
            return terminal.OutputTrouble is { } trouble ? FailUnwritten(terminal, trouble) : exit;
        }
        catch (DiagnosticException exception)
        {
            return Fail(parsed, terminal, exception.Diagnostics);
        }
        catch (HostException exception)
        {
            return Fail(
                parsed,
                terminal,
                [Diagnostic.Error($"{exception.Host}: {exception.Message}", remedy: exception.Remedy, host: exception.Host)]
            );
        }
        catch (OperationCanceledException)
        {
            return Fail(parsed, terminal, [Diagnostic.Error("interrupted")]);
        }
        catch (Exception exception)
        {
            // The edge of the program: an unexpected exception is one line, and complete with --verbose.
            var detail = verbose ? exception.ToString() : null;
            return Fail(
                parsed,
                terminal,
                [
                    Diagnostic.Error(
                        $"internal error: {exception.Message}",
                        detail: detail,
                        remedy: detail is null ? "run again with --verbose and report it" : null
                    ),
                ]
            );
        }
    }

    // Options before the command are parsed for every command, but not every command has them.
    private static void RefuseForeign(ParseResult parsed)
    {
        var command = parsed.CommandResult.Command;
        if (
            parsed
                .RootCommandResult.Children.OfType<OptionResult>()
                .FirstOrDefault(given => !given.Implicit && !command.Options.Contains(given.Option)) is
            { } foreign
        )
        {
            throw new DiagnosticException(
                Diagnostic.Error(
                    $"{command.Name} has no option {foreign.Option.Name}",
                    remedy: $"kbr {command.Name} --help lists its options"
                )
            );
        }
    }

    // The first of the bits of the ignored signals, as the kernel writes them.
    private static bool IgnoresHangup()
    {
        try
        {
            var ignored = File.ReadLines("/proc/self/status").FirstOrDefault(line => line.StartsWith("SigIgn:", StringComparison.Ordinal));
            return ignored is not null && Convert.ToUInt64(ignored["SigIgn:".Length..].Trim(), 16) % 2 == 1;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or FormatException)
        {
            return false;
        }
    }

    // As text also of --json, since it is the standard output that cannot be written.
    private static int FailUnwritten(Terminal terminal, string trouble)
    {
        DiagnosticView.Show(
            terminal,
            [
                Diagnostic.Error(
                    $"the output could not be written: {trouble}",
                    detail: "the command itself completed",
                    remedy: "free disk space, or redirect the output elsewhere"
                ),
            ]
        );
        return ExitCode.Error;
    }

    private int Fail(ParseResult parsed, Terminal terminal, IReadOnlyList<Diagnostic> diagnostics)
    {
        Show(terminal, diagnostics, parsed.Read(options.Json));
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

    /// <summary>The environment variables of this run.</summary>
    public static Dictionary<string, string> EnvironmentVariables() =>
        Environment
            .GetEnvironmentVariables()
            .Cast<DictionaryEntry>()
            .ToDictionary(entry => (string)entry.Key, entry => (string?)entry.Value ?? "", StringComparer.Ordinal);
}

/// <summary>The context of a command that may change hosts.</summary>
internal sealed class SessionContext(
    ProviderRegistry providers,
    IEnumerable<IBlueprint> blueprints,
    IEnumerable<IBlueprintCommands> contributions,
    IPreconditionChecks preconditions,
    IConnectionSection connection,
    Func<IConnectionSettings, IHostConnector> connect,
    CommonOptions options,
    TimeProvider time
) : CommandContext(providers, blueprints, preconditions, connection, options, time)
{
    // One count for the whole run: a restore has a session before and after its apply.
    private RemoteSteps? _steps;

    /// <summary>The same with another blueprint in the place of the one with its key.</summary>
    public SessionContext With(IBlueprint blueprint)
    {
        IBlueprint[] all = [.. Blueprints.Where(one => one.Key != blueprint.Key), blueprint];
        return new SessionContext(Providers, all, contributions, Preconditions, Syntax.Connection, connect, Options, Time)
        {
            _steps = _steps,
        };
    }

    public Session Open(ParseResult parsed, Terminal terminal)
    {
        var cluster = Load(parsed, terminal);
        return Open(parsed, terminal, cluster);
    }

    /// <summary>A session over a cluster file that was loaded.</summary>
    public Session Open(ParseResult parsed, Terminal terminal, Cluster cluster)
    {
        _steps ??= new RemoteSteps(Time) { Kills = KillPoint.Parse(Environment.GetEnvironmentVariable(KillPoint.Variable)) };
        var session = new Session(
            cluster,
            Providers,
            Preconditions,
            connect(cluster.Connection),
            _steps,
            Time,
            parsed.Read(Options.Parallelism)
        );
        if (parsed.CommandResult.Command.Options.Contains(Options.LockTimeout))
        {
            session.Fleet.LockPatience = Patience(parsed.Read(Options.LockTimeout), terminal);
        }

        return session;
    }

    private LockPatience? Patience(TimeSpan limit, Terminal terminal) =>
        limit == TimeSpan.Zero
            ? null
            : new LockPatience(limit, Time, refused =>
                terminal.ErrorLine(
                    string.Create(
                        System.Globalization.CultureInfo.InvariantCulture,
                        $"Waiting up to {limit.TotalSeconds:0.###} s for the lock of {refused.Host}: {refused.Holder}"
                    ),
                    Views.Terminal.Tone.Changed
                )
            );

    /// <summary>The health checks of the file's sections.</summary>
    public ImmutableArray<IHealthCheck> HealthChecks(Cluster cluster) =>
        [.. contributions.SelectMany(blueprint => blueprint.HealthChecks(cluster))];

    /// <summary>Plans; a plan of a destroy has what its operator must know before.</summary>
    public async Task<PlannedRun> PlanAsync(
        Session session,
        PlanOptions options,
        CancellationToken cancellationToken,
        MaintenanceWindows? windows = null
    )
    {
        var run = await session.PlanAsync(options, cancellationToken).ConfigureAwait(false);
        if (windows is not null)
        {
            run = run with { Plan = run.Plan with { Window = WindowOutlook.Of(run.Plan, windows, session.Time.GetUtcNow()) } };
        }

        if (!options.Destroy || !run.Plan.HasChanges)
        {
            return run;
        }

        var hosts = run.Plan.Changes.Select(change => change.Address.Host).ToHashSet(StringComparer.Ordinal);
        var known = run.Plan.Diagnostics;
        foreach (var check in HealthChecks(session.Cluster))
        {
            known = known.AddRange(
                await check.BeforeDestroyAsync(session.Fleet, hosts, options.DeleteData, cancellationToken).ConfigureAwait(false)
            );
        }

        return run with
        {
            Plan = run.Plan with { Diagnostics = known },
        };
    }

    public Fleet OpenFleet(ParseResult parsed, Cluster cluster) => OpenFleet(cluster, parsed.Read(Options.Parallelism));

    /// <summary>The connections to the hosts of a file; nothing is opened yet.</summary>
    public Fleet OpenFleet(Cluster cluster, int parallelism = 1) =>
        new(cluster, Providers, Preconditions, connect(cluster.Connection), parallelism);
}

/// <summary>The context of a command that only reads hosts, without any writer.</summary>
internal sealed class ReadOnlyContext(
    ProviderRegistry providers,
    IEnumerable<IBlueprint> blueprints,
    IPreconditionChecks preconditions,
    IConnectionSection connection,
    Func<IConnectionSettings, IReaderSource> readers,
    CommonOptions options,
    TimeProvider time
) : CommandContext(providers, blueprints, preconditions, connection, options, time)
{
    public DriftSession Open(ParseResult parsed, Cluster cluster) => new(cluster, Providers, Fleet(parsed, cluster));

    public RecordsSession OpenRecords(ParseResult parsed, Cluster cluster) => new(cluster, Providers, Fleet(parsed, cluster));

    public FleetReader Fleet(ParseResult parsed, Cluster cluster) =>
        new(cluster, Providers, Preconditions, readers(cluster.Connection), parsed.Read(Options.Parallelism));
}
