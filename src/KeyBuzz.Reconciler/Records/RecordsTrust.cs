using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Records;

/// <summary>Whether only root can have written the records of a host, which decide what kbr removes there as root.</summary>
public static class RecordsTrust
{
    /// <summary>The mode of the directories that hold records.</summary>
    public const string DirectoryMode = "0700";

    /// <summary>Why the records may not be believed, or null when they may.</summary>
    public static string? Refusal(RecordsFolder folder)
    {
        ArgumentNullException.ThrowIfNull(folder);
        return folder
            .Directories.Select(directory => Refusal(directory, "directory"))
            .Concat(folder.Files.Select(file => Refusal(file.At, "regular file")))
            .FirstOrDefault(refusal => refusal is not null);
    }

    /// <summary>The excess access of other users to the records, or null; the next written record corrects it.</summary>
    public static string? Loose(RecordsFolder folder)
    {
        ArgumentNullException.ThrowIfNull(folder);
        return folder.Directories.FirstOrDefault(directory => directory.Kind == "directory" && directory.Mode != DirectoryMode) is { } loose
            ? $"{loose.Path} has mode {loose.Mode} and not {DirectoryMode}"
            : null;
    }

    /// <summary>Why one directory or file may not be believed, or null when it may.</summary>
    public static string? Refusal(RecordPath place, string kind) =>
        place.Kind != kind
            ? $"{place.Path} is a {place.Kind} and not a {kind}: its records are not trusted; find out who created it, and move it away"
        : place.Uid != 0
            ? $"{place.Path} belongs to uid {place.Uid} and not to root: its records are not trusted; find out who "
                + $"created it, then chown or move it away"
        : kind == "regular file" && WritableByOthers(place.Mode)
            ? $"{place.Path} has mode {place.Mode}, others can write it, so it is not trusted; check it, then chmod 0600 {place.Path}"
        : null;

    private static bool WritableByOthers(string mode) => mode.Length >= 2 && (((mode[^1] - '0') | (mode[^2] - '0')) & 2) != 0;
}
