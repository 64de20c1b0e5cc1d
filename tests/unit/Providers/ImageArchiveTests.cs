using System.Formats.Tar;
using System.IO.Compression;
using System.Text;
using KeyBuzz.Reconciler.Providers.Image;
using KeyBuzz.Reconciler.Resources;
using static KeyBuzz.Reconciler.Tests.Providers.ProviderBench;

namespace KeyBuzz.Reconciler.Tests.Providers;

[TestFixture]
internal sealed class ImageArchiveTests
{
    private const string Hex = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    private const string One = $$"""[{"Config":"{{Hex}}.json","RepoTags":["kbr/pg:17"],"Layers":[]}]""";

    private string _file = "";

    [SetUp]
    public void SetUp() => _file = System.IO.Path.GetTempFileName();

    [TearDown]
    public void TearDown() => File.Delete(_file);

    [TestCase($"{Hex}.json")]
    [TestCase($"blobs/sha256/{Hex}")]
    public void The_manifest_says_name_and_id_in_both_formats_of_docker(string config)
    {
        Write(("layer.tar", "x"), ("manifest.json", One.Replace($"{Hex}.json", config, StringComparison.Ordinal)));

        Assert.That(ImageArchive.Read(_file), Is.EqualTo(new ImageArchive("kbr/pg:17", "sha256:" + Hex)));
    }

    [Test]
    public void Another_build_under_the_same_name_has_another_reference()
    {
        var former = new ImageArchive("kbr/pg:17", "sha256:" + Hex);
        var next = former with { Id = "sha256:f" + Hex[1..] };

        Assert.That(former.Reference, Is.EqualTo("kbr/pg:17-0123456789ab"));
        Assert.That(next.Reference, Is.Not.EqualTo(former.Reference));
    }

    [TestCase("[]", "must hold one image")]
    [TestCase("{}", "must hold one image")]
    [TestCase("""[{"Config":"a"},{"Config":"b"}]""", "must hold one image")]
    [TestCase("[1]", "has no name")]
    [TestCase($$"""[{"Config":"{{Hex}}.json","RepoTags":null}]""", "has no name")]
    [TestCase("""[{"Config":"../../etc/passwd","RepoTags":["a:1"]}]""", "not one of docker save")]
    [TestCase($$"""[{"Config":"{{Hex}}.json","RepoTags":["a:latest"]}]""", "give it the tag of a version")]
    [TestCase($$"""[{"Config":"{{Hex}}.json","RepoTags":["a b"]}]""", "give it the tag of a version")]
    [TestCase("not json", "cannot be read")]
    public void An_archive_that_does_not_say_which_image_it_holds_is_refused(string manifest, string problem)
    {
        Write(("manifest.json", manifest));

        Assert.That(() => ImageArchive.Read(_file), Throws.TypeOf<InvalidDataException>().With.Message.Contains(problem));
    }

    [Test]
    public void Anything_else_is_no_archive()
    {
        Write(("other", "x"));
        Assert.That(() => ImageArchive.Read(_file), Throws.TypeOf<InvalidDataException>().With.Message.Contains("no manifest.json"));

        File.WriteAllText(_file, new string('x', 4096));
        Assert.That(() => ImageArchive.Read(_file), Throws.TypeOf<InvalidDataException>());

        using (var packed = new GZipStream(File.Create(_file), CompressionLevel.Fastest))
        {
            packed.Write(Encoding.UTF8.GetBytes(One));
        }

        Assert.That(() => ImageArchive.Read(_file), Throws.TypeOf<InvalidDataException>().With.Message.Contains("compressed"));
    }

    [Test]
    public void What_docker_saves_is_loaded_under_its_unique_name_alone()
    {
        OnlyAsRootWith("docker");
        var name = "kbr-test/" + System.IO.Path.GetRandomFileName().ToLowerInvariant().Replace('.', '-') + ":1";
        try
        {
            Output($"tar -cf - --files-from /dev/null | docker import -c 'CMD [\"/x\"]' - {name}; docker save -o {_file} {name}");
            var archive = ImageArchive.Read(_file);
            Assert.That(archive, Is.EqualTo(new ImageArchive(name, Output($"docker image inspect --format '{{{{.Id}}}}' {name}").Trim())));
            Output($"docker image rm {name}");
            var provider = new ImageProvider();
            var image = Resource(provider, "i", ("reference", archive.Reference), ("archive", _file), ("image_id", archive.Id));

            Succeeds(WithLocalFiles(provider.Render(ResourceOperation.Create, image)));
            Succeeds(WithLocalFiles(provider.Render(ResourceOperation.Create, image)));

            Assert.That(
                Output($"docker image inspect --format '{{{{.Id}}}} {{{{.RepoTags}}}}' {archive.Reference}").Trim(),
                Is.EqualTo($"{archive.Id} [{archive.Reference}]")
            );
            var other = Resource(provider, "i", ("reference", name + "-x"), ("archive", _file), ("image_id", "sha256:" + Hex));
            Assert.That(
                Fails(WithLocalFiles(provider.Render(ResourceOperation.Create, other))),
                Does.Contain($"does not hold the image sha256:{Hex}")
            );
            Output($"docker image rm -f {archive.Reference} {name}");
        }
        finally
        {
            Shell($"docker image rm -f {name}");
        }
    }

    private void Write(params ReadOnlySpan<(string Name, string Text)> entries)
    {
        using var writer = new TarWriter(File.Create(_file), TarEntryFormat.Ustar);
        foreach (var (name, text) in entries)
        {
            writer.WriteEntry(
                new UstarTarEntry(TarEntryType.RegularFile, name) { DataStream = new MemoryStream(Encoding.UTF8.GetBytes(text)) }
            );
        }
    }
}
