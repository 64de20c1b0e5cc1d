using System.Net;
using System.Net.Sockets;
using System.Text;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa.Status;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.SqlProxies;
using KeyBuzz.Reconciler.Tests.Providers;

namespace KeyBuzz.Reconciler.Tests.PostgresHa;

/// <summary>SQL through the ways in, where the other end is no PostgreSQL, or one that ends in the middle of an answer.</summary>
internal sealed class SqlEndpointProbeTests : BlueprintFixture
{
    [Test]
    public async Task An_answer_that_cannot_be_followed_is_the_ways_trouble_and_no_error_of_kbrs()
    {
        var whole = Session();
        var dice = new Random(7);
        var topology = Topology(Minimal)!;
        var troubles = new HashSet<string>();
        for (var tried = 0; tried < 60; tried++)
        {
            var said = (byte[])whole.Clone();
            for (var changes = dice.Next(0, 4); changes > 0; changes--)
            {
                said[dice.Next(said.Length)] = (byte)dice.Next(256);
            }

            using var server = new Server(said[..dice.Next(1, said.Length + 1)]);
            var probes = topology.Proxies.Select(host =>
                SqlEndpointProbe.ProbeAsync(topology, host, new Through(host, server.Port), CancellationToken.None)
            );
            var answers = (await Task.WhenAll(probes)).SelectMany(answer => answer).ToList();

            Assert.That(
                answers,
                Has.Count.EqualTo(8)
                    .And.All.Matches<EndpointAnswer>(answer => answer!.Measured && (answer.Answer is null) == (answer.Trouble.Length > 0))
            );
            troubles.UnionWith(answers.Select(answer => answer.Trouble));
        }

        Assert.That(troubles, Has.Count.GreaterThan(3), "the answers were broken in different ways");
    }

    [Test]
    public async Task Where_TLS_is_required_psql_beside_PgBouncer_logs_in_and_a_stopped_one_measures_nothing()
    {
        var topology = Topology(With("tls: required"))!;
        var proxy = topology.Proxies[0];
        var reader = new Psql(read =>
            read.Port == topology.PgBouncer.Port ? new ToolAnswer(2, "psql: error: FATAL: no such user\n")
            : read.Port == topology.Haproxy.Port && read.Address == proxy.Address
                ? new ToolAnswer(1, "Error response from daemon: container 0a1b is not running\n")
            : new ToolAnswer(0, "true\ton\t10.0.0.120\t10.0.0.11\n")
        );

        var answers = await SqlEndpointProbe.ProbeAsync(topology, proxy, new Through(proxy, 0) { Psql = reader }, CancellationToken.None);

        Assert.That(
            answers.Select(answer => $"{answer.Way} {answer.Measured} {answer.Trouble}{answer.Answer}"),
            Is.EqualTo(
                new[]
                {
                    $"HAProxy 10.0.0.11:{topology.Haproxy.Port} False Error response from daemon: container 0a1b is not running",
                    $"PgBouncer 10.0.0.11:{topology.PgBouncer.Port} True psql: error: FATAL: no such user",
                    $"load balancer 10.0.0.10:5432 True {new ServerAnswer(true, true, "10.0.0.120", "10.0.0.11")}",
                    $"load balancer 10.0.0.10:6432 True {new ServerAnswer(true, true, "10.0.0.120", "10.0.0.11")}",
                }
            )
        );
        Assert.That(
            answers.Single(answer => answer.Entry == SqlEndpointProbe.PooledEntry(topology)).Way,
            Is.EqualTo("load balancer 10.0.0.10:6432")
        );
        Assert.That(reader.Asked, Has.Count.EqualTo(4).And.All.Matches<TlsLoginRead>(read => read!.Login.User == "kb_app"));
    }

    private sealed class Psql(Func<TlsLoginRead, ToolAnswer> answer) : IHostReader
    {
        public List<TlsLoginRead> Asked { get; } = [];

        public int ScriptCount => Asked.Count;

        public Task<Snapshot> ReadAsync(IReadOnlyCollection<Read> reads, CancellationToken cancellationToken)
        {
            Asked.AddRange(reads.Cast<TlsLoginRead>());
            return Task.FromResult(ProviderBench.Snapshot([.. reads.Select(read => (read, (object?)answer((TlsLoginRead)read)))]));
        }
    }

    // What a server says to a login and to the question: authentication, key, ready; parsed, bound, one row of four columns, complete,
    // ready.
    private static byte[] Session()
    {
        using var stream = new MemoryStream();
        void Say(char kind, params byte[] body)
        {
            stream.WriteByte((byte)kind);
            stream.Write([.. BitConverter.GetBytes(IPAddress.HostToNetworkOrder(body.Length + 4)), .. body]);
        }

        Say('R', 0, 0, 0, 0);
        Say('S', Encoding.ASCII.GetBytes("server_version\017.0\0"));
        Say('S', Encoding.ASCII.GetBytes("client_encoding\0UTF8\0"));
        Say('K', 0, 0, 0, 1, 0, 0, 0, 2);
        Say('Z', (byte)'I');
        Say('1');
        Say('2');
        byte[] column = [(byte)'c', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 25, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0];
        Say('T', [0, 4, .. column, .. column, .. column, .. column]);
        byte[] value = [0, 0, 0, 3, (byte)'o', (byte)'f', (byte)'f'];
        Say('D', [0, 4, .. value, .. value, .. value, .. value]);
        Say('C', Encoding.ASCII.GetBytes("SELECT 1\0"));
        Say('Z', (byte)'I');
        return stream.ToArray();
    }

    // Says the same to everybody at once, and ends.
    private sealed class Server : IDisposable
    {
        private readonly TcpListener _listener = new(IPAddress.Loopback, 0);

        public Server(byte[] said)
        {
            _listener.Start();
            _ = ServeAsync(said);
        }

        public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

        public void Dispose() => _listener.Dispose();

        private async Task ServeAsync(byte[] said)
        {
            try
            {
                while (true)
                {
                    using var client = await _listener.AcceptTcpClientAsync();
                    _ = await client.GetStream().ReadAsync(new byte[4096]);
                    await client.GetStream().WriteAsync(said);
                }
            }
            catch (Exception exception) when (exception is SocketException or IOException or ObjectDisposedException)
            {
                // The test is over.
            }
        }
    }

    private sealed class Through(Host host, int port) : IHostConnection
    {
        public Host Host => host;

        public IHostReader? Psql { get; init; }

        public IHostReader Reader => Psql ?? throw new NotSupportedException();

        public Task<IHostWriter> OpenWriterAsync(LockHolder holder, int parallelism, CancellationToken cancellationToken) =>
            throw new NotSupportedException();

        public Task<bool> EndLockHolderAsync(int processId, CancellationToken cancellationToken) => throw new NotSupportedException();

        public Task<ITunnel> OpenTunnelAsync(string address, int toPort, CancellationToken cancellationToken) =>
            Task.FromResult<ITunnel>(new Tunnel(port));

        public Task<ScriptResult> StreamAsync(HostLog log, Action<string> take, CancellationToken cancellationToken) =>
            throw new NotSupportedException();

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }

    private sealed record Tunnel(int Port) : ITunnel
    {
        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
