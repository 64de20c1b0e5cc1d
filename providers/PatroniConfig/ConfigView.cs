using System.Collections.Immutable;
using System.Text.Json;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Http;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Providers.PostgreSql;

namespace KeyBuzz.Reconciler.Providers.PatroniConfig;

/// <summary>One member's side of the dynamic configuration.</summary>
/// <param name="Name">The member.</param>
/// <param name="InRecovery">Whether it is a replica.</param>
/// <param name="Parameters">Its parameters in force, by name in lower case.</param>
/// <param name="Altered">Its ALTER SYSTEM settings, by name in lower case.</param>
/// <param name="PatroniPending">The parameters that Patroni wants it restarted for.</param>
internal sealed record MemberSettings(
    string Name,
    bool InRecovery,
    IReadOnlyDictionary<string, Parameter> Parameters,
    IReadOnlyDictionary<string, string> Altered,
    IReadOnlySet<string> PatroniPending
)
{
    /// <summary>The replication slots on it by name, each with its type, and the database of a logical one.</summary>
    public IReadOnlyDictionary<string, (string Type, string? Database)> Slots { get; init; } = new Dictionary<string, (string, string?)>();

    /// <summary>The databases on it.</summary>
    public IReadOnlySet<string> Databases { get; init; } = ImmutableHashSet<string>.Empty;

    /// <summary>Whether a restart is what it takes for the parameter to be as the files say.</summary>
    public bool Awaits(Parameter parameter) =>
        parameter.PendingRestart
        || PatroniPending.Contains(parameter.Name)
        || (parameter.Context == "postmaster" && PatroniPending.Contains("(unknown)"));
}

/// <summary>The dynamic configuration, stored and in force on each member. Pure.</summary>
/// <param name="Stored">The stored values, flat.</param>
/// <param name="Members">The members whose PostgreSQL answers, in the order of their names.</param>
/// <param name="Silent">Why the others do not, a sentence each.</param>
internal sealed record ConfigView(
    ImmutableSortedDictionary<string, string> Stored,
    ImmutableArray<MemberSettings> Members,
    ImmutableArray<string> Silent
)
{
    private const string NotOn = "not on ";
    private const string BySystem = " (ALTER SYSTEM)";
    private const string PendingOn = "restart pending on ";

    /// <summary>The parameter that Patroni derives from its synchronous mode. An ALTER SYSTEM, as left by an apply that was killed before a
    /// stop of all members, overrides it: commits wait for the standbys that it names, also where only the running server has it.</summary>
    private const string SynchronousStandbys = "synchronous_standby_names";

    /// <summary>The reads of each member.</summary>
    public static ImmutableArray<Read> Reads(ClusterConnection connection, IEnumerable<string> keys) =>
        [connection.ContainerRead, connection.Rest("/config"), connection.Rest("/patroni"), Query(connection, keys)];

    /// <summary>Reads the answers; null when no member's Patroni knows the configuration.</summary>
    public static ConfigView? Of(ClusterConnection connection, IEnumerable<string> keys, IReadOnlyDictionary<string, Snapshot> answers)
    {
        var read = Query(connection, keys);
        var members = ImmutableArray.CreateBuilder<MemberSettings>();
        var silent = ImmutableArray.CreateBuilder<string>();
        foreach (var (host, snapshot) in answers.OrderBy(pair => pair.Key, StringComparer.Ordinal))
        {
            var answer = snapshot.Get(read);
            if (JsonAnswer.Rows(answer.Json) is [var row, ..] && row.Boolean("in_recovery") is { } inRecovery)
            {
                members.Add(
                    new MemberSettings(
                        host,
                        inRecovery,
                        ParametersOf(row),
                        AlteredOf(row),
                        PendingOf(snapshot.Get(connection.Rest("/patroni")))
                    )
                    {
                        Slots = SlotsOf(row),
                        Databases = row.Texts("databases").ToImmutableHashSet(StringComparer.Ordinal),
                    }
                );
            }
            else
            {
                silent.Add($"{host}: {(answer.Error.Length > 0 ? answer.Error.Split('\n')[0].Trim() : "its answer was cut off")}");
            }
        }

        // The leader's copy is the newest.
        var stored = members
            .Where(member => !member.InRecovery)
            .Select(member => member.Name)
            .Concat(answers.Keys.Order(StringComparer.Ordinal))
            .Select(host => answers[host].Get(connection.Rest("/config")))
            .Where(answer => answer.Status == 200)
            .Select(answer => JsonAnswer.Parse(answer.Body))
            .FirstOrDefault(body => body is { ValueKind: JsonValueKind.Object });
        return stored is null ? null : new ConfigView(DynamicSettings.Flatten(stored.Value), members.ToImmutable(), silent.ToImmutable());
    }

    /// <summary>Whether the store holds what is wanted.</summary>
    public bool IsStored(string key, string wanted) =>
        Stored.TryGetValue(key, out var stored)
        && (
            DynamicSettings.ParameterOf(key) is { } name && Any(name) is { } parameter
                ? parameter.Same(stored, wanted)
                : DynamicSettings.Same(stored, wanted)
        );

    /// <summary>What <see cref="Actual"/> says after a stored value that is not in force everywhere.</summary>
    public static ImmutableArray<string> Reasons { get; } = [NotOn, BySystem, PendingOn];

    /// <summary>The value of a key as it is compared with the wanted one: that very text when the store and every member have it, otherwise
    /// what stands in the way; null when it is not there.</summary>
    public string? Actual(string key, string wanted)
    {
        if (!IsStored(key, wanted))
        {
            return Stored.GetValueOrDefault(key);
        }

        if (DynamicSettings.SlotOf(key) is { } slot)
        {
            return Missing(slot, wanted) is { } member ? $"{wanted}, {NotOn}{member}" : wanted;
        }

        if (DynamicSettings.ParameterOf(key) is not { } name)
        {
            return string.Join(
                ", ",
                Overridden(key, wanted).Select(found => $"{found.Parameter} on {found.Member}{BySystem}").Prepend(wanted)
            );
        }

        var trouble = Members.Select(member => Deviation(member, name, wanted)).Where(text => text is not null).ToList();
        var pending = Pending(key, wanted);
        if (pending.Count > 0)
        {
            trouble.Add($"{PendingOn}{string.Join(", ", pending.Select(member => member.Name))}");
        }

        return trouble.Count == 0 ? wanted
            : pending.Count > 0 ? $"{wanted}, {string.Join(", ", trouble)}"
            : string.Join(", ", trouble);
    }

    /// <summary>The members that have to be restarted for a key to be as wanted.</summary>
    public IReadOnlyList<MemberSettings> Pending(string key, string wanted) =>
        DynamicSettings.ParameterOf(key) is not { } name
            ? []
            :
            [
                .. Members.Where(member =>
                    member.Parameters.GetValueOrDefault(name) is { IsOfSession: false } parameter
                    && !parameter.Has(wanted)
                    && !IsAltered(member, parameter, wanted)
                    && member.Awaits(parameter)
                ),
            ];

    /// <summary>Whether a value is still to be taken over: some member neither has it nor awaits a restart for it. That another member
    /// awaits one says nothing of it: each Patroni sees a change in its own time.</summary>
    /// <param name="key">The key.</param>
    /// <param name="wanted">Its value.</param>
    /// <param name="isRestartAwaited">Whether some member awaits a restart, for any key. A slot may need it, as a logical one needs
    /// wal_level.</param>
    public bool IsOpen(string key, string wanted, bool isRestartAwaited) =>
        DynamicSettings.ParameterOf(key) is { } name && Pending(key, wanted).Count > 0
            ? Members.Any(member => Deviation(member, name, wanted) is not null)
            : Actual(key, wanted) != wanted && !(isRestartAwaited && DynamicSettings.SlotOf(key) is not null);

    /// <summary>The members that lack one of these values without awaiting a restart.</summary>
    public IEnumerable<string> Without(IReadOnlyCollection<KeyValuePair<string, string?>> values) =>
        Members
            .Where(member =>
                values.Any(pair => DynamicSettings.ParameterOf(pair.Key) is { } name && Deviation(member, name, pair.Value!) is not null)
            )
            .Select(member => member.Name);

    /// <summary>Where an ALTER SYSTEM stands in the way of a key: the members, and the parameter.</summary>
    public IReadOnlyList<(string Member, string Parameter)> Overridden(string key, string wanted) =>
        key == PatroniHealth.SynchronousKey
            ?
            [
                .. Members
                    .Where(member =>
                        member.Altered.ContainsKey(SynchronousStandbys)
                        || member.Parameters.GetValueOrDefault(SynchronousStandbys) is { IsFromAlterSystem: true }
                    )
                    .Select(member => (member.Name, SynchronousStandbys)),
            ]
        : DynamicSettings.ParameterOf(key) is not { } name ? []
        :
        [
            .. Members
                .Where(member => member.Parameters.GetValueOrDefault(name) is { } parameter && IsAltered(member, parameter, wanted))
                .Select(member => (member.Name, name)),
        ];

    /// <summary>The leader, if it still has a slot that is no longer declared.</summary>
    public string? Left(string key) =>
        DynamicSettings.SlotOf(key) is { } slot
        && Members.FirstOrDefault(member => !member.InRecovery) is { } leader
        && leader.Slots.ContainsKey(slot)
            ? leader.Name
            : null;

    // The leader, where it lacks the slot. One in a database that is still to be made comes with that one.
    private string? Missing(string slot, string type)
    {
        var database = Stored.GetValueOrDefault($"{DynamicSettings.Slots}{slot}.database");
        return
            Members.FirstOrDefault(member => !member.InRecovery) is { } leader
            && (database is null || leader.Databases.Contains(database))
            && !(leader.Slots.TryGetValue(slot, out var found) && found.Type == type && (database is null || found.Database == database))
            ? leader.Name
            : null;
    }

    /// <summary>The parameter on whichever member knows it.</summary>
    public Parameter? Any(string name) =>
        Members.Select(member => member.Parameters.GetValueOrDefault(name)).FirstOrDefault(parameter => parameter is not null);

    private static bool IsAltered(MemberSettings member, Parameter parameter, string wanted) =>
        member.Altered.TryGetValue(parameter.Name, out var altered) && !parameter.Same(altered, wanted);

    private static string? Deviation(MemberSettings member, string name, string wanted)
    {
        if (!member.Parameters.TryGetValue(name, out var parameter))
        {
            // Of an extension's parameter PostgreSQL knows only while its library is loaded.
            return name.Contains('.', StringComparison.Ordinal) ? null : $"unknown to PostgreSQL on {member.Name}";
        }

        if (IsAltered(member, parameter, wanted))
        {
            return $"{member.Altered[name]} on {member.Name} (ALTER SYSTEM)";
        }

        return parameter.Has(wanted) || member.Awaits(parameter) ? null
            : parameter.FileError is { } error ? $"{parameter.Shown} on {member.Name} (PostgreSQL refuses {parameter.InFile}: {error})"
            : $"{parameter.Shown} on {member.Name} ({parameter.Source})";
    }

    private static Dictionary<string, Parameter> ParametersOf(JsonElement row) =>
        row.Items("settings")
            .Where(item => item.Text("name") is not null && item.Text("setting") is not null)
            .Select(item => new Parameter(
                item.Text("name")!.ToLowerInvariant(),
                item.Text("setting")!,
                item.Text("unit"),
                item.Text("vartype") ?? "string",
                item.Text("context") ?? "",
                item.Text("source") ?? "",
                item.Boolean("pending_restart") == true
            )
            {
                Loaded = item.Text("reset_val"),
                SourceFile = item.Text("sourcefile"),
                InFile = item.Text("file_setting"),
                FileError = item.Text("file_error"),
                Fallback = PatroniDefaults.Of(item.Text("name")!.ToLowerInvariant()) ?? item.Text("fallback"),
            })
            .DistinctBy(parameter => parameter.Name)
            .ToDictionary(parameter => parameter.Name, StringComparer.Ordinal);

    private static Dictionary<string, (string Type, string? Database)> SlotsOf(JsonElement row) =>
        row.Items("slots")
            .Where(item => item.Text("name") is not null)
            .DistinctBy(item => item.Text("name"))
            .ToDictionary(item => item.Text("name")!, item => (item.Text("type") ?? "", item.Text("database")), StringComparer.Ordinal);

    // The last line of the file counts.
    private static Dictionary<string, string> AlteredOf(JsonElement row)
    {
        Dictionary<string, string> altered = new(StringComparer.Ordinal);
        foreach (var item in row.Items("altered"))
        {
            if (item.Text("name") is { } name && item.Text("setting") is { } setting)
            {
                altered[name.ToLowerInvariant()] = setting;
            }
        }

        return altered;
    }

    /// <summary>The parameters that Patroni wants its member restarted for.</summary>
    /// <param name="answer">What its REST API says of itself.</param>
    public static HashSet<string> PendingOf(HttpAnswer answer)
    {
        var body = JsonAnswer.Parse(answer.Body);
        return body is not { ValueKind: JsonValueKind.Object } own || own.Boolean("pending_restart") != true ? []
            : own.At("pending_restart_reason") is { ValueKind: JsonValueKind.Object } reasons
                ? reasons
                    .EnumerateObject()
                    .Where(reason => !IsSettled(reason.Value))
                    .Select(reason => reason.Name.ToLowerInvariant())
                    .ToHashSet(StringComparer.Ordinal)
            : ["(unknown)"];
    }

    // PostgreSQL, and Patroni after it, goes on asking for a restart where a line was written and taken out again: it would change nothing.
    private static bool IsSettled(JsonElement reason) =>
        reason.ValueKind == JsonValueKind.Object && reason.Text("old_value") is { } before && before == reason.Text("new_value");

    // Of a name that stands in several files or lines the last one counts.
    // Patroni keeps the file of initdb as postgresql.base.conf.
    private const string Settings = """
        SELECT s.name, s.setting, s.reset_val, s.unit, s.vartype, s.context, s.source, s.sourcefile, s.pending_restart,
          f.setting AS file_setting, f.error AS file_error, coalesce(f.base, s.boot_val) AS fallback
        FROM pg_settings s LEFT JOIN (
          SELECT lower(name) AS name,
            (array_agg(setting ORDER BY seqno DESC))[1] AS setting, (array_agg(error ORDER BY seqno DESC))[1] AS error,
            (array_agg(setting ORDER BY seqno DESC) FILTER (WHERE sourcefile LIKE '%/postgresql.base.conf'))[1] AS base
          FROM pg_file_settings GROUP BY 1
        ) f ON f.name = lower(s.name)
        """;

    // The members are restarted for a stored parameter that is no longer declared, too.
    private const string Fixed = "s.context = 'postmaster' AND s.source IN ('command line', 'configuration file')";

    private static SqlRead Query(ClusterConnection connection, IEnumerable<string> keys)
    {
        var names = keys.Select(key => key == PatroniHealth.SynchronousKey ? SynchronousStandbys : DynamicSettings.ParameterOf(key))
            .OfType<string>()
            .Distinct()
            .Order(StringComparer.Ordinal)
            .Select(SqlText.Literal)
            .ToList();
        // Only declared slots count here.
        var slots = !keys.Any(key => key.StartsWith(DynamicSettings.Slots, StringComparison.Ordinal))
            ? ""
            : """

                  (SELECT json_agg(s) FROM (SELECT slot_name AS name, slot_type AS type, database FROM pg_replication_slots WHERE NOT temporary) s) AS slots,
                  ARRAY(SELECT datname::text FROM pg_database) AS databases,
                """;
        return connection.Sql(
            $"""
            SELECT {LeaderAnswer.InRecovery},{slots}
              (SELECT json_agg(s) FROM ({Settings} WHERE {(
                names.Count == 0 ? Fixed : $"lower(s.name) IN ({string.Join(", ", names)}) OR {Fixed}"
            )}) s) AS settings,
              (SELECT json_agg(f ORDER BY seqno) FROM (SELECT seqno, name, setting FROM pg_file_settings WHERE sourcefile LIKE '%/postgresql.auto.conf') f) AS altered
            """
        );
    }
}
