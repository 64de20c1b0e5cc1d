using System.Diagnostics;
using System.Text;
using System.Text.RegularExpressions;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.Providers;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Ssh;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace KeyBuzz.Reconciler.Soak;

/// <summary>How a program ended.</summary>
internal sealed record Outcome(int ExitCode, string Output)
{
    /// <summary>Its last lines, as a sentence's end.</summary>
    public string Said =>
        string.Join("; ", Output.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).TakeLast(4));
}

/// <summary>What goes wrong with the cluster or the lab, and ends the soak.</summary>
internal sealed class SoakException(string message) : Exception(message);

/// <summary>The lab and kbr as an operator uses them, by their commands; and the cluster file, which changes while the soak runs.</summary>
internal sealed partial class SoakLab
{
    private static readonly TimeSpan s_deadline = TimeSpan.FromMinutes(8);

    private readonly string _root;
    private readonly string _tool;
    private readonly string _file;
    private readonly Action<string> _log;
    private volatile PostgresTopology _topology;
    private volatile PostgresTopology _before;
    private int _logins;

    /// <summary>Takes a lab's cluster file. What the soak changes it writes to a copy beside it, and a new password to the credentials
    /// file, since the cluster has it then.</summary>
    public SoakLab(string file, bool synchronous, Action<string> log)
    {
        _log = log;
        _root = FindRoot();
        _tool = Environment.GetEnvironmentVariable("KBR_TOOL") is { Length: > 0 } tool
            ? Path.GetFullPath(tool)
            : Path.Combine(_root, "kbr");
        _file = Path.Combine(Path.GetDirectoryName(Path.GetFullPath(file))!, "cluster-soak.yaml");
        var yaml = SynchronousLine().Replace(File.ReadAllText(file), "");
        File.WriteAllText(
            _file,
            synchronous ? yaml.Replace("\npostgres:\n", "\npostgres:\n  synchronous: true\n", StringComparison.Ordinal) : yaml
        );
        _before = _topology = Load().Model;
    }

    /// <summary>The cluster as it is configured now.</summary>
    public PostgresTopology Topology => _topology;

    /// <summary>A login as the application, by the load balancer's ports on this machine: no host is needed for it that may be down. While
    /// a password changes, both are tried in turn, as instances of an application do that were and were not given the new one.</summary>
    public NpgsqlConnectionStringBuilder Login(int port, string name, int connectSeconds, int commandSeconds)
    {
        var topology = (Interlocked.Increment(ref _logins) & 1) == 0 ? _topology : _before;
        var login = ApplicationLogin.Settings(topology, port, name, connectSeconds, commandSeconds);
        var published = SshEndpoint.Of(topology.Members[0]).Hostname;
        login.Host =
            published[..(published.LastIndexOf('.') + 1)]
            + topology.Entry.Addresses[0][(topology.Entry.Addresses[0].LastIndexOf('.') + 1)..];
        return login;
    }

    /// <summary>Gives the cluster file another text.</summary>
    public void Edit(Func<string, string> edit)
    {
        var yaml = File.ReadAllText(_file);
        var edited = edit(yaml);
        if (edited == yaml)
        {
            throw new SoakException("the cluster file could not be edited: it has not the form of the lab's");
        }

        File.WriteAllText(_file, edited);
        _topology = Load().Model;
    }

    /// <summary>Gives the application another password in the credentials file. Until <see cref="Settled"/> both are tried.</summary>
    public void ChangePassword(string password)
    {
        var credentials = Load().Credentials;
        File.WriteAllText(credentials + ".new", PasswordLine().Replace(File.ReadAllText(credentials), "POSTGRES_APP_PASS=" + password));
        if (OperatingSystem.IsLinux())
        {
            File.SetUnixFileMode(credentials + ".new", UnixFileMode.UserRead | UnixFileMode.UserWrite);
        }

        File.Move(credentials + ".new", credentials, overwrite: true);
        _topology = Load().Model;
    }

    /// <summary>From now on only what is configured counts.</summary>
    public void Settled() => _before = _topology;

    /// <summary>Runs kbr.</summary>
    public Task<Outcome> KbrAsync(string command, params string[] arguments) => RunAsync(_tool, [command, .. arguments, "-c", _file]);

    /// <summary>Runs kbr, which must succeed.</summary>
    public async Task MustAsync(string command, params string[] arguments)
    {
        var outcome = await KbrAsync(command, arguments).ConfigureAwait(false);
        if (outcome.ExitCode != 0)
        {
            _log(outcome.Output);
            throw new SoakException($"kbr {command} ended with exit code {outcome.ExitCode}: {outcome.Said}");
        }
    }

    /// <summary>Applies. Where all was done and only the checklist after it does not hold yet, that is for the gate to say, which waits
    /// longer.</summary>
    public async Task ApplyAsync()
    {
        var outcome = await KbrAsync("apply", "--auto-approve").ConfigureAwait(false);
        if (outcome.ExitCode != 0 && !outcome.Output.Contains(" 0 failed, 0 skipped", StringComparison.Ordinal))
        {
            _log(outcome.Output);
            throw new SoakException($"kbr apply ended with exit code {outcome.ExitCode}: {outcome.Said}");
        }
    }

    /// <summary>Runs one of the lab's commands, which must succeed.</summary>
    public async Task LabAsync(string command, params string[] arguments)
    {
        var outcome = await RunAsync(Path.Combine(_root, "lab", command), arguments).ConfigureAwait(false);
        if (outcome.ExitCode != 0)
        {
            throw new SoakException($"lab/{command} {string.Join(' ', arguments)} ended with exit code {outcome.ExitCode}: {outcome.Said}");
        }
    }

    /// <summary>Ends whatever fault may still be there: a soak that breaks off leaves a cluster that can heal.</summary>
    public async Task HealAllAsync()
    {
        foreach (var host in _topology.Members.Concat(_topology.Proxies))
        {
            await RunAsync(Path.Combine(_root, "lab/on"), [host.Name]).ConfigureAwait(false);
            await RunAsync(Path.Combine(_root, "lab/heal"), [host.Name]).ConfigureAwait(false);
        }
    }

    private async Task<Outcome> RunAsync(string program, string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            WorkingDirectory = Path.GetDirectoryName(_file)!,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
        };
        using var process = Process.Start(start)!;
        process.StandardInput.Close();
        var said = new StringBuilder();
        void Take(object _, DataReceivedEventArgs line)
        {
            lock (said)
            {
                said.AppendLine(line.Data);
            }
        }

        process.OutputDataReceived += Take;
        process.ErrorDataReceived += Take;
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        using var deadline = new CancellationTokenSource(s_deadline);
        try
        {
            await process.WaitForExitAsync(deadline.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw new SoakException(
                $"{Path.GetFileName(program)} {string.Join(' ', arguments)} took longer than {s_deadline.TotalMinutes} minutes"
            );
        }

        lock (said)
        {
            return new Outcome(process.ExitCode, said.ToString());
        }
    }

    private (PostgresTopology Model, string Credentials) Load()
    {
        var services = new ServiceCollection();
        services.AddSingleton(TimeProvider.System);
        Registration.AddProviders(services);
        using var container = services.BuildServiceProvider();
        var environment = Environment
            .GetEnvironmentVariables()
            .Keys.Cast<string>()
            .ToDictionary(name => name, name => Environment.GetEnvironmentVariable(name) ?? "", StringComparer.Ordinal);
        var cluster = ClusterLoader.Load(
            _file,
            new ClusterSyntax(
                [.. container.GetServices<IResourceProvider>()],
                container.GetRequiredService<IPreconditionChecks>().Kinds,
                new SshSection(),
                [new PostgresBlueprint(TimeProvider.System)]
            ),
            environment
        );
        var credentials = CredentialsLine().Match(File.ReadAllText(_file)).Groups[1].Value.Trim();
        return (
            cluster.Model<PostgresTopology>() ?? throw new SoakException($"{_file} has no 'postgres' section"),
            Path.Combine(Path.GetDirectoryName(_file)!, credentials)
        );
    }

    private static string FindRoot()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "KeyBuzz.Reconciler.sln")))
        {
            folder = Path.GetDirectoryName(Path.TrimEndingDirectorySeparator(folder))
                ?? throw new SoakException("the soak runs from a checkout");
        }

        return folder;
    }

    [GeneratedRegex(@"(?m)^  synchronous:.*\n")]
    private static partial Regex SynchronousLine();

    [GeneratedRegex(@"(?m)^POSTGRES_APP_PASS=.*$")]
    private static partial Regex PasswordLine();

    [GeneratedRegex(@"(?m)^secrets:\n\s+file:(.*)$")]
    private static partial Regex CredentialsLine();
}
