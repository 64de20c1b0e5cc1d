namespace KeyBuzz.Reconciler.Providers.Backup;

/// <summary>Why a repository cannot be used.</summary>
public enum RepositoryFault
{
    /// <summary>Its own message is all that is known.</summary>
    Other,

    /// <summary>It does not answer.</summary>
    NoAnswer,

    /// <summary>The certificate of its server is not trusted.</summary>
    Untrusted,

    /// <summary>Its server refuses the key.</summary>
    Refused,

    /// <summary>The bucket or directory is missing.</summary>
    PlaceMissing,

    /// <summary>It knows nothing of the cluster.</summary>
    NotPrepared,

    /// <summary>It was made with another cipher key.</summary>
    OtherCipher,

    /// <summary>It was prepared for another database.</summary>
    OtherDatabase,

    /// <summary>The members' user may not read or write there.</summary>
    NotWritable,

    /// <summary>It is full.</summary>
    Full,

    /// <summary>Its server answers with an error of its own.</summary>
    ServerError,
}

/// <summary>What helps against each <see cref="RepositoryFault"/>.</summary>
public static class RepositoryFaults
{
    /// <summary>What to look at or to do; null where that is not known.</summary>
    public static string? Remedy(this RepositoryFault fault) =>
        fault switch
        {
            RepositoryFault.NoAnswer => "is its server up, and does the network let the members reach it?",
            RepositoryFault.Untrusted => "'ca_file' must be the certificate of the authority that signed the server's",
            RepositoryFault.Refused => "are its key and secret in the credentials file right, and may they read and write there?",
            RepositoryFault.PlaceMissing => "make the bucket again, then kbr apply and kbr backup --full",
            RepositoryFault.NotPrepared => "kbr apply prepares it",
            RepositoryFault.OtherCipher => "the cipher key in the credentials file must be the one that it was made with",
            RepositoryFault.OtherDatabase => "another cluster's needs another 'path'",
            RepositoryFault.NotWritable =>
                "the directory must belong to the user that writes there, PostgreSQL's in the container or that of SFTP: chown it on its "
                    + "server",
            RepositoryFault.Full => "it is full: free or add room there, or lower 'retention'",
            RepositoryFault.ServerError => "the log of its server has the reason; a full disk is a usual one",
            _ => null,
        };

    /// <summary>A message with its remedy after it.</summary>
    public static string WithRemedy(this RepositoryFault fault, string message) =>
        fault.Remedy() is { } remedy ? $"{message} ({remedy})" : message;
}
