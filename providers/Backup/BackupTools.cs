namespace KeyBuzz.Reconciler.Providers.Backup;

/// <summary>The backup tools that kbr knows.</summary>
public static class BackupTools
{
    /// <summary>The default tool.</summary>
    public static IBackupTool Default { get; } = new PgBackRest.PgBackRestTool();
}
