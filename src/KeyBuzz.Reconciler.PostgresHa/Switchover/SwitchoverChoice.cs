using System.Globalization;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Providers.PatroniCluster;

namespace KeyBuzz.Reconciler.PostgresHa.Switchover;

/// <summary>Who hands the lead over to whom.</summary>
/// <param name="Leader">The member that leads now.</param>
/// <param name="Candidate">The replica that is to lead.</param>
public sealed record SwitchoverChoice(string Leader, string Candidate)
{
    /// <summary>Chooses, from how the members are now. Pure. Throws <see cref="DiagnosticException"/> with the reason when nobody may take
    /// over, or not the one who was asked for.</summary>
    /// <param name="scope">The cluster's name, for messages.</param>
    /// <param name="health">How the members are.</param>
    /// <param name="wanted">The member that was asked for; null for the preferred leader where one is named and does not lead, else the
    /// replica that is the least behind.</param>
    /// <param name="preferred">The preferred leader, or null.</param>
    /// <param name="maxLag">How many bytes a replica may be behind.</param>
    public static SwitchoverChoice Of(string scope, PatroniHealth health, string? wanted, string? preferred, long maxLag)
    {
        ArgumentNullException.ThrowIfNull(health);
        if (wanted is not null && health.Members.All(member => member.Name != wanted))
        {
            throw Refused(
                $"'{wanted}' is no member of {scope}",
                $"members are {string.Join(", ", health.Members.Select(member => member.Name))}"
            );
        }

        // What keeps the host that was asked for comes first: it is what the operator can choose otherwise.
        if (wanted is not null && Unfit(health.Members.First(member => member.Name == wanted), health, maxLag) is { } unfit)
        {
            throw Refused($"{wanted} cannot take over: {unfit}", "name another member, or none for the one that is the least behind");
        }

        if (!health.IsHealthy)
        {
            throw Refused(
                $"{scope} is not healthy: {string.Join("; ", health.Problems)}",
                "look at kbr status; a lead is moved only while all is well"
            );
        }

        if (health.IsPaused)
        {
            throw Refused(
                $"{scope} is paused: Patroni leaves everything as it is",
                "end the pause first: patronictl resume, or PATCH /config with {\"pause\": null}"
            );
        }

        var replicas = health.Replicas.Where(member => Unfit(member, health, maxLag) is null).Select(member => member.Name).ToList();
        var candidate = wanted ?? replicas.Find(name => name == preferred) ?? replicas.FirstOrDefault();
        return candidate is not null
            ? new SwitchoverChoice(health.Leader!, candidate)
            : throw Refused($"{scope} has no replica that could take over", "it needs a replica that streams");
    }

    // Why a member cannot take over, or null.
    private static string? Unfit(PatroniMember member, PatroniHealth health, long maxLag) =>
        !member.Answers ? "its Patroni does not answer"
        : member.Leads ? "it leads already"
        : !member.IsRunning ? $"PostgreSQL is not running there ({member.State})"
        : member.Replication != "streaming"
            ? $"it does not stream{(health.Leader is { } leader ? $" from {leader}" : "")} ({member.Replication ?? "no replication"})"
        : member.LagBytes is not { } lag ? "how far it is behind cannot be told"
        : lag > maxLag ? string.Create(CultureInfo.InvariantCulture, $"it is {lag} bytes behind, more than {maxLag}")
        : health.Unfit(member);

    private static DiagnosticException Refused(string summary, string remedy) => new(Diagnostic.Error(summary, remedy: remedy));
}
