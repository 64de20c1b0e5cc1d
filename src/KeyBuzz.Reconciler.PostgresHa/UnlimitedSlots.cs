namespace KeyBuzz.Reconciler.PostgresHa;

/// <summary>What <c>kbr validate</c> says where a replication slot may hold WAL until the volume is full.</summary>
public static class UnlimitedSlots
{
    private const string Parameter = "max_slot_wal_keep_size";

    /// <summary>The line, or none where there is a limit.</summary>
    public static IEnumerable<string> Of(PostgresTopology topology)
    {
        ArgumentNullException.ThrowIfNull(topology);
        return topology.Settings.GetValueOrDefault("postgresql.parameters." + Parameter) is null or "-1"
            ? [$"A replication slot without a consumer holds WAL until the volume is full: set parameters.{Parameter}, such as 30%"]
            : [];
    }
}
