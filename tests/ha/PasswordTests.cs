using System.Text.RegularExpressions;
using KeyBuzz.Reconciler.LabTests;

namespace KeyBuzz.Reconciler.HaTests;

/// <summary>Each password is changed in the credentials file and by one apply, while sessions are open and an application writes.</summary>
[TestFixture]
[Category(Ha.Live)]
[DependsOnFixture(typeof(ParameterTests), AllowFailure = true)]
public sealed class PasswordTests
{
    [Test]
    public void The_applications_password()
    {
        Rotate("POSTGRES_APP_PASS", Ha.Application, Ha.ApplicationPassword, "canary-app-new");
        AssertMoved(Ha.Application, Ha.ApplicationPassword, "canary-app-new");
    }

    [Test]
    [DependsOnTest(nameof(The_applications_password), AllowFailure = true)]
    public void The_superusers_password()
    {
        Rotate("POSTGRES_SUPERPASS", Ha.Superuser, "canary-super-Zq7xW4", "canary-super-new");
        AssertMoved(Ha.Superuser, "canary-super-Zq7xW4", "canary-super-new");
    }

    [Test]
    [DependsOnTest(nameof(The_superusers_password), AllowFailure = true)]
    public void The_replication_users_password_and_a_replica_that_has_to_connect_again_finds_it()
    {
        Rotate("POSTGRES_REPL_PASS", Ha.Superuser, Ha.Secret("POSTGRES_SUPERPASS"), "canary-repl:new");

        foreach (var replica in Ha.Members.Where(member => member != Ha.Leader()))
        {
            Assert.That(Lab.OnHost(replica, "docker exec patroni cat /tmp/pgpass"), Does.Contain(@"canary-repl\:new"), replica);
        }

        Ha.Sql(Ha.Leader(), "SELECT pg_terminate_backend(pid) FROM pg_stat_replication");
        Ha.UntilHealthy(HaSetUp.Workspace, TimeSpan.FromSeconds(120));
    }

    [Test]
    [DependsOnTest(nameof(The_replication_users_password_and_a_replica_that_has_to_connect_again_finds_it), AllowFailure = true)]
    public void The_password_of_Patronis_REST_API()
    {
        Rotate("PATRONI_REST_PASS", Ha.Superuser, Ha.Secret("POSTGRES_SUPERPASS"), "canary-rest-new");

        foreach (var member in Ha.Members)
        {
            Assert.That(Patch(member, "canary-rest-Vb5nQ1"), Is.EqualTo("401"), member);
            Assert.That(Patch(member, "canary-rest-new"), Is.EqualTo("200"), member);
        }

        static string Patch(string member, string password) =>
            Lab.OnHost(
                member,
                $"curl -s -m 10 -o /dev/null -w '%{{http_code}}' -u kbr_rest:{password} -X PATCH -H 'Content-Type: "
                    + $"application/json' -d '{{\"nothing\": null}}' http://$(hostname):8008/config"
            );
    }

    [Test]
    [DependsOnTest(nameof(The_password_of_Patronis_REST_API), AllowFailure = true)]
    public void The_password_of_the_poolers_statistics()
    {
        Rotate("PGBOUNCER_STATS_PASS", Ha.Superuser, Ha.Secret("POSTGRES_SUPERPASS"), "canary-stats-new");

        foreach (var proxy in Ha.Proxies)
        {
            Assert.That(Show(proxy, "canary-stats-new"), Does.Contain("PgBouncer 1."), proxy);
            Assert.That(Show(proxy, "canary-stats-Yt4cF7"), Does.Contain("authentication failed"), proxy);
        }

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
    [DependsOnTest(nameof(The_password_of_the_poolers_statistics), AllowFailure = true)]
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

    // Changes it under open sessions of a user, who may be the one whose password it is, and under a writer.
    private static void Rotate(string name, string user, string password, string wanted)
    {
        var before = Ha.Members.Select(Ha.Started).ToList();
        using var sessions = new OpenSessions(user, password);
        using var writer = TrafficWriter.Start("rotated", TrafficWriter.Pooled);
        Ha.Credentials = Regex.Replace(Ha.Credentials, $"(?m)^{name}=.*$", $"{name}={wanted}");

        HaSetUp.Workspace.Apply();

        writer.Password = Ha.Secret("POSTGRES_APP_PASS");
        var report = writer.Stop();
        TestContext.Out.WriteLine($"{name}: {report}");
        sessions.AssertOpen();
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
