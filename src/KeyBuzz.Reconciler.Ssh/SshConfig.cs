using System.Collections.Concurrent;
using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace KeyBuzz.Reconciler.Ssh;

/// <summary>Asks the installed OpenSSH client what its configuration says: <c>ssh -G</c>, once a name, a few at a time.</summary>
internal sealed class SshConfig
{
    /// <summary>A name that no host has: what is said of it is said of all hosts.</summary>
    public const string AnyHost = "kbr-no-such-host.invalid";

    private const int LargestAnswer = 256 * 1024;
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(10);

    private static readonly SemaphoreSlim s_few = new(Math.Max(2, Environment.ProcessorCount));

    private readonly SshConfigSource _source;
    private readonly TimeProvider _time;

    // Where the configuration says the same of all hosts, it is asked once.
    private readonly Lazy<bool> _isUniform;
    private readonly ConcurrentDictionary<string, Lazy<Task<SshConfigAnswer?>>> _answers = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, Lazy<Task<bool>>> _users = new(StringComparer.Ordinal);

    public SshConfig(SshConfigSource source, TimeProvider time)
    {
        _source = source;
        _time = time;
        _isUniform = new Lazy<bool>(() => source.File is null && SshConfigFiles.SayTheSameOfAllHosts());
    }

    /// <summary>Whether an <c>ssh</c> was looked for and is not installed.</summary>
    public bool IsMissing { get; private set; }

    /// <summary>What the configuration says about a name; null where none is read or no <c>ssh</c> is installed.</summary>
    /// <param name="name">The name, as one would type it.</param>
    /// <param name="user">The login name that is given already; null for none.</param>
    /// <param name="port">The port that is given already; null for none.</param>
    /// <exception cref="SshProblem">It cannot be read.</exception>
    public async Task<SshConfigAnswer?> AskAsync(string name, string? user, int? port)
    {
        if (!_source.IsRead)
        {
            return null;
        }

        return _isUniform.Value
            ? (await AskOneAsync(AnyHost, null, null).ConfigureAwait(false))?.Of(name, user, port)
            : await AskOneAsync(name, user, port).ConfigureAwait(false);
    }

    private Task<SshConfigAnswer?> AskOneAsync(string name, string? user, int? port)
    {
        List<string> given = [];
        if (user is not null)
        {
            given.AddRange(["-l", user]);
        }

        if (port is { } number)
        {
            given.AddRange(["-p", number.ToString(CultureInfo.InvariantCulture)]);
        }

        if (_source.File is { } file)
        {
            given.AddRange(["-F", file]);
        }

        return _answers
            .GetOrAdd(string.Create(CultureInfo.InvariantCulture, $"{name} {user} {port}"), _ => new Lazy<Task<SshConfigAnswer?>>(() =>
                RunAsync(name, given)
            ))
            .Value;
    }

    /// <summary>Whether the configuration names the user, when the answer's is the operator's own: that is also what ssh says where nothing
    /// is configured.</summary>
    public Task<bool> NamesUserAsync(string name, int? port, string answered)
    {
        // Which name is appended does not matter, but for being another.
        const string other = "kbr-no-such-user";
        name = _isUniform.Value ? AnyHost : name;
        return answered != Environment.UserName || answered == SshRoutes.DefaultUser
            ? Task.FromResult(true)
            : _users
                .GetOrAdd(string.Create(CultureInfo.InvariantCulture, $"{name} {port}"), _ => new Lazy<Task<bool>>(async () =>
                {
                    var directory = Directory.CreateTempSubdirectory("kbr-ssh-");
                    try
                    {
                        // The first value counts in ssh's configuration: the last line is asked only where none came before it.
                        var wrapper = Path.Combine(directory.FullName, "config");
                        string[] files = _source.File is { } file ? [Path.GetFullPath(file)] : ["~/.ssh/config", "/etc/ssh/ssh_config"];
                        await File.WriteAllLinesAsync(wrapper, [.. files.Select(each => $"Include \"{each}\""), $"User {other}"])
                            .ConfigureAwait(false);
                        List<string> given = ["-F", wrapper];
                        if (port is { } number)
                        {
                            given.AddRange(["-p", number.ToString(CultureInfo.InvariantCulture)]);
                        }

                        return (await RunAsync(name, given).ConfigureAwait(false))?.User is not (null or other);
                    }
                    finally
                    {
                        directory.Delete(recursive: true);
                    }
                }))
                .Value;
    }

    private async Task<SshConfigAnswer?> RunAsync(string name, IReadOnlyList<string> given)
    {
        // ssh takes what follows -- as a name; one with a dash would still be none.
        if (name.Length == 0 || name[0] == '-')
        {
            throw new SshProblem($"'{name}' cannot be the name of a host", "correct ssh.host");
        }

        await s_few.WaitAsync().ConfigureAwait(false);
        try
        {
            return IsMissing ? null : await Task.Run(() => AnswerAsync(name, given)).ConfigureAwait(false);
        }
        catch (Win32Exception e)
        {
            IsMissing = true;
            return _source.File is { } file
                ? throw new SshProblem(
                    $"ssh is not installed here, and {file} cannot be read without it",
                    "install OpenSSH's client, or remove ssh.config from cluster.yaml",
                    e
                )
                : null;
        }
        finally
        {
            s_few.Release();
        }
    }

    private async Task<SshConfigAnswer> AnswerAsync(string name, IReadOnlyList<string> given)
    {
        var start = new ProcessStartInfo("ssh", ["-G", "-T", .. given, "--", name])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
        };
        start.Environment["LC_ALL"] = "C";

        // Commands of the configuration (Match exec) need no secret of kbr's.
        start.Environment.Remove(SshConnector.PassphraseVariable);
        using var process = Process.Start(start) ?? throw new Win32Exception("ssh did not start");
        process.StandardInput.Close();
        using var deadline = new CancellationTokenSource(Deadline, _time);
        try
        {
            var error = ReadAsync(process.StandardError, deadline.Token);
            var output = await ReadAsync(process.StandardOutput, deadline.Token).ConfigureAwait(false);
            var said = await error.ConfigureAwait(false);
            await process.WaitForExitAsync(deadline.Token).ConfigureAwait(false);
            if (process.ExitCode != 0)
            {
                throw Unreadable(
                    name,
                    said.Split('\n', StringSplitOptions.RemoveEmptyEntries).FirstOrDefault() ?? $"exit status {process.ExitCode}"
                );
            }

            return SshConfigAnswer.Parse(output);
        }
        catch (OperationCanceledException e)
        {
            process.Kill(entireProcessTree: true);
            throw Unreadable(name, $"no answer within {Deadline.TotalSeconds:0} s", e);
        }
        catch (InvalidDataException e)
        {
            process.Kill(entireProcessTree: true);
            throw Unreadable(name, e.Message, e);
        }
    }

    private SshProblem Unreadable(string name, string why, Exception? inner = null) =>
        new(
            $"ssh's configuration cannot be read for {name}: {why}",
            $"ssh -G {(_source.File is { } file ? $"-F {file} " : "")}{name} shows it; 'config: false' under ssh in cluster.yaml does without it",
            inner
        );

    private static async Task<string> ReadAsync(StreamReader reader, CancellationToken cancellationToken)
    {
        var text = new StringBuilder();
        var buffer = new char[16 * 1024];
        int count;
        while ((count = await reader.ReadAsync(buffer.AsMemory(), cancellationToken).ConfigureAwait(false)) > 0)
        {
            text.Append(buffer, 0, count);
            if (text.Length > LargestAnswer)
            {
                throw new InvalidDataException("the answer does not end");
            }
        }

        return text.ToString();
    }
}
