using System.Reflection;
using System.Text;
using System.Text.Json;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.Providers;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Ssh;

namespace KeyBuzz.Reconciler.Tests.Reads;

/// <summary>The set of reads is closed, and every read has a sample.</summary>
[TestFixture]
public sealed class ReadListTests
{
    public static IEnumerable<TestCaseData> Samples =>
        ReadSamples.All.Select(sample => new TestCaseData(sample).SetArgDisplayNames($"{sample.Read}"));

    [Test]
    public void The_list_holds_these_reads_and_no_others() =>
        Assert.That(
            ReadList.Probe.Types.Select(type => type.Name),
            Is.EquivalentTo(
                new[]
                {
                    "BlockDeviceRead",
                    "ClockRead",
                    "CommandsRead",
                    "ContainerRead",
                    "DiskSpaceRead",
                    "DisksRead",
                    "EtcdRead",
                    "FileRead",
                    "HaproxyCheckRead",
                    "HistoryRead",
                    "HttpRead",
                    "ImageRead",
                    "LockRead",
                    "MountsRead",
                    "PgBackRestRead",
                    "PoolerRead",
                    "PortRead",
                    "RaftRead",
                    "RecordsRead",
                    "RepositoryDirectoryRead",
                    "ServicesRead",
                    "SqlRead",
                    "StatRead",
                    "TlsLoginRead",
                    "TlsRead",
                    "UnitRead",
                }
            ),
            "a new read is a decision: it runs as root on every host in a plan"
        );

    [Test]
    public void Every_type_of_read_is_in_the_list()
    {
        Assembly[] ours =
        [
            typeof(Read).Assembly,
            typeof(ReadList).Assembly,
            typeof(SshConnector).Assembly,
            typeof(PostgresBlueprint).Assembly,
            typeof(Terminal).Assembly,
        ];
        var reads = ours.SelectMany(assembly => assembly.GetTypes()).Where(type => type.IsSubclassOf(typeof(Read)) && !type.IsAbstract);
        Assert.That(reads, Is.EquivalentTo(ReadList.Probe.Types));
    }

    [Test]
    public void A_container_is_the_only_source_of_a_log() =>
        Assert.That(
            new[] { typeof(Read).Assembly, typeof(ReadList).Assembly, typeof(PostgresBlueprint).Assembly, typeof(Terminal).Assembly }
                .SelectMany(assembly => assembly.GetTypes())
                .Where(type => type.IsSubclassOf(typeof(HostLog)))
                .Select(type => type.Name),
            Is.EqualTo(new[] { "ContainerLog" }),
            "a log is printed by a command that runs as root"
        );

    [Test]
    public void A_read_that_is_not_in_the_list_is_refused() =>
        Assert.That(
            () => ReadList.Probe.Render([new Stranger()], ReadSamples.Nonce),
            Throws.ArgumentException.With.Message.Contains("Stranger is not in the list of reads")
        );

    [Test]
    public void Every_read_has_a_sample() =>
        Assert.That(ReadSamples.All.Select(sample => sample.Read.GetType()).Distinct(), Is.EquivalentTo(ReadList.Probe.Types));

    [TestCaseSource(nameof(Samples))]
    public void A_read_is_asked_and_its_answer_is_understood(ReadSample sample) =>
        Assert.Multiple(() =>
        {
            Assert.That(ReadList.Probe.Render([sample.Read], ReadSamples.Nonce, "fd00::1"), Does.Contain(sample.Shell));
            Assert.That(AnswerOf(sample.Read, sample.Printed), Is.EqualTo(sample.Answer));
            Assert.That(AnswerOf(sample.Read, ""), Is.EqualTo(sample.Nothing), "nothing was printed");
        });

    [Test]
    public void Files_that_could_not_be_printed_together_are_taken_one_by_one_and_one_that_is_cut_off_is_an_error()
    {
        FileRead[] reads = [new("/etc/a"), new("/etc/gone")];
        const string End = $"\n{ReadSamples.Nonce} end 0\n";
        var alone = Parse(
            $"\n{ReadSamples.Nonce} there ,0,1\nhalf\n{ReadSamples.Nonce} files 1\nwhole\n{ReadSamples.Nonce} f0 0\n\n{ReadSamples.Nonce} f1 none\n"
        );

        Assert.That((alone.Get(reads[0])?.Text, alone.Get(reads[1])), Is.EqualTo(("whole", (FileContent)null!)));
        Assert.That(
            () => Parse($"\n{ReadSamples.Nonce} there ,0\nhalf\n{ReadSamples.Nonce} files 0\n"),
            Throws.InstanceOf<InvalidDataException>().With.Message.Contains("/etc/a is there and was not printed")
        );

        Snapshot Parse(string printed) => ReadList.Probe.Parse(reads, ReadSamples.Nonce, Encoding.UTF8.GetBytes(printed + End));
    }

    // Two kinds whose parts have the same label would take each other's answers. Reads of a container or an image are numbered together,
    // and every read inside a container has the part of the container beside its own.
    [Test]
    public void Each_kind_of_read_has_parts_of_its_own()
    {
        var shared = ReadSamples
            .All.SelectMany(sample => LabelsOf(sample).Select(label => (Label: label, Kind: KindOf(sample.Read, label))))
            .Append((Label: "end", Kind: "the end of the answer"))
            .GroupBy(part => part.Label, part => part.Kind)
            .Select(part => (Label: part.Key, Kinds: string.Join(" and ", part.Distinct())))
            .Where(part => part.Kinds.Contains(" and ", StringComparison.Ordinal));
        Assert.Multiple(() =>
        {
            Assert.That(ReadSamples.All.Where(sample => LabelsOf(sample).Length == 0), Is.Empty, "its label is known");
            Assert.That(shared, Is.Empty);
        });

        static string[] LabelsOf(ReadSample sample) =>
            [
                .. sample
                    .Printed.Split('\n')
                    .Where(line => line.StartsWith('@'))
                    .Select(line => line[1..].Split(' ')[0].TrimEnd("0123456789".ToCharArray())),
            ];
        static string KindOf(Read read, string label) =>
            read is DockerRead ? nameof(DockerRead)
            : read is IContainerRead && label == "x" ? nameof(IContainerRead)
            : read.GetType().Name;
    }

    private static string AnswerOf(Read read, string printed)
    {
        // As `end` prints it: a line break of its own before the nonce.
        var output = string.Concat(
            printed.Split('\n').Select(line => line is ['@', .. var part] ? $"\n{ReadSamples.Nonce} {part}\n" : line + "\n")
        );
        var snapshot = ReadList.Probe.Parse([read], ReadSamples.Nonce, Encoding.UTF8.GetBytes($"{output}\n{ReadSamples.Nonce} end 0\n"));
        var get = typeof(Snapshot).GetMethod(nameof(Snapshot.Get))!;
        var answer = read.GetType().BaseType;
        while (answer is not { IsGenericType: true })
        {
            answer = answer!.BaseType;
        }

        return JsonSerializer.Serialize(get.MakeGenericMethod(answer.GetGenericArguments()).Invoke(snapshot, [read]));
    }

    private sealed record Stranger : Read<string>;
}
