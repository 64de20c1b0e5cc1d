using System.Buffers;
using System.Globalization;
using System.Reflection;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using KeyBuzz.Reconciler.Diagnostics;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>Drift as SARIF 2.1.0 (https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html), which code scanning shows beside the
/// line of cluster.yaml that a resource comes from. A result per attribute; what is ignored is a suppressed result.</summary>
public static class DriftSarif
{
    private const string Schema = "https://json.schemastore.org/sarif-2.1.0.json";

    private static readonly (string Id, string Text, string Level)[] s_rules =
    [
        ("changed", "An attribute of a resource was changed on the host since it was applied.", "warning"),
        ("deleted", "A resource was deleted on the host since it was applied.", "error"),
    ];

    /// <summary>The log.</summary>
    public static string Render(DriftReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            json.WriteString("$schema", Schema);
            json.WriteString("version", "2.1.0");
            json.WriteStartArray("runs");
            json.WriteStartObject();
            WriteTool(json);
            WriteInvocation(json, report);
            json.WriteStartArray("results");
            foreach (var finding in report.Findings)
            {
                if (finding.Deleted)
                {
                    WriteResult(
                        json,
                        report,
                        finding,
                        1,
                        null,
                        $"{finding.Address} was deleted on the host since it was applied",
                        finding.Ignored
                    );
                }

                foreach (var detail in finding.Details)
                {
                    WriteResult(
                        json,
                        report,
                        finding,
                        0,
                        detail.Attribute,
                        $"{finding.Address} was changed on the host since it was "
                            + $"applied\n\n{string.Join('\n', DriftDetails.Lines(detail))}",
                        finding.Ignored ?? detail.Ignored
                    );
                }
            }

            json.WriteEndArray();
            json.WriteEndObject();
            json.WriteEndArray();
            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(buffer.WrittenSpan) + "\n";
    }

    private static void WriteTool(Utf8JsonWriter json)
    {
        json.WriteStartObject("tool");
        json.WriteStartObject("driver");
        json.WriteString("name", "kbr");
        json.WriteString(
            "semanticVersion",
            typeof(DriftSarif).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion
        );
        json.WriteStartArray("rules");
        foreach (var (id, text, level) in s_rules)
        {
            json.WriteStartObject();
            json.WriteString("id", id);
            WriteText(json, "shortDescription", text);
            json.WriteStartObject("defaultConfiguration");
            json.WriteString("level", level);
            json.WriteEndObject();
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteEndObject();
        json.WriteEndObject();
    }

    // Findings that prevent a comparison belong to the run.
    private static void WriteInvocation(Utf8JsonWriter json, DriftReport report)
    {
        json.WriteStartArray("invocations");
        json.WriteStartObject();
        json.WriteBoolean("executionSuccessful", report.ExitCode != Commands.ExitCode.Error);
        json.WriteNumber("exitCode", report.ExitCode);
        json.WriteString("endTimeUtc", report.At.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture));
        json.WriteStartArray("toolExecutionNotifications");
        foreach (var diagnostic in report.Diagnostics)
        {
            WriteNotification(
                json,
                diagnostic.Severity == Severity.Error ? "error" : "warning",
                string.Join("; ", new[] { diagnostic.Summary, diagnostic.Detail, diagnostic.Remedy }.OfType<string>())
            );
        }

        foreach (var one in report.Uncompared.Where(one => !one.IsError))
        {
            WriteNotification(
                json,
                "note",
                $"{(one.Attribute is null ? "" : one.Attribute + " of ")}{one.Address} was not compared: {one.Reason}"
            );
        }

        json.WriteEndArray();
        json.WriteEndObject();
        json.WriteEndArray();
    }

    private static void WriteNotification(Utf8JsonWriter json, string level, string text)
    {
        json.WriteStartObject();
        json.WriteString("level", level);
        WriteText(json, "message", text);
        json.WriteEndObject();
    }

    private static void WriteResult(
        Utf8JsonWriter json,
        DriftReport report,
        DriftReport.Finding finding,
        int rule,
        string? attribute,
        string text,
        string? ignored
    )
    {
        json.WriteStartObject();
        json.WriteString("ruleId", s_rules[rule].Id);
        json.WriteNumber("ruleIndex", rule);
        json.WriteString("level", s_rules[rule].Level);
        WriteText(json, "message", text);
        json.WriteStartArray("locations");
        json.WriteStartObject();
        json.WriteStartObject("physicalLocation");
        json.WriteStartObject("artifactLocation");
        json.WriteString("uri", UriOf(finding.Location?.File ?? report.File));
        json.WriteEndObject();
        json.WriteStartObject("region");
        json.WriteNumber("startLine", finding.Location?.Line ?? 1);
        json.WriteEndObject();
        json.WriteEndObject();
        json.WriteStartArray("logicalLocations");
        json.WriteStartObject();
        json.WriteString("fullyQualifiedName", finding.Address.ToString());
        json.WriteString("kind", "resource");
        json.WriteEndObject();
        json.WriteEndArray();
        json.WriteEndObject();
        json.WriteEndArray();

        // The same drift is the same result the next time, however the lines of cluster.yaml move.
        json.WriteStartObject("partialFingerprints");
        json.WriteString(
            "kbrDrift/v1",
            Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{report.Cluster}\n{finding.Address}\n{attribute}")))
        );
        json.WriteEndObject();
        json.WriteStartArray("suppressions");
        if (ignored is not null)
        {
            json.WriteStartObject();
            json.WriteString("kind", "external");
            json.WriteString("justification", ignored);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void WriteText(Utf8JsonWriter json, string name, string text)
    {
        json.WriteStartObject(name);
        json.WriteString("text", text);
        json.WriteEndObject();
    }

    private static string UriOf(string file) =>
        Path.IsPathRooted(file)
            ? "file://" + string.Join('/', file.Split('/').Select(Uri.EscapeDataString))
            : string.Join('/', file.Replace('\\', '/').Split('/').Where(part => part != ".").Select(Uri.EscapeDataString));
}
