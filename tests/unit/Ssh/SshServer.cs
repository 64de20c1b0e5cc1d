using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Ssh;

namespace KeyBuzz.Reconciler.Tests.Ssh;

/// <summary>A real sshd on a free port of 127.0.0.1, with keys of its own, for the time of a fixture; and a way to cut its
/// connections. Its sessions have a home of their own: bash reads ~/.bashrc under sshd, and what a machine has in there is
/// no part of a host.</summary>
internal sealed class SshServer : IDisposable
{
    private readonly Process _process;
    private readonly TcpListener _front = new(IPAddress.Loopback, 0);
    private readonly List<Socket> _sockets = [];

    /// <param name="settings">Further lines of sshd_config.</param>
    public SshServer(params string[] settings)
        : this(settings, "") { }

    /// <inheritdoc cref="SshServer(string[])" />
    /// <param name="settings">Further lines of sshd_config.</param>
    /// <param name="environment">What sessions have in their environment beside their home, as SetEnv takes it: sshd reads the first
    /// SetEnv only.</param>
    public SshServer(string[] settings, string environment)
    {
        const string program = "/usr/sbin/sshd";
        if (!File.Exists(program))
        {
            throw new InvalidOperationException($"{program} is missing: install openssh-server and openssh-client to run these tests");
        }

        if (Environment.UserName != "root")
        {
            throw new InvalidOperationException("these tests take the lock under /run/kbr and have to run as root");
        }

        System.IO.Directory.CreateDirectory("/run/sshd");
        Directory = System.IO.Directory.CreateTempSubdirectory("kbr-sshd-").FullName;
        foreach (var name in (string[])["host", "id"])
        {
            using var keygen = Process.Start(
                new ProcessStartInfo("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", Path.Combine(Directory, name)])
            )!;
            keygen.WaitForExit();
        }

        File.Copy(Path.Combine(Directory, "id.pub"), Path.Combine(Directory, "authorized_keys"));
        (_process, Port) = Start(
            program,
            $"""
            HostKey {Directory}/host
            AuthorizedKeysFile {Directory}/authorized_keys
            PidFile none
            StrictModes no
            UsePAM no
            PermitRootLogin prohibit-password
            SetEnv HOME={Directory} {environment}
            {string.Join('\n', settings)}

            """
        );
        _front.Start();
        var key = File.ReadAllText(Path.Combine(Directory, "host.pub"));
        File.WriteAllText(KnownHostsFile, $"[127.0.0.1]:{Port} {key}[127.0.0.1]:{RelayPort} {key}");
        _ = AcceptAsync();
    }

    public string Directory { get; }

    public int Port { get; }

    public string KnownHostsFile => Path.Combine(Directory, "known_hosts");

    /// <summary>The server itself.</summary>
    public Host Host => new("db-1", "db", "127.0.0.1", new SshEndpoint("127.0.0.1", Port, "root", Sudo: false));

    /// <summary>The server behind a relay that <see cref="Cut"/> cuts.</summary>
    public Host Relayed => new("db-1", "db", "127.0.0.1", new SshEndpoint("127.0.0.1", RelayPort, "root", Sudo: false));

    /// <summary>The relay's port.</summary>
    public int RelayPort => ((IPEndPoint)_front.LocalEndpoint).Port;

    /// <summary>Asked before anything is passed on to the server: once it is so, the connections are cut, and new ones are too.</summary>
    public Func<bool> CutWhen { get; set; } = () => false;

    public SshSettings Settings =>
        new(Path.Combine(Directory, "id"), KnownHostsFile, HostKeyChecking.Strict, PreferCurve25519: true, TimeSpan.FromSeconds(20));

    /// <summary>Writes a configuration for ssh, and the source that reads it.</summary>
    public SshConfigSource Configure(string text)
    {
        var path = Path.Combine(Directory, $"config-{Guid.NewGuid():N}");
        File.WriteAllText(path, text);
        return new SshConfigSource(true, path);
    }

    /// <summary>A port of 127.0.0.1 that nobody listens on. It is below those that the kernel gives out by itself
    /// (<c>net.ipv4.ip_local_port_range</c>), so that no other listener and no connection has it before its user begins to
    /// listen.</summary>
    public static int FreePort()
    {
        while (true)
        {
            var port = Random.Shared.Next(10_000, 32_768);
            using var listener = new TcpListener(IPAddress.Loopback, port);
            try
            {
                listener.Start();
                return port;
            }
            catch (SocketException taken) when (taken.SocketErrorCode == SocketError.AddressAlreadyInUse)
            {
                // Another one.
            }
        }
    }

    /// <summary>Breaks every relayed connection without a goodbye, as a killed kbr or a lost network does.</summary>
    public void Cut()
    {
        lock (_sockets)
        {
            foreach (var socket in _sockets)
            {
                socket.LingerState = new LingerOption(true, 0);
                socket.Dispose();
            }

            _sockets.Clear();
        }
    }

    public void Dispose()
    {
        Cut();
        _front.Dispose();
        _process.Kill(entireProcessTree: false);
        _process.Dispose();
        System.IO.Directory.Delete(Directory, recursive: true);
    }

    // Only sshd's own word is taken for it: where somebody else has the port, a connection tells nothing.
    private (Process Process, int Port) Start(string program, string settings)
    {
        while (true)
        {
            var port = FreePort();
            var file = Path.Combine(Directory, "config");
            File.WriteAllText(file, $"ListenAddress 127.0.0.1:{port}\n{settings}");
            var process = Process.Start(new ProcessStartInfo(program, ["-D", "-e", "-f", file]) { RedirectStandardError = true })!;
            var said = new ConcurrentQueue<string>();
            process.ErrorDataReceived += (_, line) => said.Enqueue(line.Data ?? "");
            process.BeginErrorReadLine();
            Wait.Until(
                () => process.HasExited || said.Any(line => line.StartsWith("Server listening on ", StringComparison.Ordinal)),
                "sshd to listen"
            );
            if (!process.HasExited)
            {
                return (process, port);
            }

            process.WaitForExit();
            process.Dispose();
            if (!said.Any(line => line.Contains("Address already in use", StringComparison.Ordinal)))
            {
                throw new InvalidOperationException($"sshd does not start: {string.Join("; ", said)}");
            }
        }
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                var near = await _front.AcceptSocketAsync();
                var far = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
                await far.ConnectAsync(IPAddress.Loopback, Port);
                lock (_sockets)
                {
                    _sockets.AddRange([near, far]);
                }

                _ = CopyAsync(near, far, () => CutWhen());
                _ = CopyAsync(far, near, () => false);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The fixture is over.
        }
    }

    private async Task CopyAsync(Socket from, Socket to, Func<bool> cut)
    {
        var buffer = new byte[64 * 1024];
        try
        {
            int count;
            while ((count = await from.ReceiveAsync(buffer)) > 0)
            {
                if (cut())
                {
                    Cut();
                    return;
                }

                await to.SendAsync(buffer.AsMemory(0, count));
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Cut.
        }
    }
}

internal static class Wait
{
    /// <summary>Polls until something is so; fails after a deadline.</summary>
    public static void Until(Func<bool> isSo, string what)
    {
        var watch = Stopwatch.StartNew();
        while (!SpinWait.SpinUntil(isSo, TimeSpan.FromMilliseconds(100)))
        {
            Assert.That(watch.Elapsed, Is.LessThan(TimeSpan.FromSeconds(20)), $"waited in vain for {what}");
        }
    }
}
