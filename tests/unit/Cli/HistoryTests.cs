using System.Text.Json;
using KeyBuzz.Reconciler.Records;

namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary>The history of the hosts, as applies write it and <c>kbr history</c> reads it.</summary>
[TestFixture]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed class HistoryTests : LocalCluster
{
    private string Path => History;

    [Test]
    public void Each_run_that_touches_a_host_is_in_its_history_and_one_that_changes_nothing_is_not()
    {
        Assert.That(Done("history"), Is.EqualTo("No history on the hosts.\n"));
        Done("plan");
        Assert.That(File.Exists(Path), Is.False);

        Done("apply", "--auto-approve");
        Assert.That(File.GetUnixFileMode(Path), Is.EqualTo(UnixFileMode.UserRead | UnixFileMode.UserWrite));
        var (lines, written) = (File.ReadAllLines(Path), File.GetLastWriteTimeUtc(Path));
        Assert.That(lines, Has.Length.EqualTo(1));
        Done("apply", "--auto-approve");
        Done("drift");
        Done("history");
        Assert.That((File.ReadAllLines(Path), File.GetLastWriteTimeUtc(Path)), Is.EqualTo((lines, written)), "nothing was touched");

        // One change is made, the other fails.
        Write("host/other", "in the way\n");
        WriteCluster(
            workers: "9",
            more: "  - { type: config_file, name: bad, host: db-1, path: FOLDER/bad, content: a, "
                + $"validate: 'echo {Password} no >&2; false' }}"
        );
        Assert.That(Kbr("apply", "--auto-approve").Exit, Is.EqualTo(1));
        WriteCluster();
        Done("destroy", "--auto-approve");
        Assert.That(Directory.Exists($"/var/lib/kbr/{Name}"), Is.False);

        var output = Done("history").Split('\n');
        var who = $"by {Environment.UserName} on {Environment.MachineName} with kbr {Done("version").Split(' ', '\n')[1]}, ";
        string[] heads = [.. output.Where(line => line.StartsWith('2'))];
        Assert.That(heads, Has.All.Contains(who).And.All.EndsWith(" s, on db-1"));
        Assert.That(
            heads.Select(line => line[line.IndexOf("UTC  ", StringComparison.Ordinal)..line.IndexOf("  by", StringComparison.Ordinal)]),
            Is.EqualTo(new[] { "UTC  destroy done", "UTC  apply partly done", "UTC  apply done" })
        );
        Assert.That(output, Has.Some.EqualTo("  update config_file.app@db-1").And.Some.StartsWith("  FAILED config_file.bad@db-1: "));
        Assert.That(output, Has.Some.EqualTo("  create directory.spare@db-1").And.Some.EqualTo("3 in all"));
        Assert.That(File.ReadAllText(Path), Does.Not.Contain("canary-"));
        Assert.That(
            Done("history", "-n", "1"),
            Does.Contain("destroy").And.Contain("2 older; show more with -n 3").And.Not.Contain("apply")
        );

        var document = Document("history");
        Assert.That(JsonSchemas.Problems(document.GetRawText()), Is.Empty);
        Assert.That(document.GetProperty("applies")[1].GetProperty("result").GetString(), Is.EqualTo("partly"));
    }

    // Times have whole seconds.
    [TestCase("0123456789abcdef0123456789abcdef", "1123456789abcdef0123456789abcdef")]
    [TestCase("1123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef")]
    public void Of_two_runs_of_the_same_second_the_later_one_comes_first(string earlier, string later)
    {
        var at = TimeProvider.System.GetUtcNow();
        var first = HistoryChain.Line(Entry(earlier), HistoryChain.Beginning);
        var text = first + "\n" + HistoryChain.Line(Entry(later), HistoryChain.HashOf(first)) + "\n";

        var found = HistoryFound.Of(Path, [("db-1", new HistoryFile([], text), null)]);

        Assert.That(found.Applies.Select(one => one.Entry.Id), Is.EqualTo(new[] { later, earlier }));

        HistoryEntry Entry(string id) => new(id, at, at, "apply", "root", "vm", "0.1.0", HistoryResult.Done) { Hosts = ["db-1"] };
    }

    [Test]
    public void An_import_is_in_the_history_too()
    {
        Directory.CreateDirectory($"{Folder}/host/spare");
        Done("import", "--auto-approve");
        Assert.That(Done("history"), Does.Contain("  import done  by ").And.Contain("  adopt directory.spare@db-1"));
    }

    [Test]
    public void A_broken_chain_is_named_with_its_host_and_line()
    {
        foreach (var workers in new[] { "1", "2", "3" })
        {
            WriteCluster(workers: workers);
            Done("apply", "--auto-approve");
        }

        var lines = File.ReadAllLines(Path);
        Assert.That(HistoryChain.Read(File.ReadAllText(Path)).Problems, Is.Empty);

        Broken([lines[0], lines[1].Replace("\"user\":\"", "\"user\":\"x", StringComparison.Ordinal), lines[2]], 3, "does not follow");
        Broken([lines[0], lines[2]], 2, "does not follow");
        Broken([lines[1], lines[2]], 1, "does not follow");
        Broken([lines[0], "{}", lines[1], lines[2]], 2, "is no entry that kbr writes");
        Broken([lines[0], lines[1] + " ", lines[2]], 3, "does not follow");
        var odd = lines[2].Replace("\"command\":\"apply\"", "\"command\":\"a\\u001b[2J\"", StringComparison.Ordinal);
        Broken([lines[0], lines[1], odd], 3, "is no entry that kbr writes");
        Broken(
            [lines[0], lines[1], lines[2].Replace("format_version\":1", "format_version\":2", StringComparison.Ordinal)],
            3,
            "has format version 2"
        );

        File.WriteAllText(Path, string.Join('\n', lines) + "\n{\"previous\":\"");
        Assert.That(Refused("history"), Does.Contain($"{Path}:4 is not whole"));
        // The next entry goes on a line of its own, and the damage stays visible.
        WriteCluster(workers: "4");
        Done("apply", "--auto-approve");
        Assert.That(File.ReadAllLines(Path), Has.Length.EqualTo(5));
        Assert.That(Refused("history"), Does.Contain($"{Path}:4 is no entry").And.Not.Contain(":5 "));

        void Broken(string[] changed, int line, string what)
        {
            File.WriteAllText(Path, string.Join('\n', changed) + "\n");
            Assert.That(Refused("history"), Does.Contain($"Error: db-1: {Path}:{line} {what}"));
            Assert.That(Kbr("history", "--json").Output, Does.Contain($":{line} {what}"));
        }
    }

    [Test]
    public void A_file_that_is_not_roots_or_is_a_link_is_neither_believed_nor_written()
    {
        Done("apply", "--auto-approve");
        File.Move(Path, $"{Folder}/elsewhere");
        File.CreateSymbolicLink(Path, $"{Folder}/elsewhere");
        var before = File.ReadAllText($"{Folder}/elsewhere");
        Assert.That(Refused("history"), Does.Contain($"{Path} is a symbolic link and not a regular file"));

        WriteCluster(workers: "5");
        var (exit, output, error) = Kbr("apply", "--auto-approve");
        Assert.That(exit, Is.Zero, "the change itself was made: " + output + error);
        Assert.That(
            error,
            Does.Contain("Warning: db-1: the history could not be written").And.Contain("is not a file that belongs to root")
        );
        Assert.That(File.ReadAllText($"{Folder}/elsewhere"), Is.EqualTo(before));

        File.Delete(Path);
        File.WriteAllText(Path, before);
        File.SetUnixFileMode(Path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.OtherWrite);
        Assert.That(Refused("history"), Does.Contain("others can write it"));
    }

    [TestCase(1000, 0, TestName = "A history of 1000 lines begins anew with its newer half")]
    [TestCase(70, 300, TestName = "A history of 1 MiB begins anew with its newer half")]
    public void Full(int count, int length)
    {
        var lines = new List<string>();
        foreach (var i in Enumerable.Range(0, count))
        {
            var time = DateTimeOffset.UnixEpoch.AddMinutes(i);
            var entry = new HistoryEntry($"{i:x32}", time, time, "apply", "a", "b", "1", HistoryResult.Done)
            {
                Hosts = ["db-1"],
                Done = [.. Enumerable.Repeat(new string('x', length), length == 0 ? 0 : HistoryEntry.MostListed)],
            };
            lines.Add(HistoryChain.Line(entry, lines.Count == 0 ? HistoryChain.Beginning : HistoryChain.HashOf(lines[^1])));
        }

        if (length > 0)
        {
            // Each has 12 kB: 85 of them are 1 MiB.
            foreach (var i in Enumerable.Range(count, 20))
            {
                var time = DateTimeOffset.UnixEpoch.AddMinutes(i);
                var entry = HistoryEntry.Read(JsonDocument.Parse(lines[0]).RootElement, out _)! with { Id = $"{i:x32}", Ended = time };
                lines.Add(HistoryChain.Line(entry, HistoryChain.HashOf(lines[^1])));
            }
        }

        Directory.CreateDirectory("/var/log/kbr");
        File.WriteAllText(Path, string.Join('\n', lines) + "\n");
        Assert.That(HistoryChain.Read(File.ReadAllText(Path)).Problems, Is.Empty);

        Done("apply", "--auto-approve");

        var chain = HistoryChain.Read(File.ReadAllText(Path));
        Assert.That(chain.Problems, Is.Empty);
        Assert.That(chain.Dropped + chain.Entries.Length, Is.EqualTo(lines.Count + 1));
        Assert.That(chain.Entries, Has.Length.InRange(30, 501));
        Assert.That(new FileInfo(Path).Length, Is.LessThan(600_000));
        Assert.That(Done("history", "-n", "1"), Does.Contain("create directory.spare@db-1"));

        // The second time the anchor is one line of those that go.
        var more = File.ReadAllLines(Path).ToList();
        while (more.Count < 1000)
        {
            var entry = chain.Entries[^1] with { Id = $"{more.Count:x32}" };
            more.Add(HistoryChain.Line(entry with { Done = [] }, HistoryChain.HashOf(more[^1])));
        }

        File.WriteAllText(Path, string.Join('\n', more) + "\n");
        WriteCluster(workers: "6");
        Done("apply", "--auto-approve");
        var again = HistoryChain.Read(File.ReadAllText(Path));
        Assert.That(again.Problems, Is.Empty);
        Assert.That(again.Dropped + again.Entries.Length, Is.EqualTo(chain.Dropped + 999 + 1));
    }

    [Test]
    public void Hosts_that_contradict_each_other_are_named()
    {
        var (first, second) = (Entry("1", 1), Entry("2", 2));
        var whole = Chain(first, second);
        Assert.That(Found(("a", whole), ("b", whole)).Diagnostics, Is.Empty);
        Assert.That(Found(("a", whole), ("b", "")).Diagnostics, Is.Empty, "a host that was made anew");
        Assert.That(Found(("a", whole), ("b", Chain(second))).Diagnostics, Is.Empty, "a file that was made anew");

        var lacking = Found(("a", whole), ("b", Chain(first)));
        Assert.That(lacking.Diagnostics.Single().Summary, Is.EqualTo($"b: its history lacks the apply {second.Id}, which a has"));
        var other = Found(("a", whole), ("b", Chain(first, second with { User = "somebody" })));
        Assert.That(other.Diagnostics.Single().Summary, Is.EqualTo($"a and b say different things about {second.Id}"));
        Assert.That(other.Applies.Select(one => one.Entry.Id), Is.EqualTo(new[] { second.Id, first.Id }), "the newest first");
        Assert.That(other.Applies[0].Places, Is.EqualTo(new[] { "a", "b" }));

        static HistoryFound Found(params (string Host, string Text)[] hosts) =>
            HistoryFound.Of("f", hosts.Select(host => (host.Host, (HistoryFile?)new HistoryFile([], host.Text), (string?)null)));

        static HistoryEntry Entry(string id, int minute) =>
            new(
                id.PadLeft(32, '0'),
                DateTimeOffset.UnixEpoch,
                DateTimeOffset.UnixEpoch.AddMinutes(minute),
                "apply",
                "u",
                "m",
                "1",
                HistoryResult.Done
            )
            {
                Hosts = ["a", "b"],
            };

        static string Chain(params HistoryEntry[] entries)
        {
            var previous = HistoryChain.Beginning;
            var text = "";
            foreach (var entry in entries)
            {
                var line = HistoryChain.Line(entry, previous);
                text += line + "\n";
                previous = HistoryChain.HashOf(line);
            }

            return text;
        }
    }
}
