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
                new(Encoding, AttributeKind.String, "Its character set; fixed at creation.") { Default = DatabaseSpec.DefaultEncoding },
                .. ClusterConnection.Attributes,
            ]
        );

    /// <inheritdoc />
    public bool HoldsData(Resource resource) => true;

    /// <inheritdoc />
    public IEnumerable<Diagnostic> Validate(Resource resource)
    {
        var spec = DatabaseSpec.Of(resource);
        var name = spec.Name;
        var problem = SqlText.Problem(name)
            ?? SqlText.Problem(spec.Owner)
            ?? (name is "template0" or "template1" or "postgres" ? $"'{name}' exists in every cluster and cannot be declared" : null);
        if (problem is not null)
        {
            yield return Diagnostic.Error(problem, resource.Location, address: resource.Address.ToString());
        }
    }

    /// <inheritdoc />
    public ResourceLinks Links(Resource resource)
    {
        var spec = DatabaseSpec.Of(resource);
        return new ResourceLinks(["database:" + spec.Name], ["role:" + spec.Owner]);
    }

    /// <inheritdoc />
    public IEnumerable<Read> Reads(Resource resource)
    {
        var spec = DatabaseSpec.Of(resource);
        yield return spec.Connection.ContainerRead;
        yield return Query(spec);
    }

    /// <inheritdoc />
    public SortedMap<AttributeValue> Desired(Resource resource)
    {
        var spec = DatabaseSpec.Of(resource);
        return Comparable.None.Add(Owner, new(spec.Owner)).Add(Encoding, new(spec.Encoding));
    }

    /// <inheritdoc />
    public Observation Observe(Resource resource, IReadOnlyDictionary<string, Snapshot> members)
    {
        var spec = DatabaseSpec.Of(resource);
        var answer = LeaderAnswer.Of(spec.Connection, Query(spec), members);
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
        var spec = DatabaseSpec.Of(change.Resource);
        if (change.Operation == ResourceOperation.Update && change.Changed.Contains(Encoding))
        {
            throw new ChangeFailedException(
                $"the encoding of database {spec.Name} was fixed at its creation; dump it, drop it, "
                    + $"and restore into a new one; or correct 'encoding'"
            );
        }

        var session = new LeaderSession(group, spec.Connection, timeout: TimeSpan.FromMinutes(5));
        await session.RunAsync(Statements(change), cancellationToken).ConfigureAwait(false);
    }

    internal static IReadOnlyList<SqlStatement> Statements(ResourceChange change)
    {
        var spec = DatabaseSpec.Of(change.Resource);
        var database = SqlText.Identifier(spec.Name);
        if (change.Operation == ResourceOperation.Delete)
        {
            return [SqlStatement.Run($"DROP DATABASE IF EXISTS {database} WITH (FORCE)")];
        }

        // Only template0 allows an encoding other than its own.
        var owner = SqlText.Identifier(spec.Owner);
        return
        [
            SqlStatement.RunWhere(
                $"CREATE DATABASE {database} OWNER {owner} ENCODING {SqlText.Literal(spec.Encoding)} TEMPLATE template0",
                $"NOT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = {SqlText.Literal(spec.Name)})"
            ),
            SqlStatement.Run($"ALTER DATABASE {database} OWNER TO {owner}"),
        ];
    }

    private static SqlRead Query(DatabaseSpec spec) =>
        spec.Connection.Sql(
            $"""
            SELECT {LeaderAnswer.InRecovery}, (SELECT row_to_json(d) FROM (
              SELECT pg_get_userbyid(datdba) AS owner, pg_encoding_to_char(encoding) AS encoding FROM pg_database WHERE datname = {SqlText.Literal(
                spec.Name
            )}) d) AS found
            """
        );
}
