using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Providers.PatroniConfig;

/// <summary>The trial start of PostgreSQL, and the meaning of its answer. Pure.</summary>
public static class StartTrial
{
    private static readonly Regex s_markPattern = new(
        @"^kbr-check (?:\d+) (\d+)$",
        RegexOptions.Multiline | RegexOptions.CultureInvariant,
        TimeSpan.FromSeconds(1)
    );
    private static readonly Regex s_answerPattern = new(
        @"^(\d+)$",
        RegexOptions.Multiline | RegexOptions.CultureInvariant,
        TimeSpan.FromSeconds(1)
    );
    private static readonly Regex s_memoryPattern = new(
        @"^MemTotal:\s*(\d+) kB",
        RegexOptions.Multiline | RegexOptions.CultureInvariant,
        TimeSpan.FromSeconds(1)
    );
    private static readonly Regex s_levelPattern = new(
        @"\b(LOG|ERROR|FATAL|PANIC):\s+(.*)$",
        RegexOptions.CultureInvariant,
        TimeSpan.FromSeconds(1)
    );
    private static readonly Regex s_hintPattern = new(@"\bHINT:\s+(.*)$", RegexOptions.CultureInvariant, TimeSpan.FromSeconds(1));
    private static readonly Regex s_filePattern = new(
        @" in file ""[^""]*"" line \d+",
        RegexOptions.CultureInvariant,
        TimeSpan.FromSeconds(1)
    );
    private static readonly Regex s_quotedPattern = new("\"([^\"]+)\"", RegexOptions.CultureInvariant, TimeSpan.FromSeconds(1));

    private const string Libraries = "shared_preload_libraries";
    private const string SessionLibraries = "session_preload_libraries";
    private const string Buffers = "shared_buffers";
    private const int LongestAnswer = 16 * 1024;

    // Parameters that name files next to the data directory, or another directory: the check's directory does not have these files.
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

    // The TLS files of a server, and PostgreSQL's defaults; empty for none.
    private static readonly ImmutableSortedDictionary<string, string> s_tlsFiles = new Dictionary<string, string>(StringComparer.Ordinal)
    {
        ["ssl_cert_file"] = "server.crt",
        ["ssl_key_file"] = "server.key",
        ["ssl_ca_file"] = "",
        ["ssl_crl_file"] = "",
        ["ssl_crl_dir"] = "",
        ["ssl_dh_params_file"] = "",
    }.ToImmutableSortedDictionary(StringComparer.Ordinal);

    /// <summary>The parameters of a start that are tried, by name in lower case: of two the wanted one counts.</summary>
    public static ImmutableSortedDictionary<string, string> Values(
        IEnumerable<KeyValuePair<string, string?>> wanted,
        IEnumerable<KeyValuePair<string, string>>? also
    )
    {
        var values = Merged(wanted, also);
        // A library of every session is looked for only when one begins, and then every session fails.
        if (values.GetValueOrDefault(SessionLibraries) is { } session && session.Trim().Length > 0)
        {
            values = values.SetItem(
                Libraries,
                string.Join(", ", new[] { values.GetValueOrDefault(Libraries), session }.Where(text => !string.IsNullOrWhiteSpace(text)))
            );
        }

        return values
            .Where(pair =>
                !s_places.Contains(pair.Key) && !pair.Key.StartsWith("ssl", StringComparison.Ordinal) && !pair.Value.Any(char.IsControl)
            )
            .ToImmutableSortedDictionary(StringComparer.Ordinal);
    }

    /// <summary>The files that PostgreSQL reads at a start, by the parameter that names them; none without TLS.</summary>
    /// <param name="wanted">The values by flat key; null takes one away.</param>
    /// <param name="also">Other parameters that count at the next start.</param>
    /// <param name="data">The data directory, below which a relative path lies.</param>
    public static ImmutableSortedDictionary<string, string> Files(
        IEnumerable<KeyValuePair<string, string?>> wanted,
        IEnumerable<KeyValuePair<string, string>>? also,
        string data
    )
    {
        var values = Merged(wanted, also);
        return ParameterValue.Boolean(values.GetValueOrDefault("ssl") ?? "off") != true
            ? ImmutableSortedDictionary<string, string>.Empty
            : s_tlsFiles
                .Select(pair => KeyValuePair.Create(pair.Key, values.GetValueOrDefault(pair.Key) ?? pair.Value))
                .Where(pair => pair.Value.Length > 0 && !pair.Value.Any(char.IsControl))
                .ToImmutableSortedDictionary(
                    pair => pair.Key,
                    pair => pair.Value[0] == '/' ? pair.Value : $"{data}/{pair.Value}",
                    StringComparer.Ordinal
                );
    }

    private static ImmutableSortedDictionary<string, string> Merged(
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

        return values.ToImmutable();
    }

    /// <summary>As a file of PostgreSQL's, written as Patroni writes it.</summary>
    public static string Configuration(IEnumerable<KeyValuePair<string, string>> values) =>
        string.Concat(
            values.Select(pair =>
                $"{pair.Key} = '{pair.Value.Replace(@"\", @"\\", StringComparison.Ordinal).Replace("'", "''", StringComparison.Ordinal)}'\n"
            )
        );

    /// <summary>The script that tries the configurations in turn: the desired one, then an empty one. If the empty one fails too, the check
    /// itself does not work there.</summary>
    /// <param name="container">The member's container.</param>
    /// <param name="data">The data directory.</param>
    /// <param name="programs">The directory of PostgreSQL's programs.</param>
    /// <param name="files">The files that the first configuration names, by their parameter.</param>
    /// <param name="configurations">The configurations.</param>
    public static Script Render(
        string container,
        string data,
        string programs,
        IReadOnlyDictionary<string, string> files,
        IReadOnlyList<string> configurations
    )
    {
        var inner = new StringBuilder(
            $$"""
            umask 077
            missing=
            check() {
              if [ "$1" = 0 ] && [ -n "$missing" ]; then echo "FATAL:  $missing"; echo "kbr-check 0 1"; return; fi
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
        foreach (var (name, path) in files)
        {
            inner.Append(
                CultureInfo.InvariantCulture,
                $"[ -r {Script.Quote(path)} ] || missing={Script.Quote($"the file of \"{name}\", {path}, is not there, or PostgreSQL may not read it")}\n"
            );
        }

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

    /// <summary>PostgreSQL's objection to the desired values; null when it would start with them, or would not start with nothing
    /// either.</summary>
    public static string? Trouble(string output)
    {
        var parts = s_markPattern.Split(output);
        var marks = s_markPattern.Matches(output);
        if (marks.Count < 2 || marks[1].Groups[1].Value != "0")
        {
            return null;
        }

        if (marks[0].Groups[1].Value != "0")
        {
            return Said(parts[0]);
        }

        // The answer is how many megabytes it would ask for at once.
        var asked = s_answerPattern.Match(parts[0]);
        var memory = s_memoryPattern.Match(output);
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

    // The cause is in the line before the general error.
    private static string Said(string text)
    {
        var lines = text.Split('\n').Select(line => line.Trim()).ToList();
        var said = lines
            .Select(line => s_levelPattern.Match(line))
            .Where(match => match.Success && !match.Groups[2].Value.StartsWith("skipping missing", StringComparison.Ordinal))
            .ToList();
        var first = said.FirstOrDefault(match => !match.Value.Contains("contains errors", StringComparison.Ordinal))
            ?? said.FirstOrDefault();
        var message =
            first is not null ? first.Groups[2].Value
            : lines.FindLast(line => line.StartsWith("postgres:", StringComparison.Ordinal)) is { } plain
                ? plain["postgres:".Length..].Trim()
            : lines.FindLast(line => line.Length > 0) ?? "it reported no reason";
        var hint = lines.Select(line => s_hintPattern.Match(line)).FirstOrDefault(match => match.Success)?.Groups[1].Value;
        return s_filePattern.Replace(message, "") + (hint is null ? "" : $" ({hint.TrimEnd('.')})");
    }

    /// <summary>The keys that PostgreSQL means.</summary>
    /// <param name="trouble">What it says.</param>
    /// <param name="values">The values that were tried.</param>
    /// <param name="files">The files that were looked for, by their parameter.</param>
    public static string KeyOf(string trouble, IReadOnlyDictionary<string, string> values, IEnumerable<string> files)
    {
        ArgumentNullException.ThrowIfNull(trouble);
        ArgumentNullException.ThrowIfNull(values);
        var known = values.Keys.Concat(files).ToHashSet(StringComparer.Ordinal);
        var named = s_quotedPattern
            .Matches(trouble)
            .Select(match => match.Groups[1].Value.ToLowerInvariant())
            .Where(known.Contains)
            .Distinct()
            .ToList();
        var keys =
            named.Count > 0 ? named
            : trouble.StartsWith("could not access file", StringComparison.Ordinal)
            || trouble.StartsWith("could not load library", StringComparison.Ordinal)
                ? [Library(trouble, values)]
            : trouble.StartsWith("it asks for ", StringComparison.Ordinal) ? [Buffers]
            : [];
        return keys.Count == 0 ? "the parameters" : string.Join(", ", keys.Select(name => DynamicSettings.Parameters + name));
    }

    // A library of the session alone stands in both, since it was tried so.
    private static string Library(string trouble, IReadOnlyDictionary<string, string> values) =>
        s_quotedPattern.Match(trouble) is { Success: true } quoted
        && values.TryGetValue(SessionLibraries, out var session)
        && session.Contains(quoted.Groups[1].Value.Split('/')[^1], StringComparison.Ordinal)
            ? SessionLibraries
            : Libraries;
}
