using System.CommandLine;
using KeyBuzz.Reconciler.Cli.Commands;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.PostgresHa.Backups;
using KeyBuzz.Reconciler.Providers.Ballast;

namespace KeyBuzz.Reconciler.Cli.Blueprints.Postgres;

/// <summary><c>kbr relief</c>: gives the ballast of a member's volume back when the volume is full.</summary>
internal static class ReliefCommand
{
    private const string Word = "relief";

    public static Command Create(SessionContext context)
    {
        var name = new Argument<string>("HOST") { Description = "The member whose volume is full." };
        var command = new Command(
            Word,
            "Give the ballast of a member's full volume back, so that PostgreSQL starts again. The next apply makes it anew when there is "
                + "room. Exit 0 given back, 1 otherwise."
        )
        {
            name,
        }.With([.. context.Options.Hosts, context.Options.LockTimeout]);
        command.SetAction(parsed => context.RunAsync(parsed, async (terminal, stop, _) =>
            {
                var json = parsed.Read(context.Options.Json);
                var given = parsed.Read(name)!;
                await using var session = context.Open(parsed, terminal);
                var topology = SwitchoverCommand.Topology(session, Word);
                var member = topology.Members.FirstOrDefault(host => host.Name == given)
                    ?? throw new DiagnosticException(
                        Diagnostic.Error(
                            $"'{given}' is not a member of {topology.Scope}",
                            remedy: $"the members are {string.Join(", ", topology.Members.Select(host => host.Name))}"
                        )
                    );
                var path = topology.Volume.BallastPath
                    ?? throw new DiagnosticException(
                        Diagnostic.Error(
                            $"{session.Cluster.File} has no 'ballast' in 'volume' of its 'postgres' section, so there is nothing to give back",
                            remedy: "docs/full-volume.md says what else makes room; write volume: { ballast: 1GiB } before the next time"
                        )
                    );
                var before = await ReadAsync(session, topology, member, path, stop).ConfigureAwait(false);
                if (before.Ballast is not { Kind: "regular file" } ballast)
                {
                    throw new DiagnosticException(
                        Diagnostic.Error(
                            $"{member.Name}: there is no ballast at {path}: it was given back already, or never made",
                            null,
                            $"its volume has {BackupWords.Size(before.Space?.AvailableBytes ?? 0)} free",
                            "docs/full-volume.md says what else makes room",
                            host: member.Name
                        )
                    );
                }

                await RemoveAsync(session, member, path, stop).ConfigureAwait(false);
                var after = await ReadAsync(session, topology, member, path, stop).ConfigureAwait(false);
                Show(terminal, json, topology.Scope, member.Name, ballast.AllocatedBytes, after.Space?.AvailableBytes ?? 0);
                return ExitCode.Done;
            }));
        return command;
    }

    private static async Task<(FileStat? Ballast, DiskSpace? Space)> ReadAsync(
        Session session,
        PostgresTopology topology,
        Host member,
        string path,
        CancellationToken cancellationToken
    )
    {
        var (file, space) = (new StatRead(path), new DiskSpaceRead(topology.Volume.MountPoint));
        var answers = await session.Fleet.ReadAsync([member], _ => [file, space], cancellationToken).ConfigureAwait(false);
        return answers[member.Name] is { Snapshot: { } snapshot }
            ? (snapshot.Get(file), snapshot.Get(space))
            : throw new DiagnosticException(Diagnostic.Error($"{member.Name}: {answers[member.Name].Error}", host: member.Name));
    }

    private static async Task RemoveAsync(Session session, Host member, string path, CancellationToken cancellationToken)
    {
        var writer = await session
            .Fleet.OpenWriterAsync(member.Name, session.Holder(Word), parallelism: 1, cancellationToken)
            .ConfigureAwait(false);
        await using (writer.ConfigureAwait(false))
        {
            var result = await writer.RunAsync(BallastProvider.Relief(path), cancellationToken).ConfigureAwait(false);
            if (result.ExitCode != 0)
            {
                throw new DiagnosticException(
                    Diagnostic.Error($"{member.Name}: {path} could not be removed: {result.Error.Trim()}", host: member.Name)
                );
            }
        }
    }

    private static void Show(Terminal terminal, bool json, string scope, string member, long given, long free)
    {
        if (json)
        {
            terminal.Line(JsonView.Document("relief", document =>
                {
                    document.WriteString("scope", scope);
                    document.WriteString("host", member);
                    document.WriteNumber("given_back_bytes", given);
                    document.WriteNumber("free_bytes", free);
                }));
            return;
        }

        terminal.Line($"{member}: {BackupWords.Size(given)} given back, {BackupWords.Size(free)} free", Terminal.Tone.Added);
        terminal.Line("Next: kbr status names what fills the volume. Remove the cause; then kbr apply makes the ballast again.");
    }
}
