namespace KeyBuzz.Reconciler.Providers.PatroniCluster;

/// <summary>Keeps the one member that may initialise a new cluster from doing so beside data that is already there.</summary>
public static class BootstrapGuard
{
    /// <summary>Why a member may not be started now, or null when it may.</summary>
    /// <param name="member">The member to start.</param>
    /// <param name="bootstrapHost">The member whose patroni.yml has the <c>bootstrap</c> section; null for none.</param>
    /// <param name="holdsData">Whether each member's data directory holds a PostgreSQL; null where that could not be read, or its volume is
    /// not mounted.</param>
    /// <param name="leader">A primary that is visible now, or null: the member would copy from it. <see cref="ClusterIdentity"/>
    /// checks before that it belongs to the same cluster.</param>
    public static string? Refusal(string member, string? bootstrapHost, IReadOnlyDictionary<string, bool?> holdsData, string? leader)
    {
        ArgumentNullException.ThrowIfNull(holdsData);
        if (member != bootstrapHost || leader is not null || holdsData.GetValueOrDefault(member) == true)
        {
            return null;
        }

        var holders = holdsData
            .Where(pair => pair.Key != member && pair.Value == true)
            .Select(pair => pair.Key)
            .Order(StringComparer.Ordinal)
            .ToList();
        var unread = holdsData.Where(pair => pair.Value is null).Select(pair => pair.Key).Order(StringComparer.Ordinal).ToList();
        return holders.Count > 0
                ? $"{member} has no data, {string.Join(" and ", holders)} {(holders.Count == 1 ? "has" : "have")}, and "
                    + $"no primary is visible: if started now, {member} would initialise an empty cluster. "
                    + $"Start {string.Join(" and ", holders)} first, until one of them is the primary; or, to give up "
                    + $"that data, remove it by hand"
            : unread.Count > 0
                ? $"{member} has no data, no primary is visible, and it is unknown whether "
                    + $"{string.Join(" and ", unread)} {(unread.Count == 1 ? "has" : "have")} any: if started now, {member} "
                    + $"might initialise an "
                    + "empty cluster beside it. Make them reachable and mount their volumes first"
            : null;
    }
}
