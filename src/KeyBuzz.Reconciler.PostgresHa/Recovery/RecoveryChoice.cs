using System.Collections.Immutable;
using System.Globalization;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Providers.PatroniCluster;

namespace KeyBuzz.Reconciler.PostgresHa.Recovery;

/// <summary>A member as a recovery finds it.</summary>
/// <param name="Name">The member.</param>
public sealed record RecoveryMember(string Name)
{
    /// <summary>Why its host could not be read; null where it was read.</summary>
    public string? Error { get; init; }

    /// <summary>Whether it says that it is the primary.</summary>
    public bool IsPrimary { get; init; }

    /// <summary>Whether its container runs.</summary>
    public bool Runs { get; init; }

    /// <summary>Whether it was started with the desired password of the consensus store, which a recovery renews; null where that is not
    /// known.</summary>
    public bool? HasDesiredPassword { get; init; }

    /// <summary>Whether it leads a consensus store whose only member it is.</summary>
    public bool HasOwnStore { get; init; }

    /// <summary>The ports on which another host still reaches it, a sentence each; looked for only where it is named lost.</summary>
    public ImmutableArray<string> Reached { get; init; } = [];

    /// <summary>Its database; null where there is none, or the host could not be read.</summary>
    public SurvivorData? Data { get; init; }

    /// <summary>Why its database could not be read, although its host answers; null where it could, or there is none.</summary>
    public string? Unreadable { get; init; }

    /// <summary>Whether it was a synchronous standby when the store was last reached.</summary>
    public bool WasSynchronous { get; init; }
}

/// <summary>A proxy as a recovery finds it.</summary>
/// <param name="Name">The proxy.</param>
/// <param name="Error">Why it could not be read; null where it was.</param>
/// <param name="Primary">The member that it sends sessions to; null for none.</param>
public sealed record RecoveryProxy(string Name, string? Error, string? Primary);

/// <summary>What a recovery is asked for.</summary>
/// <param name="Lost">The hosts that the operator has declared off.</param>
/// <param name="Member">The member to recover from; null for the best.</param>
public sealed record RecoveryRequest(ImmutableArray<string> Lost, string? Member)
{
    /// <summary>The survivor of a recovery that was begun and did not end: it goes on from that one. Null for none.</summary>
    public string? Begun { get; init; }

    /// <summary>Whether a member is the survivor of that recovery, and leads already as the recovery started it.</summary>
    public bool IsLed(RecoveryMember member)
    {
        ArgumentNullException.ThrowIfNull(member);
        return member is { IsPrimary: true, HasOwnStore: true } && member.Name == Begun;
    }
}

/// <summary>The member whose database goes on after a lost majority, or the reason for none. Pure.</summary>
/// <param name="Survivor">The member.</param>
/// <param name="Survivors">All members with a database, the furthest first.</param>
/// <param name="Others">The other members.</param>
public sealed record RecoveryChoice(RecoveryMember Survivor, ImmutableArray<RecoveryMember> Survivors, ImmutableArray<string> Others)
{
    /// <summary>Members whose hosts answer, and whose database could not be read.</summary>
    public ImmutableArray<string> Unreadable { get; init; } = [];

    /// <summary>Whether the survivor leads already, and takes writes.</summary>
    public bool IsLed { get; init; }

    /// <summary>Throws <see cref="DiagnosticException"/> where a later look found something else to decide about.</summary>
    /// <param name="again">The choice by the later look.</param>
    public void RefuseChanged(RecoveryChoice again)
    {
        ArgumentNullException.ThrowIfNull(again);
        var (before, after) = (Evidence(), again.Evidence());
        if (before != after)
        {
            throw Refused(
                "the members have changed since the recovery was shown; nothing was changed",
                $"shown: {before}\nnow: {after}",
                "run it again"
            );
        }
    }

    private string Evidence()
    {
        var text = $"from {Survivor.Name}{(IsLed ? ", the primary" : "")}";
        foreach (var one in Survivors)
        {
            if (IsLed && one.Name == Survivor.Name)
            {
                continue;
            }

            text += string.Create(CultureInfo.InvariantCulture, $"; {one.Name}: timeline {one.Data!.Timeline}, LSN {one.Data.Position}");
        }

        return Unreadable.IsEmpty ? text : $"{text}; not readable: {string.Join(", ", Unreadable)}";
    }

    /// <summary>How many bytes a member is behind the furthest of the survivors; null where the two are on different timelines, whose
    /// positions are not comparable.</summary>
    public long? Behind(RecoveryMember member)
    {
        ArgumentNullException.ThrowIfNull(member);
        var (own, best) = (member.Data!, Survivors[0].Data!);
        return own.Timeline == best.Timeline ? (long)(Math.Max(own.Lsn, best.Lsn) - own.Lsn) : null;
    }

    /// <summary>What choosing the survivor loses of what the other survivors have, and what is not known, a sentence each.</summary>
    public ImmutableArray<string> Losses(IReadOnlyCollection<string> lost, bool hasArchive)
    {
        ArgumentNullException.ThrowIfNull(lost);
        var all = ImmutableArray.CreateBuilder<string>();
        var own = Survivor.Data!;
        foreach (var other in Survivors)
        {
            if (other.Name == Survivor.Name)
            {
                continue;
            }

            var data = other.Data!;
            if (data.Timeline > own.Timeline)
            {
                all.Add($"everything that {other.Name} has from timeline {own.Timeline + 1} on");
            }
            else if (data.Timeline < own.Timeline)
            {
                all.Add($"unknown: what only {other.Name} has of timeline {data.Timeline}, after {Survivor.Name}'s history left it");
            }
            else if (data.Lsn > own.Lsn)
            {
                var bound = own.IsExact && data.IsExact ? "at most " : "about ";
                all.Add(string.Create(CultureInfo.InvariantCulture, $"{bound}{data.Lsn - own.Lsn} bytes of WAL that {other.Name} has"));
            }
            else if (!data.IsExact)
            {
                all.Add($"unknown: the end of {other.Name}'s WAL could not be read; it may have more than {Survivor.Name}");
            }
        }

        foreach (var other in Unreadable)
        {
            all.Add($"unknown: what only {other} has, whose database could not be read");
        }

        if (all.Count == 0)
        {
            all.Add(
                Survivors.Length == 1 ? "no other survivor has a database to compare with" : "nothing of what the other survivors have"
            );
        }

        if (!own.IsExact)
        {
            all.Add($"the end of {Survivor.Name}'s WAL could not be read: it may have more than is shown");
        }

        if (lost.Count > 0)
        {
            all.Add(
                $"unknown: what only {string.Join(" and ", lost)} had"
                    + (
                        Survivor.WasSynchronous
                            ? $"; {Survivor.Name} was the synchronous standby when the members were last together, and has every commit until then"
                            : ", acknowledged commits among it"
                    )
            );
        }

        if (hasArchive)
        {
            all.Add("the archive may hold more than the survivor: kbr restore --to latest compares by its own look");
        }

        return all.ToImmutable();
    }

    /// <summary>Chooses. Throws <see cref="DiagnosticException"/> with the reason where nothing may be recovered.</summary>
    /// <param name="scope">The cluster, for messages.</param>
    /// <param name="members">All members.</param>
    /// <param name="proxies">All proxies.</param>
    /// <param name="storeLeader">A member that leads the consensus store with a quorum, or says that there is one; null for none.</param>
    /// <param name="request">What is asked for.</param>
    public static RecoveryChoice Of(
        string scope,
        IReadOnlyCollection<RecoveryMember> members,
        IReadOnlyCollection<RecoveryProxy> proxies,
        string? storeLeader,
        RecoveryRequest request
    )
    {
        RefuseAtOnce(scope, members, proxies, storeLeader, request);
        if (request.Begun is null)
        {
            RefuseStartable(scope, members, request.Lost);
        }
        else if (request.Member is { } other && other != request.Begun)
        {
            throw Refused(
                $"a recovery of {scope} from {request.Begun} was begun: it cannot go on from {other}",
                null,
                $"run it again without --from; where nothing of {request.Begun} was started, remove its journal first: "
                    + RecoveryJournal.PathOf(scope)
            );
        }

        List<RecoveryMember> survivors = [.. members.Where(member => member.Data is not null)];
        survivors.Sort(
            (one, other) =>
                (other.Data!.Timeline, other.Data.Lsn).CompareTo((one.Data!.Timeline, one.Data.Lsn)) is var order and not 0
                    ? order
                    : string.CompareOrdinal(one.Name, other.Name)
        );
        if (survivors.Count == 0)
        {
            throw Refused(
                $"no member of {scope} that answers holds a database, so there is nothing to recover from",
                null,
                "bring a member with its data back; or kbr restore --to latest, from the archive"
            );
        }

        if (survivors.Exists(member => member.Data!.SystemIdentifier != survivors[0].Data!.SystemIdentifier))
        {
            throw Refused(
                $"the members of {scope} hold different databases",
                string.Join('\n', survivors.Select(member => $"{member.Name}: system identifier {member.Data!.SystemIdentifier}")),
                "find out which database is yours, and move the data directory of the other one away"
            );
        }

        var chosen = (request.Begun ?? request.Member) is { } wanted ? survivors.Find(member => member.Name == wanted) : survivors[0];
        return chosen is null
            ? throw Refused(
                $"{request.Begun ?? request.Member} holds no database that can be read",
                null,
                $"members with a database: {string.Join(", ", survivors.Select(member => member.Name))}"
            )
            : new RecoveryChoice(
                chosen,
                [.. survivors],
                [.. members.Where(member => member.Name != chosen.Name).Select(member => member.Name)]
            )
            {
                Unreadable = [.. members.Where(member => member.Unreadable is not null).Select(member => member.Name)],
                IsLed = request.IsLed(chosen),
            };
    }

    /// <summary>Throws <see cref="DiagnosticException"/> for what refuses a recovery whatever the members' data is.</summary>
    /// <param name="scope">The cluster, for messages.</param>
    /// <param name="members">All members.</param>
    /// <param name="proxies">All proxies.</param>
    /// <param name="storeLeader">A member that knows of a quorum; null for none.</param>
    /// <param name="request">What is asked for.</param>
    public static void RefuseAtOnce(
        string scope,
        IReadOnlyCollection<RecoveryMember> members,
        IReadOnlyCollection<RecoveryProxy> proxies,
        string? storeLeader,
        RecoveryRequest request
    )
    {
        ArgumentNullException.ThrowIfNull(members);
        ArgumentNullException.ThrowIfNull(proxies);
        ArgumentNullException.ThrowIfNull(request);
        RefuseServing(scope, members, proxies, storeLeader, request);
        RefuseWrongNames(scope, members, proxies, request);
        RefuseUndeclared(scope, members, proxies, request.Lost);
    }

    private static void RefuseWrongNames(
        string scope,
        IReadOnlyCollection<RecoveryMember> members,
        IReadOnlyCollection<RecoveryProxy> proxies,
        RecoveryRequest request
    )
    {
        var known = members.Select(member => member.Name).Concat(proxies.Select(proxy => proxy.Name)).ToList();
        if (request.Lost.FirstOrDefault(name => !known.Contains(name)) is { } stranger)
        {
            throw Refused($"--lost names {stranger}, which is no host of {scope}", null, $"its hosts are {string.Join(", ", known)}");
        }

        foreach (var name in request.Lost)
        {
            var member = members.FirstOrDefault(one => one.Name == name);
            if (member is { Error: null } || proxies.Any(proxy => proxy.Name == name && proxy.Error is null))
            {
                throw Refused(
                    $"{name} is named lost, but its host answers: kbr stops it there itself",
                    null,
                    $"run it again without --lost {name}"
                );
            }

            if (member is { Reached: { IsEmpty: false } reached })
            {
                throw Refused(
                    $"{name} is named lost, but it is alive: it could lead the majority",
                    string.Join('\n', reached),
                    $"turn {name} off, or cut it off the network, then run this again; or make it reachable by ssh"
                );
            }
        }
    }

    private static void RefuseServing(
        string scope,
        IReadOnlyCollection<RecoveryMember> members,
        IReadOnlyCollection<RecoveryProxy> proxies,
        string? storeLeader,
        RecoveryRequest request
    )
    {
        var notLost = request.Begun is null
            ? "kbr apply rebuilds the members that are missing, from the primary. One that has just lost the others gives the lead up within "
                + "ttl seconds: run this again then"
            : $"kbr recover confirm gives up the recovery from {request.Begun}, which has not ended; then kbr apply";
        var led = members.FirstOrDefault(request.IsLed)?.Name;
        if (members.FirstOrDefault(member => member.IsPrimary && member.Name != led) is { } primary)
        {
            throw Refused($"{primary.Name} is the primary of {scope}: there is nothing to recover", null, notLost);
        }

        if (proxies.FirstOrDefault(proxy => proxy.Primary is not null && proxy.Primary != led) is { Primary: { } seen } proxy)
        {
            throw Refused(
                $"{proxy.Name} still sends sessions to {seen}: {scope} has a primary",
                null,
                $"make {seen} reachable by ssh; or turn it off, and run this again once no proxy sees it"
            );
        }

        if (storeLeader is not null && storeLeader != led)
        {
            throw Refused($"{scope} still has a quorum, by the word of {storeLeader}: its members can elect a primary", null, notLost);
        }
    }

    // A host that does not answer may be cut off from here only, and serve.
    private static void RefuseUndeclared(
        string scope,
        IReadOnlyCollection<RecoveryMember> members,
        IReadOnlyCollection<RecoveryProxy> proxies,
        ImmutableArray<string> lost
    )
    {
        var silent = members
            .Where(member => member.Error is not null)
            .Select(member => (member.Name, member.Error))
            .Concat(proxies.Where(proxy => proxy.Error is not null).Select(proxy => (proxy.Name, proxy.Error)))
            .Where(one => !lost.Contains(one.Name))
            .ToList();
        if (silent.Count > 0)
        {
            throw Refused(
                $"{string.Join(" and ", silent.Select(one => one.Name))} cannot be reached, and may serve {scope} all the same",
                string.Join('\n', silent.Select(one => $"{one.Name}: {one.Error}")),
                "turn each off for good, or cut it off the network; then say so: kbr recover "
                    + string.Join(' ', silent.Select(one => $"--lost {one.Name}"))
            );
        }
    }

    // Members that are only stopped elect a primary once they are started: nothing is lost then.
    private static void RefuseStartable(string scope, IReadOnlyCollection<RecoveryMember> members, ImmutableArray<string> lost)
    {
        var majority = (members.Count / 2) + 1;
        var holders = members.Where(member => member.Data is not null && !lost.Contains(member.Name)).ToList();
        var stopped = holders.Where(member => !member.Runs).Select(member => member.Name).ToList();
        if (holders.Count >= majority && stopped.Count > 0)
        {
            throw Refused(
                $"{string.Join(" and ", stopped)} can be started, and then {holders.Count} of {members.Count} members of {scope} have their data",
                null,
                "kbr apply starts them; kbr recover is for when they run and find no quorum"
            );
        }
    }

    private static DiagnosticException Refused(string summary, string? detail, string remedy) =>
        new(Diagnostic.Error(summary, detail: detail, remedy: remedy));
}
