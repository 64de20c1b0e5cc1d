namespace KeyBuzz.Reconciler.LabTests;

/// <summary>Taking down what was made.</summary>
[TestFixture]
[Category(Lab.Part4)]
public sealed class DestroyTests
{
    // Where kbr leaves traces.
    private const string Listing =
        "find /opt /etc/systemd/system /var/lib/kbr /mnt /srv -printf '%p %y %m %u %g\\n' 2>/dev/null | "
        + "sort; cat /etc/fstab; docker ps -aq; docker images -q | sort; grep ' /opt' /proc/self/mounts || true";

    private Workspace _workspace;
    private string[] _before;

    [OneTimeSetUp]
    public void Converge()
    {
        _workspace = new Workspace();
        _before = [.. Lab.Hosts.Select(host => Lab.OnHost(host, Listing))];
        _workspace.Apply();
    }

    [OneTimeTearDown]
    public void Close() => _workspace.Dispose();

    [Test]
    public void A_destroy_that_loses_a_host_under_its_locks_deletes_nothing_on_the_others()
    {
        // Its lock is the last that is taken; then every host is looked at again. A stopped Docker Engine holds that look up until the
        // connection is gone, however slow the machine is.
        const string host = "haproxy-02";
        var before = Lab.OnHosts(Lab.Hosts.Select(each => (each, Listing)));
        Lab.OnHost(
            host,
            "docker=$(pidof dockerd); setsid timeout 120 nice -n -20 sh -c \"until [ -e /run/kbr/lock.json ]; do :; done; kill -STOP "
                + "$docker; pkill -KILL -f '^sshd: root'; kill -CONT $docker\" >/dev/null 2>&1 </dev/null &"
        );

        var destroy = _workspace.Kbr("destroy", "--auto-approve");

        Assert.That(destroy.ExitCode, Is.EqualTo(1), destroy.All);
        Assert.That(destroy.Error, Does.Contain(host));
        Assert.That(Lab.OnHosts(Lab.Hosts.Select(each => (each, Listing))), Is.EqualTo(before));
    }

    [Test]
    public void Destroy_restores_the_hosts_and_keeps_the_data_and_delete_data_leaves_an_empty_device()
    {
        const string host = "haproxy-01";
        Lab.OnHost(host, "touch /opt/keybuzz/data/app/row");
        var elsewhere = Lab.OnHost("haproxy-02", Listing);
        var targeted = _workspace.Kbr("destroy", "--auto-approve", "--target", $"*@{host}");
        Assert.That(targeted.ExitCode, Is.Zero, targeted.All);
        Assert.That(Lab.OnHost("haproxy-02", Listing), Is.EqualTo(elsewhere), "the other host is as it was");
        Assert.That(Lab.OnHost(host, "blkid -p -o value -s TYPE /dev/sdb").Trim(), Is.EqualTo("xfs"));
        Assert.That(Lab.OnHost(host, Listing), Does.Not.Contain("keybuzz").And.Not.Contain("kbr"));

        _workspace.Apply();
        _workspace.AssertNothingToDo();
        Assert.That(Lab.OnHost(host, "ls /opt/keybuzz/data/app").Trim(), Is.EqualTo("row"), "the data was kept");

        var refused = _workspace.Kbr("destroy", "--auto-approve", "--delete-data", "--confirm", "other");
        Assert.That(refused.ExitCode, Is.EqualTo(1));
        var whole = _workspace.Kbr("destroy", "--auto-approve", "--delete-data", "--confirm", "lab");
        Assert.That(whole.ExitCode, Is.Zero, whole.All);
        Assert.That(Lab.Hosts.Select(each => Lab.OnHost(each, Listing)), Is.EqualTo(_before), "every host is as it was before kbr");
        foreach (var each in Lab.Hosts)
        {
            Assert.That(Lab.OnHost(each, "blkid -p /dev/sdb || echo empty").Trim(), Is.EqualTo("empty"), each);
        }
    }
}
