using KeyBuzz.Reconciler.Tests.Cli;

namespace KeyBuzz.Reconciler.Tests;

/// <summary>The images for real use, as far as they can be judged without building them.</summary>
[TestFixture]
public sealed class ImagePinTests
{
    private static readonly string s_images = Path.Combine(JsonSchemas.Root, "images");

    private static IEnumerable<string> Dockerfiles() =>
        Directory.GetFiles(s_images, "Dockerfile", SearchOption.AllDirectories).Select(path => Path.GetRelativePath(s_images, path));

    [TestCaseSource(nameof(Dockerfiles))]
    public void A_base_image_is_named_by_its_digest(string path)
    {
        var bases = File.ReadLines(Path.Combine(s_images, path))
            .Where(line => line.StartsWith("FROM ", StringComparison.OrdinalIgnoreCase))
            .ToList();

        Assert.That(bases, Is.Not.Empty);
        Assert.That(bases, Is.All.Match(@"^FROM [^:@]+:[^:@]+@sha256:([0-9a-f]{64}|\$\{DIGEST\})$"), "a tag alone can move");
    }

    [TestCaseSource(nameof(Dockerfiles))]
    public void A_digest_that_is_an_argument_has_no_default_so_that_a_build_without_it_fails(string path) =>
        Assert.That(
            File.ReadLines(Path.Combine(s_images, path)).Where(line => line.StartsWith("ARG DIGEST", StringComparison.OrdinalIgnoreCase)),
            Is.All.EqualTo("ARG DIGEST")
        );
}
