using System.Runtime.CompilerServices;
using KeyBuzz.Reconciler.Diagnostics;

namespace KeyBuzz.Reconciler.Tests.PostgresHa;

/// <summary>Parameters as public files of real users have them (public-parameter-sets.yaml): what kbr refuses of each set, and that it
/// takes the rest. eng/parameter-sweep.py applies them on the lab.</summary>
internal sealed class PublicParameterSetTests : BlueprintFixture
{
    private static readonly string s_file = Path.Combine(Here(), "public-parameter-sets.yaml");

    [TestCaseSource(nameof(Sets))]
    public void The_refused_values_of_a_public_set_are_known_and_the_rest_is_accepted(string[] refused, string[] lines)
    {
        Assert.That(Refused(lines), Is.EquivalentTo(refused));
        Assert.That(() => Load(Yaml([.. lines.Where(line => !refused.Contains(NameIn(line)))])), Throws.Nothing);
    }

    [Test]
    public void There_are_at_least_forty_sets() => Assert.That(Sets().Count(), Is.GreaterThanOrEqualTo(40));

    // The lines stay as they are, so that YAML reads each value as the source wrote it.
    private static IEnumerable<TestCaseData> Sets() =>
        System
            .IO.File.ReadAllText(s_file)
            .Split("\n- source: ")
            .Skip(1)
            .Select(text => text.Split('\n'))
            .Select(lines =>
                new TestCaseData(
                    (object)Words(lines.FirstOrDefault(line => line.StartsWith("  refused: ", StringComparison.Ordinal))),
                    lines
                        .SkipWhile(line => line != "  parameters:")
                        .Skip(1)
                        .Where(line => line.StartsWith("    ", StringComparison.Ordinal))
                        .ToArray()
                ).SetArgDisplayNames(lines[0])
            );

    private string[] Refused(string[] lines)
    {
        var yaml = Yaml(lines).Split('\n');
        try
        {
            Load(string.Join('\n', yaml));
            return [];
        }
        catch (DiagnosticException exception)
        {
            return
            [
                .. exception
                    .Diagnostics.Where(finding => finding.Severity == Severity.Error)
                    .Select(finding => NameIn(yaml[finding.Location!.Line - 1]))
                    .Distinct(),
            ];
        }
    }

    private static string Yaml(string[] lines) =>
        Changed("  version: 16", "  version: 17")
        + (lines.Length == 0 ? "" : "  parameters:\n" + string.Concat(lines.Select(line => line + "\n")));

    private static string NameIn(string line) => line.Trim().Split(':')[0].Trim();

    private static string[] Words(string? line) =>
        line is null
            ? []
            : line[(line.IndexOf('[', StringComparison.Ordinal) + 1)..line.IndexOf(']', StringComparison.Ordinal)].Split(", ");

    private static string Here([CallerFilePath] string path = "") => Path.GetDirectoryName(path)!;
}
