using System.Text.RegularExpressions;

namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary>What Prometheus demands of a text of metrics.</summary>
internal static partial class MetricsRules
{
    /// <summary>Fails for a line that it does not read, a sample before its type or away from its metric, and a sample that is said
    /// twice.</summary>
    public static void Check(string text)
    {
        Assert.That(text, Does.EndWith("\n"));
        var typed = new HashSet<string>();
        var samples = new HashSet<string>();
        var current = "";
        foreach (var line in text.TrimEnd('\n').Split('\n'))
        {
            if (Comment().Match(line) is { Success: true } comment)
            {
                Assert.That(comment.Groups[1].Value != "TYPE" || typed.Add(comment.Groups[2].Value), Is.True, $"typed twice: {line}");
                current = comment.Groups[2].Value;
                continue;
            }

            var sample = Sample().Match(line);
            Assert.That(sample.Success, Is.True, line);
            Assert.That(typed, Does.Contain(sample.Groups[1].Value), "the type comes first");
            Assert.That(sample.Groups[1].Value, Is.EqualTo(current), "the samples of a metric stand together");
            Assert.That(samples.Add(line[..line.LastIndexOf(' ')]), Is.True, $"said twice: {line}");
        }
    }

    [GeneratedRegex(@"^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (?:.*[^ ])$")]
    private static partial Regex Comment();

    [GeneratedRegex(
        """^([a-zA-Z_:][a-zA-Z0-9_:]*)\{[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"(?:,[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*")*\} [0-9]+$"""
    )]
    private static partial Regex Sample();
}
