using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.Backup;

/// <summary>The repositories of a cluster as declared.</summary>
/// <param name="Repositories">Their places in words, in the order of their numbers.</param>
/// <param name="Directories">Those of them that are directories which the members share.</param>
/// <param name="Configuration">The tool's configuration file on every member's host; null when it is not known.</param>
/// <param name="Location">Where the tool finds its configuration.</param>
/// <param name="Connection">How the cluster is reached.</param>
internal sealed record BackupRepositorySpec(
    ImmutableArray<string> Repositories,
    ImmutableArray<string> Directories,
    FileRead? Configuration,
    BackupLocation Location,
    ClusterConnection Connection
)
{
    public const string ConfigurationKey = "configuration";
    public const string DirectoriesKey = "directories";

    /// <summary>What is asked of a repository's directory.</summary>
    public RepositoryDirectoryRead DirectoryRead(string path) => new(Location.Container, path);

    public static BackupRepositorySpec Of(Resource resource)
    {
        var connection = ClusterConnection.Of(resource);
        return new BackupRepositorySpec(
            [.. resource.Spec.List("repositories")],
            [.. resource.Spec.List(DirectoriesKey)],
            resource.Spec.OptionalString(ConfigurationKey) is { } path ? new FileRead(path) : null,
            new BackupLocation(connection.Container, resource.Spec.String("file"), resource.Address.Host),
            connection
        );
    }
}
