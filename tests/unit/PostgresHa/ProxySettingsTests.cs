using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Tests.Providers;

namespace KeyBuzz.Reconciler.Tests.PostgresHa;

/// <summary>What an operator may set of HAProxy and PgBouncer beyond what kbr sets by itself.</summary>
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
internal sealed class ProxySettingsTests : BlueprintFixture
{
    [Test]
    public void PgBouncers_settings_go_before_kbrs_own_and_no_name_is_there_twice()
    {
        var file = PgBouncer(
            "max_prepared_statements: 0, query_wait_timeout: 60, track_extra_parameters: 'IntervalStyle, "
                + "search_path', ignore_startup_parameters: extra_float_digits"
        );

        var names = file.Split('\n')
            .Where(line => line.Contains(" = ", StringComparison.Ordinal))
            .Select(line => line.Split(' ')[0])
            .ToList();
        Assert.That(
            file,
            Does.Contain("\nmax_prepared_statements = 0\n")
                .And.Contain("\nignore_startup_parameters = extra_float_digits\n")
                .And.Contain("\nquery_wait_timeout = 60\n")
                .And.Contain("\ntrack_extra_parameters = IntervalStyle, search_path\n")
        );
        Assert.That(names, Is.Unique);
    }

    [Test]
    public void Without_settings_the_file_of_PgBouncer_is_unchanged() =>
        Assert.That(
            Content(Load(Minimal), "config_file.pgbouncer@haproxy-01"),
            Does.EndWith(
                """
                max_user_connections = 50
                max_prepared_statements = 200
                ; What drivers send at the start and PgBouncer does not track.
                ignore_startup_parameters = extra_float_digits,options
                ; After a failover the next attempt comes soon.
                server_connect_timeout = 5
                server_login_retry = 1
                tcp_keepalive = 1
                tcp_keepidle = 60
                tcp_keepintvl = 10
                tcp_keepcnt = 6
                log_connections = 0
                log_disconnections = 0

                """
            )
        );

    [TestCase("query_wait_timeout: 60", false)]
    [TestCase("listen_backlog: 512", true)]
    [TestCase("track_extra_parameters: search_path", true)]
    public void Only_a_setting_that_PgBouncer_reads_at_its_start_makes_another_container(string setting, bool restarts) =>
        Assert.That(Labels(setting).SequenceEqual(Labels("max_prepared_statements: 200")), Is.EqualTo(!restarts));

    [TestCase("listen_port: 6432", "'listen_port' is not set in pgbouncer.settings [kbr sets it from pgbouncer.port]")]
    [TestCase("auth_file: /x", "'auth_file' is not set in pgbouncer.settings [kbr sets it from 'users', which lists the logins]")]
    [TestCase("pool_mode: session", "kbr sets it from pgbouncer.pool_mode")]
    [TestCase("max_prepared_statement: 0", "PgBouncer has no setting 'max_prepared_statement' (did you mean 'max_prepared_statements'?)")]
    [TestCase("Query_Timeout: 1", "cannot be the name of a setting of PgBouncer")]
    [TestCase("query_timeout: [1]", "PgBouncer's setting 'query_timeout' must be one line, not a list")]
    [TestCase("query_timeout: \"1\\nadmin_users = x\"", "must be one line")]
    [TestCase("auth_query: \"${secret.POSTGRES_APP_PASS}\"", "may not hold a secret")]
    public void A_setting_of_PgBouncer_that_cannot_be_is_refused_with_its_line(string setting, string message) =>
        Assert.That(OnlyError(Settings(setting)), Does.Contain(message));

    [Test]
    public void A_setting_that_only_a_newer_PgBouncer_may_know_is_a_warning_and_in_the_file()
    {
        Assert.That(
            Warnings(Settings("brand_new_thing: 1")),
            Has.One.Contains("PgBouncer 1.25 and older have no setting 'brand_new_thing'")
        );
        Assert.That(PgBouncer("brand_new_thing: 1"), Does.Contain("\nbrand_new_thing = 1\n"));
    }

    [Test]
    public void HAProxy_ends_sessions_of_a_down_server_unless_the_endpoint_is_set_otherwise()
    {
        const string Ends = "default-server on-marked-down shutdown-sessions";

        Assert.Multiple(() =>
        {
            Assert.That(Backends(Haproxy("read_port: 5433")), Is.EqualTo((true, true)));
            Assert.That(Backends(Haproxy("read_port: 5433, read_on_marked_down: none")), Is.EqualTo((true, false)));
            Assert.That(Backends(Haproxy("read_port: 5433, on_marked_down: none")), Is.EqualTo((false, true)));
            Assert.That(
                OnlyError(Changed("haproxy: { image:", "haproxy: { on_marked_down: shutdown-session, image:")),
                Does.Contain("did you mean 'shutdown-sessions'?")
            );
        });

        static (bool, bool) Backends(string file) => (Has(file, "\nbackend primary"), Has(file, "\nbackend replicas"));

        static bool Has(string file, string backend) =>
            file.Split(backend + "\n")[1].Split("\n\n")[0].Contains(Ends, StringComparison.Ordinal);
    }

    [Test]
    public void Every_timeout_of_HAProxy_is_a_setting_and_those_left_out_are_not_in_the_file()
    {
        var file = Haproxy(
            "client_timeout: 2h, server_timeout: 3h, queue_timeout: 5s, tunnel_timeout: 4h, client_fin_timeout: "
                + "30s, server_fin_timeout: 31s"
        );

        Assert.That(
            file,
            Does.Contain(
                """
                    timeout client 7200s
                    timeout server 10800s
                    timeout client-fin 30s
                    timeout queue 5s
                    timeout server-fin 31s
                    timeout tunnel 14400s
                    retries 1

                """
            )
        );
        Assert.That(Haproxy("idle_timeout: 1h"), Does.Contain("    timeout client 3600s\n    timeout server 3600s\n    retries 1\n"));
    }

    // The query of one whose pool is full waits in PgBouncer's queue, which has let its login in.
    [TestCase("kb_admin kb_app billing report", "", 0)]
    [TestCase("kb_admin", "report", 1)]
    [TestCase("", "", 0)]
    public void A_full_pool_is_no_refusal_of_a_login_however_many_users_there_are(string waiting, string refused, int exit)
    {
        Environment["A"] = "canary-A";
        var users = Find(
            With("users: [{ name: billing, password: '${secret.A}' }, { name: report, password: '${secret.A}' }]"),
            "config_file.pgbouncer-users@haproxy-01"
        ).Spec;
        System.IO.File.WriteAllText(
            Path.Combine(Folder, "psql"),
            $"""
            #!/bin/sh
            case " {waiting} " in *" $PGUSER "*) exec sleep 60 ;; esac
            case " {refused} " in *" $PGUSER "*) echo 'FATAL: password authentication failed' >&2; exit 2 ;; esac

            """
        );
        System.IO.File.SetUnixFileMode(Path.Combine(Folder, "psql"), UnixFileMode.UserRead | UnixFileMode.UserExecute);
        var input = $"{users.Text("confirm_input")!.Reveal()}";

        var result = ProviderBench.Shell(
            $$"""
            PATH={{Folder}}:$PATH
            docker() { case $1 in container) echo kbr ;; exec) shift 3; "$@" ;; esac; }
            begin=$(date +%s)
            { {{users.String("reload_confirm")}}
            } <<'END'
            {{input}}END
            exit=$?
            echo $(($(date +%s) - begin))
            exit $exit

            """
        );

        Assert.That(result.ExitCode, Is.EqualTo(exit), result.Error);
        Assert.That(result.Error.Contains($"{refused}: FATAL", StringComparison.Ordinal), Is.EqualTo(exit == 1));
        Assert.That(int.Parse(result.Output, System.Globalization.CultureInfo.InvariantCulture), Is.LessThan(20), "the provider's bound");
    }

    private string PgBouncer(string settings) => Content(Load(Settings(settings)), "config_file.pgbouncer@haproxy-01");

    private IReadOnlyDictionary<string, string> Labels(string settings) =>
        Find(Settings(settings), "container.pgbouncer@haproxy-01").Spec.Map("labels");

    private static string Settings(string settings) =>
        Changed("max_db_connections: 40", $"max_db_connections: 40, settings: {{ {settings} }}");

    private string Haproxy(string settings) =>
        Content(Load(Changed("haproxy: { image:", $"haproxy: {{ {settings}, image:")), "config_file.haproxy@haproxy-01");
}
