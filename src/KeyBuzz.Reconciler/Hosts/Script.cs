using System.Collections.Immutable;

namespace KeyBuzz.Reconciler.Hosts;

/// <summary>A POSIX shell script to run on a host. Travels over standard input, so that nothing in it appears on a command line.</summary>
/// <param name="Text">The script, run by <c>sh</c> under <c>set -eu</c>.</param>
public sealed record Script(string Text)
{
    /// <summary>How long it may take before it is ended.</summary>
    public TimeSpan Deadline { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>Local files to be sent first, by the shell variable that will hold each one's path on the host.</summary>
    public ImmutableSortedDictionary<string, string> Uploads { get; init; } = ImmutableSortedDictionary<string, string>.Empty;

    /// <summary>Whether the script reads its uploads compressed by gzip as well as plain: they are compressed once for all hosts.</summary>
    public bool ReadsGzip { get; init; }

    /// <summary>Files that the script writes, fetched after it ended with status 0: the local path by the shell variable that holds the
    /// path on the host. A local file is replaced once all of it has arrived.</summary>
    public ImmutableSortedDictionary<string, string> Downloads { get; init; } = ImmutableSortedDictionary<string, string>.Empty;

    /// <summary>Puts a word in single quotes for the shell.</summary>
    public static string Quote(string word) => "'" + word.Replace("'", "'\\''", StringComparison.Ordinal) + "'";
}

/// <summary>How a script ended.</summary>
/// <param name="ExitCode">Its exit status; 124 when the deadline ended it (as in timeout(1)).</param>
/// <param name="Output">What it printed to standard output.</param>
/// <param name="Error">What it printed to standard error.</param>
public sealed record ScriptResult(int ExitCode, string Output, string Error);
