using System.Diagnostics;

namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary>What a shell completes: commands, options, and the names of the cluster file; no host is reached.</summary>
[TestFixture]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed class CompletionTests
{
    private const string Canary = "canary-of-the-completion";

    private readonly string _folder = Directory.CreateTempSubdirectory("kbr-completion-").FullName;

    [OneTimeSetUp]
    public void Write()
    {
        Directory.CreateDirectory(_folder + "/credentials");
        // Nothing answers at these addresses.
        File.WriteAllText(
            _folder + "/cluster.yaml",
            """
            version: 1
            cluster: completion
            hosts:
              db-1: { role: db, address: 192.0.2.1 }
              db-2: { role: db, address: 192.0.2.2 }
            resources:
              - { type: directory, name: spare, host: db, path: /srv/spare }
              - { type: config_file, name: app, host: db-1, path: /srv/app.conf, mode: "0600", content: "${secret.APP}" }
            """
        );
        File.WriteAllText(_folder + "/credentials/secrets.env", $"APP={Canary}\nKBR_KEY={Canary}\n");
        File.SetUnixFileMode(_folder + "/credentials/secrets.env", UnixFileMode.UserRead);
        File.WriteAllText(_folder + "/broken.yaml", "version: [");
    }

    [OneTimeTearDown]
    public void Delete() => Directory.Delete(_folder, recursive: true);

    [TestCase("kbr pl", "plan")]
    [TestCase("kbr state ", "list mv pull rm show")]
    [TestCase("kbr plan --tar", "--target")]
    [TestCase("kbr drill --kind s", "stop switchover")]
    [TestCase("kbr plan --target config", "config_file.app@db-1")]
    [TestCase("kbr plan --json --target ", "config_file.app@db-1 directory.spare@db-1 directory.spare@db-2")]
    [TestCase("kbr state show directory.spare@", "directory.spare@db-1 directory.spare@db-2")]
    [TestCase("kbr import con", "config_file.app@db-1")]
    [TestCase("kbr switchover --to ", "db-1 db-2")]
    [TestCase("/usr/bin/kbr unlock --end db-2", "db-2")]
    [TestCase("kbr completion ", "bash fish zsh")]
    [TestCase("kbr show ", "", TestName = "A file is left to the shell")]
    [TestCase("kbr plan -c broken.yaml --target ", "", TestName = "A broken file completes nothing")]
    [TestCase("kbr plan -c missing.yaml --target ", "", TestName = "A missing file completes nothing")]
    public void Completes(string line, string expected) =>
        Assert.That(Suggestions(line), Is.EquivalentTo(expected.Split(' ', StringSplitOptions.RemoveEmptyEntries)));

    [Test]
    public void Commands_come_without_options_until_a_dash_is_typed()
    {
        Assert.That(Suggestions("kbr "), Does.Contain("plan").And.Contain("completion").And.None.StartsWith("-"));
        Assert.That(Suggestions("kbr status "), Does.Contain("--json"));
        Assert.That(Suggestions("kbr status -"), Does.Contain("--json").And.None.EqualTo("/?"));
    }

    [Test]
    public void The_line_ends_at_the_cursor() =>
        Assert.That(Run(KbrProgram.Path, "[suggest:6]", "kbr pl --json").Split('\n'), Does.Contain("plan"));

    // A pipe would keep the shell waiting for ever.
    [Test, CancelAfter(30_000)]
    public void A_pipe_is_not_read()
    {
        Run("mkfifo", _folder + "/pipe");
        Assert.That(Suggestions("kbr plan -c pipe --target "), Is.Empty);
    }

    [TestCase("kbr plan --target directory.spare@db", "db-1,db-2", TestName = "Bash splits at '@' and gets the rest")]
    [TestCase("kbr pla", "plan", TestName = "Bash gets commands")]
    [TestCase("kbr plan --target=x", "", TestName = "Bash gets nothing for what nothing matches")]
    public void The_bash_script(string line, string expected)
    {
        var replies = Run(
            "bash",
            "-c",
            """
            source <("$1" completion bash)
            COMP_LINE=$2 COMP_POINT=${#2} COMP_WORDS=("$1")
            _kbr
            IFS=,; echo "${COMPREPLY[*]}"
            complete -p kbr >&2
            """,
            "test",
            KbrProgram.Path,
            line
        );
        Assert.That(replies, Is.EqualTo(expected + "\n"));
    }

    [TestCase("bash", "complete -o default -F _kbr kbr")]
    [TestCase("zsh", "#compdef kbr")]
    [TestCase("fish", "complete -c kbr")]
    public void Each_shell_has_a_script_that_asks_kbr(string shell, string expected) =>
        Assert.That(Run(KbrProgram.Path, "completion", shell), Does.Contain(expected).And.Contain("[suggest:"));

    private string[] Suggestions(string line) =>
        Run(KbrProgram.Path, $"[suggest:{line.Length}]", line).Split('\n', StringSplitOptions.RemoveEmptyEntries);

    private string Run(string program, params string[] words)
    {
        using var process = Process.Start(
            new ProcessStartInfo(program, words)
            {
                RedirectStandardOutput = true,
                RedirectStandardError = true,
                WorkingDirectory = _folder,
            }
        )!;
        var error = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.That(process.ExitCode, Is.Zero, error.Result);
        Assert.That(output + error.Result, Does.Not.Contain(Canary));
        return output;
    }
}
