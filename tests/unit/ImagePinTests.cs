using KeyBuzz.Reconciler.Tests.Cli;

namespace KeyBuzz.Reconciler.Tests;

/// <summary>The Dockerfiles of the services; the lab builds them.</summary>
[TestFixture]
public sealed class ImagePinTests
{
    private static readonly string s_images = Path.Combine(JsonSchemas.Root, "images");

    private static IEnumerable<string> Dockerfiles() =>
        Directory.GetFiles(s_images, "Dockerfile", SearchOption.AllDirectories).Select(path => Path.GetRelativePath(s_images, path));

    [TestCaseSource(nameof(Dockerfiles))]
    public void The_base_is_an_argument_without_a_default(string path)
    {
        var lines = File.ReadLines(Path.Combine(s_images, path)).ToList();

        Assert.That(lines.Where(line => line.StartsWith("FROM", StringComparison.OrdinalIgnoreCase)), Is.EqualTo(new[] { "FROM ${BASE}" }));
        Assert.That(
            lines.Where(line => line.StartsWith("ARG BASE", StringComparison.OrdinalIgnoreCase)),
            Is.EqualTo(new[] { "ARG BASE" }),
            "a tag alone can move, so the one who builds names a digest"
        );
    }
}
