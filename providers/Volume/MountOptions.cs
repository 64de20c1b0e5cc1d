using System.Globalization;

namespace KeyBuzz.Reconciler.Providers.Volume;

/// <summary>Mount options as the kernel shows them.</summary>
internal static class MountOptions
{
    // Words for fstab and mount(8), and defaults, which the kernel does not show.
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
        "norelatime",
        "nostrictatime",
        "diratime",
        "loud",
        "silent",
        "nolazytime",
        "iversion",
        "noiversion",
        "nomand",
        "symfollow",
        "nodiscard",
        "noikeep",
        "nolargeio",
        "nogrpid",
        "sysvgroups",
        "attr2",
        "noattr2",
        "dax=inode",
    ];

    // Words for readers of fstab: they begin with one of these.
    private static readonly string[] SilentPrefixes = ["x-", "comment="];

    // Sizes, which XFS shows in KiB.
    private static readonly string[] Sizes = ["allocsize=", "logbsize="];

    // Options that change the volume's behaviour: shown when in effect without being declared.
    private static readonly string[] Notable = ["ro", "noexec", "nosuid", "nodev", "sync", "noatime", "nodiratime", "strictatime"];

    private static readonly Dictionary<string, string> KernelNames = new(StringComparer.Ordinal)
    {
        ["quota"] = "usrquota",
        ["uquota"] = "usrquota",
        ["gquota"] = "grpquota",
        ["pquota"] = "prjquota",
        ["qnoenforce"] = "uqnoenforce",
        ["bsdgroups"] = "grpid",
        ["dax"] = "dax=always",
    };

    /// <summary>Those of the wanted options that can be seen on a mount, sorted.</summary>
    public static IReadOnlyList<string> Effective(string wanted) =>
        [
            .. Split(wanted)
                .Where(option => !Silent.Contains(option) && !IsForReaders(option))
                .Select(option => KernelNames.GetValueOrDefault(option, option))
                .Select(InKibibytes)
                .Distinct()
                .Order(StringComparer.Ordinal),
        ];

    /// <summary>The declared options in effect, and the notable undeclared ones.</summary>
    public static IReadOnlyList<string> Observed(string wanted, string effective)
    {
        var seen = Split(effective).Select(InKibibytes).ToHashSet(StringComparer.Ordinal);
        if (!seen.Contains("noatime") && !seen.Contains("relatime"))
        {
            // The kernel has no word for it.
            seen.Add("strictatime");
        }

        return [.. Effective(wanted).Concat(Notable).Where(seen.Contains).Distinct().Order(StringComparer.Ordinal)];
    }

    /// <summary>The options of a remount: mount(8) may keep whatever is not named, so the opposites of the notable ones are.</summary>
    public static string Remount(string wanted)
    {
        var options = Split(wanted)
            .Where(option => !IsForReaders(option) && option is not ("defaults" or "nofail" or "auto" or "noauto" or "_netdev"))
            .ToList();
        var defaults = new List<string>();
        Unless(["ro"], "rw");
        Unless(["noexec"], "exec");
        Unless(["nosuid"], "suid");
        Unless(["nodev"], "dev");
        Unless(["sync"], "async");
        Unless(["nodiratime"], "diratime");
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

    private static bool IsForReaders(string option) =>
        SilentPrefixes.Any(prefix => option.StartsWith(prefix, StringComparison.OrdinalIgnoreCase));

    // 64m, 65536k and 67108864 are one size; whatever is none stays as it is.
    private static string InKibibytes(string option)
    {
        if (Array.Find(Sizes, size => option.StartsWith(size, StringComparison.Ordinal)) is not { } name)
        {
            return option;
        }

        var text = option[name.Length..];
        var shift = text.Length == 0 ? 0 : "kmg".IndexOf(char.ToLowerInvariant(text[^1]), StringComparison.Ordinal) * 10 + 10;
        return
            long.TryParse(shift > 0 ? text[..^1] : text, NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            && number <= long.MaxValue >> shift
            && (number << shift) % 1024 == 0
            ? string.Create(CultureInfo.InvariantCulture, $"{name}{(number << shift) / 1024}k")
            : option;
    }

    private static string[] Split(string options) => options.Split(',', StringSplitOptions.RemoveEmptyEntries);
}
