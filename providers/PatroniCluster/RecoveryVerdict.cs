using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Providers.PatroniCluster;

/// <summary>What a recovery that members know of means for a change of their cluster. Pure.</summary>
public abstract record RecoveryVerdict
{
    private RecoveryVerdict() { }

    /// <summary>No member knows of one.</summary>
    public sealed record None : RecoveryVerdict;

    /// <summary>Nothing may be changed.</summary>
    /// <param name="Reason">Why.</param>
    /// <param name="Detail">The evidence.</param>
    /// <param name="Remedy">What to do.</param>
    public sealed record Refused(string Reason, string Detail, string Remedy) : RecoveryVerdict;

    /// <summary>Members that have come back as they were lost are set aside before anything else changes.</summary>
    /// <param name="Journal">The recovery.</param>
    /// <param name="Returned">The members; empty for none.</param>
    public sealed record Known(RecoveryJournal Journal, ImmutableSortedSet<string> Returned) : RecoveryVerdict;

    /// <summary>Judges what the members have on disk. Only a recovery that its own survivor knows of is believed.</summary>
    /// <param name="cluster">The cluster's name.</param>
    /// <param name="members">The members that could be read.</param>
    /// <param name="leaders">The members that say that they are the primary.</param>
    /// <param name="hasPassword">Whether a member was started with the desired password of the consensus store; null where that is not
    /// known, as with a store that does not tell.</param>
    /// <param name="hasContainer">Whether a member may have a container of Patroni.</param>
    public static RecoveryVerdict Of(
        string cluster,
        IReadOnlyDictionary<string, Snapshot> members,
        IReadOnlyCollection<string> leaders,
        Func<Snapshot, bool?> hasPassword,
        Func<Snapshot, bool> hasContainer
    )
    {
        ArgumentNullException.ThrowIfNull(members);
        ArgumentNullException.ThrowIfNull(leaders);
        ArgumentNullException.ThrowIfNull(hasPassword);
        ArgumentNullException.ThrowIfNull(hasContainer);
        foreach (var (name, snapshot) in members)
        {
            if (RecoveryJournal.IsDamaged(cluster, snapshot))
            {
                return Damaged(cluster, name);
            }
        }

        RecoveryJournal? own = null;
        foreach (var (name, snapshot) in members)
        {
            if (RecoveryJournal.On(cluster, snapshot) is { } copy && copy.Survivor == name && (own is null || copy.IsAfter(own)))
            {
                own = copy;
            }
        }

        var newest = RecoveryJournal.Newest(cluster, members.Values);
        if (newest is not null && newest.Id != own?.Id && Without(cluster, newest, members) is { IsEmpty: false } unsure)
        {
            // A member that has a copy was set aside, or had nothing to be set aside.
            return new Refused(
                $"{newest.Survivor} does not confirm the recovery of {cluster}, and {string.Join(" and ", unsure)} may be from before it",
                About(cluster, newest),
                $"bring {newest.Survivor} back; where there was no such recovery, remove that file from the other members"
            );
        }

        return own is null ? new None() : OfConfirmed(cluster, own, members, leaders, hasPassword, hasContainer);
    }

    private static RecoveryVerdict OfConfirmed(
        string cluster,
        RecoveryJournal journal,
        IReadOnlyDictionary<string, Snapshot> members,
        IReadOnlyCollection<string> leaders,
        Func<Snapshot, bool?> hasPassword,
        Func<Snapshot, bool> hasContainer
    )
    {
        var about = About(cluster, journal);
        var password = hasPassword(members[journal.Survivor]);
        // It may also lead as a member of the former cluster.
        if (!journal.IsDone && (password == false || !leaders.Contains(journal.Survivor)))
        {
            return new Refused(
                $"a recovery of {cluster} from {journal.Survivor} is unfinished",
                about,
                "run kbr recover again with the same options, which goes on. Where the members have elected a primary by themselves "
                    + "meanwhile, kbr recover confirm gives the recovery up"
            );
        }

        if (password == false)
        {
            return new Refused(
                $"the credentials file is older than the recovery of {cluster}: it has another password of the consensus store",
                $"{about}; {journal.Survivor} was started with the password that kbr recover made then",
                "use the credentials file that kbr recover wrote. For a new password on purpose, run kbr recover confirm first"
            );
        }

        // The same password as the survivor's: it was started as a member of the recovered cluster.
        var returned = Without(cluster, journal, members);
        foreach (var name in returned)
        {
            if (password == true && hasPassword(members[name]) == true)
            {
                returned = returned.Remove(name);
            }
        }

        // A member without a container, as on a new host, runs nothing: what it has may be set aside.
        var isGone = !hasContainer(members[journal.Survivor]);
        List<string> unsure = [.. returned.Where(name => password is null && (isGone || hasContainer(members[name])))];
        if (unsure.Count > 0)
        {
            var names = string.Join(" and ", unsure);
            return !isGone
                ? new Refused(
                    $"it is unknown whether {names} took part in the recovered {cluster}",
                    $"{about}; the present consensus store does not tell",
                    $"where the cluster is healthy with {names}, run kbr recover confirm. Otherwise stop Patroni there and remove its "
                        + "container: the next kbr apply keeps the data aside and copies it anew"
                )
                : new Refused(
                    $"it is unknown whether {names} took part in the recovered {cluster}",
                    $"{about}; the container of {journal.Survivor}, which tells the password of the consensus store, is not there",
                    $"bring {journal.Survivor} back"
                );
        }

        var unread = new List<string>();
        foreach (var name in journal.Others)
        {
            if (!members.ContainsKey(name))
            {
                unread.Add(name);
            }
        }

        return unread.Count > (journal.Others.Length + 1) / 2
            ? new Refused(
                $"{string.Join(" and ", unread)} cannot be read, and are enough to elect a primary of the database that was lost",
                $"{about}; the proxies would send them sessions once they are back",
                "bring them back, also as new hosts; or remove them from postgres.members, and run kbr recover confirm"
            )
            : new Known(journal with { IsDone = true }, returned);
    }

    private static string About(string cluster, RecoveryJournal journal) =>
        $"it was recovered from {journal.Survivor} at {journal.Begun:yyyy-MM-dd HH:mm:ss} UTC, by {RecoveryJournal.PathOf(cluster)}";

    // Members that the recovery went on without, and that do not know of it.
    private static ImmutableSortedSet<string> Without(
        string cluster,
        RecoveryJournal journal,
        IReadOnlyDictionary<string, Snapshot> members
    )
    {
        var without = ImmutableSortedSet.CreateBuilder<string>(StringComparer.Ordinal);
        foreach (var (name, snapshot) in members)
        {
            if (journal.Others.Contains(name) && RecoveryJournal.On(cluster, snapshot)?.Id != journal.Id)
            {
                without.Add(name);
            }
        }

        return without.ToImmutable();
    }

    /// <summary>The refusal for a file that cannot be understood.</summary>
    /// <param name="cluster">The cluster's name.</param>
    /// <param name="member">The member that has it.</param>
    public static Refused Damaged(string cluster, string member) =>
        new(
            $"{member} has a record of a recovery of {cluster} that cannot be read",
            $"{RecoveryJournal.PathOf(cluster)} is not what kbr writes, so it is unknown whose database goes on",
            "copy the file from the member that was recovered from; or remove it where there was no recovery"
        );
}
