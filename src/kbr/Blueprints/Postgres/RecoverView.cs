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
        Line($"Recovery of {topology.Scope} from {choice.Survivor.Name}", Terminal.Tone.Bold);
        Line("", Terminal.Tone.Plain);
        foreach (var member in members)
        {
            Line($"Member:  {member.Name}: {Describe(choice, member)}", Terminal.Tone.Plain);
        }

        foreach (var loss in choice.Losses(lost, topology.Backup is not null))
        {
            Line($"Lost:    {loss}", Terminal.Tone.Removed);
        }

        Line(
            $"Fenced:  the others do not know {topology.Store.Kind.Name}'s new password, and no proxy that answers sends them sessions",
            Terminal.Tone.Plain
        );
        foreach (var proxy in LostProxies(topology, lost))
        {
            Line(
                $"Not fenced: {proxy} has its old haproxy.cfg, and must stay off until kbr apply has rebuilt the others",
                Terminal.Tone.Changed
            );
        }

        Line("Kept:    the data of the others, under another name, until kbr recover confirm", Terminal.Tone.Plain);

        // Standard output is the document's alone.
        void Line(string text, Terminal.Tone tone)
        {
            if (json)
            {
                terminal.ErrorLine(text, tone);
            }
            else
            {
                terminal.Line(text, tone);
            }
        }
    }

    /// <summary>The result of a recovery.</summary>
    public static void ShowEnd(Terminal terminal, PostgresTopology topology, RecoveryChoice choice, ImmutableArray<string> lost, bool json)
    {
        if (json)
        {
            terminal.Line(Document(topology.Scope, choice, choice.Losses(lost, topology.Backup is not null)));
            return;
        }

        terminal.Line();
        terminal.Line($"{choice.Survivor.Name} is the primary of {topology.Scope}, alone, and takes writes.", Terminal.Tone.Added);
        terminal.Line(
            $"Next: kbr apply rebuilds {string.Join(" and ", choice.Others)}, each once its host answers again. "
                + $"Keep the credentials file: {topology.Store.Kind.Name} has a new password in it."
        );
        foreach (var proxy in LostProxies(topology, lost))
        {
            terminal.Line(
                $"{proxy} must stay off until kbr apply has rebuilt the others: its haproxy.cfg names them still. If it must boot "
                    + "before that, disconnect its network first.",
                Terminal.Tone.Changed
            );
        }

        if (topology.Synchronous == SynchronousMode.Strict)
        {
            terminal.Line("Commits wait until a standby streams (synchronous: strict).", Terminal.Tone.Changed);
        }
    }

    /// <summary>The result of a recovery, as JSON.</summary>
    public static string Document(string scope, RecoveryChoice choice, IEnumerable<string> losses) =>
        JsonView.Document("recover", document =>
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
            document.WriteStartArray("losses");
            foreach (var loss in losses)
            {
                document.WriteStringValue(loss);
            }

            document.WriteEndArray();
        });

    private static IEnumerable<string> LostProxies(PostgresTopology topology, ImmutableArray<string> lost) =>
        topology.Proxies.Where(proxy => lost.Contains(proxy.Name)).Select(proxy => proxy.Name);

    private static string Describe(RecoveryChoice choice, RecoveryMember member)
    {
        if (member.Error is not null)
        {
            return "lost; nothing of it is known";
        }

        if (member.Data is not { } data)
        {
            return member.Unreadable is { } why ? $"no database that can be read: {why}" : "no database";
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
