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
            new StatusConclusion(StatusVerdict.Ok, "", 2, 3, ["db-slave-01"], ["db-slave-01 unreachable"]),
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
    public void A_cluster_without_writes_names_the_endpoint_that_refuses_them()
    {
        var shown = Shown(
            new StatusConclusion(
                StatusVerdict.NotOk,
                "load balancer 10.0.0.10:5432: connection refused",
                3,
                3,
                [],
                ["sql through load balancer: refused"]
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
