using KeyBuzz.Reconciler.Hosts;
using Renci.SshNet;

namespace KeyBuzz.Reconciler.Ssh;

/// <summary>A forwarded port on this machine's loopback, chosen by the kernel.</summary>
internal sealed class SshTunnel : ITunnel
{
    private readonly SshClient _client;
    private readonly ForwardedPortLocal _port;

    private SshTunnel(SshClient client, ForwardedPortLocal port)
    {
        _client = client;
        _port = port;
    }

    public int Port => (int)_port.BoundPort;

    public static SshTunnel Open(SshConnection connection, string address, int port)
    {
        var forwarded = new ForwardedPortLocal("127.0.0.1", 0, address, (uint)port);
        try
        {
            connection.Client.AddForwardedPort(forwarded);
            forwarded.Start();
            return new SshTunnel(connection.Client, forwarded);
        }
        catch (Exception e) when (SshConnection.IsConnectionFailure(e))
        {
            forwarded.Dispose();
            throw connection.Broken(e);
        }
    }

    public ValueTask DisposeAsync()
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
        return ValueTask.CompletedTask;
    }
}
