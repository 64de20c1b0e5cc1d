using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace KeyBuzz.Reconciler.PostgresHa.Monitoring;

/// <summary>A dashboard as Grafana imports it, by its dashboard JSON model. Pure.</summary>
public static class DashboardJson
{
    // The version that Grafana publishes a schema of; a later Grafana brings it up to its own.
    private const int SchemaVersion = 36;
    private const int Columns = 24;
    private const string Source = "datasource";

    /// <summary>The name of its file.</summary>
    public static string FileName(Dashboard dashboard)
    {
        ArgumentNullException.ThrowIfNull(dashboard);
        return $"dashboard-{dashboard.Kind}.json";
    }

    /// <summary>The file. Its identifier stays the same, so that another import replaces the first.</summary>
    /// <param name="topology">The cluster.</param>
    /// <param name="dashboard">The dashboard.</param>
    public static string Render(PostgresTopology topology, Dashboard dashboard)
    {
        ArgumentNullException.ThrowIfNull(topology);
        ArgumentNullException.ThrowIfNull(dashboard);
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            json.WriteString("uid", Identifier($"{topology.Cluster}/{topology.Scope}/{dashboard.Kind}"));
            json.WriteString("title", dashboard.Title);
            json.WriteString("description", "Written by kbr monitoring render.");
            Strings(json, "tags", "kbr", topology.Scope);
            json.WriteNumber("schemaVersion", SchemaVersion);
            json.WriteBoolean("editable", true);
            json.WriteNumber("graphTooltip", 1);
            json.WriteString("refresh", "30s");
            json.WriteStartObject("time");
            json.WriteString("from", "now-6h");
            json.WriteString("to", "now");
            json.WriteEndObject();
            Variable(json);
            Links(json, topology.Scope);
            json.WriteStartArray("panels");
            var (id, y) = (0, 0);
            foreach (var row in dashboard.Rows)
            {
                json.WriteStartObject();
                json.WriteNumber("id", ++id);
                json.WriteString("type", "row");
                json.WriteString("title", row.Title);
                json.WriteBoolean("collapsed", false);
                Position(json, 0, y++, Columns, 1);
                json.WriteStartArray("panels");
                json.WriteEndArray();
                json.WriteEndObject();
                var (x, height) = (0, 0);
                foreach (var panel in row.Panels)
                {
                    var (w, h) = Size(panel.Look);
                    if (x + w > Columns)
                    {
                        (x, y, height) = (0, y + height, 0);
                    }

                    Panel(json, panel, ++id, x, y);
                    (x, height) = (x + w, Math.Max(height, h));
                }

                y += height;
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(stream.ToArray()) + "\n";
    }

    private static (int Width, int Height) Size(DashboardLook look) =>
        look switch
        {
            DashboardLook.Stat or DashboardLook.Name => (4, 4),
            DashboardLook.Graph => (8, 7),
            _ => (12, 9),
        };

    private static string Identifier(string name) =>
        "kbr-" + Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(name)).AsSpan(0, 8));

    // The Prometheus is chosen above the dashboard.
    private static void Variable(Utf8JsonWriter json)
    {
        json.WriteStartObject("templating");
        json.WriteStartArray("list");
        json.WriteStartObject();
        json.WriteString("name", Source);
        json.WriteString("label", "Prometheus");
        json.WriteString("type", "datasource");
        json.WriteString("query", "prometheus");
        json.WriteNumber("hide", 0);
        json.WriteEndObject();
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void Links(Utf8JsonWriter json, string scope)
    {
        json.WriteStartArray("links");
        json.WriteStartObject();
        json.WriteString("title", "Dashboards of kbr");
        json.WriteString("type", "dashboards");
        json.WriteString("icon", "");
        json.WriteString("tooltip", "");
        json.WriteString("url", "");
        Strings(json, "tags", "kbr", scope);
        json.WriteBoolean("asDropdown", false);
        json.WriteBoolean("includeVars", true);
        json.WriteBoolean("keepTime", true);
        json.WriteBoolean("targetBlank", false);
        json.WriteEndObject();
        json.WriteEndArray();
    }

    private static void Panel(Utf8JsonWriter json, DashboardPanel panel, int id, int x, int y)
    {
        var (w, h) = Size(panel.Look);
        json.WriteStartObject();
        json.WriteNumber("id", id);
        json.WriteString(
            "type",
            panel.Look switch
            {
                DashboardLook.Graph => "timeseries",
                DashboardLook.States => "state-timeline",
                _ => "stat",
            }
        );
        json.WriteString("title", panel.Title);
        Position(json, x, y, w, h);
        DataSource(json);
        json.WriteStartArray("targets");
        var reference = 'A';
        foreach (var (expression, legend) in panel.Queries)
        {
            json.WriteStartObject();
            json.WriteString("refId", (reference++).ToString());
            DataSource(json);
            json.WriteString("expr", expression);
            json.WriteString("legendFormat", legend);
            json.WriteBoolean("range", true);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        Fields(json, panel);
        Options(json, panel.Look);
        json.WriteEndObject();
    }

    private static void Fields(Utf8JsonWriter json, DashboardPanel panel)
    {
        json.WriteStartObject("fieldConfig");
        json.WriteStartObject("defaults");
        json.WriteString("unit", panel.Unit);
        json.WriteStartObject("color");
        json.WriteString("mode", panel.Look == DashboardLook.Graph ? "palette-classic" : "thresholds");
        json.WriteEndObject();
        if (panel.Look == DashboardLook.Graph)
        {
            json.WriteNumber("min", 0);
        }

        json.WriteStartArray("mappings");
        if (!panel.Words.IsEmpty)
        {
            json.WriteStartObject();
            json.WriteString("type", "value");
            json.WriteStartObject("options");
            foreach (var (value, text, color) in panel.Words)
            {
                json.WriteStartObject(value);
                json.WriteString("text", text);
                json.WriteString("color", color);
                json.WriteEndObject();
            }

            json.WriteEndObject();
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteStartObject("thresholds");
        json.WriteString("mode", "absolute");
        json.WriteStartArray("steps");
        Step(json, panel.Floor is null ? "green" : "red", null);
        if (panel.Floor is { } floor)
        {
            Step(json, "green", floor);
        }

        if (panel.Bound is { } bound)
        {
            Step(json, "red", bound);
        }

        json.WriteEndArray();
        json.WriteEndObject();
        json.WriteStartObject("custom");
        if (panel.Look == DashboardLook.Graph)
        {
            json.WriteNumber("fillOpacity", 5);
            json.WriteString("showPoints", "never");
            json.WriteStartObject("thresholdsStyle");
            json.WriteString("mode", panel.Bound is null && panel.Floor is null ? "off" : "dashed");
            json.WriteEndObject();
        }

        json.WriteEndObject();
        json.WriteEndObject();
        json.WriteStartArray("overrides");
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void Step(Utf8JsonWriter json, string color, decimal? from)
    {
        json.WriteStartObject();
        json.WriteString("color", color);
        if (from is { } value)
        {
            json.WriteNumber("value", value);
        }
        else
        {
            json.WriteNull("value");
        }

        json.WriteEndObject();
    }

    private static void Options(Utf8JsonWriter json, DashboardLook look)
    {
        json.WriteStartObject("options");
        if (look is DashboardLook.Stat or DashboardLook.Name)
        {
            json.WriteStartObject("reduceOptions");
            Strings(json, "calcs", "lastNotNull");
            json.WriteEndObject();
            json.WriteString("textMode", look == DashboardLook.Name ? "name" : "value");
            json.WriteString("graphMode", "none");
            json.WriteString("colorMode", "background");
        }
        else
        {
            json.WriteStartObject("legend");
            json.WriteBoolean("showLegend", look == DashboardLook.Graph);
            json.WriteString("displayMode", "list");
            json.WriteString("placement", "bottom");
            json.WriteEndObject();
            json.WriteStartObject("tooltip");
            json.WriteString("mode", "multi");
            json.WriteEndObject();
        }

        json.WriteEndObject();
    }

    private static void DataSource(Utf8JsonWriter json)
    {
        json.WriteStartObject(Source);
        json.WriteString("type", "prometheus");
        json.WriteString("uid", $"${{{Source}}}");
        json.WriteEndObject();
    }

    private static void Position(Utf8JsonWriter json, int x, int y, int w, int h)
    {
        json.WriteStartObject("gridPos");
        json.WriteNumber("x", x);
        json.WriteNumber("y", y);
        json.WriteNumber("w", w);
        json.WriteNumber("h", h);
        json.WriteEndObject();
    }

    private static void Strings(Utf8JsonWriter json, string name, params ReadOnlySpan<string> values)
    {
        json.WriteStartArray(name);
        foreach (var value in values)
        {
            json.WriteStringValue(value);
        }

        json.WriteEndArray();
    }
}
