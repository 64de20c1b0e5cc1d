using System.Net;
using System.Text;

namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary><c>kbr connect</c>, with a real sshd, something that answers as Patroni does, and a psql that says what it was given.</summary>
[TestFixture, NonParallelizable]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed class ConnectTests : LocalCluster
{
    private const string Image = "registry.example.com/kbr/x:1@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    private readonly string? _path = Environment.GetEnvironmentVariable("PATH");
    private readonly int _rest = Ssh.SshServer.FreePort();

    [SetUp]
    public void WriteSection()
    {
        Write(
            "credentials/postgres.env",
            "POSTGRES_SUPERPASS=canary-super\nPOSTGRES_REPL_PASS=canary-repl\nPOSTGRES_APP_PASS=canary-app\nPATRONI_REST_PASS=canary-rest\n"
                + "PATRONI_RAFT_PASS=canary-raft\nPGBOUNCER_STATS_PASS=canary-stats\nAPP_PASS=canary-x\nKBR_KEY=canary-key\n"
        );
        Write(
            "cluster.yaml",
            $$"""
            version: 1
            cluster: {{Name}}
            ssh: { identity_file: {{Server.Settings.IdentityFile}}, known_hosts: {{Server.KnownHostsFile}}, connect_timeout: 60s, config: false }
            hosts:
              db-1: { role: db, address: 127.0.0.1, ssh: { port: {{Port}} } }
              lb-1: { role: lb, address: 10.255.255.1 }
              lb-2: { role: lb, address: 10.255.255.2 }
            postgres:
              members: db
              proxies: lb
              ports: { rest: {{_rest}} }
              image: {{Image}}
              volume: { device: /dev/sdz }
              haproxy: { image: "{{Image}}" }
              pgbouncer: { image: "{{Image}}", max_db_connections: 40 }
            """
        );
        Write(
            "psql",
            $"""
            #!/bin/sh
            /usr/bin/env | /usr/bin/grep '^PG' | /usr/bin/sort >'{Folder}/environment'
            printf '%s\n' "$@" >'{Folder}/arguments'
            exit 3

            """
        );
        File.SetUnixFileMode($"{Folder}/psql", UnixFileMode.UserRead | UnixFileMode.UserExecute);
        Environment.SetEnvironmentVariable("PATH", $"{Folder}:{_path}");
        Environment.SetEnvironmentVariable("PGSERVICE", "elsewhere");
    }

    [TearDown]
    public void Restore()
    {
        Environment.SetEnvironmentVariable("PATH", _path);
        Environment.SetEnvironmentVariable("PGSERVICE", null);
    }

    [Test]
    public void Psql_gets_the_login_in_its_environment_its_words_as_given_and_its_exit_code_is_kbrs()
    {
        using var patroni = Patroni("""{"state":"running","role":"primary","patroni":{"name":"db-1","scope":"x"}}""");

        var (exit, output, error) = Kbr("connect", "--", "-c", "SELECT 'a b'");

        Assert.That(exit, Is.EqualTo(3), output + error);
        Assert.That(File.ReadAllText($"{Folder}/arguments"), Is.EqualTo("-c\nSELECT 'a b'\n"));
        var environment = File.ReadAllLines($"{Folder}/environment");
        Assert.That(
            environment.Where(line => !line.StartsWith("PGPORT=", StringComparison.Ordinal)),
            Is.EqualTo(
                new[]
                {
                    "PGAPPNAME=kbr connect",
                    "PGDATABASE=keybuzz",
                    "PGGSSENCMODE=disable",
                    "PGHOST=127.0.0.1",
                    "PGPASSWORD=canary-app",
                    "PGSSLMODE=disable",
                    "PGUSER=kb_app",
                }
            )
        );

        Kbr("connect", "--as", "kb_admin");
        Assert.That(File.ReadAllLines($"{Folder}/environment"), Does.Contain("PGUSER=kb_admin").And.Contain("PGPASSWORD=canary-super"));
    }

    [Test]
    public void Print_shows_the_connection_strings_alone_and_reaches_no_host()
    {
        Assert.That(
            Done("connect", "--print"),
            Is.EqualTo(
                "host=10.255.255.1,10.255.255.2 port=5432 dbname=keybuzz user=kb_app target_session_attrs=read-write\n"
                    + "host=10.255.255.1,10.255.255.2 port=6432 dbname=keybuzz user=kb_app target_session_attrs=read-write\n"
            )
        );
        var document = Kbr("connect", "--print", "--as", "kb_admin", "--json").Output;
        Assert.That(JsonSchemas.Problems(document), Is.Empty, document);
        Assert.That(document, Does.Contain("user=kb_admin").And.Contain("POSTGRES_SUPERPASS in credentials/postgres.env"));
        Assert.That(Done("validate"), Does.Contain("Applications connect, read-write: host=10.255.255.1,10.255.255.2 port=5432 "));
    }

    [Test]
    public void With_TLS_applications_verify_the_servers_by_the_file_that_ca_prints()
    {
        Assert.That(Refused("connect", "--ca"), Does.Contain("has no TLS").And.Contain("tls: offered"));
        File.WriteAllText($"{Folder}/cluster.yaml", File.ReadAllText($"{Folder}/cluster.yaml").TrimEnd() + "\n  tls: offered\n");
        Assert.That(Refused("connect", "--ca"), Does.Contain("TLS_AUTHORITY has no value").And.Contain("kbr init --credentials"));

        var made = Done("init", "--credentials");
        var secret = File.ReadAllLines($"{Folder}/credentials/postgres.env")
            .Single(line => line.StartsWith("TLS_AUTHORITY=", StringComparison.Ordinal));
        Assert.That(made, Does.Contain("TLS_AUTHORITY").And.Not.Contain(secret[14..]));
        Done("init", "--credentials");
        Assert.That(File.ReadAllText($"{Folder}/credentials/postgres.env"), Does.Contain(secret + "\n"), "it stays");

        var authority = Done("connect", "--ca");
        Assert.That(authority, Does.StartWith("-----BEGIN CERTIFICATE-----\n").And.Not.Contain("PRIVATE"));
        Assert.That(
            Done("connect", "--print").Split('\n')[0],
            Is.EqualTo(
                $"host=10.255.255.1,10.255.255.2 port=5432 dbname=keybuzz user=kb_app sslmode=verify-full sslrootcert={Name}-ca.crt "
                    + "target_session_attrs=read-write"
            )
        );
    }

    [Test]
    public void A_user_that_is_not_there_no_primary_and_no_psql_are_said()
    {
        Assert.That(
            Refused("connect", "--as", "nobody"),
            Does.Contain($"'nobody' is not a user of {Name}").And.Contain("kb_app, kb_admin")
        );
        Assert.That(Refused("connect"), Does.Contain($"no member of {Name} reports that it is the primary"));
        using var patroni = Patroni("""{"state":"running","role":"primary","patroni":{"name":"db-1","scope":"x"}}""");
        File.Delete($"{Folder}/psql");
        Environment.SetEnvironmentVariable("PATH", Folder);
        Assert.That(
            Refused("connect"),
            Does.Contain("psql cannot be started on this machine").And.Contain("kbr connect --as kb_admin uses that of db-1")
        );
        Assert.That(Refused("connect", "--as", "kb_admin"), Does.Contain("psql cannot be started on this machine"), "and no ssh");
    }

    [Test]
    public void Without_psql_here_the_superuser_gets_that_of_the_primary_through_ssh_and_no_password()
    {
        using var patroni = Patroni("""{"state":"running","role":"primary","patroni":{"name":"db-1","scope":"x"}}""");
        File.Move($"{Folder}/psql", $"{Folder}/ssh");
        Environment.SetEnvironmentVariable("PATH", Folder);

        var (exit, output, error) = Kbr("connect", "--as", "kb_admin", "--", "-c", "SELECT 'a b'");

        Assert.That(exit, Is.EqualTo(3), output + error);
        Assert.That(File.ReadAllText($"{Folder}/environment"), Does.Not.Contain("PGPASSWORD"));
        Assert.That(
            File.ReadAllLines($"{Folder}/arguments"),
            Is.EqualTo(
                new[]
                {
                    "-T",
                    "-F",
                    "none",
                    "-p",
                    $"{Port}",
                    "-l",
                    "root",
                    "-i",
                    Server.Settings.IdentityFile,
                    "-o",
                    $"UserKnownHostsFile=\"{Server.KnownHostsFile}\"",
                    "-o",
                    "StrictHostKeyChecking=yes",
                    "-o",
                    "HostName=127.0.0.1",
                    "--",
                    "db-1",
                    "'docker' 'exec' '-i' 'patroni' 'psql' '-h' '/var/run/postgresql' '-p' '5432' '-U' 'kb_admin' '-d' 'keybuzz' '-c' "
                        + @"'SELECT '\''a b'\'''",
                }
            )
        );
    }

    private HttpListener Patroni(string body)
    {
        var listener = new HttpListener();
        listener.Prefixes.Add($"http://127.0.0.1:{_rest}/");
        listener.Start();
        _ = Task.Run(async () =>
        {
            try
            {
                while (true)
                {
                    var context = await listener.GetContextAsync();
                    await context.Response.OutputStream.WriteAsync(Encoding.UTF8.GetBytes(body));
                    context.Response.Close();
                }
            }
            catch (Exception exception) when (exception is HttpListenerException or ObjectDisposedException)
            {
                // The test is over.
            }
        });
        return listener;
    }
}
