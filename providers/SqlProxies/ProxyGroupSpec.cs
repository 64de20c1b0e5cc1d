using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.Http;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.SqlProxies;

/// <summary>A group of proxies as declared.</summary>
/// <param name="Haproxy">The container of HAProxy on each host.</param>
/// <param name="Pgbouncer">That of PgBouncer.</param>
/// <param name="Port">HAProxy's port for read-write SQL, on each host's address.</param>
/// <param name="Statistics">HAProxy's statistics, on loopback.</param>
/// <param name="PgbouncerPort">PgBouncer's port, on each host's address.</param>
/// <param name="PrimaryBackend">HAProxy's backend of all members.</param>
/// <param name="PooledBackend">HAProxy's backend of all PgBouncers.</param>
/// <param name="BalancerPort">The load balancer's port for read-write SQL.</param>
/// <param name="Timeout">How long to wait for a proxy to serve.</param>
internal sealed record ProxyGroupSpec(
    ContainerRead Haproxy,
    ContainerRead Pgbouncer,
    int Port,
    HttpRead Statistics,
    int PgbouncerPort,
    string PrimaryBackend,
    string PooledBackend,
    int BalancerPort,
    TimeSpan Timeout
)
{
    private const string HaproxyKey = "haproxy_container";
    private const string PgbouncerKey = "pgbouncer_container";
    private const string PortKey = "port";
    private const string StatisticsKey = "stats_port";
    private const string PgbouncerPortKey = "pgbouncer_port";
    private const string PrimaryKey = "primary_backend";
    private const string PooledKey = "pooled_backend";
    private const string BalancerKey = "balancer_address";
    private const string BalancerPortKey = "balancer_port";
    private const string VirtualAddressKey = "virtual_address";
    private const string VirtualContainerKey = "virtual_container";
    private const string UserKey = "connect_as";
    private const string PasswordKey = "connect_password";
    private const string DatabaseKey = "database";
    private const string AuthorityKey = "authority_file";
    private const string RequiresTlsKey = "requires_tls";

    private static readonly AttributeDefinition s_haproxy = Name(HaproxyKey, "The container of HAProxy on each host.", "haproxy");
    private static readonly AttributeDefinition s_pgbouncer = Name(PgbouncerKey, "The container of PgBouncer on each host.", "pgbouncer");
    private static readonly AttributeDefinition s_primary = Name(
        PrimaryKey,
        "HAProxy's backend of all members, of which exactly one is up.",
        "primary"
    );
    private static readonly AttributeDefinition s_pooled = Name(
        PooledKey,
        "HAProxy's backend of all PgBouncers, named like their hosts.",
        "pgbouncer"
    );
    private static readonly AttributeDefinition s_database = Name(DatabaseKey, "The database of that check.", "postgres");

    private static readonly AttributeDefinition s_port = Number(
        PortKey,
        "HAProxy's port for read-write SQL, on each host's address.",
        5432
    );
    private static readonly AttributeDefinition s_statistics = Number(StatisticsKey, "HAProxy's statistics, on loopback.", 8404);
    private static readonly AttributeDefinition s_pgbouncerPort = Number(
        PgbouncerPortKey,
        "PgBouncer's port, on each host's address.",
        6433
    );
    private static readonly AttributeDefinition s_balancerPort = Number(
        BalancerPortKey,
        "Its port for read-write SQL.",
        ClusterDefaults.PostgresPort
    );

    /// <summary>The attributes of such a group.</summary>
    public static IReadOnlyList<AttributeDefinition> Attributes { get; } =
    [
        s_haproxy,
        s_pgbouncer,
        s_port,
        s_statistics,
        s_pgbouncerPort,
        s_primary,
        s_pooled,
        new(
            BalancerKey,
            AttributeKind.String,
            "The load balancer in front of them. A proxy is disrupted only while its sessions arrive through another one."
        ),
        s_balancerPort,
        new(
            VirtualAddressKey,
            AttributeKind.String,
            "An address that one of them holds. It is moved to another one before its holder is disrupted."
        ),
        new(VirtualContainerKey, AttributeKind.String, "The container that holds it, with a unit of its name."),
        new(UserKey, AttributeKind.String, "The role of the login check of a proxy."),
        new(PasswordKey, AttributeKind.String, "Its password; without it no login is checked.") { MayHoldSecret = true },
        s_database,
        new(AuthorityKey, AttributeKind.String, "The file in PgBouncer's container by which that check verifies servers that have TLS."),
        new(RequiresTlsKey, AttributeKind.Boolean, "Whether they refuse a login without TLS."),
        ClusterDefaults.GateTimeoutAttribute("Seconds to wait for a proxy to serve."),
    ];

    /// <summary>The load balancer in front of them; null for none.</summary>
    public string? BalancerAddress { get; private init; }

    /// <summary>The virtual address that one of them holds; null for none.</summary>
    public HeldAddress? Held { get; private init; }

    /// <summary>The login that checks SQL through a proxy; null for none.</summary>
    public SqlLogin? Login { get; private init; }

    public static ProxyGroupSpec Of(GroupPolicy group)
    {
        var spec = group.Spec;
        return new ProxyGroupSpec(
            new ContainerRead(Text(s_haproxy)),
            new ContainerRead(Text(s_pgbouncer)),
            Port(s_port),
            new HttpRead("127.0.0.1", Port(s_statistics), "/stats;csv"),
            Port(s_pgbouncerPort),
            Text(s_primary),
            Text(s_pooled),
            Port(s_balancerPort),
            ClusterDefaults.GateTimeoutOf(group)
        )
        {
            BalancerAddress = spec.OptionalString(BalancerKey),
            Held =
                spec.OptionalString(VirtualAddressKey) is { } address && spec.OptionalString(VirtualContainerKey) is { } container
                    ? new HeldAddress(address, new ContainerRead(container))
                    : null,
            Login =
                spec.OptionalString(UserKey) is { } user && spec.Text(PasswordKey)?.Reveal() is { } password
                    ? new SqlLogin(
                        user,
                        password,
                        Text(s_database),
                        spec.OptionalString(AuthorityKey) is { } authority
                            ? new TlsLogin(Text(s_pgbouncer), authority, user, spec.Text(PasswordKey)!, Text(s_database))
                            : null,
                        spec.Boolean(RequiresTlsKey)
                    )
                    : null,
        };

        string Text(AttributeDefinition definition) => spec.OptionalString(definition.Name) ?? (string)definition.Default!;

        int Port(AttributeDefinition definition) => (int)(spec.Integer(definition.Name) ?? (long)definition.Default!);
    }

    private static AttributeDefinition Name(string key, string description, string value) =>
        new(key, AttributeKind.String, description) { Default = value };

    private static AttributeDefinition Number(string key, string description, long value) =>
        new(key, AttributeKind.Integer, description) { Default = value, Minimum = 1 };
}
