using System.Text;
using System.Text.RegularExpressions;
using CsCheck;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using YamlDotNet.RepresentationModel;

namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary>kbr fmt as a user runs it, and what it promises for any file.</summary>
[TestFixture]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed class FmtTests : LocalCluster
{
    private const string Untidy = """


        # the head
        version:   1     # kept
        cluster: x
        hosts:
            db-1: { role: db,
                    address: 10.0.0.1 }   


            # below hosts
            db-2:
                   role: db
        resources:
        -   type: directory
            name: 'a'
        # - commented out
        - type: config_file
          content: |
             first
               second  

             third
          text: "one
              two\
              three"

        # the end

        """;

    private const string Tidy = """
        # the head
        version:   1     # kept
        cluster: x
        hosts:
          db-1: { role: db,
                  address: 10.0.0.1 }

          # below hosts
          db-2:
            role: db
        resources:
          - type: directory
            name: 'a'
          # - commented out
          - type: config_file
            content: |
              first
                second  

              third
            text: "one
              two\
              three"

        # the end

        """;

    [Test]
    public void A_file_is_written_in_its_canonical_layout_and_keeps_its_mode()
    {
        var path = Write("untidy.yaml", Untidy + "\n\n");
        Assert.That(Kbr("fmt", "untidy.yaml", "--check"), Is.EqualTo((3, "untidy.yaml\n", "")));
        Assert.That(File.ReadAllText(path), Is.EqualTo(Untidy + "\n\n"), "it was only checked");
        Assert.That(Kbr("fmt", "untidy.yaml", "--check", "--diff").Output, Does.Contain("\n-    db-1: {").And.Contain("\n+  db-1: {"));

        Assert.That(Done("fmt", "untidy.yaml"), Is.EqualTo("untidy.yaml\n"));
        Assert.That(File.ReadAllText(path), Is.EqualTo(Tidy));
        Assert.That(File.GetUnixFileMode(path), Is.EqualTo(UnixFileMode.UserRead | UnixFileMode.UserWrite));

        var before = File.GetLastWriteTimeUtc(path);
        Assert.That(Done("fmt", "untidy.yaml", "--check"), Is.Empty);
        Assert.That(Done("fmt", "untidy.yaml"), Is.Empty);
        Assert.That(File.GetLastWriteTimeUtc(path), Is.EqualTo(before), "nothing is written where nothing changes");
    }

    [Test]
    public void A_file_that_is_no_YAML_is_refused_with_its_line_and_left_alone()
    {
        foreach (var text in new[] { "a: 1\nb: [1, 2\nc: 3\n", "a: 1\n\tb: 2\n", "a: &x 1\nb: *x\n", "a: 1\n---\nb: 1\n" })
        {
            var path = Write("broken.yaml", text);
            Assert.That(Refused("fmt", "broken.yaml"), Does.Match(@"  at broken\.yaml:[1-4]:"), text);
            Assert.That(File.ReadAllText(path), Is.EqualTo(text));
        }

        Assert.That(Refused("fmt", "missing.yaml"), Does.Contain("missing.yaml"));
    }

    [Test]
    public void The_files_of_this_repository_and_what_init_writes_are_formatted()
    {
        foreach (var file in new[] { "cluster.yaml", "lab/cluster-sweep.yaml", "docs/ci/github-actions.yml" })
        {
            var text = File.ReadAllText(Path.Combine(JsonSchemas.Root, file));
            Assert.That(Format(text), Is.EqualTo(text), file);
        }

        Done("init", "--members", "10.0.0.1,10.0.0.2,10.0.0.3", "--proxies", "10.0.0.4,10.0.0.5", "--offline", "-c", "new.yaml");
        Assert.That(Done("fmt", "new.yaml", "--check"), Is.Empty);
    }

    // Found by a generated file.
    [TestCase("a: >\n    word  \n\n \t \n\nb: c\n")]
    [TestCase("a: |\n \t\n    word\nb: c\n")]
    public void A_tab_does_not_indent_the_content_of_a_block(string text)
    {
        var formatted = Format(text);
        Assert.That(Meaning(formatted), Is.EqualTo(Meaning(text)), formatted);
        Assert.That(Format(formatted), Is.EqualTo(formatted));
    }

    [Test]
    public void Any_file_means_the_same_afterwards_and_formatting_it_again_changes_nothing() =>
        File_()
            .Slice(
                text =>
                {
                    var formatted = Format(text);
                    Assert.That(Meaning(formatted), Is.EqualTo(Meaning(text)), $"{text}\n=====\n{formatted}");
                    Assert.That(Format(formatted), Is.EqualTo(formatted), $"{text}\n=====\n{formatted}");
                    // Spaces and empty lines of a block are its content.
                    if (!Regex.IsMatch(text, @"[|>][-+1-9]?\n"))
                    {
                        Assert.That(formatted, Does.EndWith("\n").And.Not.EndWith("\n\n").And.Not.Contain("\n\n\n"));
                    }

                    Assert.That(Comments(formatted), Is.EqualTo(Comments(text)));
                },
                count: 3000
            );

    [Test]
    public void Damaged_files_are_refused_or_mean_the_same_afterwards()
    {
        var refused = 0;
        string[] pieces = ["\t", " ", "\n", ": ", "- ", "[", "}", "\"", "'", "|2\n", "? ", "#", "\\", "é"];
        Gen.Select(File_(), Gen.Int[0, 400], Gen.Int[0, pieces.Length - 1].Select(index => pieces[index]))
            .Slice(
                (text, at, piece) =>
                {
                    var damaged = text.Insert(at % text.Length, piece);
                    try
                    {
                        var formatted = Format(damaged);
                        Assert.That(Meaning(formatted), Is.EqualTo(Meaning(damaged)), $"{damaged}\n=====\n{formatted}");
                        Assert.That(Format(formatted), Is.EqualTo(formatted), $"{damaged}\n=====\n{formatted}");
                    }
                    catch (Exception exception) when (exception is DiagnosticException or ArgumentException)
                    {
                        // The library's nodes take less than its parser.
                        Interlocked.Increment(ref refused);
                    }
                },
                count: 3000
            );
        Assert.That(refused, Is.InRange(100, 2900));
    }

    private static string Format(string text) => YamlFormat.Format(SourceText.Of(text, "test.yaml"));

    // By another way through the same library: nodes, and not events.
    private static string Meaning(string text)
    {
        var yaml = new YamlStream();
        yaml.Load(new StringReader(text));
        var said = new StringBuilder();
        Say(yaml.Documents.Count == 0 ? new YamlScalarNode("") : yaml.Documents[0].RootNode);
        return said.ToString();

        void Say(YamlDotNet.RepresentationModel.YamlNode node)
        {
            switch (node)
            {
                case YamlMappingNode map:
                    said.Append('{');
                    foreach (var (key, value) in map)
                    {
                        Say(key);
                        Say(value);
                    }

                    said.Append('}');
                    break;
                case YamlSequenceNode list:
                    said.Append('[');
                    foreach (var item in list)
                    {
                        Say(item);
                    }

                    said.Append(']');
                    break;
                default:
                    var scalar = (YamlScalarNode)node;
                    said.Append(System.Globalization.CultureInfo.InvariantCulture, $"({scalar.Style} {scalar.Value})");
                    break;
            }
        }
    }

    private static string[] Comments(string text) =>
        [.. text.Split('\n').Select(line => line.Trim()).Where(line => line.StartsWith("# note", StringComparison.Ordinal))];

    // Files as people write them, with every width of indentation, and lists below their key or beside it.
    private static Gen<string> File_() =>
        Gen.Select(Gen.Int[0, int.MaxValue - 1], Gen.Int[1, 4]).Select((seed, depth) => new Writer(new Random(seed)).Document(depth));

    private sealed class Writer(Random random)
    {
        private readonly StringBuilder _text = new();
        private int _keys;

        public string Document(int depth)
        {
            Space(0);
            Map(0, depth);
            Space(0);
            return _text.ToString();
        }

        private void Map(int indent, int depth, bool isBegun = false)
        {
            foreach (var i in Enumerable.Range(0, random.Next(1, 4)))
            {
                if (i > 0 || !isBegun)
                {
                    Space(indent);
                    _text.Append(' ', indent);
                }

                _text.Append(System.Globalization.CultureInfo.InvariantCulture, $"key{_keys++}:");
                Value(indent, depth, inMap: true);
            }
        }

        private void List(int indent, int depth)
        {
            foreach (var _ in Enumerable.Range(0, random.Next(1, 4)))
            {
                Space(indent);
                _text.Append(' ', indent).Append('-');
                if (depth > 0 && random.Next(3) == 0)
                {
                    var gap = random.Next(1, 4);
                    _text.Append(' ', gap);
                    Map(indent + 1 + gap, depth - 1, isBegun: true);
                }
                else
                {
                    Value(indent, depth, inMap: false);
                }
            }
        }

        private void Value(int indent, int depth, bool inMap)
        {
            var inner = indent + random.Next(1, 6);
            switch (random.Next(depth > 0 ? 12 : 8))
            {
                case 0:
                    Line($" {Word()}");
                    break;
                case 1:
                    Line($"  '{Word()}  # no comment'");
                    break;
                case 2:
                    Line(
                        $" \"{Word()}{End(" ", "\\ ", "")}\n{new string(' ', random.Next(0, 9) + indent + 1)}{Word()}{End("\n", "")}\n{new string(' ', inner)}z\""
                    );
                    break;
                case 3:
                    Line($" {Word()}\n{new string(' ', inner)}{Word()} end");
                    break;
                case 4:
                    Line($" {{ a: [1,\n{new string(' ', inner)}2], b: \"{Word()}\",\n\n{new string(' ', inner)}c: d }}");
                    break;
                case 5:
                    Block(inner, " |" + End("", "-", "+"));
                    break;
                case 6:
                    Block(inner, " >" + End("", "-"));
                    break;
                case 7:
                    // The first line has more spaces than the others.
                    var width = random.Next(1, 5);
                    Block(indent + width, $" |{width}", "  ");
                    break;
                case 8 or 9:
                    Line("");
                    Map(inner, depth - 1);
                    break;
                default:
                    Line("");
                    List(inMap ? indent + random.Next(0, 5) : inner, depth - 1);
                    break;
            }
        }

        private void Block(int indent, string header, string first = "")
        {
            Line(header, comment: false);
            foreach (var i in Enumerable.Range(0, random.Next(1, 4)))
            {
                _text
                    .Append(' ', indent)
                    .Append(i == 0 ? first : End("", " ", "   "))
                    .Append(Word())
                    .Append(End("", "  ", "\t# text"))
                    .Append('\n');
                _text.Append(i == 0 ? End("", "\n") : "");
            }
        }

        private void Line(string text, bool comment = true)
        {
            _text.Append(text).Append(comment ? End("", "", "  ", " # beside") : "").Append('\n');
        }

        private void Space(int indent)
        {
            _text.Append(End("", "", "", "\n", "\n  \n\n"));
            if (random.Next(5) == 0)
            {
                _text
                    .Append(' ', random.Next(3) == 0 ? random.Next(0, indent + 1) : indent)
                    .Append(System.Globalization.CultureInfo.InvariantCulture, $"# note {_keys++}\n");
            }
        }

        private string End(params string[] choices) => choices[random.Next(choices.Length)];

        private string Word() => End("word", "10.0.0.1", "é", "a b", "x-y");
    }
}
