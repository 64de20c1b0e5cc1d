using System.Collections.Immutable;
using System.Net;
using System.Net.Sockets;
using System.Text;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.Role;
using KeyBuzz.Reconciler.Providers.SqlProxies;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.Providers.SqlProxies;

/// <summary>The login with TLS: by the shell that a host runs, with programs in the place of docker and psql.</summary>
[TestFixture]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
internal sealed class TlsLoginTests
{
    private const string Nonce = "0123456789abcdef0123456789abcdef";
    private const string Password = "it's a \"pass\" $word\\";

    private static readonly TlsLogin s_login = new(
        "pgbouncer",
        "/etc/pgbouncer/ca.crt",
        "kb_app",
        new SecretText([new SecretText.Part(Password, true)]),
        "it's"
    );

    private string _folder = null!;

    [SetUp]
    public void SetUp() => _folder = Directory.CreateTempSubdirectory("kbr-tls-login-").FullName;

    [TearDown]
    public void TearDown() => Directory.Delete(_folder, recursive: true);

    [Test]
    public void The_password_reaches_psql_by_its_environment_and_is_on_no_command_line()
    {
        Program("docker", "printf '%s\\n' \"$*\" >>\"$0.line\"; shift 3; exec \"$@\"");
        Program("psql", "printf '%s\\n' \"$*\" >>\"$0.line\"; printf '%s|%s|%s' \"$PGPASSWORD\" \"$PGUSER\" \"$PGDATABASE\"");

        var said = Run(s_login.Render("10.0.0.11", 6432, "kbr", "SELECT 'x'", "END"));

        Assert.That(said.Output, Is.EqualTo($"{Password}|kb_app|it's"));
        var lines = File.ReadAllText($"{_folder}/docker.line") + File.ReadAllText($"{_folder}/psql.line");
        Assert.That(lines, Does.Contain("sslmode=verify-full sslrootcert=/etc/pgbouncer/ca.crt").And.Contain("-c SELECT 'x'"));
        Assert.That(lines, Does.Contain("host=10.0.0.11 port=6432 ").And.Not.Contain("pass\""));
        Assert.That($"{new TlsLoginRead(s_login, "10.0.0.11", 6432)}", Does.Not.Contain("$word"));
    }

    [TestCase("printf 'false\\toff\\t10.0.0.1\\t10.0.0.2\\n'", "false off 10.0.0.1 10.0.0.2", 0)]
    [TestCase("echo 'psql: error: connection refused' >&2; exit 2", null, 2)]
    [TestCase("exit 0", null, 0)]
    public void An_answer_has_four_values_or_says_why_it_has_none(string psql, string? values, int exit)
    {
        Program("docker", "shift 3; exec \"$@\"");
        Program("psql", psql);
        TlsLoginRead[] reads = [new(s_login, "10.0.0.11", 6432), new(s_login, "10.0.0.11", 5432)];

        var said = Run(
            ReadList.Probe.Render(reads, Nonce).Replace("PATH=/usr/sbin", $"PATH={_folder}:/usr/sbin", StringComparison.Ordinal)
        );
        var answers = ReadList.Probe.Parse(reads, Nonce, Encoding.UTF8.GetBytes(said.Output));

        foreach (var read in reads)
        {
            var answer = answers.Get(read);
            Assert.That(answer.ExitCode, Is.EqualTo(exit), answer.Output);
            Assert.That(TlsLoginRead.Values(answer) is { } found ? string.Join(' ', found) : null, Is.EqualTo(values));
        }
    }

    // A server that still requires TLS while kbr declares that it is offered, on the way back.
    [TestCase(false, "true 10.0.0.2 ")]
    [TestCase(true, "true 10.0.0.2 ")]
    public async Task A_login_that_is_refused_without_TLS_is_tried_with_it(bool requiresTls, string expected)
    {
        using var server = new TcpListener(IPAddress.Loopback, 0);
        server.Start();
        var refused = RefuseAsync(server);
        var group = new Group(((IPEndPoint)server.LocalEndpoint).Port, new ToolAnswer(0, "true\toff\t10.0.0.1\t10.0.0.2\n"));

        var (inRecovery, client, trouble) = await new SqlLogin("kb_app", Password, "app", s_login, requiresTls).AskAsync(
            group,
            "lb-1",
            "10.0.0.11",
            6432,
            CancellationToken.None
        );

        Assert.That($"{(inRecovery == true ? "true" : "?")} {client} {trouble}", Is.EqualTo(expected));
        Assert.That(group.Tunnels, Is.EqualTo(requiresTls ? 0 : 1), "without TLS it is asked only where that is let in");
        group = new Group(group.Port, new ToolAnswer(2, "psql: error: refused, too\n"));
        server.Stop();
        Assert.That(await refused, Is.EqualTo(requiresTls ? 0 : 1));
        (inRecovery, _, trouble) = await new SqlLogin("kb_app", Password, "app", s_login, requiresTls: true).AskAsync(
            group,
            "lb-1",
            "10.0.0.11",
            6432,
            CancellationToken.None
        );
        Assert.That((inRecovery, trouble), Is.EqualTo(((bool?)null, "psql: error: refused, too")));
    }

    // As PostgreSQL hashes it, in form KC and without what SASLprep maps to nothing; .NET without ICU normalises nothing.
    [TestCase("plain")]
    [TestCase("5 µ² ½")]
    [TestCase("cafe\u0301")]
    [TestCase("no\u00a0break")]
    [TestCase("soft\u00adhyphen")]
    public async Task A_password_is_proved_as_PostgreSQL_has_hashed_it(string password)
    {
        using var server = new TcpListener(IPAddress.Loopback, 0);
        server.Start();
        var proved = ScramLogin.ProvesAsync(server, ScramVerifier.Make(password, "0123456789abcdef"u8));
        var group = new Group(((IPEndPoint)server.LocalEndpoint).Port, new ToolAnswer(2, ""));

        var (_, _, trouble) = await new SqlLogin("kb_app", password, "app", tls: null, requiresTls: false).AskAsync(
            group,
            "lb-1",
            "10.0.0.11",
            6432,
            CancellationToken.None
        );

        Assert.That(await proved, Is.True, trouble);
    }

    // Answers every login as PostgreSQL does one for which pg_hba.conf has no entry.
    private static async Task<int> RefuseAsync(TcpListener server)
    {
        for (var count = 0; ; count++)
        {
            try
            {
                using var client = await server.AcceptTcpClientAsync();
                _ = await client.GetStream().ReadAsync(new byte[4096]);
                var fields = Encoding.ASCII.GetBytes("SFATAL\0VFATAL\0C28000\0Mno pg_hba.conf entry, no encryption\0\0");
                byte[] answer = [(byte)'E', 0, 0, 0, (byte)(fields.Length + 4), .. fields];
                await client.GetStream().WriteAsync(answer);
            }
            catch (Exception exception) when (exception is SocketException or IOException or ObjectDisposedException)
            {
                return count;
            }
        }
    }

    private sealed class Group(int port, ToolAnswer answer) : IGroupAccess
    {
        public int Port => port;

        public int Tunnels { get; private set; }

        public ImmutableArray<Host> Members => [];

        public TimeProvider Time => TimeProvider.System;

        public Task<Snapshot> ReadAsync(string host, IReadOnlyCollection<Read> reads, CancellationToken cancellationToken) =>
            Task.FromResult(ProviderBench.Snapshot([.. reads.Select(read => (read, (object?)answer))]));

        public Task<ScriptResult> RunAsync(string host, Script script, CancellationToken cancellationToken) =>
            throw new NotSupportedException();

        public Task<ITunnel> OpenTunnelAsync(string host, string address, int toPort, CancellationToken cancellationToken)
        {
            Tunnels++;
            return Task.FromResult<ITunnel>(new Tunnel(port));
        }
    }

    private sealed record Tunnel(int Port) : ITunnel
    {
        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }

    private ScriptResult Run(string shell) => ProviderBench.Shell($"PATH={_folder}:$PATH; {shell}");

    private void Program(string name, string text)
    {
        File.WriteAllText($"{_folder}/{name}", $"#!/bin/sh\n{text}\n");
        File.SetUnixFileMode($"{_folder}/{name}", UnixFileMode.UserRead | UnixFileMode.UserExecute);
    }
}
