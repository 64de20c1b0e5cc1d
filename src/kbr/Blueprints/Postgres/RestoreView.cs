using System.Collections.Immutable;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.PostgresHa.Backups;
using KeyBuzz.Reconciler.Providers.Backup.Restore;

namespace KeyBuzz.Reconciler.Cli.Blueprints.Postgres;

/// <summary>Shows what a restore is about to do, and where it stands.</summary>
internal static class RestoreView
{
    /// <summary>What a restore loses and does.</summary>
    public static void ShowPlan(
        Terminal terminal,
        PostgresTopology topology,
        RestoreJournal journal,
        IReadOnlyDictionary<string, (long Used, long Free)> sizes,
        DateTimeOffset now,
        bool json
    )
    {
        if (json)
        {
            return;
        }

        var target = RestoreTarget.Parse(journal.Target)!;
        terminal.Line($"Restore of {topology.Scope} to {target.Label}", Terminal.Tone.Bold);
        terminal.Line();
        if (!journal.IsCopy)
        {
            terminal.Line(
                target.Time is { } time ? $"Lost:    every transaction of the last {BackupWords.Age(now - time)}"
                    : target.Kind == RestoreTargetKind.Latest ? "Lost:    what was never archived"
                    : $"Lost:    every transaction after {target.Label}",
                Terminal.Tone.Removed
            );
        }

        foreach (var member in topology.Members)
        {
            if (!sizes.TryGetValue(member.Name, out var size))
            {
                terminal.Line(
                    $"Member:  {member.Name}: lost, and left out"
                        + (
                            journal.IsCopy
                                ? ""
                                : "; it cannot join the restored cluster, and once it is back kbr apply keeps its data aside and makes it "
                                    + "a replica"
                        ),
                    Terminal.Tone.Changed
                );
                continue;
            }

            var (used, free) = size;
            var does =
                member.Name == journal.Member
                    ? journal.IsCopy
                        ? "the copy is restored there, and runs apart"
                        : "the database is restored beside the present one, and takes over"
                    : journal.IsCopy
                        ? "stays as it is"
                        : "stopped when that takes over; copies the restored database from it";
            terminal.Line(
                $"Member:  {member.Name}: {does} ({(used > 0 ? $"database {BackupWords.Size(used)}" : "no database")}, "
                    + $"{BackupWords.Size(free)} free)"
            );
        }

        if (journal.IsCopy)
        {
            terminal.Line("Cluster: goes on as it is");
            return;
        }

        if (!journal.Lost.IsEmpty)
        {
            terminal.Line("Fence:   the consensus store gets a new password in the credentials file, which the lost do not know");
        }

        terminal.Line(
            journal.Former is null ? "Writes:  there is no database to write to before"
            : journal.KeepsWrites ? "Writes:  go on until the restored database takes over, and are lost then"
            : "Writes:  refused from now on; reads go on until the restored database takes over"
        );
        terminal.Line("Then:    the cluster stops for as long as its members take to stop and start, and cluster.yaml is applied");
        terminal.Line(
            journal.Former is null
                ? "Kept:    nothing; there is no database yet"
                : $"Kept:    the present database, until kbr restore confirm; kbr restore undo goes back to that of {journal.Former}"
        );
    }

    /// <summary>What happens when the restored database takes over.</summary>
    public static void ShowTakeover(Terminal terminal, string scope, RestoreJournal journal, bool json)
    {
        if (!json)
        {
            terminal.Line($"{scope}: {journal.Text}.");
            terminal.Line("It takes over now: every member is stopped, and started on it. The present database is kept.");
        }
    }

    /// <summary>What an undo does.</summary>
    public static void ShowUndo(Terminal terminal, string scope, RestoreJournal journal, bool json)
    {
        if (!json)
        {
            terminal.Line($"{scope}: {journal.Text}.");
            terminal.Line(
                journal.Phase <= RestorePhase.Look
                    ? "The restored copy is removed, and the cluster takes writes again."
                    : "Every member is stopped, and started on the former database. What was written since the restored one took over is lost.",
                Terminal.Tone.Removed
            );
        }
    }

    /// <summary>What a confirmation removes.</summary>
    public static void ShowConfirm(Terminal terminal, string scope, RestoreJournal journal, bool json)
    {
        if (!json)
        {
            terminal.Line($"{scope}: {journal.Text}.");
            terminal.Line("The former database is removed from every member; there is no way back after it.", Terminal.Tone.Removed);
        }
    }

    /// <summary>Where a restore stands at the end of a command, and what comes next.</summary>
    /// <param name="terminal">Where it is shown.</param>
    /// <param name="journal">The restore; null where it is over.</param>
    /// <param name="left">The members that the command left out.</param>
    /// <param name="json">Whether it is shown as JSON.</param>
    public static void ShowEnd(Terminal terminal, RestoreJournal? journal, ImmutableArray<string> left, bool json)
    {
        if (json)
        {
            terminal.Line(JsonView.Document("restore", document =>
                {
                    document.WriteString("phase", (journal?.Phase.ToString() ?? "None").ToLowerInvariant());
                    if (journal is not null)
                    {
                        document.WriteString("target", journal.Target);
                        document.WriteString("member", journal.Member);
                        document.WriteString("begun", journal.Begun);
                    }
                }));
            return;
        }

        terminal.Line();
        switch (journal?.Phase)
        {
            case null:
                terminal.Line("The restore is over.", Terminal.Tone.Added);
                ShowLost(terminal, left);
                break;
            case RestorePhase.Look:
                terminal.Line($"{journal.Text}.", Terminal.Tone.Added);
                terminal.Line("Look at it:  kbr restore look");
                if (!journal.IsCopy)
                {
                    terminal.Line("Let it take over:  kbr restore");
                }

                terminal.Line("Give it up:  kbr restore undo");
                break;
            case RestorePhase.Kept:
                terminal.Line($"{journal.Text}.", Terminal.Tone.Added);
                terminal.Line("Take a full backup now. Go back:  kbr restore undo   Remove the former database:  kbr restore confirm");
                ShowLost(terminal, left);
                break;
            default:
                terminal.Line($"Not complete: {journal.Text}. kbr restore goes on, kbr restore undo goes back.", Terminal.Tone.Changed);
                break;
        }
    }

    private static void ShowLost(Terminal terminal, ImmutableArray<string> left)
    {
        if (!left.IsEmpty)
        {
            terminal.Line(
                $"The consensus store has a new password in the credentials file: keep that file. Once {string.Join(" and ", left)} "
                    + "can be reached, or a new host in its place:  kbr apply   Then remove its former data:  kbr recover confirm"
            );
        }
    }
}
