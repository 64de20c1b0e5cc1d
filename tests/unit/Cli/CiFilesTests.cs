using System.Diagnostics;
using System.Net;
using System.Security.Cryptography;
using System.Text.RegularExpressions;
using YamlDotNet.RepresentationModel;

namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary>The files of docs/ci: every step is run in a shell, with the packaged layout of kbr, against a host with a real sshd.</summary>
[TestFixture]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed partial class CiFilesTests : LocalCluster
{
    private static readonly string s_files = Path.Combine(JsonSchemas.Root, "docs/ci");

    // One for all steps of a job, as a runner has it.
    private string _work = "";
    private readonly Dictionary<string, string> _environment = [];

    private string Home => $"{Folder}/home";

    private string Artifacts => $"{Folder}/artifacts";

    [SetUp]
    public void SetUpRunner()
    {
        Write(
            "cluster.yaml",
            $$"""
            version: 1
            cluster: {{Name}}
            ssh: { config: false, connect_timeout: 60s }
            hosts:
              db-1: { role: db, address: 127.0.0.1, ssh: { port: {{Port}} } }
            preconditions: { swap: off, docker: off, clock: off }
            resources:
              - { type: directory, name: spare, host: db-1, path: {{Folder}}/host/spare }
              - { type: config_file, name: app, host: db-1, path: {{ConfigFile}}, mode: "0600", content: "password = ${secret.APP_PASS}" }

            """
        );
        Directory.Delete($"{Folder}/credentials", recursive: true);
        Directory.CreateDirectory($"{Folder}/kbr-1.0/bin");
        Directory.CreateDirectory($"{Folder}/programs");
        Directory.CreateDirectory(Artifacts);
        Program("kbr-1.0/bin/kbr", $"exec '{KbrProgram.Path}' \"$@\"");
        Run("tar", "-C", Folder, "-czf", $"{Folder}/kbr.tar.gz", "kbr-1.0");
        Set("ARCHIVE", $"file://{Folder}/kbr.tar.gz");
        Set("SHA256", Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes($"{Folder}/kbr.tar.gz"))));
        Set("SSH_KEY", File.ReadAllText(Server.Settings.IdentityFile!));
        Set("KNOWN_HOSTS", File.ReadAllText(Server.KnownHostsFile));
        Set("KBR_KEY", "canary-of-the-key");
        Set("APP_PASS", Password);
    }

    [Test]
    public void Every_step_for_GitHub_does_what_its_job_is_for()
    {
        var jobs = Map(Map(Load("github-actions.yml"))["jobs"]);
        var yaml = File.ReadAllText($"{Folder}/cluster.yaml");
        Write("cluster.yaml", yaml.Replace("config: false, ", "", StringComparison.Ordinal));
        Assert.That(jobs.Keys, Is.EqualTo(new[] { "plan", "plan-main", "apply", "drift" }));
        Program("programs/gh", $"printf '%s\\n' \"$*\" >'{Folder}/gh'; cp plan.md '{Folder}/comment'");

        Assert.That(Job(jobs["plan"]), Is.Zero);
        Assert.That(File.ReadAllText($"{Folder}/gh"), Is.EqualTo("pr comment 7 --edit-last --create-if-none --body-file plan.md\n"));
        Assert.That(File.ReadAllText($"{Folder}/comment"), Does.StartWith($"## `{Name}`: 2 to create\n"));
        Assert.That(File.ReadAllText($"{Folder}/summary"), Is.EqualTo(File.ReadAllText($"{Folder}/comment")));
        Assert.That(File.Exists(ConfigFile), Is.False, "a plan changes nothing");

        Assert.That(Job(jobs["plan-main"]), Is.Zero);
        Assert.That(Directory.GetFiles(Artifacts).Select(Path.GetFileName), Is.EquivalentTo(new[] { "change.plan", "plan.html" }));
        Assert.That(File.ReadAllText($"{Artifacts}/plan.html"), Does.StartWith("<!doctype html>"));

        Assert.That(Job(jobs["apply"]), Is.Zero);
        Assert.That(File.ReadAllText(ConfigFile), Does.Contain(Password));
        Assert.That(Job(jobs["drift"]), Is.Zero);

        File.AppendAllText(ConfigFile, "by hand\n");
        Assert.That(Job(jobs["drift"]), Is.EqualTo(2));
        Assert.That(File.ReadAllText($"{Folder}/summary"), Does.Contain("config_file.app@db-1"));
        Assert.That(Job(jobs["apply"]), Is.EqualTo(1), "the plan is out of date");

        Write("cluster.yaml", "cluster: x\n");
        Assert.That(Job(jobs["plan"]), Is.EqualTo(1));
        Assert.That(File.ReadAllText($"{Folder}/comment"), Does.Contain("The plan has errors"), "the failure is the comment");
    }

    [Test]
    public void Every_step_for_GitLab_does_what_its_job_is_for()
    {
        var file = Map(Load("gitlab-ci.yml"));
        var jobs = file.Where(pair => pair.Value is YamlMappingNode && pair.Key[0] != '.').ToDictionary();
        Assert.That(jobs.Keys, Is.EqualTo(new[] { "plan", "plan-main", "apply", "drift" }));
        var port = Ssh.SshServer.FreePort();
        using var server = new HttpListener();
        server.Prefixes.Add($"http://127.0.0.1:{port}/");
        server.Start();
        var note = TakeNoteAsync(server);
        foreach (var (name, secret) in new[] { ("SSH_KEY", "key"), ("KNOWN_HOSTS", "known") })
        {
            Set(name, Write(secret, _environment[name]));
        }

        Set("KBR_ARCHIVE", _environment["ARCHIVE"]);
        Set("KBR_SHA256", _environment["SHA256"]);
        Set("CI_JOB_ID", Name);
        Set("CI_API_V4_URL", $"http://127.0.0.1:{port}/api/v4");
        Set("CI_PROJECT_ID", "12");
        Set("CI_MERGE_REQUEST_IID", "7");
        Set("KBR_BOT_TOKEN", "canary-of-the-bot");
        try
        {
            Assert.That(Pipeline("plan"), Is.Zero);
            var (path, token, body) = note.Result;
            Assert.That((path, token), Is.EqualTo(("/api/v4/projects/12/merge_requests/7/notes", "canary-of-the-bot")));
            Assert.That(WebUtility.UrlDecode(body), Does.StartWith($"body=## `{Name}`: 2 to create\n"));
            Assert.That(File.Exists($"{_work}/plan.html"), Is.True);

            Assert.That(Pipeline("plan-main"), Is.Zero);
            File.Copy($"{_work}/change.plan", $"{Artifacts}/change.plan");
            Assert.That(Pipeline("apply"), Is.Zero);
            Assert.That(File.Exists(ConfigFile), Is.True);
            Assert.That(Pipeline("drift"), Is.Zero);
            File.AppendAllText(ConfigFile, "by hand\n");
            Assert.That(Pipeline("drift"), Is.EqualTo(2));
            Assert.That(File.ReadAllText($"{_work}/drift.xml"), Does.Contain("<failure"));
        }
        finally
        {
            Run("rm", "-rf", $"/tmp/kbr-{Name}", $"/tmp/kbr-{Name}.tar.gz");
        }

        int Pipeline(string name)
        {
            NewWorkspace();
            foreach (var artifact in name == "apply" ? Directory.GetFiles(Artifacts) : [])
            {
                File.Copy(artifact, Path.Combine(_work, Path.GetFileName(artifact)));
            }

            var job = Map(jobs[name]);
            Assert.That(job["extends"].ToString(), Is.EqualTo(".kbr"));
            // GitLab runs the lines of both in one shell.
            var lines = List(Map(file[".kbr"])["before_script"]).Concat(List(job["script"])).Select(line => line.ToString());
            return Shell("set -eo pipefail\n" + string.Join('\n', lines), _environment);
        }
    }

    [Test]
    public void The_units_are_valid_hardened_and_run_what_they_say()
    {
        var service = File.ReadAllText(Path.Combine(s_files, "kbr-drift.service"));
        Directory.CreateDirectory($"{Folder}/units");
        Write("units/kbr-drift.service", service.Replace("/usr/bin/kbr", $"{Folder}/kbr-1.0/bin/kbr", StringComparison.Ordinal));
        File.Copy(Path.Combine(s_files, "kbr-drift.timer"), $"{Folder}/units/kbr-drift.timer");
        var (exit, output) = Run(
            "systemd-analyze",
            "verify",
            "--man=no",
            $"{Folder}/units/kbr-drift.timer",
            $"{Folder}/units/kbr-drift.service"
        );
        Assert.That((exit, output), Is.EqualTo((0, "")));
        (exit, output) = Run("systemd-analyze", "security", "--offline=yes", "--threshold=20", $"{Folder}/units/kbr-drift.service");
        Assert.That(exit, Is.Zero, output);

        NewWorkspace();
        Directory.CreateDirectory($"{Home}/.ssh");
        File.Copy(Server.Settings.IdentityFile!, $"{Home}/.ssh/id_ed25519");
        File.Copy(Server.KnownHostsFile, $"{Home}/.ssh/known_hosts");
        Assert.That(Shell($"{Folder}/kbr-1.0/bin/kbr apply --auto-approve", _environment), Is.Zero);
        var start = service.Split('\n').Single(line => line.StartsWith("ExecStart=", StringComparison.Ordinal))["ExecStart=".Length..];
        var run = start.Replace("/usr/bin/kbr", $"{Folder}/kbr-1.0/bin/kbr", StringComparison.Ordinal);
        Assert.That(Shell(run, new() { ["STATE_DIRECTORY"] = Artifacts }), Is.Zero);
        Assert.That(File.ReadAllText($"{Artifacts}/kbr-drift.prom"), Does.Contain("kbr_drift_exit_code"));
    }

    [Test]
    public void The_units_that_renew_are_valid_hardened_and_run_what_they_say()
    {
        var service = File.ReadAllText(Path.Combine(s_files, "kbr-renew.service"));
        Directory.CreateDirectory($"{Folder}/units");
        Write("units/kbr-renew.service", service.Replace("/usr/bin/kbr", $"{Folder}/kbr-1.0/bin/kbr", StringComparison.Ordinal));
        File.Copy(Path.Combine(s_files, "kbr-renew.timer"), $"{Folder}/units/kbr-renew.timer");
        var (exit, output) = Run(
            "systemd-analyze",
            "verify",
            "--man=no",
            $"{Folder}/units/kbr-renew.timer",
            $"{Folder}/units/kbr-renew.service"
        );
        Assert.That((exit, output), Is.EqualTo((0, "")));
        (exit, output) = Run("systemd-analyze", "security", "--offline=yes", "--threshold=20", $"{Folder}/units/kbr-renew.service");
        Assert.That(exit, Is.Zero, output);

        NewWorkspace();
        Directory.CreateDirectory($"{Home}/.ssh");
        File.Copy(Server.Settings.IdentityFile!, $"{Home}/.ssh/id_ed25519");
        File.Copy(Server.KnownHostsFile, $"{Home}/.ssh/known_hosts");
        var start = service.Split('\n').Single(line => line.StartsWith("ExecStart=", StringComparison.Ordinal))["ExecStart=".Length..];
        var run = start.Replace("/usr/bin/kbr", $"{Folder}/kbr-1.0/bin/kbr", StringComparison.Ordinal);
        Assert.That(Shell($"{run} >renewed", _environment), Is.Zero);
    }

    // A job of GitHub's: its steps in order, until one fails; those that run always, also then.
    private int Job(YamlNode node)
    {
        NewWorkspace();
        var job = Map(node);
        var (path, temporary) = ("", $"{Folder}/temp");
        Dictionary<string, string> kept = [];
        var result = 0;
        foreach (var step in List(job["steps"]).Select(Map))
        {
            if (step.TryGetValue("uses", out var uses))
            {
                Use(uses.ToString(), step);
                continue;
            }

            if (result != 0 && !step.ContainsKey("if"))
            {
                continue;
            }

            var script = step["run"].ToString();
            Assert.That(script, Does.Not.Contain("${{"), "what GitHub fills in is no part of a script");
            Dictionary<string, string> environment = new(kept)
            {
                ["GITHUB_ENV"] = $"{Folder}/env",
                ["GITHUB_PATH"] = $"{Folder}/path",
                ["GITHUB_STEP_SUMMARY"] = $"{Folder}/summary",
                ["RUNNER_TEMP"] = temporary,
                ["PATH"] = $"{path}{Folder}/programs:/usr/sbin:/usr/bin:/sbin:/bin",
            };
            var given = new[] { job, step }.SelectMany(one => one.TryGetValue("env", out var env) ? Map(env) : []);
            foreach (var (name, value) in given)
            {
                environment[name] = Filled(value.ToString());
            }

            var code = Shell("set -e\n" + script, environment);
            result = result == 0 ? code : result;
            kept = File.Exists($"{Folder}/env")
                ? File.ReadLines($"{Folder}/env").Select(line => line.Split('=', 2)).ToDictionary(pair => pair[0], pair => pair[1])
                : [];
            path = File.Exists($"{Folder}/path") ? string.Concat(File.ReadLines($"{Folder}/path").Select(line => line + ":")) : "";
        }

        Assert.That(Directory.GetFileSystemEntries(Home), Is.Empty, "the user of the runner has nothing of it");
        Assert.That(
            Directory.GetFiles($"{temporary}/ssh").Select(file => (int)File.GetUnixFileMode(file)).ToList(),
            Has.Count.EqualTo(3).And.All.EqualTo((int)(UnixFileMode.UserRead | UnixFileMode.UserWrite))
        );
        return result;
    }

    private void Use(string action, Dictionary<string, YamlNode> step)
    {
        switch (action)
        {
            case "actions/checkout@v4":
                break;
            case "actions/upload-artifact@v4":
                foreach (var path in Map(step["with"])["path"].ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries))
                {
                    File.Copy(Path.Combine(_work, path), Path.Combine(Artifacts, path));
                }

                break;
            case "actions/download-artifact@v4":
                foreach (var path in Directory.GetFiles(Artifacts))
                {
                    File.Copy(path, Path.Combine(_work, Path.GetFileName(path)));
                }

                break;
            default:
                Assert.Fail($"the test does not know {action}");
                break;
        }
    }

    private string Filled(string value) =>
        Expression()
            .Replace(value, match => match.Groups[1].Value switch
                {
                    "github.token" => "canary-of-github",
                    "github.event.pull_request.number" => "7",
                    "vars.KBR_ARCHIVE" => _environment["ARCHIVE"],
                    "vars.KBR_SHA256" => _environment["SHA256"],
                    var name => _environment[name.Split('.')[1]],
                });

    // A checkout of its own, and a home without a key.
    private void NewWorkspace()
    {
        _work = Directory.CreateDirectory($"{Folder}/work-{Guid.NewGuid():n}").FullName;
        File.Copy($"{Folder}/cluster.yaml", $"{_work}/cluster.yaml");
        foreach (var left in new[] { Home, $"{Folder}/temp" }.Where(Directory.Exists))
        {
            Directory.Delete(left, recursive: true);
        }

        Directory.CreateDirectory(Home);
        Directory.CreateDirectory($"{Folder}/temp");
        File.Delete($"{Folder}/path");
        File.Delete($"{Folder}/env");
        File.Delete($"{Folder}/summary");
    }

    private int Shell(string script, Dictionary<string, string> environment)
    {
        var start = new ProcessStartInfo("bash", ["-c", script])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = _work,
        };
        start.Environment.Clear();
        start.Environment["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin";
        start.Environment["HOME"] = Home;
        foreach (var (name, value) in environment)
        {
            start.Environment[name] = value;
        }

        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        process.WaitForExit();
        TestContext.Out.WriteLine(output.Result + error.Result);
        Assert.That(output.Result + error.Result, Does.Not.Contain("canary-"), "a secret was printed");
        return process.ExitCode;
    }

    private static (int Exit, string Output) Run(string program, params string[] arguments)
    {
        using var process = Process.Start(
            new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true }
        )!;
        var output = process.StandardOutput.ReadToEnd() + process.StandardError.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output);
    }

    private static async Task<(string Path, string? Token, string Body)> TakeNoteAsync(HttpListener server)
    {
        var context = await server.GetContextAsync();
        using var reader = new StreamReader(context.Request.InputStream);
        var body = await reader.ReadToEndAsync();
        context.Response.StatusCode = 201;
        context.Response.Close();
        return (context.Request.Url!.AbsolutePath, context.Request.Headers["PRIVATE-TOKEN"], body);
    }

    private void Set(string name, string value) => _environment[name] = value;

    private void Program(string name, string script) =>
        File.SetUnixFileMode(Write(name, $"#!/bin/sh\n{script}\n"), UnixFileMode.UserRead | UnixFileMode.UserExecute);

    private static YamlNode Load(string name)
    {
        var yaml = new YamlStream();
        yaml.Load(new StringReader(File.ReadAllText(Path.Combine(s_files, name))));
        return yaml.Documents[0].RootNode;
    }

    private static Dictionary<string, YamlNode> Map(YamlNode node) =>
        ((YamlMappingNode)node).Children.ToDictionary(pair => pair.Key.ToString(), pair => pair.Value, StringComparer.Ordinal);

    private static IEnumerable<YamlNode> List(YamlNode node) => (YamlSequenceNode)node;

    [GeneratedRegex(@"\$\{\{ *([a-zA-Z0-9_.]+) *\}\}")]
    private static partial Regex Expression();
}
