using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Backup.Restore;
using KeyBuzz.Reconciler.Providers.ConsensusStore;
using KeyBuzz.Reconciler.Providers.Container;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.PatroniCluster;

/// <summary>Members that were lost, and have come back as they were, after their cluster was recovered without them.</summary>
/// <param name="group">The resource that stands for the cluster.</param>
/// <param name="access">The members.</param>
/// <param name="store">Their consensus store.</param>
internal sealed class ReturnedMembers(IDeclared group, IGroupAccess access, IConsensusStore store)
{
    private readonly ClusterConnection _connection = ClusterConnection.Of(group);

    /// <summary>Stops them, and keeps their data aside. Answers null, or what failed.</summary>
    /// <param name="journal">The recovery; its survivor has led.</param>
    /// <param name="members">The members.</param>
    /// <param name="needsData">Whether a volume that is not mounted is an error. Otherwise such a member is only stopped, and its turn
    /// sets its data aside.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public async Task<string?> SetAsideAsync(
        RecoveryJournal journal,
        ImmutableArray<string> members,
        bool needsData,
        CancellationToken cancellationToken
    )
    {
        // Another member may lead from now on: the recovery is done.
        if (await RunAsync(journal.Survivor, journal.Write(_connection.Scope), cancellationToken).ConfigureAwait(false) is { } early)
        {
            return early;
        }

        foreach (var member in members)
        {
            access.Report.Awaits($"{member} is stopped, and its data is kept aside");
            var script = ScriptOf(journal, needsData);
            if (await RunAsync(member, script, cancellationToken).ConfigureAwait(false) is { } trouble)
            {
                return $"{member}: its former data could not be kept aside: {trouble}";
            }
        }

        return null;
    }

    // The copy of the journal comes last: a member that has it is done.
    private string ScriptOf(RecoveryJournal journal, bool needsData)
    {
        var spec = PatroniGroupSpec.Of(group);
        var mount =
            spec.MountPoint is not { } point ? ""
            : needsData ? RecoveryJournal.NeedsMount(point)
            : $"mountpoint -q {Script.Quote(point)} || exit 0\n";
        return RecoveryJournal.Stop(_connection.Container, spec.Unit, Replaced)
            + mount
            + journal.SetAside(spec.DataDirectory, store.DirectoriesOf(group))
            // A restore that went on without it ended there without its word.
            + $"rm -f {RestoreJournal.PathOf(_connection.Scope)}\n"
            + journal.Write(_connection.Scope);
    }

    // As a replacement leaves it that was interrupted: the member's turn goes on with it, and starts the new container by its unit.
    private string Replaced
    {
        get
        {
            var (name, former) = (Script.Quote(_connection.Container), Script.Quote(ContainerSpec.FormerOf(_connection.Container)));
            return $"if docker inspect {name} >/dev/null 2>&1 && ! docker inspect {former} >/dev/null 2>&1; then "
                + $"docker rename {name} {former}; fi";
        }
    }

    private async Task<string?> RunAsync(string member, string text, CancellationToken cancellationToken)
    {
        try
        {
            var script = new Script(text) { Deadline = TimeSpan.FromMinutes(5) };
            var result = await access.RunAsync(member, script, cancellationToken).ConfigureAwait(false);
            return result.ExitCode == 0 ? null
                : result.Error.Trim() is { Length: > 0 } error ? error
                : $"exit status {result.ExitCode}";
        }
        catch (HostException exception)
        {
            return exception.Message;
        }
    }
}
