using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;

namespace KeyBuzz.Reconciler.Tests;

/// <summary>How the source is laid out, beyond what the formatter (CSharpier, checked by eng/test.sh) sees to.</summary>
public sealed partial class LayoutTests
{
    private const int Columns = 140;

    // The formatter breaks no literal: text without a place to break at, and what is inside raw literals, such as scripts, may be longer.
    [Test]
    public void A_line_of_code_has_at_most_140_columns() => Assert.That(Sources().SelectMany(LongLines), Is.Empty);

    private static IEnumerable<string> Sources() =>
        new[] { "src", "providers", "tests", "eng" }
            .SelectMany(folder => Directory.EnumerateFiles(Path.Combine(Root(), folder), "*.cs", SearchOption.AllDirectories))
            .Where(file => !file.Contains("/obj/", StringComparison.Ordinal));

    private static IEnumerable<string> LongLines(string file)
    {
        var isRaw = false;
        foreach (var (line, at) in File.ReadLines(file).Select((line, index) => (line, index + 1)))
        {
            if (Regex.Count(line, "\"\"\"") % 2 == 1)
            {
                isRaw = !isRaw;
            }
            else if (!isRaw && line.Length > Columns && !StartsWithLiteral().IsMatch(line))
            {
                yield return $"{Path.GetRelativePath(Root(), file)}:{at}";
            }
        }
    }

    private static string Root([CallerFilePath] string path = "") => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(path)!, "../.."));

    [GeneratedRegex("^\\s*([+:?] |select )?[$@]*\"")]
    private static partial Regex StartsWithLiteral();
}
