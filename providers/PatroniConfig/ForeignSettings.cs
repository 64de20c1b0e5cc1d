using System.Collections.Immutable;
using System.Text.Json;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.PatroniConfig;

/// <summary>Undeclared settings: keys of the dynamic configuration (<c>patronictl edit-config</c>), <c>ALTER SYSTEM</c>, and other pending
/// restarts. kbr manages only declared settings, so it keeps and reports these. Pure.</summary>
internal static class ForeignSettings
{
    private const string AutoFile = "postgresql.auto.conf";

    // The settings that the cluster's policy reports.
    private const string Pause = "pause";

    /// <summary>The reads of each member beyond <see cref="ConfigView.Reads"/>: the files are read as they are now, so that a line counts
    /// here before any reload. The column <c>pending_restart</c> of pg_settings is not read: PostgreSQL leaves it set after a line was
    /// removed again. Beside a line of a file it tells whether the value can be one: PostgreSQL sets it only for such, and in this very
    /// session when the files are read.</summary>
    public static SqlRead Read(ClusterConnection connection) =>
        connection.Sql(
            $"""
            SELECT {LeaderAnswer.InRecovery},
              (SELECT json_agg(r) FROM (
                SELECT lower(name) AS name, setting, regexp_replace(sourcefile, '.*/', '') AS file, sourceline AS line, error FROM pg_file_settings e
                WHERE error IS NOT NULL AND NOT coalesce(
                  (SELECT s.context = 'postmaster' AND s.pending_restart FROM pg_settings s WHERE lower(s.name) = lower(e.name)), false)) r) AS refused,
              (SELECT json_agg(lower(name)) FROM pg_file_settings WHERE error IS NOT NULL AND name IS NOT NULL AND sourcefile NOT LIKE '%/{AutoFile}') AS pending,
              (SELECT json_agg(f ORDER BY seqno) FROM (SELECT seqno, lower(name) AS name, setting, applied, error FROM pg_file_settings WHERE sourcefile LIKE '%/{AutoFile}') f) AS altered
            """
        );

    /// <summary>Finds them.</summary>
    /// <param name="connection">How the members are asked.</param>
    /// <param name="view">The stored values, and their state on each member.</param>
    /// <param name="wanted">What is declared.</param>
    /// <param name="answers">The members' answers.</param>
    public static ImmutableArray<ForeignSetting> Find(
        ClusterConnection connection,
        ConfigView view,
        IReadOnlyDictionary<string, string> wanted,
        IReadOnlyDictionary<string, Snapshot> answers
    )
    {
        var declared = wanted.Keys.Select(DynamicSettings.ParameterOf).OfType<string>().ToHashSet(StringComparer.Ordinal);
        // These are reset together with the values that they override.
        declared.UnionWith(wanted.SelectMany(pair => view.Overridden(pair.Key, pair.Value)).Select(found => found.Parameter));
        var members = answers
            .OrderBy(pair => pair.Key, StringComparer.Ordinal)
            .Select(pair => Member.Of(pair.Key, pair.Value.Get(Read(connection)), view))
            .OfType<Member>()
            .ToList();
        var stored = view.Stored.Where(pair => !wanted.ContainsKey(pair.Key) && pair.Key != Pause && !IsDeclared(pair.Key)).ToList();
        var said = stored.Select(pair => DynamicSettings.ParameterOf(pair.Key)).OfType<string>().ToHashSet(StringComparer.Ordinal);
        var altered = members
            .SelectMany(member =>
                member
                    .Altered.Values.Where(line => !declared.Contains(line.Name) && !member.Refuses(line.Name))
                    .Select(line => (member, line))
            )
            .ToLookup(pair => pair.line.Name);
        said.UnionWith(altered.Select(group => group.Key));
        // A line with an error of syntax has no name. Of several lines of a name the last one counts, as does what is declared.
        var refused = members
            .SelectMany(member => member.Refused.Where(line => !declared.Contains(line.Name)).Select(line => (member.Name, line)))
            .GroupBy(pair => pair.line, pair => pair.Name)
            .ToList();
        return
        [
            .. refused.Select(group => Refused(group.Key, group)),
            .. stored.Select(pair => Stored(pair.Key, pair.Value)),
            .. altered.OrderBy(group => group.Key, StringComparer.Ordinal).Select(Altered),
            .. members
                .SelectMany(member =>
                    member.Pending.Where(name => !declared.Contains(name) && !said.Contains(name)).Select(name => (member, name))
                )
                .GroupBy(pair => pair.name, pair => pair.member.Name, StringComparer.Ordinal)
                .OrderBy(group => group.Key, StringComparer.Ordinal)
                .Select(group => new ForeignSetting(
                    group.Key,
                    $"restart pending on {string.Join(", ", group)}",
                    "check pg_file_settings and patroni.yml there, then restart with patronictl restart",
                    IsTrouble: true
                )),
        ];

        // A parameter's name is the same in any case.
        bool IsDeclared(string key) =>
            DynamicSettings.ParameterOf(key) is { } name && wanted.Keys.Any(other => DynamicSettings.ParameterOf(other) == name);

        ForeignSetting Stored(string key, string value)
        {
            var waiting = DynamicSettings.ParameterOf(key) is { } name
                ? members.Where(member => member.Pending.Contains(name)).Select(member => member.Name).ToList()
                : [];
            return new ForeignSetting(
                key,
                waiting.Count == 0 ? value : $"{value}, restart pending on {string.Join(", ", waiting)}",
                "declare it, or remove it with patronictl edit-config",
                IsTrouble: waiting.Count > 0
            );
        }

        // Until its next start PostgreSQL goes on with the value before.
        static ForeignSetting Refused(RefusedLine line, IEnumerable<string> on) =>
            new(
                line.Name.Length > 0 ? line.Name : line.File,
                $"line {line.Number} of {line.File} on {string.Join(", ", on)} is refused ({line.Error}): PostgreSQL would not start with it",
                "correct the line there, or take it out",
                IsTrouble: true
            );

        static ForeignSetting Altered(IGrouping<string, (Member Member, Line Line)> group)
        {
            // A setting that PostgreSQL could not reload is in force from its next start.
            var open = group
                .Where(pair => pair.Line.Error is not null || pair.Member.Pending.Contains(group.Key))
                .Select(pair => pair.Member.Name)
                .ToList();
            var values = group
                .GroupBy(pair => pair.Line.Setting, pair => pair.Member.Name, StringComparer.Ordinal)
                .Select(value => $"{value.Key} on {string.Join(", ", value)}");
            return new ForeignSetting(
                $"{AutoFile}.{group.Key}",
                $"{string.Join(", ", values)} (ALTER "
                    + $"SYSTEM){(open.Count == 0 ? "" : $", in force only after the next start of {string.Join(", ", open)}")}",
                $"declare it, or reset it there with ALTER SYSTEM RESET {group.Key}",
                IsTrouble: open.Count > 0
            );
        }
    }

    /// <summary>How many lines of a member's files PostgreSQL would not start with.</summary>
    public static int RefusedLines(ClusterConnection connection, Snapshot member) =>
        JsonAnswer.Rows(member.Get(Read(connection)).Json) is [var row, ..] ? RefusedLine.In(row).Length : 0;

    private sealed record Line(string Name, string Setting, string? Error);

    private sealed record RefusedLine(string Name, string File, long Number, string Error)
    {
        public static ImmutableArray<RefusedLine> In(JsonElement row) =>
            [
                .. row.Items("refused")
                    .Select(item => new RefusedLine(
                        item.Text("name") ?? "",
                        item.Text("file") ?? "a file",
                        item.Number("line") ?? 0,
                        item.Text("error") ?? ""
                    ))
                    .Distinct(),
            ];
    }

    private sealed record Member(string Name, IReadOnlyDictionary<string, Line> Altered, IReadOnlySet<string> Pending)
    {
        public ImmutableArray<RefusedLine> Refused { get; private init; } = [];

        public bool Refuses(string parameter) => Refused.Any(line => line.Name == parameter);

        // Null where PostgreSQL does not answer; the view has the pending restarts that Patroni reports.
        public static Member? Of(string name, SqlAnswer answer, ConfigView view)
        {
            if (JsonAnswer.Rows(answer.Json) is not [var row, ..] || row.Boolean("in_recovery") is null)
            {
                return null;
            }

            Dictionary<string, Line> altered = new(StringComparer.Ordinal);
            foreach (var item in row.Items("altered"))
            {
                // The last line of the file counts.
                if (item.Text("name") is { } parameter && item.Text("setting") is { } setting)
                {
                    altered[parameter] = new Line(parameter, setting, item.Boolean("applied") == false ? item.Text("error") : null);
                }
            }

            var pending = row.Texts("pending")
                .Concat(view.Members.Where(member => member.Name == name).SelectMany(member => member.PatroniPending))
                .ToHashSet(StringComparer.Ordinal);
            var refused = RefusedLine.In(row);
            pending.ExceptWith(refused.Select(line => line.Name));
            return new Member(name, altered, pending) { Refused = refused };
        }
    }
}
