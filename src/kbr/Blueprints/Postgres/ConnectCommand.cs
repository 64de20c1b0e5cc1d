using System.Collections.Immutable;
using System.CommandLine;
using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using KeyBuzz.Reconciler.Cli.Commands;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Ssh;

namespace KeyBuzz.Reconciler.Cli.Blueprints.Postgres;

/// <summary><c>kbr connect</c>: psql on the primary through SSH, or the connection strings of applications.</summary>
internal static class ConnectCommand
{
    private const string Psql = "psql";

    private static readonly string[] s_elsewhere =
    [
        "PGHOSTADDR",
        "PGSERVICE",
        "PGSERVICEFILE",
        "PGTARGETSESSIONATTRS",
        "PGREQUIRESSL",
        "PGPASSFILE",
    ];

    public static Command Create(SessionContext context)
    {
        var user = new Option<string>("--as") { Description = "The user; default: the application's." };
        var print = new Option<bool>("--print") { Description = "Print the connection strings, without passwords; connects to nothing." };
        var authority = new Option<bool>("--ca")
        {
            Description = "Print the certificate by which applications verify the servers; connects to nothing.",
        };
        var arguments = new Argument<string[]>("psql-arguments")
        {
            Description = "Passed to psql, after '--', for example: -- -c 'SELECT 1'.",
            Arity = ArgumentArity.ZeroOrMore,
        };
        var command = new Command(
            "connect",
            "Open psql on the primary, through SSH: psql of this machine, or for the superuser the primary's. Exits with its exit code."
        )
        {
            arguments,
            user,
            print,
            authority,
        }.With(context.Options.Hosts);
        command.SetAction(parsed => context.RunAsync(parsed, async (terminal, stop, _) =>
            {
                var json = parsed.Read(context.Options.Json);
                var name = parsed.Read(user);
                var printed = parsed.Read(print);
                var wantsAuthority = parsed.Read(authority);
                var words = parsed.Read(arguments) ?? [];
                await using var session = context.Open(parsed, terminal);
                var topology = SwitchoverCommand.Topology(session, "connect");
                if (wantsAuthority)
                {
                    terminal.Line(AuthorityOf(topology).TrimEnd());
                    return ExitCode.Done;
                }

                var login = UserOf(topology, name);
                if (printed || json)
                {
                    Print(terminal, json, topology.Scope, Connections(session.Cluster, topology, login));
                    return ExitCode.Done;
                }

                var primary = await PrimaryAsync(session, topology, stop).ConfigureAwait(false);
                await using var tunnel = await session
                    .Fleet.Connections[primary]
                    .OpenTunnelAsync("127.0.0.1", topology.Ports.Postgres, stop)
                    .ConfigureAwait(false);
                var host = topology.Members.First(member => member.Name == primary);
                return await RunAsync(terminal, session, topology, login, host, tunnel.Port, words).ConfigureAwait(false);
            }));
        return command;
    }

    /// <summary>The connection strings of a user, each with the place of its password.</summary>
    public static ImmutableArray<ClientConnection> Connections(Cluster cluster, PostgresTopology topology, PostgresUser user) =>
        [
            .. ConnectionString
                .Of(topology, user)
                .Select(one => new ClientConnection(one.Name, one.Text, one.User, $"{user.Secret} in {cluster.CredentialsFile}")),
        ];

    private static void Print(Terminal terminal, bool json, string scope, ImmutableArray<ClientConnection> connections)
    {
        if (json)
        {
            terminal.Line(JsonView.Document("connect", document =>
                {
                    document.WriteString("scope", scope);
                    StatusView.WriteConnections(document, connections);
                }));
            return;
        }

        foreach (var connection in connections)
        {
            terminal.Line(connection.Text);
        }
    }

    private static string AuthorityOf(PostgresTopology topology) =>
        topology.Tls?.AuthorityCertificate
        ?? throw new DiagnosticException(
            Diagnostic.Error($"{topology.Scope} has no TLS", remedy: "write tls: offered in the 'postgres' section (docs/tls.md)")
        );

    private static PostgresUser UserOf(PostgresTopology topology, string? name)
    {
        PostgresUser[] users = [topology.Application, topology.Superuser, .. topology.Users];
        return name is null
            ? topology.Application
            : users.FirstOrDefault(user => user.Name == name)
                ?? throw new DiagnosticException(
                    Diagnostic.Error(
                        $"'{name}' is not a user of {topology.Scope}",
                        remedy: $"users are {string.Join(", ", users.Select(user => user.Name))}"
                    )
                );
    }

    // The primary's own loopback lets every user in, also while the proxies do not serve.
    private static async Task<string> PrimaryAsync(Session session, PostgresTopology topology, CancellationToken cancellationToken)
    {
        var answers = await session
            .Fleet.ReadAsync(topology.Members, _ => PatroniHealth.Reads(topology.Ports.Rest), cancellationToken)
            .ConfigureAwait(false);
        return PatroniHealth
            .Judge(
                topology.Ports.Rest,
                answers
                    .Where(pair => pair.Value.Snapshot is not null)
                    .ToDictionary(pair => pair.Key, pair => pair.Value.Snapshot!, StringComparer.Ordinal),
                topology.Members.Select(member => member.Name),
                topology.Health.MaxLag
            )
            .Leader
            ?? throw new DiagnosticException(
                Diagnostic.Error($"no member of {topology.Scope} reports that it is the primary", remedy: "run kbr status")
            );
    }

    // psql of this machine through the tunnel; without one the superuser's in the container of the primary, where the socket asks for no
    // password.
    private static async Task<int> RunAsync(
        Terminal terminal,
        Session session,
        PostgresTopology topology,
        PostgresUser user,
        Host primary,
        int port,
        string[] words
    )
    {
        // Ctrl-C is psql's: it cancels a statement there.
        terminal.IsAsking = true;
        using var process = Start(Local(topology, user, port, words), out var trouble)
            ?? (
                user == topology.Superuser
                    ? Start(await PsqlOverSshAsync(session, topology, primary, words).ConfigureAwait(false), out _)
                    : null
            )
            ?? throw new DiagnosticException(
                Diagnostic.Error(
                    $"{Psql} cannot be started on this machine: {trouble}",
                    remedy: "install it (Debian: postgresql-client); with ssh here, "
                        + $"{CopyableCommand.Of(session.Cluster.File, "connect", "--as", topology.Superuser.Name)} uses that of {primary.Name}"
                )
            );
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, _ => process.Kill());
        await process.WaitForExitAsync(CancellationToken.None).ConfigureAwait(false);
        return process.ExitCode;
    }

    /// <summary>Starts a program; null where it cannot be started, with the reason.</summary>
    public static Process? Start(ProcessStartInfo start, out string trouble)
    {
        trouble = "";
        var process = new Process { StartInfo = start };
        try
        {
            process.Start();
            return process;
        }
        catch (Win32Exception exception)
        {
            process.Dispose();
            trouble = exception.Message;
            return null;
        }
    }

    // The password is in the environment of psql alone: no command line and no file has it.
    private static ProcessStartInfo Local(PostgresTopology topology, PostgresUser user, int port, string[] words)
    {
        var start = new ProcessStartInfo(Psql, words) { UseShellExecute = false };
        (string Name, string Value)[] environment =
        [
            ("PGHOST", "127.0.0.1"),
            ("PGPORT", port.ToString(CultureInfo.InvariantCulture)),
            ("PGUSER", user.Name),
            ("PGDATABASE", topology.ApplicationDatabase.Name),
            ("PGPASSWORD", user.Password.Reveal()),
            ("PGSSLMODE", "disable"),
            ("PGGSSENCMODE", "disable"),
            ("PGAPPNAME", "kbr connect"),
        ];
        foreach (var (name, value) in environment)
        {
            start.Environment[name] = value;
        }

        // What else libpq would take from there leads elsewhere.
        foreach (var name in s_elsewhere)
        {
            start.Environment.Remove(name);
        }

        return start;
    }

    private static Task<ProcessStartInfo> PsqlOverSshAsync(Session session, PostgresTopology topology, Host primary, string[] words)
    {
        var isTerminal = !Console.IsInputRedirected && !Console.IsOutputRedirected;
        return OverSshAsync(
            session,
            primary,
            isTerminal,
            [
                "docker",
                "exec",
                isTerminal ? "-it" : "-i",
                PostgresTopology.PatroniContainer,
                Psql,
                "-h",
                PostgresTopology.PostgresSocketDirectory,
                "-p",
                topology.Ports.Postgres.ToString(CultureInfo.InvariantCulture),
                "-U",
                topology.Superuser.Name,
                "-d",
                topology.ApplicationDatabase.Name,
                .. words,
            ]
        );
    }

    /// <summary>A command on a host, as root, through this machine's ssh.</summary>
    /// <param name="session">The hosts of this run.</param>
    /// <param name="host">The host.</param>
    /// <param name="isTerminal">Whether a person types.</param>
    /// <param name="words">The command, a word each.</param>
    public static async Task<ProcessStartInfo> OverSshAsync(Session session, Host host, bool isTerminal, IEnumerable<string> words)
    {
        var (settings, endpoint) = ((SshSettings)session.Cluster.Connection, SshEndpoint.Of(host));
        string[] all = [.. endpoint.Sudo ? ["sudo", "-n"] : Array.Empty<string>(), .. words];
        return new ProcessStartInfo(
            "ssh",
            [
                isTerminal ? "-t" : "-T",
                .. await OpenSshCommand.ArgumentsAsync(settings, host, session.Time).ConfigureAwait(false),
                string.Join(' ', all.Select(Script.Quote)),
            ]
        )
        {
            UseShellExecute = false,
        };
    }
}
