using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.Image;
using KeyBuzz.Reconciler.Resources;
using static KeyBuzz.Reconciler.Tests.Providers.ProviderBench;

namespace KeyBuzz.Reconciler.Tests.Providers;

[TestFixture]
internal sealed class ImageProviderTests
{
    private const string Digest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    private readonly ImageProvider _provider = new();

    [Test]
    public void A_pulled_image_is_known_by_its_digest_and_its_tag()
    {
        var image = Resource(_provider, "pg", ("reference", $"10.77.0.1:5000/pg:17@{Digest}"));
        Assert.That(_provider.Reads(image), Is.EqualTo(new[] { new ImageRead($"10.77.0.1:5000/pg@{Digest}") }));
        var json =
            $$$"""{"Id":"sha256:1","RepoTags":["10.77.0.1:5000/pg:17"],"RepoDigests":["10.77.0.1:5000/pg@{{{Digest}}}"],"Config":{"Labels":null}}""";
        Assert.That(Present(image, json), Is.EqualTo(_provider.Desired(image)));
        Assert.That(Present(image, json.Replace("pg:17", "pg:18", StringComparison.Ordinal))["tag"].Value, Is.EqualTo("(none)"));
    }

    [TestCase("haproxy", "haproxy")]
    [TestCase("library/haproxy", "haproxy")]
    [TestCase("docker.io/library/haproxy", "haproxy")]
    [TestCase("index.docker.io/library/haproxy", "haproxy")]
    [TestCase("docker.io/haproxy", "haproxy")]
    [TestCase("index.docker.io/team/app", "team/app")]
    [TestCase("library/team/app", "library/team/app")]
    [TestCase("registry.example.com/library/haproxy", "registry.example.com/library/haproxy")]
    [TestCase("localhost/library/haproxy", "localhost/library/haproxy")]
    public void The_default_registry_may_be_written_out(string repository, string shown)
    {
        var image = Resource(_provider, "h", ("reference", $"{repository}:2.9@{Digest}"));
        Assert.That(
            Present(image, $$$"""{"RepoTags":["{{{shown}}}:2.9"],"RepoDigests":["{{{shown}}}@{{{Digest}}}"]}"""),
            Is.EqualTo(_provider.Desired(image))
        );
    }

    [Test]
    public void An_image_from_an_archive_is_known_by_its_labels_or_id()
    {
        var image = Resource(
            _provider,
            "pg",
            ("reference", "kbr/pg:17"),
            ("archive", "pg.tar"),
            ("image_id", "sha256:1"),
            ("labels", new Dictionary<string, string> { ["build"] = "7" })
        );
        Assert.That(_provider.Validate(image), Is.Empty);
        Assert.That(
            Present(image, """{"Id":"sha256:1","RepoTags":["kbr/pg:17"],"Config":{"Labels":{"build":"7","more":"x"}}}"""),
            Is.EqualTo(_provider.Desired(image))
        );
        var other = Present(image, """{"Id":"sha256:2","RepoTags":["kbr/pg:17"],"Config":{"Labels":{"build":"6"}}}""");
        Assert.That(other["label.build"].Value, Is.EqualTo("6"));
        Assert.That(other["image_id"].Value, Is.EqualTo("sha256:2"));
        Assert.That(_provider.Render(ResourceOperation.Create, image).Uploads["archive"], Is.EqualTo("pg.tar"));
    }

    [TestCase("pg:17", null, "not pinned")]
    [TestCase("pg:latest@" + Digest, null, "no fixed tag")]
    [TestCase("pg@" + Digest, null, "no fixed tag")]
    [TestCase("PG:17@" + Digest, null, "not an image reference")]
    [TestCase("pg:17@" + Digest, "pg.tar", "has a digest")]
    [TestCase("pg:17", "pg.tar", "cannot be identified")]
    public void A_reference_that_does_not_say_which_image_is_refused(string reference, string? archive, string problem)
    {
        var image = Resource(_provider, "pg", ("reference", reference));
        image = archive is null ? image : image with { Spec = image.Spec.With("archive", archive) };
        Assert.That(_provider.Validate(image).Select(finding => finding.Summary), Has.Some.Contains(problem));
    }

    [Test]
    public void A_silent_engine_is_unknown_and_a_missing_image_absent()
    {
        var image = Resource(_provider, "pg", ("reference", $"pg:17@{Digest}"));
        Assert.That(Observe(image, 0, ""), Is.InstanceOf<Observation.Unknown>());
        Assert.That(Observe(image, 500, "boom"), Is.InstanceOf<Observation.Unknown>().With.Property("Reason").Contains("boom"));
        Assert.That(Observe(image, 404, "{}"), Is.InstanceOf<Observation.Absent>());
    }

    [Test]
    public void An_archive_is_loaded_twice_and_only_its_name_is_removed_unless_a_container_uses_it()
    {
        OnlyAsRootWith("docker");
        if (Shell("docker version").ExitCode != 0)
        {
            Assert.Fail("no Docker Engine here");
        }

        var folder = System.IO.Directory.CreateTempSubdirectory("kbr-image-").FullName;
        var name = "kbr-test/" + System.IO.Path.GetRandomFileName().ToLowerInvariant().Replace('.', '-');
        var image = Resource(
            _provider,
            "i",
            ("reference", $"{name}:1"),
            ("archive", $"{folder}/i.tar"),
            ("labels", new Dictionary<string, string> { ["build"] = "7" })
        );
        try
        {
            Output(
                $"tar -C {folder} -cf - --files-from /dev/null | docker import -c 'LABEL build=7' -c 'CMD [\"/x\"]' - "
                    + $"{name}:1; docker save -o {folder}/i.tar {name}:1; docker image rm {name}:1"
            );
            var load = WithLocalFiles(_provider.Render(ResourceOperation.Create, image));
            Succeeds(load);
            Succeeds(load);
            Assert.That(
                Present(image, Output($"docker image inspect --format '{{{{json .}}}}' {name}:1")),
                Is.EqualTo(_provider.Desired(image))
            );

            var container = Output($"docker create --name {name.Replace('/', '-')} {name}:1");
            Assert.That(Fails(_provider.Render(ResourceOperation.Delete, image)), Does.Contain(name.Replace('/', '-')));
            Output($"docker rm {container}");
            Succeeds(_provider.Render(ResourceOperation.Delete, image));
            Succeeds(_provider.Render(ResourceOperation.Delete, image));
            Assert.That(Shell($"docker image inspect {name}:1").ExitCode, Is.Not.Zero);
        }
        finally
        {
            Shell($"docker rm {name.Replace('/', '-')}; docker image rm {name}:1");
            System.IO.Directory.Delete(folder, recursive: true);
        }
    }

    [TestCase("docker.io/")]
    [TestCase("")]
    public void An_image_from_an_archive_keeps_the_name_that_it_was_just_given(string registry)
    {
        OnlyAsRootWith("docker");
        var folder = System.IO.Directory.CreateTempSubdirectory("kbr-image-").FullName;
        var name = "kbr-test/" + System.IO.Path.GetRandomFileName().ToLowerInvariant().Replace('.', '-');
        try
        {
            var id = Output(
                $"tar -C {folder} -cf - --files-from /dev/null | docker import -c 'CMD [\"/x\"]' - {name}:1; "
                    + $"docker save -o {folder}/i.tar {name}:1; docker image rm {name}:1 >/dev/null"
            );
            var image = Resource(_provider, "i", ("reference", $"{registry}{name}:1"), ("archive", $"{folder}/i.tar"), ("image_id", id));

            Succeeds(WithLocalFiles(_provider.Render(ResourceOperation.Create, image)));

            Assert.That(
                Present(image, Output($"docker image inspect --format '{{{{json .}}}}' {name}:1")),
                Is.EqualTo(_provider.Desired(image))
            );
        }
        finally
        {
            Shell($"docker image rm {name}:1");
            System.IO.Directory.Delete(folder, recursive: true);
        }
    }

    private Observation Observe(Resource image, int status, string json) =>
        _provider.Observe(image, Snapshot((_provider.Reads(image).Single(), new DockerAnswer(status, json))));

    private SortedMap<AttributeValue> Present(Resource image, string json) => ((Observation.Present)Observe(image, 200, json)).Attributes;
}
