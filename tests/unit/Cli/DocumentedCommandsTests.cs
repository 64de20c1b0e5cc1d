using System.CommandLine;
using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using KeyBuzz.Reconciler.Cli.Commands;

namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary>The command lines of the documentation.</summary>
[TestFixture]
public sealed partial class DocumentedCommandsTests
{
    private static readonly string[] s_pages =
    [
        "README.md",
        "images/README.md",
        "lab/README.md",
        "CONTRIBUTING.md",
        .. Directory
            .EnumerateFiles(Path.Combine(Root(), "docs"), "*.md", SearchOption.AllDirectories)
            .Select(file => Path.GetRelativePath(Root(), file)),
    ];

    // An error that begins with kbr's name.
    private static readonly string[] s_notCommands = ["needs root on the host, but is deploy there"];

    [TestCaseSource(nameof(s_pages))]
    public void Every_command_line_of_a_page_is_one_of_kbr(string page)
    {
        using var services = KbrCommandLine.Services();
        var root = KbrCommandLine.Create(services);

        Assert.Multiple(() =>
        {
            foreach (var line in Lines(File.ReadAllText(Path.Combine(Root(), page))).Except(s_notCommands))
            {
                // A sentence names a command or an option without what it takes.
                var errors = root.Parse(KbrCommandLine.Spelled(Words(line))).Errors.Select(error => error.Message);
                Assert.That(errors.Where(error => !error.StartsWith("Required argument", StringComparison.Ordinal)), Is.Empty, line);
            }
        });
    }

    private static string Root([CallerFilePath] string path = "") =>
        Path.GetFullPath(Path.Combine(Path.GetDirectoryName(path)!, "../../.."));

    // In blocks and in sentences; one with an ellipsis or a choice stands for several.
    private static IEnumerable<string> Lines(string text)
    {
        var blocks = Block().Matches(text).SelectMany(block => Separator().Split(Comment().Replace(block.Groups[1].Value, "")));
        var inline = Inline().Matches(text).SelectMany(span => Separator().Split(span.Groups[1].Value));
        return blocks
            .Concat(inline)
            .Select(line => Program().Match(line.Trim()))
            .Where(match => match.Success)
            .Select(match => match.Groups[1].Value.Trim())
            .Where(line => line.Length > 0 && !line.Contains('…') && !line.Contains('['))
            .Distinct();
    }

    private static IEnumerable<string> Words(string line) => Word().Matches(line).Select(word => word.Value.Trim('\'', '"'));

    [GeneratedRegex(@"(?m)^    +((?:\./)?kbr .*)$")]
    private static partial Regex Block();

    [GeneratedRegex(@"`((?:\./)?kbr [^`\n]*)`")]
    private static partial Regex Inline();

    [GeneratedRegex(@"\s+#.*$")]
    private static partial Regex Comment();

    [GeneratedRegex(@"\s(?:&&|\|\|?|;|>|>>|2>|<)\s?|;|\s&$|>\S*")]
    private static partial Regex Separator();

    [GeneratedRegex(@"^(?:\./)?kbr (.*)$")]
    private static partial Regex Program();

    [GeneratedRegex("""'[^']*'|"[^"]*"|\S+""")]
    private static partial Regex Word();
}
