using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Text.Json;

namespace KeyBuzz.Reconciler.LabTests;

/// <summary>How a program ended.</summary>
internal sealed record Outcome(int ExitCode, string Output, string Error)
{
    public string All => Output + Error;
}

/// <summary>The lab and the tool under test, as processes: what a user has.</summary>
internal static class Lab
{
    /// <summary>The categories of the fixtures of which <c>eng/test.sh</c> runs two, or one on a slow machine, for each commit: those of
    /// the slices that leave this remainder when they are divided by four (<c>Ha.Slice1</c>), and <c>eng/test.sh --whole</c> all.</summary>
    public const string Part1 = "part-1";

    /// <inheritdoc cref="Part1" />
    public const string Part2 = "part-2";

    /// <inheritdoc cref="Part1" />
    public const string Part3 = "part-3";

    /// <inheritdoc cref="Part1" />
    public const string Part4 = "part-4";

    public static readonly string Root = FindRoot();

    /// <summary>Where the cluster file and the keys of the lab are that these tests use: KBR_LAB names it, as it does for the lab's own
    /// commands.</summary>
    public static readonly string Folder = Path.Combine(Root, "lab", Environment.GetEnvironmentVariable("KBR_LAB") ?? "");
    public static readonly string[] Hosts = ["db-master-01", "db-slave-01", "db-slave-02", "haproxy-01", "haproxy-02"];

    private static readonly TimeSpan Deadline = TimeSpan.FromMinutes(8);

    // Whether nobody has used the hosts since they were made: eng/test.sh knows.
    private static bool s_areNew = Environment.GetEnvironmentVariable("KBR_LAB_NEW") == "1";

    /// <summary>Starts a program; its standard input is empty.</summary>
    public static Process Start(string directory, string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            WorkingDirectory = directory,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
        };
        var process = Process.Start(start)!;
        process.StandardInput.Close();
        return process;
    }

    /// <summary>Runs a program to its end.</summary>
    public static Outcome Run(string directory, string program, params string[] arguments)
    {
        using var process = Start(directory, program, arguments);
        return Finish(process);
    }

    /// <summary>Waits for the end of a program.</summary>
    public static Outcome Finish(Process process, TimeSpan? patience = null)
    {
        var deadline = patience ?? Deadline;
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        if (!process.WaitForExit(deadline))
        {
            process.Kill(entireProcessTree: true);
            Assert.Fail($"{process.StartInfo.FileName} {string.Join(' ', process.StartInfo.ArgumentList)} took longer than {deadline}");
        }

        return new Outcome(process.ExitCode, output.Result, error.Result);
    }

    /// <summary>The images of the lab's registry as cluster.yaml names them, by tag and digest (<c>PATRONI16</c>), and their ids
    /// (<c>PATRONI16_ID</c>).</summary>
    public static IReadOnlyDictionary<string, string> Images()
    {
        var lines = File.ReadLines(Path.Combine(Folder, ".state/images.env"))
            .Where(line => line.StartsWith("KBR_", StringComparison.Ordinal))
            .Select(line => line["KBR_".Length..].Split('=', 2))
            .ToDictionary(pair => pair[0], pair => pair[1]);
        return lines.ToDictionary(
            pair => pair.Key,
            pair =>
                lines.TryGetValue(pair.Key + "_TAG", out var tag)
                    ? tag + pair.Value[pair.Value.IndexOf('@', StringComparison.Ordinal)..]
                    : pair.Value
        );
    }

    /// <summary>Starts a command on a host by hand, over ssh as <c>lab/ssh</c>, and without its shell.</summary>
    public static Process StartOn(string host, string command) =>
        Start(Root, "ssh", "-F", Path.Combine(Folder, ".state/ssh_hosts"), host, command);

    /// <summary>Runs a command on a host by hand, over ssh.</summary>
    public static Outcome RunOn(string host, string command)
    {
        using var process = StartOn(host, command);
        return Finish(process);
    }

    /// <summary>Runs a command on a host by hand, over ssh, and answers what it printed; fails the test when it fails.</summary>
    public static string OnHost(string host, string command)
    {
        var outcome = RunOn(host, command);
        Assert.That(outcome.ExitCode, Is.Zero, $"{host}: {command}: {outcome.All}");
        return outcome.Output;
    }

    /// <summary>Runs a command by hand on each of these hosts at the same time, and answers what they printed, in that order.</summary>
    public static string[] OnHosts(IEnumerable<(string Host, string Command)> commands) =>
        [.. commands.AsParallel().AsOrdered().WithDegreeOfParallelism(Hosts.Length).Select(pair => OnHost(pair.Host, pair.Command))];

    /// <summary>Runs one of the lab's own commands.</summary>
    public static void Command(string name, params string[] arguments)
    {
        var outcome = Run(Root, Path.Combine(Root, "lab", name), arguments);
        Assert.That(outcome.ExitCode, Is.Zero, $"lab/{name}: {outcome.All}");
    }

    /// <summary>Brings the lab up with hosts that hold nothing; those that were made for this run are not made once more by the first that
    /// asks.</summary>
    public static void WithNewHosts()
    {
        if (s_areNew)
        {
            s_areNew = false;
            return;
        }

        Command("up");
        Command("reset");
    }

    /// <summary>Waits until something holds, looking ten times a second; what takes long to find out, for a quarter of the time, and every
    /// five seconds at least.</summary>
    public static void Until(Func<bool> condition, TimeSpan deadline, string what, TimeSpan? pace = null) =>
        Until(condition, deadline, () => what, pace);

    /// <summary>The same, where what is waited for can be said better at the end.</summary>
    public static void Until(Func<bool> condition, TimeSpan deadline, Func<string> what, TimeSpan? pace = null)
    {
        var clock = Stopwatch.StartNew();
        using var pause = new ManualResetEventSlim();
        while (true)
        {
            var asked = clock.Elapsed;
            if (condition())
            {
                return;
            }

            Assert.That(clock.Elapsed, Is.LessThan(deadline), () => $"waited for {what()}");
            // A status loads the hosts of all labs, and so what is waited for.
            pause.Wait(pace ?? TimeSpan.FromMilliseconds(Math.Clamp(3 * (clock.Elapsed - asked).TotalMilliseconds, 100, 5000)));
        }
    }

    // By the place of this file: what is built may lie elsewhere (ArtifactsPath).
    private static string FindRoot([CallerFilePath] string file = "") =>
        Path.GetFullPath(Path.Combine(Path.GetDirectoryName(file)!, "../.."));
}

/// <summary>An operator's directory with a cluster file of the lab and secrets that can be looked for.</summary>
internal sealed class Workspace : IDisposable
{
    public const string Canary = "canary-Zq7xW4-password";
    public const string KeyCanary = "canary-Kp3vT9-fingerprint-key";

    // What was built with these tests; or what KBR_TOOL names, as eng/test.sh does the Native AOT build, which is what users run.
    public static readonly string Tool = Environment.GetEnvironmentVariable("KBR_TOOL") is { Length: > 0 } tool
        ? Path.GetFullPath(tool, Lab.Root)
        : Path.GetFullPath(
            Path.Combine(
                AppContext.BaseDirectory,
                "../../kbr",
                Path.GetFileName(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory)),
                "kbr"
            )
        );

    public Workspace()
        : this("cluster.yaml", "credentials/postgres.env", $"APP_PASS={Canary}\nKBR_KEY={KeyCanary}\n") { }

    /// <summary>Takes the lab's cluster file of that name, the credentials file that it names, and what that holds.</summary>
    public Workspace(string file, string credentialsFile, string secrets)
    {
        Directory = System.IO.Directory.CreateTempSubdirectory("kbr-lab-").FullName;
        File.CreateSymbolicLink(Path.Combine(Directory, ".state"), Path.Combine(Lab.Folder, ".state"));
        System.IO.Directory.CreateDirectory(Path.Combine(Directory, "credentials"));
        var credentials = Path.Combine(Directory, credentialsFile);
        File.WriteAllText(credentials, secrets);
#pragma warning disable CA1416 // The lab is Linux.
        File.SetUnixFileMode(credentials, UnixFileMode.UserRead | UnixFileMode.UserWrite);
#pragma warning restore CA1416
        Yaml = File.ReadAllText(Path.Combine(Lab.Folder, file));
    }

    private Workspace(Workspace other)
    {
        Directory = System.IO.Directory.CreateTempSubdirectory("kbr-lab-").FullName;
        File.CreateSymbolicLink(Path.Combine(Directory, ".state"), Path.Combine(Lab.Folder, ".state"));
        Yaml = other.Yaml;
    }

    public string Directory { get; }

    /// <summary>The cluster file's text.</summary>
    public string Yaml
    {
        get => File.ReadAllText(Path.Combine(Directory, "cluster.yaml"));
        set => File.WriteAllText(Path.Combine(Directory, "cluster.yaml"), value);
    }

    /// <summary>Puts the resources of a file of tests/lab in place of those of the cluster file. In it {TINY_2} is an image of the lab's
    /// registry by tag and digest, {TINY_2_ID} its id.</summary>
    public void TakeResources(string file)
    {
        var resources = File.ReadAllText(Path.Combine(Lab.Root, "tests/lab", file));
        foreach (var (name, value) in Lab.Images())
        {
            resources = resources.Replace($"{{{name}}}", value, StringComparison.Ordinal);
        }

        Yaml = Yaml[..Yaml.IndexOf("\nresources:", StringComparison.Ordinal)] + "\n" + resources;
    }

    public Process Start(params string[] arguments) => Lab.Start(Directory, Tool, arguments);

    /// <summary>Runs kbr and has it killed at that remote step, as eng/kill-sweep.sh does: <c>before:STEP</c>,
    /// <c>during:STEP:MILLISECONDS</c> or <c>after:STEP</c>.</summary>
    public void Killed(string point, params string[] arguments)
    {
        // By env, since the point is for this one run only.
        using var process = Lab.Start(Directory, "env", ["KBR_KILL=" + point, Tool, .. arguments]);
        var outcome = Lab.Finish(process);
        Assert.That(outcome.ExitCode, Is.EqualTo(137), $"killed {point}: {outcome.All}");
        Assert.That(outcome.Error, Does.Contain("killed ").And.Contain("remote step "));
    }

    /// <summary>Runs kbr; whatever it prints must be free of secrets.</summary>
    public Outcome Kbr(params string[] arguments)
    {
        var outcome = Lab.Run(Directory, Tool, arguments);
        Assert.That(outcome.All, Does.Not.Contain("canary-"), "a secret was printed");
        return outcome;
    }

    public Outcome Apply(params string[] arguments)
    {
        var outcome = Kbr(["apply", "--auto-approve", .. arguments]);
        Assert.That(outcome.ExitCode, Is.Zero, outcome.All);
        return outcome;
    }

    /// <summary>Applies, and answers the addresses of the changes that were made; none may fail.</summary>
    public string[] Made(params string[] arguments)
    {
        var outcome = Apply(["--json", .. arguments]);
        var events = outcome
            .Output.Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(line => JsonDocument.Parse(line).RootElement)
            .Where(line => line.GetProperty("kind").GetString() == "apply_event")
            .ToList();
        Assert.That(
            events.Select(each => each.GetProperty("event").GetString()),
            Has.None.EqualTo("failed").And.None.EqualTo("not_tried"),
            outcome.All
        );
        return
        [
            .. events
                .Where(each => each.GetProperty("event").GetString() == "done")
                .Select(each => each.GetProperty("address").GetString())
                .Order(StringComparer.Ordinal),
        ];
    }

    public void AssertNothingToDo()
    {
        var plan = Kbr("plan", "--detailed-exitcode");
        Assert.That(plan.ExitCode, Is.Zero, plan.All);
        Assert.That(plan.Output, Does.Contain("No changes. The hosts match "));
    }

    /// <summary>The plan as "address action cause attribute,attribute", a line per change and per group that is brought to
    /// health.</summary>
    public string[] Plan(params string[] arguments)
    {
        var outcome = Kbr(["plan", "--json", .. arguments]);
        using var document = JsonDocument.Parse(outcome.Output);
        Assert.That(outcome.ExitCode, Is.Zero, outcome.All);
        return
        [
            .. document
                .RootElement.GetProperty("changes")
                .EnumerateArray()
                .Select(change => $"{change.GetProperty("address")} {change.GetProperty("action")} {Difference(change)}"),
            .. document
                .RootElement.GetProperty("groups")
                .EnumerateArray()
                .Where(group => group.GetProperty("health").ValueKind != JsonValueKind.Null)
                .Select(group => $"{group.GetProperty("address")} bring_to_health {Difference(group.GetProperty("health"))}"),
        ];

        static string Difference(JsonElement of) =>
            $"{of.GetProperty("cause")} "
            + string.Join(
                ',',
                of.GetProperty("differences").EnumerateArray().Select(difference => difference.GetProperty("attribute").GetString())
            );
    }

    /// <summary>The drift as "address changed attribute,attribute" or "address deleted", a line per resource; what is ignored is left
    /// out.</summary>
    public string[] Drift(params string[] arguments)
    {
        var outcome = Kbr(["drift", "--json", .. arguments]);
        using var document = JsonDocument.Parse(outcome.Output);
        string[] lines =
        [
            .. document
                .RootElement.GetProperty("resources")
                .EnumerateArray()
                .Where(one => one.GetProperty("ignored").ValueKind == JsonValueKind.Null)
                .Select(one =>
                    $"{one.GetProperty("address")} {one.GetProperty("change")} {string.Join(',', one.GetProperty("attributes").EnumerateArray().Select(each => each.GetProperty("attribute").GetString()))}".TrimEnd()
                )
                .Order(StringComparer.Ordinal),
        ];
        Assert.That(outcome.ExitCode, Is.EqualTo(lines.Length == 0 ? 0 : 2), outcome.All);
        return lines;
    }

    /// <summary>What drift says of a thing of which the plan says "address action cause attribute".</summary>
    public static string AsDrift(string planned) =>
        planned.Split(' ') is var words && words[1] == "create" ? $"{words[0]} deleted" : $"{words[0]} changed {words[3]}";

    /// <summary>The same cluster file in a directory that has no secrets, as on a machine that is only to look for drift.</summary>
    public Workspace WithoutSecrets() => new(this);

    public void Dispose() => System.IO.Directory.Delete(Directory, recursive: true);
}
