namespace KeyBuzz.Reconciler.Ssh;

/// <summary>A look at the files of OpenSSH's configuration, for one question only: starting <c>ssh</c> for every host costs more than
/// reading them. Where in doubt, the answer is no.</summary>
public static class SshConfigFiles
{
    private const string System = "/etc/ssh/ssh_config";

    /// <summary>Whether the files that <c>ssh</c> reads by itself tell no host from another.</summary>
    public static bool SayTheSameOfAllHosts()
    {
        try
        {
            // ssh takes the home of the account, and not HOME.
            return File.ReadLines("/etc/passwd")
                    .Select(line => line.Split(':'))
                    .FirstOrDefault(words => words.Length > 5 && words[0] == Environment.UserName)
                    is { } account
                && !File.Exists(Path.Combine(account[5], ".ssh/config"))
                && (!File.Exists(System) || SaysTheSame(File.ReadLines(System)));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    /// <summary>Whether the lines of a file tell no host from another.</summary>
    /// <param name="lines">The lines.</param>
    public static bool SaysTheSame(IEnumerable<string> lines) =>
        lines
            .Select(line => line.Split([' ', '\t', '=', '"'], StringSplitOptions.RemoveEmptyEntries))
            .Where(words => words.Length > 0 && !words[0].StartsWith('#'))
            .All(words =>
                words[0].ToLowerInvariant() switch
                {
                    "match" => false,
                    "host" => words is [_, "*"],
                    "include" => words[1..].All(MatchesNothing),

                    // A name of the host in a value makes it another one.
                    _ => !words.Any(word => word.Contains('%', StringComparison.Ordinal)),
                }
            );

    private static bool MatchesNothing(string pattern) =>
        pattern.StartsWith('/')
        && Path.GetDirectoryName(pattern) is { } directory
        && directory.IndexOfAny(['*', '?', '[']) < 0
        && Path.GetFileName(pattern) is "*.conf"
        && (!Directory.Exists(directory) || !Directory.EnumerateFiles(directory, "*.conf").Any());
}
