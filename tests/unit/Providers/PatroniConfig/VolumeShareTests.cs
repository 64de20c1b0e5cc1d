using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.Http;
using KeyBuzz.Reconciler.Providers.PatroniConfig;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.Providers.PatroniConfig;

/// <summary>Limits of WAL as a part of the volume: the part is compared, and its size is stored.</summary>
[TestFixture]
internal sealed class VolumeShareTests
{
    private const string Key = "postgresql.parameters.max_slot_wal_keep_size";
    private const long GiB = 1L << 30;
    private const long Silent = 0;
    private const long Unmounted = -1;

    private readonly PatroniConfigProvider _provider = new();

    [TestCase("max_slot_wal_keep_size", "30%", 30)]
    [TestCase("max_wal_size", "5 %", 5)]
    [TestCase("max_wal_size", "90%", 90)]
    [TestCase("max_wal_size", "91%", null)]
    [TestCase("max_wal_size", "0%", null)]
    [TestCase("max_wal_size", "-5%", null)]
    [TestCase("max_wal_size", "1GB", null)]
    [TestCase("work_mem", "30%", null)]
    public void A_part_is_a_per_cent_of_a_parameter_that_limits_WAL(string parameter, string value, int? percent) =>
        Assert.That(VolumeShare.PercentOf(parameter, value), Is.EqualTo(percent));

    // Of 10 GiB: 2969 MB are 29 %, 3072 MB 30 %, 3174 MB 31 %.
    [TestCase("3072MB", 10, "30%")]
    [TestCase("3GB", 10, "30%")]
    [TestCase("3072MB", 19, "3072MB")]
    [TestCase("2969MB", 10, "2969MB")]
    [TestCase("3174MB", 10, "3174MB")]
    [TestCase("3072MB", 21, "3072MB")]
    [TestCase("3072MB", 9, "3072MB")]
    [TestCase("-1", 10, "-1")]
    [TestCase(null, 10, null)]
    [TestCase("3072MB", Silent, "30%")]
    [TestCase("3072MB", Unmounted, "30%")]
    public void A_stored_size_that_is_near_enough_is_the_part(string? stored, long volume, string? found) =>
        Assert.That(Observed(stored, [100, volume]).Attributes.GetValueOrDefault(Key)?.Value, Is.EqualTo(found));

    [Test]
    public void While_a_member_does_not_answer_what_is_stored_counts() =>
        Assert.That(Observed("1024MB", [100, 100], members: 3).Attributes[Key].Value, Is.EqualTo("30%"));

    [Test]
    public void The_plan_says_what_the_part_of_the_smallest_volume_is()
    {
        Assert.That(Observed(null, [100, 10]).Note, Is.EqualTo("max_slot_wal_keep_size: 30% of the smallest volume are 3072MB"));
        Assert.That(Observed("3072MB", [100, 10]).Note, Is.Null);
    }

    [Test]
    public void A_member_that_does_not_run_with_it_is_told()
    {
        var found = Observed("3072MB", [10], running: "-1").Attributes.GetValueOrDefault(Key)?.Value;
        Assert.That(found, Does.Contain("-1 on db-1"));
    }

    [Test]
    public void Without_a_part_no_volume_is_read()
    {
        var config = Config("4GB");
        Assert.That(_provider.Reads(config).OfType<DiskSpaceRead>(), Is.Empty);
        Assert.That(_provider.Reads(Config("30%")).OfType<DiskSpaceRead>(), Is.EqualTo(new[] { new DiskSpaceRead("/data") }));
    }

    private Resource Config(string value, long members = 1) =>
        ProviderBench.Resource(
            _provider,
            "pg",
            ("settings", ImmutableSortedDictionary<string, string>.Empty.Add(Key, value)),
            ("volume_path", "/data"),
            ("volume_members", members)
        );

    private Observation.Present Observed(string? stored, long[] volumes, string? running = null, long? members = null)
    {
        var config = Config("30%", members ?? volumes.Length);
        var megabytes = (running ?? stored ?? "-1")
            .Replace("3GB", "3072", StringComparison.Ordinal)
            .Replace("MB", "", StringComparison.Ordinal);
        var parameter =
            $$"""{"name": "max_slot_wal_keep_size", "setting": "{{megabytes}}", "reset_val": "{{megabytes}}", "unit": "MB", "vartype": "integer", "context": "sighup", "source": "configuration file", "pending_restart": false}""";
        var answers = volumes
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
                                                $$"""[{"in_recovery": {{(pair.Index == 0 ? "false" : "true")}}, "settings": [{{parameter}}], "altered": null}]""",
                                                ""
                                            ),
                                            DiskSpaceRead => pair.Item == Silent
                                                ? null
                                                : new DiskSpace(Math.Max(1, pair.Item) * GiB, GiB, "xfs"),
                                            MountsRead => (IReadOnlyList<MountEntry>)
                                                [new MountEntry(pair.Item == Unmounted ? "/" : "/data", "/dev/sdb", "8:16", "xfs", "rw")],
                                            HttpRead { Path: "/config" } => new HttpAnswer(
                                                200,
                                                stored is null
                                                    ? "{}"
                                                    : "{\"postgresql\": {\"parameters\": {\"max_slot_wal_keep_size\": \"" + stored + "\"}}}"
                                            ),
                                            HttpRead => new HttpAnswer(200, "{}"),
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
