using System.Globalization;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Docker;

namespace KeyBuzz.Reconciler.Providers.Backup;

/// <summary>A repository that is a directory, as one member sees it. kbr marks it once, with a random word, so that a member which has
/// another file system there, or none, is known by its mark.</summary>
/// <param name="Mark">The mark; null where the directory has none.</param>
/// <param name="SizeBytes">The size of its file system; null where it is not known.</param>
/// <param name="FreeBytes">What is free there; null where it is not known.</param>
public sealed record RepositoryDirectory(string? Mark, long? SizeBytes, long? FreeBytes)
{
    // Half of what a full volume leaves to act in.
    private const int LeastFreePercent = 10;

    /// <summary>Whether there is little room left.</summary>
    public bool IsNearlyFull => FreeBytes is { } free && SizeBytes is > 0 and var size && free < size / 100 * LeastFreePercent;

    /// <summary>The file that has the mark of a directory.</summary>
    public static string MarkIn(string path) => path + "/kbr-repository";

    /// <summary>What a member sees; null where it did not say.</summary>
    public static RepositoryDirectory? Of(ToolAnswer answer)
    {
        ArgumentNullException.ThrowIfNull(answer);
        if (answer.ExitCode != 0)
        {
            return null;
        }

        var lines = answer.Output.Split('\n');
        var room = (lines.Length > 1 ? lines[1] : "").Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return new RepositoryDirectory(
            lines[0].Trim() is { Length: > 0 } mark ? mark : null,
            room.Length == 2 ? Number(room[0]) : null,
            room.Length == 2 ? Number(room[1]) : null
        );

        static long? Number(string text) =>
            long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;
    }

    /// <summary>Why a member's directory is not the one that the primary writes to; null where it is, or where one of them did not
    /// say.</summary>
    /// <param name="path">The directory.</param>
    /// <param name="own">What the member sees.</param>
    /// <param name="leader">The primary.</param>
    /// <param name="leaders">What the primary sees.</param>
    public static string? Difference(string path, RepositoryDirectory? own, string leader, RepositoryDirectory? leaders) =>
        own is null || leaders is null || own.Mark == leaders.Mark
            ? null
            : $"{path} is not the directory that {leader} has there: mount the same file system on every member, "
                + "then restart the container of a member that was started before";

    /// <summary>The command, inside the primary's container, that marks a directory which has no mark.</summary>
    public static string Marking(string path)
    {
        var mark = Script.Quote(MarkIn(path));
        var script =
            $"set -e; umask 027; mkdir -p {Script.Quote(path)}; [ -e {mark} ] || {{ cat /proc/sys/kernel/random/uuid > {mark}.new; "
            + $"mv -n {mark}.new {mark}; }}";
        return $"timeout -k 1 20 sh -c {Script.Quote(script)}";
    }
}
