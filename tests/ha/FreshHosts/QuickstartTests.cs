using System.Diagnostics;
using System.Text;
using System.Text.RegularExpressions;
using KeyBuzz.Reconciler.HaTests;
using KeyBuzz.Reconciler.LabTests;

namespace KeyBuzz.Reconciler.FreshHosts;

/// <summary>docs/quickstart.md, word by word: five bare hosts that only a jump host reaches, an inventory, and a key with a
/// passphrase.</summary>
[TestFixture]
[Category(Ha.FreshHosts)]
[Category(Ha.Slice4)]
public sealed class QuickstartTests
{
    private const string Guide = "docs/quickstart.md";
    private const string Passphrase = "canary-correct-horse";
    private const int MostCommands = 8;

    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(10);

    private readonly string _folder = Directory.CreateTempSubdirectory("kbr-quickstart-").FullName;

    [OneTimeSetUp]
    public void Put_bare_hosts_behind_the_jump_host()
    {
        Lab.WithNewHosts();
        Lab.Command("behind");
        // The base that kbr images build takes by default, which no registry can be asked for here.
        var bases = Lab.Run(Lab.Root, "docker", "images", "-q", "--filter", "reference=kbr-lab/base:trixie-*").Output.Split('\n');
        Docker("tag", bases[0], "debian:trixie-slim");
    }

    [OneTimeTearDown]
    public void Bring_them_back()
    {
        foreach (var host in Lab.Hosts)
        {
            Lab.Command("heal", host);
        }

        Docker("rmi", "debian:trixie-slim");
        Directory.Delete(_folder, recursive: true);
    }

    [Test]
    public void Its_commands_lead_from_an_inventory_to_a_healthy_cluster()
    {
        var guide = OnLab(File.ReadAllText(Path.Combine(Lab.Root, Guide)));
        MakeLogin(Block(guide, "ssh-config"));
        File.WriteAllText(Path.Combine(_folder, "servers.tsv"), Block(guide, "tsv"));
        string[] commands = [.. Regex.Matches(guide, "(?m)^    (kbr .*)$").Select(match => match.Groups[1].Value)];
        Assert.That(commands, Has.Length.LessThanOrEqualTo(MostCommands));
        var whole = Stopwatch.StartNew();
        var last = "";
        foreach (var command in commands)
        {
            var one = Stopwatch.StartNew();
            var (exit, output) = OnTerminal(command);
            Assert.That(exit, Is.Zero, $"{command}: {output}");
            Assert.That(Secrets().Where(output.Contains), Is.Empty, "a secret was shown");
            Assert.That(Regex.Count(output, "Passphrase of "), Is.LessThanOrEqualTo(1), $"{command} asks once: {output}");
            TestContext.Out.WriteLine($"{one.Elapsed.TotalSeconds, 6:0.0} s  {command}");
            last = output;
            if (command.StartsWith("kbr init --from", StringComparison.Ordinal))
            {
                WriteDevices(Block(guide, "yaml"), output);
            }
        }

        TestContext.Out.WriteLine($"{whole.Elapsed.TotalSeconds, 6:0.0} s  {commands.Length} commands");
        Assert.That(last, Does.Contain("keybuzz-pg is healthy. Writes: OK through ").And.Contain(". Redundancy: 3 of 3."));
    }

    // The passphrase, and what was generated until now; names of users are none.
    private IEnumerable<string> Secrets()
    {
        var file = Path.Combine(_folder, "credentials/postgres.env");
        return Regex
            .Matches(File.Exists(file) ? File.ReadAllText(file) : "", "(?m)^\\w*(?:PASS|KEY)=(.+)$")
            .Select(match => match.Groups[1].Value)
            .Append(Passphrase);
    }

    // The addresses of the guide are those of a network of its own; everything else is as it stands there.
    private static string OnLab(string guide)
    {
        var prefix = Regex
            .Match(File.ReadAllText(Path.Combine(Lab.Folder, "cluster-ha.yaml")), @"address: (\d+\.\d+\.\d+\.)\d+, ssh")
            .Groups[1];
        return guide.Replace("10.0.0.", prefix.Value, StringComparison.Ordinal);
    }

    private static string Block(string guide, string language) =>
        Regex.Match(guide, $"(?ms)^```{language}\n(.*?)^```$").Groups[1].Value is { Length: > 0 } text
            ? text
            : throw new InvalidOperationException($"{Guide} has no block of {language}");

    // Of the login only the jump host's address and user are the lab's; the key gets a passphrase.
    private void MakeLogin(string config)
    {
        var state = Path.Combine(Lab.Folder, ".state");
        var jump = Regex.Match(File.ReadAllText(Path.Combine(state, "ssh_config")), "(?m)^Host (127.*)$").Groups[1].Value;
        var ssh = Directory.CreateDirectory(Path.Combine(_folder, "ssh")).FullName;
        File.WriteAllText(
            Path.Combine(ssh, "config"),
            config
                .Replace("203.0.113.10", jump, StringComparison.Ordinal)
                .Replace("User ops", $"User hop\n  HostKeyAlias {jump}", StringComparison.Ordinal)
        );
        File.Copy(Path.Combine(state, "known_hosts"), Path.Combine(ssh, "known_hosts"));
        var key = Path.Combine(ssh, "id_ed25519");
        File.Copy(Path.Combine(state, "id_ed25519"), key);
        var changed = Lab.Run(_folder, "ssh-keygen", "-q", "-p", "-P", "", "-N", Passphrase, "-f", key);
        Assert.That(changed.ExitCode, Is.Zero, changed.All);
    }

    // What the guide tells to write in place of what init left open.
    private void WriteDevices(string written, string said)
    {
        var file = Path.Combine(_folder, "cluster.yaml");
        var text = File.ReadAllText(file);
        foreach (Match device in Regex.Matches(written, @"(?m)^      ([\w-]+): (/dev/\S+)$"))
        {
            var (host, path) = (device.Groups[1].Value, device.Groups[2].Value);
            Assert.That(said, Does.Contain($"'postgres.volume.device.{host}'"), "init names the line that is left");
            text = Regex.Replace(text, $@"(?m)^(\s+{host}): /dev/disk/by-id/TODO$", $"$1: {path}");
        }

        File.WriteAllText(file, text);
    }

    // As its operator types it, with a ~/.ssh of its own: answers the passphrase and apply's question.
    private (int Exit, string Output) OnTerminal(string command)
    {
        const string Login = """
            mkdir -p ~/.ssh && mount -t tmpfs tmpfs ~/.ssh && cp ssh/* ~/.ssh/ && chmod 600 ~/.ssh/* && unset SSH_AUTH_SOCK KBR_SSH_PASSPHRASE
            mkdir -p bin && ln -sf "$1" bin/kbr && PATH=$PWD/bin:$PATH && exec script -qefc "$2" /dev/null
            """;
        var start = new ProcessStartInfo("unshare", ["-m", "bash", "-c", Login, "quickstart", Workspace.Tool, command])
        {
            WorkingDirectory = _folder,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        var output = new StringBuilder();
        var buffer = new char[4096];
        var open = new List<(string Question, string Answer)> { ("Passphrase of ", Passphrase), ("Type 'yes' to confirm: ", "yes") };
        using var patience = new CancellationTokenSource(s_patience);
        using var killing = patience.Token.Register(() => process.Kill(entireProcessTree: true));
        int count;
        while ((count = process.StandardOutput.ReadAsync(buffer, CancellationToken.None).AsTask().GetAwaiter().GetResult()) > 0)
        {
            output.Append(buffer, 0, count);
            var now = output.ToString();
            if (open.Find(one => Regex.IsMatch(now, Regex.Escape(one.Question) + "[^\n]*$")) is { Answer: { } answer } asked)
            {
                open.Remove(asked);
                process.StandardInput.Write(answer + "\n");
                process.StandardInput.Flush();
            }
        }

        process.WaitForExit();
        Assert.That(patience.IsCancellationRequested, Is.False, $"{command} took longer than {s_patience}: {output}");
        return (process.ExitCode, output.ToString() + error.Result);
    }

    private static void Docker(params string[] arguments)
    {
        var outcome = Lab.Run(Lab.Root, "docker", arguments);
        Assert.That(outcome.ExitCode, Is.Zero, outcome.All);
    }
}
