using KeyBuzz.Reconciler.HaTests;
using KeyBuzz.Reconciler.LabTests;

namespace KeyBuzz.Reconciler.FreshHosts;

/// <summary>A cluster that was installed by hand as the runbook does (lab/runbook), adopted as docs/adopting.md says: what is to be typed
/// on the members is taken from there.</summary>
[TestFixture]
[Category(Ha.FreshHosts)]
[Category(Ha.Slice1)]
public sealed class AdoptTests
{
    private const string Guide = "docs/adopting.md";

    // Both answers of a proxy, five times a second: "seconds.nanoseconds HAProxy PgBouncer".
    private const string Watch =
        "bash -c 'a=$(hostname -I | tr \" \" \"\\n\" | grep ^10.); while :; do s=0; p=0; (: "
        + "<>/dev/tcp/$a/5432) 2>/dev/null && s=1; (: <>/dev/tcp/$a/6432) 2>/dev/null && p=1; echo $(date "
        + "+%s.%N) $s $p; sleep 0.2; done'";

    [Test]
    public void A_cluster_installed_by_hand_is_adopted_without_loss_and_an_import_restores_lost_records()
    {
        Lab.WithNewHosts();
        // One superuser and one replication user, by the names that the runbook used.
        using var workspace = Ha.Open(secrets =>
            secrets
                .Replace("POSTGRES_SUPERUSER=kb_admin", "POSTGRES_SUPERUSER=postgres")
                .Replace("POSTGRES_REPL_USER=kb_repl", "POSTGRES_REPL_USER=replicator")
        );
        var byHand = Lab.Run(
            Lab.Root,
            "env",
            "POSTGRES_SUPERPASS=canary-super-Zq7xW4",
            "POSTGRES_REPL_PASS=canary-repl-Kp3vT9",
            "POSTGRES_APP_PASS=canary-app-Xw8rM2",
            Path.Combine(Lab.Root, "lab/runbook"),
            "--patroni-unit",
            "simple",
            "--proxy-units",
            "--local-config"
        );
        Assert.That(byHand.ExitCode, Is.Zero, byHand.All);
        var redis = Lab.OnHost("haproxy-01", "docker inspect -f '{{.Id}} {{.State.StartedAt}}' redis");
        // A unit that stops and starts the container for a job of its own is no supervisor that kbr may take away.
        Lab.OnHost(
            "haproxy-01",
            "printf '[Service]\\nType=oneshot\\nExecStart=/bin/true\\nExecStartPost=/usr/bin/docker start "
                + "pgbouncer\\n[Install]\\nWantedBy=multi-user.target\\n' >/etc/systemd/system/cold-backup.service; "
                + "systemctl daemon-reload; systemctl enable --quiet cold-backup"
        );

        workspace.Yaml = workspace
            .Yaml.Replace("  proxies: lb\n", "  proxies: lb\n  raft_password: false\n")
            .Replace("    shared_buffers: 64MB\n", "    shared_buffers: 128MB\n");

        // Nothing that somebody else made is changed without a word.
        var plan = workspace.Kbr("plan");
        Assert.That(plan.ExitCode, Is.EqualTo(1));
        Assert.That(
            plan.All,
            Does.Contain("volume.postgres@db-slave-01 exists and was not created by kbr")
                .And.Contain("container.patroni@db-slave-01 not planned")
                .And.Contain("role.postgres@keybuzz-pg exists and was not created by kbr")
        );
        Assert.That(plan.All, Does.Contain("cold-backup.service starts the container pgbouncer and has another job (it runs /bin/true)"));
        Lab.OnHost(
            "haproxy-01",
            "systemctl disable --quiet cold-backup; rm /etc/systemd/system/cold-backup.service; systemctl daemon-reload"
        );

        // 1. Recorded as it is.
        var import = workspace.Kbr("import", "--auto-approve");
        Assert.That(import.ExitCode, Is.Zero, import.All);
        Assert.That(
            import.Output,
            Does.Contain("= container.patroni@db-slave-01  adopted: exists and differs")
                .And.Contain("= role.postgres@keybuzz-pg")
                .And.Contain("= container.haproxy@haproxy-02")
        );
        Assert.That(Lab.OnHost("haproxy-01", "docker inspect -f '{{.Id}} {{.State.StartedAt}}' redis"), Is.EqualTo(redis));

        // 2. Passwords as SCRAM, while all runs. Judged by that, and not by what the next step makes.
        var roles = workspace.Kbr("apply", "--auto-approve", "--target", "role.*");
        Assert.That(roles.ExitCode, Is.Zero, roles.All);
        Assert.That(roles.All, Does.Contain("Checks of the changed resources").And.Not.Contain("NOT OK"));
        Assert.That(
            Ha.Sql(
                Ha.Leader(),
                "SELECT count(*) FROM pg_authid WHERE rolname IN ('postgres', 'replicator', 'kb_app') AND rolpassword LIKE 'SCRAM%'",
                "postgres",
                "postgres"
            ),
            Is.EqualTo("3"),
            roles.All
        );

        // 3. Converged, while applications write: by a session each that they keep, and by a new one for each row.
        var foreseen = workspace.Kbr("plan");
        Assert.That(foreseen.ExitCode, Is.Zero, foreseen.All);
        Assert.That(
            foreseen.Output,
            Does.Contain("holds: PG_VERSION")
                .And.Contain("/opt/keybuzz/postgres/data.before-kbr")
                .And.Contain("3 rolling restarts, 1 switchover")
        );
        foreach (var unit in new[] { "patroni", "haproxy", "pgbouncer" })
        {
            Assert.That(
                foreseen.Output,
                Does.Contain($"its unit {unit}-docker.service is kept as /etc/systemd/system/{unit}-docker.service.before-kbr")
            );
        }

        var watches = Ha.Proxies.Select(proxy => Lab.StartOn(proxy, Watch)).ToList();
        var answers = watches.Select(watch => watch.StandardOutput.ReadToEndAsync()).ToList();
        TrafficReport kept,
            fresh;
        try
        {
            using var direct = TrafficWriter.Start("while_adopted", superuser: "postgres");
            using var renewed = TrafficWriter.Start("while_adopted_anew", TrafficWriter.Pooled, keepsSession: false, superuser: "postgres");
            // Cut off while a container that goes with its unit has been stopped: the next run goes on from there.
            KillDuring(workspace, "container.pgbouncer@haproxy-01: replacing");
            workspace.Apply();
            fresh = renewed.Stop();
            kept = direct.Stop();
        }
        finally
        {
            watches.ForEach(watch => watch.Kill(entireProcessTree: true));
        }

        TestContext.Out.WriteLine($"adopted under a writer that keeps its session: {kept}");
        TestContext.Out.WriteLine($"adopted under a writer with a new session for each row: {fresh}");
        workspace.AssertNothingToDo();
        Assert.Multiple(() =>
        {
            Assert.That(kept.Lost, Is.Empty, kept.ToString());
            Assert.That(fresh.Lost, Is.Empty, fresh.ToString());
            Assert.That(kept.Servers, Has.Count.EqualTo(2), $"one switchover: {kept}");
            Assert.That(kept.LongestGap, Is.LessThan(TimeSpan.FromSeconds(20)), kept.ToString());
            // The old PgBouncer repeats a failed login for 15 s (server_login_retry).
            Assert.That(fresh.LongestGap, Is.LessThan(TimeSpan.FromSeconds(30)), fresh.ToString());
            Assert.That(NeitherServed([.. answers.Select(answer => answer.Result)]), Is.Empty, "moments at which no proxy served");
            Assert.That(Ha.Sql(Ha.Leader(), "SELECT count(*), sum(id) FROM orders", superuser: "postgres"), Is.EqualTo("1000|500500"));
            Assert.That(
                Lab.OnHost("haproxy-01", "docker inspect -f '{{.Id}} {{.State.StartedAt}}' redis"),
                Is.EqualTo(redis),
                "another module's container"
            );
            foreach (var host in Ha.Members)
            {
                Assert.That(
                    Lab.OnHost(
                            host,
                            "ls -d /opt/keybuzz/postgres/data.before-kbr/PG_VERSION /opt/keybuzz/postgres/data/pgdata/PG_VERSION "
                                + "/opt/keybuzz/patroni/config/patroni.yml "
                                + "/etc/systemd/system/patroni-docker.service.before-kbr/patroni-docker.service; docker container "
                                + "inspect -f '{{.State.Status}}' patroni.before-kbr"
                        )
                        .Trim()
                        .Split('\n'),
                    Has.Length.EqualTo(5).And.Some.EqualTo("exited"),
                    $"{host}: nothing of the old installation is deleted"
                );
            }
        });

        // Back again, on a proxy and on a member, and forward.
        var replica = Ha.Members.First(member => member != Ha.Leader());
        Ha.Sql(Ha.Leader(), "CREATE TABLE since_adoption AS SELECT 1 AS id", superuser: "postgres");
        Lab.OnHost("haproxy-02", Steps("on a proxy"));
        Lab.OnHost(replica, Steps("on a member"));
        Lab.Until(
            () =>
                Lab.OnHost(
                        "haproxy-02",
                        "docker ps --format '{{.Names}} {{.Image}}'; systemctl is-active haproxy-docker pgbouncer-docker || :"
                    )
                    .Split('\n')
                    .Count(line => line == "active") == 2,
            TimeSpan.FromSeconds(30),
            "the proxy as it was"
        );
        // The leader still takes the member that was stopped for a streaming one, for a moment.
        Lab.Until(
            () => Ha.IsStreaming(replica) && Ha.SqlIfAnswered(replica, "SELECT count(*) FROM since_adoption", "postgres") == "1",
            TimeSpan.FromSeconds(60),
            $"{replica} as it was, streaming, with today's rows"
        );
        Assert.That(
            Lab.OnHost(replica, "docker inspect -f '{{range .Mounts}}{{.Destination}} {{end}}' patroni"),
            Does.Contain("/var/lib/postgresql/data")
        );
        workspace.Apply();
        workspace.AssertNothingToDo();

        // 4. RAFT's password, of all members together.
        workspace.Yaml = workspace.Yaml.Replace("  raft_password: false\n", "");
        Assert.That(workspace.Kbr("plan").Output, Does.Contain("all of them are stopped and started together"));
        workspace.Apply();
        workspace.AssertNothingToDo();

        // The data directory that kbr made is kbr's, the volume it was made on is not, and the plan says so of each.
        var taken = workspace.Kbr("plan", "--destroy", "--delete-data", "--target", $"*@{replica}").Output;
        Assert.That(
            taken,
            Does.Contain($"- directory.postgres-data@{replica}  /opt/keybuzz/postgres/data  destroy requested  DATA IS DELETED")
                .And.Match($@"directory\.postgres-raft@{replica}  (?!.*DATA).*\n *adopted, not created by kbr: released, not deleted")
        );

        // All records lost, and the operator's copy.
        Lab.OnHosts(Lab.Hosts.Select(host => (host, "rm -rf /var/lib/kbr")));
        Directory.Delete(Path.Combine(workspace.Directory, "state"), recursive: true);
        Assert.That(workspace.Plan(), Is.Not.Empty.And.All.Match(" adopt found_as_wanted $"));
        var again = workspace.Kbr("import", "--auto-approve");
        Assert.That(again.ExitCode, Is.Zero, again.All);
        workspace.AssertNothingToDo();
    }

    // Runs an apply and kills it a moment after it has said that.
    private static void KillDuring(Workspace workspace, string step)
    {
        using var apply = workspace.Start("apply", "--auto-approve");
        var errors = apply.StandardError.ReadToEndAsync();
        while (apply.StandardOutput.ReadLine() is { } line && !line.StartsWith(step, StringComparison.Ordinal)) { }

        Thread.Sleep(300);
        Assert.That(apply.HasExited, Is.False, $"it ended before '{step}': {(apply.HasExited ? errors.Result : "")}");
        apply.Kill();
        apply.WaitForExit();
    }

    // The seconds in which neither proxy answered on a port, by what each said of itself.
    private static string[] NeitherServed(string[] watches)
    {
        var seen = watches
            .Select(watch =>
                watch
                    .Split('\n', StringSplitOptions.RemoveEmptyEntries)
                    .Select(line => line.Split(' '))
                    .Where(words => words.Length == 3)
                    .Select(words =>
                        (
                            At: decimal.Parse(words[0], System.Globalization.CultureInfo.InvariantCulture),
                            Sql: words[1] == "1",
                            Pooled: words[2] == "1"
                        )
                    )
                    .ToList()
            )
            .ToList();
        Assert.That(seen.Select(one => one.Count), Has.All.GreaterThan(50));
        return
        [
            .. seen[0].Where(one => !one.Sql && Nearest(one.At) is { Sql: false }).Select(one => $"5432 at {one.At}"),
            .. seen[0].Where(one => !one.Pooled && Nearest(one.At) is { Pooled: false }).Select(one => $"6432 at {one.At}"),
        ];

        (decimal At, bool Sql, bool Pooled) Nearest(decimal at) => seen[1].MinBy(other => Math.Abs(other.At - at));
    }

    // The commands of the guide under that heading.
    private static string Steps(string where) => "set -e\n" + string.Join('\n', DocumentedBlocks.Under(Guide, $"{where}, as root"));
}
