namespace KeyBuzz.Reconciler.Providers.Backup.PgBackRest;

/// <summary>The kinds of fault in pgBackRest's messages, which have an error's number or name, and for a server its answer.</summary>
internal static class PgBackRestFaults
{
    // The first that is found counts: an answer of the server's is more than that it gave none in the end.
    private static readonly (RepositoryFault Fault, string[] Words)[] s_signs =
    [
        (RepositoryFault.Untrusted, ["unable to verify certificate", "certificate verify failed", "unable to find hostname"]),
        (RepositoryFault.OtherCipher, ["key/value found outside of section", "cipher header invalid", "CryptoError", "unable to flush"]),
        (RepositoryFault.OtherDatabase, ["ArchiveMismatchError", "[044]", "do not match stanza version", "do not match the database"]),
        (
            RepositoryFault.Full,
            [
                "StorageFull",
                "QuotaExceeded",
                "507 (",
                "[507]",
                "No space left on device",
                "Disk quota exceeded",
                "] no space on",
                "] quota exceeded",
            ]
        ),
        // By SFTP; a shared directory's are told by their path.
        (RepositoryFault.NotWritable, ["] permission denied", "] write protect"]),
        (RepositoryFault.PlaceMissing, ["NoSuchBucket", "404 (Not Found)"]),
        (RepositoryFault.Refused, ["403 (Forbidden)", "401 (", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied"]),
        (RepositoryFault.ServerError, ["[500]", "[502]", "[503]", "[504]", "500 (", "503 (", "ServiceError"]),
        (
            RepositoryFault.NoAnswer,
            [
                "HostConnectError",
                "[049]",
                "unable to connect",
                "unable to get address",
                "timeout",
                "terminated on signal",
                "Connection re",
                "Stale file",
            ]
        ),
    ];

    /// <summary>The kind of fault in an output.</summary>
    public static RepositoryFault Of(string output)
    {
        ArgumentNullException.ThrowIfNull(output);
        return s_signs
            .Where(sign =>
                sign.Words.Any(word => output.Contains(word, StringComparison.Ordinal))
                || (sign.Fault == RepositoryFault.NotWritable && IsDenied(output))
            )
            .Select(sign => sign.Fault)
            .FirstOrDefault();
    }

    // Every file of a repository is in its folders archive and backup; a directory may also be the one that they are in. A file that is
    // denied elsewhere is the member's own: a key, a lock.
    private static bool IsDenied(string output)
    {
        foreach (var line in output.Split('\n'))
        {
            var end = Math.Max(
                line.IndexOf(": [13] Permission denied", StringComparison.Ordinal),
                line.IndexOf(": [30] Read-only file system", StringComparison.Ordinal)
            );
            var last = end < 0 ? -1 : line.LastIndexOf('\'', end);
            var first = last < 1 ? -1 : line.LastIndexOf('\'', last - 1);
            if (first < 0)
            {
                continue;
            }

            var (what, path) = (line[..first], line[(first + 1)..last] + "/");
            if (
                path.Contains("/archive/", StringComparison.Ordinal)
                || path.Contains("/backup/", StringComparison.Ordinal)
                || (
                    (what.EndsWith("path ", StringComparison.Ordinal) || what.EndsWith("path/file ", StringComparison.Ordinal))
                    && !path.StartsWith("/tmp/", StringComparison.Ordinal)
                    && !path.StartsWith("/etc/", StringComparison.Ordinal)
                )
            )
            {
                return true;
            }
        }

        return false;
    }
}
