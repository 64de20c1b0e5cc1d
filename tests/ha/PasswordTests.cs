using System.Text.RegularExpressions;
using KeyBuzz.Reconciler.LabTests;

namespace KeyBuzz.Reconciler.HaTests;

/// <summary>Passwords are changed in the credentials file and by one apply, while sessions are open and an application writes.</summary>
[TestFixture]
[Category(Ha.Live)]
[Category(Ha.Slice7)]
public sealed class PasswordTests
{
    [Test]
    public void Those_of_the_users_of_the_database()
    {
        var former = Ha.Secret("POSTGRES_SUPERPASS");
        Rotate(
            new()
            {
                ["POSTGRES_APP_PASS"] = "canary-app-new",
                ["POSTGRES_SUPERPASS"] = "canary-super-new",
                ["POSTGRES_REPL_PASS"] = "canary-repl:new",
            },
            (Ha.Application, Ha.ApplicationPassword),
            (Ha.Superuser, former)
        );

        AssertMoved(Ha.Application, Ha.ApplicationPassword, "canary-app-new");
        AssertMoved(Ha.Superuser, former, "canary-super-new");
        foreach (var replica in Ha.Members.Where(member => member != Ha.Leader()))
        {
            Assert.That(Lab.OnHost(replica, "docker exec patroni cat /tmp/pgpass"), Does.Contain(@"canary-repl\:new"), replica);
        }

        // A replica that has to connect again finds it.
        Ha.Sql(Ha.Leader(), "SELECT pg_terminate_backend(pid) FROM pg_stat_replication");
        Ha.UntilHealthy(HaSetUp.Workspace, TimeSpan.FromSeconds(120));
    }

    [Test]
    [DependsOnTest(nameof(Those_of_the_users_of_the_database), AllowFailure = true)]
    public void Those_of_Patronis_REST_API_and_of_the_poolers_statistics()
    {
        Rotate(
            new() { ["PATRONI_REST_PASS"] = "canary-rest-new", ["PGBOUNCER_STATS_PASS"] = "canary-stats-new" },
            (Ha.Superuser, Ha.Secret("POSTGRES_SUPERPASS"))
        );

        foreach (var member in Ha.Members)
        {
            Assert.That(Patch(member, "canary-rest-Vb5nQ1"), Is.EqualTo("401"), member);
            Assert.That(Patch(member, "canary-rest-new"), Is.EqualTo("200"), member);
        }

        foreach (var proxy in Ha.Proxies)
        {
            Assert.That(Show(proxy, "canary-stats-new"), Does.Contain("PgBouncer 1."), proxy);
            Assert.That(Show(proxy, "canary-stats-Yt4cF7"), Does.Contain("authentication failed"), proxy);
        }

        static string Patch(string member, string password) =>
            Lab.OnHost(
                member,
                $"curl -s -m 10 -o /dev/null -w '%{{http_code}}' -u kbr_rest:{password} -X PATCH -H 'Content-Type: "
                    + $"application/json' -d '{{\"nothing\": null}}' http://$(hostname):8008/config"
            );

        static string Show(string proxy, string password) =>
            Lab.OnHost(
                proxy,
                $"docker exec -e PGPASSWORD={password} pgbouncer psql -X -A -t -w -h $(sed -n 's/^listen_addr = //p' "
                    + $"/opt/keybuzz/pgbouncer/pgbouncer.ini) -p 6433 -U kbr_stats -d pgbouncer -c 'SHOW VERSION' 2>&1 || "
                    + $"true"
            );
    }

    // The last, because all start anew. The replication user's with it: nobody who starts could stream if it came later.
    [Test]
    [DependsOnTest(nameof(Those_of_Patronis_REST_API_and_of_the_poolers_statistics), AllowFailure = true)]
    [Category(Ha.OfRaft)]
    public void RAFTs_password_in_one_window_that_the_plan_announces_and_without_a_lost_row()
    {
        var before = Ha.Members.Select(Ha.Started).ToList();
        using var writer = TrafficWriter.Start("rekeyed");
        // A recovery may have renewed it.
        Ha.Credentials = Regex
            .Replace(Ha.Credentials, "(?m)^PATRONI_RAFT_PASS=.*$", "PATRONI_RAFT_PASS=canary-raft-new")
            .Replace("POSTGRES_REPL_PASS=canary-repl:new", "POSTGRES_REPL_PASS=canary-repl-last");
        Assert.That(
            HaSetUp.Workspace.Kbr("plan").Output,
            Does.Contain("all of them are stopped and started together").And.Contain("about 15 s without writes")
        );

        HaSetUp.Workspace.Apply();

        var report = writer.Stop();
        TestContext.Out.WriteLine($"RAFT's password: {report}");
        Assert.That(report.Lost, Is.Empty);
        Assert.That(Ha.Members.Select(Ha.Started).Zip(before).All(pair => pair.First != pair.Second), "all were started anew");
        Assert.That(
            Ha.Members.Select(member => Ha.Sql(member, "SHOW synchronous_standby_names")),
            Is.All.Empty,
            "nothing of the window is left"
        );
        Assert.That(
            Lab.OnHosts(
                    Ha.Members.Select(member =>
                        (member, "grep -c synchronous_standby_names /opt/keybuzz/postgres/data/pgdata/postgresql.auto.conf || true")
                    )
                )
                .Select(count => count.Trim()),
            Is.All.EqualTo("0")
        );
        AssertFilesOpen();
        HaSetUp.Workspace.AssertNothingToDo();
    }

    // Changes them under open sessions of users, who may be those whose passwords they are, and under a writer.
    private static void Rotate(Dictionary<string, string> wanted, params (string User, string Password)[] users)
    {
        var before = Ha.Members.Select(Ha.Started).ToList();
        var sessions = users.Select(user => new OpenSessions(user.User, user.Password)).ToList();
        using var writer = TrafficWriter.Start("rotated", TrafficWriter.Pooled);
        foreach (var (name, password) in wanted)
        {
            Ha.Credentials = Regex.Replace(Ha.Credentials, $"(?m)^{name}=.*$", $"{name}={password}");
        }

        HaSetUp.Workspace.Apply();

        writer.Password = Ha.Secret("POSTGRES_APP_PASS");
        var report = writer.Stop();
        TestContext.Out.WriteLine($"{string.Join(", ", wanted.Keys)}: {report}");
        sessions.ForEach(open => open.AssertOpen());
        sessions.ForEach(open => open.Dispose());

        Assert.That(report.Lost, Is.Empty);
        Assert.That(report.Errors, Has.None.Contains("password").And.None.Contains("authentication"));
        Assert.That(Ha.Members.Select(Ha.Started), Is.EqualTo(before), "no member was restarted");
        AssertFilesOpen();
        HaSetUp.Workspace.AssertNothingToDo();
    }

    private static void AssertMoved(string user, string former, string now)
    {
        foreach (var port in new[] { TrafficWriter.Direct, TrafficWriter.Pooled })
        {
            Assert.That(OpenSessions.Refusal(port, user, now), Is.Null);
            Assert.That(OpenSessions.Refusal(port, user, former), Is.Not.Null, $"port {port} still takes the former password of {user}");
        }
    }

    // Every password that stands in a file of a member opens the leader from there. Only a replica has a pgpass.
    private static void AssertFilesOpen()
    {
        var leader = Ha.Leader();
        var address = Lab.OnHost(leader, $"sed -n \"s/^  connect_address: '\\(.*\\):5432'$/\\1/p\" /opt/keybuzz/patroni/{Ha.PatroniFile}")
            .Trim();
        foreach (var (member, said) in Ha.Members.Zip(Lab.OnHosts(Ha.Members.Select(member => (member, Script(member))))))
        {
            Assert.That(
                said.Trim().Split('\n'),
                Has.Length.EqualTo(member == leader ? 2 : 3).And.All.EndsWith(" opens"),
                $"{member}: {said}"
            );
        }

        string Script(string member) =>
            $$"""
                docker exec -i patroni python3 - <<'END'
                import os, subprocess, yaml
                with open('/etc/patroni/{{Ha.PatroniFile}}') as file:
                    users = yaml.safe_load(file)['postgresql']['authentication']
                def login(what, place, command, **variables):
                    environment = {name: value for name, value in os.environ.items() if not name.startswith('PG')} | variables
                    ended = subprocess.run(['psql', '-X', '-A', '-t', '-w', 'host={{address}} port=5432 ' + place, '-c', command], env=environment, capture_output=True, text=True)
                    print(what, 'opens' if ended.returncode == 0 else ended.stderr)
                login('superuser', 'dbname=postgres user=' + users['superuser']['username'], 'SELECT 1', PGPASSWORD=users['superuser']['password'])
                login('replication', 'replication=true user=' + users['replication']['username'], 'IDENTIFY_SYSTEM', PGPASSWORD=users['replication']['password'])
                if '{{member}}' != '{{leader}}':
                    login('pgpass', 'replication=true user=' + users['replication']['username'], 'IDENTIFY_SYSTEM', PGPASSFILE='/tmp/pgpass')
                END
                """;
    }
}
