using KeyBuzz.Reconciler.Graph;
using KeyBuzz.Reconciler.Providers.ConfigFile;
using KeyBuzz.Reconciler.Providers.Container;
using KeyBuzz.Reconciler.Providers.Directory;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.Providers;

/// <summary>A container and what lies in the directories it mounts.</summary>
[TestFixture]
public sealed class MountOrderTests
{
    private static readonly DirectoryProvider Directories = new();
    private static readonly ConfigFileProvider Files = new();
    private static readonly ContainerProvider Containers = new();

    private readonly Resource _app = ProviderBench.Resource(
        Containers,
        "app",
        ("image", "registry.example/app:1@sha256:" + new string('a', 64)),
        ("mounts", new[] { "/opt/app:/etc/app:ro" })
    );

    [Test]
    public void Mounted_directories_are_filled_before_the_container_is_created()
    {
        var graph = Build(
            _app,
            File("app", "/opt/app/app.conf"),
            File("part", "/opt/app/parts/a.conf"),
            Directory("parts", "/opt/app/parts"),
            Directory("app", "/opt/app"),
            File("other", "/opt/app.conf")
        );
        var container = graph.Find(_app.Address)!;
        Assert.Multiple(() =>
        {
            Assert.That(container.Requires.Select(address => address.ToString()), Is.EqualTo(new[] { "directory.app@db-1" }));
            Assert.That(
                container.After.Select(address => address.ToString()),
                Is.EquivalentTo(new[] { "config_file.app@db-1", "config_file.part@db-1", "directory.parts@db-1" })
            );
            Assert.That(
                graph.Order.IndexOf(_app.Address),
                Is.EqualTo(5).Or.EqualTo(4),
                "only the file beside what it mounts may come later"
            );
        });
    }

    [Test]
    public void An_explicit_order_of_a_file_after_its_container_counts()
    {
        var late = File("late", "/opt/app/late.conf") with { After = [_app.Address] };
        Assert.That(
            Build(_app, late, Directory("app", "/opt/app")).Order.Select(address => address.ToString()),
            Is.EqualTo(new[] { "directory.app@db-1", "container.app@db-1", "config_file.late@db-1" })
        );
    }

    private static ResourceGraph Build(params Resource[] resources) =>
        ResourceGraph.Build(resources, new ProviderRegistry([Directories, Files, Containers]));

    private static Resource Directory(string name, string path) => ProviderBench.Resource(Directories, name, ("path", path));

    private static Resource File(string name, string path) =>
        ProviderBench.Resource(Files, name, ("path", path), ("content", SecretText.Plain("x\n")));
}
