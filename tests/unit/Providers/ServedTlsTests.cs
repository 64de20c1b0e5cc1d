using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers;
using KeyBuzz.Reconciler.Providers.Certificate;
using KeyBuzz.Reconciler.Resources;
using X509Certificate = KeyBuzz.Reconciler.Providers.Certificate.X509Certificate;

namespace KeyBuzz.Reconciler.Tests.Providers;

/// <summary>What a port serves is asked with real sockets, of a server that speaks TLS behind PostgreSQL's request for it.</summary>
[TestFixture]
public sealed class ServedTlsTests
{
    private const string Nonce = "0123456789abcdef0123456789abcdef";
    private static readonly DateTimeOffset Noon = new(2026, 11, 23, 12, 0, 0, TimeSpan.Zero);
    private static readonly string Authority = CertificateAuthority.Create("kbr pg", Noon);
    private static readonly string First = Issue("db-1");
    private static readonly string Second = Issue("db-2");

    private string _directory = null!;

    [SetUp]
    public void SetUp() => _directory = Directory.CreateTempSubdirectory("kbr-served-").FullName;

    [TearDown]
    public void TearDown() => Directory.Delete(_directory, recursive: true);

    private static string Issue(string name) =>
        CertificateAuthority.Read(Authority, out _)!.Issue(name, [name], Noon, TimeSpan.FromDays(1));

    private static ServedTls Asked(int port)
    {
        var read = new TlsRead("127.0.0.1", port);
        var output = ProviderBench.Shell(ReadList.Probe.Render([read], Nonce)).Output;
        return ReadList.Probe.Parse([read], Nonce, Encoding.UTF8.GetBytes(output)).Get(read);
    }

    [Test]
    public void A_port_answers_with_its_protocol_cipher_and_certificate()
    {
        using var server = new Server(First);

        var served = Asked(server.Port);

        Assert.That(served.Protocol, Is.EqualTo("TLSv1.2"));
        Assert.That(served.Cipher, Does.StartWith("ECDHE-ECDSA-"));
        Assert.That(X509Certificate.Read(served.Certificate.ToArray())!.Subject, Is.EqualTo("db-1"));
    }

    [Test]
    public async Task A_client_of_TLS_1_3_gets_it()
    {
        using var server = new Server(First);
        using var client = new TcpClient();
        await client.ConnectAsync(IPAddress.Loopback, server.Port);

        var served = await ServedTls.AskAsync(client.GetStream(), withTls13: true, CancellationToken.None);

        Assert.That(served.Protocol, Is.EqualTo("TLSv1.3"));
        Assert.That(served.Cipher, Does.StartWith("TLS_AES_"));
        Assert.That(served.Certificate.IsEmpty, Is.True, "it is encrypted");
    }

    [Test]
    public void A_port_without_TLS_and_one_that_nobody_listens_on_are_told_apart()
    {
        using var plain = new Server(null);
        int closed;
        using (var other = new Server(null))
        {
            closed = other.Port;
        }

        Assert.That(Asked(plain.Port), Is.EqualTo(ServedTls.Without));
        Assert.That(Asked(closed), Is.EqualTo(ServedTls.None));
    }

    [Test]
    public void A_reload_is_confirmed_by_the_certificate_that_the_port_then_serves()
    {
        using var server = new Server(First);
        using var plain = new Server(null);
        var (same, other) = (_directory + "/same.pem", _directory + "/other's.pem");
        File.WriteAllText(same, First);
        File.WriteAllText(other, Second);

        Assert.That(ProviderBench.Shell(new TlsRead("127.0.0.1", server.Port).RenderConfirm(same)).ExitCode, Is.Zero);
        var refused = ProviderBench.Shell(new TlsRead("127.0.0.1", server.Port).RenderConfirm(other));
        Assert.That((refused.ExitCode, refused.Output.Trim()), Is.EqualTo((1, "it serves another certificate")));
        Assert.That(ProviderBench.Shell(new TlsRead("127.0.0.1", plain.Port).RenderConfirm(other)).ExitCode, Is.Zero, "not turned on yet");
    }

    [Test]
    public void Hosts_that_answer_without_TLS_are_found_and_those_that_do_not_answer_are_not()
    {
        using var plain = new Server(null);
        using var server = new Server(First);

        Assert.That(ProviderBench.Output(TlsRead.RenderWithout(["127.0.0.1", "127.0.0.2"], plain.Port)), Is.EqualTo("127.0.0.1"));
        Assert.That(ProviderBench.Output(TlsRead.RenderWithout(["127.0.0.1"], server.Port)), Is.Empty);
    }

    [TestCase(true, "current")]
    [TestCase(false, "another: db-2 of kbr pg")]
    public void A_certificate_that_the_port_does_not_serve_is_a_difference(bool isServed, string expected)
    {
        var provider = new CertificateProvider(new Clock(), _directory);
        var resource = ProviderBench.Resource(
            provider,
            "patroni",
            ("path", "/etc/server.pem"),
            ("authority", new SecretText([new SecretText.Part(Authority, true)])),
            ("subject", "db-1"),
            ("names", (IReadOnlyList<string>)["db-1"]),
            ("validity", 86400L),
            ("renew_before", 28800L),
            ("reload", "true"),
            ("loaded_by", "unit:dbus.service"),
            ("address", "127.0.0.1"),
            ("port", 5432L)
        );
        Assert.That(provider.Validate(resource), Is.Empty);
        var served = X509Certificate.Find(isServed ? First : Second)!.Encoded;
        var answers = new List<(Read, object?)>
        {
            (new StatRead("/etc/server.pem"), new FileStat("regular file", 0, 0, "root", "root", "0600", Noon)),
            (new FileRead("/etc/server.pem"), new FileContent(Encoding.UTF8.GetBytes(First))),
            (new TlsRead("127.0.0.1", 5432), new ServedTls("TLSv1.2", "", served)),
        };
        answers.AddRange(
            provider
                .Reads(resource)
                .Where(read => read is UnitRead)
                .Select(read => (read, (object?)new UnitState(new Dictionary<string, string> { ["ActiveState"] = "inactive" })))
        );

        var found = (Observation.Present)provider.Observe(resource, ProviderBench.Snapshot([.. answers]));

        Assert.That(found.Attributes["served"].Value, Does.StartWith(expected));
        Assert.That(
            found.Attributes.Where(pair => provider.Desired(resource)[pair.Key].Value != pair.Value.Value).Select(pair => pair.Key),
            isServed ? Is.Empty : Is.EqualTo(new[] { "served" })
        );
        var script = provider.Render(ResourceOperation.Update, resource, changed: "served").Text;
        Assert.That(script, Does.Contain("sh -c 'true'").And.Not.Contain("KBR_CONTENT"), "it is loaded again, and not issued anew");
    }

    [Test]
    public void An_answer_that_is_cut_off_or_damaged_is_read_without_an_exception()
    {
        var sample = Convert.FromBase64String("FgMDACoCAAAmAwMAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAADAKwAWAwMADQsAAAkAAAYAAAMwAQA=");
        for (var place = 0; place < sample.Length; place++)
        {
            var damaged = sample.ToArray();
            damaged[place] ^= 0xff;
            Assert.DoesNotThrow(() => ServedTls.Read(damaged));
            Assert.DoesNotThrow(() => ServedTls.Read(sample.AsSpan(0, place)));
        }
    }

    private sealed class Clock : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => Noon;
    }

    /// <summary>Answers PostgreSQL's request for TLS, with it where it has a certificate.</summary>
    private sealed class Server : IDisposable
    {
        private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
        private readonly Task _serving;

        public Server(string? pem)
        {
            _listener.Start();
            _serving = ServeAsync(pem);
        }

        public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

        public void Dispose()
        {
            _listener.Stop();
            _serving.Wait(TimeSpan.FromSeconds(10));
        }

        private async Task ServeAsync(string? pem)
        {
            try
            {
                while (true)
                {
                    using var client = await _listener.AcceptTcpClientAsync();
                    await AnswerAsync(client.GetStream(), pem);
                }
            }
            catch (Exception exception) when (exception is SocketException or ObjectDisposedException or InvalidOperationException)
            {
                // Stopped.
            }
        }

        private static async Task AnswerAsync(NetworkStream stream, string? pem)
        {
            var request = new byte[8];
            await stream.ReadExactlyAsync(request);
            Assert.That(request, Is.EqualTo(ServedTls.Request.ToArray()));
            await stream.WriteAsync(Encoding.ASCII.GetBytes(pem is null ? "N" : "S"));
            if (pem is null)
            {
                return;
            }

            using var certificate = X509Certificate2.CreateFromPem(pem, pem);
            await using var tls = new SslStream(stream);
            try
            {
                await tls.AuthenticateAsServerAsync(certificate);
            }
            catch (Exception exception) when (exception is IOException or System.Security.Authentication.AuthenticationException)
            {
                // The client leaves the handshake.
            }
        }
    }
}
