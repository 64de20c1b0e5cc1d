using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.Database;

/// <summary>A database of a PostgreSQL cluster. Its content is not read.</summary>
public sealed class DatabaseProvider : IGroupResourceProvider
{
    private const string Owner = "owner";
    private const string Encoding = "encoding";

    /// <inheritdoc />
    public ResourceSchema Schema { get; } =
        new(
            "database",
            "A database of a PostgreSQL cluster.",
            [
                new("database", AttributeKind.String, "Its name; default: the resource's name."),
                new(Owner, AttributeKind.String, "The role that owns it.") { Required = true },
                new(Encoding, AttributeKind.String, "Its character set; fixed at creation.") { Default = "UTF8" },
                .. ClusterConnection.Attributes,
            ]
        );

    /// <inheritdoc />
    public bool HoldsData(Resource resource) => true;

    /// <inheritdoc />
    public IEnumerable<Diagnostic> Validate(Resource resource)
    {
        var name = NameOf(resource);
        var problem = SqlText.Problem(name)
            ?? SqlText.Problem(resource.Spec.String(Owner))
            ?? (name is "template0" or "template1" or "postgres" ? $"'{name}' exists in every cluster and cannot be declared" : null);
        if (problem is not null)
        {
            yield return Diagnostic.Error(problem, resource.Location, address: resource.Address.ToString());
        }
    }

    /// <inheritdoc />
    public ResourceLinks Links(Resource resource) =>
        new(["database:" + NameOf(resource)], [ClusterConnection.Of(resource).Token, "role:" + resource.Spec.String(Owner)]);

    /// <inheritdoc />
    public IEnumerable<Read> Reads(Resource resource)
    {
        var connection = ClusterConnection.Of(resource);
        yield return connection.ContainerRead;
        yield return Query(resource, connection);
    }

    /// <inheritdoc />
    public ImmutableSortedDictionary<string, AttributeValue> Desired(Resource resource) =>
        Comparable.None.Add(Owner, new(resource.Spec.String(Owner))).Add(Encoding, new(EncodingOf(resource)));

    /// <inheritdoc />
    public Observation Observe(Resource resource, IReadOnlyDictionary<string, Snapshot> members)
    {
        var connection = ClusterConnection.Of(resource);
        var answer = LeaderAnswer.Of(connection, Query(resource, connection), members);
        return answer.Instead
            ?? (
                answer.Row.At("found") is { } found
                    ? new Observation.Present(
                        Comparable.None.Add(Owner, new(found.Text(Owner) ?? "")).Add(Encoding, new(found.Text(Encoding) ?? ""))
                    )
                    : new Observation.Absent()
            );
    }

    /// <inheritdoc />
    public async Task ChangeAsync(ResourceChange change, IGroupAccess group, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(change);
        if (change.Operation == ResourceOperation.Update && change.Changed.Contains(Encoding))
        {
            throw new ChangeFailedException(
                $"the encoding of database {NameOf(change.Resource)} was fixed at its creation; dump it, drop it, "
                    + $"and restore into a new one; or correct 'encoding'"
            );
        }

        var session = new LeaderSession(group, ClusterConnection.Of(change.Resource), timeout: TimeSpan.FromMinutes(5));
        await session.RunAsync(Statements(change), cancellationToken).ConfigureAwait(false);
    }

    internal static IReadOnlyList<SqlStatement> Statements(ResourceChange change)
    {
        var resource = change.Resource;
        var database = SqlText.Identifier(NameOf(resource));
        if (change.Operation == ResourceOperation.Delete)
        {
            return [SqlStatement.Run($"DROP DATABASE IF EXISTS {database} WITH (FORCE)")];
        }

        // Only template0 allows an encoding other than its own.
        var owner = SqlText.Identifier(resource.Spec.String(Owner));
        return
        [
            SqlStatement.RunWhere(
                $"CREATE DATABASE {database} OWNER {owner} ENCODING {SqlText.Literal(EncodingOf(resource))} TEMPLATE template0",
                $"NOT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = {SqlText.Literal(NameOf(resource))})"
            ),
            SqlStatement.Run($"ALTER DATABASE {database} OWNER TO {owner}"),
        ];
    }

    private static string NameOf(Resource resource) => resource.Spec.OptionalString("database") ?? resource.Address.Name;

    // As pg_encoding_to_char writes the usual one; others are taken as PostgreSQL lists them.
    private static string EncodingOf(Resource resource) =>
        resource.Spec.String(Encoding).ToUpperInvariant() switch
        {
            "UTF-8" or "UTF8" or "UNICODE" => "UTF8",
            var name => name,
        };

    private static SqlRead Query(Resource resource, ClusterConnection connection) =>
        connection.Sql(
            $"""
            SELECT {LeaderAnswer.InRecovery}, (SELECT row_to_json(d) FROM (
              SELECT pg_get_userbyid(datdba) AS owner, pg_encoding_to_char(encoding) AS encoding FROM pg_database WHERE datname = {SqlText.Literal(
                NameOf(resource)
            )}) d) AS found
            """
        );
}
