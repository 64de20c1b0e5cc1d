namespace KeyBuzz.Reconciler.Hosts;

/// <summary>The rules for paths on a host: how they are written, and which of them kbr may touch.</summary>
public static class HostPath
{
    // Paths of the system, of its packages and of kbr: cluster.yaml cannot manage them.
    private static readonly string[] s_trees =
    [
        "/proc",
        "/sys",
        "/dev",
        "/boot",
        "/bin",
        "/sbin",
        "/lib",
        "/lib32",
        "/lib64",
        "/libx32",
        "/usr",
        "/run/kbr",
        "/var/run/kbr",
        "/var/lib/kbr",
        "/run/systemd",
        "/run/lock",
        "/var/lib/docker",
        "/var/lib/containerd",
        "/var/lib/dpkg",
        "/var/lib/systemd",
        "/etc/ssh",
        "/etc/pam.d",
        "/etc/sudoers.d",
        "/root/.ssh",
    ];

    // Shared by the whole system: something may be put into them, but none of them is anyone's to own.
    private static readonly string[] s_itself =
    [
        "/",
        "/etc",
        "/var",
        "/var/lib",
        "/var/log",
        "/var/cache",
        "/var/spool",
        "/var/tmp",
        "/var/run",
        "/home",
        "/root",
        "/run",
        "/tmp",
        "/usr/local",
        "/usr/local/bin",
        "/usr/local/sbin",
        "/usr/local/lib",
        "/usr/local/etc",
        "/usr/local/share",
        "/etc/systemd",
        "/etc/systemd/system",
        "/etc/cron.d",
        "/etc/default",
        "/etc/docker",
        "/etc/passwd",
        "/etc/shadow",
        "/etc/group",
        "/etc/gshadow",
        "/etc/passwd-",
        "/etc/shadow-",
        "/etc/subuid",
        "/etc/subgid",
        "/etc/fstab",
        "/etc/crypttab",
        "/etc/mtab",
        "/etc/sudoers",
        "/etc/hostname",
        "/etc/machine-id",
        "/etc/nsswitch.conf",
        "/etc/ld.so.conf",
        "/etc/ld.so.preload",
    ];

    /// <summary>Brings an absolute path into its one form: no doubled and no trailing slash. Says what is wrong otherwise.</summary>
    public static bool TryNormalize(string text, out string path, out string problem)
    {
        path = "";
        problem = "";
        if (!text.StartsWith('/'))
        {
            problem = "write an absolute path, such as /opt/app/data";
            return false;
        }

        if (ControlCharacters.AreIn(text))
        {
            problem = "a path may not hold a line break or another control character";
            return false;
        }

        if (IsNormal(text))
        {
            path = text;
            return true;
        }

        var parts = text.Split('/', StringSplitOptions.RemoveEmptyEntries);
        if (parts.Contains("..") || parts.Contains("."))
        {
            problem = "a path may not hold '.' or '..'";
            return false;
        }

        path = "/" + string.Join('/', parts);
        return true;
    }

    private static bool IsNormal(ReadOnlySpan<char> text)
    {
        var names = text[1..];
        foreach (var range in names.Split('/'))
        {
            if (names[range] is "" or "." or "..")
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>Why kbr may not touch a path in its one form, or null when it may.</summary>
    public static string? Refusal(string path)
    {
        if (Array.IndexOf(s_itself, path) >= 0)
        {
            return $"{path} belongs to the system";
        }

        if (path.StartsWith("/usr/local/", StringComparison.Ordinal))
        {
            return null;
        }

        foreach (var tree in s_trees)
        {
            if (IsIn(path, tree))
            {
                return path == tree ? $"{tree} belongs to the system" : $"{tree} and all in it belongs to the system";
            }
        }

        return null;
    }

    /// <summary>Why an attribute may not have that path, in its one form, or null when it may. A device is under /dev; everything else is
    /// where kbr may touch it.</summary>
    public static string? RefusalOf(string attribute, string path) =>
        attribute == "device"
            ? path.StartsWith("/dev/", StringComparison.Ordinal)
                ? null
                : "write a block device under /dev"
            : Refusal(path);

    /// <summary>Whether a path is a tree or in it.</summary>
    public static bool IsIn(string path, string tree) =>
        path == tree || (path.StartsWith(tree, StringComparison.Ordinal) && path.Length > tree.Length && path[tree.Length] == '/');
}
