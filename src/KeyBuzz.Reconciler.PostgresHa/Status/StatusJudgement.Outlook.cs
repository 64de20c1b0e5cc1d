using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa.Backups;
using KeyBuzz.Reconciler.Providers.PatroniConfig;
using KeyBuzz.Reconciler.Records;

namespace KeyBuzz.Reconciler.PostgresHa.Status;

/// <summary>The lines about limits that a member comes near to, and the last apply.</summary>
internal sealed partial class StatusJudgement
{
    // Of the connections that are not reserved for superusers, in per cent.
    private const long MostConnections = 90;

    // A slot without a consumer is named when it holds this part of the volume, or half of what it may hold.
    private const long SlotPartOfVolume = 20;
    private const long SlotBound = 1L << 30;
    private const long WalSegment = 16L << 20;

    // PostgreSQL refuses writes three million transactions before the counter comes round.
    private const long LastTransaction = (1L << 31) - 3_000_000;

    private static readonly TimeSpan s_recent = TimeSpan.FromHours(1);

    private IEnumerable<(Host Host, MemberVitals Vitals)> Vitals =>
        _topology
            .Members.Where(host => Of(host) is not null)
            .Select(host => (host, MemberVitals.Of(host.Name, Of(host)!.Get(_reads.Vitals))))
            .Where(one => one.Item2 is not null)
            .Select(one => (one.host, one.Item2!));

    // The hosts' clocks agree: that of a member counts.
    private DateTimeOffset? Now =>
        _topology
            .Members.Select(Of)
            .OfType<Snapshot>()
            .Select(member => member.Get(new ClockRead()).Now)
            .Where(now => now > DateTimeOffset.UnixEpoch)
            .Select(now => (DateTimeOffset?)now)
            .Max();

    /// <summary>What the volumes hold now; none without a clock.</summary>
    public ImmutableArray<VolumeSample> Volumes
    {
        get
        {
            var samples = ImmutableArray.CreateBuilder<VolumeSample>();
            foreach (var host in _topology.Members)
            {
                if (Now is { } now && Of(host)?.Get(_reads.Volume) is { } space)
                {
                    samples.Add(new VolumeSample(now, host.Name, space.SizeBytes - space.AvailableBytes));
                }
            }

            return samples.ToImmutable();
        }
    }

    private IEnumerable<StatusItem> Outlook(VolumeHistory history) =>
        new[] { Volume(history), Slots(), Connections(), Wraparound(), LastApply() }.OfType<StatusItem>();

    private StatusItem Volume(VolumeHistory history)
    {
        const string Name = "volume";
        var spaces = _topology
            .Members.Where(host => Of(host) is not null)
            .Select(host => (host.Name, Space: Of(host)!.Get(_reads.Volume)))
            .ToList();
        var bound = _topology.Health.MaxVolumeUsed;
        var text = string.Join("; ", spaces.Select(one => $"{one.Name} {Words(one.Name, one.Space)}"));
        return spaces.Exists(one => one.Space is { } space && (Used(space) > bound || UsedInodes(space) > bound))
                ? new StatusItem(Name, StatusVerdict.NotOk, $"{text} (bound {bound} %). At 100 % PostgreSQL stops{Relief()}{Unknown()}")
            : spaces.Exists(one => one.Space is null) ? new StatusItem(Name, StatusVerdict.Unknown, text)
            : Item(Name, _topology.Members, text + Unknown());

        // Only measurements of this machine can tell.
        string Unknown() =>
            !spaces.Exists(one => one.Space is { } space && history.TrendOf(one.Name, space.AvailableBytes) is null) ? ""
            : history.Problem is { } problem ? $"; when it is full is not known: {problem}"
            : $"; when it is full is not known yet, before {BackupWords.Age(VolumeHistory.Window)} of kbr status on this machine";

        string Relief() =>
            _reads.Ballast is { } ballast
            && spaces.Exists(one => Host(one.Name).Get(ballast) is not null && one.Space is { } space && Used(space) > bound)
                ? ": kbr relief gives the ballast back"
                : "";

        Snapshot Host(string name) => _hosts[name].Snapshot!;

        string Words(string host, DiskSpace? space) =>
            space is null
                ? "unknown"
                : $"{Plain(Used(space))} % used, {BackupWords.Size(space.AvailableBytes)} free"
                    + Filling(history.TrendOf(host, space.AvailableBytes))
                    + (UsedInodes(space) > bound ? $", {Plain(UsedInodes(space))} % of its inodes used" : "");
    }

    private static string Filling(VolumeTrend? trend) =>
        trend is null ? ""
        : trend.UntilFull is not { } time ? ", gets no fuller"
        : (time.TotalDays > 365 ? ", full in more than a year" : $", full in {BackupWords.Age(time)}")
            + $" by the trend of {BackupWords.Age(trend.Span)}";

    // No room for another segment of WAL.
    private IEnumerable<string> FullVolumes =>
        _topology
            .Members.Where(host => Of(host)?.Get(_reads.Volume) is { SizeBytes: > 0, AvailableBytes: < WalSegment })
            .Select(host => host.Name);

    private static long Used(DiskSpace space) => Part(space.SizeBytes, space.AvailableBytes);

    private static long UsedInodes(DiskSpace space) => Part(space.Inodes, space.AvailableInodes);

    private static long Part(long whole, long free) => whole <= 0 ? 0 : (long)Math.Clamp(100 - (100.0 * free / whole), 0, 100);

    // A replica that is away leaves such a slot behind, too. Patroni keeps a permanent one on every member: it is named once, where the
    // primary has it.
    private StatusItem? Slots()
    {
        var wrong = (
            from one in Vitals.OrderBy(one => one.Host.Name != Leader)
            from slot in one.Vitals.Slots
            let trouble = SlotTrouble(slot, one.Vitals.SlotLimit, Of(one.Host)!.Get(_reads.Volume)?.SizeBytes)
            where trouble is not null
            select (slot.Name, Text: $"{slot.Name} on {one.Host.Name} {trouble}")
        )
            .DistinctBy(one => one.Name)
            .Select(one => one.Text)
            .ToList();
        return wrong.Count == 0 ? null : new StatusItem("slots", StatusVerdict.NotOk, string.Join("; ", wrong));
    }

    private static string? SlotTrouble(SlotVitals slot, long? limit, long? volume)
    {
        var bound =
            limit is { } allowed && allowed <= (volume ?? long.MaxValue) ? allowed / 2
            : volume is { } size ? size / SlotPartOfVolume
            : SlotBound;
        var holds = slot.HeldBytes is { } held ? $"holds {BackupWords.Size(held)} of WAL" : "holds no WAL";
        var since = slot.InactiveFor is { } time ? $"has had no consumer for {BackupWords.Age(time)}" : "has no consumer";
        return slot.WalStatus == "lost" ? "is lost: the WAL that its consumer needs was removed, so that one must begin anew"
            : slot.IsLost ? $"{holds}, more than it may: its consumer loses it at the next checkpoint"
            : !slot.IsActive && slot.HeldBytes > bound
                ? $"{since}, and {holds}"
                    + (
                        limit is { } most
                            ? $" of {BackupWords.Size(most)} that it may"
                            : ": without max_slot_wal_keep_size until the volume is full"
                    )
            : null;
    }

    private StatusItem? Connections()
    {
        var wrong = Vitals
            .Where(one =>
                one.Vitals is { Connections: { } used, ConnectionsLimit: > 0 and var limit } && used * 100 >= limit * MostConnections
            )
            .Select(one => $"{one.Host.Name} has {Plain(one.Vitals.Connections!.Value)} of {Plain(one.Vitals.ConnectionsLimit!.Value)}")
            .ToList();
        return wrong.Count == 0
            ? null
            : new StatusItem("connections", StatusVerdict.NotOk, $"{string.Join("; ", wrong)} that are not reserved for superusers");
    }

    // Every member has the same databases.
    private StatusItem? Wraparound()
    {
        foreach (var (_, vitals) in Vitals.OrderBy(one => one.Host.Name != Leader))
        {
            foreach (var (what, ages) in new[] { ("transaction", vitals.Transactions), ("multixact", vitals.Multixacts) })
            {
                if (ages is { } found && found.Age > AgeBound(found.Freeze))
                {
                    return new StatusItem(
                        "wraparound",
                        StatusVerdict.NotOk,
                        $"the oldest {what} is {Millions(found.Age)} old, and autovacuum, which begins at {Millions(found.Freeze)}, does not get "
                            + $"on. PostgreSQL refuses writes at {Millions(LastTransaction)}"
                    );
                }
            }
        }

        return null;

        static string Millions(long count) => string.Create(CultureInfo.InvariantCulture, $"{count / 1e6:0} million");
    }

    // Twice the age at which autovacuum begins, and always before the end.
    private static long AgeBound(long freeze) => Math.Min(2 * freeze, (freeze + LastTransaction) / 2);

    private HistoryEntry? Last =>
        All.Select(Of)
            .OfType<Snapshot>()
            .Select(host => host.Get(_reads.LastApply))
            .Where(file => file.Refusal is null)
            .Select(file => EntryOf(file.Text))
            .OfType<HistoryEntry>()
            .MaxBy(entry => entry.Ended);

    private static HistoryEntry? EntryOf(string line)
    {
        try
        {
            using var document = JsonDocument.Parse(line);
            return HistoryEntry.Read(document.RootElement, out _);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private StatusItem? LastApply()
    {
        if (Last is not { } last)
        {
            return null;
        }

        var when = Now - last.Ended is { Ticks: >= 0 } age ? $"{BackupWords.Age(age)} ago" : $"at {BackupWords.Time(last.Ended)}";
        var rest =
            (last.FailedCount > 0 ? $", {Plain(last.FailedCount)} failed" : "")
            + (last.SkippedCount > 0 ? $", {Plain(last.SkippedCount)} skipped" : "");
        return new StatusItem(
            "last change",
            StatusVerdict.Ok,
            $"{last.Command} by {last.User} on {last.Machine}, {when}: {Plain(last.DoneCount)} done{rest}"
        );
    }

    // systemd counts its own restarts until an operator stops or starts the unit.
    private StatusItem WithRestarts(StatusItem units)
    {
        var said = Restarts
            .Where(one => one.Count > 0 && Now - one.Since < s_recent)
            .Select(one =>
                $"{one.Place.Service} on {one.Place.Host} was restarted by systemd {(one.Count == 1 ? "once" : $"{Plain(one.Count)} times")}, "
                + $"the last {BackupWords.Age(Now!.Value - one.Since!.Value)} ago{MemoryOf(one.Place.Host)}"
            )
            .ToList();
        return said.Count == 0 ? units : units with { Measured = $"{units.Measured}; {string.Join("; ", said)}" };

        string MemoryOf(string host) =>
            KillsOn(_topology.Members.FirstOrDefault(member => member.Name == host)) is > 0 and var kills
                ? $", and the kernel there has killed {Plain(kills)} processes for lack of memory since it booted"
                : "";
    }

    private IEnumerable<(StatusPlace Place, long Count, DateTimeOffset? Since)> Restarts =>
        from service in Services
        from host in service.Hosts
        where Of(host) is not null
        let unit = Of(host)!.Get(new UnitRead(service.Name + ".service"))
        where long.TryParse(unit["NRestarts"], CultureInfo.InvariantCulture, out _)
        select (new StatusPlace(service.Name, host.Name), long.Parse(unit["NRestarts"], CultureInfo.InvariantCulture), unit.ActiveSince);

    private long? KillsOn(Host? member) =>
        member is not null && Of(member) is { } snapshot ? MemberVitals.OutOfMemoryKills(snapshot.Get(StatusReads.KernelCounters)) : null;

    private IEnumerable<StatusMeasure> Measures(VolumeHistory history)
    {
        foreach (var host in _topology.Members.Where(host => Of(host) is not null))
        {
            if (Of(host)!.Get(_reads.Volume) is { } space)
            {
                yield return OfHost("volume_size_bytes", "The size of the member's volume.", space.SizeBytes);
                yield return OfHost("volume_free_bytes", "What is free of it.", space.AvailableBytes);
                yield return OfHost("volume_inodes", "The inodes of the member's volume.", space.Inodes);
                yield return OfHost("volume_inodes_free", "What is free of them.", space.AvailableInodes);
                if (history.TrendOf(host.Name, space.AvailableBytes)?.UntilFull is { } time)
                {
                    yield return OfHost(
                        "volume_full_seconds",
                        "When the volume is full by the trend of six hours; missing while that is not known, or it gets no fuller.",
                        (long)time.TotalSeconds
                    );
                }
            }

            if (MemberVitals.OutOfMemoryKills(Of(host)!.Get(StatusReads.KernelCounters)) is { } kills)
            {
                yield return OfHost("oom_kills", "Processes that the kernel killed for lack of memory since it booted.", kills);
            }

            yield return OfHost(
                "settings_refused",
                "Lines of the member's configuration files that PostgreSQL would not start with.",
                PatroniConfigProvider.RefusedLines(_reads.ConfigurationResource, Of(host)!)
            );

            yield return OfHost(
                "pending_restart",
                "Parameters that wait for a restart of the member.",
                PatroniConfigProvider.PendingRestarts(_reads.ConfigurationResource, Of(host)!)
            );

            StatusMeasure OfHost(string name, string meaning, long value) => new(name, meaning, value, ("host", host.Name));
        }

        foreach (var (host, vitals) in Vitals)
        {
            foreach (var measure in OfServer(host.Name, vitals))
            {
                yield return measure;
            }
        }

        if (Store is { Leader: not null } store)
        {
            yield return new StatusMeasure(
                "store_members",
                "Members of the consensus store, by its leader; missing without one.",
                store.Partners + 1
            );
            yield return new StatusMeasure(
                "store_members_connected",
                "Those of them that its leader is connected to, and itself.",
                store.Connected + 1
            );
        }

        if (_topology.Tls?.AuthorityEnd is { } end)
        {
            yield return CertificateEnd(end, ("service", TlsSettings.AuthorityService));
        }

        foreach (var (place, certificate, _) in Certificates)
        {
            if (certificate is not null)
            {
                yield return CertificateEnd(certificate.NotAfter, ("host", place.Host), ("service", place.Service));
            }
        }

        foreach (var (place, count, _) in Restarts)
        {
            yield return new StatusMeasure(
                "unit_restarts",
                "Restarts of the unit by systemd since an operator last started it.",
                count,
                ("host", place.Host),
                ("unit", place.Service)
            );
        }

        if (Last is { } last)
        {
            yield return new StatusMeasure(
                "last_change_timestamp_seconds",
                "When kbr last changed a host, in seconds since 1970.",
                last.Ended.ToUnixTimeSeconds()
            );
            yield return new StatusMeasure(
                "last_change_failed",
                "1 when a part of that change failed, whichever command it was of.",
                last.Result == HistoryResult.Done ? 0 : 1
            );
        }
    }

    private static StatusMeasure CertificateEnd(DateTimeOffset end, params ImmutableArray<(string Name, string Value)> labels) =>
        new("certificate_end_timestamp_seconds", "When the certificate expires, in seconds since 1970.", end.ToUnixTimeSeconds(), labels);

    private static IEnumerable<StatusMeasure> OfServer(string host, MemberVitals vitals)
    {
        (string Name, string Meaning, long? Value)[] numbers =
        [
            ("connections", "Sessions of clients.", vitals.Connections),
            ("connections_limit", "How many there can be, without those reserved for superusers.", vitals.ConnectionsLimit),
            ("transaction_age", "The age of the oldest transaction that is not frozen.", vitals.Transactions?.Age),
            ("multixact_age", "The age of the oldest multixact that is not frozen.", vitals.Multixacts?.Age),
            ("slot_limit_bytes", "How much WAL a slot may hold; missing for any.", vitals.SlotLimit),
        ];
        foreach (var (name, meaning, value) in numbers)
        {
            if (value is >= 0 and var known)
            {
                yield return new StatusMeasure(name, meaning, known, ("host", host));
            }
        }

        foreach (var slot in vitals.Slots)
        {
            yield return new StatusMeasure(
                "slot_active",
                "1 while the slot's consumer is connected.",
                slot.IsActive ? 1 : 0,
                ("host", host),
                ("slot", slot.Name)
            );
            yield return new StatusMeasure(
                "slot_held_bytes",
                "How much WAL the slot holds.",
                Math.Max(0, slot.HeldBytes ?? 0),
                ("host", host),
                ("slot", slot.Name)
            );
        }
    }
}
