using System.Text;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa.Fencing;
using KeyBuzz.Reconciler.PostgresHa.Switchover;
using KeyBuzz.Reconciler.Providers.Backup.Restore;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Providers.PatroniCluster.Policy;
using KeyBuzz.Reconciler.Tests.Providers;
using static KeyBuzz.Reconciler.Tests.Providers.PatroniCluster.PatroniAnswers;

namespace KeyBuzz.Reconciler.Tests.PostgresHa;

[TestFixture]
internal sealed class FenceTests
{
    [Test]
    public void A_replica_is_fenced_as_it_is_and_the_primary_hands_over_before() =>
        Assert.Multiple(() =>
        {
            Assert.That(Choice(Healthy(), "db-3"), Is.EqualTo(new FenceChoice("db-3", null, IsDone: false)));
            Assert.That(Choice(Healthy(), "db-1"), Is.EqualTo(new FenceChoice("db-1", "db-2", IsDone: false)));
            Assert.That(
                Choice(Synchronous(Healthy(("db-2", SyncStandby("db-2")))), "db-2"),
                Is.EqualTo(new FenceChoice("db-2", null, IsDone: false)),
                "Patroni names another synchronous standby"
            );
            Assert.That(
                Choice(Healthy(("db-3", NotStreaming("db-3"))), "db-3"),
                Is.EqualTo(new FenceChoice("db-3", null, IsDone: false)),
                "what is wrong with it may be the reason"
            );
        });

    [Test]
    public void A_member_is_not_fenced_when_the_others_could_not_do_without_it() =>
        Assert.Multiple(() =>
        {
            Assert.That(Refusal(Healthy(), "db-4"), Is.EqualTo("'db-4' is not a member of pg (members are db-1, db-2, db-3)"));
            Assert.That(
                Refusal(Healthy(("db-2", "")), "db-3"),
                Is.EqualTo(
                    "without db-3 1 of 3 members would stay, and 2 are needed to elect a primary (bring the other members back first: run kbr "
                        + "status)"
                )
            );
            Assert.That(
                Refusal(Fenced(Healthy(("db-2", "")), "db-2"), "db-3"),
                Is.EqualTo("without db-3 1 of 3 members would stay, and 2 are needed to elect a primary (run kbr unfence db-2 first)")
            );
            Assert.That(
                Refusal(Healthy(("db-2", NotStreaming("db-2"))), "db-3"),
                Does.StartWith("pg is not healthy without db-3: db-2: it does not stream from db-1")
            );
            Assert.That(
                Refusal(Healthy(("db-1", Replica("db-1"))), "db-3"),
                Does.StartWith("pg is not healthy without db-3: no member is the primary")
            );
            Assert.That(
                Refusal(
                    Healthy(("db-1", Leader("db-1").Replace("\"state\"", "\"pause\": true, \"state\"", StringComparison.Ordinal))),
                    "db-3"
                ),
                Does.StartWith("pg is paused")
            );
        });

    [Test]
    public void A_fenced_member_that_is_down_is_expected_by_nobody()
    {
        var answers = Fenced(Healthy(("db-2", "")), "db-2");
        var health = Judge(answers);

        Assert.That(health.IsHealthy, Is.True, string.Join("; ", health.Problems));
        Assert.That(health.Members.Select(member => member.Name), Is.EqualTo(new[] { "db-1", "db-3" }));
        Assert.That(health.Fenced["db-2"].Text, Is.EqualTo("fenced since 2026-11-29 21:10:00 UTC by root@install-01 (disk errors)"));
        Assert.That(Judge(Healthy(("db-2", ""))).IsHealthy, Is.False, "one that is down without it is missed");
        Assert.That(Choice(answers, "db-2"), Is.EqualTo(new FenceChoice("db-2", null, IsDone: true)), "again");
        Assert.That(
            Assert.Throws<DiagnosticException>(() => SwitchoverChoice.Of("pg", health, "db-2", null))!.Diagnostics.Single().Remedy,
            Is.EqualTo("run kbr unfence db-2 first")
        );
    }

    [Test]
    public void A_fence_that_was_cut_off_before_the_member_stopped_goes_on()
    {
        var answers = Fenced(Healthy(), "db-2");

        Assert.That(Judge(answers).Members.Select(member => member.Name), Does.Contain("db-2"), "it serves, and is judged");
        Assert.That(Choice(answers, "db-2"), Is.EqualTo(new FenceChoice("db-2", null, IsDone: false)));
    }

    [Test]
    public void A_roll_out_beside_a_fenced_member_is_refused_where_one_more_would_cost_the_quorum()
    {
        var health = Judge(Fenced(Healthy(("db-2", "")), "db-2"));
        ClusterStep Next(ClusterIntent intent, params string[] names) =>
            ClusterPolicy.Next(
                new ClusterView([.. names], health)
                {
                    Fenced = ["db-2"],
                    Stopped = ["db-2"],
                    HasReplicationPassword = true,
                },
                intent
            );

        Assert.That(
            Next(new ClusterIntent(["db-3"], []), "db-1", "db-2", "db-3"),
            Is.EqualTo(
                new ClusterStep.Refuse(
                    ClusterCause.Majority,
                    "db-2 is fenced: with one more member down, 1 of 3 would stay, and 2 are needed to elect a primary; run kbr unfence db-2 "
                        + "first"
                )
            )
        );
        Assert.That(
            Next(new ClusterIntent(["db-3"], []), "db-1", "db-2", "db-3", "db-4", "db-5"),
            Is.Not.InstanceOf<ClusterStep.Refuse>(),
            "of five members three stay"
        );
        Assert.That(Next(ClusterIntent.Settle, "db-1", "db-2", "db-3"), Is.Not.InstanceOf<ClusterStep.Refuse>(), "nobody is disrupted");
    }

    [Test]
    public void A_member_that_somebody_fenced_while_the_locks_were_waited_for_refuses_the_command()
    {
        Assert.That(Again(Healthy(), "db-3"), Is.EqualTo(new FenceChoice("db-3", null, IsDone: false)));
        Assert.That(
            Assert
                .Throws<DiagnosticException>(() => Again(Fenced(Healthy(("db-3", "")), "db-3"), "db-3"))!
                .Diagnostics.Select(one => $"{one.Summary} ({one.Remedy})"),
            Is.EqualTo(
                new[]
                {
                    "db-3 was fenced meanwhile: fenced since 2026-11-29 21:10:00 UTC by root@install-01 (disk errors); nothing was changed "
                        + "(run kbr status, then decide again)",
                }
            ),
            "the same one"
        );
        Assert.That(
            Assert.Throws<DiagnosticException>(() => Again(Fenced(Healthy(("db-2", "")), "db-2"), "db-3"))!.Message,
            Does.StartWith("db-2 was fenced meanwhile"),
            "another one"
        );
        var begun = Fenced(Healthy(), "db-3");
        Assert.That(
            FenceChoice.Again("pg", Judge(begun), Judge(begun), Names, "db-3"),
            Is.EqualTo(new FenceChoice("db-3", null, IsDone: false)),
            "a fence that was cut off goes on"
        );

        static FenceChoice Again(Dictionary<string, Snapshot> now, string wanted) =>
            FenceChoice.Again("pg", Judge(Healthy()), Judge(now), Names, wanted);
    }

    // The unit is not started at a boot while the mark is there: the drop-in alone does nothing.
    [Test]
    public void A_member_whose_Patroni_does_not_start_stays_fenced_and_one_whose_Patroni_starts_is_not_fenced()
    {
        var folder = Directory.CreateTempSubdirectory("kbr-fence-").FullName;
        try
        {
            var (mark, dropIn) = ($"{folder}/var/fence.json", $"{folder}/etc/patroni.service.d/kbr-fence.conf");
            foreach (var tool in new[] { "systemctl", "docker", "journalctl" })
            {
                Directory.CreateDirectory($"{folder}/bin");
                File.WriteAllText(
                    $"{folder}/bin/{tool}",
                    $$"""
                    #!/bin/sh
                    echo "{{tool}} $*" >>'{{folder}}/log'
                    case "{{tool}} $*" in
                        "systemctl start "*) [ ! -e '{{mark}}' ] || { echo 'the condition does not hold'; exit 1; }
                            [ ! -e '{{folder}}/broken' ] || { echo 'Job for patroni.service failed.'; exit 1; } ;;
                        journalctl*) echo 'no such image' ;;
                        "docker inspect -f"*) echo false ;;
                    esac
                    """
                );
            }

            ProviderBench.Output($"chmod +x {folder}/bin/*");
            var fence = new FenceMark(DateTimeOffset.UnixEpoch, "root@install-01", "disk errors");
            Assert.That(Run(fence.Set("patroni.service", "patroni")).ExitCode, Is.Zero);
            Assert.That((File.Exists(mark), File.Exists(dropIn)), Is.EqualTo((true, true)));
            var written = File.ReadAllText(mark);

            File.WriteAllText($"{folder}/broken", "");
            var failed = Run(FenceMark.Clear("patroni.service", "patroni"));
            Assert.That(failed.ExitCode, Is.EqualTo(1));
            Assert.That(
                failed.Error,
                Is.EqualTo("patroni.service did not start, and stays fenced\nJob for patroni.service failed.\nno such image\n")
            );
            Assert.That((File.ReadAllText(mark), File.Exists(dropIn)), Is.EqualTo((written, true)), "wholly");
            Assert.That(File.ReadAllText($"{folder}/log"), Does.EndWith("docker inspect -f {{.State.Running}} patroni\n"), "and is down");

            File.Delete($"{folder}/broken");
            Assert.That(Run(FenceMark.Clear("patroni.service", "patroni")).ExitCode, Is.Zero);
            Assert.That(Directory.GetFileSystemEntries($"{folder}/var"), Is.Empty);
            Assert.That(Directory.Exists($"{folder}/etc/patroni.service.d"), Is.False);

            File.WriteAllText($"{folder}/broken", "");
            failed = Run(FenceMark.Clear("patroni.service", "patroni"));
            Assert.That(failed.Error, Does.StartWith("patroni.service did not start\n"), "it was not fenced");
            Assert.That(File.Exists(mark), Is.False);

            ScriptResult Run(Script script) =>
                ProviderBench.Shell(
                    $"PATH={folder}/bin:$PATH\n"
                        + script
                            .Text.Replace("/var/lib/kbr", $"{folder}/var", StringComparison.Ordinal)
                            .Replace("/etc/systemd/system", $"{folder}/etc", StringComparison.Ordinal)
                );
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    // After a recovery, a member that is down may have the database that was lost.
    [Test]
    public void Only_a_fenced_member_is_started_and_not_what_a_recovery_or_a_restore_keeps_down()
    {
        var lifted = new FileRead(FenceMark.Path + ".lifted");
        var dropIn = new FileRead("/etc/systemd/system/patroni.service.d/kbr-fence.conf");
        Assert.That(Unfence(), Is.EqualTo(new UnfenceChoice(false, Starts: false)), "it is down for another reason");
        Assert.That(Unfence(FenceMark.Read), Is.EqualTo(new UnfenceChoice(true, Starts: true)));
        Assert.That(Unfence(lifted), Is.EqualTo(new UnfenceChoice(false, Starts: true)), "an unfence that was cut off");
        Assert.That(Unfence(dropIn), Is.EqualTo(new UnfenceChoice(false, Starts: true)), "that was cut off after the start");

        var journal = new RecoveryJournal("20261128T211000Z", "db-1", ["db-2", "db-3"], IsDone: true);
        var refused = new RecoveryVerdict.Refused("a recovery of pg from db-1 is unfinished", "since then", "run kbr recover again");
        Assert.That(
            Refusal(refused, FenceMark.Read),
            Is.EqualTo("a recovery of pg from db-1 is unfinished; db-2 stays down (run kbr recover again)")
        );
        Assert.That(Choose(refused, null), Is.EqualTo(new UnfenceChoice(false, Starts: false)), "nothing is to be done");
        Assert.That(
            Refusal(new RecoveryVerdict.Known(journal, ["db-2"]), lifted),
            Is.EqualTo(
                "db-2 was lost when pg was recovered from db-1, and has the database that was lost (run kbr apply, which keeps its data aside "
                    + "and makes it a replica)"
            )
        );
        Assert.That(
            Refusal(new RecoveryVerdict.Known(journal, ["db-2"]), FenceMark.Read),
            Does.EndWith("then remove /var/lib/kbr/fence.json on db-2, and run kbr apply again, which makes it a replica)")
        );
        Assert.That(Choose(new RecoveryVerdict.Known(journal, ["db-3"]), null, FenceMark.Read).Starts, Is.True, "it was set aside");

        foreach (var phase in Enum.GetValues<RestorePhase>())
        {
            var restore = new RestoreJournal("20261129T100000Z", "latest", "db-1", "db-1", phase);
            if (phase is RestorePhase.Exchange or RestorePhase.Open or RestorePhase.Return or RestorePhase.Reopen)
            {
                Assert.That(
                    Assert.Throws<DiagnosticException>(() => Choose(new RecoveryVerdict.None(), restore, FenceMark.Read))!.Message,
                    Does.StartWith("a restore of pg is not complete, and db-2 is started by it alone"),
                    $"{phase}"
                );
            }
            else
            {
                Assert.That(Choose(new RecoveryVerdict.None(), restore, FenceMark.Read).Starts, Is.True, $"{phase}: the members run");
            }
        }

        Assert.That(
            Assert
                .Throws<DiagnosticException>(() =>
                    UnfenceChoice.Of("pg", new Dictionary<string, Snapshot>(), new RecoveryVerdict.None(), "db-2")
                )!
                .Message,
            Does.StartWith("db-2 could not be reached")
        );

        static UnfenceChoice Unfence(params FileRead[] there) => Choose(new RecoveryVerdict.None(), null, there);

        static string Refusal(RecoveryVerdict verdict, params FileRead[] there)
        {
            var refusal = Assert.Throws<DiagnosticException>(() => Choose(verdict, null, there))!.Diagnostics.Single();
            return $"{refusal.Summary} ({refusal.Remedy})";
        }

        static UnfenceChoice Choose(RecoveryVerdict verdict, RestoreJournal? restore, params FileRead[] there)
        {
            FileContent? Of(Read read) =>
                there.Any(one => one == read) ? new FileContent(Encoding.UTF8.GetBytes("""{"format":1}""")) : null;
            var json = restore?.Write("pg").Text.Split('\'').First(part => part.StartsWith('{'));
            var journal = json is null ? null : new FileContent(Encoding.UTF8.GetBytes(json));
            var member = ProviderBench.Snapshot([
                (FenceMark.Read, Of(FenceMark.Read)),
                .. UnfenceChoice.Reads("pg").Select(read => (read, read == RestoreJournal.Read("pg") ? journal : Of(read))),
            ]);
            return UnfenceChoice.Of("pg", new Dictionary<string, Snapshot> { ["db-2"] = member }, verdict, "db-2");
        }
    }

    [Test]
    public void A_mark_that_no_kbr_wrote_fences_all_the_same()
    {
        Assert.That(FenceMark.Parse("not JSON"u8), Is.EqualTo(new FenceMark(null, null, null)));
        Assert.That(FenceMark.Parse("""{"format": 9, "by": "x"}"""u8).Text, Is.EqualTo("fenced"));
        Assert.That(
            FenceMark.Parse(Encoding.UTF8.GetBytes("""{"format": 1, "by": "a\u001b[31m", "reason": null}""")).Text,
            Is.EqualTo("fenced by a\uFFFD[31m")
        );
    }

    private static FenceChoice Choice(Dictionary<string, Snapshot> answers, string wanted) =>
        FenceChoice.Of("pg", Judge(answers), Names, wanted);

    private static string Refusal(Dictionary<string, Snapshot> answers, string wanted)
    {
        var refusal = Assert.Throws<DiagnosticException>(() => Choice(answers, wanted))!.Diagnostics.Single();
        return $"{refusal.Summary} ({refusal.Remedy})";
    }

    private static string NotStreaming(string name) =>
        Replica(name).Replace("\"streaming\"", "\"in archive recovery\"", StringComparison.Ordinal);

    private static Dictionary<string, Snapshot> Fenced(Dictionary<string, Snapshot> answers, string member)
    {
        answers[member] = answers[member]
            .With(
                ProviderBench.Snapshot(
                    (
                        FenceMark.Read,
                        new FileContent(
                            Encoding.UTF8.GetBytes(
                                """{"format":1,"since":"2026-11-29T21:10:00Z","by":"root@install-01","reason":"disk errors"}"""
                            )
                        )
                    )
                )
            );
        return answers;
    }
}
