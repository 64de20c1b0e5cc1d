using System.Security.Cryptography;
using System.Text;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.Volume;

/// <summary>A volume as declared.</summary>
/// <param name="Name">The resource's name.</param>
/// <param name="Device">The block device.</param>
/// <param name="MountPoint">Where it is mounted.</param>
/// <param name="FileSystem">The file system it has.</param>
/// <param name="MountOptions">Mount options, comma-separated, without those that kbr adds.</param>
internal sealed record VolumeSpec(string Name, string Device, string MountPoint, string FileSystem, string MountOptions)
{
    public const string DefaultFileSystem = "xfs";
    public const string DefaultMountOptions = "noatime";

    public static VolumeSpec Of(Resource resource)
    {
        var spec = resource.Spec;
        return new VolumeSpec(
            resource.Address.Name,
            spec.String("device"),
            spec.String("mount_point"),
            spec.OptionalString("file_system") ?? DefaultFileSystem,
            spec.OptionalString("mount_options") ?? DefaultMountOptions
        );
    }

    /// <summary>The label of the file system that kbr makes; kbr recognises its own file systems by it. An XFS label has at most 12
    /// characters.</summary>
    public string Label => "kbr-" + Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(Name)).AsSpan(0, 4));

    public BlockDeviceRead DeviceRead => new(Device);

    public StatRead MountPointRead => new(MountPoint);
}
