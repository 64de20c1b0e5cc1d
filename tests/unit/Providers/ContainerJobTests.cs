using System.Text;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Docker;

namespace KeyBuzz.Reconciler.Tests.Providers;

/// <summary>A job's scripts in a real shell; systemd and the engine only pass the command on.</summary>
[TestFixture, NonParallelizable]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
internal sealed class ContainerJobTests
{
    private readonly ContainerJob _job = new($"kbr-job-{Guid.NewGuid():N}", "app");
    private string _folder = "";

    [SetUp]
    public void Begin()
    {
        ProviderBench.OnlyAsRootWith("sh");
        _folder = Directory.CreateTempSubdirectory("kbr-job-").FullName;
        Program("systemctl", """case $1 in show) cat "$(dirname "$0")/state" ;; is-active) exit 3 ;; esac""");
        Program("systemd-run", """while [ "$1" != sh ]; do echo "$1" >>"$(dirname "$0")/options"; shift; done; "$@" """);
        Program("docker", """[ "$1 $2" = "exec app" ] || exit 9; shift 2; exec setsid "$@" """);
        File.WriteAllText(Path.Combine(_folder, "state"), "inactive\n");
    }

    [TearDown]
    public void End()
    {
        Directory.Delete(_folder, recursive: true);
        File.Delete(_job.Output.Path);
        File.Delete($"/tmp/{_job.Name}.pid");
    }

    [TestCase("echo \"it's\" done", 0, "it's done\n")]
    [TestCase("echo wrong >&2; exit 7", 7, "wrong\n")]
    [TestCase("nice; sh -c nice", 0, "10\n10\n")]
    public void It_runs_in_the_container_and_its_end_is_kept_with_what_it_printed(string command, int exit, string output)
    {
        var result = Run(_job.Start("a job", command));
        Assert.That(result.ExitCode, Is.Zero, result.Error);
        Assert.That(Options(), Does.Contain($"--unit={_job.Name}.service").And.Contain("--description=a job"));
        Assert.That(State("inactive"), Is.EqualTo(new ContainerJobState(false, exit, output)));
        Assert.That(File.GetUnixFileMode(_job.Output.Path), Is.EqualTo(UnixFileMode.UserRead | UnixFileMode.UserWrite));
    }

    [Test]
    public void An_idle_one_takes_the_time_that_nothing_else_wants([Values] bool isIdle)
    {
        Assert.That(Run((_job with { IsIdle = isIdle }).Start("a job", "chrt -p $$; ionice -p $$")).ExitCode, Is.Zero);
        Assert.That(
            State("inactive").Output,
            isIdle
                ? Does.Contain("policy: SCHED_IDLE\n").And.EndWith("\nidle\n")
                : Does.Contain("policy: SCHED_OTHER\n").And.Not.EndWith("\nidle\n")
        );
    }

    [TestCase("active")]
    [TestCase("deactivating")]
    public void One_that_runs_is_not_started_again(string state)
    {
        File.WriteAllText(Path.Combine(_folder, "state"), state + "\n");
        Assert.That(Run(_job.Start("a job", "true")).ExitCode, Is.EqualTo(ContainerJob.AlreadyRuns));
        Assert.That(File.Exists(Path.Combine(_folder, "options")), Is.False);
    }

    // As after a boot of the host.
    [Test]
    public void One_that_was_cut_off_has_no_exit_code() =>
        Assert.That(
            _job.Of(ProviderBench.Snapshot((_job.Unit, Unit("inactive")), (_job.Output, null))),
            Is.EqualTo(new ContainerJobState(false, null, ""))
        );

    // Its output is read before the last line is there, its unit when it is gone.
    [TestCase(0)]
    [TestCase(null)]
    public async Task The_end_is_taken_from_a_look_that_begins_once_the_unit_is_gone(int? exit)
    {
        var states = new Queue<ContainerJobState>([
            new(true, null, ""),
            new(false, null, ""),
            new(false, exit, "done\n"),
            new(false, 9, ""),
        ]);
        var state = await ContainerJob.UntilEndedAsync(
            () => Task.FromResult(states.Dequeue()),
            new PollPace(TimeSpan.FromMilliseconds(1), TimeSpan.FromMinutes(1)),
            TimeProvider.System,
            CancellationToken.None
        );
        Assert.That(state, Is.EqualTo(new ContainerJobState(false, exit, "done\n")));
        Assert.That(states, Has.Count.EqualTo(1));
    }

    [Test]
    public async Task Stopped_its_processes_end_with_it()
    {
        var running = Task.Run(() => Run(_job.Start("a job", "sleep 300; echo slept")));
        Assert.That(() => File.Exists($"/tmp/{_job.Name}.pid"), Is.True.After(20000, 20));
        Assert.That(Run(_job.Stop()).ExitCode, Is.Zero);
        Assert.That((await running).ExitCode, Is.Zero);
        Assert.That(State("inactive"), Has.Property("ExitCode").EqualTo(128 + 15).And.Property("Output").Not.Contains("slept"));
    }

    private ScriptResult Run(Script script) => ProviderBench.Run(script with { Text = $"PATH={_folder}:$PATH\n{script.Text}" });

    private ContainerJobState State(string state) =>
        _job.Of(
            ProviderBench.Snapshot(
                (_job.Unit, Unit(state)),
                (_job.Output, new FileContent(Encoding.UTF8.GetBytes(File.ReadAllText(_job.Output.Path))))
            )
        );

    private string Options() => File.ReadAllText(Path.Combine(_folder, "options"));

    private static UnitState Unit(string state) => new(new Dictionary<string, string> { ["ActiveState"] = state });

    private void Program(string name, string body)
    {
        var path = Path.Combine(_folder, name);
        File.WriteAllText(path, "#!/bin/sh\n" + body + "\n");
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }
}
