using KeyBuzz.Reconciler.Diagnostics;

namespace KeyBuzz.Reconciler.Records;

/// <summary>A file of this machine that others read while it is written: replaced at once or not at all, never half-written.</summary>
public static class LocalFile
{
    /// <summary>Writes beside, syncs, renames. The directory has to be there. Throws <see cref="DiagnosticException"/> naming the path when
    /// it cannot.</summary>
    /// <param name="path">The file; a link stays a link, and what it points to is replaced.</param>
    /// <param name="write">Writes the content.</param>
    /// <param name="mode">Its permissions, less the umask; left out, those of the file that is there, and readable by everyone for a new
    /// one.</param>
    public static void Replace(string path, Action<Stream> write, UnixFileMode? mode = null)
    {
        ArgumentNullException.ThrowIfNull(write);
        if (
            Path.GetFullPath(path) is var full
            && (full.StartsWith("/dev/", StringComparison.Ordinal) || full.StartsWith("/proc/", StringComparison.Ordinal))
        )
        {
            throw new DiagnosticException(Diagnostic.Error($"{path} is not a regular file"));
        }

        try
        {
            var target = Path.GetFullPath(
                File.Exists(full) && File.ResolveLinkTarget(full, returnFinalTarget: true) is { } end ? end.FullName : full
            );
            var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
            if (!OperatingSystem.IsWindows())
            {
                options.UnixCreateMode = mode
                    ?? (
                        File.Exists(target)
                            ? File.GetUnixFileMode(target)
                            : UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead
                    );
            }

            // Hidden, so that programs that read all files of the directory skip the incomplete one.
            var beside = Path.Combine(Path.GetDirectoryName(target)!, $".{Path.GetFileName(target)}.{Guid.NewGuid():n}");
            try
            {
                using (var stream = new FileStream(beside, options))
                {
                    write(stream);
                    stream.Flush(flushToDisk: true);
                }

                File.Move(beside, target, overwrite: true);
            }
            finally
            {
                File.Delete(beside);
            }
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new DiagnosticException(Diagnostic.Error($"{path} cannot be written", detail: exception.Message));
        }
    }
}
