namespace KeyBuzz.Reconciler.Providers.PatroniCluster;

/// <summary>How Patroni fails over, by its dynamic configuration.</summary>
/// <param name="Ttl">How long a primary that does not renew its lease stays the primary.</param>
/// <param name="LoopWait">The pause between two looks of a member.</param>
/// <param name="MaxLag">How many bytes a member that takes over may be behind.</param>
public sealed record FailoverSettings(TimeSpan Ttl, TimeSpan LoopWait, long MaxLag)
{
    // A promotion, and the checks of the proxies until they see it. Measured in docs/failover.md: a cut-off primary was replaced after 18.7
    // to 21.1 s with ttl 20 and loop_wait 5.
    private static readonly TimeSpan s_promotion = TimeSpan.FromSeconds(5);

    /// <summary>Patroni's own values.</summary>
    public static FailoverSettings Defaults { get; } = new(TimeSpan.FromSeconds(30), TimeSpan.FromSeconds(10), 1 << 20);

    /// <summary>How long writes stop at most when a primary is lost without notice and another member may take over.</summary>
    public TimeSpan Election => Ttl + LoopWait + s_promotion;
}
