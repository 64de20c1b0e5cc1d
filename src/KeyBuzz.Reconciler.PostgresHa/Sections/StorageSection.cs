using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.ConsensusStore;

namespace KeyBuzz.Reconciler.PostgresHa.Sections;

/// <summary>Reads the <c>volume</c> and <c>directories</c> parts.</summary>
internal sealed class StorageSection(SectionReader section, Findings findings)
{
    /// <summary>The volume of each member.</summary>
    public DataVolume Volume(ImmutableArray<Host> members, string directory)
    {
        if (section.Find("volume") is null)
        {
            findings.Error(
                "'postgres' has no 'volume'",
                section.At,
                "each member's data is on a file system of its own",
                "write volume: { device: /dev/disk/by-id/NAME }"
            );
        }

        var own = section.Section("volume").Allow(PostgresSchema.Volume);
        var devices = ImmutableSortedDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        switch (own.Find("device"))
        {
            case YamlMapping map:
                var byHost = new SectionReader(map, "'device'", findings).Allow([.. members.Select(member => member.Name)]);
                foreach (var member in members)
                {
                    if (Device(byHost, member.Name, required: true) is { } device)
                    {
                        devices[member.Name] = device;
                    }
                }

                break;
            case null when section.Find("volume") is null:
                break;
            default:
                if (Device(own, "device", required: true) is { } same)
                {
                    devices.AddRange(members.Select(member => KeyValuePair.Create(member.Name, same)));
                }

                break;
        }

        return new DataVolume(
            devices.ToImmutable(),
            own.HostPath("mount_point", directory + "/postgres"),
            own.Word("mount_options", "options of mount, comma-separated")?.Value,
            own.Boolean("prevent_destroy") ?? false
        )
        {
            Ballast = own.Size("ballast", 0) is > 0 and var ballast ? ballast : null,
        };
    }

    private string? Device(SectionReader own, string key, bool required)
    {
        if (own.Word(key, "a block device such as /dev/disk/by-id/NAME, or a map from member to device", required) is not { } word)
        {
            return null;
        }

        if (HostPath.TryNormalize(word.Value, out var path, out _) && path.StartsWith("/dev/", StringComparison.Ordinal))
        {
            return path;
        }

        findings.Error(
            $"'{word.Value}' is not a block device",
            word.At,
            "write a path under /dev",
            "name the volume as 'ls -l /dev/disk/by-id' shows it"
        );
        return null;
    }

    /// <summary>The directories of each member.</summary>
    public MemberDirectories Directories(DataVolume volume, string directory, StoreSettings store)
    {
        var own = section.Section("directories").Allow([.. PostgresSchema.Directories.Names, .. store.Kind.DirectoryKeys]);
        var data = own.HostPath("data", volume.MountPoint + "/data");
        var found = new MemberDirectories(
            data,
            own.HostPath("data_directory", data + "/pgdata"),
            own.HostPath("archive", volume.MountPoint + "/archive"),
            directory + "/patroni"
        );
        (string Key, string Path)[] apart =
        [
            ("data", found.Data),
            .. store.AllDirectories.Select(one => (one.Key, one.Path)),
            ("archive", found.Archive),
        ];
        foreach (var (key, path) in apart)
        {
            if (path == volume.MountPoint || !HostPath.IsIn(path, volume.MountPoint))
            {
                findings.Error(
                    $"the directory '{key}', {path}, does not lie under the mount point {volume.MountPoint}",
                    own.Place(key),
                    "it would be on the root disk, and the volume would not be used",
                    "put it under the mount point, or correct volume.mount_point"
                );
            }
        }

        if (found.DataDirectory == data || !HostPath.IsIn(found.DataDirectory, data))
        {
            findings.Error(
                $"the data directory {found.DataDirectory} is not a subdirectory of {data}",
                own.Place("data_directory"),
                $"the container mounts {data}, and Patroni must be able to rename and remove the data directory",
                $"write {data}/pgdata, or remove the key"
            );
        }

        foreach (var (one, other) in apart.SelectMany((one, at) => apart.Skip(at + 1).Select(other => (one.Path, other.Path))))
        {
            if (HostPath.IsIn(one, other) || HostPath.IsIn(other, one))
            {
                findings.Error(
                    $"the directories {one} and {other} are nested",
                    section.Place("directories"),
                    null,
                    "use separate directories"
                );
            }
        }

        return found;
    }
}
