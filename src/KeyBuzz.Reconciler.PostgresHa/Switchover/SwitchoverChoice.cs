using System.Globalization;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Providers.PatroniCluster;

namespace KeyBuzz.Reconciler.PostgresHa.Switchover;

/// <summary>A switchover: the primary and the candidate.</summary>
/// <param name="Leader">The primary now.</param>
/// <param name="Candidate">The new primary.</param>
public sealed record SwitchoverChoice(string Leader, string Candidate)
{
    /// <summary>Chooses from the members' health. Pure. Throws <see cref="DiagnosticException"/> with the reason when no member, or not the
    /// requested one, may take over.</summary>
    /// <param name="scope">The cluster's name, for messages.</param>
    /// <param name="health">How the members are.</param>
    /// <param name="wanted">The requested member; null for the preferred leader where one is declared and is a replica, else the replica
    /// with the least lag.</param>
    /// <param name="preferred">The preferred leader, or null.</param>
    /// <param name="maxLag">How many bytes a replica may be behind.</param>
    public static SwitchoverChoice Of(string scope, PatroniHealth health, string? wanted, string? preferred, long maxLag)
    {
        ArgumentNullException.ThrowIfNull(health);
        if (wanted is not null && health.Members.All(member => member.Name != wanted))
        {
            throw Refused(
                $"'{wanted}' is not a member of {scope}",
                $"members are {string.Join(", ", health.Members.Select(member => member.Name))}"
            );
        }

        // A reason against the requested host comes first: the operator can choose another one.
        if (wanted is not null && Unfit(health.Members.First(member => member.Name == wanted), health, maxLag) is { } unfit)
        {
            throw Refused($"{wanted} cannot take over: {unfit}", "name another member, or none for the replica with the least lag");
        }

        if (!health.IsHealthy)
        {
            throw Refused(
                $"{scope} is not healthy: {string.Join("; ", health.Problems)}",
                "run kbr status; a switchover needs a healthy cluster"
            );
        }

        if (health.IsPaused)
        {
            throw Refused(
                $"{scope} is paused: Patroni starts and promotes nothing",
                "end the pause first: patronictl resume, or PATCH /config with {\"pause\": null}"
            );
        }

        var replicas = health.Replicas.Where(member => Unfit(member, health, maxLag) is null).Select(member => member.Name).ToList();
        var candidate = wanted ?? replicas.Find(name => name == preferred) ?? replicas.FirstOrDefault();
        return candidate is not null
            ? new SwitchoverChoice(health.Leader!, candidate)
            : throw Refused($"{scope} has no replica that can take over", "a switchover needs a streaming replica");
    }

    // Why a member cannot take over, or null.
    private static string? Unfit(PatroniMember member, PatroniHealth health, long maxLag) =>
        !member.Answers ? "its Patroni does not answer"
        : member.Leads ? "it is already the primary"
        : !member.IsRunning ? $"PostgreSQL is not running there ({member.State})"
        : member.Replication != "streaming"
            ? $"it does not stream{(health.Leader is { } leader ? $" from {leader}" : "")} ({member.Replication ?? "no replication"})"
        : member.LagBytes is not { } lag ? "its lag is unknown"
        : lag > maxLag ? string.Create(CultureInfo.InvariantCulture, $"its lag is {lag} bytes, more than {maxLag}")
        : health.Unfit(member);

    private static DiagnosticException Refused(string summary, string remedy) => new(Diagnostic.Error(summary, remedy: remedy));
}
