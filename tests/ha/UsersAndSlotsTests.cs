using System.Text.Json;
using System.Text.RegularExpressions;
using KeyBuzz.Reconciler.LabTests;

namespace KeyBuzz.Reconciler.HaTests;

/// <summary>Users and databases whose names have to be quoted, the login of a user that is taken out, permanent slots, and a restart that
/// was left pending.</summary>
[TestFixture]
[Category(Ha.Slice8)]
[DependsOnFixture(typeof(InstallTests), AllowFailure = true)]
public sealed class UsersAndSlotsTests
{
    private const string Weird = "weird \"quoted\"";

    private string _before;

    [OneTimeSetUp]
    public void Remember() => _before = HaSetUp.Workspace.Yaml;

    [OneTimeTearDown]
    public void Back()
    {
        HaSetUp.Workspace.Yaml = _before;
        HaSetUp.Workspace.Apply();
        HaSetUp.Workspace.AssertNothingToDo();
    }

    [Test]
    public void Names_that_need_quotes_work_everywhere_and_a_removed_user_has_no_login_and_no_session()
    {
        var password = "${secret.POSTGRES_APP_PASS}";
        Declare(
            $"""
              users:
                - name: Mein-Benutzer
                  password: "{password}"
                - name: 'weird "quoted"'
                  password: "{password}"
              databases:
                - name: app.v2
                  owner: Mein-Benutzer
                - name: my größe
                  owner: 'weird "quoted"'
                  pooled: false
              slots: [kbr_test]

            """
        );

        HaSetUp.Workspace.Apply();

        HaSetUp.Workspace.AssertNothingToDo();
        Assert.That(LogIn("Mein-Benutzer", "app.v2", 5432), Is.EqualTo("Mein-Benutzer app.v2"));
        Assert.That(LogIn("Mein-Benutzer", "app.v2", 6432), Is.EqualTo("Mein-Benutzer app.v2"));
        Assert.That(LogIn(Weird, "my größe", 5432), Is.EqualTo($"{Weird} my größe"));
        Assert.That(LogIn(Weird, "app.v2", 6432), Is.EqualTo($"{Weird} app.v2"));
        Assert.That(Slots(), Does.Contain("kbr_test"));

        // Dropped by hand it comes back by Patroni; what is declared no more goes.
        Ha.Sql(Ha.Leader(), "SELECT pg_drop_replication_slot('kbr_test')");
        Lab.Until(() => Slots().Contains("kbr_test", StringComparison.Ordinal), TimeSpan.FromSeconds(60), "Patroni making the slot again");
        using var session = Lab.StartOn(
            Ha.Members[0],
            Client(Weird, "my größe", 5432, "CREATE TABLE owned (id int)", "SELECT pg_sleep(300)")
        );
        Lab.Until(() => Sessions("AND query LIKE 'SELECT pg_sleep%'") == "1", TimeSpan.FromSeconds(30), "its session");
        Declare(
            """
              users:
                - name: Mein-Benutzer
                  password: "${secret.POSTGRES_APP_PASS}"
                - name: 'weird "quoted"'
                  drop: true
              databases:
                - name: app.v2
                  owner: Mein-Benutzer
                - name: my größe
                  owner: Mein-Benutzer
                  pooled: false

            """
        );

        var refused = HaSetUp.Workspace.Kbr("apply", "--auto-approve");

        Assert.That(refused.ExitCode, Is.EqualTo(1), refused.All);
        Assert.That(
            refused.All,
            Does.Contain("cannot be dropped because some objects depend on it").And.Contain("REASSIGN OWNED BY \"weird \"\"quoted\"\"\" TO")
        );
        Assert.That(Sessions(), Is.EqualTo("0"), "its sessions are ended, those of the pools too");
        Assert.That(LogIn(Weird, "app.v2", 5432), Does.Contain("is not permitted to log in"));
        Assert.That(LogIn(Weird, "app.v2", 6432), Does.Contain("SASL authentication failed"));
        Assert.That(Slots(), Does.Not.Contain("kbr_test"));

        // Taken out without the word it only loses its login.
        Declare("");
        var plan = HaSetUp.Workspace.Kbr("plan");
        Assert.That(
            plan.Output,
            Does.Contain(
                "- role.Mein-Benutzer@keybuzz-pg  role:Mein-Benutzer  removed from the configuration\n      its login "
                    + "is revoked and its sessions end"
            )
        );
        HaSetUp.Workspace.Apply();
        HaSetUp.Workspace.AssertNothingToDo();
        Assert.That(LogIn("Mein-Benutzer", "app.v2", 5432), Does.Contain("is not permitted to log in"));
        Assert.That(
            Ha.Sql(Ha.Leader(), "SELECT count(*) FROM pg_database WHERE datname IN ('app.v2', 'my größe')"),
            Is.EqualTo("2"),
            "databases stay"
        );
    }

    [Test]
    public void Only_a_member_with_a_pending_restart_is_restarted_and_none_while_Patroni_is_paused()
    {
        var replica = Ha.Members.First(member => member != Ha.Leader());
        var others = Ha.Members.Where(member => member != replica).ToList();
        Pause("true");
        Lab.Until(
            () => HaSetUp.Workspace.Kbr("status").Output.Contains("; paused", StringComparison.Ordinal),
            TimeSpan.FromSeconds(60),
            "the pause"
        );
        var paused = HaSetUp.Workspace.Kbr("restart", "--all", "--auto-approve");
        Pause("null");
        Assert.That(
            (paused.ExitCode, paused.Error.Contains("keybuzz-pg is paused", StringComparison.Ordinal)),
            Is.EqualTo((1, true)),
            paused.All
        );

        Alter(replica, "ALTER SYSTEM SET max_files_per_process = 1234");
        try
        {
            Lab.Until(() => WaitsForRestart(replica), TimeSpan.FromSeconds(60), "the pending restart");
            Assert.That(
                HaSetUp.Workspace.Kbr("status").Output,
                Does.Contain($"max_files_per_process: 1234 on {replica} (ALTER SYSTEM), in force only after the next start of {replica}")
            );
            var started = others.Select(Ha.Started).ToList();
            var before = Ha.Started(replica);

            var outcome = HaSetUp.Workspace.Kbr("restart", "--auto-approve", "--json");

            Assert.That(outcome.ExitCode, Is.Zero, outcome.All);
            using var document = JsonDocument.Parse(outcome.Output.Split('\n')[0]);
            Assert.That(
                document.RootElement.GetProperty("restarted").EnumerateArray().Select(name => name.GetString()),
                Is.EqualTo(new[] { replica })
            );
            Assert.That(Ha.Started(replica), Is.Not.EqualTo(before));
            Assert.That(others.Select(Ha.Started), Is.EqualTo(started), "nobody else was");
            Assert.That(Ha.Sql(replica, "SHOW max_files_per_process"), Is.EqualTo("1234"));
        }
        finally
        {
            Alter(replica, "ALTER SYSTEM RESET max_files_per_process");
        }

        Lab.Until(() => WaitsForRestart(replica), TimeSpan.FromSeconds(60), "the restart that the former value needs");
        Assert.That(HaSetUp.Workspace.Kbr("restart", "--auto-approve").ExitCode, Is.Zero);
    }

    // By Patroni's word, which is what kbr restart goes by.
    private static bool WaitsForRestart(string member) =>
        Lab.OnHost(member, "curl -s -m 5 http://$(hostname):8008/patroni || true")
            .Contains("\"pending_restart\": true", StringComparison.Ordinal);

    private void Declare(string lines)
    {
        Assert.That(_before, Does.Contain("  extensions: [vector]\n"));
        HaSetUp.Workspace.Yaml = _before.Replace("  extensions: [vector]\n", lines + "  extensions: [vector]\n");
    }

    private static string LogIn(string user, string database, int port) =>
        Lab.OnHost(Ha.Members[0], Client(user, database, port, "SELECT concat(session_user, ' ', current_database())") + " || :").Trim();

    private static string Client(string user, string database, int port, params string[] statements) =>
        $"docker exec -e PGUSER='{user}' -e PGDATABASE='{database}' -e PGPASSWORD={Ha.ApplicationPassword} -e "
        + $"PGCONNECT_TIMEOUT=10 patroni psql -X -q -At -h {Balancer()} -p {port} "
        + string.Join(' ', statements.Select(statement => $"-c \"{statement}\""))
        + " 2>&1";

    private static string Balancer() => Regex.Match(HaSetUp.Workspace.Yaml, @"load_balancer: \{ address: ([0-9.]+)").Groups[1].Value;

    private static string Slots() => Ha.Sql(Ha.Leader(), "SELECT slot_name FROM pg_replication_slots");

    private static string Sessions(string which = "") =>
        Ha.Sql(Ha.Leader(), $"SELECT count(*) FROM pg_stat_activity WHERE usename = '{Weird}' {which}");

    // Patroni sees what waits for a restart when it reloads.
    private static void Alter(string member, string statement)
    {
        Ha.Sql(member, statement);
        Lab.OnHost(member, "docker kill --signal HUP patroni");
    }

    private static void Pause(string value) =>
        Lab.OnHost(
            Ha.Members[0],
            $"curl -s -f -m 10 -u kbr_rest:canary-rest-Vb5nQ1 -X PATCH -H 'Content-Type: application/json' -d "
                + $"'{{\"pause\": {value}}}' http://$(hostname):8008/config"
        );
}
