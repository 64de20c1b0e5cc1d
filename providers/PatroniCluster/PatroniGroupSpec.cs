using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.PatroniCluster;

/// <summary>A group of Patroni members as declared; how it is reached is <see cref="PostgreSql.ClusterConnection"/>.</summary>
/// <param name="Unit">The systemd unit that runs Patroni on each member; null for none.</param>
/// <param name="Version">PostgreSQL's major version; null for any.</param>
/// <param name="PreferredLeader">The primary after a roll-out; null for any.</param>
/// <param name="BootstrapHost">The member that alone may initialise the cluster; null for none.</param>
/// <param name="MaxLag">The maximal lag of a replica in a healthy cluster, in bytes.</param>
/// <param name="DataDirectory">PostgreSQL's data directory on the hosts; null when it is not known.</param>
/// <param name="MountPoint">The mount point below it; null for none.</param>
/// <param name="FormerData">Where a member may have data of an installation by hand; null for nowhere.</param>
/// <param name="Recovers">The member that a recovery, or a restore without lost members, goes on from; null for neither.</param>
internal sealed record PatroniGroupSpec(
    string? Unit,
    long? Version,
    string? PreferredLeader,
    string? BootstrapHost,
    long MaxLag,
    string? DataDirectory,
    string? MountPoint,
    string? FormerData,
    string? Recovers
)
{
    public const string UnitKey = "unit";
    public const string VersionKey = "version";
    public const string PreferredLeaderKey = "preferred_leader";
    public const string BootstrapHostKey = "bootstrap_host";
    public const string MaxLagKey = "max_lag";
    public const string DataDirectoryKey = "data_directory";
    public const string MountPointKey = "mount_point";
    public const string FileKey = "patroni_file";
    public const string ImageKey = "image";
    public const string FormerDataKey = "former_data_directory";
    public const string RecoversKey = "recovers";

    public static PatroniGroupSpec Of(IDeclared declared)
    {
        var spec = declared.Spec;
        return new PatroniGroupSpec(
            spec.OptionalString(UnitKey),
            spec.Integer(VersionKey),
            spec.OptionalString(PreferredLeaderKey),
            spec.OptionalString(BootstrapHostKey),
            spec.Integer(MaxLagKey) ?? PatroniHealth.DefaultMaxLag,
            spec.OptionalString(DataDirectoryKey),
            spec.OptionalString(MountPointKey),
            spec.OptionalString(FormerDataKey),
            spec.OptionalString(RecoversKey)
        );
    }

    /// <summary>Where an installation by hand has its data: at the root of the mounted directory, or of the volume.</summary>
    public IEnumerable<string> FormerDirectories => FormerData is null ? [] : new[] { FormerData, MountPoint }.OfType<string>();

    /// <summary>Everywhere a member may have data.</summary>
    public IEnumerable<string> DataDirectories => new[] { DataDirectory }.OfType<string>().Concat(FormerDirectories);

    /// <summary>The file that every data directory of PostgreSQL has, in those of an installation by hand.</summary>
    public IEnumerable<StatRead> FormerMarks => FormerDirectories.Select(MarkOf);

    /// <summary>That file of the data directory; null when that is not known.</summary>
    public StatRead? DataMark => DataDirectory is { } path ? MarkOf(path) : null;

    private static StatRead MarkOf(string directory) => new(directory + "/PG_VERSION");
}
