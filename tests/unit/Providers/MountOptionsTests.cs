using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Volume;
using KeyBuzz.Reconciler.Resources;
using static KeyBuzz.Reconciler.Tests.Providers.ProviderBench;

namespace KeyBuzz.Reconciler.Tests.Providers;

/// <summary>Mount options as they are declared, and as the kernel shows them.</summary>
[TestFixture]
internal sealed class MountOptionsTests
{
    private const string Xfs = "rw,inode64,logbufs=8,logbsize=32k,noquota";

    private readonly VolumeProvider _provider = new();

    [TestCase("noatime", "rw,noatime," + Xfs)]
    [TestCase("allocsize=64m", "rw,relatime,rw,inode64,allocsize=65536k,logbufs=8,logbsize=32k,noquota")]
    [TestCase("allocsize=65536K", "rw,relatime,rw,inode64,allocsize=65536k,logbufs=8,logbsize=32k,noquota")]
    [TestCase("allocsize=1g", "rw,relatime,rw,inode64,allocsize=1048576k,logbufs=8,logbsize=32k,noquota")]
    [TestCase("logbsize=262144", "rw,relatime,rw,inode64,logbufs=8,logbsize=256k,noquota")]
    [TestCase("logbsize=256k", "rw,relatime,rw,inode64,logbufs=8,logbsize=256k,noquota")]
    [TestCase("strictatime", "rw," + Xfs)]
    [TestCase("diratime,nodiscard,noikeep,nolargeio,sysvgroups", "rw,relatime," + Xfs)]
    [TestCase("X-mount.mkdir,x-systemd.device-timeout=9,comment=ours", "rw,relatime," + Xfs)]
    [TestCase("bsdgroups,qnoenforce", "rw,relatime,rw,grpid,inode64,logbufs=8,logbsize=32k,uqnoenforce")]
    public void An_option_that_is_in_effect_is_no_difference(string declared, string shown) =>
        Assert.That(Observed(declared, shown), Is.EqualTo(Desired(declared)));

    [TestCase("noatime", "rw," + Xfs, "strictatime")]
    [TestCase("relatime", "rw," + Xfs, "strictatime")]
    [TestCase("strictatime", "rw,relatime," + Xfs, "")]
    [TestCase("noatime", "rw,noexec,noatime," + Xfs, "noatime,noexec")]
    [TestCase("logbsize=64k", "rw,relatime," + Xfs, "")]
    [TestCase("allocsize=64m", "rw,relatime,rw,allocsize=64k,logbsize=32k", "")]
    public void An_option_that_is_not_in_effect_is_a_difference(string declared, string shown, string seen)
    {
        Assert.That(Observed(declared, shown), Is.EqualTo(seen));
        Assert.That(seen, Is.Not.EqualTo(Desired(declared)));
    }

    [TestCase("allocsize=", "allocsize=")]
    [TestCase("allocsize=k", "allocsize=k")]
    [TestCase("allocsize=1x", "allocsize=1x")]
    [TestCase("allocsize=9223372036854775807g", "allocsize=9223372036854775807g")]
    [TestCase("logbsize=1000", "logbsize=1000")]
    public void What_is_no_size_stays_as_it_is(string declared, string expected) => Assert.That(Desired(declared), Is.EqualTo(expected));

    [Test]
    public void A_remount_names_the_opposites_of_what_is_not_declared()
    {
        var text = _provider.Render(new ResourceChange(ResourceOperation.Update, Volume("noatime,X-mount.mkdir"), ["mount_options"])).Text;
        Assert.That(text, Does.Contain("remount='rw,exec,suid,dev,async,diratime,noatime'"));
    }

    private string Desired(string options) => _provider.Desired(Volume(options))["mount_options"].Value;

    private string Observed(string options, string shown)
    {
        var volume = Volume(options);
        var answers = _provider
            .Reads(volume)
            .Select(read =>
                (
                    read,
                    read switch
                    {
                        BlockDeviceRead => new BlockDeviceState(
                            true,
                            "8:16",
                            new Dictionary<string, string> { ["TYPE"] = "xfs", ["UUID"] = "a" },
                            false,
                            1 << 30
                        ),
                        MountsRead => new[] { new MountEntry("/data", "/dev/sdb", "8:16", "xfs", shown) },
                        _ => (object?)null,
                    }
                )
            );
        return ((Observation.Present)_provider.Observe(volume, Snapshot([.. answers]))).Attributes["mount_options"].Value;
    }

    private Resource Volume(string options) =>
        Resource(_provider, "data", ("device", "/dev/sdb"), ("mount_point", "/data"), ("mount_options", options));
}
