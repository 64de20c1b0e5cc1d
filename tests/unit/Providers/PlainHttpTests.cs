using System.Net;
using System.Net.Sockets;
using System.Text;
using KeyBuzz.Reconciler.Providers.Http;

namespace KeyBuzz.Reconciler.Tests.Providers;

/// <summary>HTTP as servers really answer it; with Patroni's own it is proved by <see cref="PatroniCluster.RealClusterTests"/>.</summary>
[TestFixture]
public sealed class PlainHttpTests
{
    [TestCase("HTTP/1.0 200 OK\r\nServer: x\r\n\r\n{\"a\":1}", 200, "{\"a\":1}")]
    [TestCase("HTTP/1.1 412 Precondition Failed\r\ncontent-length: 4\r\n\r\nnone and more", 412, "none")]
    [TestCase("HTTP/1.1 202 Accepted\r\nContent-Length:0\r\n\r\n", 202, "")]
    [TestCase("HTTP/1.0 503 \r\n\r\nüber", 503, "über")]
    public async Task The_status_and_the_body_are_read(string answer, int status, string body) =>
        Assert.That((await AskAsync(answer)).Answer, Is.EqualTo(new HttpAnswer(status, body)));

    [TestCase("")]
    [TestCase("HTTP/1.0 200 OK\r\nServer: x")]
    [TestCase("HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nshort")]
    [TestCase("HTTP/1.0 200 OK\r\nContent-Length: -1\r\n\r\n")]
    [TestCase("SSH-2.0-OpenSSH_9.2\r\n\r\n")]
    [TestCase(
        "HTTP/1.0 200 OK\r\n\r\nmore than the hundred bytes that may come: " + "more more more more more more more more more more more more"
    )]
    public void What_is_no_whole_answer_is_an_error(string answer) =>
        Assert.That(async () => await AskAsync(answer), Throws.InstanceOf<IOException>());

    [Test]
    public void A_port_where_nothing_listens_is_an_error()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var port = ((IPEndPoint)listener.LocalEndpoint).Port;
        listener.Stop();
        Assert.That(
            async () => await PlainHttp.SendAsync(port, "POST", "/", null, default, 100, CancellationToken.None),
            Throws.InstanceOf<IOException>()
        );
    }

    [Test]
    public async Task The_request_has_its_login_its_length_and_its_body()
    {
        var (_, request) = await AskAsync("HTTP/1.0 200 OK\r\n\r\n");
        Assert.That(
            request,
            Does.StartWith("PATCH /config HTTP/1.0\r\nHost: 127.0.0.1:")
                .And.Contain("\r\nContent-Type: application/json\r\nContent-Length: 8\r\n")
                .And.Contain($"\r\nAuthorization: Basic {Convert.ToBase64String("me:pässword"u8)}\r\n")
                .And.EndWith("\r\n\r\n{\"b\": 2}")
        );
    }

    [Test]
    public void A_server_that_says_nothing_is_waited_for_no_longer_than_the_caller_wants()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        using var patience = new CancellationTokenSource(TimeSpan.FromMilliseconds(100));
        Assert.That(
            async () =>
                await PlainHttp.SendAsync(((IPEndPoint)listener.LocalEndpoint).Port, "POST", "/", null, default, 100, patience.Token),
            Throws.InstanceOf<OperationCanceledException>()
        );
    }

    private static async Task<(HttpAnswer Answer, string Request)> AskAsync(string answer)
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var serving = Task.Run(async () =>
        {
            using var client = await listener.AcceptTcpClientAsync();
            var request = new StringBuilder();
            var buffer = new byte[4096];
            while (!request.ToString().EndsWith('}'))
            {
                request.Append(Encoding.UTF8.GetString(buffer, 0, await client.GetStream().ReadAsync(buffer)));
            }

            await client.GetStream().WriteAsync(Encoding.UTF8.GetBytes(answer));
            return request.ToString();
        });
        var said = await PlainHttp.SendAsync(
            ((IPEndPoint)listener.LocalEndpoint).Port,
            "PATCH",
            "/config",
            "me:pässword",
            Encoding.UTF8.GetBytes("{\"b\": 2}"),
            100,
            CancellationToken.None
        );
        return (said, await serving);
    }
}
