using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.Http;
using KeyBuzz.Reconciler.Providers.PatroniConfig;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.Providers.PatroniConfig;

/// <summary>What somebody set beside what is declared: told, and drift exactly where a member is not as its files say.</summary>
[TestFixture]
internal sealed class ForeignSettingsTests
{
    private const string Waits =
        """{"pending_restart": true, "pending_restart_reason": {"max_locks_per_transaction": {"old_value": "64", "new_value": "128"}}}""";

    private readonly PatroniConfigProvider _provider = new();

    private string _refused = "null";

    [Test]
    public void A_key_of_edit_config_is_reported_and_a_problem_while_a_restart_is_pending_for_it()
    {
        const string Stored = """{"ttl": 30, "postgresql": {"parameters": {"max_locks_per_transaction": 128}}}""";

        Assert.That(Found(Stored, ("{}", null)), Is.EqualTo(new[] { "postgresql.parameters.max_locks_per_transaction: 128" }));
        Assert.That(
            Found(Stored, (Waits, null), ("{}", null)),
            Is.EqualTo(new[] { "! postgresql.parameters.max_locks_per_transaction: 128, restart pending on db-1" })
        );
        Assert.That(Found("""{"ttl": 30}""", ("{}", null)), Is.Empty);
        Assert.That(Found("""{"ttl": 30, "pause": true}""", ("{}", null)), Is.Empty, "the cluster's policy tells it");
    }

    [Test]
    public void ALTER_SYSTEM_is_reported_before_any_reload_and_is_a_problem_if_a_restart_is_needed()
    {
        const string Mine =
            """{"name": "shared_preload_libraries", "setting": "nosuchlib", "applied": false, "error": "setting could not be applied"}""";
        const string Harmless = """{"name": "log_min_duration_statement", "setting": "5s", "applied": true, "error": null}""";

        Assert.That(
            Found("""{"ttl": 30}""", ("{}", Mine), ("{}", null)),
            Is.EqualTo(
                new[]
                {
                    "! postgresql.auto.conf.shared_preload_libraries: nosuchlib on db-1 (ALTER SYSTEM), in force only "
                        + "after the next start of db-1",
                }
            )
        );
        Assert.That(
            Found("""{"ttl": 30}""", ("{}", Harmless), ("{}", Harmless)),
            Is.EqualTo(new[] { "postgresql.auto.conf.log_min_duration_statement: 5s on db-1, db-2 (ALTER SYSTEM)" })
        );
    }

    [Test]
    public void Any_other_pending_restart_is_a_problem()
    {
        Assert.That(Found("""{"ttl": 30}""", (Waits, null)), Is.EqualTo(new[] { "! max_locks_per_transaction: restart pending on db-1" }));
        Assert.That(
            Found("""{"ttl": 30}""", (Waits.Replace("128", "64", StringComparison.Ordinal), null)),
            Is.Empty,
            "it was taken back before the restart, which would change nothing"
        );
    }

    [Test]
    public void A_line_that_PostgreSQL_would_not_start_with_is_a_problem_and_no_restart()
    {
        const string Line =
            """{"name": "work_mem", "setting": "abc", "file": "postgresql.auto.conf", "line": 3, "error": "setting could not be applied"}""";
        const string Altered = """{"name": "work_mem", "setting": "abc", "applied": false, "error": "setting could not be applied"}""";
        const string Syntax = """{"name": null, "setting": null, "file": "postgresql.base.conf", "line": 7, "error": "syntax error"}""";
        const string Said =
            "line 3 of postgresql.auto.conf on db-1, db-2 is refused (setting could not be applied): PostgreSQL would not start with it";

        Assert.That(
            Refused($"{Line}, {Syntax}", ("{}", Altered), ("{}", Altered)),
            Is.EqualTo(
                new[]
                {
                    $"! work_mem: {Said}",
                    "! postgresql.base.conf: line 7 of postgresql.base.conf on db-1, db-2 is refused (syntax error): PostgreSQL would not "
                        + "start with it",
                }
            )
        );
        Assert.That(Refused("", ("{}", null)), Is.Empty);
        Assert.That(Refused("1, {}", ("{}", null)), Has.Length.EqualTo(1), "nonsense is told as it is");
    }

    private string[] Refused(string lines, params (string Patroni, string? Altered)[] members)
    {
        _refused = $"[{lines}]";
        try
        {
            return Found("""{"ttl": 30}""", members);
        }
        finally
        {
            _refused = "null";
        }
    }

    [Test]
    public void A_member_that_does_not_answer_or_answers_nonsense_tells_nothing()
    {
        Assert.That(Found("""{"ttl": 30}""", ("{}", """1, {"name": 2}, {"name": "work_mem"}""")), Is.Empty);
        Assert.That(Found("""{"ttl": 30}""", ("nonsense", null)), Is.Empty);
    }

    [Test]
    public void A_key_that_an_interrupted_apply_removed_is_gone_once_no_restart_is_pending_for_it()
    {
        const string key = "postgresql.parameters.max_locks_per_transaction";
        var waits = Observed("""{"ttl": 30}""", (Waits, null), ("{}", null)).Attributes;
        Assert.That(waits.GetValueOrDefault(key)?.Value, Is.EqualTo("removed, restart pending on db-1"));
        Assert.That(Observed("""{"ttl": 30}""", ("{}", null)).Attributes.ContainsKey(key), Is.False);
    }

    private string[] Found(string stored, params (string Patroni, string? Altered)[] members) =>
        [.. Observed(stored, members).Foreign.Select(setting => (setting.IsTrouble ? "! " : "") + setting.Shown)];

    private Observation.Present Observed(string stored, params (string Patroni, string? Altered)[] members)
    {
        var config = ProviderBench.Resource(
            _provider,
            "pg",
            ("settings", ImmutableSortedDictionary<string, string>.Empty.Add("ttl", "30"))
        );
        var answers = members
            .Index()
            .ToDictionary(
                pair => $"db-{pair.Index + 1}",
                pair =>
                    ProviderBench.Snapshot([
                        .. _provider
                            .Reads(config)
                            .Select(read =>
                                (
                                    read,
                                    (object?)(
                                        read switch
                                        {
                                            SqlRead => new SqlAnswer(
                                                $$"""[{"in_recovery": {{(pair.Index == 0 ? "false" : "true")}}, "settings": null, "pending": null, "refused": {{_refused}}, "altered": {{(pair.Item.Altered is null ? "null" : $"[{pair.Item.Altered}]")}}}]""",
                                                ""
                                            ),
                                            HttpRead { Path: "/config" } => new HttpAnswer(200, stored),
                                            HttpRead => new HttpAnswer(200, pair.Item.Patroni),
                                            _ => new DockerAnswer(200, """{"State": {"Running": true}}"""),
                                        }
                                    )
                                )
                            ),
                    ])
            );
        return (Observation.Present)_provider.Observe(config, answers);
    }
}
