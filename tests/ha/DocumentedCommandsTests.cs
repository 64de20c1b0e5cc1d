using System.Text.RegularExpressions;
using KeyBuzz.Reconciler.LabTests;

namespace KeyBuzz.Reconciler.HaTests;

/// <summary>Every command of a block of the documentation: it runs here, on the cluster under test, or in the test that
/// <see cref="DocumentedCommands"/> names.</summary>
[TestFixture]
[Category(Ha.Slice1)]
[DependsOnFixture(typeof(InstallTests), AllowFailure = true)]
public sealed class DocumentedCommandsTests
{
    private readonly string _folder = Directory.CreateTempSubdirectory("kbr-documented-").FullName;

    [OneTimeTearDown]
    public void DeleteFolder() => Directory.Delete(_folder, recursive: true);

    [Test]
    public void Every_command_that_only_reads_runs()
    {
        var commands = DocumentedBlocks.All().Select(command => command.Text).Distinct().Except(DocumentedCommands.Listed()).ToList();
        Assert.That(commands, Has.Count.GreaterThan(40));
        Assert.That(
            commands.Where(command => !DocumentedCommands.MayRun(DocumentedCommands.OnLab(command))),
            Is.Empty,
            "a command that may change a cluster or this machine: name where it runs, or why it cannot"
        );

        Assert.Multiple(() =>
        {
            foreach (var command in commands)
            {
                var folder = FolderOf(command);
                var outcome = Shell(folder, command);
                TestContext.Out.WriteLine($"{outcome.ExitCode}  {command}");
                Assert.That(outcome.ExitCode, Is.Zero, $"{command}: {outcome.All}");
                var written = Regex.Match(DocumentedCommands.OnLab(command), @"(?:> |--out )(\S+)").Groups[1].Value;
                var file = Path.Combine(folder, written);
                var said = File.Exists(file) ? File.ReadAllText(file) : outcome.Output;
                Assert.That(said, Is.Not.Empty.Or.EqualTo(DocumentedCommands.Quiet.Contains(command) ? "" : null), command);
                foreach (var (_, pattern) in DocumentedCommands.Says.Where(one => one.Command == command))
                {
                    Assert.That(said, Does.Match(pattern), command);
                }
            }
        });
        Assert.That(DocumentedCommands.Says.Select(one => one.Command).Except(commands), Is.Empty);
    }

    [Test]
    public void Every_command_for_a_member_runs_there()
    {
        var host = Ha.Members[0];
        Lab.OnHost(host, $"echo none >{DocumentedCommands.Damaged}");
        try
        {
            Assert.Multiple(() =>
            {
                foreach (var (command, said) in DocumentedCommands.OnHost)
                {
                    Assert.That(Lab.OnHost(host, command), Does.Match(said), command);
                }
            });
        }
        finally
        {
            Lab.OnHost(host, $"rm {DocumentedCommands.Damaged}");
        }
    }

    [Test]
    public void A_filter_of_JSON_finds_what_it_is_for()
    {
        // A login that PostgreSQL refuses to PgBouncer, a directory that is not made, and a disk that is too small.
        var yaml = HaSetUp.Workspace.Yaml;
        var balancer = Regex.Match(yaml, @"load_balancer: \{ address: ([0-9.]+)").Groups[1].Value;
        var password = Ha.Secret("PGBOUNCER_STATS_PASS");
        var refused = Lab.Run(
            Lab.Root,
            "bash",
            "-c",
            $"printf '%s\\n' {password} | lab/ssh {Ha.Proxies[0]} 'docker exec -i pgbouncer sh -c \"IFS= read -r PGPASSWORD; export PGPASSWORD; "
                + $"exec psql -X -h {balancer} -p 6432 -U kbr_stats -d {Ha.Database} -c SELECT\"'"
        );
        Assert.That(refused.Error, Does.Contain("password authentication failed"), refused.All);
        try
        {
            HaSetUp.Workspace.Yaml =
                yaml + "resources:\n  - { type: directory, name: documented, host: db-master-01, path: /srv/undeclared/documented }\n";
            var planned = Filtered(0);
            Assert.That(planned.Output, Is.EqualTo("create directory.documented@db-master-01\n"), planned.All);
            Assert.That(
                Filtered(1).Output,
                Does.Match("^\\{.*\"event\":\"failed\".*\"address\":\"directory.documented@db-master-01\".*\\}\n$")
            );
            HaSetUp.Workspace.Yaml = Regex.Replace(yaml, "free: [0-9A-Za-z]+ }", "free: 900TiB }");
            Assert.That(Filtered(2).Output, Is.EqualTo(string.Concat(Lab.Hosts.Select(host => $"\"{host}\"\n"))));
        }
        finally
        {
            HaSetUp.Workspace.Yaml = yaml;
            // The directory that was not made has a record.
            HaSetUp.Workspace.Apply();
        }

        Assert.That(Filtered(3).Output, Does.Match("(?m)^20[0-9-]+T[0-9:.]+Z haproxy-0[12]$"));

        Outcome Filtered(int index) => Shell(HaSetUp.Workspace.Directory, DocumentedCommands.Filters[index]);
    }

    [Test]
    public void A_command_that_opens_a_shell_is_on_that_host()
    {
        foreach (var command in DocumentedCommands.Shells)
        {
            var lab = Environment.GetEnvironmentVariable("KBR_LAB");
            var here = Regex.Replace(command, "^KBR_LAB=b", $"KBR_LAB={lab}");
            var outcome = Lab.Run(Lab.Root, "bash", "-c", $"echo hostname | {here}");
            Assert.That("\n" + outcome.Output, Does.EndWith("\ndb-master-01\n"), $"{here}: {outcome.All}");
        }
    }

    [Test]
    public void The_commands_for_a_registry_name_the_pushed_image_by_its_digest()
    {
        var image = Lab.Images();
        var published = Regex.Match(HaSetUp.Workspace.Yaml, @"ssh: \{ host: (127\.0\.\d+\.)120").Groups[1].Value + "5:5000";
        var tag = $"{published}/kbr/patroni:17-4.0.7";
        string[] said =
        [
            .. DocumentedCommands
                .WithRegistry.Select(command => command.Replace("registry.example.com", published, StringComparison.Ordinal))
                .Prepend($"docker tag {image["PATRONI_ID"]} {tag}")
                // The digest in this registry would be the first of the image in the run on another lab, too.
                .Append($"docker rmi {tag}")
                .Select(command => Shell(_folder, command).Output),
        ];

        Assert.That(said[^2], Does.Match($"^{Regex.Escape(published)}/kbr/patroni@sha256:[0-9a-f]{{64}}\n$"));
    }

    [Test]
    public void A_command_that_runs_elsewhere_is_documented_and_its_test_runs_it()
    {
        var documented = DocumentedBlocks.All().Select(command => command.Text).ToHashSet(StringComparer.Ordinal);

        Assert.Multiple(() =>
        {
            Assert.That(DocumentedCommands.Listed().Except(documented), Is.Empty, "no page has them");
            Assert.That(DocumentedCommands.Listed(), Is.Unique);
            foreach (var (command, file, text) in DocumentedCommands.Elsewhere)
            {
                var runs = File.ReadAllText(Path.Combine(Lab.Root, file)).Contains(text, StringComparison.Ordinal);
                Assert.That(runs, Is.True, $"{file} has no {text}, and so may not run: {command}");
            }

            foreach (var (command, reason) in DocumentedCommands.Nowhere)
            {
                Assert.That(reason, Does.Contain(' '), command);
            }
        });
    }

    [Test]
    public void The_recorded_demo_has_the_commands_that_the_demo_runs()
    {
        var demo = File.ReadAllText(Path.Combine(Lab.Root, "eng/demo.sh"));
        var run = Regex
            .Matches(demo, @"(?m)^ *expect \d+ \d+ (.*)$")
            .Select(match => match.Groups[1].Value.Replace("\"$file\"", "lab/cluster-ha.yaml", StringComparison.Ordinal))
            .Prepend("eng/demo.sh")
            .ToList();

        Assert.That(run, Has.Count.GreaterThan(8));
        Assert.That(DocumentedBlocks.With("docs/demo.md", "eng/demo.sh"), Is.EqualTo(run));
    }

    [Test]
    public void A_block_with_a_command_begins_with_one()
    {
        var found = DocumentedBlocks.All().ToHashSet();
        var lines = DocumentedBlocks.Pages().SelectMany(DocumentedBlocks.Programs).ToList();

        Assert.That(lines, Has.Count.GreaterThan(100));
        Assert.That(lines.Except(found), Is.Empty, "lines of blocks that are taken for outputs");
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

    [TestCase("Text.\n\n    kbr plan   # changes nothing\n\n    NOT OK   units\n\n```\nkbr-x\n```\n", "kbr plan")]
    [TestCase("```sh\n# as root\ndocker rm a\nx=1; y\n```\n", "docker rm a|x=1; y")]
    [TestCase("```\n$ kbr apply x.plan\nError: no\n$ kbr plan\n```\n", "kbr apply x.plan|kbr plan")]
    [TestCase("```\n# /etc/cron.d/a\n*/5 0-3 * * 1,2 root cd /a && kbr status\n```\n", "cd /a && kbr status")]
    [TestCase("```yaml\nkbr plan\n```\n", "")]
    public void A_block_of_commands_is_told_from_an_output(string text, string commands) =>
        Assert.That(string.Join('|', DocumentedBlocks.Of("a.md", text).Select(command => command.Text)), Is.EqualTo(commands));

    private Outcome Shell(string folder, string command)
    {
        var bin = Directory.CreateDirectory(Path.Combine(_folder, "bin")).FullName;
        var link = Path.Combine(bin, "kbr");
        if (!File.Exists(link))
        {
            File.CreateSymbolicLink(link, Workspace.Tool);
        }

        var outcome = Lab.Run(folder, "bash", "-euo", "pipefail", "-c", $"PATH={bin}:$PATH; {DocumentedCommands.OnLab(command)}");
        Assert.That(outcome.All, Does.Not.Contain("canary-"), $"{command} shows a secret");
        return outcome;
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
