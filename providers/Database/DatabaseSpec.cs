using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.Database;

/// <summary>A database as declared.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Owner">The role that owns it.</param>
/// <param name="Encoding">Its character set as PostgreSQL spells it.</param>
/// <param name="Connection">How the cluster is reached.</param>
internal sealed record DatabaseSpec(string Name, string Owner, string Encoding, ClusterConnection Connection)
{
    public const string DefaultEncoding = "UTF8";

    public static DatabaseSpec Of(Resource resource)
    {
        var spec = resource.Spec;
        return new DatabaseSpec(
            spec.OptionalString("database") ?? resource.Address.Name,
            spec.String("owner"),
            Canonical(spec.OptionalString("encoding") ?? DefaultEncoding),
            ClusterConnection.Of(resource)
        );
    }

    // As pg_encoding_to_char writes the usual one; others are taken as PostgreSQL lists them.
    private static string Canonical(string encoding) =>
        encoding.ToUpperInvariant() switch
        {
            "UTF-8" or "UTF8" or "UNICODE" => "UTF8",
            var name => name,
        };
}
