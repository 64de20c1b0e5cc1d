using System.Collections.Immutable;
using System.Globalization;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.PostgresHa.Recovery;

namespace KeyBuzz.Reconciler.Cli.Blueprints.Postgres;

/// <summary>Shows a recovery before it begins, and at its end.</summary>
internal static class RecoverView
{
    /// <summary>The survivors, what is lost, and what is about to be done.</summary>
    public static void ShowPlan(
        Terminal terminal,
        PostgresTopology topology,
        RecoveryChoice choice,
        IReadOnlyCollection<RecoveryMember> members,
        ImmutableArray<string> lost,
        bool json
    )
    {
        if (json)
        {
            return;
        }

        terminal.Line($"Recovery of {topology.Scope} from {choice.Survivor.Name}", Terminal.Tone.Bold);
        terminal.Line();
        foreach (var member in members)
        {
            terminal.Line($"Member:  {member.Name}: {Describe(choice, member)}");
        }

        foreach (var loss in choice.Losses(lost, topology.Backup is not null))
        {
            terminal.Line($"Lost:    {loss}", Terminal.Tone.Removed);
        }

        terminal.Line($"Fenced:  the others do not know {topology.Store.Kind.Name}'s new password, and no proxy sends them sessions");
        terminal.Line($"Kept:    the data of the others, under another name, until kbr recover confirm");
    }

    /// <summary>What was done.</summary>
    public static void ShowEnd(Terminal terminal, PostgresTopology topology, RecoveryChoice choice, bool json)
    {
        if (json)
        {
            terminal.Line(Document(topology.Scope, choice));
            return;
        }

        terminal.Line();
        terminal.Line($"{choice.Survivor.Name} is the primary of {topology.Scope}, alone, and takes writes.", Terminal.Tone.Added);
        terminal.Line(
            $"Next: kbr apply rebuilds {string.Join(" and ", choice.Others)}, each once its host answers again. "
                + $"Keep the credentials file: {topology.Store.Kind.Name} has a new password in it."
        );
        if (topology.Synchronous == SynchronousMode.Strict)
        {
            terminal.Line("Commits wait until a standby streams (synchronous: strict).", Terminal.Tone.Changed);
        }
    }

    /// <summary>What was done, as JSON.</summary>
    public static string Document(string scope, RecoveryChoice choice) => JsonView.Document("recover", document =>
        {
            document.WriteString("scope", scope);
            document.WriteString("survivor", choice.Survivor.Name);
            document.WriteNumber("timeline", choice.Survivor.Data!.Timeline);
            document.WriteString("lsn", choice.Survivor.Data.Position);
            document.WriteBoolean("exact", choice.Survivor.Data.IsExact);
            document.WriteStartArray("others");
            foreach (var other in choice.Others)
            {
                document.WriteStringValue(other);
            }

            document.WriteEndArray();
        });

    private static string Describe(RecoveryChoice choice, RecoveryMember member)
    {
        if (member.Error is not null)
        {
            return "lost; nothing of it is known";
        }

        if (member.Data is not { } data)
        {
            return "no database";
        }

        var behind = choice.Behind(member) is { } bytes
            ? string.Create(CultureInfo.InvariantCulture, $"{bytes} bytes behind the furthest survivor")
            : "on an older timeline";
        return string.Create(CultureInfo.InvariantCulture, $"timeline {data.Timeline}, ")
            + (data.IsExact ? "" : "at least ")
            + $"LSN {data.Position}, {behind}; "
            + (data.LastCommit is { } commit ? $"last commit {commit}" : "no commit since its last checkpoint");
    }
}
