using KeyBuzz.Reconciler.LabTests;

namespace KeyBuzz.Reconciler.HaTests;

/// <summary>What somebody changed by hand is shown as exactly that, and mended without a second member disturbed.</summary>
[TestFixture]
[Category(Ha.Slice2)]
[DependsOnFixture(typeof(InstallTests), AllowFailure = true)]
public sealed class HandMadeChangeTests
{
    private const string OnLeader = "leader";
    private const string OnReplica = "replica";

    // What leaves the others alone is done at once: the plan still has to show each, and nothing else.
    private static IEnumerable<TestCaseData> Changes()
    {
        yield return Case(
            "the passwords of a role and of the superuser, an extension, haproxy.cfg, pgbouncer.ini and userlist.txt",
            [
                new(
                    OnLeader,
                    Psql("ALTER ROLE kb_app PASSWORD 'another'")
                        + Psql("ALTER ROLE kb_admin PASSWORD 'another'")
                        + Psql("DROP EXTENSION vector", "keybuzz"),
                    "role.kb_app@keybuzz-pg update drift password",
                    "role.kb_admin@keybuzz-pg update drift password",
                    "extension.vector@keybuzz-pg create drift *"
                ),
                new(
                    "haproxy-02",
                    "echo '# by hand' >> $(find /opt/keybuzz -name haproxy.cfg); echo ';; by hand' >> $(find "
                        + "/opt/keybuzz -name pgbouncer.ini); echo '\"mallory\" \"x\"' >> $(find /opt/keybuzz -name "
                        + "userlist.txt)",
                    "config_file.haproxy@HOST update drift content",
                    "config_file.pgbouncer@HOST update drift content",
                    "config_file.pgbouncer-users@HOST update drift content"
                ),
            ]
        );
        yield return Case(
            "a role, a key of the dynamic configuration and one by ALTER SYSTEM, patroni.yml, a unit that does not start at boot any more",
            [
                new(
                    OnLeader,
                    Psql("REASSIGN OWNED BY kb_app TO kb_admin")
                        + Psql("DROP OWNED BY kb_app", "keybuzz")
                        + Psql("ALTER DATABASE keybuzz OWNER TO kb_admin; DROP ROLE kb_app")
                        + "docker exec -i patroni python3 - <<'P'\nimport yaml, json, base64, urllib.request as u\nc = "
                        + $"yaml.safe_load(open('/etc/patroni/{Ha.PatroniFile}'))['restapi']\n"
                        + "r = u.Request('http://' + c['connect_address'] + '/config', method='PATCH', "
                        + "data=json.dumps({'maximum_lag_on_failover': 77}).encode(), headers={'Authorization': 'Basic ' + "
                        + "base64.b64encode((c['authentication']['username'] + ':' + "
                        + "c['authentication']['password']).encode()).decode()})\nu.urlopen(r)\nP",
                    "role.kb_app@keybuzz-pg create drift *",
                    "database.keybuzz@keybuzz-pg update drift owner",
                    "patroni_config.keybuzz-pg@keybuzz-pg update drift maximum_lag_on_failover,postgresql.parameters.work_mem"
                ),
                new(
                    OnReplica,
                    Psql("ALTER SYSTEM SET work_mem = '5MB'; SELECT pg_reload_conf()")
                        + $"echo '# by hand' >> $(find /opt/keybuzz -name {Ha.PatroniFile}); systemctl disable --quiet patroni.service",
                    "config_file.patroni@HOST update drift content",
                    "systemd_unit.patroni@HOST update drift enabled"
                ),
            ]
        );
        yield return Case(
                "RAFT's password on one member, which was started with it",
                [
                    new(
                        OnReplica,
                        "sed -i 's/canary-raft-[A-Za-z0-9]*/another/' $(find /opt/keybuzz -name patroni.yml) && systemctl "
                            + "restart patroni.service && for i in $(seq 60); do curl -s -m 2 http://$(hostname):8008/patroni | "
                            + "grep -q running && break; sleep 1; done",
                        "config_file.patroni@HOST update drift content",
                        "group.keybuzz-pg@keybuzz-pg bring_to_health drift *"
                    ),
                ]
            )
            .SetCategory(Ha.OfRaft);
        yield return Case(
            "a unit that was stopped, and a drop-in that it would start with",
            [
                new(
                    OnReplica,
                    "systemctl stop patroni.service; mkdir -p /etc/systemd/system/patroni.service.d; printf "
                        + "'[Service]\\nEnvironment=BY_HAND=1\\n' >/etc/systemd/system/patroni.service.d/x.conf; systemctl "
                        + "daemon-reload",
                    "systemd_unit.patroni@HOST update drift active,drop_ins",
                    "group.keybuzz-pg@keybuzz-pg bring_to_health drift members"
                ),
            ]
        );
    }

    // What a failed test left changed must not be what the next one finds.
    [TearDown]
    public void Mend()
    {
        if (TestContext.CurrentContext.Result.FailCount > 0)
        {
            HaSetUp.Workspace.Kbr("apply", "--auto-approve");
        }
    }

    [TestCaseSource(nameof(Changes))]
    public void Changes_by_hand_are_shown_as_exactly_that_and_mended_without_another_member_disturbed(ByHand[] changes)
    {
        var leader = Ha.Leader();
        var replica = Ha.Members.First(member => member != leader);
        var expected = new List<string>();
        foreach (var change in changes)
        {
            var host = change.Where switch
            {
                OnLeader => leader,
                OnReplica => replica,
                _ => change.Where,
            };
            Lab.OnHost(host, change.Command);
            expected.AddRange(change.Expected.Select(line => line.Replace("HOST", host)));
        }

        // kbr mends the primary while it runs, so the primary must not start anew either.
        var others = Ha.Members.Where(member => member != replica || changes.All(change => change.Where != OnReplica)).ToList();
        var before = others.Select(Ha.Started).ToList();

        var plan = HaSetUp.Workspace.Plan();
        Assert.That(plan.Select(line => Comparable(line, expected)), Is.EquivalentTo(expected));

        var drift = expected.ConvertAll(Workspace.AsDrift);
        Assert.That(HaSetUp.Workspace.Drift().Select(line => Comparable(line, drift)), Is.EquivalentTo(drift), "kbr drift says the same");

        // It ends with the status, and fails where a line of that does not hold.
        HaSetUp.Workspace.Apply();

        HaSetUp.Workspace.AssertNothingToDo();
        Assert.That(others.Select(Ha.Started), Is.EqualTo(before), "no other member was disturbed");
    }

    // Of what is made anew all attributes are named: those are not repeated here.
    private static string Comparable(string line, List<string> expected)
    {
        var any = line[..(line.LastIndexOf(' ') + 1)] + "*";
        return expected.Contains(any) ? any : line;
    }

    private static string Psql(string sql, string database = "postgres") =>
        $"docker exec -i patroni psql -X -q -v ON_ERROR_STOP=1 -U {Ha.Superuser} -d {database} -o /dev/null "
        + $"<<'END_OF_SQL'\n{sql.Replace("; ", ";\n")};\nEND_OF_SQL\n";

    private static TestCaseData Case(string what, ByHand[] changes) => new TestCaseData(new object[] { changes }).SetArgDisplayNames(what);

    /// <summary>What somebody does on one host, and what the plan says of it.</summary>
    public sealed record ByHand(string Where, string Command, params string[] Expected);
}
