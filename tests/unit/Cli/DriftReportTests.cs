using System.Collections.Immutable;
using System.Text.Json;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary>What kbr drift found, in every form it is written in.</summary>
[TestFixture]
public sealed partial class DriftReportTests
{
    private static readonly DateTimeOffset s_at = new(2026, 11, 23, 12, 0, 0, TimeSpan.Zero);
    private static readonly IgnoreRule s_rule = new(
        new AddressPattern("*"),
        null,
        "ticket 7 | <b>",
        new SourceLocation("cluster.yaml", 3, 1, "")
    );
    private static readonly Address s_file = new("config_file", "app", "db-1");
    private static readonly Address s_gone = new("directory", "spare", "db-1");
    private static readonly Address s_role = new("role", "app", "pg");
    private static readonly Address s_fine = new("image", "app", "db-1");
    private static readonly Address s_known = new("container", "app", "db-2");

    private static readonly DriftReport s_report = Report(
        [
            new DriftedResource(
                s_file,
                [
                    new DriftedAttribute(
                        "content",
                        AttributeValue.OfText("one\ntwo\n"),
                        AttributeValue.OfText("one\n```\u0001 & <two>\n"),
                        null
                    ),
                    new DriftedAttribute("mode", new AttributeValue("0644"), new AttributeValue("0|600"), null),
                    new DriftedAttribute("owner", new AttributeValue("root"), null, s_rule),
                ],
                null
            )
            {
                Location = new SourceLocation("a b/cluster.yaml", 12, 3, ""),
            },
            new DriftedResource(s_gone, [], null),
            new DriftedResource(
                s_known,
                [new DriftedAttribute("restart", new AttributeValue("no"), new AttributeValue("always"), s_rule)],
                null
            ),
        ],
        [s_file, s_gone, s_fine, s_known],
        [new Uncompared(s_role, null, "no primary", IsError: false), new Uncompared(s_fine, "password", "no key", IsError: false)]
    );

    private static readonly DriftReport s_none = Report([], [s_fine], []);

    private static readonly DriftReport s_error = Report(
        [],
        [s_fine],
        [],
        Diagnostic.Error("db-2: no route", host: "db-2"),
        Diagnostic.Warning("no resource matches 'x'")
    );

    [Test]
    public void As_text_it_looks_like_a_plan_and_ends_with_the_sum()
    {
        Assert.That(
            DriftView.Text(s_report).Split('\n'),
            Is.EqualTo(
                new[]
                {
                    "db-1",
                    "  ~ config_file.app@db-1  changed on the host",
                    "      content:",
                    "        @@ -1,2 +1,2 @@",
                    "         one",
                    "        -```\uFFFD & <two>",
                    "        +two",
                    "      mode: 0|600 → 0644",
                    "      owner: nothing → root  (ignored: ticket 7 | <b>)",
                    "  - directory.spare@db-1  deleted on the host",
                    "",
                    "db-2",
                    "  ~ container.app@db-2  changed on the host  (ignored: ticket 7 | <b>)",
                    "      restart: always → no",
                    "",
                    "  ? not compared: role.app@pg: no primary",
                    "  ? not compared: password of image.app@db-1: no key",
                    "Drift: 1 changed, 1 deleted, 1 ignored; 4 compared, 2 could not be compared in full",
                    "",
                }
            )
        );
        Assert.That(DriftView.Text(s_none), Is.EqualTo("Drift: 0 changed, 0 deleted; 1 compared\n"));
    }

    [Test]
    public void The_exit_code_says_drift_only_when_all_was_compared_and_none_only_when_nothing_counts() =>
        Assert.That(
            new[]
            {
                s_report,
                s_none,
                s_error,
                Report([new DriftedResource(s_gone, [], s_rule)], [s_gone], []),
                DriftReport.Failed("cluster.yaml", [Diagnostic.Error("no")], s_at),
            }.Select(report => report.ExitCode),
            Is.EqualTo(new[] { 2, 0, 1, 0, 1 })
        );

    [Test]
    public void A_secret_is_masked_before_any_format_escapes_it()
    {
        var report = DriftReport.Of(
            new Drift(
                [s_file],
                [
                    new DriftedResource(
                        s_file,
                        [new DriftedAttribute("owner", new AttributeValue("a<b>&\"c"), new AttributeValue("x a<b>&\"c"), null)],
                        null
                    ),
                ],
                [],
                [],
                []
            ),
            "lab",
            "cluster.yaml",
            s_at,
            text => text.Replace("a<b>&\"c", SecretText.Mask, StringComparison.Ordinal)
        );
        foreach (
            var render in (Func<DriftReport, string>[])
                [DriftView.Text, DriftView.Document, DriftJUnit.Render, DriftSarif.Render, DriftMarkdown.Render]
        )
        {
            Assert.That(render(report), Does.Contain("(secret)").And.Not.Match(@"a(<|&lt;|\\u003C|\\<)b"));
        }
    }

    [Test]
    public void As_json_it_is_a_versioned_document()
    {
        using var document = JsonDocument.Parse(DriftView.Document(s_report));
        var root = document.RootElement;
        Assert.Multiple(() =>
        {
            Assert.That(
                (
                    root.GetProperty("format_version").GetInt32(),
                    root.GetProperty("kind").GetString(),
                    root.GetProperty("verdict").GetString()
                ),
                Is.EqualTo((1, "drift", "drift"))
            );
            Assert.That(root.GetProperty("summary").GetRawText(), Is.EqualTo("""{"compared":4,"changed":1,"deleted":1,"ignored":1}"""));
            Assert.That(
                root.GetProperty("resources")
                    .EnumerateArray()
                    .Select(one => $"{one.GetProperty("address")} {one.GetProperty("change")} {one.GetProperty("ignored")}"),
                Is.EqualTo(new[] { $"{s_file} changed ", $"{s_gone} deleted ", $"{s_known} changed ticket 7 | <b>" })
            );
            var attributes = root.GetProperty("resources")[0].GetProperty("attributes");
            Assert.That(attributes[0].GetProperty("diff")[3].GetString(), Is.EqualTo("+two"));
            Assert.That(
                (attributes[1].GetProperty("applied").GetString(), attributes[1].GetProperty("actual").GetString()),
                Is.EqualTo(("0644", "0|600"))
            );
            Assert.That(root.GetProperty("not_compared").GetArrayLength(), Is.EqualTo(2));
        });
    }

    [Test]
    public void As_junit_drift_fails_ignored_drift_is_skipped_and_unknown_state_is_an_error()
    {
        var suites = XDocument.Parse(DriftJUnit.Render(s_report)).Root!;
        var cases = suites.Descendants("testcase").ToDictionary(one => one.Attribute("name")!.Value);
        Assert.Multiple(() =>
        {
            Assert.That(suites.Name.LocalName, Is.EqualTo("testsuites"));
            Assert.That(
                suites.Elements("testsuite").Select(suite => suite.Attribute("name")!.Value),
                Is.EqualTo(new[] { "db-1", "db-2", "pg" })
            );
            foreach (var element in suites.DescendantsAndSelf().Where(element => element.Name.LocalName is "testsuites" or "testsuite"))
            {
                foreach (
                    var (attribute, name) in new[]
                    {
                        ("tests", "testcase"),
                        ("failures", "failure"),
                        ("errors", "error"),
                        ("skipped", "skipped"),
                    }
                )
                {
                    Assert.That(
                        (int)element.Attribute(attribute)!,
                        Is.EqualTo(element.Descendants(name).Count()),
                        $"{element.Attribute("name")!.Value} {attribute}"
                    );
                }
            }

            Assert.That(cases.Values.Select(one => one.Attribute("classname")?.Value), Has.None.Null);
            Assert.That(
                cases[s_file.ToString()].Element("failure")!.Attribute("message")!.Value,
                Is.EqualTo("changed on the host: content, mode")
            );
            Assert.That(
                cases[s_file.ToString()].Element("failure")!.Value,
                Does.Contain("-```\uFFFD & <two>").And.Contain("owner: nothing → root (ignored: ticket 7 | <b>)")
            );
            Assert.That(cases[s_gone.ToString()].Element("failure")!.Attribute("message")!.Value, Is.EqualTo("deleted on the host"));
            Assert.That(cases[s_known.ToString()].Element("skipped")!.Attribute("message")!.Value, Does.EndWith("ignored: ticket 7 | <b>"));
            Assert.That(cases[s_role.ToString()].Element("skipped"), Is.Not.Null);
            Assert.That(
                cases[s_fine.ToString()].Elements().Select(element => element.Name.LocalName),
                Is.EqualTo(new[] { "system-out" }),
                "it passed, though not all of it was compared"
            );
        });
        var error = XDocument.Parse(DriftJUnit.Render(s_error)).Descendants("testcase").Single(one => one.Element("error") is not null);
        Assert.That(
            (error.Parent!.Attribute("name")!.Value, error.Element("error")!.Attribute("message")!.Value),
            Is.EqualTo(("db-2", "db-2: no route"))
        );
    }

    [Test]
    public void Any_text_is_read_from_the_XML_as_it_was_written() =>
        CsCheck
            .Gen.Select(CsCheck.Gen.String, CsCheck.Gen.String)
            .Slice(
                (one, other) =>
                {
                    var text = new XmlText().Start("a").Attribute("b", one).Start("c").End().Start("d").Text(other).End().End().ToString();
                    var root = XDocument.Parse(text, LoadOptions.PreserveWhitespace).Root!;
                    Assert.That(root.Attribute("b")!.Value, Is.EqualTo(Readable(one)), text);
                    Assert.That(root.Element("d")!.Value, Is.EqualTo(Readable(other)), text);
                },
                count: 2000
            );

    // XML holds no other character: each of these is replaced.
    private static string Readable(string text) =>
        string.Concat(
            text.EnumerateRunes()
                .Select(rune => rune.Value is '\n' or '\r' or '\t' or (>= ' ' and not (0xFFFE or 0xFFFF)) ? rune.ToString() : "\uFFFD")
        );

    [Test]
    public void As_sarif_each_attribute_is_a_result_at_its_line_and_ignored_ones_are_suppressed()
    {
        using var document = JsonDocument.Parse(DriftSarif.Render(s_report));
        var run = document.RootElement.GetProperty("runs")[0];
        var rules = run.GetProperty("tool")
            .GetProperty("driver")
            .GetProperty("rules")
            .EnumerateArray()
            .Select(rule => rule.GetProperty("id").GetString())
            .ToList();
        var results = run.GetProperty("results").EnumerateArray().ToList();
        Assert.Multiple(() =>
        {
            Assert.That(document.RootElement.GetProperty("version").GetString(), Is.EqualTo("2.1.0"));
            Assert.That(document.RootElement.GetProperty("$schema").GetString(), Does.Contain("sarif-2.1.0"));
            Assert.That(run.GetProperty("tool").GetProperty("driver").GetProperty("name").GetString(), Is.EqualTo("kbr"));
            Assert.That(results, Has.Count.EqualTo(5));
            foreach (var result in results)
            {
                Assert.That(rules[result.GetProperty("ruleIndex").GetInt32()], Is.EqualTo(result.GetProperty("ruleId").GetString()));
                Assert.That(result.GetProperty("message").GetProperty("text").GetString(), Is.Not.Empty);
                Assert.That(
                    result
                        .GetProperty("locations")[0]
                        .GetProperty("physicalLocation")
                        .GetProperty("region")
                        .GetProperty("startLine")
                        .GetInt32(),
                    Is.Positive
                );
            }

            var place = results[0].GetProperty("locations")[0].GetProperty("physicalLocation");
            Assert.That(
                (
                    place.GetProperty("artifactLocation").GetProperty("uri").GetString(),
                    place.GetProperty("region").GetProperty("startLine").GetInt32()
                ),
                Is.EqualTo(("a%20b/cluster.yaml", 12))
            );
            Assert.That(
                results.Select(result =>
                    result
                        .GetProperty("suppressions")
                        .EnumerateArray()
                        .Select(one => one.GetProperty("justification").GetString())
                        .SingleOrDefault()
                ),
                Is.EqualTo(new[] { null, null, s_rule.Reason, null, s_rule.Reason })
            );
            Assert.That(
                results
                    .Select(result => result.GetProperty("partialFingerprints").GetProperty("kbrDrift/v1").GetString())
                    .Distinct()
                    .Count(),
                Is.EqualTo(5)
            );
            Assert.That(run.GetProperty("invocations")[0].GetProperty("executionSuccessful").GetBoolean(), Is.True);
        });
        using var failed = JsonDocument.Parse(DriftSarif.Render(s_error));
        var invocation = failed.RootElement.GetProperty("runs")[0].GetProperty("invocations")[0];
        Assert.That(invocation.GetProperty("executionSuccessful").GetBoolean(), Is.False);
        Assert.That(
            invocation
                .GetProperty("toolExecutionNotifications")
                .EnumerateArray()
                .Select(one => $"{one.GetProperty("level")} {one.GetProperty("message").GetProperty("text")}"),
            Is.EqualTo(new[] { "error db-2: no route", "warning no resource matches 'x'" })
        );
    }

    [Test]
    public void As_markdown_nothing_found_on_a_host_breaks_out_of_its_cell_or_fence()
    {
        var text = DriftMarkdown.Render(s_report);
        var rows = text.Split('\n').Where(line => line.StartsWith('|')).ToList();
        Assert.Multiple(() =>
        {
            Assert.That(text, Does.StartWith("## lab: drift\n"));
            Assert.That(rows, Has.Count.EqualTo(2 + 5));
            Assert.That(rows.Select(row => Bar().Count(row)), Has.All.EqualTo(6), "every row has five cells");
            Assert.That(
                text,
                Does.Contain("| `config_file.app@db-1` | changed | `mode` | `0644` | `0\\|600` |")
                    .And.Contain("ignored: ticket 7 \\| \\<b\\>")
            );
            Assert.That(text, Does.Contain("````diff\n@@ -1,2 +1,2 @@\n one\n-```"), "the fence is longer than what stands in it");
            Assert.That(DriftMarkdown.Render(s_none), Does.StartWith("## lab: no drift\n"));
            Assert.That(DriftMarkdown.Render(s_error), Does.StartWith("## lab: incomplete\n").And.Contain("- **Error**: db-2: no route"));
        });
    }

    [Test]
    public void As_metrics_every_line_is_one_that_prometheus_reads()
    {
        foreach (var report in new[] { s_report, s_none, s_error })
        {
            var text = DriftMetrics.Render(report);
            MetricsRules.Check(text);
        }

        Assert.That(
            DriftMetrics.Render(s_report).Split('\n'),
            Does.Contain("kbr_drift_exit_code{cluster=\"lab\"} 2")
                .And.Contain("kbr_drift_last_run_timestamp_seconds{cluster=\"lab\"} 1795435200")
                .And.Contain("kbr_drift_resources{cluster=\"lab\",state=\"unchanged\"} 1")
                .And.Contain("kbr_drift_resources{cluster=\"lab\",state=\"ignored\"} 1")
                .And.Contain(
                    "kbr_drift_resource{cluster=\"lab\",host=\"db-1\",address=\"directory.spare@db-1\",change=\"deleted\",ignored=\"false\"} "
                        + "1"
                )
        );
    }

    private static DriftReport Report(
        ImmutableArray<DriftedResource> found,
        ImmutableArray<Address> compared,
        ImmutableArray<Uncompared> uncompared,
        params Diagnostic[] diagnostics
    ) => DriftReport.Of(new Drift(compared, found, uncompared, [], [.. diagnostics]), "lab", "cluster.yaml", s_at, text => text);

    // A bar that ends a cell: GitHub takes one with a backslash before it for a character.
    [GeneratedRegex(@"(?<!\\)\|")]
    private static partial Regex Bar();
}
