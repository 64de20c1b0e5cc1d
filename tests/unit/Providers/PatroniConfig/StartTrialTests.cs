using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Providers.PatroniConfig;

namespace KeyBuzz.Reconciler.Tests.Providers.PatroniConfig;

/// <summary>What PostgreSQL says of a start that it would refuse, or has refused; the answers are PostgreSQL 17's.</summary>
[TestFixture]
internal sealed class StartTrialTests
{
    private const string Memory = "MemTotal:       24683524 kB\n";
    private const string Missing =
        "2026-11-28 04:05:35.544 GMT [4343] LOG:  skipping missing configuration file \"/dev/shm/kbr-check.yHJ3un/postgresql.auto.conf\"\n";
    private const string Errors = "2026-11-28 04:05:35 GMT [4] FATAL:  configuration file \"/dev/shm/x/postgresql.conf\" contains errors\n";

    [TestCase(
        "2026-11-28 04:05:35 GMT [4] FATAL:  could not access file \"nosuchlib\": No such file or directory\n",
        1,
        "could not access file \"nosuchlib\": No such file or directory"
    )]
    [TestCase(
        "2026-11-28 04:05:35 GMT [4] LOG:  invalid value for parameter \"wal_level\": \"foo\"\n2026-11-28 "
            + "04:05:35 GMT [4] HINT:  Available values: minimal, replica.\n"
            + Errors,
        1,
        "invalid value for parameter \"wal_level\": \"foo\" (Available values: minimal, replica)"
    )]
    [TestCase(
        "2026-11-28 04:05:35 GMT [4] LOG:  unrecognized configuration parameter \"shared_bufers\" in file "
            + "\"/dev/shm/x/postgresql.conf\" line 1\n"
            + Errors,
        1,
        "unrecognized configuration parameter \"shared_bufers\""
    )]
    [TestCase(
        "postgres: \"superuser_reserved_connections\" (3) must be less than \"max_connections\" (3)\n",
        1,
        "\"superuser_reserved_connections\" (3) must be less than \"max_connections\" (3)"
    )]
    [TestCase("4274569\n", 0, "it asks for 4274569 MB of shared memory, and the host has 24105 MB")]
    [TestCase("143\n", 0, null)]
    public void A_value_that_PostgreSQL_would_not_start_with_is_refused_with_its_message(string said, int status, string? trouble)
    {
        Assert.That(StartTrial.Trouble($"{Memory}{Missing}{said}kbr-check 0 {status}\n{Missing}143\nkbr-check 1 0\n"), Is.EqualTo(trouble));
        Assert.That(
            StartTrial.Trouble($"{Memory}{Missing}{said}kbr-check 0 {status}\n{Missing}FATAL:  no\nkbr-check 1 1\n"),
            Is.Null,
            "the check does not work there, so it refuses nothing"
        );
    }

    [TestCase("")]
    [TestCase("Error response from daemon: container is not running\n")]
    [TestCase("kbr-check 0 1\n")]
    public void An_unknown_trial_refuses_nothing(string output) => Assert.That(StartTrial.Trouble(output), Is.Null);

    [Test]
    public void Desired_values_override_found_ones_and_parameters_of_paths_are_left_out()
    {
        var values = StartTrial.Values(
            [
                new("ttl", "30"),
                new("postgresql.parameters.work_mem", "8MB"),
                new("postgresql.parameters.TimeZone", "UTC"),
                new("postgresql.parameters.max_locks_per_transaction", null),
                new("postgresql.parameters.ssl", "on"),
                new("postgresql.parameters.search_path", @"'a\b', c"),
            ],
            [
                new("work_mem", "4MB"),
                new("max_locks_per_transaction", "64"),
                new("data_directory", "/x"),
                new("shared_preload_libraries", "x"),
            ]
        );

        Assert.That(
            StartTrial.Configuration(values),
            Is.EqualTo("search_path = '''a\\\\b'', c'\nshared_preload_libraries = 'x'\ntimezone = 'UTC'\nwork_mem = '8MB'\n")
        );
    }

    [Test]
    public void A_library_of_every_session_is_tried_and_named_by_its_own_key()
    {
        var values = StartTrial.Values(
            [new("postgresql.parameters.session_preload_libraries", "auto_explain, nosuchlib")],
            [new("shared_preload_libraries", "pg_stat_statements")]
        );
        Assert.That(values["shared_preload_libraries"], Is.EqualTo("pg_stat_statements, auto_explain, nosuchlib"));
        const string missing = "could not access file \"nosuchlib\": No such file or directory";
        Assert.That(StartTrial.KeyOf(missing, values, []), Is.EqualTo("postgresql.parameters.session_preload_libraries"));
        Assert.That(StartTrial.KeyOf(missing, values.Remove("session_preload_libraries"), []), Does.EndWith(".shared_preload_libraries"));
    }

    [Test]
    public void The_files_of_TLS_are_looked_for_where_it_is_on()
    {
        KeyValuePair<string, string?>[] wanted =
        [
            new("postgresql.parameters.ssl", "on"),
            new("postgresql.parameters.ssl_cert_file", "/etc/ssl/it's.crt"),
            new("postgresql.parameters.ssl_ca_file", ""),
        ];
        var files = StartTrial.Files(wanted, [], "/data");
        Assert.That(
            files,
            Is.EquivalentTo(
                new Dictionary<string, string> { ["ssl_cert_file"] = "/etc/ssl/it's.crt", ["ssl_key_file"] = "/data/server.key" }
            )
        );
        Assert.That(StartTrial.Files(wanted[1..], [], "/data"), Is.Empty, "it is off");
        var script = StartTrial.Render("patroni", "/data", "/bin", files, ["", ""]).Text;
        Assert.That(
            script,
            Does.Contain("missing='the file of \"ssl_key_file\", /data/server.key, is not there, or PostgreSQL may not read it'")
        );
        Assert.That(
            StartTrial.KeyOf("the file of \"ssl_key_file\", /data/server.key, is not there", StartTrial.Values(wanted, []), files.Keys),
            Is.EqualTo("postgresql.parameters.ssl_key_file")
        );
    }

    [Test]
    public void The_last_line_of_the_servers_end_is_quoted_and_no_message_to_a_client()
    {
        const string Log = """
            2026-11-28 04:00:05.071 UTC [1] FATAL:  could not access file "older": No such file or directory
            2026-11-28 04:00:05.071 UTC [2425] FATAL:  could not access file "nosuchlib": No such file or directory
            2026-11-28 04:00:05.071 UTC [2425] LOG:  database system is shut down
            2026-11-28 04:00:06.000 UTC [2430] FATAL:  the database system is starting up
            2026-11-28 04:00:06.000 UTC [2430] FATAL:  password authentication failed for user "kb_app"
            """;

        Assert.That(ServerLog.LastFatal(Log), Is.EqualTo("FATAL: could not access file \"nosuchlib\": No such file or directory"));
        Assert.That(
            ServerLog.LastFatal(
                "2026 UTC [1] LOG:  invalid value for parameter \"x\": \"y\"\n2026 UTC [1] FATAL:  configuration "
                    + "file \"/p/postgresql.conf\" contains errors\n"
            ),
            Is.EqualTo("FATAL: invalid value for parameter \"x\": \"y\"; configuration file \"/p/postgresql.conf\" contains errors")
        );
        Assert.That(ServerLog.LastFatal("2026 UTC [1] LOG:  database system is ready to accept connections"), Is.Null);
        Assert.That(ServerLog.LastFatal("2026 UTC [1] FATAL:  " + new string('x', 5000))!, Has.Length.LessThan(500));
    }
}
