using System.Collections.Immutable;
using System.Diagnostics;
using System.Security.Cryptography;
using System.Text;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.ConfigFile;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.Processes;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.Providers;

[TestFixture]
public sealed class ConfigFileTests
{
    private static readonly DateTimeOffset Noon = new(2026, 11, 23, 12, 0, 0, TimeSpan.Zero);

    private string _directory = null!;
    private ConfigFileProvider _provider = null!;

    [SetUp]
    public void SetUp()
    {
        _directory = Directory.CreateTempSubdirectory("kbr-config-file-").FullName;
        _provider = new ConfigFileProvider(_directory + "/run");
    }

    [TearDown]
    public void TearDown() => Directory.Delete(_directory, recursive: true);

    private string PathOf(string name) => $"{_directory}/{name}";

    private Resource File(string content, params (string Name, object Value)[] more)
    {
        var spec = new AttributeSet(
            _provider
                .Schema.Attributes.Where(attribute => attribute.Default is not null)
                .ToImmutableDictionary(attribute => attribute.Name, attribute => attribute.Default!)
        )
            .With("path", PathOf("app.conf"))
            .With("content", SecretText.Plain(content));
        return new Resource(new Address("config_file", "app", "h1"), more.Aggregate(spec, (set, pair) => set.With(pair.Name, pair.Value)));
    }

    [TestCase("0600", true)]
    [TestCase("0640", true)]
    [TestCase("0644", false)]
    [TestCase("0602", false)]
    public void A_secret_may_not_lie_in_a_file_that_everyone_may_read_or_change(string mode, bool allowed)
    {
        var secret = new SecretText([new SecretText.Part("password = ", false), new SecretText.Part("canary", true)]);
        var findings = _provider.Validate(File("", ("content", secret), ("mode", mode))).ToList();
        Assert.That(findings.Select(one => one.Summary), allowed ? Is.Empty : Has.One.Contains($"mode {mode} lets everyone on the host"));
        Assert.That(_provider.Validate(File("no secret", ("mode", mode))), Is.Empty);
    }

    private ScriptResult Apply(Resource resource, ResourceOperation operation = ResourceOperation.Create, params string[] changed) =>
        Run(_provider.Render(new ResourceChange(operation, resource, [.. changed])));

    private static ScriptResult Run(Script script)
    {
        using var shell = Process.Start(
            new ProcessStartInfo("sh", "-s")
            {
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            }
        )!;
        shell.StandardInput.Write("set -eu\n" + script.Text + "echo recorded\n");
        shell.StandardInput.Close();
        var error = shell.StandardError.ReadToEndAsync();
        var output = shell.StandardOutput.ReadToEnd();
        shell.WaitForExit();
        return new ScriptResult(shell.ExitCode, output, error.Result);
    }

    private Snapshot Snap(Resource resource, FileStat? stat, string? content, DockerAnswer? container = null, string? marker = null)
    {
        var answers = ImmutableDictionary<Read, object?>.Empty;
        foreach (var read in _provider.Reads(resource))
        {
            answers = answers.Add(
                read,
                read switch
                {
                    StatRead => stat,
                    FileRead file => (file.Path == PathOf("app.conf") ? content : marker) is { } text
                        ? new FileContent(Encoding.UTF8.GetBytes(text))
                        : null,
                    ContainerRead => container,
                    _ => throw new InvalidOperationException(read.ToString()),
                }
            );
        }

        return new Snapshot(answers);
    }

    private static FileStat Stat(DateTimeOffset modified, string kind = "regular file", string mode = "0644") =>
        new(kind, 0, 0, "root", "root", mode, modified);

    private static DockerAnswer Container(bool running, DateTimeOffset started) =>
        new(
            200,
            $$$"""{"Id":"c0ffee","State":{"Running":{{{(running ? "true" : "false")}}},"StartedAt":"{{{started:yyyy-MM-ddTHH:mm:ss}}}.123456789Z"}}"""
        );

    private static (string, object)[] LoadedByApp(string reload = ":") => [("reload", reload), ("loaded_by", "container:app")];

    private static string Sha(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)));

    [Test]
    public void A_file_as_wanted_observes_as_desired()
    {
        var file = File("a\n");
        var observed = (Observation.Present)_provider.Observe(file, Snap(file, Stat(Noon), "a\n"));
        Assert.That(observed.Attributes, Is.EquivalentTo(_provider.Desired(file)));
    }

    [Test]
    public void An_empty_file_is_a_file()
    {
        var file = File("");
        Assert.That(
            ((Observation.Present)_provider.Observe(file, Snap(file, Stat(Noon, "regular empty file"), ""))).Attributes["content"].Value,
            Is.Empty
        );
    }

    [Test]
    public void A_missing_file_is_absent()
    {
        var file = File("a");
        Assert.That(_provider.Observe(file, Snap(file, null, null)), Is.InstanceOf<Observation.Absent>());
    }

    [TestCase("directory")]
    [TestCase("symbolic link")]
    public void Anything_but_a_regular_file_is_unknown(string kind)
    {
        var file = File("a");
        Assert.That(((Observation.Unknown)_provider.Observe(file, Snap(file, Stat(Noon, kind), null))).Reason, Does.Contain(kind));
    }

    [TestCase(-1, true, null, "stale", TestName = "A process older than the file has not loaded it")]
    [TestCase(1, true, null, "current", TestName = "A process younger than the file has loaded it")]
    [TestCase(-1, false, null, "current", TestName = "A process that does not run will load it at its start")]
    [TestCase(-1, true, "a same", "current", TestName = "A confirmed reload of this content counts")]
    [TestCase(-1, true, "b same", "stale", TestName = "A confirmed reload of another content does not count")]
    [TestCase(-1, true, "a other", "stale", TestName = "A reload of an earlier run of the process does not count")]
    public void Loaded_tells_the_content_that_the_process_runs_with(int startedHoursAfterWrite, bool running, string? note, string expected)
    {
        var file = File("a", LoadedByApp());
        var container = Container(running, Noon.AddHours(startedHoursAfterWrite));
        var marker = note?.Split(' ') is [var content, var whose]
            ? $"{Sha(content)} "
                + $"{(whose == "same" ? $"c0ffee{Noon.AddHours(startedHoursAfterWrite):yyyy-MM-ddTHH:mm:ss}.123456789Z" : "c0ffee2026-01-01T00:00:00Z")}\n"
            : null;
        Assert.That(
            ((Observation.Present)_provider.Observe(file, Snap(file, Stat(Noon), "a", container, marker))).Attributes["loaded"].Value,
            Is.EqualTo(expected)
        );
    }

    [Test]
    public void An_edited_file_is_one_difference()
    {
        var file = File("a", LoadedByApp());
        var observed = (Observation.Present)_provider.Observe(file, Snap(file, Stat(Noon), "b", Container(true, Noon.AddHours(-1))));
        Assert.That(
            _provider.Desired(file).Where(pair => pair.Value != observed.Attributes[pair.Key]).Select(pair => pair.Key),
            Has.None.EqualTo("loaded")
        );
    }

    [Test]
    public void It_writes_the_content_byte_for_byte_with_owner_and_mode()
    {
        var content = "äöü $HOME `id` 'quoted'\nKBR_CONTENT\nno newline at the end";
        Assert.That(Apply(File(content, ("owner", "1234"), ("group", "daemon"), ("mode", "0640"))).ExitCode, Is.Zero);
        Assert.That(System.IO.File.ReadAllText(PathOf("app.conf")), Is.EqualTo(content));
        Assert.That(Shell($"stat -c '%u %G %a' {PathOf("app.conf")}"), Is.EqualTo("1234 daemon 640"));
        Assert.That(Directory.GetFiles(_directory), Has.Length.EqualTo(1));
    }

    [Test]
    public void A_file_that_is_refused_by_its_check_changes_nothing()
    {
        System.IO.File.WriteAllText(PathOf("app.conf"), "old");
        var result = Apply(File("new", ("validate", "cat \"$file\"; echo broken; exit 3")), ResourceOperation.Update, "content");
        Assert.That(result.ExitCode, Is.Not.Zero);
        Assert.That(result.Error, Does.Contain("newbroken"));
        Assert.That(result.Output, Does.Not.Contain("recorded"));
        Assert.That(System.IO.File.ReadAllText(PathOf("app.conf")), Is.EqualTo("old"));
        Assert.That(Directory.GetFiles(_directory), Has.Length.EqualTo(1));
    }

    [Test]
    public void A_missing_directory_is_named()
    {
        var result = Apply(File("a", ("path", PathOf("none/app.conf"))));
        Assert.That(result.ExitCode, Is.Not.Zero);
        Assert.That(result.Error, Does.Contain($"{_directory}/none does not exist"));
    }

    [Test]
    public void A_changed_mode_leaves_the_file_itself_alone()
    {
        var file = File("a", ("mode", "0600"));
        System.IO.File.WriteAllText(PathOf("app.conf"), "a");
        var before = Shell($"stat -c '%i %Y' {PathOf("app.conf")}");
        Assert.That(Apply(file, ResourceOperation.Update, "mode").ExitCode, Is.Zero);
        Assert.That(Shell($"stat -c '%i %Y' {PathOf("app.conf")}"), Is.EqualTo(before));
        Assert.That(Shell($"stat -c %a {PathOf("app.conf")}"), Is.EqualTo("600"));
    }

    [Test]
    public void Leftovers_of_a_killed_run_are_removed()
    {
        System.IO.File.WriteAllText(PathOf(".kbr.app.conf.a1B2c3"), "half");
        System.IO.File.WriteAllText(PathOf(".kbr.other.conf.a1B2c3"), "not ours");
        Apply(File("a"));
        Assert.That(
            Directory.GetFiles(_directory).Select(Path.GetFileName),
            Is.EquivalentTo(new[] { "app.conf", ".kbr.other.conf.a1B2c3" })
        );
    }

    [Test]
    public void Delete_removes_the_file_and_can_be_repeated()
    {
        Apply(File("a"));
        Assert.That(Apply(File("a"), ResourceOperation.Delete).ExitCode, Is.Zero);
        Assert.That(Apply(File("a"), ResourceOperation.Delete).ExitCode, Is.Zero);
        Assert.That(System.IO.File.Exists(PathOf("app.conf")), Is.False);
    }

    [Test]
    public void A_running_process_is_reloaded_and_the_reload_noted_for_its_instance()
    {
        using var tools = new FakeDocker(_directory, "c0ffee2026-11-23T11:00:00.123456789Z");
        var file = File("a", [.. LoadedByApp($"echo reloaded >> {PathOf("log")}"), ("reload_confirm", $"test -s {PathOf("log")}")]);
        var result = Apply(file);
        Assert.That(result.ExitCode, Is.Zero, result.Error);
        Assert.That(System.IO.File.ReadAllText(PathOf("log")), Is.EqualTo("reloaded\n"));
        var marker = LoadedMarker.Of(file.Address, _directory + "/run");
        Assert.That(System.IO.File.ReadAllText(marker.Path), Is.EqualTo($"{Sha("a")} c0ffee2026-11-23T11:00:00.123456789Z\n"));
    }

    [Test]
    public void The_reload_confirmation_reads_its_secret_from_standard_input_and_times_out()
    {
        using var tools = new FakeDocker(_directory, "c0ffee2026-11-23T11:00:00.123456789Z");
        var input = new SecretText([new SecretText.Part("bob\n", false), new SecretText.Part("s3cr3t'$x \\ y", true)]);
        var file = File("a", [.. LoadedByApp("true"), ("reload_confirm", $"cat > {PathOf("told")}"), ("confirm_input", input)]);
        var result = Apply(file);
        Assert.That(result.ExitCode, Is.Zero, result.Error);
        Assert.That(System.IO.File.ReadAllText(PathOf("told")), Is.EqualTo(input.Reveal()));
        Assert.That(
            _provider.Render(new ResourceChange(ResourceOperation.Create, file, [])).Text,
            Does.Not.Contain("s3cr3t"),
            "on no command line"
        );

        var refused = Apply(File("b", [.. LoadedByApp("true"), ("reload_confirm", "echo not yet; exit 1"), ("confirm_timeout", 1L)]));
        Assert.That(refused.ExitCode, Is.Not.Zero);
        Assert.That(refused.Error, Does.Contain("container app did not confirm within 1 s that it loaded it: not yet"));
        Assert.That(
            _provider.Validate(File("a", [.. LoadedByApp("true"), ("confirm_input", input)])).Single().Summary,
            Is.EqualTo("confirm_input needs reload_confirm")
        );
    }

    [Test]
    public void A_process_that_does_not_run_is_not_reloaded()
    {
        using var tools = new FakeDocker(_directory, "");
        Assert.That(Apply(File("a", LoadedByApp($"echo reloaded >> {PathOf("log")}"))).ExitCode, Is.Zero);
        Assert.That(System.IO.File.Exists(PathOf("log")), Is.False);
    }

    [Test]
    public void A_failed_reload_fails_and_is_not_noted()
    {
        using var tools = new FakeDocker(_directory, "c0ffee2026-11-23T11:00:00.123456789Z");
        var result = Apply(File("a", LoadedByApp("echo no such process; exit 1")));
        Assert.That(result.ExitCode, Is.Not.Zero);
        Assert.That(result.Error, Does.Contain("no such process").And.Contain("container app did not load it"));
        Assert.That(Directory.Exists(_directory + "/run"), Is.False);
    }

    [TestCase("echo no such process; exit 1", "true")]
    [TestCase("true", "echo not yet; exit 1")]
    public void A_process_that_is_replaced_next_may_refuse_the_file_and_that_is_not_noted(string reload, string confirm)
    {
        using var tools = new FakeDocker(_directory, "c0ffee2026-11-23T11:00:00.123456789Z");
        var file = File("a", [.. LoadedByApp(reload), ("reload_confirm", confirm), ("confirm_timeout", 1L)]);
        var result = Run(_provider.Render(new ResourceChange(ResourceOperation.Create, file, []) { ProcessIsReplaced = true }));
        Assert.That((result.ExitCode, result.Output), Is.EqualTo((0, "recorded\n")), result.Error);
        Assert.That(System.IO.File.ReadAllText(PathOf("app.conf")), Is.EqualTo("a"));
        Assert.That(Directory.Exists(_directory + "/run"), Is.False);
    }

    [Test]
    public void Reload_and_loaded_by_need_each_other()
    {
        Assert.That(_provider.Validate(File("a", ("reload", "true"))).Select(found => found.Summary), Has.One.Contains("go together"));
        Assert.That(
            _provider.Validate(File("a", ("loaded_by", "container:app"))).Select(found => found.Summary),
            Has.One.Contains("go together")
        );
        Assert.That(_provider.Validate(File("a", LoadedByApp())), Is.Empty);
    }

    [Test]
    public void It_needs_its_directory_and_offers_its_file()
    {
        var links = _provider.Links(File("a"));
        Assert.That(links.Provides, Is.EqualTo(new[] { "file:" + PathOf("app.conf") }));
        Assert.That(links.Needs, Is.EqualTo(new[] { "path:" + _directory }));
    }

    private static string Shell(string command)
    {
        using var shell = Process.Start(new ProcessStartInfo("sh", ["-c", command]) { RedirectStandardOutput = true })!;
        return shell.StandardOutput.ReadToEnd().Trim();
    }

    /// <summary>Puts a docker first in PATH that knows one container.</summary>
    private sealed class FakeDocker : IDisposable
    {
        private readonly string _path = Environment.GetEnvironmentVariable("PATH")!;

        public FakeDocker(string directory, string instance)
        {
            Directory.CreateDirectory(directory + "/bin");
            System.IO.File.WriteAllText(directory + "/bin/docker", $"#!/bin/sh\necho '{instance}'\n");
            Shell($"chmod +x {directory}/bin/docker");
            Environment.SetEnvironmentVariable("PATH", directory + "/bin:" + _path);
        }

        public void Dispose() => Environment.SetEnvironmentVariable("PATH", _path);
    }
}
