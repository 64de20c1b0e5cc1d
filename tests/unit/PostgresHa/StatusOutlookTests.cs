using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using KeyBuzz.Reconciler.Cli.Blueprints.Postgres;
using KeyBuzz.Reconciler.Cli.Commands;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.PostgresHa.Status;
using KeyBuzz.Reconciler.Providers;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Tests.Cli;
using KeyBuzz.Reconciler.Tests.Providers;
using KeyBuzz.Reconciler.Tests.Providers.PatroniCluster;

namespace KeyBuzz.Reconciler.Tests.PostgresHa;

/// <summary>What status says of limits that a member comes near to, and of the last change.</summary>
internal sealed class StatusOutlookTests : BlueprintFixture
{
    private const string Nonce = "0123456789abcdef0123456789abcdef";
    private const long GiB = 1L << 30;

    private static readonly DateTimeOffset s_now = DateTimeOffset.FromUnixTimeSeconds(1_800_000_000);

    private long? _bound;
    private string _more = "";

    private static DiskSpace Space(long free, long freeInodes = 900) =>
        new(100 * GiB, free * GiB, "xfs") { Inodes = 1000, AvailableInodes = freeInodes };

    [TestCase(15, 900, StatusVerdict.Ok, "db-1 85 % used, 15 GiB free")]
    [TestCase(14, 900, StatusVerdict.NotOk, "db-1 86 % used, 14 GiB free (bound 85 %). At 100 % PostgreSQL stops")]
    [TestCase(50, 140, StatusVerdict.NotOk, "db-1 50 % used, 50 GiB free, 86 % of its inodes used (bound 85 %)")]
    public void A_volume_over_its_bound_is_not_ok(long free, long inodes, StatusVerdict verdict, string measured)
    {
        var item = Line("volume", space: Space(free, inodes));
        Assert.That(item!.Verdict, Is.EqualTo(verdict));
        Assert.That(item.Measured, Does.StartWith(measured));
    }

    [Test]
    public void A_full_volume_is_the_cause_of_all_that_follows_from_it()
    {
        Assert.That(Status(space: Space(0)).Conclusion.Causes.Select(cause => cause.Text), Does.Contain("the volume of db-1 is full"));
        Assert.That(Status(space: Space(1)).Conclusion.Causes.Select(cause => cause.Text), Has.None.Contains("is full"));
    }

    [Test]
    public void The_bound_of_the_volume_is_a_setting()
    {
        _bound = 95;
        Assert.That(Line("volume", space: Space(6))!.Verdict, Is.EqualTo(StatusVerdict.Ok));
        Assert.That(Line("volume", space: Space(4))!.Measured, Does.Contain("(bound 95 %)"));
        _bound = 100;
        Assert.That(Errors(Yaml).Single(), Does.Contain("max_volume_used"));
    }

    [Test]
    public void A_volume_that_does_not_tell_is_unknown_and_one_without_a_table_of_inodes_has_none()
    {
        Assert.That(Line("volume", space: null)!.Verdict, Is.EqualTo(StatusVerdict.Unknown));
        Assert.That(Line("volume", space: new DiskSpace(100, 50, "btrfs"))!.Verdict, Is.EqualTo(StatusVerdict.Ok));
    }

    // 20 GiB are free of 100 after six hours.
    [TestCase(60, "db-1 80 % used, 20 GiB free, full in 6 h by the trend of 6 h")]
    [TestCase(77, "db-1 80 % used, 20 GiB free, full in 40 h by the trend of 6 h")]
    [TestCase(79, "db-1 80 % used, 20 GiB free, full in 5 d by the trend of 6 h")]
    [TestCase(80, "db-1 80 % used, 20 GiB free, gets no fuller")]
    [TestCase(90, "db-1 80 % used, 20 GiB free, gets no fuller")]
    public void The_time_until_a_volume_is_full_is_its_trend_of_six_hours(long usedThen, string measured)
    {
        var status = Status(space: Space(20), volumes: Seen(TimeSpan.FromHours(6), TimeSpan.FromMinutes(30), usedThen, 80));
        Assert.That(status.Items.Single(item => item.Name == "volume").Measured, Is.EqualTo(measured));
        Assert.That(status.Items.Single(item => item.Name == "volume").Verdict, Is.EqualTo(StatusVerdict.Ok));
        var seconds = status.Measures.Where(measure => measure.Name == "volume_full_seconds").Select(measure => measure.Value).ToArray();
        Assert.That(seconds, usedThen < 80 ? Has.Length.EqualTo(1) : Is.Empty);
        Assert.That(seconds, Is.All.EqualTo(20 * 6 * 3600 / Math.Max(1, 80 - usedThen)).Within(2));
    }

    [TestCase(5, 10, Description = "less than six hours")]
    [TestCase(8, 120, Description = "a sample in two hours")]
    public void With_too_little_history_it_is_not_known_yet(int hours, int minutes)
    {
        var status = Status(space: Space(14), volumes: Seen(TimeSpan.FromHours(hours), TimeSpan.FromMinutes(minutes), 60, 86));
        Assert.That(
            status.Items.Single(item => item.Name == "volume").Measured,
            Is.EqualTo(
                "db-1 86 % used, 14 GiB free (bound 85 %). At 100 % PostgreSQL stops; when it is full is not known yet, before 6 h of kbr status "
                    + "on this machine"
            )
        );
        Assert.That(status.Measures.Select(measure => measure.Name), Has.None.EqualTo("volume_full_seconds"));
    }

    [Test]
    public void What_was_seen_is_kept_for_a_day_beside_the_state_each_five_minutes_and_survives_anything()
    {
        var folder = Directory.CreateTempSubdirectory("kbr-volumes-").FullName;
        try
        {
            var file = VolumeHistoryFile.Of(folder, "lab");
            var path = Path.Combine(folder, "state/lab.volumes");
            // Two days, asked every minute.
            var begin = s_now - TimeSpan.FromDays(2);
            var kept = VolumeHistory.None;
            for (var minute = 0; minute <= 2 * 24 * 60; minute += 1)
            {
                kept = kept.With([new VolumeSample(begin.AddMinutes(minute), "db-1", minute)]);
            }

            Assert.That(kept.Samples, Has.Length.EqualTo(24 * 12));
            Assert.That(VolumeHistory.Parse(kept.Text).Samples, Is.EqualTo(kept.Samples));
            file.Keep(kept.Samples);
            System.IO.File.AppendAllText(path, "no sample\n99999999999999999 db-1 1\n1800000000 db-1\n");
            var next = file.Keep([new VolumeSample(s_now.AddMinutes(4), "db-1", 7)]);
            Assert.That(next.Samples, Has.Length.EqualTo(24 * 12), "the last one is younger than five minutes");
            next = file.Keep([new VolumeSample(s_now.AddMinutes(5), "db-1", 7)]);
            Assert.That(next.Samples[^1].UsedBytes, Is.EqualTo(7));
            Assert.That(System.IO.File.ReadAllText(path), Is.EqualTo(next.Text));
            // A clock that was wrong.
            Assert.That(file.Keep([new VolumeSample(s_now.AddHours(-3), "db-1", 7)]).Samples.Max(one => one.Time), Is.LessThan(s_now));
            System.IO.File.Delete(path);
            Directory.CreateDirectory(path);
            Assert.That(file.Keep([new VolumeSample(s_now, "db-1", 7)]).Problem, Does.Contain("state/lab.volumes cannot be written"));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static VolumeHistory Seen(TimeSpan since, TimeSpan step, long usedThen, long usedNow)
    {
        var count = (int)(since / step);
        return new VolumeHistory([
            .. Enumerable
                .Range(0, count + 1)
                .Select(at => new VolumeSample(
                    s_now - since + (at * step),
                    "db-1",
                    (usedThen * GiB) + ((usedNow - usedThen) * GiB * at / count)
                )),
        ]);
    }

    // Without a limit a twentieth of the volume, of which there are 100 GiB; with one half of it.
    [TestCase("{}", 6, null)]
    [TestCase("""{"active": true, "held": 90}""", null, null)]
    [TestCase("""{"active": false, "held": 5}""", null, null)]
    [TestCase("""{"active": false}""", null, null)]
    [TestCase(
        """{"active": false, "held": 6, "inactive_for": 10800}""",
        null,
        "s on db-1 has had no consumer for 3 h, and holds 6 GiB of WAL: without max_slot_wal_keep_size until the volume is full"
    )]
    [TestCase("""{"active": false, "held": 10}""", 20, null)]
    [TestCase("""{"active": false, "held": 11}""", 20, "s on db-1 has no consumer, and holds 11 GiB of WAL of 20 GiB that it may")]
    [TestCase("""{"active": false, "held": 6}""", 200, "s on db-1 has no consumer, and holds 6 GiB of WAL of 200 GiB that it may")]
    [TestCase(
        """{"active": true, "held": 21, "wal_status": "unreserved"}""",
        20,
        "s on db-1 holds 21 GiB of WAL, more than it may: its consumer loses it at the next checkpoint"
    )]
    [TestCase(
        """{"active": false, "wal_status": "lost"}""",
        20,
        "s on db-1 is lost: the WAL that its consumer needs was removed, so that one must begin anew"
    )]
    public void A_slot_is_named_when_the_WAL_that_it_holds_or_has_lost_matters(string slot, int? limit, string? said)
    {
        var json = JsonNode.Parse(slot)!.AsObject();
        json["name"] = "s";
        if (json["held"] is { } held)
        {
            json["held"] = held.GetValue<long>() * GiB;
        }

        var item = Line(
            "slots",
            $"\"slot_limit\": {(limit is { } most ? most * GiB : "null")}, \"slots\": [{json.ToJsonString()}]",
            Space(50)
        );
        Assert.That(item?.Measured, Is.EqualTo(said));
        Assert.That(item?.Verdict, Is.Null.Or.EqualTo(StatusVerdict.NotOk));
    }

    [TestCase(87, null, Description = "nine tenths of 97 are 87.3")]
    [TestCase(88, "db-1 has 88 of 97 that are not reserved for superusers")]
    public void Connections_are_named_near_their_limit(long used, string? said) =>
        Assert.That(Line("connections", $"\"connections\": {used}, \"connections_limit\": 97")?.Measured, Is.EqualTo(said));

    [TestCase("transaction", 400_000_000, 200_000_000, null)]
    [TestCase(
        "transaction",
        400_000_001,
        200_000_000,
        "the oldest transaction is 400 million old, and autovacuum, which begins at 200 million, does not get on. PostgreSQL refuses writes at 2144 million"
    )]
    [TestCase("multixact", 900_000_000, 400_000_000, "the oldest multixact is 900 million old, and autovacuum")]
    [TestCase("transaction", 1_900_000_000, 1_800_000_000, null, Description = "half way from where it begins to the end")]
    [TestCase("transaction", 1_990_000_000, 1_800_000_000, "the oldest transaction is 1990 million old")]
    public void Wraparound_is_named_when_autovacuum_does_not_get_on(string of, long age, long freeze, string? said)
    {
        var item = Line("wraparound", $"\"{of}_age\": {age}, \"{of}_freeze\": {freeze}");
        Assert.That(item?.Measured, said is null ? Is.Null : Does.StartWith(said));
    }

    [Test]
    public void The_last_change_is_the_newest_of_all_hosts_with_who_made_it_and_when()
    {
        var older = Entry(TimeSpan.FromHours(30), "ops", HistoryResult.Done);
        var newer = Entry(TimeSpan.FromHours(3), "root", HistoryResult.Partly) with { DoneCount = 4, FailedCount = 1, SkippedCount = 2 };
        var line = Line("last change", history: [older, newer])!;
        Assert.That(
            (line.Verdict, line.Measured),
            Is.EqualTo((StatusVerdict.Ok, "apply by root on install-01, 3 h ago: 4 done, 1 failed, 2 skipped"))
        );
        Assert.That(Status(history: [older, newer]).Measures.Single(one => one.Name == "last_change_failed").Value, Is.EqualTo(1));
        Assert.That(Line("last change"), Is.Null, "nobody has changed anything yet");
        Assert.That(
            Line("last change", history: [older], refused: true),
            Is.Null,
            "a file that others than root can write is not believed"
        );
    }

    [Test]
    public void Recent_restarts_by_systemd_are_told_beside_the_units_and_older_ones_are_not()
    {
        Assert.That(Line("units", restarts: (3, TimeSpan.FromMinutes(5)))!.Measured, Does.Not.Contain("killed"));
        Assert.That(
            Line("units", restarts: (3, TimeSpan.FromMinutes(5)), kernel: "oom_kill 2\n")!.Measured,
            Does.EndWith(
                "; patroni on db-1 was restarted by systemd 3 times, the last 5 min ago, and the kernel there has killed 2 processes for lack of "
                    + "memory since it booted"
            )
        );
        Assert.That(
            Line("units", restarts: (1, TimeSpan.FromMinutes(5)))!.Measured,
            Does.Contain("was restarted by systemd once, the last")
        );
        Assert.That(Line("units", restarts: (3, TimeSpan.FromHours(2)))!.Measured, Does.Not.Contain("restarted"));
        Assert.That(Line("units", restarts: (0, TimeSpan.FromMinutes(5)))!.Measured, Does.Not.Contain("restarted"));
    }

    [Test]
    public void A_container_that_ended_for_lack_of_memory_is_told_so() =>
        Assert.That(
            Status(container: """{"State": {"Status": "exited", "OOMKilled": true}}""")
                .Items.Single(item => item.Name == "containers")
                .Measured,
            Does.Contain("patroni on db-1 is exited: killed for lack of memory")
        );

    // None of them is a reason for an apply to wait or to fail.
    [Test]
    public void An_apply_is_not_judged_by_them()
    {
        var status = Status(space: Space(1));
        var report = PostgresHealth.ReportOf(status);
        Assert.That(StatusCommand.Settling(report).Items.Select(item => item.Name), Does.Not.Contain("volume").And.Contain("leader"));
        Assert.That(new StatusScope(Topology(Yaml), []).Of(status).Items, Is.Empty);
    }

    [Test]
    public void Every_number_is_in_the_metrics_and_in_JSON_alike()
    {
        var report = PostgresHealth.ReportOf(
            Status(
                "\"connections\": 7, \"connections_limit\": 97, \"slot_limit\": 1073741824, \"transaction_age\": 5, \"transaction_freeze\": 9, "
                    + "\"slots\": [{\"name\": \"s\", \"active\": false, \"held\": 42}]",
                Space(15),
                history: [Entry(TimeSpan.FromHours(3), "root", HistoryResult.Done)],
                restarts: (3, TimeSpan.FromDays(2)),
                kernel: "pgfault 1\noom_kill 2\n"
            )
        );
        var text = StatusMetrics.Render("lab", [("pg", report), ("other", report)], 0, s_now);
        MetricsRules.Check(text);
        var lines = text.Split('\n');
        foreach (
            var (name, labels, value) in new (string, string, long)[]
            {
                ("volume_size_bytes", ",host=\"db-1\"", 100 * GiB),
                ("volume_free_bytes", ",host=\"db-1\"", 15 * GiB),
                ("volume_inodes", ",host=\"db-1\"", 1000),
                ("volume_inodes_free", ",host=\"db-1\"", 900),
                ("oom_kills", ",host=\"db-1\"", 2),
                ("settings_refused", ",host=\"db-1\"", 0),
                ("pending_restart", ",host=\"db-1\"", 0),
                ("connections", ",host=\"db-1\"", 7),
                ("connections_limit", ",host=\"db-1\"", 97),
                ("transaction_age", ",host=\"db-1\"", 5),
                ("slot_limit_bytes", ",host=\"db-1\"", GiB),
                ("slot_active", ",host=\"db-1\",slot=\"s\"", 0),
                ("slot_held_bytes", ",host=\"db-1\",slot=\"s\"", 42),
                ("unit_restarts", ",host=\"db-1\",unit=\"patroni\"", 3),
                ("last_change_timestamp_seconds", "", 1_800_000_000 - (3 * 3600)),
                ("last_change_failed", "", 0),
            }
        )
        {
            Assert.That(
                lines,
                Does.Contain(
                    string.Create(CultureInfo.InvariantCulture, $"kbr_status_{name}{{cluster=\"lab\",scope=\"pg\"{labels}}} {value}")
                )
            );
        }

        var document = StatusView.Document("lab", "pg", report, "kbr plan");
        Assert.That(JsonSchemas.Problems(document), Is.Empty);
        Assert.That(
            JsonNode.Parse(document)!["measures"]!.AsArray().Select(one => one!.ToJsonString()),
            Does.Contain("""{"name":"slot_held_bytes","value":42,"labels":{"host":"db-1","slot":"s"}}""")
                .And.Contain("""{"name":"members","value":1,"labels":{}}""")
        );
        Assert.That(JsonNode.Parse(document)!["measures"]!.AsArray(), Has.Count.EqualTo(report.Measures.Length));
    }

    private string Yaml =>
        string.Join('\n', Minimal.Split('\n').Where(line => !line.Contains("db-slave", StringComparison.Ordinal)))
            .Replace("db-master-01", "db-1", StringComparison.Ordinal)
        + (_bound is { } bound ? $"  health: {{ max_volume_used: {bound} }}\n" : "")
        + _more;

    private static HistoryEntry Entry(TimeSpan ago, string user, HistoryResult result) =>
        new(new string('a', 32), s_now - ago, s_now - ago, "apply", user, "install-01", "1.0", result);

    private StatusItem? Line(
        string name,
        string vitals = "",
        DiskSpace? space = null,
        HistoryEntry[]? history = null,
        bool refused = false,
        (long Count, TimeSpan Ago)? restarts = null,
        string? kernel = null
    ) => Status(vitals, space, history, refused, restarts, kernel).Items.SingleOrDefault(item => item.Name == name);

    [Test]
    public void An_extension_in_two_databases_has_a_line_and_a_series_for_each()
    {
        _more = "  databases: [{ name: stats }]\n  extensions: [pg_trgm, { name: pg_trgm, database: stats }]\n";
        var status = Status();
        Assert.That(
            status.Items.Select(item => item.Name).Where(name => name.StartsWith("extension", StringComparison.Ordinal)),
            Is.EqualTo(new[] { "extension pg_trgm", "extension pg_trgm in stats" })
        );
        MetricsRules.Check(StatusMetrics.Render("lab", [("pg", PostgresHealth.ReportOf(status))], 0, s_now));
    }

    [TestCase("lag")]
    [TestCase("vector query on replicas")]
    public void A_cluster_of_one_member_passes_without_a_replica(string name)
    {
        _more = "  extensions: [vector]\n";
        Assert.That(Line(name), Is.EqualTo(new StatusItem(name, StatusVerdict.Ok, "no replica") { Topic = Line(name)!.Topic }));
    }

    [TestCase(true, StatusVerdict.Ok)]
    [TestCase(false, StatusVerdict.NotOk)]
    public void A_replica_that_is_fenced_is_not_asked_for_and_one_that_does_not_answer_is(bool isFenced, StatusVerdict verdict)
    {
        var yaml = string.Join('\n', Minimal.Split('\n').Where(line => !line.Contains("db-slave-02", StringComparison.Ordinal)))
            .Replace("db-master-01", "db-1", StringComparison.Ordinal);
        var cluster = Load(yaml + "  extensions: [vector]\n");
        var topology = cluster.Model<PostgresTopology>()!;
        var reads = new StatusReads(topology, Find(cluster, "patroni_config.keybuzz-pg@keybuzz-pg"));

        var status = new StatusJudgement(
            topology,
            reads,
            topology.Members.ToDictionary(host => host.Name, host => ((Snapshot?)Of(host), (string?)null)),
            []
        ).Judge();

        foreach (var name in new[] { "lag", "vector query on replicas" })
        {
            Assert.That(status.Items.Single(item => item.Name == name).Verdict, Is.EqualTo(verdict), name);
        }

        Snapshot Of(Host host)
        {
            var nothing = ReadList.Probe.Parse([.. reads.For(host)], Nonce, Encoding.UTF8.GetBytes($"\n{Nonce} end 0\n"));
            return host == topology.Members[0] ? nothing.With(PatroniAnswers.Snapshot(PatroniAnswers.Leader("db-1")))
                : isFenced ? nothing.With(ProviderBench.Snapshot((FenceMark.Read, new FileContent("{}"u8.ToArray()))))
                : nothing;
        }
    }

    [Test]
    public void A_fenced_member_counts_among_the_hosts_that_answer()
    {
        var cluster = Load(Yaml);
        var topology = cluster.Model<PostgresTopology>()!;
        var reads = new StatusReads(topology, Find(cluster, "patroni_config.keybuzz-pg@keybuzz-pg"));
        Host[] all = [.. topology.Members, .. topology.Proxies];
        Assert.That(Hosts(fenced: null), Is.EqualTo($"{all.Length} of {all.Length} answer over SSH"));
        Assert.That(Hosts(fenced: topology.Members[0]), Is.EqualTo($"{all.Length} of {all.Length} answer over SSH"));

        string Hosts(Host? fenced) =>
            new StatusJudgement(
                topology,
                reads,
                all.ToDictionary(host => host.Name, host => ((Snapshot?)Of(host, host == fenced), (string?)null)),
                []
            )
                .Judge()
                .Items.Single(item => item.Name == "hosts")
                .Measured;

        Snapshot Of(Host host, bool isFenced)
        {
            var nothing = ReadList.Probe.Parse([.. reads.For(host)], Nonce, Encoding.UTF8.GetBytes($"\n{Nonce} end 0\n"));
            return isFenced ? nothing.With(ProviderBench.Snapshot((FenceMark.Read, new FileContent("{}"u8.ToArray())))) : nothing;
        }
    }

    private ClusterStatus Status(
        string vitals = "",
        DiskSpace? space = null,
        HistoryEntry[]? history = null,
        bool refused = false,
        (long Count, TimeSpan Ago)? restarts = null,
        string? kernel = null,
        string container = "{}",
        VolumeHistory? volumes = null
    )
    {
        var cluster = Load(Yaml);
        var topology = cluster.Model<PostgresTopology>()!;
        var reads = new StatusReads(topology, Find(cluster, "patroni_config.keybuzz-pg@keybuzz-pg"));
        // The member answers first, then a proxy.
        Host[] told = [topology.Members[0], topology.Proxies[0]];
        var hosts = told.Index()
            .ToDictionary(
                one => one.Item.Name,
                one => ((Snapshot?)Of(one.Item, history is null || history.Length <= one.Index ? null : history[one.Index]), (string?)null)
            );
        var judgement = new StatusJudgement(topology, reads, hosts, []);
        Assert.That(
            judgement.Volumes,
            Is.EqualTo(space is null ? [] : new[] { new VolumeSample(s_now, "db-1", space.SizeBytes - space.AvailableBytes) })
        );
        return judgement.Judge(volumes);

        Snapshot Of(Host host, HistoryEntry? entry)
        {
            var asked = reads.For(host);
            Assert.That(asked, Does.Contain(reads.LastApply));
            var nothing = ReadList.Probe.Parse([.. asked], Nonce, Encoding.UTF8.GetBytes($"\n{Nonce} end 0\n"));
            var answers = new List<(Read, object?)>
            {
                (
                    reads.LastApply,
                    new HistoryFile(
                        [new RecordPath("/var/log/kbr/keybuzz-pg.jsonl", "regular file", refused ? 1 : 0, "0600")],
                        entry is null ? "" : HistoryChain.Line(entry, HistoryChain.Beginning) + "\n"
                    )
                ),
            };
            if (host == topology.Members[0])
            {
                Assert.That(asked, Does.Contain(reads.Vitals).And.Contain(reads.Volume).And.Contain(StatusReads.KernelCounters));
                answers.AddRange([
                    (reads.Vitals, new SqlAnswer($"[{{{vitals}}}]", "")),
                    (reads.Volume, space),
                    (StatusReads.KernelCounters, kernel is null ? null : new FileContent(Encoding.UTF8.GetBytes(kernel))),
                    (new ClockRead(), new ClockState(true, "chrony", s_now)),
                    (new ContainerRead("patroni"), new DockerAnswer(200, container)),
                ]);
                if (restarts is { } of)
                {
                    var since = (s_now - of.Ago).UtcDateTime.ToString("ddd yyyy-MM-dd HH:mm:ss 'UTC'", CultureInfo.InvariantCulture);
                    answers.Add(
                        (
                            new UnitRead("patroni.service"),
                            new UnitState(
                                new Dictionary<string, string>
                                {
                                    ["NRestarts"] = of.Count.ToString(CultureInfo.InvariantCulture),
                                    ["ActiveEnterTimestamp"] = since,
                                }
                            )
                        )
                    );
                }

                nothing = nothing.With(PatroniAnswers.Snapshot(PatroniAnswers.Leader("db-1")));
            }

            return nothing.With(ProviderBench.Snapshot([.. answers]));
        }
    }
}
