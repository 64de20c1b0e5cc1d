using System.Text.RegularExpressions;

namespace KeyBuzz.Reconciler.Providers.PatroniCluster;

/// <summary>Reads PostgreSQL's log. Pure.</summary>
public static class ServerLog
{
    private static readonly Regex s_linePattern = new(
        @"\b(LOG|FATAL|PANIC|HINT):  (.*)$",
        RegexOptions.CultureInvariant,
        TimeSpan.FromSeconds(1)
    );
    private static readonly Regex s_clientPattern = new(
        "^(the database system is |terminating |canceling |password authentication|no pg_hba|role "
            + "\"|database \"|remaining connection slots|sorry, too many|connection to client|could not "
            + "(receive|send) data|could not connect to the primary|streaming replication|unsupported "
            + "frontend|expected (SASL|password)|invalid (startup|length)|SSL|too many connections|cannot "
            + "connect|permission denied for database)",
        RegexOptions.CultureInvariant,
        TimeSpan.FromSeconds(1)
    );

    private const int LongestLine = 400;

    /// <summary>The last line that explains the server's end; messages to clients do not count. Of a file with errors the line before names
    /// the error.</summary>
    public static string? LastFatal(string log)
    {
        var lines = log.Split('\n')
            .Select(line => s_linePattern.Match(line))
            .Where(match => match.Success)
            .Select(match => (Level: match.Groups[1].Value, Text: match.Groups[2].Value.Trim()))
            .ToList();
        var last = lines.FindLastIndex(line => line.Level is "FATAL" or "PANIC" && !s_clientPattern.IsMatch(line.Text));
        if (last < 0)
        {
            return null;
        }

        var cause = lines[last].Text.Contains("contains errors", StringComparison.Ordinal)
            ? lines.Take(last).LastOrDefault(line => line.Level == "LOG").Text
            : null;
        var text = $"{lines[last].Level}: {(cause is null ? "" : cause + "; ")}{lines[last].Text}";
        return text.Length <= LongestLine ? text : text[..LongestLine] + " …";
    }
}
