using System.Collections.Immutable;
using KeyBuzz.Reconciler.Cli.Commands;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.PostgresHa.Recovery;
using KeyBuzz.Reconciler.Providers.Backup.Restore;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Cli.Blueprints.Postgres;

/// <summary>The members that a restore goes on without: their hosts do not answer, and the operator has declared them off. They are
/// fenced as <c>kbr recover</c> fences lost members, and the next apply sets their data aside.</summary>
internal static class RestoreWithout
{
    /// <summary>The members that a command goes on without. Throws <see cref="DiagnosticException"/> where one is away and not declared
    /// lost, where one that is named answers, and where too many are lost.</summary>
    /// <param name="topology">The cluster.</param>
    /// <param name="journal">The restore; null for none.</param>
    /// <param name="named">The members that the command names lost; null where it has no such option.</param>
    /// <param name="away">The members that do not answer, and why.</param>
    public static ImmutableArray<string> Of(
        PostgresTopology topology,
        RestoreJournal? journal,
        ImmutableArray<string>? named,
        ImmutableArray<(string Member, string? Error)> away
    )
    {
        // Its members do not know each other's password any more, or not all of them do: who was left out stays so until that is over.
        ImmutableArray<string> left = journal is { IsExchanging: true } or { IsOpeningWithout: true } ? journal.Lost : [];
        ImmutableArray<string> declared = [.. named ?? [], .. journal?.Lost ?? []];
        foreach (var name in named ?? [])
        {
            if (!topology.Members.Any(member => member.Name == name))
            {
                throw Refused(
                    $"--lost names {name}, which is no member of {topology.Scope}",
                    null,
                    $"members are {string.Join(", ", topology.Members.Select(member => member.Name))}"
                );
            }

            if (!left.Contains(name) && !away.Any(one => one.Member == name))
            {
                throw Refused(
                    $"{name} is named lost, but its host answers: kbr stops it there itself",
                    null,
                    $"run it again without --lost {name}"
                );
            }
        }

        var silent = away.RemoveAll(one => left.Contains(one.Member));
        // Started with the password of now, it could meet the others as one of them.
        if (journal is not { Phase: RestorePhase.Open or RestorePhase.Reopen })
        {
            left = [.. left, .. silent.Where(one => declared.Contains(one.Member)).Select(one => one.Member)];
        }

        silent = silent.RemoveAll(one => left.Contains(one.Member));
        if (!silent.IsEmpty)
        {
            throw Undeclared(topology, journal, silent, named is not null && (left.Length + silent.Length) * 2 < topology.Members.Length);
        }

        return left.Length * 2 < topology.Members.Length
            ? left
            : throw Refused(
                $"{string.Join(" and ", left)} are lost, and a restore needs more than half of the members of {topology.Scope}",
                "by themselves they could elect a primary of the database that the restore replaces",
                "bring one of them back, then run this again; or let empty hosts under the same names take their place"
            );
    }

    /// <summary>Throws <see cref="DiagnosticException"/> where a lost member is seen alive, or could not be fenced.</summary>
    public static async Task RefuseAliveAsync(
        Session session,
        PostgresTopology topology,
        ImmutableArray<string> lost,
        CancellationToken cancellationToken
    )
    {
        if (lost.IsEmpty)
        {
            return;
        }

        if (!topology.Store.HasPassword)
        {
            throw Refused(
                $"{topology.Store.Kind.Name} has no password, so a lost member could join the restored cluster, and outvote it",
                null,
                $"bring {string.Join(" and ", lost)} back; or give it a password in cluster.yaml and in the credentials file"
            );
        }

        var run = RunOf(session, topology);
        var reads = run.MemberReads(lost);
        var ofProxies = run.ProxyReads(lost);
        var members = await session.Fleet.ReadAsync(topology.Members, _ => reads, cancellationToken).ConfigureAwait(false);
        var proxies = await session.Fleet.ReadAsync(topology.Proxies, _ => ofProxies, cancellationToken).ConfigureAwait(false);
        if (run.Unfinished(members) is { } unfinished)
        {
            throw Refused(
                $"a recovery of {topology.Scope} from {unfinished.Survivor} is unfinished",
                null,
                "run kbr recover again with the same options, which goes on; then this"
            );
        }

        foreach (var member in run.Members(lost, members, proxies))
        {
            if (lost.Contains(member.Name) && (member.Error is null || !member.Reached.IsEmpty))
            {
                throw Refused(
                    $"{member.Name} is named lost, but it is alive",
                    member.Reached.IsEmpty ? "its host answers" : string.Join('\n', member.Reached),
                    $"make {member.Name} reachable by ssh; or turn it off, or cut it off the network, then run this again"
                );
            }
        }

        foreach (var proxy in run.Proxies(proxies))
        {
            if (proxy.Primary is { } primary && lost.Contains(primary))
            {
                throw Refused(
                    $"{proxy.Name} still sends sessions to {primary}",
                    null,
                    $"turn {primary} off, or cut it off the network, and run this again once no proxy sees it"
                );
            }
        }
    }

    /// <summary>The cluster's policy of recoveries.</summary>
    public static RecoveryRun RunOf(Session session, PostgresTopology topology) =>
        new(topology, session.Cluster.Policies.First(policy => policy.Group == topology.Scope));

    private static DiagnosticException Undeclared(
        PostgresTopology topology,
        RestoreJournal? journal,
        ImmutableArray<(string Member, string? Error)> silent,
        bool mayBeLost
    )
    {
        var names = string.Join(", ", silent.Select(one => one.Member));
        return Refused(
            $"{names} cannot be reached, and may run or lead {topology.Scope} all the same: this run changed nothing",
            string.Join('\n', silent.Select(one => $"{one.Member}: {one.Error}"))
                + "\na member that comes back later would come with the database that the restore replaces",
            $"bring {names} back, then run this again"
                + (
                    journal is { Phase: RestorePhase.Open or RestorePhase.Reopen }
                        ? $"; or remove {names} from 'hosts', run kbr apply, then this again"
                    : mayBeLost
                        ? ". Is a host gone? Turn it off for good, or cut it off the network, then say so: --lost "
                            + string.Join(" --lost ", silent.Select(one => one.Member))
                    : ""
                )
        );
    }

    private static DiagnosticException Refused(string summary, string? detail, string remedy) =>
        new(Diagnostic.Error(summary, detail: detail, remedy: remedy));
}
