using System.CommandLine;
using System.Text;
using KeyBuzz.Reconciler.Cli.Commands;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.PostgresHa.Monitoring;
using KeyBuzz.Reconciler.Records;

namespace KeyBuzz.Reconciler.Cli.Blueprints.Postgres;

/// <summary><c>kbr monitoring render</c>: files for the Prometheus and the Grafana that a team has. Reaches no host.</summary>
internal static class MonitoringCommand
{
    public static Command Create(SessionContext context) =>
        new("monitoring", "Write the files with which a Prometheus watches the PostgreSQL cluster.") { Render(context) };

    private static Command Render(SessionContext context)
    {
        var output = new Option<string>("--out")
        {
            Description = "The folder of the files; it is made.",
            HelpName = ValueNames.Folder,
            Required = true,
        };
        var runbooks = new Option<string>("--runbooks")
        {
            Description = "What the link of each alert begins with; the alert's name in lower case follows.",
            DefaultValueFactory = _ => PrometheusFiles.Runbooks,
        };
        var command = new Command(
            "render",
            $"Write {PrometheusFiles.Scrape} (what to scrape), {PrometheusFiles.Alerts} (alert rules) and dashboards of Grafana. "
                + "Reaches no host, needs no secrets."
        )
        {
            output,
            runbooks,
        }.With(context.Options.Cluster);
        command.SetAction(parsed => context.RunAsync(parsed, (terminal, _, _) =>
            {
                var json = parsed.Read(context.Options.Json);
                var folder = parsed.Read(output)!;
                var links = parsed.Read(runbooks)!;
                var cluster = context.Load(parsed, terminal, secretsOptional: true);
                var topology = cluster.Model<PostgresTopology>()
                    ?? throw new DiagnosticException(
                        Diagnostic.Error($"{cluster.File} has no 'postgres' section, so there is nothing to watch")
                    );
                string[] written =
                [
                    Write(folder, PrometheusFiles.Scrape, PrometheusFiles.ScrapeConfiguration(topology)),
                    Write(folder, PrometheusFiles.Alerts, PrometheusFiles.AlertFile(topology, links)),
                    .. Dashboards
                        .Of(topology)
                        .Select(one => Write(folder, DashboardJson.FileName(one), DashboardJson.Render(topology, one))),
                ];
                if (json)
                {
                    terminal.Line(Document(topology.Scope, written));
                }
                else
                {
                    foreach (var file in written)
                    {
                        terminal.Line($"{file} written", Terminal.Tone.Added);
                    }
                }

                return Task.FromResult(ExitCode.Done);
            }));
        return command;
    }

    private static string Document(string scope, IEnumerable<string> files) => JsonView.Document("monitoring_render", document =>
        {
            document.WriteString("scope", scope);
            document.WriteStartArray("files");
            foreach (var file in files)
            {
                document.WriteStringValue(file);
            }

            document.WriteEndArray();
        });

    private static string Write(string folder, string name, string text)
    {
        try
        {
            Directory.CreateDirectory(folder);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new DiagnosticException(Diagnostic.Error($"{folder} cannot be made", detail: exception.Message));
        }

        var path = Path.Combine(folder, name);
        LocalFile.Replace(path, stream => stream.Write(Encoding.UTF8.GetBytes(text)));
        return path;
    }
}
