using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.PostgreSql;

/// <summary>The defaults of a cluster under Patroni, for cluster.yaml, schemas and records without the key.</summary>
public static class ClusterDefaults
{
    /// <summary>The container that runs Patroni on each member.</summary>
    public const string Container = "patroni";

    /// <summary>PostgreSQL's port on each member.</summary>
    public const int PostgresPort = 5432;

    /// <summary>The port of Patroni's REST API on each member.</summary>
    public const int RestPort = 8008;

    private const string GateTimeoutName = "gate_timeout";

    /// <summary>How long a health check of the group is repeated before a roll-out stops.</summary>
    public static readonly TimeSpan GateTimeout = TimeSpan.FromSeconds(120);

    /// <summary>The attribute of a group's resource that sets <see cref="GateTimeout"/>, in seconds.</summary>
    internal static AttributeDefinition GateTimeoutAttribute(string description) =>
        new(GateTimeoutName, AttributeKind.Integer, description) { Default = (long)GateTimeout.TotalSeconds, Minimum = 1 };

    /// <summary>What a group's resource has for <see cref="GateTimeout"/>.</summary>
    internal static TimeSpan GateTimeoutOf(IDeclared resource) =>
        resource.Spec.Integer(GateTimeoutName) is { } seconds ? TimeSpan.FromSeconds(seconds) : GateTimeout;
}
