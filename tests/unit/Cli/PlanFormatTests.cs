using System.Text;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using KeyBuzz.Reconciler.Cli.Views;

namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary>A plan as Markdown and as a page, and the graph as SVG, as a user makes them.</summary>
[TestFixture]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed partial class PlanFormatTests : LocalCluster
{
    private const string Hostile = "</pre><script>alert(1)</script> \"'><img src=x onerror=alert(2)> [a](http://b) ``` @someone \u202E";

    private static string Sample => File.ReadAllText(Path.Combine(JsonSchemas.Root, "tests/unit/Cli/plan-sample.json"));

    [Test]
    public void A_page_of_a_plan_runs_and_loads_nothing_whatever_a_host_holds()
    {
        Done("apply", "--auto-approve");
        File.AppendAllText(ConfigFile, Hostile + "\n");

        var page = Done("plan", "--format", "html");

        Assert.That(page, Does.Contain("&lt;/pre&gt;&lt;script&gt;alert(1)&lt;/script&gt;").And.Contain("[U+202E]"));
        Assert.That(page, Does.Contain("@media print").And.Contain("drift: changed on the host").And.Contain("~ config_file.app"));
        HtmlRules.Check(page);
    }

    [Test]
    public void Text_of_a_host_ends_no_block_of_Markdown_and_mentions_nobody()
    {
        Done("apply", "--auto-approve");
        File.AppendAllText(ConfigFile, "``````\n" + Hostile + "\n");

        var lines = Done("plan", "--format", "markdown").Split('\n');

        Assert.That(lines[0], Is.EqualTo($"## `{Name}`: 1 to update"));
        Assert.That(lines, Has.One.EqualTo("| `~` | `config_file.app@db-1` | drift: changed on the host |"));
        var begin = lines.Index().Single(line => line.Item.EndsWith("`diff", StringComparison.Ordinal)).Index;
        var fence = lines[begin][..^"diff".Length];
        Assert.That(fence, Has.Length.GreaterThan(6));
        var end = Array.IndexOf(lines, fence, begin + 1);
        Assert.That(lines[begin..end], Has.Some.Contains("-``````").And.Some.Contains("@someone"));
        Assert.That(lines[..begin].Concat(lines[end..]), Has.None.Contains("script").And.None.Contains("@someone"));
        Assert.That(lines, Has.One.EqualTo("<details><summary><code>db-1</code>: 1 change</summary>"));
    }

    [Test]
    public void A_comment_is_bounded_and_says_what_it_leaves_out()
    {
        var more = new StringBuilder();
        foreach (var i in Enumerable.Range(0, 800))
        {
            more.Append($"  - {{ type: directory, name: many-{i}, host: db-1, path: FOLDER/many-{i} }}\n");
        }

        Write("long.txt", string.Concat(Enumerable.Range(0, 5000).Select(i => $"line é {i}\n")));
        WriteCluster(more: more + "  - { type: config_file, name: long, host: db-1, path: FOLDER/long, content_file: long.txt }");

        var comment = Done("plan", "--format", "markdown");

        Assert.That(comment, Has.Length.LessThan(65_536));
        Assert.That(comment, Does.StartWith($"## `{Name}`: 803 to create\n").And.Contain("more parts do not fit here."));
        Assert.That(Regex.Count(comment, "<details>"), Is.EqualTo(Regex.Count(comment, "</details>")));
    }

    [Test]
    public void A_saved_plan_is_shown_in_the_same_formats()
    {
        foreach (var format in new[] { "markdown", "html" })
        {
            var planned = Done("plan", "--out", "f.plan", "--format", format);
            Assert.That(WithoutTime(Done("show", "f.plan", "--format", format)), Is.EqualTo(WithoutTime(planned)));
        }

        Assert.That(Done("show", "f.plan", "--format", "json"), Is.EqualTo(Done("show", "f.plan", "--json")));
        Assert.That(Done("show", "f.plan", "--format", "text"), Is.EqualTo(Done("show", "f.plan")));
        Assert.That(
            Kbr("plan", "--json", "--format", "html").Output,
            Does.Contain("--json and --format html both go to the standard output")
        );
    }

    [Test]
    public void A_plan_that_fails_is_a_document_of_the_failure()
    {
        Write("cluster.yaml", "cluster: <b>\n");
        foreach (var format in new[] { "markdown", "html" })
        {
            var (exit, output, error) = Kbr("plan", "--format", format);
            Assert.That(exit, Is.EqualTo(1));
            Assert.That(output, Does.Contain("The plan has errors").And.Contain("cluster.yaml:1:"));
            Assert.That(output.Contains("<b>", StringComparison.Ordinal), Is.EqualTo(format == "markdown"), "within a fence");
            Assert.That(error, Does.Contain("Error: "));
        }
    }

    [Test]
    public void Roll_outs_groups_costs_and_errors_are_in_both_documents()
    {
        Assert.That(JsonSchemas.Problems(Sample), Is.Empty);
        var plan = PlanReport.Read(Sample, "planned by a test");
        string[] said =
        [
            "restart db-slave-02",
            "switch over from db-master-01 to db-slave-02",
            "about 3 s without writes",
            "at most one member is disrupted at a time",
            "interrupts the service",
            "haproxy-02",
            "cannot be reached",
            "max_connections",
            "1 to create, 4 to update, 1 to replace, 1 to delete",
        ];
        var page = PlanHtml.Render(plan);
        var comment = PlanMarkdown.Render(plan);
        Assert.Multiple(() =>
        {
            foreach (var words in said)
            {
                Assert.That(page, Does.Contain(words));
                Assert.That(comment, Does.Contain(words));
            }
        });
    }

    [Test]
    public void The_graph_as_SVG_is_well_formed_the_same_each_time_and_has_a_legend()
    {
        WriteCluster(more: "  - { type: directory, name: inner, host: db-1, path: FOLDER/spare/inner, after: config_file.app }");
        var svg = Done("graph", "--format", "svg");
        Assert.That(Done("graph", "--format", "svg"), Is.EqualTo(svg));
        var texts = XDocument.Parse(svg).Descendants().Where(node => node.Name.LocalName == "text").Select(node => node.Value).ToList();
        Assert.That(
            texts,
            Is.EqualTo(
                new[]
                {
                    "db-1",
                    "config_file.app",
                    "directory.spare",
                    "directory.inner",
                    "resource",
                    "requires",
                    "comes after, without requiring it",
                }
            )
        );
        Assert.That(Regex.Count(svg, "marker-end"), Is.EqualTo(4), "two arrows, and two in the legend");
        var hostile = new GraphPicture(Hostile, [new PictureNode(Hostile, Hostile, Hostile, PictureLook.Group)], []);
        Assert.That(XDocument.Parse(GraphSvg.Render(hostile)).ToString(), Does.Not.Contain("<script").And.Not.Contain("<img"));
        Assert.That(Kbr("graph", "--json", "--format", "svg").Output, Does.Contain("--json and --format svg both go"));
        Assert.That(Done("graph", "--format", "json"), Is.EqualTo(Done("graph", "--json")));
    }

    [Test]
    public void Everything_that_comes_before_stands_at_a_higher_level()
    {
        var picture = GraphPicture.Of(PlanReport.Read(Sample, ""));
        var levels = picture.Levels();
        var edges = picture.Edges.Where(edge => levels.ContainsKey(edge.To)).ToList();
        Assert.That(edges, Has.Count.GreaterThan(4));
        Assert.That(edges.Where(edge => levels[edge.From] <= levels[edge.To]), Is.Empty);
    }

    private static string WithoutTime(string document) => Time().Replace(document, "");

    [GeneratedRegex(@"planned at \S+ \S+ UTC")]
    private static partial Regex Time();
}
