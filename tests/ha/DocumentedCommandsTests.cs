using System.Text.RegularExpressions;
using KeyBuzz.Reconciler.LabTests;

namespace KeyBuzz.Reconciler.HaTests;

/// <summary>Every command of a block of the documentation: it runs here, on the cluster under test, or in the test that
/// <see cref="DocumentedCommands"/> names.</summary>
[TestFixture]
[DependsOnFixture(typeof(InstallTests), AllowFailure = true)]
public sealed class DocumentedCommandsTests
{
    private readonly string _folder = Directory.CreateTempSubdirectory("kbr-documented-").FullName;

    [OneTimeTearDown]
    public void DeleteFolder() => Directory.Delete(_folder, recursive: true);

    [Test]
    public void Every_command_that_only_reads_runs()
    {
        var bin = Directory.CreateDirectory(Path.Combine(_folder, "bin")).FullName;
        File.CreateSymbolicLink(Path.Combine(bin, "kbr"), Workspace.Tool);
        var commands = DocumentedCommands.All().Select(command => command.Text).Distinct().Except(DocumentedCommands.Listed()).ToList();
        Assert.That(commands, Has.Count.GreaterThan(45));
        Assert.That(
            commands.Except(DocumentedCommands.OnHost).Where(command => !DocumentedCommands.MayRun(command)),
            Is.Empty,
            "a command that may change a cluster or this machine: name where it runs, or why it cannot"
        );

        Assert.Multiple(() =>
        {
            foreach (var command in commands)
            {
                var outcome = DocumentedCommands.OnHost.Contains(command)
                    ? Lab.Run(Lab.Root, Path.Combine(Lab.Root, "lab/ssh"), Ha.Members[0], command)
                    : Lab.Run(
                        FolderOf(command),
                        "bash",
                        "-euo",
                        "pipefail",
                        "-c",
                        $"PATH={bin}:$PATH; {DocumentedCommands.OnLab(command)}"
                    );
                TestContext.Out.WriteLine($"{outcome.ExitCode}  {command}");
                Assert.That(outcome.ExitCode, Is.Zero, $"{command}: {outcome.All}");
                Assert.That(outcome.All, Does.Not.Contain("canary-"), $"{command} shows a secret");
            }
        });
    }

    [Test]
    public void A_command_that_runs_elsewhere_is_documented_and_its_test_runs_it()
    {
        var documented = DocumentedCommands.All().Select(command => command.Text).ToHashSet(StringComparer.Ordinal);

        Assert.Multiple(() =>
        {
            Assert.That(DocumentedCommands.Listed().Concat(DocumentedCommands.OnHost).Except(documented), Is.Empty, "no page has them");
            Assert.That(DocumentedCommands.Listed(), Is.Unique);
            foreach (var (command, file, text) in DocumentedCommands.Elsewhere)
            {
                Assert.That(File.ReadAllText(Path.Combine(Lab.Root, file)), Does.Contain(text), $"{command}: {file}");
            }

            foreach (var (command, reason) in DocumentedCommands.Nowhere)
            {
                Assert.That(reason, Does.Contain(' '), command);
            }
        });
    }

    [TestCase("kbr plan", ExpectedResult = true)]
    [TestCase("./kbr status --json | jq .", ExpectedResult = true)]
    [TestCase("./kbr destroy --auto-approve -c lab/cluster-ha.yaml", ExpectedResult = false)]
    [TestCase("kbr plan && kbr restore --to latest", ExpectedResult = false)]
    [TestCase("kbr backup", ExpectedResult = false)]
    [TestCase("kbr backups", ExpectedResult = true)]
    [TestCase("kbr state mv a b", ExpectedResult = false)]
    [TestCase("rm -r /var/lib/kbr", ExpectedResult = false)]
    public bool A_command_that_changes_more_than_files_beside_the_configuration_is_not_run(string command) =>
        DocumentedCommands.MayRun(command);

    [Test]
    public void A_block_of_commands_is_told_from_an_output()
    {
        string[] found =
        [
            .. DocumentedCommands
                .Of(
                    "a.md",
                    "Text.\n\n    kbr plan   # changes nothing\n\n    NOT OK   units\n\n```\n$ kbr x\n```\n```sh\n# as root\ndocker rm a\n```\n"
                )
                .Select(command => command.Text),
        ];

        Assert.That(found, Is.EqualTo(new[] { "kbr plan", "docker rm a" }));
    }

    // init writes new files, which it never does over others; everything else runs beside the cluster's file.
    private string FolderOf(string command)
    {
        if (!command.StartsWith("kbr init --", StringComparison.Ordinal) || command == "kbr init --credentials")
        {
            return HaSetUp.Workspace.Directory;
        }

        var folder = Directory.CreateDirectory(Path.Combine(_folder, Guid.NewGuid().ToString("N"))).FullName;
        var quickstart = File.ReadAllText(Path.Combine(Lab.Root, "docs/quickstart.md"));
        File.WriteAllText(Path.Combine(folder, "servers.tsv"), Regex.Match(quickstart, "(?ms)^```tsv\n(.*?)^```$").Groups[1].Value);
        File.WriteAllText(
            Path.Combine(folder, "inventory.ini"),
            """
            [postgres]
            db-1 ansible_host=127.0.0.1
            db-2 ansible_host=127.0.0.2
            db-3 ansible_host=127.0.0.3
            [haproxy]
            lb-1 ansible_host=127.0.0.4
            lb-2 ansible_host=127.0.0.5

            """
        );
        return folder;
    }
}
