using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Providers.PatroniConfig;

/// <summary>How PostgreSQL is asked whether it would start, and what its answer means. Pure.</summary>
public static partial class StartTrial
{
    private const string Libraries = "shared_preload_libraries";
    private const string Buffers = "shared_buffers";
    private const int LongestAnswer = 16 * 1024;

    // What names files beside the data directory, or another one: in the directory of the check they are not there.
    private static readonly ImmutableHashSet<string> s_places =
    [
        "data_directory",
        "config_file",
        "hba_file",
        "ident_file",
        "external_pid_file",
        "log_directory",
        "stats_temp_directory",
    ];

    /// <summary>The parameters of a start, by name in lower case: of two the wanted one counts.</summary>
    public static ImmutableSortedDictionary<string, string> Values(
        IEnumerable<KeyValuePair<string, string?>> wanted,
        IEnumerable<KeyValuePair<string, string>>? also
    )
    {
        var values = (also ?? [])
            .ToImmutableSortedDictionary(pair => pair.Key.ToLowerInvariant(), pair => pair.Value, StringComparer.Ordinal)
            .ToBuilder();
        foreach (var (key, value) in wanted)
        {
            if (DynamicSettings.ParameterOf(key) is { } name)
            {
                values.Remove(name);
                if (value is not null)
                {
                    values[name] = value;
                }
            }
        }

        return values
            .Where(pair =>
                !s_places.Contains(pair.Key) && !pair.Key.StartsWith("ssl", StringComparison.Ordinal) && !pair.Value.Any(char.IsControl)
            )
            .ToImmutableSortedDictionary(StringComparer.Ordinal);
    }

    /// <summary>As a file of PostgreSQL's, written as Patroni writes it.</summary>
    public static string Configuration(IEnumerable<KeyValuePair<string, string>> values) =>
        string.Concat(
            values.Select(pair =>
                $"{pair.Key} = '{pair.Value.Replace(@"\", @"\\", StringComparison.Ordinal).Replace("'", "''", StringComparison.Ordinal)}'\n"
            )
        );

    /// <summary>The script that tries one configuration after the other: what is wanted, and nothing at all. Where that fails too, the
    /// check itself does not work there.</summary>
    public static Script Render(string container, string data, string programs, IReadOnlyList<string> configurations)
    {
        var inner = new StringBuilder(
            $$"""
            umask 077
            check() {
              t=$(mktemp -d /dev/shm/kbr-check.XXXXXX) || exit 3
              trap 'rm -rf "$t"' EXIT
              mkdir "$t/global"
              cp {{Script.Quote(data + "/PG_VERSION")}} "$t/" && cp {{Script.Quote(data + "/global/pg_control")}} "$t/global/" || exit 3
              cat >"$t/postgresql.conf"
              LC_ALL=C timeout 30 {{Script.Quote(programs + "/postgres")}} -D "$t" -c lc_messages=C -C shared_memory_size >"$t/said" 2>&1
              r=$?
              tail -c {{LongestAnswer}} "$t/said"
              echo "kbr-check $1 $r"
              rm -rf "$t"
            }

            """
        );
        foreach (var (number, configuration) in configurations.Index())
        {
            inner.Append(
                CultureInfo.InvariantCulture,
                $"check {number} <<'kbr_end_of_configuration'\n{configuration}kbr_end_of_configuration\n"
            );
        }

        return new Script(
            $"""
            grep '^MemTotal:' /proc/meminfo || :
            u=$(timeout 20 docker exec {Script.Quote(container)} stat -c %u:%g -- {Script.Quote(data)}) || exit 0
            timeout 90 docker exec -i -u "$u" {Script.Quote(container)} sh -s <<'kbr_end_of_check' 2>&1 || :
            {inner}
            kbr_end_of_check

            """
        );
    }

    /// <summary>What PostgreSQL said against what is wanted; null when it would start with it, or would not start with nothing
    /// either.</summary>
    public static string? Trouble(string output)
    {
        var parts = MarkPattern().Split(output);
        var marks = MarkPattern().Matches(output);
        if (marks.Count < 2 || marks[1].Groups[1].Value != "0")
        {
            return null;
        }

        if (marks[0].Groups[1].Value != "0")
        {
            return Said(parts[0]);
        }

        // The answer is how many megabytes it would ask for at once.
        var asked = AnswerPattern().Match(parts[0]);
        var memory = MemoryPattern().Match(output);
        return
            asked.Success
            && memory.Success
            && long.TryParse(asked.Groups[1].Value, CultureInfo.InvariantCulture, out var megabytes)
            && long.TryParse(memory.Groups[1].Value, CultureInfo.InvariantCulture, out var kilobytes)
            && megabytes > kilobytes / 1024
            ? string.Create(
                CultureInfo.InvariantCulture,
                $"it asks for {megabytes} MB of shared memory, and the host has {kilobytes / 1024} MB"
            )
            : null;
    }

    // The line that says what is wrong stands before the one that says that something is.
    private static string Said(string text)
    {
        var lines = text.Split('\n').Select(line => line.Trim()).ToList();
        var said = lines
            .Select(line => LevelPattern().Match(line))
            .Where(match => match.Success && !match.Groups[2].Value.StartsWith("skipping missing", StringComparison.Ordinal))
            .ToList();
        var first = said.FirstOrDefault(match => !match.Value.Contains("contains errors", StringComparison.Ordinal))
            ?? said.FirstOrDefault();
        var message =
            first is not null ? first.Groups[2].Value
            : lines.FindLast(line => line.StartsWith("postgres:", StringComparison.Ordinal)) is { } plain
                ? plain["postgres:".Length..].Trim()
            : lines.FindLast(line => line.Length > 0) ?? "it gives no reason";
        var hint = lines.Select(line => HintPattern().Match(line)).FirstOrDefault(match => match.Success)?.Groups[1].Value;
        return FilePattern().Replace(message, "") + (hint is null ? "" : $" ({hint.TrimEnd('.')})");
    }

    /// <summary>The keys that PostgreSQL means.</summary>
    public static string KeyOf(string trouble, IEnumerable<string> names)
    {
        var known = names.ToHashSet(StringComparer.Ordinal);
        var named = QuotedPattern()
            .Matches(trouble)
            .Select(match => match.Groups[1].Value.ToLowerInvariant())
            .Where(known.Contains)
            .Distinct()
            .ToList();
        var keys =
            named.Count > 0 ? named
            : trouble.StartsWith("could not access file", StringComparison.Ordinal)
            || trouble.StartsWith("could not load library", StringComparison.Ordinal)
                ? [Libraries]
            : trouble.StartsWith("it asks for ", StringComparison.Ordinal) ? [Buffers]
            : [];
        return keys.Count == 0 ? "the parameters" : string.Join(", ", keys.Select(name => DynamicSettings.Parameters + name));
    }

    [GeneratedRegex(@"^kbr-check (?:\d+) (\d+)$", RegexOptions.Multiline | RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 1000)]
    private static partial Regex MarkPattern();

    [GeneratedRegex(@"^(\d+)$", RegexOptions.Multiline | RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 1000)]
    private static partial Regex AnswerPattern();

    [GeneratedRegex(@"^MemTotal:\s*(\d+) kB", RegexOptions.Multiline | RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 1000)]
    private static partial Regex MemoryPattern();

    [GeneratedRegex(@"\b(LOG|ERROR|FATAL|PANIC):\s+(.*)$", RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 1000)]
    private static partial Regex LevelPattern();

    [GeneratedRegex(@"\bHINT:\s+(.*)$", RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 1000)]
    private static partial Regex HintPattern();

    [GeneratedRegex(@" in file ""[^""]*"" line \d+", RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 1000)]
    private static partial Regex FilePattern();

    [GeneratedRegex("\"([^\"]+)\"", RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 1000)]
    private static partial Regex QuotedPattern();
}
