using System.Collections.Immutable;
using System.Text.Json;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.PatroniConfig;

/// <summary>What somebody set beside what is declared: keys of the dynamic configuration (<c>patronictl edit-config</c>), <c>ALTER
/// SYSTEM</c>, and what else a member waits for a restart for. kbr owns what it declares, so it leaves these as they are, and says so.
/// Pure.</summary>
internal static class ForeignSettings
{
    private const string AutoFile = "postgresql.auto.conf";

    // What patroni_cluster tells.
    private const string Pause = "pause";

    /// <summary>What each member has to be asked beyond <see cref="ConfigView.Reads"/>: the files are read as they are now, so that a line
    /// counts here before any reload. The column <c>pending_restart</c> of pg_settings is not asked: PostgreSQL leaves it set where a line
    /// was taken out again.</summary>
    public static SqlRead Read(ClusterConnection connection) =>
        connection.Sql(
            $"""
            SELECT {LeaderAnswer.InRecovery},
              (SELECT json_agg(lower(name)) FROM pg_file_settings WHERE error IS NOT NULL AND name IS NOT NULL AND sourcefile NOT LIKE '%/{AutoFile}') AS pending,
              (SELECT json_agg(f ORDER BY seqno) FROM (SELECT seqno, lower(name) AS name, setting, applied, error FROM pg_file_settings WHERE sourcefile LIKE '%/{AutoFile}') f) AS altered
            """
        );

    /// <summary>Finds them.</summary>
    /// <param name="connection">How the members are asked.</param>
    /// <param name="view">What is stored, and what became of it.</param>
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
        // These are taken back with what they stand in the way of.
        declared.UnionWith(wanted.SelectMany(pair => view.Overridden(pair.Key, pair.Value)).Select(found => found.Parameter));
        var members = answers
            .OrderBy(pair => pair.Key, StringComparer.Ordinal)
            .Select(pair => Member.Of(pair.Key, pair.Value.Get(Read(connection)), view))
            .OfType<Member>()
            .ToList();
        var stored = view.Stored.Where(pair => !wanted.ContainsKey(pair.Key) && pair.Key != Pause && !IsDeclared(pair.Key)).ToList();
        var said = stored.Select(pair => DynamicSettings.ParameterOf(pair.Key)).OfType<string>().ToHashSet(StringComparer.Ordinal);
        var altered = members
            .SelectMany(member => member.Altered.Values.Where(line => !declared.Contains(line.Name)).Select(line => (member, line)))
            .ToLookup(pair => pair.line.Name);
        said.UnionWith(altered.Select(group => group.Key));
        return
        [
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
                    "look at it in pg_file_settings and patroni.yml there, and restart with patronictl restart",
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
                "declare it, or take it out with patronictl edit-config",
                IsTrouble: waiting.Count > 0
            );
        }

        static ForeignSetting Altered(IGrouping<string, (Member Member, Line Line)> group)
        {
            // What PostgreSQL could not take over is not in force yet, and counts when it starts.
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
                $"declare it, or take it back there with ALTER SYSTEM RESET {group.Key}",
                IsTrouble: open.Count > 0
            );
        }
    }

    private sealed record Line(string Name, string Setting, string? Error);

    private sealed record Member(string Name, IReadOnlyDictionary<string, Line> Altered, IReadOnlySet<string> Pending)
    {
        // Null where PostgreSQL does not answer; Patroni's own word of what waits for a restart is in the view.
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
            return new Member(name, altered, pending);
        }
    }
}
