using System.Globalization;

namespace KeyBuzz.Reconciler.LabTests;

/// <summary>Five hosts with resources of every type and every attribute: converged, found unchanged, looked at, changed by hand, mended,
/// rebooted, destroyed.</summary>
[TestFixture]
[Category(Lab.Part1)]
public sealed class ConvergenceTests
{
    private Workspace _workspace;
    private string[] _compared;

    [OneTimeSetUp]
    public void Converge()
    {
        _workspace = new Workspace();
        _workspace.TakeResources("every-attribute.yaml");

        // On hosts that have nothing yet, the plan names every attribute there is to compare.
        _compared =
        [
            .. _workspace
                .Plan()
                .Select(line => line.Split(' '))
                .SelectMany(words => words[3].Split(',').Select(attribute => $"{words[0].Split('.')[0]}.{attribute}"))
                .Distinct(),
        ];
        _workspace.Apply();
    }

    [OneTimeTearDown]
    public void Take_down()
    {
        var outcome = _workspace.Kbr("destroy", "--auto-approve", "--delete-data", "--confirm", "lab");
        _workspace.Dispose();
        Assert.That(outcome.ExitCode, Is.Zero, outcome.All);
        // What others have beside a unit of kbr's stays; the next fixture begins without.
        Lab.OnHosts(
            Lab.Hosts.Select(host =>
                (
                    host,
                    "rm -rf /etc/systemd/system/kbr-app.service.d /etc/systemd/system.control/kbr-app.service* "
                        + "/etc/systemd/system/app-docker.service.before-kbr; systemctl daemon-reload"
                )
            )
        );
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
        var before = HostState.Read();
        var again = _workspace.Apply("--verbose");
        Assert.Multiple(() =>
        {
            Assert.That(again.Error, Does.Contain("writers opened: 0"));
            Assert.That(
                again.Error.Split("1 connection, 1 probe scripts"),
                Has.Length.EqualTo(6),
                "one connection and one script per host"
            );
            Assert.That(HostState.Read(), Is.EqualTo(before));
        });
    }

    [Test]
    public void A_plan_changes_nothing_on_any_host_whatever_there_is_to_do()
    {
        var yaml = _workspace.Yaml;
        Lab.OnHosts([
            ("db-master-01", "systemctl stop kbr-app.service; docker rm -f app"),
            ("db-slave-01", "systemctl stop kbr-app.service; umount /opt/keybuzz/data"),
            ("db-slave-02", "echo by-hand >> /opt/keybuzz/app/app.conf; docker stop -t 1 side"),
            (
                "haproxy-01",
                "docker rmi kbr-archive/tiny:1; docker create --name app.kbr-old $(docker images -q --filter "
                    + "label=kbr.test=2); sed -i /keybuzz/d /etc/fstab"
            ),
            ("haproxy-02", "rmdir /opt/keybuzz/spare; rm /etc/systemd/system/kbr-app.service /opt/keybuzz/app/app.conf"),
        ]);
        _workspace.Yaml = yaml.Replace("limit = 100", "limit = 101", StringComparison.Ordinal)
            .Replace("path: /opt/keybuzz/spare", "path: /opt/keybuzz/other", StringComparison.Ordinal)
            .Replace("shm_size: 32MiB", "shm_size: 48MiB", StringComparison.Ordinal);
        var before = HostState.Read();
        foreach (
            var arguments in (string[][])
                [
                    ["plan", "--detailed-exitcode"],
                    ["plan", "--json", "--adopt", "*"],
                    ["plan", "--destroy", "--delete-data"],
                    ["plan", "--verbose", "--target", "container.*"],
                ]
        )
        {
            var plan = _workspace.Kbr(arguments);
            Assert.That(plan.ExitCode, Is.EqualTo(arguments.Contains("--detailed-exitcode") ? 2 : 0), plan.All);
        }

        _workspace.Yaml = yaml;
        HostState.AssertUnchangedSince(before);
        _workspace.Apply();
        _workspace.AssertNothingToDo();
    }

    [TestCaseSource(nameof(Rounds))]
    public void A_change_by_hand_is_shown_as_exactly_that_and_mended(int round)
    {
        var changes = HandMadeChanges.Rounds[round];
        Lab.OnHosts(
            changes
                .GroupBy(change => change.Host)
                .Select(host => (host.Key, "set -e\n" + string.Join('\n', host.Select(change => change.Command))))
        );
        var plan = _workspace
            .Plan()
            .Select(line => line.Contains(" create drift ", StringComparison.Ordinal) ? line[..line.LastIndexOf(' ')] : line)
            .Order(StringComparer.Ordinal);
        var expected = changes.SelectMany(change => change.Expected).Order(StringComparer.Ordinal).ToArray();
        Assert.That(plan, Is.EqualTo(expected));

        // Drift tells the same by the records alone, and the secrets add nothing to that here.
        var drifted = expected.Select(Workspace.AsDrift).Order(StringComparer.Ordinal).ToArray();
        Assert.That(_workspace.Drift(), Is.EqualTo(drifted));
        using (var without = _workspace.WithoutSecrets())
        {
            Assert.That(without.Drift(), Is.EqualTo(drifted));
        }

        Assert.That(
            _workspace.Made(),
            Is.EqualTo(expected.Select(line => line.Split(' ')[0])),
            "what was changed by hand and nothing else"
        );
        _workspace.AssertNothingToDo();
    }

    [Test]
    public void Every_attribute_that_is_compared_is_changed_by_hand_once()
    {
        var changed = HandMadeChanges
            .Rounds.SelectMany(round => round)
            .SelectMany(change => change.Expected)
            .Select(line => line.Split(' '))
            .Where(words => words.Length == 4)
            .SelectMany(words => words[3].Split(',').Select(attribute => $"{words[0].Split('.')[0]}.{attribute}"));
        Assert.That(changed.Concat(HandMadeChanges.NotByThemselves.Keys).Distinct(), Is.EquivalentTo(_compared));
    }

    [Test]
    public void A_device_formatted_by_hand_is_refused_and_named()
    {
        const string host = "haproxy-02";

        // A service with a mount namespace of its own, such as the one that tells the time, holds the device for half a minute more.
        Lab.OnHost(
            host,
            "systemctl stop kbr-app.service; umount /opt/keybuzz/data; for i in $(seq 300); do wipefs -aq "
                + "/dev/sdb 2>/dev/null && break; sleep 0.2; done; mkfs.ext4 -q /dev/sdb"
        );
        var refused = _workspace.Kbr("apply", "--auto-approve", "--target", $"*@{host}");
        var found = Lab.OnHost(host, "blkid -p -o value -s TYPE /dev/sdb").Trim();
        Lab.OnHost(host, "wipefs -aq /dev/sdb; dd if=/dev/zero of=/dev/sdb bs=1M count=1 conv=fsync 2>&1; sed -i /keybuzz/d /etc/fstab");
        Assert.Multiple(() =>
        {
            Assert.That(refused.ExitCode, Is.EqualTo(1));
            Assert.That(
                refused.All,
                Does.Contain($"volume.data@{host}").And.Contain("/dev/sdb holds ext4; kbr formats only an empty device")
            );
            Assert.That(found, Is.EqualTo("ext4"), "nothing was formatted");
        });

        // Emptied by its operator it is taken again, and what lay on it is made anew by the same apply.
        var again = _workspace.Kbr("apply", "--auto-approve");
        Assert.That(again.ExitCode, Is.Zero, again.All);
        Assert.That(again.Output, Does.Contain($"volume.data@{host} is new and empty").And.Contain($"directory.app-data@{host}: done"));
        _workspace.AssertNothingToDo();
    }

    [Test]
    public void A_file_at_the_place_of_a_directory_is_refused_and_named()
    {
        const string host = "haproxy-01";
        Lab.OnHost(host, "rmdir /opt/keybuzz/spare; echo mine >/opt/keybuzz/spare");
        var plan = _workspace.Kbr("plan");
        Lab.OnHost(host, "grep -qx mine /opt/keybuzz/spare; rm /opt/keybuzz/spare");
        Assert.Multiple(() =>
        {
            Assert.That(plan.ExitCode, Is.EqualTo(1));
            Assert.That(
                plan.All,
                Does.Contain($"directory.spare@{host}").And.Contain("/opt/keybuzz/spare is a regular file, not a directory")
            );
        });
        _workspace.Apply();
        _workspace.AssertNothingToDo();
    }

    [Test]
    public void A_stopped_unit_and_its_unmounted_volume_are_two_changes_and_no_directory_is_created()
    {
        const string host = "db-slave-01";
        Lab.OnHost(host, "touch /opt/keybuzz/data/app/row; systemctl stop kbr-app.service; umount /opt/keybuzz/data");
        var plan = _workspace.Plan();
        Assert.That(
            plan,
            Is.EquivalentTo(new[] { $"systemd_unit.kbr-app@{host} update drift active", $"volume.data@{host} update drift mounted" })
        );
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
        workspace.Yaml = workspace.Yaml.Replace(".12 }", ".12, port: 1 }", StringComparison.Ordinal);
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
        Assert.That(
            _workspace.Plan("--target", "*@haproxy-01"),
            Is.EqualTo(new[] { "config_file.app@haproxy-01 update configuration_changed content" })
        );
        _workspace.Apply();
        _workspace.AssertNothingToDo();
        Assert.That(Lab.OnHost("haproxy-01", "docker logs app 2>&1"), Does.Contain("reloaded"));
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
        Lab.Hosts.AsParallel().WithDegreeOfParallelism(Lab.Hosts.Length).ForAll(host => Lab.Command("reboot", host));
        Lab.Until(
            () => OnAllHosts("systemctl is-active kbr-app.service || true").All(state => state.Trim() == "active"),
            TimeSpan.FromMinutes(1),
            "the units to be active"
        );
        _workspace.AssertNothingToDo();
    }

    private static IEnumerable<TestCaseData> Rounds() =>
        HandMadeChanges.Rounds.Select(
            (round, i) =>
                new TestCaseData(i).SetArgDisplayNames(
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"{i + 1}: {string.Join(", ", round.SelectMany(change => change.Expected))}"
                    )
                )
        );

    private static string[] OnAllHosts(string command) => Lab.OnHosts(Lab.Hosts.Select(host => (host, command)));
}
