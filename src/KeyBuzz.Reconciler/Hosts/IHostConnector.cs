using System.Globalization;
using System.Text.Json;

namespace KeyBuzz.Reconciler.Hosts;

/// <summary>Opens connections to hosts.</summary>
public interface IHostConnector
{
    /// <summary>Opens the one connection of this run to the host. Throws <see cref="HostException"/>.</summary>
    Task<IHostConnection> ConnectAsync(Host host, CancellationToken cancellationToken);
}

/// <summary>Where readers come from. Closing it closes all of them.</summary>
public interface IReaderSource : IAsyncDisposable
{
    /// <summary>Opens the one connection of this run to the host, and reads through it. Throws <see cref="HostException"/>.</summary>
    Task<IHostReader> OpenAsync(Host host, CancellationToken cancellationToken);
}

/// <summary>One connection to one host.</summary>
public interface IHostConnection : IAsyncDisposable
{
    /// <summary>The host.</summary>
    Host Host { get; }

    /// <summary>The reader. It can run nothing but rendered <see cref="Read"/>s.</summary>
    IHostReader Reader { get; }

    /// <summary>Takes the lock of the host and opens the writer that holds it. Throws <see cref="HostLockedException"/> when another apply
    /// has it, <see cref="HostException"/> when the host fails.</summary>
    /// <param name="holder">The holder: shown to a refused run.</param>
    /// <param name="parallelism">How many scripts may run at once on the host.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    Task<IHostWriter> OpenWriterAsync(LockHolder holder, int parallelism, CancellationToken cancellationToken);

    /// <summary>Ends a process of the host that holds its lock, and answers whether it is gone; one that does not hold the lock is not
    /// touched. Its child processes continue. Throws <see cref="HostException"/>.</summary>
    Task<bool> EndLockHolderAsync(int processId, CancellationToken cancellationToken);

    /// <summary>Opens a port on this machine's loopback that leads, through the connection, to a port that the host can reach. While it is
    /// open every user of this machine can connect to it. Throws <see cref="HostException"/>.</summary>
    Task<ITunnel> OpenTunnelAsync(string address, int port, CancellationToken cancellationToken);

    /// <summary>Prints a log in a session of its own, line by line, until it ends or the token is cancelled; the command on the host ends
    /// with the session, also when the connection breaks. Answers how it ended; a cancelled one, with status 0. Throws
    /// <see cref="HostException"/>.</summary>
    /// <param name="log">The log.</param>
    /// <param name="take">Takes each line, without its end, in order; a long one is cut off.</param>
    /// <param name="cancellationToken">Ends it.</param>
    Task<ScriptResult> StreamAsync(HostLog log, Action<string> take, CancellationToken cancellationToken);
}

/// <summary>A log of a host. It changes nothing: only the kinds that a test lists turn it into a command.</summary>
public abstract record HostLog
{
    /// <summary>The shell command that prints it to its standard output, and no secret.</summary>
    public abstract string Command { get; }
}

/// <summary>A port on this machine's loopback that leads to one on the far side; closed when disposed.</summary>
public interface ITunnel : IAsyncDisposable
{
    /// <summary>The port on 127.0.0.1.</summary>
    int Port { get; }
}

/// <summary>Reads from a host; cannot change it.</summary>
public interface IHostReader
{
    /// <summary>Renders the reads into one script, runs it, and parses the framed answer. Throws <see cref="HostException"/>.</summary>
    Task<Snapshot> ReadAsync(IReadOnlyCollection<Read> reads, CancellationToken cancellationToken);

    /// <summary>How many scripts this reader has run.</summary>
    int ScriptCount { get; }
}

/// <summary>Changes a host. Exists only while the host's lock is held.</summary>
public interface IHostWriter : IAsyncDisposable
{
    /// <summary>Runs a script as root with its deadline. A script that was cancelled or timed out does not keep running. Throws
    /// <see cref="HostException"/> when the connection fails.</summary>
    Task<ScriptResult> RunAsync(Script script, CancellationToken cancellationToken);
}

/// <summary>The holder of a host's lock.</summary>
/// <param name="User">Login name of the operator.</param>
/// <param name="Machine">The machine kbr runs on.</param>
/// <param name="ProcessId">Its process id there.</param>
/// <param name="Directory">The directory it was started in.</param>
/// <param name="Command">What it does, for example <c>apply</c>.</param>
/// <param name="Since">When it took the lock, UTC.</param>
public sealed record LockHolder(string User, string Machine, int ProcessId, string Directory, string Command, DateTimeOffset Since)
{
    /// <summary>Reads a description as the lock file has it; null when it cannot be read.</summary>
    public static LockHolder? Read(ReadOnlyMemory<byte> json)
    {
        try
        {
            using var document = JsonDocument.Parse(json);
            var root = document.RootElement;
            string Text(string name) => root.GetProperty(name).GetString() ?? "";
            return new LockHolder(
                Text("user"),
                Text("machine"),
                root.GetProperty("pid").GetInt32(),
                Text("directory"),
                Text("command"),
                root.GetProperty("since").GetDateTimeOffset()
            );
        }
        catch (Exception exception)
            when (exception is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            return null;
        }
    }

    /// <summary>Writes the description's properties into the object that is open.</summary>
    public void WriteTo(Utf8JsonWriter json)
    {
        ArgumentNullException.ThrowIfNull(json);
        json.WriteString("user", User);
        json.WriteString("machine", Machine);
        json.WriteNumber("pid", ProcessId);
        json.WriteString("directory", Directory);
        json.WriteString("command", Command);
        json.WriteString("since", Since.UtcDateTime);
    }

    /// <summary>Who, where, since when.</summary>
    public string InWords =>
        string.Create(
            CultureInfo.InvariantCulture,
            $"{Command} by {User} on {Machine} (pid {ProcessId}, in {Directory}) since {Since.UtcDateTime:yyyy-MM-dd HH:mm:ss} UTC"
        );
}

/// <summary>A host cannot be reached, refused us, or broke off.</summary>
public class HostException : Exception
{
    /// <summary>Names the host, what happened and what to do.</summary>
    public HostException(string host, string message, string? remedy = null, Exception? inner = null)
        : base(message, inner)
    {
        Host = host;
        Remedy = remedy;
    }

    /// <summary>The host.</summary>
    public string Host { get; }

    /// <summary>What to do, or null.</summary>
    public string? Remedy { get; }

    /// <summary>What happened and what to do, in a line.</summary>
    public string InFull => Remedy is null ? Message : $"{Message}; {Remedy}";
}

/// <summary>Another apply holds the lock of the host.</summary>
public sealed class HostLockedException : HostException
{
    /// <summary>Names the host and the holder as its lock file describes it.</summary>
    public HostLockedException(string host, string holder)
        : base(
            host,
            $"another apply is running on this host: {holder}",
            "wait until it ends; its lock is released then, even when it is killed"
        ) => Holder = holder;

    /// <summary>The holder in words: who, where, since when.</summary>
    public string Holder { get; }
}
