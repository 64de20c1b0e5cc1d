using System.Globalization;
using System.Text.RegularExpressions;
using KeyBuzz.Reconciler.LabTests;
using Npgsql;

namespace KeyBuzz.Reconciler.HaTests;

/// <summary>TLS is turned on and off again under open sessions and writers; certificates that somebody changed are found and
/// mended.</summary>
[TestFixture]
[Category(Ha.Live)]
[Category(Ha.Slice1)]
public sealed class TlsTests
{
    private const string Offered = "  tls: offered\n";
    private const string Required = "  tls: { hops: required }\n";
    private const string Verified = "sslmode=verify-full sslrootcert=/etc/pgbouncer/ca.crt";

    // Short ones: with Longer they are due.
    private const string Clients = "  tls: { mode: required, validity: 20m, renew_before: 10m }\n";
    private const string Longer = "  tls: { mode: required, validity: 60m, renew_before: 21m }\n";

    private string _before;

    [OneTimeSetUp]
    public void Keep_the_file() => _before = HaSetUp.Workspace.Yaml;

    [OneTimeTearDown]
    public void Put_the_file_back() => HaSetUp.Workspace.Yaml = _before;

    [Test]
    public void Turned_on_no_session_ends_and_both_ports_serve_what_the_authority_signed()
    {
        Assert.That(HaSetUp.Workspace.Kbr("validate").Output, Does.Contain("Open: PostgreSQL and PgBouncer without TLS"));
        Tls(Offered);
        Assert.That(HaSetUp.Workspace.Kbr("init", "--credentials").ExitCode, Is.Zero);

        UnderTraffic("tls_on");

        Assert.Multiple(() =>
        {
            foreach (var (proxy, port) in Ha.Proxies.SelectMany(proxy => new[] { (proxy, 5432), (proxy, 6432) }))
            {
                Assert.That(Login(proxy, port, Verified), Is.EqualTo(Ha.Application));
                Assert.That(Login(proxy, port, "sslmode=disable"), Is.EqualTo(Ha.Application), "clients may still choose");
            }
        });
        Assert.That(HaSetUp.Workspace.Kbr("status").Output, Does.Contain("first expiry "));
        var ports = HaSetUp.Workspace.Kbr("check", "tls");
        Assert.That(ports.ExitCode, Is.Zero, ports.Output);
        Assert.That(ports.Output, Does.Contain("TLSv1.3").And.Not.Contain(" none "));
    }

    [Test]
    [DependsOnTest(nameof(Turned_on_no_session_ends_and_both_ports_serve_what_the_authority_signed), AllowFailure = true)]
    public void Certificates_changed_by_hand_are_named_and_mended_without_a_restart()
    {
        const string Members = "/opt/keybuzz/patroni/server.pem";
        const string Proxies = "/opt/keybuzz/pgbouncer/server.pem";
        var started = Ha.Members.Select(Ha.Started).ToList();
        Lab.OnHost(Ha.Members[0], $"chmod 0644 {Members}");
        var other = Lab.OnHost(Ha.Members[1], $"base64 -w0 {Members}");
        Lab.OnHost(Ha.Members[2], $"echo {other.Trim()} | base64 -d >{Members}");
        Lab.OnHost(Ha.Proxies[0], $"sed -i '/BEGIN PRIVATE/,$d' {Proxies}");
        // Another one is loaded, and the file put back: only the port tells.
        var first = Lab.OnHost(Ha.Members[0], $"cat {Members} | base64 -w0").Trim();
        Lab.OnHost(Ha.Members[1], $"cp -p {Members} /root/kept.pem && echo {first} | base64 -d >{Members}");
        Ha.Sql(Ha.Members[1], "SELECT pg_reload_conf()", database: "postgres");
        var swapped = HaSetUp.Workspace.Kbr("check", "tls");
        Lab.OnHost(Ha.Members[1], $"mv /root/kept.pem {Members}");
        Assert.That(swapped.ExitCode, Is.EqualTo(2), swapped.Output);
        Assert.That(swapped.Output, Does.Contain($"{Ha.Members[0]} of kbr "));

        var drift = HaSetUp.Workspace.Kbr("drift");

        Assert.That(drift.ExitCode, Is.EqualTo(2), drift.Output);
        Assert.Multiple(() =>
        {
            Assert.That(drift.Output, Does.Contain($"certificate.patroni@{Ha.Members[0]}").And.Contain("0644"));
            Assert.That(drift.Output, Does.Contain($"certificate.patroni@{Ha.Members[2]}").And.Contain(Ha.Members[1]));
            Assert.That(drift.Output, Does.Contain($"certificate.pgbouncer@{Ha.Proxies[0]}").And.Contain("the file has no private key"));
            Assert.That(drift.Output, Does.Contain($"certificate.patroni@{Ha.Members[1]}").And.Contain($"another: {Ha.Members[0]} of "));
            Assert.That(drift.Output, Does.Not.Contain($"certificate.pgbouncer@{Ha.Proxies[1]}"));
        });

        UnderTraffic("tls_mended");

        Assert.That(Ha.Members.Select(Ha.Started), Is.EqualTo(started), "nothing was restarted");
        Assert.That(Login(Ha.Proxies[0], 6432, Verified), Is.EqualTo(Ha.Application), "the new one is served");
    }

    [Test]
    [DependsOnTest(nameof(Certificates_changed_by_hand_are_named_and_mended_without_a_restart), AllowFailure = true)]
    public void Required_hops_stream_with_TLS_and_PgBouncer_verifies_PostgreSQL()
    {
        Tls(Required);

        UnderTraffic("tls_required");

        Lab.Until(
            () =>
                Ha.Sql(Ha.Leader(), "SELECT string_agg(DISTINCT s.ssl::text, ',') FROM pg_stat_replication JOIN pg_stat_ssl s USING (pid)")
                == "true",
            TimeSpan.FromSeconds(60),
            "both replicas stream with TLS"
        );
        Assert.That(
            Ha.Sql(Ha.Leader(), "SELECT count(*) FROM pg_stat_replication", database: "postgres"),
            Is.EqualTo((Ha.Members.Length - 1).ToString(CultureInfo.InvariantCulture))
        );
        Assert.That(
            Login(Ha.Proxies[0], 6432, "sslmode=disable", "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"),
            Is.EqualTo("t"),
            "behind PgBouncer"
        );
        var before = Lab.OnHost(Ha.Members[0], "cat /opt/keybuzz/patroni/server.pem");
        HaSetUp.Workspace.Apply("--replace", $"certificate.patroni@{Ha.Members[0]}");
        Assert.That(Lab.OnHost(Ha.Members[0], "cat /opt/keybuzz/patroni/server.pem"), Is.Not.EqualTo(before), "another one at once");
        Ha.AssertHealthy(HaSetUp.Workspace);
    }

    [Test]
    [DependsOnTest(nameof(Required_hops_stream_with_TLS_and_PgBouncer_verifies_PostgreSQL), AllowFailure = true)]
    public void Required_clients_keep_their_sessions_and_those_without_TLS_are_refused_at_their_next_login()
    {
        using var without = new OpenSessions(Ha.Application, Ha.CurrentPassword);
        var invocations = Invocations();
        Tls(Clients);
        Assert.That(HaSetUp.Workspace.Kbr("plan").Output, Does.Contain("Clients without TLS are refused at their next login"));

        UnderTraffic("tls_clients", SslMode.Require);

        without.AssertOpen();
        Assert.Multiple(() =>
        {
            foreach (var proxy in Ha.Proxies)
            {
                Assert.That(Login(proxy, 5432, "sslmode=disable"), Does.Contain("no encryption"));
                Assert.That(Login(proxy, 6432, "sslmode=disable"), Does.Contain("SSL required"));
                Assert.That(Login(proxy, 5432, Verified), Is.EqualTo(Ha.Application));
                Assert.That(Login(proxy, 6432, Verified), Is.EqualTo(Ha.Application));
            }
        });
        Ha.AssertHealthy(HaSetUp.Workspace);
        Assert.That(HaSetUp.Workspace.Kbr("check", "tls").ExitCode, Is.Zero);
        Assert.That(Invocations(), Is.EqualTo(invocations), "nothing was restarted");
    }

    [Test]
    [DependsOnTest(nameof(Required_clients_keep_their_sessions_and_those_without_TLS_are_refused_at_their_next_login), AllowFailure = true)]
    public void Short_certificates_are_renewed_under_writers_and_an_interrupted_renewal_is_finished()
    {
        const string File = "/opt/keybuzz/patroni/server.pem";
        var count = Ha.Members.Length + Ha.Proxies.Length;
        var invocations = Invocations();
        var before = Files();
        Tls(Longer);

        UnderTraffic("tls_renewed", SslMode.Require, "renew");

        Assert.That(Files().Intersect(before), Is.Empty, "each has another one");
        Assert.That(HaSetUp.Workspace.Kbr("renew").Output, Does.Contain($"None of {count} certificates is due."));
        before = Files();
        Lab.OnHost(Ha.Members[0], $"cp -p {File} /root/kept.pem");
        Assert.That(HaSetUp.Workspace.Kbr("renew", "--all").Output, Does.Contain($"Renewed or loaded: {count} of {count} certificates."));
        Assert.That(Files().Intersect(before), Is.Empty);
        // Written, and not loaded.
        Lab.OnHost(Ha.Members[0], $"mv /root/kept.pem {File}");
        var finished = HaSetUp.Workspace.Kbr("renew");
        Assert.That(finished.ExitCode, Is.Zero, finished.Output);
        Assert.That(finished.Output, Does.Contain($"Renewed or loaded: 1 of {count} certificates."));
        Assert.That(Files().Intersect(before).Count(), Is.EqualTo(1), "as it was written");
        Assert.That(HaSetUp.Workspace.Kbr("renew").Output, Does.Contain($"None of {count} certificates is due."));
        Assert.That(HaSetUp.Workspace.Kbr("check", "tls").ExitCode, Is.Zero);
        Assert.That(Invocations(), Is.EqualTo(invocations), "nothing was restarted");
    }

    [Test]
    [DependsOnTest(nameof(Short_certificates_are_renewed_under_writers_and_an_interrupted_renewal_is_finished), AllowFailure = true)]
    public void Turned_off_in_steps_and_no_step_is_skipped()
    {
        Tls("  tls: off\n");
        var refused = HaSetUp.Workspace.Kbr("apply", "--auto-approve");
        Assert.That(refused.ExitCode, Is.EqualTo(1), refused.Output);
        Assert.That(refused.Output, Does.Contain("apply tls: offered first"));

        Tls(Offered);
        HaSetUp.Workspace.Apply();
        Tls("  tls: off\n");
        UnderTraffic("tls_off");

        Assert.That(Login(Ha.Proxies[0], 5432, "sslmode=require"), Does.Contain("server does not support SSL"));
        Assert.That(Lab.OnHost(Ha.Members[0], "ls /opt/keybuzz/patroni"), Does.Not.Contain("server.pem").And.Not.Contain("ca.crt"));
    }

    private void Tls(string line) =>
        HaSetUp.Workspace.Yaml = _before.Replace("  haproxy:\n", line + "  haproxy:\n", StringComparison.Ordinal);

    // Applies what is declared: open sessions stay, every write is acknowledged, and a second apply has nothing to do.
    private static void UnderTraffic(string table, SslMode tls = SslMode.Disable, string command = "apply")
    {
        var patience = TimeSpan.FromSeconds(30);
        using var sessions = new OpenSessions(Ha.Application, Ha.CurrentPassword, tls);
        using var pooled = TrafficWriter.Start(
            table + "_pooled",
            TrafficWriter.Pooled,
            password: Ha.CurrentPassword,
            patience: patience,
            tls: tls
        );
        using var anew = TrafficWriter.Start(
            table + "_anew",
            TrafficWriter.Pooled,
            keepsSession: false,
            password: Ha.CurrentPassword,
            patience: patience,
            tls: tls
        );

        if (command == "apply")
        {
            HaSetUp.Workspace.Apply();
        }
        else
        {
            var outcome = HaSetUp.Workspace.Kbr(command);
            Assert.That(outcome.ExitCode, Is.Zero, outcome.All);
        }

        foreach (var writer in new[] { pooled, anew })
        {
            var report = writer.Stop();
            TestContext.Out.WriteLine($"{table}: {report}");
            Assert.That((report.Failed, report.Cut, report.Lost.Count), Is.EqualTo((0, 0, 0)), report.ToString());
        }

        sessions.AssertOpen();
        if (command == "apply")
        {
            HaSetUp.Workspace.AssertNothingToDo();
        }
    }

    // Of every service: systemd gives each start another one.
    private static string[] Invocations() =>
        [
            .. Ha
                .Members.Concat(Ha.Proxies)
                .Select(host => host + Lab.OnHost(host, "systemctl show -p Id,InvocationID patroni haproxy pgbouncer")),
        ];

    private static string[] Files() =>
        [
            .. Ha.Members.Select(member => Lab.OnHost(member, "cat /opt/keybuzz/patroni/server.pem")),
            .. Ha.Proxies.Select(proxy => Lab.OnHost(proxy, "cat /opt/keybuzz/pgbouncer/server.pem")),
        ];

    private static string Login(string proxy, int port, string tls, string query = "SELECT current_user")
    {
        var address = Lab.OnHost(proxy, "sed -n 's/^listen_addr = //p' /opt/keybuzz/pgbouncer/pgbouncer.ini").Trim();
        return Lab.OnHost(
                proxy,
                $"docker exec -e PGPASSWORD={Ha.CurrentPassword} pgbouncer psql -X -At \"host={address} port={port} user={Ha.Application} "
                    + $"dbname={Ha.Database} {tls}\" -c '{query}' 2>&1 || true"
            )
            .Trim();
    }
}
