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
            var (used, free) = sizes[member.Name];
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
    public static void ShowEnd(Terminal terminal, RestoreJournal? journal, bool json)
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
                break;
            default:
                terminal.Line($"Not complete: {journal.Text}. kbr restore goes on, kbr restore undo goes back.", Terminal.Tone.Changed);
                break;
        }
    }
}
