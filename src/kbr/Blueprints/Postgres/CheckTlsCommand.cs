using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.CommandLine;
using System.Globalization;
using KeyBuzz.Reconciler.Cli.Commands;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.PostgresHa.Status;

namespace KeyBuzz.Reconciler.Cli.Blueprints.Postgres;

/// <summary><c>kbr check tls</c>: what each port really negotiates, asked from the proxies. Changes nothing, and needs no
/// password.</summary>
internal static class CheckTlsCommand
{
    public static Command Create(SessionContext context)
    {
        var command = new Command(
            "tls",
            "Ask each port from each proxy what it negotiates: protocol, cipher, certificate. Changes nothing. "
                + "Exit 0 as declared, 2 not, 1 a port could not be asked."
        ).With(context.Options.Hosts);
        command.SetAction(parsed => context.RunAsync(parsed, async (terminal, stop, _) =>
            {
                var cluster = context.Load(parsed, terminal, secretsOptional: true);
                await using var fleet = context.OpenFleet(parsed, cluster);
                var topology = cluster.Model<PostgresTopology>()
                    ?? throw new DiagnosticException(Diagnostic.Error($"{cluster.File} has no 'postgres' section, so there are no ports"));
                var asked = new ConcurrentDictionary<string, ImmutableArray<TlsPort>>(StringComparer.Ordinal);
                var answers = await fleet.ReadAsync(topology.Proxies, _ => [new ClockRead()], stop, AskAsync).ConfigureAwait(false);
                TlsPort[] ports = [.. topology.Proxies.SelectMany(proxy => asked.GetValueOrDefault(proxy.Name, []))];
                var now = context.Time.GetUtcNow();
                if (parsed.Read(context.Options.Json))
                {
                    terminal.Line(Document(topology, ports, now));
                }
                else
                {
                    Show(terminal, topology, ports, now);
                }

                var unreachable = topology.Proxies.Where(proxy => answers[proxy.Name].Error is not null).ToList();
                foreach (var proxy in unreachable)
                {
                    terminal.ErrorLine($"Error: {proxy.Name}: {answers[proxy.Name].Error}", Terminal.Tone.Removed);
                }

                return unreachable.Count > 0 || ports.Any(port => port.Error is not null) ? ExitCode.Error
                    : ports.Any(port => port.Problem(topology.Tls, now) is not null) ? ExitCode.Changes
                    : ExitCode.Done;

                async Task AskAsync(Host proxy) =>
                    asked[proxy.Name] = await TlsPortProbe
                        .ProbeAsync(topology, proxy, fleet.Connections[proxy.Name], context.Time, stop)
                        .ConfigureAwait(false);
            }));
        return command;
    }

    private static void Show(Terminal terminal, PostgresTopology topology, TlsPort[] ports, DateTimeOffset now)
    {
        string[][] rows =
        [
            ["FROM", "PORT", "SERVICE", "PROTOCOL", "CIPHER", "CERTIFICATE", "EXPIRES", "PROBLEM"],
            .. ports.Select(port =>
                (string[])
                    [
                        port.From,
                        string.Create(CultureInfo.InvariantCulture, $"{port.Address}:{port.Port}"),
                        port.Service,
                        port.Served.Protocol.Length == 0 ? "?" : port.Served.Protocol,
                        port.Served.Cipher,
                        port.Certificate is { } certificate ? $"{certificate.Subject} of {certificate.Issuer}" : "",
                        port.Certificate?.NotAfter.UtcDateTime.ToString("yyyy-MM-dd HH:mm", CultureInfo.InvariantCulture) ?? "",
                        port.Error ?? port.Problem(topology.Tls, now) ?? "",
                    ]
            ),
        ];
        var widths = Enumerable.Range(0, rows[0].Length).Select(column => rows.Max(row => row[column].Length)).ToList();
        foreach (var (number, row) in rows.Index())
        {
            terminal.Line(
                string.Join("  ", row.Select((cell, column) => cell.PadRight(widths[column]))).TrimEnd(),
                number == 0 ? Terminal.Tone.Bold
                    : row[^1].Length > 0 ? Terminal.Tone.Removed
                    : Terminal.Tone.Plain
            );
        }
    }

    private static string Document(PostgresTopology topology, TlsPort[] ports, DateTimeOffset now) => JsonView.Document("check_tls", json =>
        {
            json.WriteString("scope", topology.Scope);
            json.WriteStartArray("ports");
            foreach (var port in ports)
            {
                json.WriteStartObject();
                json.WriteString("from", port.From);
                json.WriteString("address", port.Address);
                json.WriteNumber("port", port.Port);
                json.WriteString("service", port.Service);
                json.WriteString("protocol", port.Served.Protocol.Length == 0 ? null : port.Served.Protocol);
                json.WriteString("cipher", port.Served.Cipher.Length == 0 ? null : port.Served.Cipher);
                json.WriteString("subject", port.Certificate?.Subject);
                json.WriteString("issuer", port.Certificate?.Issuer);
                json.WriteString(
                    "expires",
                    port.Certificate?.NotAfter.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture)
                );
                json.WriteString("problem", port.Problem(topology.Tls, now));
                json.WriteString("error", port.Error);
                json.WriteEndObject();
            }

            json.WriteEndArray();
        });
}
