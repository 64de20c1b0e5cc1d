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

namespace KeyBuzz.Reconciler.Cli.Blueprints.Postgres;

/// <summary><c>kbr connect</c>: psql on the primary through SSH, or the connection strings of applications.</summary>
internal static class ConnectCommand
{
    private const string Psql = "psql";

    public static Command Create(SessionContext context)
    {
        var user = new Option<string>("--as") { Description = "The user; default: the application's." };
        var print = new Option<bool>("--print") { Description = "Print the connection strings, without passwords; connects to nothing." };
        var arguments = new Argument<string[]>("psql-arguments")
        {
            Description = "Passed to psql, after '--', for example: -- -c 'SELECT 1'.",
            Arity = ArgumentArity.ZeroOrMore,
        };
        var command = new Command(
            "connect",
            "Open psql on the primary, through SSH. Exits with psql's exit code. Needs psql on this machine."
        )
        {
            arguments,
            user,
            print,
        }.With(context.Options.Hosts);
        command.SetAction(parsed => context.RunAsync(parsed, async (terminal, stop, _) =>
            {
                var json = parsed.Read(context.Options.Json);
                var name = parsed.Read(user);
                var printed = parsed.Read(print);
                var words = parsed.Read(arguments) ?? [];
                await using var session = context.Open(parsed, terminal);
                var topology = SwitchoverCommand.Topology(session, "connect");
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
                return await RunAsync(terminal, topology, login, primary, tunnel.Port, words).ConfigureAwait(false);
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

    // The password is in the environment of psql alone: no command line and no file has it.
    private static async Task<int> RunAsync(
        Terminal terminal,
        PostgresTopology topology,
        PostgresUser user,
        string primary,
        int port,
        string[] words
    )
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
        foreach (var name in new[] { "PGHOSTADDR", "PGSERVICE", "PGSERVICEFILE", "PGTARGETSESSIONATTRS", "PGREQUIRESSL", "PGPASSFILE" })
        {
            start.Environment.Remove(name);
        }

        using var psql = new Process { StartInfo = start };
        try
        {
            // Ctrl-C is psql's: it cancels a statement there.
            terminal.IsAsking = true;
            psql.Start();
        }
        catch (Win32Exception exception)
        {
            throw new DiagnosticException(
                Diagnostic.Error(
                    $"{Psql} cannot be started on this machine: {exception.Message}",
                    remedy: $"install it (Debian: postgresql-client), or use it on {primary}, as root: docker exec -it "
                        + $"{PostgresTopology.PatroniContainer} psql -U {Script.Quote(topology.Superuser.Name)} "
                        + $"-d {Script.Quote(topology.ApplicationDatabase.Name)}"
                )
            );
        }

        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, _ => psql.Kill());
        await psql.WaitForExitAsync(CancellationToken.None).ConfigureAwait(false);
        return psql.ExitCode;
    }
}
