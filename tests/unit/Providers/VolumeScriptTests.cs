using System.Collections.Immutable;
using System.Globalization;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Volume;
using KeyBuzz.Reconciler.Resources;
using static KeyBuzz.Reconciler.Tests.Providers.ProviderBench;

namespace KeyBuzz.Reconciler.Tests.Providers;

/// <summary>The volume's scripts, on a loop device of a sparse file.</summary>
[TestFixture]
[NonParallelizable]
internal sealed class VolumeScriptTests
{
    private const string ForeignFstab =
        "# by hand\nUUID=aaaa\t/ ext4  errors=remount-ro 0 1\n\n  /dev/sdz /srv/a\\040b ext4 "
        + "defaults,x-y=\\134 0 2\ntmpfs /scratch tmpfs size=1m";

    private string _folder = "";
    private string _device = "";
    private VolumeProvider _provider = null!;
    private Resource _volume = null!;

    private string Fstab => $"{_folder}/fstab";

    private string MountPoint => $"{_folder}/data";

    [SetUp]
    public void AttachAnEmptyDevice()
    {
        OnlyAsRootWith("losetup", "mkfs.xfs", "blkid", "xfs_io");
        // In memory where there is some: the scripts wait for every byte to reach the disk, which is no matter of these tests.
        _folder = (
            System.IO.Directory.Exists("/dev/shm")
                ? System.IO.Directory.CreateDirectory($"/dev/shm/kbr-volume-{Path.GetRandomFileName()}")
                : System.IO.Directory.CreateTempSubdirectory("kbr-volume-")
        ).FullName;
        var attached = Shell($"truncate -s 400M {_folder}/device && losetup -f --show {_folder}/device");
        if (attached.ExitCode != 0)
        {
            Assert.Fail("no loop device can be attached here: " + attached.Error);
        }

        _device = attached.Output.Trim();
        File.WriteAllText(Fstab, ForeignFstab);
        _provider = new VolumeProvider(Fstab, $"{_folder}/state");
        _volume = Resource(_provider, "data", ("device", _device), ("mount_point", MountPoint));
    }

    [TearDown]
    public void Detach()
    {
        if (_device.Length > 0)
        {
            Shell($"umount {MountPoint} 2>/dev/null; umount {_folder}/elsewhere 2>/dev/null; losetup -d {_device}");
            _device = "";
        }

        if (_folder.Length > 0)
        {
            System.IO.Directory.Delete(_folder, recursive: true);
            _folder = "";
        }
    }

    [Test]
    public void An_empty_device_is_formatted_mounted_and_entered_in_fstab_and_then_is_as_wanted()
    {
        Assert.That(Observe(), Is.InstanceOf<Observation.Absent>().With.Property("IsBlank").True);

        Succeeds(_provider.Render(ResourceOperation.Create, _volume));

        AssertAsWanted();
        Assert.That(
            File.ReadAllText(Fstab),
            Is.EqualTo($"{ForeignFstab}\nUUID={Tag("UUID")} {MountPoint} xfs noatime,nofail,x-kbr.volume=data 0 0\n")
        );
        Assert.That(Output($"ls -A {_folder}/state"), Is.Empty);
        Assert.That(Output($"sync {_device}; grep -ac 'kbr is at work' {_folder}/device || :"), Is.EqualTo("0"));
    }

    [Test]
    public void Running_create_again_keeps_the_data_and_does_not_touch_fstab()
    {
        Succeeds(_provider.Render(ResourceOperation.Create, _volume));
        File.WriteAllText($"{MountPoint}/precious", "1");
        var before = Output($"stat -c '%i %z' {Fstab}; ls -l {Fstab}");

        Succeeds(_provider.Render(ResourceOperation.Create, _volume));

        AssertAsWanted();
        Assert.That(File.Exists($"{MountPoint}/precious"));
        Assert.That(Output($"stat -c '%i %z' {Fstab}; ls -l {Fstab}"), Is.EqualTo(before));
    }

    [TestCase("mkfs.ext4 -q", "ext4")]
    [TestCase("mkfs.xfs -q -L theirs", "theirs")]
    [TestCase("mkswap", "swap")]
    public void A_device_with_a_foreign_file_system_is_never_formatted(string make, string named)
    {
        if (Shell($"{make} {_device}").ExitCode == 127)
        {
            Assert.Fail($"no {make} here");
        }

        var before = Checksum();

        var error = Fails(_provider.Render(ResourceOperation.Create, _volume));

        Assert.That(error, Does.Contain(named));
        Assert.That(Checksum(), Is.EqualTo(before));
        Assert.That(File.ReadAllText(Fstab), Is.EqualTo(ForeignFstab));
        Assert.That(System.IO.Directory.Exists(MountPoint), Is.False);
    }

    [Test]
    public void A_device_with_a_partition_table_is_never_formatted()
    {
        // An MBR with one Linux partition, from sector 2048 on.
        Output(
            $"printf '\\000\\000\\000\\000\\203\\000\\000\\000\\000\\010\\000\\000\\000\\020\\000\\000' | dd "
                + $"of={_device} bs=1 seek=446 conv=notrunc 2>/dev/null; printf '\\125\\252' | dd of={_device} bs=1 "
                + $"seek=510 conv=notrunc,fsync 2>/dev/null"
        );
        var before = Checksum();
        Assert.That(Observe(), Is.InstanceOf<Observation.Unknown>().With.Property("Reason").Contains("partition table (dos)"));
        Assert.That(Fails(_provider.Render(ResourceOperation.Create, _volume)), Does.Contain("dos"));
        Assert.That(Checksum(), Is.EqualTo(before));
    }

    [Test]
    public void A_device_with_unknown_bytes_is_never_formatted()
    {
        Output($"printf x | dd of={_device} bs=1 seek=700000 conv=notrunc 2>/dev/null; sync");
        var before = Checksum();
        Assert.That(Observe(), Is.InstanceOf<Observation.Unknown>().With.Property("Reason").Contains("unknown kind"));
        Assert.That(Fails(_provider.Render(ResourceOperation.Create, _volume)), Does.Contain("formats only an empty device"));
        Assert.That(Checksum(), Is.EqualTo(before));
    }

    [Test]
    public void A_device_that_was_detached_is_to_be_attached_and_not_to_be_emptied()
    {
        Output($"losetup -d {_device}");
        Assert.That(
            Observe(),
            Is.InstanceOf<Observation.Unknown>().With.Property("Reason").Contains("attach it").And.Property("Reason").Not.Contains("wipefs")
        );
    }

    [Test]
    public void A_device_mounted_elsewhere_is_left_alone()
    {
        Output($"mkfs.xfs -q {_device}; mkdir {_folder}/elsewhere; mount {_device} {_folder}/elsewhere");
        Assert.That(Observe(), Is.InstanceOf<Observation.Unknown>().With.Property("Reason").Contains("elsewhere"));
        Fails(_provider.Render(ResourceOperation.Create, _volume));
    }

    [Test]
    public void A_mount_point_with_something_in_it_is_not_mounted_over()
    {
        System.IO.Directory.CreateDirectory(MountPoint);
        File.WriteAllText($"{MountPoint}/file", "");
        var before = Checksum();
        Assert.That(Fails(_provider.Render(ResourceOperation.Create, _volume)), Does.Contain("is not empty (1 entries)"));
        Assert.That(Checksum(), Is.EqualTo(before));
    }

    [Test]
    public void A_foreign_fstab_line_for_the_mount_point_is_not_replaced()
    {
        File.AppendAllText(Fstab, $"\n/dev/sdy {MountPoint} ext4 defaults 0 2\n");
        var before = File.ReadAllText(Fstab);
        Assert.That(Observe(), Is.InstanceOf<Observation.Unknown>().With.Property("Reason").Contains("/dev/sdy"));
        Assert.That(Fails(_provider.Render(ResourceOperation.Create, _volume)), Does.Contain("/dev/sdy"));
        Assert.That(File.ReadAllText(Fstab), Is.EqualTo(before));
        Assert.That(Tag("TYPE"), Is.Empty);
    }

    [TestCase("umount", "mounted")]
    [TestCase("remount", "mount_options")]
    [TestCase("fstab", "fstab")]
    [TestCase("fstab-options", "fstab")]
    [TestCase("label", "label")]
    public void A_change_by_hand_is_drift_of_its_attribute_and_is_repaired(string damage, string attribute)
    {
        Succeeds(_provider.Render(ResourceOperation.Create, _volume));
        File.WriteAllText($"{MountPoint}/precious", "1");
        Output(
            damage switch
            {
                "umount" => $"umount {MountPoint}",
                "remount" => $"mount -o remount,relatime,noexec {_device} {MountPoint}",
                "fstab" => $"grep -v x-kbr {Fstab} >{Fstab}.2; cat {Fstab}.2 >{Fstab}",
                "fstab-options" => $"sed -i 's/noatime,nofail/nofail/' {Fstab}",
                _ => $"xfs_io -x -c 'label -s other' {MountPoint}; sync",
            }
        );

        Assert.That(Differing(), Is.EqualTo(new[] { attribute }));
        Succeeds(_provider.Render(ResourceOperation.Update, _volume, changed: attribute));

        AssertAsWanted();
        Assert.That(File.Exists($"{MountPoint}/precious"));
    }

    [Test]
    public void Changed_mount_options_are_set_on_the_live_mount_and_in_fstab()
    {
        Succeeds(_provider.Render(ResourceOperation.Create, _volume));
        _volume = _volume with { Spec = _volume.Spec.With("mount_options", "nodev,nosuid") };
        Assert.That(Differing(), Is.EqualTo(new[] { "fstab", "mount_options" }));
        Succeeds(_provider.Render(ResourceOperation.Update, _volume, changed: ["fstab", "mount_options"]));
        AssertAsWanted();
    }

    [Test]
    public void Options_that_the_kernel_shows_in_another_form_are_as_wanted()
    {
        _volume = _volume with
        {
            Spec = _volume.Spec.With("mount_options", "allocsize=64m,logbsize=262144,strictatime,nodiscard,X-mount.mode=0755"),
        };

        Succeeds(_provider.Render(ResourceOperation.Create, _volume));

        AssertAsWanted();
    }

    [Test]
    public void Release_unmounts_and_keeps_the_file_system_and_a_new_create_brings_the_data_back()
    {
        Succeeds(_provider.Render(ResourceOperation.Create, _volume));
        File.WriteAllText($"{MountPoint}/precious", "1");

        Succeeds(_provider.Render(ResourceOperation.Delete, _volume));
        Assert.That(
            Observe(),
            Is.InstanceOf<Observation.Absent>().With.Property("Note").Contains("not formatted").And.Property("IsBlank").False
        );
        Assert.That(File.ReadAllText(Fstab), Is.EqualTo(ForeignFstab + "\n"));
        Assert.That(System.IO.Directory.Exists(MountPoint), Is.False);
        Assert.That(Tag("TYPE"), Is.EqualTo("xfs"));
        Succeeds(_provider.Render(ResourceOperation.Delete, _volume));

        Succeeds(_provider.Render(ResourceOperation.Create, _volume));
        AssertAsWanted();
        Assert.That(File.Exists($"{MountPoint}/precious"));
    }

    [Test]
    public void A_mount_point_that_was_there_before_is_still_there_after()
    {
        System.IO.Directory.CreateDirectory(MountPoint);
        Succeeds(_provider.Render(ResourceOperation.Create, _volume));
        Succeeds(_provider.Render(ResourceOperation.Delete, _volume));
        Assert.That(System.IO.Directory.Exists(MountPoint));
    }

    [Test]
    public void Deleting_the_data_leaves_the_device_empty()
    {
        Succeeds(_provider.Render(ResourceOperation.Create, _volume));
        Succeeds(_provider.Render(ResourceOperation.Delete, _volume, deleteData: true));
        Assert.That(Tag("TYPE"), Is.Empty);
        Assert.That(Observe(), Is.InstanceOf<Observation.Absent>().With.Property("Note").Contains("empty"));
        Succeeds(_provider.Render(ResourceOperation.Delete, _volume, deleteData: true));
        Succeeds(_provider.Render(ResourceOperation.Create, _volume));
        AssertAsWanted();
    }

    [Test]
    public void Deleting_the_data_of_a_device_that_holds_something_else_is_refused()
    {
        Output($"mkfs.ext4 -q {_device}");
        var before = Checksum();
        Assert.That(Fails(_provider.Render(ResourceOperation.Delete, _volume, deleteData: true)), Does.Contain("not deleted"));
        Assert.That(Checksum(), Is.EqualTo(before));
    }

    [Test]
    public void A_busy_mount_is_not_released_and_its_holder_is_named()
    {
        Succeeds(_provider.Render(ResourceOperation.Create, _volume));
        using (File.Create($"{MountPoint}/open"))
        {
            Assert.That(
                Fails(_provider.Render(ResourceOperation.Delete, _volume)),
                Does.Contain(Environment.ProcessId.ToString(CultureInfo.InvariantCulture))
            );
        }

        AssertAsWanted();
    }

    [Test]
    public void A_foreign_xfs_is_taken_over_only_when_it_is_adopted()
    {
        Output(
            $"mkfs.xfs -q -L theirs {_device}; mkdir {MountPoint}; mount {_device} {MountPoint}; echo 1 "
                + $">{MountPoint}/precious; umount {MountPoint}"
        );
        Assert.That(Differing(), Is.EqualTo(new[] { "fstab", "label", "mounted" }));
        Assert.That(Fails(_provider.Render(ResourceOperation.Update, _volume)), Does.Contain("--adopt"));

        Succeeds(_provider.Render(ResourceOperation.Update, _volume, adopt: true));
        AssertAsWanted();
        Assert.That(File.Exists($"{MountPoint}/precious"));
    }

    /// <summary>The script is cut off before each of its steps in turn; what is planned next always converges.</summary>
    [Test]
    public void A_create_that_is_cut_off_anywhere_is_finished_by_the_next()
    {
        for (var step = 0; step < CutPoints.Length; step++)
        {
            CutOff(_provider.Render(ResourceOperation.Create, _volume), CutPoints[step]);

            // With nothing recorded the planner creates what is absent and adopts what exists as declared; anything else would be an error.
            Assert.That(Observe() is Observation.Absent || Differing().Count == 0, $"after {CutPoints[step]}: {Observe()}");
            Succeeds(_provider.Render(ResourceOperation.Create, _volume));
            AssertAsWanted();
            Succeeds(_provider.Render(ResourceOperation.Delete, _volume, deleteData: true));
        }
    }

    [Test]
    public void An_incomplete_file_system_of_kbr_is_created_again()
    {
        CutOff(_provider.Render(ResourceOperation.Create, _volume), "mkfs.xfs");
        Output(
            $"mkfs.xfs -q -f -K -L {VolumeProvider.Label(_volume)} {_device}; printf '\\001' | dd of={_device} "
                + $"bs=1 seek=126 conv=notrunc,fsync 2>/dev/null"
        );
        Assert.That(Observe(), Is.InstanceOf<Observation.Absent>());
        Succeeds(_provider.Render(ResourceOperation.Create, _volume));
        AssertAsWanted();
    }

    [TestCase("wipefs")]
    [TestCase("blockdev")]
    [TestCase("set_stamp")]
    [TestCase("write_fstab")]
    [TestCase("clear_stamp")]
    [TestCase("clear_mark")]
    public void A_deletion_that_is_cut_off_is_finished_by_the_next_or_undone_by_a_new_create(string step)
    {
        Succeeds(_provider.Render(ResourceOperation.Create, _volume));
        CutOff(_provider.Render(ResourceOperation.Delete, _volume, deleteData: true), step);
        Assert.That(Observe(), Is.InstanceOf<Observation.Present>());
        Succeeds(_provider.Render(ResourceOperation.Delete, _volume, deleteData: true));
        Assert.That(Observe(), Is.InstanceOf<Observation.Absent>().With.Property("Note").Contains("empty"));

        Succeeds(_provider.Render(ResourceOperation.Create, _volume));
        CutOff(_provider.Render(ResourceOperation.Delete, _volume, deleteData: true), step);
        Succeeds(_provider.Render(ResourceOperation.Update, _volume));
        AssertAsWanted();
    }

    private static readonly string[] CutPoints =
    [
        "set_mark",
        "set_stamp",
        "mkfs.xfs",
        "clear_stamp",
        "mkdir -m",
        "mount -t",
        "write_fstab",
        "mv -f -- \"$target.kbr\"",
        "clear_mark",
    ];

    // Ends the script just before the last line that starts with the step (the step's call, not its definition).
    private static void CutOff(Script script, string step)
    {
        var lines = script.Text.Split('\n').ToList();
        var at = lines.FindLastIndex(line =>
            line.TrimStart().StartsWith(step, StringComparison.Ordinal)
            || line.Contains("then " + step, StringComparison.Ordinal)
            || line.Contains("size=$(" + step, StringComparison.Ordinal)
        );
        Assert.That(at, Is.GreaterThan(0), step);
        var then = lines[at].IndexOf("then " + step, StringComparison.Ordinal);
        lines[at] = then >= 0 ? lines[at][..(then + 5)] + "kill -KILL $$; " + lines[at][(then + 5)..] : "kill -KILL $$; " + lines[at];
        Assert.That(Run(script with { Text = string.Join('\n', lines) }).ExitCode, Is.EqualTo(137), step);
    }

    private void AssertAsWanted()
    {
        Assert.That(Observe(), Is.InstanceOf<Observation.Present>());
        Assert.That(Differing(), Is.Empty);
    }

    private List<string> Differing()
    {
        var present = (Observation.Present)Observe();
        return
        [
            .. _provider
                .Desired(_volume)
                .Where(pair => present.Attributes.GetValueOrDefault(pair.Key)?.Value != pair.Value.Value)
                .Select(pair => pair.Key),
        ];
    }

    private string Tag(string name) => Output($"blkid -p -o value -s {name} {_device} || :");

    // Of what is not a hole of the sparse file, and of where that lies.
    private string Checksum() => Output($"sync {_device}; tar --sparse --mtime=@0 -C {_folder} -cf - device | sha256sum");

    /// <summary>Answers the provider's reads on this machine.</summary>
    private Observation Observe()
    {
        var answers = ImmutableDictionary.CreateBuilder<Read, object?>();
        foreach (var read in _provider.Reads(_volume))
        {
            answers[read] = read switch
            {
                BlockDeviceRead device => ReadDevice(device.Path),
                MountsRead => (IReadOnlyList<MountEntry>)[.. File.ReadAllLines("/proc/self/mountinfo").Select(ParseMount)],
                FileRead file => File.Exists(file.Path) ? new FileContent(File.ReadAllBytes(file.Path)) : null,
                StatRead stat => ReadStat(stat.Path),
                _ => throw new InvalidOperationException(read.ToString()),
            };
        }

        return _provider.Observe(_volume, new Snapshot(answers.ToImmutable()));
    }

    private static MountEntry ParseMount(string line)
    {
        var fields = line.Split(' ');
        var dash = Array.IndexOf(fields, "-");
        return new MountEntry(fields[4], fields[dash + 2], fields[2], fields[dash + 1], $"{fields[5]},{fields[dash + 3]}");
    }

    private static BlockDeviceState ReadDevice(string path)
    {
        var tags = Output($"blkid -p -o export {path} || :")
            .Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(line => line.Split('=', 2))
            .Where(pair => pair[0] != "DEVNAME")
            .ToDictionary(pair => pair[0], pair => pair[1]);
        var number = Output($"echo $((0x$(stat -c %t {path}))):$((0x$(stat -c %T {path})))");
        var zero = Output($"head -c 1048576 {path} | tr -d '\\000' | wc -c") == "0";
        return new BlockDeviceState(
            true,
            number,
            tags,
            zero,
            long.Parse(Output($"blockdev --getsize64 {path}"), CultureInfo.InvariantCulture)
        );
    }

    private static FileStat? ReadStat(string path)
    {
        var result = Shell($"stat -c %F {path}");
        return result.ExitCode == 0 ? new FileStat(result.Output.Trim(), 0, 0, "root", "root", "0755", DateTimeOffset.UnixEpoch) : null;
    }
}
