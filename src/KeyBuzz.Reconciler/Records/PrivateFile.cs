namespace KeyBuzz.Reconciler.Records;

/// <summary>A file of this machine that holds a secret: only its owner may read or change it, as ssh wants it of a private key.</summary>
public static class PrivateFile
{
    private const UnixFileMode Others =
        UnixFileMode.GroupRead
        | UnixFileMode.GroupWrite
        | UnixFileMode.GroupExecute
        | UnixFileMode.OtherRead
        | UnixFileMode.OtherWrite
        | UnixFileMode.OtherExecute;

    /// <summary>The access of other users, as <c>has mode 0644: others can read it</c>; null for none, or a missing file.</summary>
    /// <param name="path">The file; of a link, what it points to counts.</param>
    public static string? Problem(string path)
    {
        if (OperatingSystem.IsWindows() || !File.Exists(path))
        {
            return null;
        }

        var mode = File.GetUnixFileMode(File.ResolveLinkTarget(path, returnFinalTarget: true)?.FullName ?? path);
        return (mode & Others) == 0
            ? null
            : $"has mode {Convert.ToString((int)mode, 8).PadLeft(4, '0')}: others can "
                + $"{((mode & (UnixFileMode.GroupWrite | UnixFileMode.OtherWrite)) != 0 ? "change" : "read")} it";
    }

    /// <summary>The command that closes it.</summary>
    public static string Remedy(string path) => $"chmod 0600 {path}";
}
