namespace KeyBuzz.Reconciler.LabTests;

/// <summary>Five hosts with one resource of every type: converged, found unchanged, changed by hand, mended, rebooted, destroyed.</summary>
[TestFixture]
public sealed class ConvergenceTests
{
    // Content, ctime, containers and units: everything that must stay as it is when nothing is to be done.
    private const string Fingerprint =
        "for f in /opt/keybuzz /opt/keybuzz/data /opt/keybuzz/data/app /opt/keybuzz/app /opt/keybuzz/app/app.conf /etc/systemd/system/kbr-app.service /etc/fstab /var/lib/kbr/lab/records/*; do " +
        "stat -c '%n %z %i %a %u %g' \"$f\"; done; sha256sum /opt/keybuzz/app/app.conf /etc/fstab; docker inspect -f '{{.Id}} {{.State.StartedAt}}' app; systemctl show -p InvocationID kbr-app.service";

    private Workspace _workspace;

    [OneTimeSetUp]
    public void Converge()
    {
        _workspace = new Workspace();
        _workspace.Apply();
    }

    [OneTimeTearDown]
    public void Take_down()
    {
        var outcome = _workspace.Kbr("destroy", "--auto-approve", "--delete-data", "--confirm", "lab");
        _workspace.Dispose();
        Assert.That(outcome.ExitCode, Is.Zero, outcome.All);
    }

    // A test that failed half-way must not take the next one with it.
    [TearDown]
    public void Mend_after_a_failure()
    {
        if (TestContext.CurrentContext.Result.Outcome.Status == NUnit.Framework.Interfaces.TestStatus.Failed)
        {
            _workspace.Kbr("apply", "--auto-approve");
        }
    }

    [Test]
    public void After_an_apply_the_plan_is_empty_and_a_second_apply_opens_no_writer_and_touches_nothing()
    {
        _workspace.AssertNothingToDo();
        var before = Lab.Hosts.Select(host => Lab.OnHost(host, Fingerprint)).ToArray();
        var again = _workspace.Apply("--verbose");
        Assert.Multiple(() =>
        {
            Assert.That(again.Error, Does.Contain("writers opened: 0"));
            Assert.That(again.Error.Split("1 connection, 1 probe scripts"), Has.Length.EqualTo(6), "one connection and one script per host");
            Assert.That(Lab.Hosts.Select(host => Lab.OnHost(host, Fingerprint)), Is.EqualTo(before));
        });
    }

    [TestCase("db-slave-01", "chmod 0755 /opt/keybuzz/data/app", "directory.app-data@db-slave-01 update drift mode")]
    [TestCase("db-slave-01", "chown 998 /opt/keybuzz/data/app", "directory.app-data@db-slave-01 update drift owner")]
    [TestCase("haproxy-02", "chgrp 998 /opt/keybuzz/data/app", "directory.app-data@haproxy-02 update drift group")]
    [TestCase("haproxy-01", "echo by-hand >> /opt/keybuzz/app/app.conf", "config_file.app@haproxy-01 update drift content")]
    [TestCase("haproxy-01", "chmod 0600 /opt/keybuzz/app/app.conf", "config_file.app@haproxy-01 update drift mode")]
    [TestCase("haproxy-01", "chown 998 /opt/keybuzz/app/app.conf", "config_file.app@haproxy-01 update drift owner")]
    [TestCase("haproxy-01", "chgrp 998 /opt/keybuzz/app/app.conf", "config_file.app@haproxy-01 update drift group")]
    [TestCase("db-slave-02", "touch /opt/keybuzz/app/app.conf && rm -rf /run/kbr/loaded", "config_file.app@db-slave-02 update drift loaded")]
    [TestCase("haproxy-02", "rm /opt/keybuzz/app/app.conf", "config_file.app@haproxy-02 create drift *")]
    [TestCase("db-master-01", "sed -i '/keybuzz/d' /etc/fstab", "volume.data@db-master-01 update drift fstab")]
    [TestCase("haproxy-01", "systemctl disable -q kbr-app.service", "systemd_unit.kbr-app@haproxy-01 update drift enabled")]
    [TestCase("haproxy-01", "systemctl stop kbr-app.service", "systemd_unit.kbr-app@haproxy-01 update drift active")]
    [TestCase("haproxy-02", "echo '# by hand' >> /etc/systemd/system/kbr-app.service", "systemd_unit.kbr-app@haproxy-02 update drift content")]
    public void A_change_by_hand_is_shown_as_exactly_that_and_mended(string host, string command, string expected)
    {
        Lab.OnHost(host, command);
        var plan = _workspace.Plan();
        var wanted = expected.EndsWith('*') ? expected[..^1] : expected;
        Assert.That(plan, Has.Length.EqualTo(1), string.Join('\n', plan));
        Assert.That(plan[0], expected.EndsWith('*') ? Does.StartWith(wanted) : Is.EqualTo(wanted));
        var applied = _workspace.Apply();
        Assert.That(applied.Output, Does.Contain(" 0 failed, 0 not tried"));
        _workspace.AssertNothingToDo();
    }

    [Test]
    public void A_container_run_by_hand_with_another_mount_is_replaced()
    {
        const string host = "haproxy-02";
        Lab.OnHost(host, "systemctl stop kbr-app.service; image=$(docker inspect -f '{{.Config.Image}}' app); docker rm -f app >/dev/null; mkdir -p /tmp/other; " +
            "docker create --name app --network host -v /tmp/other:/data \"$image\" sh -c 'trap \"exit 0\" TERM; while :; do sleep 1 & wait; done' >/dev/null; systemctl start kbr-app.service");
        var plan = _workspace.Plan();
        Assert.That(plan, Has.Length.EqualTo(1), string.Join('\n', plan));
        Assert.That(plan[0], Does.StartWith($"container.app@{host} replace drift ").And.Contain("mounts"));
        _workspace.Apply();
        _workspace.AssertNothingToDo();
        Assert.That(Lab.OnHost(host, "docker ps -a --format '{{.Names}}'").Trim(), Is.EqualTo("app"), "the old container is gone");
    }

    [Test]
    public void A_removed_container_is_made_again_with_its_unit_running()
    {
        Lab.OnHost("haproxy-01", "systemctl stop kbr-app.service; docker rm -f app");
        Assert.That(_workspace.Plan().Single(line => line.StartsWith("container.app@haproxy-01", StringComparison.Ordinal)), Does.Contain("create drift"));
        _workspace.Apply();
        _workspace.AssertNothingToDo();
    }

    [Test]
    public void A_stopped_unit_and_its_unmounted_volume_are_shown_as_those_two_and_no_directory_is_created()
    {
        const string host = "db-slave-01";
        Lab.OnHost(host, "touch /opt/keybuzz/data/app/row; systemctl stop kbr-app.service; umount /opt/keybuzz/data");
        var plan = _workspace.Plan();
        Assert.That(plan, Is.EquivalentTo(new[] { $"systemd_unit.kbr-app@{host} update drift active", $"volume.data@{host} update drift mounted" }));
        Assert.That(Lab.OnHost(host, "ls /opt/keybuzz/data"), Is.Empty);
        _workspace.Apply();
        _workspace.AssertNothingToDo();
        Assert.That(Lab.OnHost(host, "ls /opt/keybuzz/data/app").Trim(), Is.EqualTo("row"), "the data is still there");
        Lab.OnHost(host, "rm /opt/keybuzz/data/app/row");
    }

    [Test]
    public void A_host_that_cannot_be_reached_is_named_and_the_others_are_planned()
    {
        using var workspace = new Workspace();
        workspace.Yaml = workspace.Yaml.Replace("{ host: 127.0.77.12 }", "{ host: 127.0.77.12, port: 1 }", StringComparison.Ordinal);
        var plan = workspace.Kbr("plan");
        Assert.Multiple(() =>
        {
            Assert.That(plan.ExitCode, Is.EqualTo(1));
            Assert.That(plan.Error, Does.Contain("haproxy-02").And.Not.Contain("haproxy-01"));
        });
    }

    [Test]
    public void A_changed_value_reaches_the_host_and_the_process()
    {
        var yaml = _workspace.Yaml;
        _workspace.Yaml = yaml.Replace("workers = 4", "workers = 8", StringComparison.Ordinal);
        Assert.That(_workspace.Plan("--target", "*@haproxy-01"), Is.EqualTo(new[] { "config_file.app@haproxy-01 update configuration_changed content" }));
        _workspace.Apply();
        _workspace.AssertNothingToDo();
        _workspace.Yaml = yaml.Replace("workers = 4", "workers = none", StringComparison.Ordinal);
        var refused = _workspace.Kbr("apply", "--auto-approve", "--target", "config_file.app@haproxy-01");
        Assert.That(refused.ExitCode, Is.EqualTo(1), "its validation command fails");
        Assert.That(Lab.OnHost("haproxy-01", "cat /opt/keybuzz/app/app.conf"), Does.Contain("workers = 8"), "nothing was swapped");
        _workspace.Yaml = yaml;
        _workspace.Apply();
        _workspace.AssertNothingToDo();
    }

    [Test]
    public void Every_host_rebooted_comes_back_by_itself_and_the_plan_is_empty()
    {
        foreach (var host in Lab.Hosts)
        {
            Lab.Command("reboot", host);
        }

        Lab.Until(() => Lab.Hosts.All(host => Lab.OnHost(host, "systemctl is-active kbr-app.service || true").Trim() == "active"), TimeSpan.FromMinutes(1), "the units to be active");
        _workspace.AssertNothingToDo();
    }
}
