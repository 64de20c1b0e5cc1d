using System.Collections.Immutable;
using System.Text.Json;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.Extension;

/// <summary>An extension installed in a database of a PostgreSQL cluster, and its files on every member, without which a replica breaks
/// when it takes over.</summary>
public sealed class ExtensionProvider : IGroupResourceProvider
{
    private const string Version = "version";
    private const string SchemaName = "schema";
    private const string Available = "available";
    private const string Everywhere = "on every member";
    private const string Image = "image";
    private static readonly PollPace s_pace = new(TimeSpan.FromMilliseconds(500), TimeSpan.FromSeconds(60)) { SparesSlowHosts = true };

    /// <inheritdoc />
    public ResourceSchema Schema { get; } =
        new(
            "extension",
            "An extension in a database of a PostgreSQL cluster.",
            [
                new("extension", AttributeKind.String, "Its name; default: the resource's name."),
                new("database", AttributeKind.String, "The database it is installed in.") { Required = true },
                new(Version, AttributeKind.String, "Its version; any by default."),
                new(
                    Image,
                    AttributeKind.String,
                    "The image of the members: without a version, the extension is updated to the one in this image."
                ),
                new(
                    SchemaName,
                    AttributeKind.String,
                    "The schema of its objects; default: public, or the one that the extension requires."
                ),
                .. ClusterConnection.Attributes,
            ]
        );

    /// <inheritdoc />
    public bool HoldsData(Resource resource) => true;

    /// <inheritdoc />
    public IEnumerable<Diagnostic> Validate(Resource resource) =>
        from name in Names(ExtensionSpec.Of(resource))
        where name is not null
        let problem = SqlText.Problem(name)
        where problem is not null
        select Diagnostic.Error(problem, resource.Location, address: resource.Address.ToString());

    private static string?[] Names(ExtensionSpec spec) => [spec.Name, spec.Database, spec.Version, spec.Schema];

    /// <inheritdoc />
    public ResourceLinks Links(Resource resource)
    {
        var spec = ExtensionSpec.Of(resource);
        return new ResourceLinks([$"extension:{spec.Database}/{spec.Name}"], ["database:" + spec.Database]);
    }

    /// <inheritdoc />
    public IEnumerable<Read> Reads(Resource resource)
    {
        var spec = ExtensionSpec.Of(resource);
        yield return spec.Connection.ContainerRead;
        yield return AvailableQuery(spec);
        yield return InstalledQuery(spec);
    }

    /// <inheritdoc />
    public SortedMap<AttributeValue> Desired(Resource resource)
    {
        var spec = ExtensionSpec.Of(resource);
        var desired = Comparable.None.Add(Available, new(Everywhere)).Add("installed", AttributeValue.Of(true));
        if ((spec.Version ?? (spec.Follows is { } image ? Of(image) : null)) is { } version)
        {
            desired = desired.Add(Version, new(version));
        }

        return spec.Schema is { } schema ? desired.Add(SchemaName, new(schema)) : desired;
    }

    /// <inheritdoc />
    public Observation Observe(Resource resource, IReadOnlyDictionary<string, Snapshot> members)
    {
        var spec = ExtensionSpec.Of(resource);
        var answer = LeaderAnswer.Of(spec.Connection, AvailableQuery(spec), members);
        if (answer.Instead is { } instead)
        {
            return instead;
        }

        var wanted = spec.Version;
        if (answer.Row.Boolean("database_exists") != true)
        {
            return new Observation.Absent(WithoutFiles(spec, answer, wanted));
        }

        var installed = members[answer.Leader!].Get(InstalledQuery(spec));
        if (JsonAnswer.Rows(installed.Json) is not [var row, ..])
        {
            return new Observation.Unknown(
                $"{answer.Leader}: the database {spec.Database} does not answer: "
                    + $"{(installed.Error.Length > 0 ? installed.Error : "its answer was cut off")}"
            );
        }

        if (row.At("found") is not { } found)
        {
            return new Observation.Absent(WithoutFiles(spec, answer, wanted));
        }

        var version = found.Text(Version) ?? "";
        var observed = Comparable
            .None.Add(Available, new(WithoutFiles(spec, answer, wanted ?? version) ?? Everywhere))
            .Add("installed", AttributeValue.Of(true));
        var newer = answer.Row.Text("default_version");
        var image = spec.Follows;
        if (wanted is not null)
        {
            observed = observed.Add(Version, new(version));
        }
        else if (image is not null)
        {
            // An image that is still to come is what the members are compared with first; then whether the extension has followed.
            var other = members
                .Values.Select(member => JsonAnswer.Parse(member.Get(spec.Connection.ContainerRead).Json)?.At("Config")?.Text("Image"))
                .FirstOrDefault(found => found is not null && found != image);
            observed = observed.Add(
                Version,
                new(
                    other is not null ? Of(other)
                    : newer != version && answer.Row.Texts("updatable").Contains(version) ? version
                    : Of(image)
                )
            );
        }

        if (spec.Schema is not null)
        {
            observed = observed.Add(SchemaName, new(found.Text(SchemaName) ?? ""));
        }

        return new Observation.Present(observed)
        {
            Note =
                wanted is null && newer is not null && newer != version && (image is null || observed[Version].Value == Of(image))
                    ? $"{spec.Name} {version} is installed, the image has {newer}"
                    : null,
        };
    }

    /// <inheritdoc />
    public async Task ChangeAsync(ResourceChange change, IGroupAccess group, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(change);
        ArgumentNullException.ThrowIfNull(group);
        var spec = ExtensionSpec.Of(change.Resource);
        if (change.Operation != ResourceOperation.Delete)
        {
            await CheckAvailableAsync(spec, group, cancellationToken).ConfigureAwait(false);
        }

        var session = new LeaderSession(group, spec.Connection, spec.Database, TimeSpan.FromMinutes(5));
        await session.RunAsync(Statements(change), cancellationToken).ConfigureAwait(false);
    }

    internal static IReadOnlyList<SqlStatement> Statements(ResourceChange change)
    {
        var spec = ExtensionSpec.Of(change.Resource);
        var extension = SqlText.Identifier(spec.Name);
        if (change.Operation == ResourceOperation.Delete)
        {
            // Deleting data was asked for and confirmed: columns of the extension's types are data of it.
            return [SqlStatement.Run($"DROP EXTENSION IF EXISTS {extension} CASCADE")];
        }

        var (version, schema) = (spec.Version, spec.Schema);
        var create =
            $"CREATE EXTENSION IF NOT EXISTS {extension}"
            + (schema is null ? "" : $" SCHEMA {SqlText.Identifier(schema)}")
            + (version is null ? "" : $" VERSION {SqlText.Literal(version)}");
        List<SqlStatement> statements = schema is null
            ? []
            : [SqlStatement.Run($"CREATE SCHEMA IF NOT EXISTS {SqlText.Identifier(schema)}")];
        statements.Add(SqlStatement.Run(create));
        if (version is not null)
        {
            statements.Add(
                SqlStatement.RunWhere(
                    $"ALTER EXTENSION {extension} UPDATE TO {SqlText.Literal(version)}",
                    $"EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = {SqlText.Literal(spec.Name)} AND "
                        + $"extversion <> {SqlText.Literal(version)})"
                )
            );
        }
        else if (spec.Follows is not null)
        {
            statements.Add(
                SqlStatement.RunWhere(
                    $"ALTER EXTENSION {extension} UPDATE",
                    $"EXISTS (SELECT FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_available_extensions a ON a.name = "
                        + $"e.extname JOIN LATERAL pg_catalog.pg_extension_update_paths(a.name) p ON p.source = e.extversion "
                        + $"AND p.target = a.default_version AND p.path IS NOT NULL WHERE e.extname = "
                        + $"{SqlText.Literal(spec.Name)})"
                )
            );
        }

        if (schema is not null)
        {
            statements.Add(
                SqlStatement.RunWhere(
                    $"ALTER EXTENSION {extension} SET SCHEMA {SqlText.Identifier(schema)}",
                    $"EXISTS (SELECT FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = "
                        + $"e.extnamespace WHERE extname = {SqlText.Literal(spec.Name)} AND nspname <> "
                        + $"{SqlText.Literal(schema)})"
                )
            );
        }

        return statements;
    }

    // After a roll-out the last member may still be starting. It is waited for: a member without the version would break after a failover.
    private static async Task CheckAvailableAsync(ExtensionSpec spec, IGroupAccess group, CancellationToken cancellationToken)
    {
        var read = AvailableQuery(spec);
        var missing = (
            await Poll.UntilAsync(LookAsync, look => look.Missing is null || !look.IsSilent, s_pace, group.Time, cancellationToken)
                .ConfigureAwait(false)
        ).Missing;
        if (missing is not null)
        {
            throw new ChangeFailedException(
                $"{missing}: a member without it would fail after a failover. Deploy an image with it to every member first"
            );
        }

        async Task<(string? Missing, bool IsSilent)> LookAsync()
        {
            // The next plan reads unreachable members.
            var snapshots = await PatroniGroup
                .ReadAllAsync(group, [read, spec.Connection.ContainerRead], cancellationToken)
                .ConfigureAwait(false);
            var answer = LeaderAnswer.Of(spec.Connection, read, snapshots);
            var silent = snapshots.Keys.Except(answer.Rows.Keys).Order(StringComparer.Ordinal).ToList();
            return (
                silent.Count > 0
                    ? $"whether {spec.Name} is available on {string.Join(", ", silent)} could not be read"
                    : WithoutFiles(spec, answer, spec.Version ?? (answer.Leader is null ? null : answer.Row.Text("default_version"))),
                silent.Count > 0
            );
        }
    }

    // Names the members that have no files of that version, or of any when it is null; null when all have.
    private static string? WithoutFiles(ExtensionSpec spec, LeaderAnswer answer, string? version)
    {
        var without = answer
            .Rows.Where(pair => !pair.Value.Texts("versions").Any(found => version is null || found == version))
            .Select(pair => pair.Key)
            .ToList();
        return without.Count == 0
            ? null
            : $"{spec.Name}{(version is null ? "" : " " + version)} is not available on {string.Join(", ", without)}";
    }

    private static string Of(string image) => "that of " + image;

    private static SqlRead AvailableQuery(ExtensionSpec spec) =>
        spec.Connection.Sql(
            $"""
            SELECT {LeaderAnswer.InRecovery}, EXISTS (SELECT FROM pg_database WHERE datname = {SqlText.Literal(
                spec.Database
            )}) AS database_exists,
              ARRAY(SELECT version FROM pg_available_extension_versions WHERE name = {SqlText.Literal(spec.Name)}) AS versions,
              (SELECT default_version FROM pg_available_extensions WHERE name = {SqlText.Literal(spec.Name)}) AS default_version,
              ARRAY(SELECT p.source FROM pg_available_extensions a, LATERAL pg_extension_update_paths(a.name) p WHERE a.name = {SqlText.Literal(
                spec.Name
            )} AND p.target = a.default_version AND p.path IS NOT NULL) AS updatable
            """
        );

    private static SqlRead InstalledQuery(ExtensionSpec spec) =>
        spec.Connection.Sql(
            $"""
            SELECT {LeaderAnswer.InRecovery}, (SELECT row_to_json(x) FROM (
              SELECT extversion AS version, nspname AS schema FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace WHERE extname = {SqlText.Literal(
                spec.Name
            )}) x) AS found
            """,
            spec.Database
        );
}
