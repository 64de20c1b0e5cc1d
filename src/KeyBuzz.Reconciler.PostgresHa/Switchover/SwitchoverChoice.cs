using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Providers.PatroniCluster.Policy;

namespace KeyBuzz.Reconciler.PostgresHa.Switchover;

/// <summary>A switchover: the primary and the candidate.</summary>
/// <param name="Leader">The primary now.</param>
/// <param name="Candidate">The new primary.</param>
public sealed record SwitchoverChoice(string Leader, string Candidate)
{
    /// <summary>What <see cref="ClusterPolicy.SwitchOver"/> decides. Pure. Throws <see cref="DiagnosticException"/> with the reason when no
    /// member, or not the requested one, may take over.</summary>
    /// <param name="scope">The cluster's name, for messages.</param>
    /// <param name="health">How the members are.</param>
    /// <param name="wanted">The requested member; null to let the policy choose.</param>
    /// <param name="preferred">The preferred leader, or null.</param>
    public static SwitchoverChoice Of(string scope, PatroniHealth health, string? wanted, string? preferred)
    {
        ArgumentNullException.ThrowIfNull(health);
        if (wanted is not null && health.Fenced.TryGetValue(wanted, out var mark))
        {
            throw Refused($"{wanted} is {mark.Text}", $"run kbr unfence {wanted} first");
        }

        if (wanted is not null && health.Members.All(member => member.Name != wanted))
        {
            throw Refused(
                $"'{wanted}' is not a member of {scope}",
                $"members are {string.Join(", ", health.Members.Select(member => member.Name))}"
            );
        }

        return ClusterPolicy.SwitchOver(health, wanted, preferred) switch
        {
            ClusterStep.SwitchOver step => new SwitchoverChoice(step.From, step.To),
            ClusterStep.Refuse { Cause: ClusterCause.Unhealthy, Text: var problems } => throw Refused(
                $"{scope} is not healthy: {problems}",
                "run kbr status; a switchover needs a healthy cluster"
            ),
            ClusterStep.Refuse { Cause: ClusterCause.Paused } => throw Refused(
                $"{scope} is paused: Patroni starts and promotes nothing",
                "end the pause first: patronictl resume, or PATCH /config with {\"pause\": null}"
            ),
            ClusterStep.Refuse { Text: var unfit } when wanted is not null => throw Refused(
                unfit,
                "name another member, or none for the replica with the least lag"
            ),
            ClusterStep.Refuse => throw Refused($"{scope} has no replica that can take over", "a switchover needs a streaming replica"),
            var step => throw new InvalidOperationException($"{step} is no answer to a request for a switchover"),
        };
    }

    private static DiagnosticException Refused(string summary, string remedy) => new(Diagnostic.Error(summary, remedy: remedy));
}
