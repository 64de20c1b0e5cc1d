using System.Collections.Immutable;
using System.CommandLine;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Surveying;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary><c>kbr unlock</c>: who holds the lock of each host; with <c>--end</c>, ends the shell that does.</summary>
internal static class UnlockCommand
{
    public static Command Create(SessionContext context)
    {
        var end = new Option<string[]>("--end")
        {
            Description = "End the shell that holds the lock of this host. Its running script finishes; its kbr run fails.",
        };
        var approve = new Option<bool>("--auto-approve") { Description = "Do not ask for confirmation." };
        var command = new Command(
            "unlock",
            "Show the holder of each host's lock. Changes nothing without --end: a lock is released "
                + "when its holder exits, even when killed."
        )
        {
            end,
            approve,
        }.With(context.Options.Targeted);
        command.SetAction(parsed => context.RunAsync(parsed, async (terminal, stop, _) =>
            {
                var json = parsed.Read(context.Options.Json);
                var approved = parsed.Read(approve);
                var cluster = context.Load(parsed, terminal, secretsOptional: true);
                var targeted = TargetedHosts.Of(cluster, CommonOptions.Patterns(parsed.Read(context.Options.Target)));
                await using var fleet = context.OpenFleet(parsed, cluster);
                var ended = parsed.Read(end) ?? [];
                if (ended.FirstOrDefault(name => cluster.Hosts.All(host => host.Name != name)) is { } unknown)
                {
                    throw new DiagnosticException(Diagnostic.Error($"{cluster.File} has no host '{unknown}'"));
                }

                var hosts = ended.Length > 0 ? cluster.Hosts.Where(host => ended.Contains(host.Name)) : targeted;
                var locks = await ReadAsync(fleet, hosts, stop).ConfigureAwait(false);
                if (locks.Any(one => one.State?.ProcessIds.Count > 0) && ended.Length > 0)
                {
                    if (!json)
                    {
                        UnlockView.Show(terminal, locks);
                    }

                    if (!approved)
                    {
                        Approval.Ask(terminal, "unlock --end", json, stop);
                    }

                    foreach (var (one, process) in locks.SelectMany(one => (one.State?.ProcessIds ?? []).Select(process => (one, process))))
                    {
                        await fleet.Connections[one.Host].EndLockHolderAsync(process, stop).ConfigureAwait(false);
                    }

                    locks = await ReadAsync(fleet, hosts, stop).ConfigureAwait(false);
                }

                if (json)
                {
                    terminal.Line(UnlockView.Document(cluster.Name, locks));
                }
                else
                {
                    UnlockView.Show(terminal, locks);
                }

                return locks.Any(one => one.State is null || (ended.Length > 0 && one.State.ProcessIds.Count > 0))
                    ? ExitCode.Error
                    : ExitCode.Done;
            }));
        return command;
    }

    private static async Task<ImmutableArray<HostLock>> ReadAsync(Fleet fleet, IEnumerable<Host> hosts, CancellationToken cancellationToken)
    {
        var answers = await fleet.ReadAsync(hosts, _ => [new LockRead()], cancellationToken).ConfigureAwait(false);
        return
        [
            .. answers
                .OrderBy(pair => pair.Key, StringComparer.Ordinal)
                .Select(pair => new HostLock(pair.Key, pair.Value.Snapshot?.Get(new LockRead()), pair.Value.Error)),
        ];
    }
}

/// <summary>The lock of a host as it was found.</summary>
/// <param name="Host">The host.</param>
/// <param name="State">Its lock; null when it could not be read.</param>
/// <param name="Error">Why it could not.</param>
internal sealed record HostLock(string Host, LockState? State, string? Error);
