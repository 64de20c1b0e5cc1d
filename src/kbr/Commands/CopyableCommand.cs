using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary>A kbr command as the operator can type it again: with the cluster file of this run, and quoted for a shell.</summary>
internal static class CopyableCommand
{
    /// <summary>The command.</summary>
    /// <param name="file">The cluster file as the operator named it.</param>
    /// <param name="words">What stands after <c>kbr</c>.</param>
    public static string Of(string file, params IEnumerable<string> words) =>
        string.Join(' ', ["kbr", .. words.Select(Quoted), .. file == CommonOptions.DefaultFile ? (string[])[] : ["-c", Quoted(file)]]);

    private static string Quoted(string word) =>
        word.Length > 0 && word.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '/' or '-' or '_' or '=' or ':' or ',' or '+' or '@')
            ? word
            : Script.Quote(word);
}
