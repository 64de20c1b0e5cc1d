using Renci.SshNet;
using Renci.SshNet.Common;

namespace KeyBuzz.Reconciler.Ssh;

/// <summary>One connection from a jump host to the next server, behind a port of this machine's loopback that the kernel chose. The library
/// has no other way; every user of this machine could connect to the port, so it takes one connection, kbr's own, and closes any
/// other.</summary>
internal sealed class Forwarding : IDisposable
{
    private readonly SshClient _client;
    private readonly ForwardedPortLocal _port;
    private int _taken;

    private Forwarding(SshClient client, ForwardedPortLocal port)
    {
        _client = client;
        _port = port;
    }

    public int Port => (int)_port.BoundPort;

    /// <summary>Why the jump host did not connect; null when it did, or did not say.</summary>
    public Exception? Failure { get; private set; }

    public static Forwarding Open(SshClient client, string hostname, int port)
    {
        var forwarded = new ForwardedPortLocal("127.0.0.1", 0, hostname, (uint)port);
        var forwarding = new Forwarding(client, forwarded);

        // Raised before anything is opened on the far side; what it throws closes the connection.
        forwarded.RequestReceived += (_, _) =>
        {
            if (Interlocked.Exchange(ref forwarding._taken, 1) != 0)
            {
                throw new SecondConnectionException();
            }
        };
        forwarded.Exception += (_, raised) =>
        {
            if (raised.Exception is not SecondConnectionException)
            {
                forwarding.Failure ??= raised.Exception;
            }
        };
        try
        {
            client.AddForwardedPort(forwarded);
            forwarded.Start();
            return forwarding;
        }
        catch
        {
            forwarded.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        try
        {
            _port.Stop();
            _client.RemoveForwardedPort(_port);
        }
        catch (Exception e) when (SshConnection.IsConnectionFailure(e))
        {
            // The connection is gone, and the port with it.
        }

        _port.Dispose();
    }

    private sealed class SecondConnectionException() : SshException("the port is for one connection");
}
