using System.Text.RegularExpressions;

namespace KeyBuzz.Reconciler.LabTests;

/// <summary>A line of a block of commands, without its comment.</summary>
internal sealed record DocumentedCommand(string Page, string Text);

/// <summary>The blocks of commands in the documentation.</summary>
internal static partial class DocumentedBlocks
{
    private const string Prompt = "$ ";

    /// <summary>The pages: Markdown of the repository, but not of what is built.</summary>
    public static IEnumerable<string> Pages() =>
        new[] { "docs", "images", "lab", "state" }
            .SelectMany(folder => Directory.EnumerateFiles(Path.Combine(Lab.Root, folder), "*.md", SearchOption.AllDirectories))
            .Concat(Directory.EnumerateFiles(Lab.Root, "*.md"))
            .Select(file => Path.GetRelativePath(Lab.Root, file))
            .Order(StringComparer.Ordinal);

    /// <summary>The commands of all pages, page by page.</summary>
    public static IEnumerable<DocumentedCommand> All() => Pages().SelectMany(page => Of(page, Text(page)));

    /// <summary>The commands of the block in which that line stands.</summary>
    public static string[] With(string page, string line)
    {
        string[][] found = [.. Blocks(Text(page)).Where(block => block.Contains(line, StringComparer.Ordinal))];
        Assert.That(found, Has.Length.EqualTo(1), $"{page} has one block with: {line}");
        return found[0];
    }

    /// <summary>The commands of the block that begins with that comment.</summary>
    public static string[] Under(string page, string comment)
    {
        var block = Regex.Match(Text(page), $@"(?ms)^```sh\n# {Regex.Escape(comment)}\n.*?^```$");
        Assert.That(block.Success, Is.True, $"{page} says what to do {comment}");
        return [.. Blocks(block.Value).Single()];
    }

    /// <summary>The commands of a text.</summary>
    public static IEnumerable<DocumentedCommand> Of(string page, string text) =>
        Blocks(text).SelectMany(block => block.Select(line => new DocumentedCommand(page, line)));

    /// <summary>The lines of a page's blocks that begin with a program of this repository, or with a prompt.</summary>
    public static IEnumerable<DocumentedCommand> Programs(string page) =>
        Block()
            .Matches(Text(page))
            .SelectMany(block => block.Groups["lines"].Value.Split('\n'))
            .Select(line => Comment().Replace(line, "").Trim())
            .Where(line => Own().IsMatch(line))
            .Select(line => new DocumentedCommand(page, line.StartsWith(Prompt, StringComparison.Ordinal) ? line[Prompt.Length..] : line));

    // A block is indented, or fenced without a language or as sh. It is one of commands if its first line begins with a program. In a
    // recorded session the lines that begin with a prompt are commands; in a cron table, what follows the user.
    private static IEnumerable<string[]> Blocks(string text) =>
        Block()
            .Matches(text)
            .Where(block => block.Groups["language"].Value is "" or "sh")
            .Select(block => block.Groups["lines"].Value.Split('\n'))
            .Select(lines => lines.Any(line => line.StartsWith(Prompt, StringComparison.Ordinal)) ? Typed(lines) : lines)
            .Select(lines => lines.Select(line => Cron().Replace(Comment().Replace(line, "").Trim(), "")))
            .Select(lines => lines.Where(line => line.Length > 0).ToArray())
            .Where(lines => lines.Length > 0 && Command().IsMatch(lines[0]));

    private static string[] Typed(string[] lines) =>
        [.. lines.Where(line => line.StartsWith(Prompt, StringComparison.Ordinal)).Select(line => line[Prompt.Length..])];

    private static string Text(string page) => File.ReadAllText(Path.Combine(Lab.Root, page));

    [GeneratedRegex(@"(?m)^ *```(?<language>\S*)\n(?<lines>(?s:.*?))^ *```$|(?<=^\s*\n)(?<lines>(?: {4,}\S.*\n?)+)")]
    private static partial Regex Block();

    [GeneratedRegex(@"(?:^|\s+)#.*$")]
    private static partial Regex Comment();

    [GeneratedRegex(@"^(?:\$ |(?:\./)?kbr [a-z]|(?:lab|eng)/[a-z])")]
    private static partial Regex Own();

    [GeneratedRegex(@"^(?:[\d*/,-]+ ){5}\w+ ")]
    private static partial Regex Cron();

    [GeneratedRegex(
        @"^(?:[A-Z_]+=\S+ )*(?:kbr|\./kbr|(?:lab|eng)/[\w.-]+|/etc/\S+|adduser|apt|apt-get|cat|cd|cp|curl|docker|dotnet|du|echo|for|git|"
            + @"hcloud|install|journalctl|ls|man|mkdir|mv|nft|psql|rm|ssh|ssh-\w+|sudo|systemctl|tar|ufw)(?: |$)"
    )]
    private static partial Regex Command();
}
