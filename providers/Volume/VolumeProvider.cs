using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Directory;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.Volume;

/// <summary>A block device with an XFS file system, mounted now and at boot. kbr formats only an empty device, labels what it made, and
/// mounts it by a line of its own in fstab.</summary>
public sealed class VolumeProvider : IHostResourceProvider, IReleasesOnDestroy
{
    private const string None = "(none)";

    private readonly string _fstab;
    private readonly string _state;

    /// <summary>For real hosts.</summary>
    public VolumeProvider()
        : this("/etc/fstab", "/var/lib/kbr") { }

    /// <summary>For tests: another fstab, and another folder for the mark of an unfinished change.</summary>
    public VolumeProvider(string fstab, string state)
    {
        _fstab = fstab;
        _state = state;
    }

    /// <inheritdoc />
    public ResourceSchema Schema { get; } =
        new(
            "volume",
            "A block device with a file system: formatted only if empty, mounted now and at boot.",
            [
                new("device", AttributeKind.Path, "The block device, best by a stable name: /dev/disk/by-id/...")
                {
                    Required = true,
                    Effect = ChangeEffect.Replace,
                },
                new("mount_point", AttributeKind.Path, "The mount point; the parent must exist or be declared.")
                {
                    Required = true,
                    Effect = ChangeEffect.Replace,
                },
                new("file_system", AttributeKind.String, "The file system.") { Default = VolumeSpec.DefaultFileSystem, Choices = ["xfs"] },
                new(
                    "mount_options",
                    AttributeKind.String,
                    "Mount options, comma-separated; nofail is added, so that a missing device leaves the host reachable."
                )
                {
                    Default = VolumeSpec.DefaultMountOptions,
                },
            ]
        );

    /// <inheritdoc />
    public bool HoldsData(Resource resource) => true;

    /// <inheritdoc />
    public IEnumerable<Diagnostic> Validate(Resource resource)
    {
        foreach (var problem in PathRules.Check(resource, "device").Concat(PathRules.Check(resource, "mount_point")))
        {
            yield return problem;
        }

        if (resource.Spec.OptionalString("device") is { } device && !device.StartsWith("/dev/", StringComparison.Ordinal))
        {
            yield return Problem(resource, $"'{device}' is not under /dev", "name a block device");
        }

        // fstab separates by blanks and escapes with backslashes; neither is worth the trouble in a mount point.
        foreach (var name in new[] { "device", "mount_point", "mount_options" })
        {
            if (
                resource.Spec.OptionalString(name) is { } value
                && value.Any(letter => char.IsWhiteSpace(letter) || char.IsControl(letter) || letter is '\\' or '"' or '#')
            )
            {
                yield return Problem(
                    resource,
                    $"{name} '{value}' has a character that fstab does not allow",
                    "remove blanks, backslashes, quotes and '#'"
                );
            }
        }
    }

    /// <inheritdoc />
    public ResourceLinks Links(Resource resource)
    {
        var path = VolumeSpec.Of(resource).MountPoint;
        return new ResourceLinks([$"path:{path}"], [$"path:{PathRules.Parent(path)}"]) { MountPoint = path, ManagedPaths = [path] };
    }

    /// <inheritdoc />
    public IEnumerable<Read> Reads(Resource resource)
    {
        var spec = VolumeSpec.Of(resource);
        return [spec.DeviceRead, new MountsRead(), new FileRead(_fstab), spec.MountPointRead, Mark(spec)];
    }

    /// <inheritdoc />
    public SortedMap<AttributeValue> Desired(Resource resource)
    {
        var spec = VolumeSpec.Of(resource);
        return Comparable
            .None.Add("file_system", new(spec.FileSystem))
            .Add("label", new(spec.Label))
            .Add("mounted", new("true"))
            .Add("mount_options", new(string.Join(',', MountOptions.Effective(spec.MountOptions))))
            .Add("fstab", new(Fstab.Line("UUID=(its own)", spec)));
    }

    /// <inheritdoc />
    public Observation Observe(Resource resource, Snapshot snapshot)
    {
        var spec = VolumeSpec.Of(resource);
        var (name, mountPoint) = (spec.Device, spec.MountPoint);
        var device = snapshot.Get(spec.DeviceRead);
        if (!device.Exists)
        {
            return new Observation.Unknown($"there is no block device {name}; attach the volume, or correct the name");
        }

        if (device.SizeBytes == 0)
        {
            return new Observation.Unknown(
                $"the block device {name} has a size of 0: the volume was detached; attach it, or correct the name"
            );
        }

        if (snapshot.Get(spec.MountPointRead) is { } stat && stat.Kind != "directory")
        {
            return new Observation.Unknown($"the mount point {mountPoint} is a {stat.Kind}, not a directory");
        }

        // The last of several mounts at one place is visible.
        var mounts = snapshot.Get(new MountsRead());
        var mount = mounts.LastOrDefault(entry => entry.MountPoint == mountPoint);
        if (mount is not null && mount.DeviceNumber != device.DeviceNumber)
        {
            return new Observation.Unknown(
                $"{mount.Source} ({mount.Type}) is mounted at {mountPoint}, not {name}; unmount it, or correct device or mount_point"
            );
        }

        if (mount is null && mounts.FirstOrDefault(entry => entry.DeviceNumber == device.DeviceNumber) is { } elsewhere)
        {
            return new Observation.Unknown(
                $"{name} is mounted at {elsewhere.MountPoint}, not at {mountPoint}; unmount it there, or correct mount_point"
            );
        }

        var mark = snapshot.Get(Mark(spec))?.Text ?? "";
        if (mark.StartsWith("creating", StringComparison.Ordinal))
        {
            return new Observation.Absent("an earlier apply was interrupted while creating this volume: this one continues");
        }

        var type = device.Signatures.GetValueOrDefault("TYPE");
        var label = device.Signatures.GetValueOrDefault("LABEL") ?? "";
        var lines = Fstab.LinesFor(snapshot.Get(new FileRead(_fstab))?.Text ?? "", mountPoint);
        if (mark.StartsWith("wiping", StringComparison.Ordinal))
        {
            type = "(being deleted)";
        }
        else if (mount is null && type != "xfs")
        {
            if (device.Signatures.Count > 0 || !device.FirstMebibyteIsZero)
            {
                return new Observation.Unknown(
                    $"{name} holds {Content(device)}; kbr formats only an empty device: name another one, or wipe it "
                        + $"yourself ('wipefs -a' and zeroes over its first MiB)"
                );
            }

            return lines.FirstOrDefault(line => !line.IsManaged) is { } foreign
                ? new Observation.Unknown(
                    $"{_fstab} already mounts {foreign.Source} at {mountPoint}; remove that line, or correct mount_point"
                )
                : new Observation.Absent("the device is empty: it is formatted") { IsBlank = true };
        }
        else if (mount is null && label == spec.Label && lines.Count == 0)
        {
            return new Observation.Absent("the device has the xfs file system that kbr created: it is mounted, not formatted");
        }
        else if (type != "xfs")
        {
            return new Observation.Unknown($"{name} is mounted at {mountPoint} and holds {Content(device)}, not xfs");
        }

        return new Observation.Present(
            Comparable
                .None.Add("file_system", new(type))
                .Add("label", new(label.Length > 0 ? label : None))
                .Add("mounted", new(mount is null ? "false" : "true"))
                // A volume that is not mounted has no options that could differ.
                .Add(
                    "mount_options",
                    new(
                        string.Join(
                            ',',
                            mount is null
                                ? MountOptions.Effective(spec.MountOptions)
                                : MountOptions.Observed(spec.MountOptions, mount.Options)
                        )
                    )
                )
                .Add("fstab", new(Fstab.Describe(lines, device.Signatures.GetValueOrDefault("UUID")) ?? None))
        )
        {
            IsMounted = mount is not null,
        };
    }

    /// <inheritdoc />
    public Script Render(ResourceChange change)
    {
        var spec = VolumeSpec.Of(change.Resource);
        var options = spec.MountOptions;
        var head = $"""
            device={Script.Quote(spec.Device)}
            mount_point={Script.Quote(spec.MountPoint)}
            parent={Script.Quote(PathRules.Parent(spec.MountPoint))}
            label={Script.Quote(spec.Label)}
            options={Script.Quote(options)}
            remount={Script.Quote(
                change.Changed.Contains("mount_options") || change.Operation == ResourceOperation.Create
                    ? MountOptions.Remount(options)
                    : ""
            )}
            fields={Script.Quote(Fstab.Line("", spec).TrimStart())}
            fstab={Script.Quote(_fstab)}
            state={Script.Quote(_state)}
            mark={Script.Quote(MarkPath(spec))}
            creating={(change.Operation == ResourceOperation.Create ? "yes" : "no")}
            adopt={(change.Adopt ? "yes" : "no")}
            delete_data={(change.DeleteData ? "yes" : "no")}

            """;
        return change.Operation switch
        {
            ResourceOperation.Create or ResourceOperation.Update => new Script(head + VolumeScripts.Common + VolumeScripts.Ensure)
            {
                Deadline = TimeSpan.FromMinutes(10),
            },
            ResourceOperation.Delete => new Script(head + VolumeScripts.Common + VolumeScripts.Release)
            {
                Deadline = TimeSpan.FromMinutes(10),
            },
            _ => throw new InvalidOperationException("a volume is never replaced: its data would be lost"),
        };
    }

    /// <summary>The label of the file system that kbr makes for a volume.</summary>
    public static string Label(Resource resource) => VolumeSpec.Of(resource).Label;

    private FileRead Mark(VolumeSpec spec) => new(MarkPath(spec));

    private string MarkPath(VolumeSpec spec) => $"{_state}/unfinished-{spec.Label}";

    private static string Content(BlockDeviceState device)
    {
        if (device.Signatures.TryGetValue("TYPE", out var type))
        {
            return device.Signatures.TryGetValue("LABEL", out var label) ? $"{type} (label '{label}')" : type;
        }

        return device.Signatures.TryGetValue("PTTYPE", out var table) ? $"a partition table ({table})" : "data of an unknown kind";
    }

    private static Diagnostic Problem(Resource resource, string summary, string remedy) =>
        Diagnostic.Error(summary, resource.Location, remedy: remedy, host: resource.Address.Host, address: resource.Address.ToString());
}
