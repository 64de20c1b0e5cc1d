using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Providers.PatroniCluster.Policy;
using static KeyBuzz.Reconciler.Tests.Providers.PatroniCluster.PatroniAnswers;

namespace KeyBuzz.Reconciler.Tests.Providers.PatroniCluster;

[TestFixture]
internal sealed class PatroniHealthTests
{
    [Test]
    public void A_leader_and_two_streaming_replicas_are_healthy_even_without_a_timeline()
    {
        var health = Judge(Healthy());
        Assert.That(health.Problems.Select(problem => problem.Text), Is.Empty);
        Assert.That(health.Leader, Is.EqualTo("db-1"));
        Assert.That(health.Members.Select(member => member.LagBytes), Is.EqualTo(new long?[] { null, 0, 0 }));
        Assert.That(health.Members.Select(member => member.Timeline), Has.All.EqualTo(1), "replicas' by the leader's list");
        Assert.That(health.Members[0].DcsAge, Is.EqualTo(TimeSpan.FromSeconds(7)));
    }

    [TestCase("\"state\": \"running\"", "\"state\": \"start failed\"", "db-2: PostgreSQL is not running (start failed)")]
    [TestCase(
        "\"replication_state\": \"streaming\"",
        "\"replication_state\": \"in archive recovery\"",
        "db-2: it does not stream from db-1 (in archive recovery)"
    )]
    [TestCase("\"replication_state\": \"streaming\",", "", "db-2: it does not stream from db-1 (no replication)")]
    [TestCase("\"timeline\": null", "\"timeline\": 2", "db-2: it is on timeline 2, db-1 on 1")]
    [TestCase(
        "\"received_location\": 67108960, \"replayed_location\": 67108960",
        "\"received_location\": 60000000, \"replayed_location\": 60000000",
        "db-2: its lag is 7108960 bytes, more than 1048576"
    )]
    [TestCase("1795410419", "1795410400", "db-2: it has not reached a quorum for 25 s (bound 10 s)")]
    public void A_replicas_problem_is_one_sentence(string part, string instead, string sentence)
    {
        var body = Replica("db-2");
        Assert.That(body, Does.Contain(part));
        Assert.That(
            Judge(Healthy(("db-2", body.Replace(part, instead, StringComparison.Ordinal)))).Problems.Select(problem => problem.Text),
            Is.EqualTo(new[] { sentence })
        );
    }

    [Test]
    public void A_replica_that_was_just_restarted_is_as_far_as_it_has_replayed()
    {
        var body = Replica("db-2").Replace("\"received_location\": 67108960", "\"received_location\": 50331648", StringComparison.Ordinal);
        Assert.That(Judge(Healthy(("db-2", body))).Members[1].LagBytes, Is.Zero);
    }

    [Test]
    public void A_silent_patroni_and_an_unread_host_are_distinguished()
    {
        var answers = Healthy(("db-2", ""));
        answers.Remove("db-3");
        var health = Judge(answers);
        Assert.That(
            health.Problems.Select(problem => problem.Text),
            Is.EqualTo(new[] { "db-2: Patroni does not answer on port 8008", "db-3: the host could not be read" })
        );
        Assert.That(health.Members.Select(member => member.Answers), Is.EqualTo(new[] { true, false, false }));
    }

    [Test]
    public void No_primary_and_two_primaries_are_both_problems_without_a_leader()
    {
        var none = Judge(Healthy(("db-1", Replica("db-1"))));
        Assert.That(none.Problems.Select(problem => problem.Text), Does.Contain("no member is the primary"));
        Assert.That(none.Leader, Is.Null);
        var two = Judge(Healthy(("db-3", Leader("db-3"))));
        Assert.That(
            two.Problems.Select(problem => problem.Text),
            Does.Contain(
                "db-1 (system identifier 7711228701456285717) and db-3 (system identifier 7711228701456285717) "
                    + "accept writes: 2 primaries"
            )
        );
        Assert.That(two.Leader, Is.Null);
        Assert.That(two.Leaders, Is.EqualTo(new[] { "db-1", "db-3" }));
    }

    [Test]
    public void A_leader_that_stops_leads_no_more()
    {
        var health = Judge(Healthy(("db-1", Leader("db-1").Replace("\"running\"", "\"stopping\"", StringComparison.Ordinal))));
        Assert.That(health.Leader, Is.Null);
        Assert.That(health.Problems.Select(problem => problem.Text), Does.Contain("db-1: PostgreSQL is not running (stopping)"));
    }

    [Test]
    public void An_older_patroni_calls_the_leader_master() =>
        Assert.That(
            Judge(Healthy(("db-1", Leader("db-1").Replace("primary", "master", StringComparison.Ordinal))))
                .Problems.Select(problem => problem.Text),
            Is.Empty
        );

    [TestCase("true")]
    [TestCase("\"on\"")]
    [TestCase("\"quorum\"")]
    public void With_synchronous_replication_a_cluster_without_a_synchronous_standby_is_not_well(string mode)
    {
        var without = Judge(Synchronous(Healthy(), mode));
        Assert.That((without.IsSynchronous, string.Join("; ", without.Problems)), Is.EqualTo((true, "db-1 has no synchronous standby")));

        var health = Judge(
            Synchronous(
                Healthy(
                    (
                        "db-3",
                        Replica("db-3")
                            .Replace(
                                "\"timeline\"",
                                mode == "\"quorum\"" ? "\"quorum_standby\": true, \"timeline\"" : "\"sync_standby\": true, \"timeline\"",
                                StringComparison.Ordinal
                            )
                    )
                ),
                mode
            )
        );
        Assert.That(health.Problems.Select(problem => problem.Text), Is.Empty);
        Assert.That(health.Members.Select(member => member.IsSynchronous), Is.EqualTo(new[] { false, false, true }));
        Assert.That(
            health.Members.Select(member => ClusterPolicy.Unfitness(member, health)),
            Is.EqualTo(new[] { "it is already the primary", "it is not the synchronous standby, db-3 is", null })
        );
    }

    [Test]
    public void Where_no_replica_streams_a_missing_synchronous_standby_is_not_said_on_top()
    {
        var health = Judge(Synchronous(Healthy(("db-2", ""), ("db-3", ""))));
        Assert.That(
            health.Problems.Select(problem => problem.Text),
            Is.EqualTo(new[] { "db-2: Patroni does not answer on port 8008", "db-3: Patroni does not answer on port 8008" })
        );
    }

    [Test]
    public void Without_synchronous_replication_every_replica_that_streams_may_take_over()
    {
        var health = Judge(Synchronous(Healthy(), "false"));
        Assert.That(health.IsSynchronous, Is.False);
        Assert.That(
            health.Members.Select(member => ClusterPolicy.Unfitness(member, health)),
            Is.EqualTo(new[] { "it is already the primary", null, null })
        );
    }

    [Test]
    public void Pending_restarts_and_a_pause_are_seen_and_are_not_unhealthy()
    {
        var health = Judge(
            Healthy(
                ("db-1", Leader("db-1").Replace("\"timeline\": 1", "\"timeline\": 1, \"pause\": true", StringComparison.Ordinal)),
                (
                    "db-2",
                    Replica("db-2")
                        .Replace(
                            "\"timeline\": null",
                            "\"pending_restart\": true, \"pending_restart_reason\": {\"max_connections\": {\"old_value\": "
                                + "\"100\", \"new_value\": \"200\"}}",
                            StringComparison.Ordinal
                        )
                ),
                ("db-3", Replica("db-3").Replace("\"timeline\": null", "\"pending_restart\": true", StringComparison.Ordinal))
            )
        );
        Assert.That(health.Problems.Select(problem => problem.Text), Is.Empty);
        Assert.That(health.IsPaused);
        Assert.That(
            health.Members.Select(member => string.Join(',', member.PendingRestart)),
            Is.EqualTo(new[] { "", "max_connections", "(unknown)" })
        );
    }

    [TestCase("{\"state\": \"running\", \"role\": \"repl")]
    [TestCase("<html>bad gateway</html>")]
    [TestCase("[]")]
    [TestCase("null")]
    [TestCase("{}")]
    [TestCase(
        "{\"state\": 5, \"role\": [], \"xlog\": \"x\", \"timeline\": \"one\", \"dcs_last_seen\": -1e300, "
            + "\"pending_restart\": \"yes\", \"replication_state\": {}}"
    )]
    public void Nonsense_from_a_member_is_that_members_problem_and_nothing_more(string body)
    {
        foreach (var name in Names)
        {
            var health = Judge(Healthy((name, body)));
            Assert.That(health.Problems.Select(problem => problem.Text), Has.Some.StartsWith(name + ":"));
            Assert.That(health.IsHealthy, Is.False);
        }
    }
}
