using System.Text.Json;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.Http;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.PostgreSql;

/// <summary>How the members of a PostgreSQL cluster under Patroni are asked: the attributes that the policy and every resource of the
/// cluster have in common. They are never compared.</summary>
/// <param name="Scope">Patroni's name of the cluster, which is the group's.</param>
/// <param name="Container">The container that runs Patroni on each member.</param>
/// <param name="Superuser">The role that asks and changes; the container's user may be it on the local socket without a password.</param>
/// <param name="Password">Its password; null where it is not known, as in a resource read back from a record.</param>
/// <param name="PostgresPort">PostgreSQL's port on each member.</param>
/// <param name="RestPort">The port of Patroni's REST API on each member.</param>
/// <param name="RestUser">The user of the unsafe calls of the REST API, or null.</param>
/// <param name="RestPassword">Its password, or null.</param>
internal sealed record ClusterConnection(
    string Scope,
    string Container,
    string Superuser,
    string? Password,
    int PostgresPort,
    int RestPort,
    string? RestUser,
    string? RestPassword
)
{
    /// <summary>The attributes that say how to reach PostgreSQL.</summary>
    public static IReadOnlyList<AttributeDefinition> Attributes { get; } =
    [
        new("container", AttributeKind.String, "The container that runs Patroni on each member.") { Default = ClusterDefaults.Container },
        new("connect_as", AttributeKind.String, "The role that kbr logs in as.") { Default = "postgres" },
        new("connect_password", AttributeKind.String, "Its password; without it kbr uses the local socket inside the container.")
        {
            MayHoldSecret = true,
        },
        new("postgres_port", AttributeKind.Integer, "PostgreSQL's port on each member.")
        {
            Default = (long)ClusterDefaults.PostgresPort,
            Minimum = 1,
        },
        new("rest_port", AttributeKind.Integer, "The port of Patroni's REST API on each member.")
        {
            Default = (long)ClusterDefaults.RestPort,
            Minimum = 1,
        },
    ];

    /// <summary>The attributes that open the unsafe calls of Patroni's REST API.</summary>
    public static IReadOnlyList<AttributeDefinition> RestCredentials { get; } =
    [
        new("rest_user", AttributeKind.String, "The user of Patroni's REST API for changes."),
        new("rest_password", AttributeKind.String, "Its password.") { MayHoldSecret = true },
    ];

    /// <summary>The container on a member.</summary>
    public ContainerRead ContainerRead => new(Container);

    /// <summary>The connection of a resource, or of the cluster's policy.</summary>
    public static ClusterConnection Of(IDeclared resource)
    {
        var spec = resource.Spec;
        return new ClusterConnection(
            resource.Address.Host,
            spec.OptionalString("container") ?? ClusterDefaults.Container,
            spec.OptionalString("connect_as") ?? "postgres",
            spec.Text("connect_password")?.Reveal(),
            (int)(spec.Integer("postgres_port") ?? ClusterDefaults.PostgresPort),
            (int)(spec.Integer("rest_port") ?? ClusterDefaults.RestPort),
            spec.OptionalString("rest_user"),
            spec.Text("rest_password")?.Reveal()
        );
    }

    /// <summary>PostgreSQL's port on a member, as the member itself sees it.</summary>
    public PortRead PostgresListener => new("127.0.0.1", PostgresPort);

    /// <summary>A GET of the member's own Patroni.</summary>
    public HttpRead Rest(string path) => new(HttpRead.OwnAddress, RestPort, path);

    /// <summary>A SELECT on the member's own PostgreSQL.</summary>
    public SqlRead Sql(string query, string database = "postgres") => new(Container, Superuser, database, PostgresPort, query);

    /// <summary>Whether the container runs on a member; null when its Docker Engine does not answer.</summary>
    public bool? Runs(Snapshot member)
    {
        var answer = member.Get(ContainerRead);
        return answer.Status switch
        {
            200 => JsonAnswer.Parse(answer.Json) is { } json && json.At("State", "Running") is { ValueKind: JsonValueKind.True },
            404 => false,
            _ => null,
        };
    }
}
