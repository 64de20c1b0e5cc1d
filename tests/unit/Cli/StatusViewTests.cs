using KeyBuzz.Reconciler.Cli.Blueprints;
using KeyBuzz.Reconciler.Cli.Blueprints.Postgres;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.PostgresHa.Status;

namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary>The status as an operator reads it.</summary>
[TestFixture]
public sealed class StatusViewTests
{
    [Test]
    public void The_conclusion_is_first_then_the_failed_checks_and_the_next_command_is_last()
    {
        var shown = Shown(
            new StatusConclusion(StatusVerdict.Ok, "", 2, 3, ["db-slave-01"], [new("db-slave-01 unreachable")]),
            new StatusItem("hosts", StatusVerdict.Unknown, "db-slave-01: refused"),
            new StatusItem("quorum", StatusVerdict.NotOk, "2 of 3"),
            new StatusItem("lag", StatusVerdict.Ok, "0")
        );

        Assert.That(
            shown,
            Is.EqualTo(
                new[]
                {
                    "pg is not healthy. Writes: OK. Redundancy: 2 of 3. Cause: db-slave-01 unreachable.",
                    "",
                    "NOT OK   quorum  2 of 3",
                    "unknown  hosts   db-slave-01: refused",
                    "ok       lag     0",
                    "",
                    "Next: bring db-slave-01 back, then: kbr plan -c 'my file'",
                }
            )
        );
    }

    [Test]
    public void On_a_screen_a_long_line_goes_on_below_its_last_column()
    {
        var screen = new Screen();
        var terminal = new Terminal(screen, TextWriter.Null, color: false, screen: () => (60, 20));

        terminal.HangingLine("ok       leader  PostgreSQL primary db-slave-01; db-master-01 replica, db-slave-02 replica", 17);
        terminal.HangingLine("ok       a check with quite a long name indeed  what it measured is long, too", 47);
        terminal.HangingLine("short", 17);

        Assert.That(
            screen.Rows,
            Is.EqualTo(
                new[]
                {
                    "ok       leader  PostgreSQL primary db-slave-01;",
                    "                 db-master-01 replica, db-slave-02 replica",
                    "ok       a check with quite a long name indeed  what it",
                    "         measured is long, too",
                    "short",
                }
            )
        );
    }

    [Test]
    public void A_cluster_without_writes_names_the_endpoint_that_refuses_them()
    {
        var shown = Shown(
            new StatusConclusion(
                StatusVerdict.NotOk,
                "load balancer 10.0.0.10:5432: connection refused",
                3,
                3,
                [],
                [new("sql through load balancer: refused", "sql through load balancer")]
            ),
            new StatusItem("sql through load balancer", StatusVerdict.NotOk, "refused")
        );
        Assert.That(
            shown[0],
            Is.EqualTo(
                "pg is not healthy. Writes: NOT OK (load balancer 10.0.0.10:5432: connection refused). Redundancy: 3 "
                    + "of 3. Cause: sql through load balancer: refused."
            )
        );
        Assert.That(shown[^1], Is.EqualTo("Next: kbr plan -c 'my file'"));
    }

    [Test]
    public void A_healthy_cluster_has_no_next_command()
    {
        var shown = Shown(new StatusConclusion(StatusVerdict.Ok, "", 3, 3, [], []), new StatusItem("lag", StatusVerdict.Ok, "0"));
        Assert.That(shown, Is.EqualTo(new[] { "pg is healthy. Writes: OK. Redundancy: 3 of 3.", "", "ok       lag  0" }));
    }

    [Test]
    public void What_is_unknown_only_because_of_a_host_has_no_line_of_its_own_and_writes_say_where()
    {
        var shown = Shown(
            new StatusConclusion(StatusVerdict.Ok, "", 2, 3, ["db-3"], [new("db-3 unreachable")]) { WritesThrough = "10.0.0.10:5432" },
            new StatusItem("hosts", StatusVerdict.Unknown, "db-3: refused"),
            new StatusItem("units", StatusVerdict.Unknown, "patroni 2/3; not read: db-3") { UnknownBy = "hosts" },
            new StatusItem("extension vector", StatusVerdict.Unknown, "0.8.0; not read: db-3") { UnknownBy = "hosts" },
            new StatusItem("parameters", StatusVerdict.Unknown, "no member tells"),
            new StatusItem("lag", StatusVerdict.Ok, "0")
        );
        Assert.That(
            shown,
            Is.EqualTo(
                new[]
                {
                    "pg could not be measured in full. Writes: OK through 10.0.0.10:5432. Redundancy: 2 of 3. Cause: db-3 unreachable.",
                    "",
                    "unknown  hosts       db-3: refused; so these are not known in full: units, extension vector",
                    "unknown  parameters  no member tells",
                    "ok       lag         0",
                    "",
                    "Next: bring db-3 back, then: kbr plan -c 'my file'",
                }
            )
        );

        shown = Shown(
            new StatusConclusion(StatusVerdict.Ok, "", 2, 3, ["db-3"], []),
            new StatusItem("units", StatusVerdict.Unknown, "patroni 2/3; not read: db-3") { UnknownBy = "hosts" }
        );
        Assert.That(shown, Does.Contain("unknown  units  patroni 2/3; not read: db-3"), "where the line that says why is not shown");
    }

    [Test]
    public void Where_lines_are_cut_off_each_sentence_of_the_conclusion_and_each_cause_has_a_line()
    {
        var report = PostgresHealth.ReportOf(
            new ClusterStatus(
                [new StatusItem("quorum", StatusVerdict.NotOk, "1 of 3")],
                new StatusConclusion(StatusVerdict.Ok, "", 1, 3, ["db-2", "db-3"], [new("db-2 unreachable"), new("db-3 unreachable")])
                {
                    WritesThrough = "10.0.0.10:5432",
                }
            )
        );
        Assert.That(
            StatusView.NarrowLines("pg", report, "kbr plan").Select(line => line.Text),
            Is.EqualTo(
                new[]
                {
                    "pg is not healthy.",
                    "Writes: OK through 10.0.0.10:5432.",
                    "Redundancy: 1 of 3.",
                    "Cause: db-2 unreachable.",
                    "Cause: db-3 unreachable.",
                    "",
                    "NOT OK   quorum  1 of 3",
                    "",
                    "Next: bring db-2 and db-3 back, then: kbr plan",
                }
            )
        );
    }

    [Test]
    public void As_metrics_each_check_has_a_sample_for_each_verdict_and_every_line_is_one_that_prometheus_reads()
    {
        var report = PostgresHealth.ReportOf(
            new ClusterStatus(
                [
                    new StatusItem("lag", StatusVerdict.Ok, "0"),
                    new StatusItem("sql through \"HAProxy\"", StatusVerdict.NotOk, "refused"),
                    new StatusItem("hosts", StatusVerdict.Unknown, "db-3: off"),
                ],
                new StatusConclusion(StatusVerdict.NotOk, "refused", 2, 3, ["db-3"], [new("db-3 unreachable")])
            )
        );
        var at = new DateTimeOffset(2026, 11, 23, 12, 0, 0, TimeSpan.Zero);
        var text = StatusMetrics.Render("lab", [("pg", report), ("other", report)], 1, at);
        MetricsRules.Check(text);
        Assert.That(
            text.Split('\n'),
            Is.SupersetOf(
                new[]
                {
                    "kbr_status_last_run_timestamp_seconds{cluster=\"lab\"} 1795435200",
                    "kbr_status_exit_code{cluster=\"lab\"} 1",
                    "kbr_status_check{cluster=\"lab\",scope=\"pg\",check=\"lag\",verdict=\"ok\"} 1",
                    "kbr_status_check{cluster=\"lab\",scope=\"pg\",check=\"lag\",verdict=\"not_ok\"} 0",
                    "kbr_status_check{cluster=\"lab\",scope=\"pg\",check=\"sql through \\\"HAProxy\\\"\",verdict=\"not_ok\"} 1",
                    "kbr_status_unreachable{cluster=\"lab\",scope=\"pg\",host=\"db-3\"} 1",
                    "kbr_status_unreachable_hosts{cluster=\"lab\",scope=\"other\"} 1",
                    "kbr_status_writes_ok{cluster=\"lab\",scope=\"pg\"} 0",
                    "kbr_status_members{cluster=\"lab\",scope=\"pg\"} 3",
                    "kbr_status_members_serving{cluster=\"lab\",scope=\"pg\"} 2",
                }
            )
        );
        MetricsRules.Check(StatusMetrics.Render("lab", [], 1, at));
        var unknown = PostgresHealth.ReportOf(new ClusterStatus([], new StatusConclusion(StatusVerdict.Unknown, "", 0, 3, [], [])));
        Assert.That(StatusMetrics.Render("lab", [("pg", unknown)], 1, at), Does.Not.Contain("writes_ok"), "neither 0 nor 1");
    }

    [Test]
    public void As_a_page_the_failed_checks_are_first_and_text_of_a_host_is_no_markup()
    {
        const string Hostile = "</td><script>alert(1)</script> \"'><img src=x onerror=alert(2)> \u202E";
        var report = PostgresHealth.ReportOf(
            new ClusterStatus(
                [
                    new StatusItem("lag", StatusVerdict.Ok, "0"),
                    new StatusItem(Hostile, StatusVerdict.NotOk, Hostile + " se<cret"),
                    new StatusItem("hosts", StatusVerdict.Unknown, "db-3: off"),
                    new StatusItem("units", StatusVerdict.Unknown, "not read: db-3") { UnknownBy = "hosts" },
                ],
                new StatusConclusion(StatusVerdict.NotOk, Hostile, 2, 3, ["db-3"], [new(Hostile)])
            )
            {
                Measures =
                [
                    new StatusMeasure("volume_free_bytes", "What is free.", 5L << 30, ("host", Hostile)),
                    new StatusMeasure("last_change_timestamp_seconds", "When.", 1795435200),
                ],
            }
        ) with
        {
            Connections = [new ClientConnection("read-write", $"host={Hostile}", Hostile, Hostile)],
        };
        var page = new StatusHtml(text => text.Replace("se<cret", "(secret)", StringComparison.Ordinal)).Render(
            Hostile,
            [("pg", report)],
            [],
            "kbr plan",
            "measured by a test"
        );
        HtmlRules.Check(page);
        Assert.That(page, Does.Contain("&lt;script&gt;").And.Contain("[U+202E]").And.Contain("measured by a test"));
        Assert.That(page, Does.Contain("(secret)").And.Not.Contain("cret<"), "a secret is masked as it is, not as it is escaped");
        Assert.That(page, Does.Contain("5,120 MiB").And.Contain("2026-11-23 12:00:00 UTC"));
        Assert.That(page, Does.Contain("db-3: off; so these are not known in full: units").And.Contain("bring db-3 back, then: kbr plan"));
        int At(string text) => page.IndexOf(text, StringComparison.Ordinal);
        Assert.That(At("\"not_ok\">NOT OK"), Is.LessThan(At("\"unknown\">unknown")).And.GreaterThan(0));
        Assert.That(At("\"unknown\">unknown"), Is.LessThan(At("\"ok\">ok")));
    }

    private static string[] Shown(StatusConclusion conclusion, params StatusItem[] items)
    {
        using var text = new StringWriter { NewLine = "\n" };
        StatusView.Show(
            new Terminal(text, text, color: false),
            "pg",
            PostgresHealth.ReportOf(new ClusterStatus([.. items], conclusion)),
            "kbr plan -c 'my file'"
        );
        return text.ToString().TrimEnd('\n').Split('\n');
    }
}
