using System.Text;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Tests.Cli;

namespace KeyBuzz.Reconciler.Tests.PostgresHa;

/// <summary>docs/reference.md, which is written from the one description of cluster.yaml. <c>KBR_WRITE=reference</c> writes it
/// anew.</summary>
internal sealed class ReferenceTests : BlueprintFixture
{
    private const string InPlace = "A change is made in place.";

    private static readonly string s_page = Path.Combine(JsonSchemas.Root, "docs/reference.md");

    [Test]
    public void The_reference_is_what_the_description_of_cluster_yaml_says()
    {
        var text = Page(ClusterSchema.Of(RealSyntax));
        if (System.Environment.GetEnvironmentVariable("KBR_WRITE") == "reference")
        {
            System.IO.File.WriteAllText(s_page, text);
        }

        Assert.That(
            System.IO.File.ReadAllText(s_page),
            Is.EqualTo(text),
            "write it anew: KBR_WRITE=reference dotnet test tests/unit -c Release --filter FullyQualifiedName~ReferenceTests"
        );
    }

    [Test]
    public void The_reference_has_every_key_with_its_value_and_default()
    {
        var page = System.IO.File.ReadAllText(s_page);
        Assert.That(page, Does.Contain("\n### postgres.haproxy\n").And.Contain("\n### config_file\n"));
        Assert.That(page, Does.Match(@"\n\| `mode` \| permissions in octal, such as ""0640"" \| `0755` \| Permissions in octal\. \|\n"));
        Assert.That(page, Does.Match(@"\n\| `path` \| a word, required \| \| [^|]+ A change replaces the resource\. \|\n"));
        Assert.That(page.Split('\n').Count(line => line.StartsWith("| `", StringComparison.Ordinal)), Is.GreaterThan(250));
    }

    private static string Page(ClusterSchema schema)
    {
        var page = new StringBuilder(
            """
            # Reference of cluster.yaml

            Every key, with its value and its default.
            This page is written from the description in kbr that `kbr schema` and `kbr explain` show (`ReferenceTests`); do not edit it.
            [cluster-yaml.md](cluster-yaml.md) explains what the keys do.

            ## Keys

            ### cluster.yaml


            """
        );
        Write(page, "", schema.Root.Keys);
        page.Append("## Resource types\n\nEach type also has the keys of [resources](#resources). ")
            .Append("A change is made in place unless a row says more.\n\n");
        var common = schema.Root.Find("resources")!.Section!.Names;
        foreach (var (name, type) in schema.Types)
        {
            page.Append($"### {name}\n\n{type.Description}\n\n");
            Write(page, name, [.. type.Section!.Keys.Where(key => !common.Contains(key.Name))]);
        }

        return page.ToString().TrimEnd('\n') + "\n";
    }

    // A table, and those of the maps in it.
    private static void Write(StringBuilder page, string path, IReadOnlyCollection<SectionKey> keys)
    {
        page.Append("| key | value | default | means |\n| --- | --- | --- | --- |\n");
        foreach (var key in keys)
        {
            var effect = key.Effect is null or InPlace ? "" : " " + key.Effect;
            var choices = key.Choices.IsEmpty ? "" : $" One of {string.Join(", ", key.Choices.Select(one => $"`{one}`"))}.";
            page.Append($"| `{key.Name}` | {ExplainView.Forms(key)}{(key.Required ? ", required" : "")} |")
                .Append(key.Default is { Length: > 0 } preset ? $" `{preset}` |" : " |")
                .Append($" {(key.Description + choices + effect).Replace("|", "\\|", StringComparison.Ordinal)} |\n");
        }

        page.Append('\n');
        foreach (var key in keys)
        {
            if (key.Section is { } section)
            {
                var inner = path.Length == 0 ? key.Name : $"{path}.{key.Name}";
                page.Append($"### {inner}\n\n");
                Write(page, inner, section.Keys);
            }
        }
    }
}
