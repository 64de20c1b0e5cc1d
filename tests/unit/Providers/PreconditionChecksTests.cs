using System.Collections.Immutable;
using System.Text;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Preconditions;
using KeyBuzz.Reconciler.Resources;
using static KeyBuzz.Reconciler.Tests.Providers.ProviderBench;

namespace KeyBuzz.Reconciler.Tests.Providers;

[TestFixture]
internal sealed class PreconditionChecksTests
{
    private static readonly PreconditionChecks Checks = new();

    private static IEnumerable<TestCaseData> Holding()
    {
        yield return Case("swap", File("Filename\tType\tSize\tUsed\tPriority\n"));
        yield return Case("swap", null);
        yield return Case("docker", Unit("loaded", "active", "enabled"));
        yield return Case("tools", new CommandsFound([.. HostTool.Everywhere.Select(tool => tool.Command)]));
        yield return Case("tools", new CommandsFound(["mkfs.xfs"]), ("commands", "mkfs.xfs"));
        yield return Case("dns", File("# x\nsearch a\nnameserver 1.1.1.1\n"));
        yield return Case("clock", new ClockState(true, "kernel", default));
        yield return Case("disk", new DiskSpace(100, 50, "ext4"), ("path", "/opt"), ("free", 50L));
        yield return Case("xfs", new DiskSpace(100, 50, "xfs"), ("path", "/opt"));
        yield return Case("ports", PortState.Answered, ("address", "10.0.0.1"), ("port", 8008L));
        yield return Case("ports", PortState.Refused, ("address", "10.0.0.1"), ("port", 8008L), ("must_answer", false));
        yield return Case("ports", PortState.Answered, ("address", "10.0.0.1"), ("port", 8008L), ("must_answer", true));
    }

    private static IEnumerable<TestCaseData> Failing()
    {
        yield return Case("swap", File("Filename\tType\n/dev/sda2 partition 1 0 -2\n"), "/dev/sda2");
        yield return Case("docker", Unit("not-found", "inactive", ""), "no unit docker.service");
        yield return Case("docker", Unit("loaded", "failed", "enabled"), "failed");
        yield return Case("docker", Unit("loaded", "active", "disabled"), "disabled");
        yield return Case("tools", new CommandsFound(["bash", "docker"]), "base64, curl, flock, sha256sum, systemctl, timeout");
        yield return Case("tools", new CommandsFound(["xfs_io"]), "mkfs.xfs", ("commands", "mkfs.xfs xfs_io"));
        yield return Case("dns", File("#nameserver 1.1.1.1\n"), "no nameserver");
        yield return Case("dns", null, "no /etc/resolv.conf");
        yield return Case("clock", new ClockState(false, "NTPSynchronized=no", default), "NTPSynchronized=no");
        yield return Case("clock", new ClockState(null, "no timedatectl", default), "no timedatectl");
        yield return Case(
            "disk",
            new DiskSpace(1L << 40, 1L << 30, "ext4"),
            "1 GiB free of 1 TiB, wanted 10 GiB",
            ("path", "/opt"),
            ("free", 10L << 30)
        );
        yield return Case("disk", null, "no /nowhere", ("path", "/nowhere"), ("free", 1L));
        yield return Case("xfs", new DiskSpace(1, 1, "ext4"), "on ext4", ("path", "/opt"));
        yield return Case("ports", PortState.Silent, "neither", ("address", "10.0.0.1"), ("port", 8008L), ("peer", "db-2"));
        yield return Case(
            "ports",
            PortState.Refused,
            "refuses the connection",
            ("address", "10.0.0.1"),
            ("port", 8008L),
            ("peer", "db-2"),
            ("must_answer", true)
        );
    }

    [TestCaseSource(nameof(Holding))]
    public void A_passed_precondition_has_no_finding(Precondition precondition, object? answer) =>
        Assert.That(Evaluate(precondition, answer), Is.Null);

    [TestCaseSource(nameof(Failing))]
    public void A_failed_precondition_has_host_finding_and_remedy(Precondition precondition, object? answer, string found)
    {
        var finding = Evaluate(precondition, answer);
        Assert.That(finding, Is.Not.Null);
        Assert.That(finding!.Severity, Is.EqualTo(Severity.Error));
        Assert.That(finding.Host, Is.EqualTo("db-1"));
        Assert.That(finding.Summary, Does.StartWith("db-1: "));
        Assert.That(finding.Detail, Does.Contain(found));
        Assert.That(finding.Remedy, Is.Not.Empty);
        Assert.That(Evaluate(precondition with { Level = PreconditionLevel.Warn }, answer)!.Severity, Is.EqualTo(Severity.Warning));
    }

    [Test]
    public void A_missing_command_is_mended_by_its_package() =>
        Assert.That(
            Evaluate(Make("tools", ("commands", "mkfs.xfs blkid xfs_io other")), new CommandsFound(["blkid"]))!.Remedy,
            Is.EqualTo("apt-get install -y xfsprogs")
        );

    [Test]
    public void A_precondition_that_is_off_reads_nothing()
    {
        var off = Make("swap") with { Level = PreconditionLevel.Off };
        Assert.That(Checks.Reads(off), Is.Empty);
        Assert.That(Checks.Evaluate(off, Snapshot()), Is.Null);
    }

    private static Diagnostic? Evaluate(Precondition precondition, object? answer) =>
        Checks.Evaluate(precondition, Snapshot((Checks.Reads(precondition).Single(), answer)));

    private static TestCaseData Case(string kind, object? answer, params (string, object)[] settings) => new(Make(kind, settings), answer);

    private static TestCaseData Case(string kind, object? answer, string found, params (string, object)[] settings) =>
        new(Make(kind, settings), answer, found);

    private static Precondition Make(string kind, params (string Name, object Value)[] settings) =>
        new(
            kind,
            PreconditionLevel.Error,
            "db-1",
            new AttributeSet(settings.ToImmutableDictionary(setting => setting.Name, setting => setting.Value)),
            null
        );

    private static FileContent File(string text) => new(Encoding.UTF8.GetBytes(text));

    private static UnitState Unit(string load, string active, string file) =>
        new(
            new Dictionary<string, string>
            {
                ["LoadState"] = load,
                ["ActiveState"] = active,
                ["UnitFileState"] = file,
            }
        );
}
