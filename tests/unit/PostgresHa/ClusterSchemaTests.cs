using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using KeyBuzz.Reconciler.Cli.Commands;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Tests.Cli;
using NJsonSchema;
using NJsonSchema.Validation;
using YamlDotNet.RepresentationModel;

namespace KeyBuzz.Reconciler.Tests.PostgresHa;

/// <summary>The description of cluster.yaml, from which <c>kbr schema</c> and <c>kbr explain</c> are made, says what the readers
/// do.</summary>
internal sealed partial class ClusterSchemaTests : BlueprintFixture
{
    private static readonly ClusterSchema s_schema = ClusterSchema.Of(RealSyntax);

    private static readonly JsonSchema s_json = JsonSchema
        .FromJsonAsync(ClusterJsonSchema.Of(s_schema, indented: true))
        .GetAwaiter()
        .GetResult();

    [TestCase("cluster.yaml")]
    [TestCase("lab/cluster-ha.yaml.in")]
    [TestCase("lab/cluster.yaml.in")]
    [TestCase("tests/lab/every-attribute.yaml")]
    public void The_JSON_schema_accepts_the_cluster_files_of_this_repository(string file) =>
        Assert.That(Problems(Whole(System.IO.File.ReadAllText(Path.Combine(JsonSchemas.Root, file)))), Is.Empty);

    [Test]
    public void The_JSON_schema_accepts_what_kbr_accepts_in_other_forms()
    {
        var yaml =
            Minimal.Replace(
                "volume: { device: /dev/sdb }",
                "volume: { device: { db-master-01: /dev/sdb, db-slave-01: /dev/sdb, db-slave-02: /dev/sdc } }",
                StringComparison.Ordinal
            )
            + """
                  synchronous: { strict: true }
                  superuser: boss
                  application: { name: app }
                  extensions: [vector, { name: pg_trgm, version: "1.6" }]
                  slots: [backup]
                  parameters: { max_connections: 200, wal_level: logical }
                preconditions: { swap: off, disk: { level: warn, free: 2GiB }, ports: [{ level: warn, to: [{ host: db, port: [22, 5432] }] }] }
                """;
        Load(yaml);
        Assert.That(Problems(yaml), Is.Empty);
    }

    [TestCase("version: 1", "version: 2")]
    [TestCase("members: db", "members: { db: 1 }")]
    [TestCase("address: 10.0.0.10", "adress: 10.0.0.10")]
    [TestCase("image: registry", "imagge: registry")]
    [TestCase("role: db, ", "")]
    [TestCase("  members: db", "  members: db\n  stop_timeout: 60")]
    [TestCase("  members: db", "  members: db\n  superuser_login: nobody")]
    [TestCase("  members: db", "  members: db\n  synchronous: 1")]
    [TestCase("  members: db", "  members: db\n  ports: { rest: 70000 }")]
    public void The_JSON_schema_and_kbr_both_refuse(string was, string becomes)
    {
        Assert.That(Minimal.Contains(was, StringComparison.Ordinal), Is.True, was);
        var at = Minimal.IndexOf(was, StringComparison.Ordinal);
        var yaml = Minimal[..at] + becomes + Minimal[(at + was.Length)..];
        Assert.Throws<DiagnosticException>(() => Load(yaml));
        Assert.That(Problems(yaml), Is.Not.Empty);
    }

    [TestCase("- { type: directory, name: a, host: db, path: /srv/a, owwner: x }")]
    [TestCase("- { type: directory, name: a, host: db }")]
    [TestCase("- { type: folder, name: a, host: db, path: /srv/a }")]
    public void A_resource_that_kbr_refuses_is_refused_by_the_JSON_schema(string resource)
    {
        var good = Minimal + "resources:\n  - { type: directory, name: a, host: db, path: /srv/a, owner: x }\n";
        Load(good);
        Assert.That(Problems(good), Is.Empty);

        var bad = $"{Minimal}resources:\n  {resource}\n";
        Assert.Throws<DiagnosticException>(() => Load(bad));
        Assert.That(Problems(bad), Is.Not.Empty);
    }

    [Test]
    public void A_default_that_is_described_is_the_default_of_the_reader()
    {
        var without = Shown(Load(Minimal));
        var section = s_schema.Root.Find("postgres")!.Section!;
        var tried = 0;
        Assert.Multiple(() =>
        {
            foreach (var key in section.Keys)
            {
                Try(key, value => Line(key.Name) is null ? $"{Minimal}  {key.Name}: {value}\n" : null);
                foreach (var inner in key.Form == ValueForm.Section && CanBeGiven(key) ? key.Section!.Keys.AsEnumerable() : [])
                {
                    Try(inner, value => Line(key.Name) is not { } line ? $"{Minimal}  {key.Name}: {{ {inner.Name}: {value} }}\n"
                        : line.Contains($" {inner.Name}:", StringComparison.Ordinal) ? null
                        : Minimal.Replace(line, $"{line[..^2]}, {inner.Name}: {value} }}", StringComparison.Ordinal));
                }
            }
        });
        Assert.That(tried, Is.GreaterThan(50));

        void Try(SectionKey key, Func<string, string?> given)
        {
            if (key.Default is { } preset && given(preset) is { } yaml)
            {
                tried++;
                Assert.That(Shown(Load(yaml)), Is.EqualTo(without), $"{key.Name}: {preset}");
            }
        }

        // One that is not in the file must not need more than the key that is tried.
        static bool CanBeGiven(SectionKey key) => Line(key.Name) is not null || key.Section!.Keys.All(inner => !inner.Required);

        static string? Line(string key) =>
            Minimal.Split('\n').FirstOrDefault(line => line.StartsWith($"  {key}: ", StringComparison.Ordinal));
    }

    [Test]
    public void The_defaults_of_the_connection_are_those_of_its_reader()
    {
        var without = Load(Minimal);
        foreach (var key in s_schema.Root.Find("ssh")!.Section!.Keys.Where(key => key.Default is not null))
        {
            Assert.That(Load($"{Minimal}ssh: {{ {key.Name}: {key.Default} }}\n").Connection, Is.EqualTo(without.Connection), key.Name);
        }

        foreach (var key in RealSyntax.Connection.HostSchema.Keys.Where(key => key.Default is not null))
        {
            var yaml = Minimal.Replace("10.0.0.120 }", $"10.0.0.120, ssh: {{ {key.Name}: {key.Default} }} }}", StringComparison.Ordinal);
            Assert.That(Load(yaml).Hosts[0], Is.EqualTo(without.Hosts[0]), key.Name);
        }
    }

    // docs/cluster-yaml.md is written for people; no key may be missing there.
    [Test]
    public void Every_key_is_in_the_documentation()
    {
        var documentation = System.IO.File.ReadAllText(Path.Combine(JsonSchemas.Root, "docs/cluster-yaml.md"));
        var words = Word().Matches(documentation).Select(match => match.Value).ToHashSet(StringComparer.Ordinal);
        Assert.That(Paths(s_schema.Root.Keys).Select(path => path.Split('.')[^1]).Where(name => !words.Contains(name)), Is.Empty);
    }

    [Test]
    public void Every_key_can_be_explained_and_its_example_is_accepted_by_the_JSON_schema()
    {
        var paths = Paths(s_schema.Root.Keys.Concat(s_schema.Types.Values)).ToList();
        Assert.That(paths, Has.Count.GreaterThan(250).And.Contain("postgres.haproxy.read_port").And.Contain("container.image"));
        Assert.Multiple(() =>
        {
            foreach (var path in paths)
            {
                var explained = ExplainCommand.Find(s_schema, path);
                Assert.That(explained.Key.Description, Is.Not.Empty.And.EndsWith("."), path);
                // A rule for every resource is not enough for one of a type.
                Assert.That(
                    path.StartsWith("resources.", StringComparison.Ordinal) ? [] : Problems(explained.Example, ofPart: true),
                    Is.Empty,
                    $"{path}:\n{explained.Example}"
                );
                Assert.That(explained.Example, Does.Contain(path.Split('.')[^1]), path);
            }
        });
    }

    [TestCase("postgres.haprxy", "postgres has no key 'haprxy'", "did you mean 'haproxy'?")]
    [TestCase("containr", "cluster.yaml has no key 'containr'", "did you mean 'container'?")]
    [TestCase("postgres.volume.device.x", "postgres.volume.device has no key 'x'", "kbr explain postgres.volume.device lists its keys")]
    public void What_cannot_be_explained_is_an_error_with_a_remedy(string path, string summary, string remedy)
    {
        var found = Assert.Throws<DiagnosticException>(() => ExplainCommand.Find(s_schema, path))!.Diagnostics.Single();
        Assert.That((found.Summary, found.Remedy), Is.EqualTo((summary, remedy)));
    }

    [Test]
    public void An_explanation_has_the_value_the_default_and_the_effect_of_a_change()
    {
        Assert.That(
            Text("directory.mode"),
            Does.Contain("Permissions in octal.").And.Contain("Default: 0755").And.Contain("A change is made in place.")
        );
        Assert.That(Text("directory.path"), Does.Contain("; required").And.Contain("A change replaces the resource."));
        Assert.That(
            Text("ssh.host_key_checking"),
            Does.Contain("One of: strict, accept-new").And.Contain("ssh: { host_key_checking: strict }")
        );

        static string Text(string path)
        {
            using var output = new StringWriter();
            ExplainView.Show(new Terminal(output, output, color: false), ExplainCommand.Find(s_schema, path));
            return output.ToString();
        }
    }

    private static string[] Shown(Cluster cluster) =>
        [
            .. cluster.Resources.Select(resource =>
                $"{resource.Address}: "
                + string.Join(
                    "; ",
                    RealProviders
                        .First(provider => provider.Schema.Type == resource.Address.Type)
                        .Desired(resource)
                        .Select(pair => $"{pair.Key}={pair.Value.Value}")
                )
            ),
        ];

    private static IEnumerable<string> Paths(IEnumerable<SectionKey> keys)
    {
        return keys.SelectMany(key => Below(key, key.Name));

        static IEnumerable<string> Below(SectionKey key, string path) =>
            (key.Section?.Keys ?? []).SelectMany(inner => Below(inner, $"{path}.{inner.Name}")).Prepend(path);
    }

    // The templates of the lab have placeholders, and the test of every attribute has resources only.
    private static string Whole(string yaml)
    {
        var text = Placeholder().Replace(yaml, "word");
        return text.Contains("\nversion: ", StringComparison.Ordinal) || text.StartsWith("version: ", StringComparison.Ordinal)
            ? text
            : "version: 1\ncluster: every\n" + text;
    }

    private static string[] Problems(string yaml, bool ofPart = false)
    {
        var stream = new YamlStream();
        stream.Load(new StringReader(yaml));
        var found = s_json.Validate(Json(stream.Documents[0].RootNode)!.ToJsonString());
        return
        [
            .. found
                .Where(error => !ofPart || !(error.Kind == ValidationErrorKind.PropertyRequired || IsPart(error)))
                .Select(error => error.ToString()),
        ];

        // An example shows one key, and may leave out others of its section.
        static bool IsPart(ValidationError error) =>
            error is ChildSchemaValidationError child
            && child.Errors.Values.Any(alternative =>
                alternative.All(one => one.Kind == ValidationErrorKind.PropertyRequired || IsPart(one))
            );
    }

    private static JsonNode? Json(YamlDotNet.RepresentationModel.YamlNode node) =>
        node switch
        {
            YamlMappingNode map => new JsonObject(
                map.Children.Select(pair => KeyValuePair.Create(((YamlScalarNode)pair.Key).Value!, Json(pair.Value)))
            ),
            YamlSequenceNode list => new JsonArray([.. list.Children.Select(Json)]),
            YamlScalarNode { Style: YamlDotNet.Core.ScalarStyle.Plain, Value: var value } => value switch
            {
                "true" => true,
                "false" or "off" => false,
                "" or "~" or "null" or null => null,
                _ when long.TryParse(value, System.Globalization.CultureInfo.InvariantCulture, out var number) => number,
                _ => value,
            },
            YamlScalarNode scalar => scalar.Value,
            _ => throw new ArgumentException("an unknown node", nameof(node)),
        };

    [GeneratedRegex(@"@[A-Z_]+@")]
    private static partial Regex Placeholder();

    [GeneratedRegex(@"[A-Za-z0-9_-]+")]
    private static partial Regex Word();
}
