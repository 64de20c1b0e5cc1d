using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using KeyBuzz.Reconciler.LabTests;
using KeyBuzz.Reconciler.Tests.Cli;

namespace KeyBuzz.Reconciler.HaTests;

/// <summary>What the checklist says of a cluster that is not whole.</summary>
[TestFixture]
[Category(Ha.Slice5)]
[DependsOnFixture(typeof(InstallTests), AllowFailure = true)]
public sealed class StatusTests
{
    [Test]
    public void A_pooler_that_is_down_is_named_in_every_line_it_concerns_and_the_exit_code_is_2()
    {
        Lab.OnHost("haproxy-02", "systemctl stop pgbouncer.service");
        try
        {
            var status = HaSetUp.Workspace.Kbr("status");

            Assert.That(status.ExitCode, Is.EqualTo(2), status.All);
            Assert.That(
                Line(status, "units"),
                Does.StartWith("NOT OK")
                    .And.Contain("patroni 3/3, haproxy 2/2, pgbouncer 1/2")
                    .And.Contain("pgbouncer on haproxy-02 is inactive")
            );
            Assert.That(Line(status, "containers"), Does.StartWith("NOT OK").And.Contain("pgbouncer on haproxy-02 is exited"));
            Assert.That(Line(status, "listeners"), Does.StartWith("NOT OK").And.Contain(":6433 refuses"));
            Assert.That(Line(status, "leader"), Does.StartWith("ok"), "what is well is still said to be");
            Assert.That(status.Output, Does.Contain("keybuzz-pg is not healthy"));
        }
        finally
        {
            Lab.OnHost("haproxy-02", "systemctl start pgbouncer.service");
        }

        Ha.UntilHealthy(HaSetUp.Workspace, TimeSpan.FromSeconds(60));
    }

    [Test]
    public void Patroni_and_its_store_listen_on_the_private_address_only()
    {
        string[] ports = Ha.OnEtcd ? [":8008", ":2379", ":2380"] : [":8008", ":7000"];
        foreach (var member in Ha.Members)
        {
            var own = Lab.OnHost(member, "hostname -i").Trim().Split(' ')[0];
            var listening = Lab.OnHost(member, "ss -ltnH")
                .Split('\n')
                .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
                .Where(words => words.Length > 3)
                .Select(words => words[3])
                .Where(address => ports.Any(port => address.EndsWith(port, StringComparison.Ordinal)));
            Assert.That(listening, Is.EquivalentTo(ports.Select(port => own + port)), member);
        }
    }

    [Test]
    public void JSON_output_of_the_cluster_is_valid_by_the_schemas()
    {
        foreach (
            var arguments in (string[][])
                [
                    ["status"],
                    ["plan"],
                    ["drift"],
                    ["check"],
                    ["state", "list"],
                    ["graph"],
                ]
        )
        {
            var outcome = HaSetUp.Workspace.Kbr([.. arguments, "--json"]);
            Assert.That(outcome.ExitCode, Is.Zero, outcome.All);
            Assert.That(JsonSchemas.Problems(outcome.Output), Is.Empty, outcome.Output);
        }
    }

    [Test]
    public void An_unreachable_member_is_named_the_others_are_measured_and_the_exit_code_is_1()
    {
        var host = Ha.Members.First(member => member != Ha.Leader());
        Lab.Command("off", host);
        try
        {
            var status = HaSetUp.Workspace.Kbr("status");
            Assert.That(status.ExitCode, Is.EqualTo(1), status.All);
            Assert.That(
                status.Output,
                Does.StartWith("keybuzz-pg is not healthy. Writes: OK through ")
                    .And.Contain($". Redundancy: 2 of 3. Cause: {host} unreachable.\n")
            );
            Assert.That(status.Output, Does.Contain("\n\nNOT OK   quorum ").And.EndWith($"\n\nNext: bring {host} back, then: kbr plan\n"));
            Assert.That(Line(status, "hosts"), Does.StartWith("unknown").And.Contain(host));
            Assert.That(Line(status, "streaming"), Does.StartWith("NOT OK").And.Contain("1 of 2"));
            Assert.That(Line(status, "sql through HAProxy"), Does.StartWith("ok"));

            var plan = HaSetUp.Workspace.Kbr("plan");
            Assert.That(plan.ExitCode, Is.EqualTo(1), plan.All);
            Assert.That(plan.All, Does.Contain(host).And.Contain("Plan: 0 to create"));
            Assert.That(
                plan.Error.Split('\n')
                    .Count(line =>
                        line.StartsWith("Warning", StringComparison.Ordinal) || line.StartsWith("Error", StringComparison.Ordinal)
                    ),
                Is.EqualTo(1),
                plan.Error
            );
            var drift = HaSetUp.Workspace.Kbr("drift");
            Assert.That(drift.ExitCode, Is.EqualTo(1), drift.All);
            Assert.That(drift.Output, Does.Contain($"! not compared: {host}, ").And.Not.Contain("not applied yet"));
            // There is nothing that it could do, and it says so at once rather than wait for the member.
            var apply = HaSetUp.Workspace.Kbr("apply", "--auto-approve");
            Assert.That(apply.ExitCode, Is.EqualTo(1), apply.All);
            Assert.That(apply.All, Does.Contain($"! {host}").And.Not.Contain("checking again"));
            foreach (
                var command in (string[][])
                    [
                        ["switchover"],
                        ["drill", "--kind", "kill"],
                    ]
            )
            {
                var refused = HaSetUp.Workspace.Kbr([.. command, "--auto-approve"]);
                Assert.That(refused.ExitCode, Is.EqualTo(1), refused.All);
                Assert.That(refused.Error, Does.Contain("keybuzz-pg is not healthy").And.Contain(host));
            }
        }
        finally
        {
            Lab.Command("on", host);
        }

        Ha.UntilHealthy(HaSetUp.Workspace, TimeSpan.FromSeconds(120));
        HaSetUp.Workspace.AssertNothingToDo();
    }

    [Test]
    public void A_replica_cut_off_from_its_peers_is_named_as_lost_by_the_store_while_SQL_continues()
    {
        var host = Ha.Members.First(member => member != Ha.Leader());
        Lab.Command("cut", host, "--peers");
        try
        {
            // A member that led the store claims to for a while after it was cut off.
            Lab.Until(
                () =>
                    Regex.IsMatch(
                        Line(HaSetUp.Workspace.Kbr("status"), "quorum"),
                        $"^NOT OK .*connected to 1 of 2 partners; {host}: {(Ha.OnEtcd ? "etcd" : "RAFT")}'s leader "
                            + "\\S+ is not connected to it"
                    ),
                TimeSpan.FromSeconds(90),
                "the store losing the member"
            );

            var status = HaSetUp.Workspace.Kbr("status");
            Assert.That(status.ExitCode, Is.EqualTo(2), status.All);
            Assert.That(Line(status, "sql through load balancer"), Does.StartWith("ok"));
        }
        finally
        {
            Lab.Command("heal", host);
        }

        Ha.UntilHealthy(HaSetUp.Workspace, TimeSpan.FromSeconds(120));
        HaSetUp.Workspace.AssertNothingToDo();
    }

    [Test]
    public void A_container_that_was_killed_comes_back_by_itself()
    {
        var replica = Ha.Members.First(member => member != Ha.Leader());
        Lab.Command("kill", replica, "patroni");
        Lab.Command("kill", "haproxy-01", "haproxy");
        Lab.Command("kill", "haproxy-01", "pgbouncer");

        Ha.UntilHealthy(HaSetUp.Workspace, TimeSpan.FromSeconds(120));
        HaSetUp.Workspace.AssertNothingToDo();
    }

    [Test]
    public void A_load_balancer_that_was_pointed_at_a_member_is_named_while_the_proxies_go_on()
    {
        Lab.Command("balancer", "targets", Ha.Leader());
        try
        {
            Lab.Until(
                () => Line(HaSetUp.Workspace.Kbr("status"), "sql through load balancer").StartsWith("NOT OK", StringComparison.Ordinal),
                TimeSpan.FromSeconds(60),
                "the balancer's new target"
            );

            var status = HaSetUp.Workspace.Kbr("status");
            Assert.That(status.ExitCode, Is.EqualTo(2), status.All);
            Assert.That(
                Line(status, "sql through load balancer"),
                Does.Contain("no pg_hba.conf entry for host").And.Contain(".10\""),
                "a member lets nobody in who did not come through a proxy"
            );
            Assert.That(Line(status, "sql through HAProxy"), Does.StartWith("ok"));
        }
        finally
        {
            Lab.Command("balancer", "default");
        }

        Ha.UntilHealthy(HaSetUp.Workspace, TimeSpan.FromSeconds(60));
    }

    [Test]
    public void A_slot_without_a_consumer_is_named_with_the_WAL_that_it_holds_and_the_last_change_with_who_made_it()
    {
        var leader = Ha.Leader();
        Ha.Configure("""{"slots": {"stuck": {"type": "physical"}}}""");
        try
        {
            Lab.Until(
                () => Ha.Sql(leader, "SELECT count(restart_lsn) FROM pg_replication_slots WHERE slot_name = 'stuck'", "postgres") == "1",
                TimeSpan.FromSeconds(60),
                "the slot"
            );
            Assert.That(HaSetUp.Workspace.Kbr("status").Output, Does.Not.Contain(" slots "), "it holds next to nothing yet");

            // A twentieth of 8 GiB are 410 MiB.
            Ha.Sql(
                leader,
                "DO $$ BEGIN FOR i IN 1..30 LOOP PERFORM pg_logical_emit_message(false, 'kbr', 'x'); PERFORM pg_switch_wal(); END LOOP; END $$"
            );
            var status = HaSetUp.Workspace.Kbr("status");

            Assert.That(status.ExitCode, Is.EqualTo(2), status.All);
            Assert.That(
                Line(status, "slots"),
                Does.StartWith("NOT OK")
                    .And.Match(
                        $"stuck on {leader} has (had )?no consumer.*, and holds [45][0-9]{{2}}.*MiB of WAL: without max_slot_wal_keep_size"
                    )
            );
            Assert.That(Line(status, "last change"), Does.Match("^ok .* by .*, [0-9]+ (s|min|h) ago: [0-9]+ done"));
            var measures = Measures();
            Assert.That(Measure(measures, "slot_held_bytes", leader, "stuck"), Is.GreaterThan(400L << 20));
            Assert.That(Measure(measures, "slot_active", leader, "stuck"), Is.Zero);
        }
        finally
        {
            Ha.Configure("""{"slots": {"stuck": null}}""");
        }

        Ha.UntilHealthy(HaSetUp.Workspace, TimeSpan.FromSeconds(60));
        HaSetUp.Workspace.AssertNothingToDo();
    }

    [Test]
    public void A_restart_that_is_pending_is_named_with_its_parameter_and_members()
    {
        Ha.Configure("""{"postgresql": {"parameters": {"track_activity_query_size": "2kB"}}}""");
        try
        {
            Lab.Until(
                () => Measures() is var measures && Ha.Members.All(member => Measure(measures, "pending_restart", member) == 1),
                TimeSpan.FromSeconds(60),
                "Patroni noticing on every member"
            );
            var status = HaSetUp.Workspace.Kbr("status");
            Assert.That(status.ExitCode, Is.EqualTo(2), status.All);
            Assert.That(
                Line(status, "parameters"),
                Does.StartWith("NOT OK")
                    .And.Contain($"track_activity_query_size: 2kB, restart pending on {string.Join(", ", Ha.Members)}; not declared")
            );
        }
        finally
        {
            Ha.Configure("""{"postgresql": {"parameters": {"track_activity_query_size": null}}}""");
        }

        Ha.UntilHealthy(HaSetUp.Workspace, TimeSpan.FromSeconds(60));
        var after = Measures();
        Assert.That(Ha.Members.Select(member => Measure(after, "pending_restart", member)), Is.All.Zero);
    }

    [Test]
    public void A_line_that_PostgreSQL_would_not_start_with_is_named_with_its_file()
    {
        var replica = Ha.Members.First(member => member != Ha.Leader());
        var file = Ha.Sql(replica, "SHOW data_directory") + "/postgresql.auto.conf";
        Lab.OnHost(replica, $"docker exec patroni sh -c 'cp -p {file} {file}.kbr-test && echo \"deadlock_timeout = soon\" >>{file}'");
        try
        {
            var status = HaSetUp.Workspace.Kbr("status");
            Assert.That(status.ExitCode, Is.EqualTo(2), status.All);
            Assert.That(
                Line(status, "parameters"),
                Does.Match(
                    $"^NOT OK .*deadlock_timeout: line [0-9]+ of postgresql.auto.conf on {replica} is refused \\(.+\\): PostgreSQL would not start "
                        + "with it"
                )
            );
            Assert.That(Measure(Measures(), "settings_refused", replica), Is.EqualTo(1));
            // And so it is.
            var refused = Lab.OnHost(
                replica,
                "docker exec -u postgres patroni sh -c '$(ls -d /usr/lib/postgresql/*/bin | tail -1)/postgres -C deadlock_timeout -D "
                    + $"{Path.GetDirectoryName(file)} 2>&1 || echo refused'"
            );
            Assert.That(refused, Does.Contain("deadlock_timeout").And.EndWith("refused\n"));
        }
        finally
        {
            Lab.OnHost(replica, $"docker exec patroni mv {file}.kbr-test {file}");
        }

        Ha.UntilHealthy(HaSetUp.Workspace, TimeSpan.FromSeconds(60));
        Assert.That(Measure(Measures(), "settings_refused", replica), Is.Zero);
    }

    [Test]
    public void A_volume_that_is_nearly_full_is_named_and_no_apply_waits_for_it()
    {
        var replica = Ha.Members.First(member => member != Ha.Leader());
        var directory = Path.GetDirectoryName(Ha.Sql(replica, "SHOW data_directory"));
        var free = long.Parse(Lab.OnHost(replica, $"df -B1 --output=avail {directory} | tail -1"), CultureInfo.InvariantCulture);
        Lab.OnHost(replica, $"fallocate -l {free - (500L << 20)} {directory}/filler");
        try
        {
            var status = HaSetUp.Workspace.Kbr("status");
            Assert.That(status.ExitCode, Is.EqualTo(2), status.All);
            Assert.That(
                Line(status, "volume"),
                Does.Match($"^NOT OK .*{replica} 9[0-9] % used, (4[0-9]{{2}}|500).* MiB free.*\\(bound 85 %\\)")
            );
            Assert.That(Measure(Measures(), "volume_free_bytes", replica), Is.InRange(1, 501L << 20));
            Assert.That(Line(status, "leader"), Does.StartWith("ok"));
            var apply = HaSetUp.Workspace.Kbr("apply", "--auto-approve");
            Assert.That(apply.ExitCode, Is.Zero, apply.All);
        }
        finally
        {
            Lab.OnHost(replica, $"rm {directory}/filler");
        }

        Ha.UntilHealthy(HaSetUp.Workspace, TimeSpan.FromSeconds(60));
    }

    [Test]
    public void Slots_are_limited_to_a_part_of_the_volume_and_the_plan_says_how_much_that_is()
    {
        var yaml = HaSetUp.Workspace.Yaml;
        HaSetUp.Workspace.Yaml = yaml.Replace("    work_mem: 8MB\n", "    work_mem: 8MB\n    max_slot_wal_keep_size: 30%\n");
        try
        {
            var plan = HaSetUp.Workspace.Kbr("plan");
            Assert.That(plan.Output, Does.Match("max_slot_wal_keep_size: 30% of the smallest volume are 2[0-9]{3}MB"));
            Assert.That(HaSetUp.Workspace.Made(), Is.EqualTo(new[] { "patroni_config.keybuzz-pg@keybuzz-pg" }));
            HaSetUp.Workspace.AssertNothingToDo();
            var measures = Measures();
            foreach (var member in Ha.Members)
            {
                Assert.That(Ha.Sql(member, "SHOW max_slot_wal_keep_size"), Does.Match("^2[0-9]{3}MB$"), member);
                Assert.That(Measure(measures, "slot_limit_bytes", member), Is.InRange(2000L << 20, 2999L << 20));
            }

            // By hand it is drift like any other value.
            Ha.Configure("""{"postgresql": {"parameters": {"max_slot_wal_keep_size": "100MB"}}}""");
            Assert.That(HaSetUp.Workspace.Kbr("drift").ExitCode, Is.EqualTo(2));
            HaSetUp.Workspace.Apply();
            HaSetUp.Workspace.AssertNothingToDo();
        }
        finally
        {
            HaSetUp.Workspace.Yaml = yaml;
        }

        HaSetUp.Workspace.Apply();
        HaSetUp.Workspace.AssertNothingToDo();
        Assert.That(Ha.Sql(Ha.Leader(), "SHOW max_slot_wal_keep_size"), Is.EqualTo("-1"));
    }

    private static JsonArray Measures() => JsonNode.Parse(HaSetUp.Workspace.Kbr("status", "--json").Output)["measures"].AsArray();

    private static long? Measure(JsonArray measures, string name, string host, string slot = null) =>
        measures
            .Where(one =>
                (string)one["name"] == name
                && (string)one["labels"]["host"] == host
                && (slot is null || (string)one["labels"]["slot"] == slot)
            )
            .Select(one => (long?)one["value"])
            .SingleOrDefault();

    [TestCase("POST", "/restart")]
    [TestCase("POST", "/switchover")]
    [TestCase("POST", "/reinitialize")]
    [TestCase("PATCH", "/config")]
    public void Patronis_REST_API_refuses_changes_without_its_password(string method, string path)
    {
        var answer = Lab.OnHost(
            "db-slave-01",
            $"curl -s -m 10 -o /dev/null -w '%{{http_code}}' -X {method} -H 'Content-Type: application/json' -d "
                + $"'{{}}' http://$(hostname):8008{path}"
        );

        Assert.That(answer, Is.EqualTo("401"));
    }

    private static string Line(Outcome status, string item) =>
        status.Output.Split('\n').FirstOrDefault(line => Regex.IsMatch(line, $"^(ok|NOT OK|unknown) +{Regex.Escape(item)} "))
        ?? $"there is no line '{item}' in {status.All}";
}
