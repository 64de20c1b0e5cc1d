using System.Text.Json.Nodes;
using KeyBuzz.Reconciler.Providers;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;
using Microsoft.Extensions.DependencyInjection;

namespace KeyBuzz.Reconciler.Tests.Records;

/// <summary>A record goes through the rules of cluster.yaml, whoever wrote it.</summary>
[TestFixture]
public sealed class RecordRulesTests
{
    private static readonly ProviderRegistry Providers = Registered();

    [TestCase("config_file", "path", "/etc/shadow", "its path is /etc/shadow, which kbr may not change: /etc/shadow belongs to the system")]
    [TestCase("config_file", "path", "/opt/../etc/shadow", "its path is invalid: a path may not hold '.' or '..'")]
    [TestCase("config_file", "path", "/opt//x", "its path /opt//x is not in the form that kbr writes")]
    [TestCase("config_file", "path", "x", "its path is invalid: write an absolute path, such as /opt/app/data")]
    [TestCase("config_file", "path", "/opt/a\nb", "its path is invalid: a path may not hold a line break or another control character")]
    [TestCase("config_file", "mode", "0999", "its 'mode' is not a mode")]
    [TestCase(
        "directory",
        "path",
        "/var/lib/docker",
        "its path is /var/lib/docker, which kbr may not change: /var/lib/docker belongs to the system"
    )]
    [TestCase("volume", "mount_point", "/usr", "its mount_point is /usr, which kbr may not change: /usr belongs to the system")]
    [TestCase("volume", "device", "/opt/disk", "its device is /opt/disk, which kbr may not change: write a block device under /dev")]
    [TestCase("container", "container_name", "--privileged", "'--privileged' is not a container name")]
    [TestCase("container", "image", "x y", "'x y' is not an image reference")]
    [TestCase("container", "user", "a\u001bb", "its 'user' has a control character")]
    [TestCase("systemd_unit", "unit", "../../x.service", "'../../x.service' is not a unit name with its suffix, as in patroni.service")]
    public void A_value_that_cluster_yaml_could_not_have_makes_the_record_unusable(
        string type,
        string attribute,
        string value,
        string problem
    )
    {
        var said = Assert.Throws<FormatException>(() => Read(type, record => record["spec"]![attribute] = value))!.Message;
        Assert.That(said, Does.StartWith(problem));
    }

    [TestCase("config_file.../../x@db-1")]
    [TestCase("config_file.a/b@db-1")]
    [TestCase("config_file.x@..")]
    [TestCase("config_file.x@db/1")]
    [TestCase("config_file.a\nb@db-1")]
    public void An_address_that_could_not_stand_in_cluster_yaml_makes_the_record_unusable(string address)
    {
        Assert.That(
            Assert.Throws<FormatException>(() => Read("config_file", record => record["address"] = address))!.Message,
            Does.StartWith("its address, or one that it requires, is invalid in cluster.yaml")
        );
        Assert.Throws<FormatException>(() => Read("config_file", record => record["requires"]!.AsArray().Add(address)));
    }

    [Test]
    public void A_record_that_requires_itself_is_unusable()
    {
        Assert.That(
            Assert
                .Throws<FormatException>(() =>
                    Read("config_file", record => record["requires"]!.AsArray().Add(record["address"]!.GetValue<string>()))
                )!
                .Message,
            Does.StartWith("it requires itself")
        );
    }

    [Test]
    public void A_record_without_a_required_attribute_is_unusable_and_a_valid_one_is_read()
    {
        Assert.That(
            Assert.Throws<FormatException>(() => Read("config_file", record => record["spec"]!.AsObject().Remove("path")))!.Message,
            Does.StartWith("it has no 'path'")
        );
        Assert.Throws<FormatException>(() => RecordJson.Read("", "lab", Providers));
        Assert.That(Read("config_file", _ => { }).Spec.String("path"), Is.EqualTo("/opt/x"));
    }

    private static ResourceRecord Read(string type, Action<JsonObject> edit)
    {
        var spec = AttributeSet.Empty;
        foreach (var attribute in Providers.Find(type)!.Schema.Attributes.Where(attribute => attribute.Required))
        {
            spec = spec.With(
                attribute.Name,
                attribute.Name switch
                {
                    "device" => "/dev/sdb",
                    "content" => SecretText.Plain("x"),
                    "image" or "reference" => $"x:1@sha256:{new string('a', 64)}",
                    _ => attribute.Kind == AttributeKind.Path ? "/opt/x" : "x",
                }
            );
        }

        spec = type == "systemd_unit" ? spec.With("unit", "x.service") : spec;
        var json = JsonNode
            .Parse(
                RecordJson.Write(
                    new ResourceRecord(new Address(type, "xy", "db-1"), true, false, SortedMap<string>.Empty, spec, [], false),
                    "lab"
                )
            )!
            .AsObject();
        edit(json);
        return RecordJson.Read(json.ToJsonString(), "lab", Providers)!;
    }

    private static ProviderRegistry Registered()
    {
        var services = new ServiceCollection();
        services.AddSingleton(TimeProvider.System);
        Registration.AddProviders(services);
        using var provider = services.BuildServiceProvider();
        return new ProviderRegistry(provider.GetServices<IResourceProvider>());
    }
}
