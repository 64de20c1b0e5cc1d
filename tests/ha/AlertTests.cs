using System.Text.Json;
using System.Text.RegularExpressions;
using KeyBuzz.Reconciler.LabTests;

namespace KeyBuzz.Reconciler.HaTests;

/// <summary>Exporters, Prometheus and Alertmanager, and a slice of eng/alerts-proof.sh: faults whose alerts arrive.</summary>
[TestFixture]
[Category(Ha.Slice3)]
[DependsOnFixture(typeof(InstallTests), AllowFailure = true)]
public sealed class AlertTests
{
    private const string Server = "haproxy-01";
    private const string Password = "canary-monitor-Ge5rT2";
    private const string Access = "canary-watch-Zt4";
    private const string Rules = "/opt/keybuzz/monitoring/alerts.yml";

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(90);

    private static string s_before = "";

    [OneTimeSetUp]
    public void Turn_it_on()
    {
        s_before = HaSetUp.Workspace.Yaml;
        Ha.Credentials += $"MONITORING_PASS={Password}\nWATCH_PASS={Access}\n";
        HaSetUp.Workspace.Yaml =
            s_before.Replace("  haproxy:\n", "  haproxy:\n    metrics: true\n", StringComparison.Ordinal)
            + $$"""

                  monitoring:
                    image: {{Lab.Images()["MONITORING"]}}
                    exporters: [postgres, pgbouncer, node]
                    server: {{Server}}
                    login: { name: watch, password: "${secret.WATCH_PASS}" }
                    interval: 2s
                    max_transaction: 5s

                """;
        HaSetUp.Workspace.Apply();
    }

    [OneTimeTearDown]
    public void Turn_it_off()
    {
        HaSetUp.Workspace.Yaml = s_before;
        HaSetUp.Workspace.Apply();
        HaSetUp.Workspace.AssertNothingToDo();
        var left = Lab.OnHosts(Lab.Hosts.Select(host => (host, "docker ps -a --format '{{.Names}}'")));
        Assert.That(left, Has.None.Match("exporter|prom|alert"));
    }

    [Test]
    public void Every_target_answers_nothing_is_left_to_do_and_the_password_is_the_exporters_alone()
    {
        HaSetUp.Workspace.AssertNothingToDo();
        var last = "";
        Lab.Until(
            () => Regex.Count(last = Ask(9090, "targets?state=active"), "\"health\":\"up\"") == 3 + 2 + 3 + 2 + 5,
            s_patience,
            () => $"all targets up: {last}"
        );
        Lab.Until(
            () =>
                (last = Ask(9090, "query?query=count(pg_up==1)") + Ask(9090, "query?query=count(kbr_postgres_connections)"))
                    .Split("\"3\"]")
                    .Length == 3,
            s_patience,
            () => $"every exporter logs in, and its queries have answers: {last}"
        );
        foreach (var host in Lab.Hosts)
        {
            Assert.That(
                Lab.OnHost(
                    host,
                    "ps -ef; docker ps -q | xargs docker inspect; docker ps -q | xargs -n 1 docker logs 2>&1; "
                        + "find /opt/keybuzz /etc /var/lib/kbr -type f -perm /077 -not -path '*/postgres/data/*' -exec cat {} +"
                ),
                Does.Not.Contain(Password).And.Not.Contain("canary-watch"),
                host
            );
            Assert.That(
                Lab.OnHost(
                    host,
                    "for port in 9187 9127 9100 9090 9093; do "
                        + "curl -s -o /dev/null -w '%{http_code}\\n' \"http://$(hostname):$port/metrics\"; done; true"
                ),
                Does.Contain("401").And.Not.Contain("200"),
                $"{host} asks for a login"
            );
        }
    }

    [Test]
    [DependsOnTest(nameof(Every_target_answers_nothing_is_left_to_do_and_the_password_is_the_exporters_alone), AllowFailure = true)]
    public void Another_password_needs_no_restart_and_a_change_of_a_rule_is_loaded_without_one()
    {
        string Started() =>
            Lab.OnHost(Server, "docker inspect -f '{{.State.StartedAt}}' prometheus alertmanager")
            + Lab.OnHost("db-slave-01", "docker inspect -f '{{.State.StartedAt}}' postgres-exporter");
        var before = Started();
        Ha.Credentials = Ha.Credentials.Replace(Password, Password + "-2", StringComparison.Ordinal);
        HaSetUp.Workspace.Yaml = HaSetUp.Workspace.Yaml.Replace("max_transaction: 5s", "max_transaction: 6s", StringComparison.Ordinal);
        HaSetUp.Workspace.Apply();
        HaSetUp.Workspace.AssertNothingToDo();
        Assert.That(Started(), Is.EqualTo(before));
        Assert.That(Ask(9090, "rules"), Does.Contain("kbr_postgres_transaction_seconds{job=\\\"postgres-keybuzz-pg\\\"} \\u003e 6\""));
        // The open session is over: it logs in anew.
        Ha.Sql("db-slave-01", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'kb_monitor'", "postgres");
        Lab.Until(() => Up("pg_up", "db-slave-01"), s_patience, "a login with the new password");
    }

    [Test]
    [DependsOnTest(nameof(Another_password_needs_no_restart_and_a_change_of_a_rule_is_loaded_without_one), AllowFailure = true)]
    public void Alerts_of_faults_reach_Alertmanager_and_end_with_them()
    {
        Lab.Until(
            () => Received() is ["KbrStatusMissing"],
            s_patience + s_patience,
            () => $"nobody runs kbr status: {string.Join(' ', Received())}"
        );
        // As docs/monitoring.md has it.
        Lab.OnHost(
            Server,
            "cd /opt/keybuzz-monitoring-status && cat >kbr.new <<'END' && mv kbr.new kbr.prom\n"
                + HaSetUp.Workspace.Kbr("status", "--format", "prometheus").Output
                + "END"
        );
        // Only the waiting is shorter.
        Lab.OnHost(Server, $"sed -i -E 's/^( *for:) .*/\\1 2s/' {Rules}; docker kill -s HUP prometheus >/dev/null");
        Lab.Until(() => Received().Length == 0, s_patience, () => $"a healthy cluster without an alert: {string.Join(' ', Received())}");
        var replica = Ha.Members.First(member => member != Ha.Leader());
        Lab.OnHost(replica, "systemctl stop postgres-exporter");
        Lab.OnHost("haproxy-02", "systemctl stop haproxy");
        using var open = Lab.StartOn(
            Ha.Leader(),
            $"docker exec patroni psql -X -U {Ha.Superuser} -d {Ha.Database} -c 'BEGIN' -c 'SELECT pg_sleep(120)'"
        );
        string[] wanted = ["ExporterDown", "HaproxyDown", "PostgresLongTransaction"];
        Lab.Until(() => !wanted.Except(Received()).Any(), s_patience, () => $"all of them: {string.Join(' ', Received())}");
        Lab.OnHost(replica, "systemctl start postgres-exporter");
        Lab.OnHost("haproxy-02", "systemctl start haproxy");
        Ha.Sql(Ha.Leader(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(120)'");
        Lab.Finish(open);
        Lab.Until(() => Received().Length == 0, s_patience, () => $"an end: {string.Join(' ', Received())}");
        Assert.That(HaSetUp.Workspace.Drift(), Is.EqualTo(new[] { $"config_file.prometheus-alerts@{Server} changed content" }));
        HaSetUp.Workspace.Apply();
    }

    [Test]
    [DependsOnTest(nameof(Alerts_of_faults_reach_Alertmanager_and_end_with_them), AllowFailure = true)]
    public void Every_query_of_the_dashboards_returns_series()
    {
        foreach (var command in new[] { "status", "drift" })
        {
            Lab.OnHost(
                Server,
                $"cat >/opt/keybuzz-monitoring-status/{command}.prom <<'END'\n"
                    + HaSetUp.Workspace.Kbr(command, "--format", "prometheus").Output
                    + "END"
            );
        }

        var folder = Path.Combine(HaSetUp.Workspace.Directory, "rendered");
        Assert.That(HaSetUp.Workspace.Kbr("monitoring", "render", "--out", folder).ExitCode, Is.Zero);
        var files = Directory.GetFiles(folder, "dashboard-*.json");
        Assert.That(files, Has.Length.EqualTo(2));
        var queries = files.SelectMany(QueriesOf).ToList();
        Assert.That(queries, Has.Count.GreaterThan(50));
        string[] empty = [];
        Lab.Until(
            () =>
            {
                var asked = queries.Select(query => $"query?query={Uri.EscapeDataString(query)}");
                var answers = Ask(9090, asked).Split('\n');
                empty = [.. queries.Where((_, at) => !answers[at].Contains("\"result\":[{", StringComparison.Ordinal))];
                return empty.Length == 0;
            },
            s_patience,
            () => $"series for all of them, but not for: {string.Join("; ", empty)}"
        );
    }

    private static IEnumerable<string> QueriesOf(string file)
    {
        using var document = JsonDocument.Parse(File.ReadAllText(file));
        return
        [
            .. document
                .RootElement.GetProperty("panels")
                .EnumerateArray()
                .Where(panel => panel.TryGetProperty("targets", out _))
                .SelectMany(panel => panel.GetProperty("targets").EnumerateArray())
                .Select(target => target.GetProperty("expr").GetString()!),
        ];
    }

    // One line for each.
    private static string Ask(int port, IEnumerable<string> questions) =>
        Lab.OnHost(
            Server,
            string.Concat(questions.Select(question => $"{Curl} \"http://$(hostname):{port}/api/v1/{question}\" | tr -d '\\n'; echo\n"))
        );

    private static string Ask(int port, string question) =>
        Lab.OnHost(Server, $"{Curl} \"http://$(hostname):{port}/api/v{(port == 9090 ? 1 : 2)}/{question}\"");

    private const string Curl =
        @"printf 'user = ""watch:%s""\n' ""$(sed 's/[\\""]/\\&/g' /opt/keybuzz/monitoring/monitoring.password)"" | curl -sg -K -";

    private static bool Up(string metric, string member) =>
        Ask(9090, $"query?query={metric}{{member=%22{member}%22}}").Contains(",\"1\"]", StringComparison.Ordinal);

    private static string[] Received()
    {
        var names = Regex.Matches(Ask(9093, "alerts?active=true"), "\"alertname\":\"(\\w+)\"");
        return [.. names.Select(one => one.Groups[1].Value).Distinct().Order()];
    }
}
