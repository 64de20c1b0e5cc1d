using KeyBuzz.Reconciler.LabTests;

namespace KeyBuzz.Reconciler.HaTests;

/// <summary>From empty hosts to a cluster with nothing left to do.</summary>
[TestFixture]
public sealed class InstallTests
{
    [Test]
    public void One_apply_on_empty_hosts_ends_with_a_healthy_cluster()
    {
        var (outcome, _) = HaSetUp.FirstApply;

        Assert.That(outcome.ExitCode, Is.Zero, outcome.All);
        Assert.That(outcome.Output, Does.Contain("Apply complete").And.Contain($"{Ha.Scope} is healthy."));
        Assert.That(outcome.Output, Does.Not.Contain("NOT OK").And.Not.Contain("unknown  "));
        Ha.AssertHealthy(HaSetUp.Workspace);
    }

    [Test]
    public void A_plan_right_after_is_empty_and_a_second_apply_disrupts_no_member()
    {
        var before = Ha.Members.Select(Ha.Started).ToList();

        HaSetUp.Workspace.AssertNothingToDo();
        var again = HaSetUp.Workspace.Kbr("apply", "--auto-approve", "--verbose");

        Assert.That(again.ExitCode, Is.Zero, again.All);
        Assert.That(again.Error, Does.Contain("writers opened: 0"));
        Assert.That(Ha.Members.Select(Ha.Started), Is.EqualTo(before));
    }

    [Test]
    public void There_is_no_drift_right_after_even_without_secrets()
    {
        Assert.That(HaSetUp.Workspace.Drift(), Is.Empty);
        using var without = HaSetUp.Workspace.WithoutSecrets();
        Assert.That(without.Drift(), Is.Empty);
    }

    [Test]
    public void The_load_balancer_reaches_the_primary_and_the_vector_extension_answers_on_replicas()
    {
        var status = HaSetUp.Workspace.Kbr("status", "--json");

        Assert.That(status.ExitCode, Is.Zero, status.All);
        foreach (
            var item in new[]
            {
                "sql through load balancer",
                "sql through HAProxy",
                "sql through PgBouncer",
                "vector query on replicas",
                "extension vector",
                "quorum",
                "lag",
            }
        )
        {
            Assert.That(status.Output, Does.Contain(item));
        }

        Assert.That(status.Output, Does.Not.Contain("\"not_ok\"").And.Not.Contain("\"unknown\""));
    }

    [Test]
    public void Every_container_runs_without_a_capability_or_new_privileges_on_a_read_only_root()
    {
        const string look =
            "for c in $(docker ps --format '{{.Names}}'); do docker inspect -f '{{.Name}} "
            + "{{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}} {{.HostConfig.ReadonlyRootfs}}' $c; "
            + "grep -E '^(CapBnd|NoNewPrivs)' /proc/$(docker inspect -f '{{.State.Pid}}' $c)/status; done | tr -s '\\t\\n' '  '";
        string Confined(string container) => $"/{container} [ALL] [no-new-privileges] true CapBnd: 0000000000000000 NoNewPrivs: 1";

        var said = Lab.OnHosts(Lab.Hosts.Select(host => (host, look)));

        foreach (var container in Ha.OnEtcd ? ["patroni", "etcd"] : new[] { "patroni" })
        {
            Assert.That(said.Take(3), Is.All.Contains(Confined(container)));
        }

        Assert.That(said.Skip(3), Is.All.Contains(Confined("haproxy")).And.All.Contains(Confined("pgbouncer")));
    }

    [Test]
    public void No_secret_is_in_a_log_a_process_list_a_container_or_a_record_of_any_host()
    {
        // Where they belong: the files that hold them, PostgreSQL's catalogue and the store's data under the data volume.
        const string look =
            "{ ps -eo args; journalctl --no-pager; for c in $(docker ps -aq); do docker inspect $c; docker logs "
            + "$c 2>&1; done; cat /var/lib/kbr/*/records/* /run/kbr/* 2>/dev/null;"
            + " find /opt/keybuzz /etc /var/log -type f ! -path '*/postgres/data/*' ! -path '*/postgres/raft/*' "
            + "! -path '*/postgres/etcd/*' ! "
            + "-name 'patroni*.yml' ! -name userlist.txt -exec cat {} + ; } 2>/dev/null | grep -a -o "
            + "'canary-[a-z][a-z]*' | sort | uniq -c || true";
        foreach (var host in Lab.Hosts)
        {
            Assert.That(Lab.OnHost(host, look).Trim(), Is.Empty, host);
        }

        foreach (var file in Directory.GetFiles(Path.Combine(HaSetUp.Workspace.Directory, "state")))
        {
            Assert.That(File.ReadAllText(file), Does.Not.Contain("canary-"), file);
        }
    }
}
