using System.CommandLine;
using System.Diagnostics;
using KeyBuzz.Reconciler.Cli.Commands;

namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary>What kbr makes of its words, its output, its prompt and its signals.</summary>
[TestFixture, NonParallelizable]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed class CommandLineTests : LocalCluster
{
    [TestCase("plan", "--parallelism", "abc", ExpectedResult = "Error: --parallelism must be a whole number of at least 1, not 'abc'")]
    [TestCase("apply", "--parallelism", "0", ExpectedResult = "Error: --parallelism must be a whole number of at least 1, not '0'")]
    [TestCase(
        "apply",
        "--parallelism",
        "99999999999",
        ExpectedResult = "Error: --parallelism must be a whole number of at least 1, not '99999999999'"
    )]
    [TestCase("drill", "--timeout", "x", ExpectedResult = "Error: --timeout must be a whole number of at least 10, not 'x'")]
    [TestCase("drill", "--timeout", "-5", ExpectedResult = "Error: --timeout must be a whole number of at least 10, not '-5'")]
    [TestCase(
        "apply",
        "--lock-timeout",
        "5",
        ExpectedResult = "Error: --lock-timeout must be a time such as 500ms, 30s, 5m or 1h, not '5'"
    )]
    [TestCase("status", "--watch", "0", ExpectedResult = "Error: --watch must be a whole number of seconds of at least 1, not '0'")]
    [TestCase("status", "--out", "x", ExpectedResult = "Error: --out needs --format")]
    [TestCase("plan", "--replace", "directory.*@db-1", ExpectedResult = "Error: --replace 'directory.*@db-1' is not an address")]
    [TestCase("--target", "*@db-1", "status", ExpectedResult = "Error: status has no option --target")]
    [TestCase("plan", "--jsn", ExpectedResult = "Error: kbr plan has no option '--jsn'")]
    [TestCase("show", "f.plan", "--parallelism", "1", ExpectedResult = "Error: kbr show has no option '--parallelism'")]
    [TestCase("pln", ExpectedResult = "Error: kbr has no command 'pln'")]
    [TestCase("version", "x", ExpectedResult = "Error: kbr version takes no argument 'x'")]
    [TestCase("show", ExpectedResult = "Error: Required argument 'PLAN' missing for command: 'show'")]
    [TestCase(
        "drift",
        "--format",
        "x",
        ExpectedResult = "Error: Argument 'x' not recognized. Must be one of: 'json' 'junit' 'markdown' 'prometheus' 'sarif' 'text'"
    )]
    public string An_invalid_option_value_is_an_error_that_names_both(params string[] words) => Refused(words).Split('\n')[0];

    [Test]
    public void Kbr_alone_and_a_group_of_commands_alone_print_their_help()
    {
        Assert.That(Done(), Does.Contain("Usage:").And.Contain("drill"));
        Assert.That(Done("state"), Does.Contain("Usage:").And.Contain("pull"));
        Assert.That(Kbr("nonsense").Exit, Is.EqualTo(1));
    }

    [Test]
    public void A_typo_gets_two_lines_with_the_word_that_was_meant_and_not_the_whole_help()
    {
        var (exit, output, error) = Kbr("plan", "--targt", "x");
        Assert.That(exit, Is.EqualTo(1));
        Assert.That(output, Is.Empty);
        Assert.That(error, Is.EqualTo("Error: kbr plan has no option '--targt'\n  → did you mean '--target'? kbr plan --help\n"));

        (exit, output, error) = Kbr("plan", "--targt", "x", "--json");
        Assert.That(exit, Is.EqualTo(1));
        Assert.That(JsonSchemas.Problems(output), Is.Empty);
        Assert.That(output, Does.Contain("has no option").And.Contain("--target"));
        Assert.That(error, Is.Empty);
    }

    [Test]
    public void The_help_of_plan_shows_out_as_other_options_and_takes_it_as_Terraform_spells_it()
    {
        Assert.That(Done("plan", "--help"), Does.Contain(" --out <FILE>").And.Not.Contain("-out,"));
        Done("plan", "-out", "one.plan");
        Done("plan", "-out=two.plan");
        Assert.That(File.Exists($"{Folder}/one.plan") && File.Exists($"{Folder}/two.plan"), Is.True);
        Assert.That(
            KbrCommandLine.Spelled(["plan", "-target=x", "-replace", "y", "-c", "-outer", "--", "-out"]),
            Is.EqualTo(new[] { "plan", "--target=x", "--replace", "y", "-c", "-outer", "--", "-out" }),
            "and what follows is for another program"
        );
    }

    [Test]
    public void A_saved_plan_says_a_command_that_does_it_when_it_is_pasted()
    {
        Directory.CreateDirectory($"{Folder}/a folder");
        foreach (var name in new[] { "cluster.yaml", "credentials" })
        {
            Directory.CreateSymbolicLink($"{Folder}/a folder/{name}", $"{Folder}/{name}");
        }

        var said = Kbr("plan", "--out", "it's.plan", "-c", "a folder/cluster.yaml").Error;
        var command = said[(said.IndexOf("To do exactly this: kbr ", StringComparison.Ordinal) + "To do exactly this: kbr ".Length)..]
            .Trim();
        Assert.That(command, Is.EqualTo(@"apply 'it'\''s.plan' -c 'a folder/cluster.yaml'"));
        var (exit, output) = Shell($"{KbrProgram.Path} {command}");
        Assert.That(exit, Is.Zero, output);
        Assert.That(output, Does.Contain("Apply complete! Resources: 2 created,"));
    }

    [Test]
    public void Output_that_cannot_be_written_is_an_error_and_stops_no_apply()
    {
        foreach (
            var command in new[]
            {
                "apply --auto-approve > /dev/full",
                "graph > /dev/full",
                "--help > /dev/full",
                "drift --json > /dev/full",
                "validate >&-",
            }
        )
        {
            var (exit, output) = Shell($"{KbrProgram.Path} {command}");
            Assert.That(exit, Is.EqualTo(1), command + output);
            Assert.That(output, Does.StartWith("Error: the output could not be written: ").And.Not.Contain(" at System."), command);
        }

        Assert.That(File.Exists(ConfigFile), Is.True, "the apply was done");
        Assert.That(Kbr("drift").Exit, Is.Zero, "and recorded");
        Assert.That(
            Shell($"{KbrProgram.Path} graph | head -1"),
            Is.EqualTo((0, $"digraph \"{Name}\" {{\n")),
            "who reads no further has read enough"
        );
    }

    [Test]
    public void A_copy_of_the_records_that_cannot_be_written_is_an_error_after_the_apply()
    {
        File.CreateSymbolicLink($"{Folder}/state", $"{Folder}/nowhere/at/all");
        File.WriteAllText($"{Folder}/nowhere", "a file in the way");

        var (exit, output, error) = Kbr("apply", "--auto-approve");

        Assert.That(exit, Is.EqualTo(1), output + error);
        Assert.That(output, Does.Contain("Apply complete! Resources: 2 created,"));
        Assert.That(
            error,
            Does.StartWith($"Error: ")
                .And.Contain($"state/{Name}.json cannot be written")
                .And.Contain("kbr state pull")
                .And.Not.Contain("internal error")
        );
    }

    [Test]
    public void Ctrl_C_at_the_question_ends_kbr_and_nothing_is_changed()
    {
        // A terminal of its own, whose Ctrl-C the kernel turns into the signal. Without "exec", a shell that stays around kbr (dash does,
        // bash does not) gets the signal too and ends with 130.
        using var process = Process.Start(
            new ProcessStartInfo("script", ["-qec", $"exec {KbrProgram.Path} apply --no-color", "/dev/null"])
            {
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
                WorkingDirectory = Folder,
                Environment = { ["TERM"] = "dumb", ["SHELL"] = "/bin/sh" },
            }
        )!;
        var said = Read(process, "Type 'yes' to confirm: ");
        process.StandardInput.Write('\x03');
        process.StandardInput.Flush();
        said += process.StandardOutput.ReadToEnd();

        Assert.That(process.WaitForExit(TimeSpan.FromSeconds(30)), Is.True);
        Assert.That(process.ExitCode, Is.EqualTo(1), said);
        Assert.That(
            said,
            Does.Contain("Error: apply was interrupted before an answer; nothing was changed").And.Not.Contain("internal error")
        );
        Assert.That(File.Exists(ConfigFile), Is.False);
    }

    [TestCase("HUP", "", 1, TestName = "A closed terminal lets running changes finish and begins no other")]
    [TestCase("TERM", "", 1, TestName = "SIGTERM lets running changes finish and begins no other")]
    [TestCase("HUP", "nohup ", 0, TestName = "Under nohup a closed terminal changes nothing")]
    public void Signals(string signal, string before, int exit)
    {
        // Locks and the second look come first; the file's check holds the apply up.
        WriteCluster(
            more: """
              - { type: config_file, name: slow, host: db-1, path: FOLDER/slow.conf, content: a, validate: "touch FOLDER/begun; sleep 2" }
              - { type: directory, name: later, host: db-1, path: FOLDER/later, requires: [config_file.slow@db-1] }
            """
        );
        var kbr = Task.Run(() => Shell($"{before}{KbrProgram.Path} apply --auto-approve & kbr=$!; echo $kbr > pid; wait $kbr"));
        Ssh.Wait.Until(() => File.Exists($"{Folder}/host/begun") || kbr.IsCompleted, "the slow file");
        Shell($"kill -{signal} $(cat pid)");
        var (code, output) = kbr.Result;

        Assert.That(code, Is.EqualTo(exit), output);
        Assert.That(File.Exists($"{Folder}/host/slow.conf"), Is.True, "what ran was finished: " + output);
        Assert.That(Directory.Exists($"{Folder}/host/later"), Is.EqualTo(exit == 0), output);
        Assert.That(output, exit == 0 ? Does.Not.Contain("Interrupted") : Does.Contain("Interrupted. Finishing what is running."));
    }

    [Test]
    public async Task Every_option_that_a_command_offers_is_read_by_it()
    {
        var read = new HashSet<(string, string)>();
        OptionReading.Observed = (command, option) => read.Add((PathOf(command), option.Name));
        var (output, error) = (Console.Out, Console.Error);
        await using var services = KbrCommandLine.Services();
        var root = KbrCommandLine.Create(services);
        try
        {
            Console.SetOut(TextWriter.Null);
            Console.SetError(TextWriter.Null);
            foreach (
                var words in (string[][])
                    [
                        ["validate"],
                        ["plan", "--out", $"{Folder}/f.plan"],
                        ["show", $"{Folder}/f.plan"],
                        ["apply", $"{Folder}/f.plan"],
                        ["apply", "--auto-approve"],
                        ["destroy", "--auto-approve"],
                        ["destroy", "--delete-data"],
                        ["import"],
                        ["drift"],
                        ["state", "list"],
                        ["state", "show", "*"],
                        ["state", "pull"],
                        ["state", "rm", "*"],
                        ["state", "mv", "directory.spare@db-1", "directory.other@db-1"],
                        ["status"],
                        ["check"],
                        ["check", "--ports"],
                        ["check", "tls"],
                        ["graph"],
                        ["switchover"],
                        ["restart"],
                        ["fence", "db-1"],
                        ["unfence", "db-1"],
                        ["relief", "db-1"],
                        ["drill"],
                        ["backups", "prove"],
                        ["restore", "--to", "latest"],
                        ["restore", "look"],
                        ["restore", "undo"],
                        ["restore", "confirm"],
                        ["recover"],
                        ["recover", "confirm"],
                        ["backup", "--full"],
                        ["backups"],
                        ["backups", "check"],
                        ["connect"],
                        ["connect", "--ca"],
                        ["members"],
                        ["logs", "patroni"],
                        ["renew"],
                        ["unlock"],
                        ["history"],
                        ["images", "build", "--on", "nowhere", "--postgres", "17"],
                        ["monitoring", "render", "--out", $"{Folder}/prometheus"],
                        ["init", "--credentials"],
                        ["init", "--members", "127.0.0.1", "--proxies", "127.0.0.2"],
                        ["completion", "bash"],
                        ["man"],
                        ["man", "--out", $"{Folder}/man1"],
                        ["fmt", $"{Folder}/cluster.yaml"],
                        ["explain"],
                        ["schema"],
                        ["version"],
                    ]
            )
            {
                string[] file =
                    words[0] is "completion" or "man" or "explain" or "schema" or "version" or "fmt" ? []
                    : words is ["init", "--members", ..] ? ["-c", $"{Folder}/another.yaml"]
                    : ["-c", $"{Folder}/cluster.yaml"];
                await root.Parse([.. words, .. file]).InvokeAsync();
            }
        }
        finally
        {
            Console.SetOut(output);
            Console.SetError(error);
            OptionReading.Observed = null;
        }

        var offered = Commands(root)
            .Where(command => command.Subcommands.Count == 0)
            .SelectMany(command =>
                command
                    .Options.Where(option => option.Name is not ("--help" or "--version"))
                    .Select(option => (PathOf(command), option.Name))
            )
            .ToList();
        Assert.That(offered, Has.Count.GreaterThan(100));
        Assert.That(offered.Except(read), Is.Empty, "offered, and ignored");

        static IEnumerable<Command> Commands(Command command) => command.Subcommands.SelectMany(Commands).Prepend(command);
        static string PathOf(Command command) =>
            string.Join(
                ' ',
                command
                    .Parents.OfType<Command>()
                    .Where(parent => parent is not RootCommand)
                    .Select(parent => parent.Name)
                    .Append(command.Name)
            );
    }

    private (int Exit, string Output) Shell(string command)
    {
        using var process = Process.Start(
            new ProcessStartInfo("bash", ["-c", $"exec 2>&1; {command}"])
            {
                RedirectStandardOutput = true,
                RedirectStandardInput = true,
                WorkingDirectory = Folder,
            }
        )!;
        process.StandardInput.Close();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output);
    }

    private static string Read(Process process, string until)
    {
        var said = new System.Text.StringBuilder();
        while (!said.ToString().EndsWith(until, StringComparison.Ordinal) && process.StandardOutput.Read() is >= 0 and var c)
        {
            said.Append((char)c);
        }

        return said.ToString();
    }
}
