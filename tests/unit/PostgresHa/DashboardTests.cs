using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.PostgresHa.Monitoring;
using NJsonSchema;

namespace KeyBuzz.Reconciler.Tests.PostgresHa;

/// <summary>The dashboards of Grafana. The lab asks each of their queries (AlertTests).</summary>
internal sealed partial class DashboardTests : BlueprintFixture
{
    private static readonly string[] s_everything = ["PgBouncer", "HAProxy", "Sessions", "Backups"];

    private static string Whole =>
        With(
                $"monitoring: {{ image: \"registry.example.com/kbr/monitoring:2{Digest}\", exporters: [postgres, pgbouncer, node] }}",
                "backup: { repositories: [{ s3: { endpoint: \"s3.example.com:443\", bucket: kbr } }] }"
            )
            .Replace("haproxy: { ", "haproxy: { metrics: true, ", StringComparison.Ordinal);

    [SetUp]
    public void Passwords()
    {
        Environment["MONITORING_PASS"] = "canary-monitor";
        Environment["BACKUP_S3_KEY"] = "canary-key";
        Environment["BACKUP_S3_SECRET"] = "canary-secret";
        Environment["BACKUP_CIPHER_KEY"] = "canary-backup-canary-backup-canary-backup";
    }

    [Test]
    public async Task Each_file_is_a_dashboard_by_the_schema_that_Grafana_publishes()
    {
        var schema = await JsonSchema.FromFileAsync(Path.Combine(Cli.JsonSchemas.Root, "tests/unit/PostgresHa/grafana-dashboard.json"));
        Assert.That(schema.Validate("""{ "title": "x", "panels": [ { "type": "stat" } ] }"""), Is.Not.Empty, "it refuses something");
        foreach (var (file, text) in Rendered(Whole))
        {
            Assert.That(schema.Validate(text).Select(problem => $"{problem}"), Is.Empty, file);
            Assert.That(text, Does.EndWith("}\n").And.Not.Contain("canary"));
        }
    }

    [Test]
    public void The_Prometheus_is_chosen_above_the_dashboard_and_each_query_is_of_this_cluster_alone()
    {
        foreach (var (file, text) in Rendered(Whole))
        {
            using var document = JsonDocument.Parse(text);
            var variable = document.RootElement.GetProperty("templating").GetProperty("list")[0];
            Assert.That($"{variable.GetProperty("type")} {variable.GetProperty("name")}", Is.EqualTo("datasource datasource"), file);
            foreach (var panel in Panels(document).Where(panel => $"{panel.GetProperty("type")}" != "row"))
            {
                var names = panel.GetProperty("targets").EnumerateArray().Select(target => $"{target.GetProperty("refId")}").ToList();
                Assert.That(names, Is.Unique, $"{panel.GetProperty("title")}");
                foreach (var target in panel.GetProperty("targets").EnumerateArray())
                {
                    var expression = $"{target.GetProperty("expr")}";
                    // What selects series of this cluster, of each metric.
                    Assert.That(Selector().Count(expression), Is.EqualTo(expression.Count(c => c == '{')).And.GreaterThan(0), expression);
                    Assert.That(Short().IsMatch(expression), Is.False, expression);
                }
            }
        }
    }

    [Test]
    public void No_panel_covers_another_and_each_has_an_identifier_and_a_title_of_its_own_in_its_row()
    {
        foreach (var (file, text) in Rendered(Whole))
        {
            using var document = JsonDocument.Parse(text);
            var panels = Panels(document).ToList();
            Assert.That(panels.Select(panel => panel.GetProperty("id").GetInt32()), Is.Unique, file);
            var taken = new Dictionary<(int, int), string>();
            var bottom = 0;
            foreach (var panel in panels)
            {
                var at = panel.GetProperty("gridPos");
                var (x, y, w, h) = (Number("x"), Number("y"), Number("w"), Number("h"));
                Assert.That(x + w, Is.LessThanOrEqualTo(24), $"{panel.GetProperty("title")}");
                bottom = Math.Max(bottom, y + h);
                for (var column = x; column < x + w; column++)
                {
                    for (var row = y; row < y + h; row++)
                    {
                        Assert.That(taken.TryAdd((column, row), $"{panel.GetProperty("title")}"), Is.True, $"{panel.GetProperty("title")}");
                    }
                }

                int Number(string name) => at.GetProperty(name).GetInt32();
            }

            Assert.That(
                Enumerable.Range(0, bottom).Where(row => !taken.ContainsKey((0, row))),
                Is.Empty,
                "no row of the grid begins with a hole"
            );
        }
    }

    [Test]
    public void What_does_not_run_has_no_panel_and_another_import_replaces_the_first()
    {
        var plain = Dashboards.Of(Topology(Minimal));
        Assert.That(plain.Select(one => one.Kind), Is.EqualTo(new[] { "cluster" }));
        Assert.That(plain[0].Rows.Select(row => row.Title).Intersect(s_everything), Is.Empty);
        Assert.That(
            plain[0].Rows.SelectMany(row => row.Panels).SelectMany(panel => panel.Queries),
            Has.None.Matches<(string, string)>(query => query.Item1.Contains("job=", StringComparison.Ordinal))
        );
        var whole = Dashboards.Of(Topology(Whole));
        Assert.That(whole.Select(one => one.Kind), Is.EqualTo(new[] { "cluster", "hosts" }));
        Assert.That(whole[0].Rows.Select(row => row.Title), Is.SupersetOf(s_everything));
        Assert.That(Uid(Minimal), Is.EqualTo(Uid(Whole)).And.Not.EqualTo(Uid(Minimal.Replace("cluster: keybuzz-pg", "cluster: other"))));
    }

    [Test]
    public void The_bounds_are_those_of_the_file_as_in_the_alerts()
    {
        var yaml = Whole
            .Replace("monitoring: { ", "monitoring: { max_transaction: 90s, ", StringComparison.Ordinal)
            .Replace("  version: 16\n", "  version: 16\n  health: { max_volume_used: 70 }\n", StringComparison.Ordinal);
        var panels = Dashboards.Of(Topology(yaml))[0].Rows.SelectMany(row => row.Panels).ToDictionary(panel => panel.Title);
        Assert.That(panels["Oldest transaction"].Bound, Is.EqualTo(90));
        Assert.That(panels["Used"].Bound, Is.EqualTo(0.7m));
    }

    // A good number and a bad one of each panel that has a color or a line by its numbers, in a cluster of three members.
    private static readonly Dictionary<string, (decimal Good, decimal Bad)> s_numbers = new()
    {
        ["Writes"] = (1, 0),
        ["Primary"] = (1, 2),
        ["Members that serve"] = (3, 2),
        ["Patroni is paused"] = (0, 1),
        ["Last kbr status"] = (60, 301),
        ["Alerts"] = (0, 1),
        ["Checks of kbr status"] = (1, 0),
        ["Lag of replay"] = (0, 1L << 40),
        ["Replicas that stream"] = (2, 1),
        ["Members of the consensus store"] = (3, 2),
        ["Used"] = (0.5m, 0.86m),
        ["Days until it is full, by the trend of six hours"] = (90, 2.9m),
        ["Inodes used"] = (0.5m, 0.86m),
        ["Oldest transaction"] = (10, 3601),
        ["Idle in a transaction"] = (10, 301),
        ["Damaged pages"] = (0, 1),
        ["Archiving fails"] = (0, 1),
        ["Longest wait"] = (0, 6),
        ["Servers that are up"] = (1, 0),
        ["Settings"] = (0, 1),
        ["Changed by hand"] = (0, 1),
        ["Memory available"] = (0.5m, 0.04m),
    };

    [Test]
    public void A_bad_number_is_red_and_a_good_one_green_in_every_panel_that_judges()
    {
        var judging = new HashSet<string>();
        foreach (var (_, text) in Rendered(Whole))
        {
            using var document = JsonDocument.Parse(text);
            foreach (var panel in Panels(document).Where(panel => $"{panel.GetProperty("type")}" != "row"))
            {
                var title = $"{panel.GetProperty("title")}";
                var defaults = panel.GetProperty("fieldConfig").GetProperty("defaults");
                var isDrawn =
                    defaults.GetProperty("custom").TryGetProperty("thresholdsStyle", out var style)
                    && $"{style.GetProperty("mode")}" != "off";
                // The role of a member is neither good nor bad.
                if (title != "Role" && ($"{panel.GetProperty("type")}" != "timeseries" || isDrawn))
                {
                    judging.Add(title);
                    var (good, bad) = s_numbers.GetValueOrDefault(title);
                    Assert.That((ColorOf(defaults, good), ColorOf(defaults, bad)), Is.EqualTo(("green", "red")), title);
                }
            }
        }

        Assert.That(judging, Is.EquivalentTo(s_numbers.Keys));
    }

    // As Grafana chooses it: by a mapping of the value, or the last step that is not above it.
    private static string ColorOf(JsonElement defaults, decimal value)
    {
        foreach (var mapping in defaults.GetProperty("mappings").EnumerateArray())
        {
            if (mapping.GetProperty("options").TryGetProperty(value.ToString(CultureInfo.InvariantCulture), out var option))
            {
                return $"{option.GetProperty("color")}";
            }
        }

        var reached = defaults
            .GetProperty("thresholds")
            .GetProperty("steps")
            .EnumerateArray()
            .Last(step => step.GetProperty("value") is not { ValueKind: JsonValueKind.Number } from || from.GetDecimal() <= value);
        return $"{reached.GetProperty("color")}";
    }

    private string Uid(string yaml)
    {
        using var document = JsonDocument.Parse(Rendered(yaml)[0].Text);
        return $"{document.RootElement.GetProperty("uid")}";
    }

    private List<(string File, string Text)> Rendered(string yaml)
    {
        var topology = Topology(yaml);
        return [.. Dashboards.Of(topology).Select(one => (DashboardJson.FileName(one), DashboardJson.Render(topology, one)))];
    }

    private static JsonElement.ArrayEnumerator Panels(JsonDocument document) => document.RootElement.GetProperty("panels").EnumerateArray();

    [GeneratedRegex("\\{(scope|cluster)=\"keybuzz-pg\"|\\{job=\"[a-z]+-keybuzz-pg\"")]
    private static partial Regex Selector();

    [GeneratedRegex(@"\{[A-Z]")]
    private static partial Regex Short();
}
