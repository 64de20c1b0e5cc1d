namespace KeyBuzz.Reconciler.LabTests;

/// <summary>Whatever kbr manages or could write to on the hosts: content, owner, mode, times and inode of every file, mounts, devices,
/// containers, images, units.</summary>
internal static class HostState
{
    private const string Everything = """
        paths='/opt /etc /root /home /usr/local /var/lib/kbr /var/log/kbr /var/tmp /var/spool /run/kbr'
        find $paths -printf '%p %y %m %U:%G %s %i %T@ %C@ %l\n' 2>/dev/null | sort
        find /opt /etc/systemd /etc/fstab /var/lib/kbr /var/log/kbr /run/kbr -type f -exec sha256sum {} + 2>/dev/null | sort -k 2
        cut -d ' ' -f 3- /proc/self/mountinfo | sort
        blkid -p /dev/sdb
        docker ps -aq --no-trunc | sort | xargs -r docker inspect -f '{{.Id}} {{.Name}} {{.Created}} {{.State.Status}} {{.State.StartedAt}} {{.RestartCount}} {{.HostConfig.RestartPolicy.Name}}'
        docker images -a --no-trunc --digests --format '{{.ID}} {{.Repository}}:{{.Tag}} {{.Digest}}' | sort
        systemctl show -p Id,LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload,InvocationID,ActiveEnterTimestamp,MainPID,NRestarts kbr-app.service docker.service ssh.service chrony.service opt-keybuzz-data.mount
        """;

    /// <summary>The state of each host, in their order.</summary>
    public static string[] Read() => Lab.OnHosts(Lab.Hosts.Select(host => (host, Everything)));

    /// <summary>Fails where a host is not as it was, and shows the lines.</summary>
    public static void AssertUnchangedSince(string[] before)
    {
        var after = Read();
        Assert.Multiple(() =>
        {
            for (var i = 0; i < Lab.Hosts.Length; i++)
            {
                Assert.That(after[i].Split('\n'), Is.EqualTo(before[i].Split('\n')), Lab.Hosts[i]);
            }
        });
    }
}
