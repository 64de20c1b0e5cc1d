using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa.Backups;
using KeyBuzz.Reconciler.Providers.Backup;

namespace KeyBuzz.Reconciler.PostgresHa.Status;

/// <summary>The line about backups.</summary>
internal sealed partial class StatusJudgement
{
    private BackupLook? _backups;

    private BackupLook Backups =>
        _backups ??= BackupLook.Of(
            _topology,
            _topology.Members.Where(host => Of(host) is not null).ToDictionary(host => host.Name, host => Of(host)!, StringComparer.Ordinal)
        );

    private StatusItem Backup(BackupSettings settings)
    {
        const string Name = "backup";
        if (Backups.Leader is null)
        {
            return new StatusItem(Name, StatusVerdict.Unknown, "there is no primary to ask");
        }

        var several = settings.Repositories.Length > 1;
        var (said, wrong) = (new List<string>(), new List<string>());
        for (var number = 1; number <= settings.Repositories.Length; number++)
        {
            var at = several ? $"repository {Plain(number)}: " : "";
            wrong.AddRange(Backups.TroublesOf(number).Select(trouble => at + trouble));
            if (Backups.RoomOf(number) is { } room)
            {
                (room.IsLittle ? wrong : said).Add(
                    room.IsLittle ? $"{at}only {room.Words}: add room there, or lower 'retention'" : at + room.Words
                );
            }

            if (Backups.Report?.Repositories.GetValueOrDefault(number) is not { State: RepositoryState.Ready } held)
            {
                continue;
            }

            if (held.Good.MaxBy(backup => backup.Ended) is not { } last)
            {
                wrong.Add($"{at}no backup yet: run kbr backup");
                continue;
            }

            var age = Backups.Archived.Now - last.Ended;
            var words = age is { } known ? $"{last.Kind.Word()}, {BackupWords.Age(known)} ago" : $"{last.Kind.Word()}, {last.Label}";
            said.Add($"{at}last {words}; {Backups.WindowOf(number)?.InWords}");
            if (age > settings.MaxAge)
            {
                wrong.Add($"{at}older than {BackupWords.Age(settings.MaxAge.Value)}");
            }
        }

        wrong.AddRange(Backups.ClockTroubles());
        wrong.AddRange(_topology.Members.SelectMany(ScheduleTroubles));
        if (CheckRecord.Of(_topology.Scope, _topology.Members.Select(Of).OfType<Snapshot>()) is { } check)
        {
            wrong.AddRange(check.Problems.Select(problem => $"{problem} (kbr backups check, {BackupWords.Time(check.At)})"));
            said.AddRange(check.Problems.IsEmpty ? [$"all of it was read and whole at {BackupWords.Time(check.At)}"] : []);
        }

        return wrong.Count == 0
            ? Item(Name, _topology.Members, string.Join("; ", said))
            : new StatusItem(Name, StatusVerdict.NotOk, string.Join("; ", wrong.Concat(said)));
    }

    private TimeSpan? BackupAge() =>
        _topology.Backup is null || Backups.Report is not { } report ? null
        : report
            .Repositories.Values.Select(held => Backups.Archived.Now - held.Good.MaxBy(backup => backup.Ended)?.Ended)
            .OfType<TimeSpan>()
            .DefaultIfEmpty()
            .Max()
            is { Ticks: > 0 } age
            ? age
        : null;

    // A failure before the last good backup is of the past.
    private IEnumerable<string> ScheduleTroubles(Host member)
    {
        if (Of(member) is not { } snapshot)
        {
            yield break;
        }

        var last = Backups.Report?.Repositories.Values.SelectMany(held => held.Good).Select(backup => backup.Ended).DefaultIfEmpty().Max();
        foreach (var one in _reads.ScheduledBackups)
        {
            var (timer, service) = (snapshot.Get(one.Timer), snapshot.Get(one.Service));
            if (timer["ActiveState"] != "active" || timer["UnitFileState"] != "enabled")
            {
                yield return $"{one.Timer.Name} on {member.Name} is not running: run kbr plan";
            }

            if (service["ActiveState"] == "failed" && !(snapshot.Get(one.LogStat)?.ModifiedAt < last))
            {
                var words = LastLine(snapshot.Get(one.Log)?.Text ?? "");
                yield return $"the scheduled {one.Kind.Word()} backup failed on {member.Name}: {words}";
            }
        }
    }
}
