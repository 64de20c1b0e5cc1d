using System.Diagnostics;
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
    public static readonly string Root = FindRoot();

    /// <summary>Where the cluster file and the keys of the lab are that these tests use: KBR_LAB names it, as it does for the lab's own commands.</summary>
    public static readonly string Folder = Path.Combine(Root, "lab", Environment.GetEnvironmentVariable("KBR_LAB") ?? "");
    public static readonly string[] Hosts = ["db-master-01", "db-slave-01", "db-slave-02", "haproxy-01", "haproxy-02"];

    private static readonly TimeSpan Deadline = TimeSpan.FromMinutes(8);

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
    public static Outcome Finish(Process process)
    {
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        if (!process.WaitForExit(Deadline))
        {
            process.Kill(entireProcessTree: true);
            Assert.Fail($"{process.StartInfo.FileName} {string.Join(' ', process.StartInfo.ArgumentList)} took longer than {Deadline}");
        }

        return new Outcome(process.ExitCode, output.Result, error.Result);
    }

    /// <summary>Runs a command on a host by hand, over ssh, and answers what it printed; fails the test when it fails.</summary>
    public static string OnHost(string host, string command)
    {
        var outcome = Run(Root, Path.Combine(Root, "lab/ssh"), host, command);
        Assert.That(outcome.ExitCode, Is.Zero, $"{host}: {command}: {outcome.All}");
        return outcome.Output;
    }

    /// <summary>Runs one of the lab's own commands.</summary>
    public static void Command(string name, params string[] arguments)
    {
        var outcome = Run(Root, Path.Combine(Root, "lab", name), arguments);
        Assert.That(outcome.ExitCode, Is.Zero, $"lab/{name}: {outcome.All}");
    }

    /// <summary>Waits until something holds, looking ten times a second.</summary>
    public static void Until(Func<bool> condition, TimeSpan deadline, string what)
    {
        var clock = Stopwatch.StartNew();
        using var pause = new ManualResetEventSlim();
        while (!condition())
        {
            Assert.That(clock.Elapsed, Is.LessThan(deadline), $"waited for {what}");
            pause.Wait(TimeSpan.FromMilliseconds(100));
        }
    }

    private static string FindRoot()
    {
        var directory = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(directory.FullName, "KeyBuzz.Reconciler.sln")))
        {
            directory = directory.Parent ?? throw new InvalidOperationException("these tests run from within the checkout");
        }

        return directory.FullName;
    }
}

/// <summary>An operator's directory with a cluster file of the lab and secrets that can be looked for.</summary>
internal sealed class Workspace : IDisposable
{
    public const string Canary = "canary-Zq7xW4-password";
    public const string KeyCanary = "canary-Kp3vT9-fingerprint-key";

    // What users run is the Native AOT build; eng/test.sh names it.
    private static readonly string Tool = Environment.GetEnvironmentVariable("KBR_TOOL") ?? Path.Combine(Lab.Root, "artifacts/bin/kbr/release/kbr");

    public Workspace() : this("cluster.yaml", "credentials/postgres.env", $"APP_PASS={Canary}\nKBR_KEY={KeyCanary}\n") { }

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

    public string Directory { get; }

    /// <summary>The cluster file's text.</summary>
    public string Yaml
    {
        get => File.ReadAllText(Path.Combine(Directory, "cluster.yaml"));
        set => File.WriteAllText(Path.Combine(Directory, "cluster.yaml"), value);
    }

    public Process Start(params string[] arguments) => Lab.Start(Directory, Tool, arguments);

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

    public void AssertNothingToDo()
    {
        var plan = Kbr("plan", "--detailed-exitcode");
        Assert.That(plan.ExitCode, Is.Zero, plan.All);
        Assert.That(plan.Output, Does.Contain("Plan: 0 to create, 0 to update, 0 to replace, 0 to delete").And.Not.Contain("to adopt"));
    }

    /// <summary>The plan as "address action cause attribute,attribute", a line per change.</summary>
    public string[] Plan(params string[] arguments)
    {
        var outcome = Kbr(["plan", "--json", .. arguments]);
        using var document = JsonDocument.Parse(outcome.Output);
        Assert.That(outcome.ExitCode, Is.Zero, outcome.All);
        return [.. document.RootElement.GetProperty("changes").EnumerateArray().Select(change =>
            $"{change.GetProperty("address")} {change.GetProperty("action")} {change.GetProperty("cause")} " +
            string.Join(',', change.GetProperty("differences").EnumerateArray().Select(difference => difference.GetProperty("attribute").GetString())))];
    }

    public void Dispose() => System.IO.Directory.Delete(Directory, recursive: true);
}
