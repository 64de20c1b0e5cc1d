using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.Extension;

/// <summary>An extension as declared.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Database">The database it is installed in.</param>
/// <param name="Version">Its version; null for any, or for the image's.</param>
/// <param name="Schema">The schema of its objects, or null.</param>
/// <param name="Follows">The image whose version it is updated to; null for a declared version, or for no updates.</param>
/// <param name="Connection">How the cluster is reached.</param>
internal sealed record ExtensionSpec(
    string Name,
    string Database,
    string? Version,
    string? Schema,
    string? Follows,
    ClusterConnection Connection
)
{
    public static ExtensionSpec Of(Resource resource)
    {
        var spec = resource.Spec;
        var version = spec.OptionalString("version");
        return new ExtensionSpec(
            spec.OptionalString("extension") ?? resource.Address.Name,
            spec.String("database"),
            version,
            spec.OptionalString("schema"),
            version is null ? spec.OptionalString("image") : null,
            ClusterConnection.Of(resource)
        );
    }
}
