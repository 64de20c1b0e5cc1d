using System.Diagnostics;
using System.Net.Sockets;

namespace KeyBuzz.Reconciler.Tests.Ssh;

/// <summary>OpenSSH's own agent, for the time of a test.</summary>
internal sealed class SshAgentProcess : IDisposable
{
    private readonly Process _process;

    public SshAgentProcess(string directory)
    {
        Socket = Path.Combine(directory, $"agent-{Guid.NewGuid():N}"[..20]);
        _process = Process.Start(new ProcessStartInfo("ssh-agent", ["-D", "-a", Socket]) { RedirectStandardOutput = true })!;
        Wait.Until(Answers, "ssh-agent to listen");
    }

    public string Socket { get; }

    public void Add(string key) => Shell.Run($"SSH_AUTH_SOCK={Socket} ssh-add -q {key}");

    // Its socket is there a moment before it listens.
    private bool Answers()
    {
        using var client = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            client.Connect(new UnixDomainSocketEndPoint(Socket));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    public void Dispose()
    {
        _process.Kill();
        _process.Dispose();
    }
}

/// <summary>Something behind an agent's socket that is none.</summary>
internal sealed class FalseAgent : IDisposable
{
    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);

    /// <param name="directory">Where its socket is.</param>
    /// <param name="answer">Its answer to everything; null for none.</param>
    public FalseAgent(string directory, byte[]? answer)
    {
        Socket = Path.Combine(directory, $"false-{Guid.NewGuid():N}"[..20]);
        _listener.Bind(new UnixDomainSocketEndPoint(Socket));
        _listener.Listen();
        _ = AnswerAsync(answer);
    }

    public string Socket { get; }

    public void Dispose() => _listener.Dispose();

    private async Task AnswerAsync(byte[]? answer)
    {
        try
        {
            while (true)
            {
                var socket = await _listener.AcceptAsync();
                if (answer is not null)
                {
                    // Unread bytes would turn the end into a reset.
                    await socket.ReceiveAsync(new byte[1024]);
                    await socket.SendAsync(answer);
                    socket.Dispose();
                }
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The test is over.
        }
    }
}

internal static class Shell
{
    public static void Run(string script)
    {
        using var process = Process.Start(new ProcessStartInfo("sh", ["-c", script]) { RedirectStandardError = true })!;
        var said = process.StandardError.ReadToEnd();
        process.WaitForExit();
        Assert.That(process.ExitCode, Is.Zero, said);
    }
}
