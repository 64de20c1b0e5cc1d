namespace KeyBuzz.Reconciler.Providers.Volume;

/// <summary>Mount options as the kernel shows them.</summary>
internal static class MountOptions
{
    // Words for fstab and its readers, and defaults, which the kernel does not show.
    private static readonly HashSet<string> Silent =
    [
        "defaults",
        "rw",
        "nofail",
        "auto",
        "noauto",
        "_netdev",
        "user",
        "nouser",
        "exec",
        "suid",
        "dev",
        "async",
        "atime",
        "relatime",
        "loud",
        "nolazytime",
    ];

    // Options that change the volume's behaviour: shown when in effect without being declared.
    private static readonly string[] Notable = ["ro", "noexec", "nosuid", "nodev", "sync", "noatime", "nodiratime", "strictatime"];

    private static readonly Dictionary<string, string> KernelNames = new(StringComparer.Ordinal)
    {
        ["quota"] = "usrquota",
        ["uquota"] = "usrquota",
        ["gquota"] = "grpquota",
        ["pquota"] = "prjquota",
    };

    /// <summary>Those of the wanted options that can be seen on a mount, sorted.</summary>
    public static IReadOnlyList<string> Effective(string wanted) =>
        [
            .. Split(wanted)
                .Where(option => !Silent.Contains(option) && !option.StartsWith("x-", StringComparison.Ordinal))
                .Select(option => KernelNames.GetValueOrDefault(option, option))
                .Distinct()
                .Order(StringComparer.Ordinal),
        ];

    /// <summary>The declared options in effect, and the notable undeclared ones.</summary>
    public static IReadOnlyList<string> Observed(string wanted, string effective)
    {
        var seen = Split(effective).ToHashSet(StringComparer.Ordinal);
        return [.. Effective(wanted).Concat(Notable).Where(seen.Contains).Distinct().Order(StringComparer.Ordinal)];
    }

    /// <summary>The options of a remount: mount(8) may keep whatever is not named, so the opposites of the notable ones are.</summary>
    public static string Remount(string wanted)
    {
        var options = Split(wanted)
            .Where(option =>
                !option.StartsWith("x-", StringComparison.Ordinal)
                && option is not ("defaults" or "nofail" or "auto" or "noauto" or "_netdev")
            )
            .ToList();
        var defaults = new List<string>();
        Unless(["ro"], "rw");
        Unless(["noexec"], "exec");
        Unless(["nosuid"], "suid");
        Unless(["nodev"], "dev");
        Unless(["sync"], "async");
        Unless(["noatime", "strictatime", "relatime", "atime"], "relatime");
        return string.Join(',', defaults.Concat(options));

        void Unless(string[] asked, string otherwise)
        {
            if (!asked.Any(options.Contains))
            {
                defaults.Add(otherwise);
            }
        }
    }

    private static string[] Split(string options) => options.Split(',', StringSplitOptions.RemoveEmptyEntries);
}
