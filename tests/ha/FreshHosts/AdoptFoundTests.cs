using KeyBuzz.Reconciler.HaTests;
using KeyBuzz.Reconciler.LabTests;

namespace KeyBuzz.Reconciler.FreshHosts;

/// <summary>A cluster as installations really are (lab/runbook with options): another namespace, another leader, parameters in the local
/// files, and the volume mounted at the data directory. What differs from cluster.yaml refuses before anybody is touched; with the right
/// settings it is adopted under two kinds of writers, and never do two members take writes.</summary>
[TestFixture]
[Category(Ha.FreshHosts)]
[Category(Ha.Slice5)]
public sealed class AdoptFoundTests
{
    // Whether a member is a primary by Patroni and by PostgreSQL itself: "begun ended HTTP-status t|f". It runs inside the container, and
    // again in the next one: a `docker exec` for each look would take more of the machine than the adoption.
    private const string Watch = """
        address=$(hostname -I | tr ' ' '\n' | grep ^10.)
        while :; do
            docker exec -i patroni bash -s "$address" 2>/dev/null <<'LOOKS' || echo "$EPOCHREALTIME $EPOCHREALTIME 000 none"
        for ((look = 0; look < 40; look++)); do
            begun=$EPOCHREALTIME code=000
            if exec 3<>"/dev/tcp/$1/8008"; then
                printf 'GET /primary HTTP/1.0\r\n\r\n' >&3
                read -r -t 2 _ code _ <&3
                exec 3>&-
            fi
            recovery=$(timeout 3 psql -X -A -t -U kb_admin -d postgres -c 'SELECT pg_is_in_recovery()')
            echo "$begun $EPOCHREALTIME ${code:-000} ${recovery:-none}"
            sleep 0.3
        done
        LOOKS
            sleep 0.3
        done
        """;

    [Test]
    public void A_found_cluster_of_another_namespace_is_refused_until_the_file_matches_then_adopted()
    {
        Lab.WithNewHosts();
        using var workspace = Ha.Open();
        var byHand = Lab.Run(
            Lab.Root,
            "env",
            "POSTGRES_SUPERPASS=canary-super-Zq7xW4",
            "POSTGRES_REPL_PASS=canary-repl-Kp3vT9",
            "POSTGRES_APP_PASS=canary-app-Xw8rM2",
            Path.Combine(Lab.Root, "lab/runbook"),
            "--namespace",
            "/db/",
            "--leader",
            "db-slave-01",
            "--local-parameters",
            "--volume-at-data",
            "--superuser",
            "kb_admin",
            "--replication",
            "kb_repl"
        );
        Assert.That(byHand.ExitCode, Is.Zero, byHand.All);
        var before = Containers();
        workspace.Yaml = workspace
            .Yaml.Replace("  proxies: lb\n", "  proxies: lb\n  raft_password: false\n")
            .Replace("volume: { device: /dev/sdb }", "volume: { device: /dev/sdb, mount_point: /opt/keybuzz/postgres/data }")
            .Replace("    shared_buffers: 64MB\n", "    shared_buffers: 128MB\n    max_connections: 200\n");

        // What runs is another cluster than the file means: nobody is touched, and nothing is recorded.
        foreach (
            var command in new[]
            {
                new[] { "import", "--auto-approve" },
                ["plan"],
                ["apply", "--auto-approve", "--target", "*.patroni@db-master-01"],
            }
        )
        {
            var refused = workspace.Kbr(command);
            Assert.That(refused.ExitCode, Is.EqualTo(1), refused.All);
            Assert.That(
                refused.All,
                Does.Contain("db-master-01, db-slave-01 and db-slave-02 are in Patroni's namespace /db/, not in /service/")
                    .And.Contain("set postgres.namespace: /db/")
            );
        }

        workspace.Yaml = workspace.Yaml.Replace("  proxies: lb\n", "  proxies: lb\n  namespace: /db/\n  scope: postgres-cluster\n");
        Assert.That(
            workspace.Kbr("import", "--auto-approve").All,
            Does.Contain("are in Patroni's scope keybuzz-pg, not in postgres-cluster").And.Contain("set postgres.scope: keybuzz-pg")
        );
        Assert.That(workspace.Kbr("status").Output, Does.Contain("are in Patroni's scope keybuzz-pg"));
        Assert.That(
            (Containers(), Lab.OnHost("db-slave-01", "find /var/lib/kbr -name '*.json' 2>/dev/null | wc -l").Trim()),
            Is.EqualTo((before, "0"))
        );

        workspace.Yaml = workspace.Yaml.Replace("  scope: postgres-cluster\n", "");
        var import = workspace.Kbr("import", "--auto-approve");
        Assert.That(import.ExitCode, Is.Zero, import.All);
        var roles = workspace.Kbr("apply", "--auto-approve", "--target", "role.*");
        Assert.That(roles.ExitCode, Is.Zero, roles.All);
        var foreseen = workspace.Kbr("plan");
        Assert.That(foreseen.ExitCode, Is.Zero, foreseen.All);
        Assert.That(
            foreseen.Output,
            Does.Contain("the content of /opt/keybuzz/postgres/data is kept as /opt/keybuzz/postgres/data/data.before-kbr")
                .And.Contain("3 rolling restarts, 1 switchover")
        );

        // A volume without room for a second copy of what is in it stops the roll-out in the middle: what is behind the members stays as it
        // is.
        Lab.OnHost(
            "db-slave-02",
            "fallocate -l $(($(df --output=avail -B1 /opt/keybuzz/postgres/data | tail -n 1) * 6 / 10)) "
                + "/opt/keybuzz/postgres/data/lost+found.fill"
        );
        var proxies = Proxies();
        var watches = Ha.Members.Select(member => Lab.StartOn(member, Watch)).ToList();
        var answers = watches.Select(watch => watch.StandardOutput.ReadToEndAsync()).ToList();
        TrafficReport kept,
            fresh;
        try
        {
            using var direct = TrafficWriter.Start("while_adopted");
            using var renewed = TrafficWriter.Start("while_adopted_anew", keepsSession: false);
            var stopped = workspace.Kbr("apply", "--auto-approve");
            Assert.That(stopped.ExitCode, Is.EqualTo(1), stopped.All);
            Assert.That(
                stopped.All,
                Does.Contain("free disk space first")
                    .And.Contain("container.haproxy@haproxy-01")
                    .And.Not.Contain("container.haproxy@haproxy-01: done")
                    .And.Not.Contain("config_file.haproxy@haproxy-01: done")
            );
            Assert.That(Proxies(), Is.EqualTo(proxies), "the proxies are as they were");
            Lab.OnHost("db-slave-02", "rm /opt/keybuzz/postgres/data/lost+found.fill");
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
            Assert.That(
                TwoPrimaries([.. answers.Select(answer => answer.Result)]),
                Is.Empty,
                "moments at which two members were primaries"
            );
            Assert.That(Ha.Sql(Ha.Leader(), "SELECT count(*), sum(id) FROM orders"), Is.EqualTo("1000|500500"));
            Assert.That(Ha.Sql(Ha.Leader(), "SHOW max_connections"), Is.EqualTo("200"));
            Assert.That(
                Ha.Members.Select(member =>
                        Lab.OnHost(member, "curl -s http://$(hostname):8008/patroni | grep -o '\"database_system_identifier\": \"[0-9]*\"'")
                    )
                    .Distinct()
                    .Count(),
                Is.EqualTo(1)
            );
            foreach (var host in Ha.Members)
            {
                Assert.That(
                    Lab.OnHost(
                            host,
                            "cd /opt/keybuzz/postgres/data && ls -A && ls -d data.before-kbr/PG_VERSION data.before-kbr/base "
                                + "data/pgdata/PG_VERSION"
                        )
                        .Trim()
                        .Split('\n'),
                    Is.EquivalentTo(
                        new[]
                        {
                            "archive",
                            "data",
                            "data.before-kbr",
                            "raft",
                            "data.before-kbr/PG_VERSION",
                            "data.before-kbr/base",
                            "data/pgdata/PG_VERSION",
                        }
                    ),
                    $"{host}: all of the former data directory is kept, and nothing of it is left at the root"
                );
            }
        });

        // Back again on a replica, as the guide has it for this layout.
        var replica = Ha.Members.First(member => member != Ha.Leader());
        Ha.Sql(Ha.Leader(), "CREATE TABLE since_adoption AS SELECT 1 AS id");
        Lab.OnHost(
            replica,
            "set -e\n"
                + string.Join('\n', DocumentedBlocks.Under("docs/adopting.md", "on a member whose volume is its data directory, as root"))
        );
        // The leader still takes the member that was stopped for a streaming one, for a moment.
        const string arrived = "SELECT count(*) FROM pg_tables WHERE tablename = 'since_adoption'";
        Lab.Until(
            () => Ha.IsStreaming(replica) && Ha.SqlIfAnswered(replica, arrived) == "1",
            TimeSpan.FromSeconds(60),
            $"{replica} as it was, streaming, with today's rows"
        );
        Assert.That(
            Lab.OnHost(replica, "docker inspect -f '{{range .Mounts}}{{.Destination}} {{end}}' patroni"),
            Does.Contain("/var/lib/postgresql/data")
        );
        Assert.That(
            Ha.Sql(replica, "SHOW data_directory") + Lab.OnHost(replica, "stat -c ' %u %a' /opt/keybuzz/postgres/data"),
            Is.EqualTo("/var/lib/postgresql/data 999 700\n")
        );
    }

    private static string Containers() =>
        string.Join(' ', Ha.Members.Select(host => Lab.OnHost(host, "docker inspect -f '{{.Id}} {{.State.StartedAt}}' patroni").Trim()));

    private static string Proxies() =>
        string.Join(
            ' ',
            Ha.Proxies.Select(host =>
                Lab.OnHost(
                        host,
                        "docker inspect -f '{{.Id}} {{.State.StartedAt}}' haproxy pgbouncer; cksum "
                            + "/opt/keybuzz/haproxy/haproxy.cfg 2>/dev/null || :"
                    )
                    .Trim()
            )
        );

    // The times at which two members were primaries for certain, by Patroni or by PostgreSQL: each from the end of the first such answer in
    // a row to the beginning of the last.
    private static string[] TwoPrimaries(string[] watches)
    {
        var seen = watches
            .Select(watch =>
                watch
                    .Split('\n', StringSplitOptions.RemoveEmptyEntries)
                    .Select(line => line.Split(' '))
                    .Where(words => words.Length == 4)
                    .Select(words =>
                        (Begun: Seconds(words[0]), Ended: Seconds(words[1]), Patroni: words[2] == "200", Postgres: words[3] == "f")
                    )
                    .ToList()
            )
            .ToList();
        Assert.That(seen.Select(one => one.Count), Has.All.GreaterThan(20));
        Assert.That(seen.Sum(one => one.Count(look => look.Patroni && look.Postgres)), Is.GreaterThan(20), "a primary is seen as one");
        var spans = seen.SelectMany(
                (looks, member) =>
                    new[] { true, false }.SelectMany(byPatroni =>
                        Spans(looks.Select(look => (look.Begun, look.Ended, Is: byPatroni ? look.Patroni : look.Postgres)))
                            .Select(span => (Member: member, ByPatroni: byPatroni, span.From, span.To))
                    )
            )
            .ToList();
        return
        [
            .. from one in spans
            from other in spans
            where
                one.Member < other.Member && one.ByPatroni == other.ByPatroni && Math.Max(one.From, other.From) < Math.Min(one.To, other.To)
            select $"{Ha.Members[one.Member]} and {Ha.Members[other.Member]}: {Math.Max(one.From, other.From)}–{Math.Min(one.To, other.To)}",
        ];

        static decimal Seconds(string text) => decimal.Parse(text, System.Globalization.CultureInfo.InvariantCulture);

        static IEnumerable<(decimal From, decimal To)> Spans(IEnumerable<(decimal Begun, decimal Ended, bool Is)> looks)
        {
            (decimal From, decimal To)? span = null;
            foreach (var (begun, ended, isPrimary) in looks.Append((0, 0, false)))
            {
                if (!isPrimary && span is { } over)
                {
                    yield return over;
                }

                span =
                    !isPrimary ? null
                    : span is { } open ? (open.From, begun)
                    : (ended, begun);
            }
        }
    }
}
