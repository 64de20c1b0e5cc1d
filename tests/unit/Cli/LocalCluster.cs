using System.Diagnostics;
using System.Text.Json;
using KeyBuzz.Reconciler.Tests.Ssh;

namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary>kbr as a user runs it, against a real sshd on this machine that stands for one host, with a directory and a file of its
/// own.</summary>
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public abstract class LocalCluster : IDisposable
{
    protected const string Password = "canary-of-the-application";

    private readonly SshServer _server;

    /// <param name="environment">What sessions have in their environment, as sshd's SetEnv takes it.</param>
    protected LocalCluster(string environment = "")
    {
        _server = new SshServer([], environment);
        Directory.CreateDirectory(Path.Combine(Folder, "credentials"));
        Directory.CreateDirectory(Path.Combine(Folder, "host"));
        WriteSecrets();
        WriteCluster();
    }

    protected string Folder { get; } = Directory.CreateTempSubdirectory("kbr-cli-").FullName;

    protected string Name { get; } = $"unit-{Guid.NewGuid():n}"[..20];

    protected string Records => $"/var/lib/kbr/{Name}/records";

    /// <summary>The history on the host.</summary>
    protected string History => $"/var/log/kbr/{Name}.jsonl";

    protected string ConfigFile => $"{Folder}/host/app.conf";

    protected int Port => _server.Port;

    internal SshServer Server => _server;

    public virtual void Dispose()
    {
        GC.SuppressFinalize(this);
        _server.Dispose();
        Directory.Delete(Folder, recursive: true);
        File.Delete(History);
        if (Directory.Exists($"/var/lib/kbr/{Name}"))
        {
            Directory.Delete($"/var/lib/kbr/{Name}", recursive: true);
        }
    }

    protected void WriteSecrets(string password = Password, string key = "canary-of-the-key") =>
        Write("credentials/postgres.env", $"APP_PASS={password}\nKBR_KEY={key}\n");

    /// <summary>The cluster file: a directory "spare" and a file "app" with a secret in it. FOLDER in what is given stands for the place on
    /// the host.</summary>
    protected void WriteCluster(
        string mode = "0600",
        string spare = "spare",
        string more = "",
        string top = "",
        int? port = null,
        string workers = "4",
        string? name = null
    ) =>
        Write(
            "cluster.yaml",
            $$"""
            version: 1
            cluster: {{name ?? Name}}
            ssh: { identity_file: {{_server.Settings.IdentityFile}}, known_hosts: {{_server.KnownHostsFile}}, connect_timeout: 60s }
            hosts:
              db-1: { role: db, address: 127.0.0.1, ssh: { port: {{port ?? _server.Port}} } }
            preconditions: { swap: off, docker: off, tools: off, clock: off }
            {{top}}
            resources:
              - { type: directory, name: {{spare}}, host: db-1, path: FOLDER/spare }
              - type: config_file
                name: app
                host: db-1
                path: FOLDER/app.conf
                mode: "{{mode}}"
                content: |
                  workers = {{workers}}
                  password = ${secret.APP_PASS}
            {{more}}

            """.Replace("FOLDER", Folder + "/host", StringComparison.Ordinal)
        );

    protected string Write(string name, string text)
    {
        var path = Path.Combine(Folder, name);
        File.WriteAllText(path, text);
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        return path;
    }

    /// <summary>Runs kbr; whatever it prints must be free of secrets.</summary>
    protected (int Exit, string Output, string Error) Kbr(params string[] arguments)
    {
        using var process = new Process();
        process.StartInfo = new ProcessStartInfo(KbrProgram.Path, arguments)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
            WorkingDirectory = Folder,
        };
        process.Start();
        process.StandardInput.Close();
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        Assert.That(process.WaitForExit(TimeSpan.FromMinutes(5)), Is.True);
        Assert.That(output.Result + error.Result, Does.Not.Contain("canary-"), "a secret was printed");
        return (process.ExitCode, output.Result, error.Result);
    }

    /// <summary>Runs kbr, which has to end with 0, and answers what it printed.</summary>
    protected string Done(params string[] arguments)
    {
        var (exit, output, error) = Kbr(arguments);
        Assert.That(exit, Is.Zero, output + error);
        return output;
    }

    /// <summary>Runs kbr, which has to refuse, and answers what it said.</summary>
    protected string Refused(params string[] arguments)
    {
        var (exit, output, error) = Kbr(arguments);
        Assert.That(exit, Is.EqualTo(1), output + error);
        return error;
    }

    /// <summary>Runs kbr with --json and answers its only document.</summary>
    protected JsonElement Document(params string[] arguments)
    {
        var (_, output, error) = Kbr([.. arguments, "--json"]);
        Assert.That(output.Split('\n', StringSplitOptions.RemoveEmptyEntries), Has.Length.EqualTo(1), output + error);
        using var document = JsonDocument.Parse(output);
        return document.RootElement.Clone();
    }
}
