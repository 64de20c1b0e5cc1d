using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Providers.PatroniCluster.Policy;

namespace KeyBuzz.Reconciler.PostgresHa.Fencing;

/// <summary>A member that is taken out of service, and who takes the lead over from it before.</summary>
/// <param name="Member">The member.</param>
/// <param name="Heir">The new primary; null where the member is not the primary.</param>
/// <param name="IsDone">Whether it is fenced already, and stopped.</param>
public sealed record FenceChoice(string Member, string? Heir, bool IsDone)
{
    /// <summary>Decides. Pure. Throws <see cref="DiagnosticException"/> with the reason when the others could not do without the
    /// member.</summary>
    /// <param name="scope">The cluster's name, for messages.</param>
    /// <param name="health">How the members are.</param>
    /// <param name="names">All members.</param>
    /// <param name="wanted">The member to be fenced.</param>
    public static FenceChoice Of(string scope, PatroniHealth health, IReadOnlyCollection<string> names, string wanted)
    {
        ArgumentNullException.ThrowIfNull(health);
        ArgumentNullException.ThrowIfNull(names);
        RefuseStranger(scope, names, wanted);
        var member = health.Members.FirstOrDefault(one => one.Name == wanted);
        if (member is null)
        {
            return new FenceChoice(wanted, null, IsDone: true);
        }

        if (health.IsPaused)
        {
            throw Refused(
                $"{scope} is paused: Patroni promotes nothing",
                "end the pause first: patronictl resume, or PATCH /config with {\"pause\": null}"
            );
        }

        var others = health.Members.Remove(member);
        var majority = (names.Count / 2) + 1;
        var staying = others.Count(one => one.Answers);
        if (staying < majority)
        {
            throw Refused(
                $"without {wanted} {staying} of {names.Count} members would stay, and {majority} are needed to elect a primary",
                health.Fenced.IsEmpty
                    ? "bring the other members back first: run kbr status"
                    : $"run kbr unfence {health.Fenced.Keys.First()} first"
            );
        }

        // Whatever is wrong with the member itself may be why it is fenced.
        var problems = health.Problems.RemoveAll(problem => problem.Member == wanted);
        if (!problems.IsEmpty)
        {
            throw Refused(
                $"{scope} is not healthy without {wanted}: {string.Join("; ", problems)}",
                "run kbr status; a member is fenced only while the others are healthy"
            );
        }

        if (member.Leads)
        {
            return ClusterPolicy.Candidate(health, []) is { } heir
                ? new FenceChoice(wanted, heir, IsDone: false)
                : throw Refused(
                    $"{wanted} is the primary, and no other member can take over",
                    "a switchover needs a streaming replica: run kbr status"
                );
        }

        // Patroni names another synchronous standby once this one is gone.
        var rest = health with { Members = others, IsSynchronous = false };
        return ClusterPolicy.Candidate(rest, []) is not null
            ? new FenceChoice(wanted, null, IsDone: false)
            : throw Refused(
                $"without {wanted} no member could take over from {health.Leader}",
                "a cluster keeps one candidate at least; run kbr status"
            );
    }

    /// <summary>Decides anew once the locks are held. Pure. Throws <see cref="DiagnosticException"/> also where somebody fenced a member
    /// since the first look: what was confirmed was another cluster.</summary>
    /// <param name="scope">The cluster's name, for messages.</param>
    /// <param name="before">How the members were at the first look.</param>
    /// <param name="now">How they are now.</param>
    /// <param name="names">All members.</param>
    /// <param name="wanted">The member to be fenced.</param>
    public static FenceChoice Again(string scope, PatroniHealth before, PatroniHealth now, IReadOnlyCollection<string> names, string wanted)
    {
        ArgumentNullException.ThrowIfNull(before);
        ArgumentNullException.ThrowIfNull(now);
        foreach (var (member, mark) in now.Fenced)
        {
            if (!before.Fenced.ContainsKey(member))
            {
                throw Refused($"{member} was fenced meanwhile: {mark.Text}; nothing was changed", "run kbr status, then decide again");
            }
        }

        return Of(scope, now, names, wanted);
    }

    /// <summary>Refuses a name that is none of a member.</summary>
    public static void RefuseStranger(string scope, IReadOnlyCollection<string> names, string wanted)
    {
        ArgumentNullException.ThrowIfNull(names);
        if (!names.Contains(wanted))
        {
            throw Refused($"'{wanted}' is not a member of {scope}", $"members are {string.Join(", ", names)}");
        }
    }

    private static DiagnosticException Refused(string summary, string remedy) => new(Diagnostic.Error(summary, remedy: remedy));
}
