using KeyBuzz.Reconciler.PostgresHa;

namespace KeyBuzz.Reconciler.Tests.PostgresHa;

/// <summary>What the section makes against a full volume.</summary>
internal sealed class NeverFullTests : BlueprintFixture
{
    private const string Share = Minimal + "  parameters: { max_slot_wal_keep_size: 30 %, max_wal_size: 5% }\n";

    private static string WithBallast =>
        Minimal.Replace("volume: { device: /dev/sdb }", "volume: { device: /dev/sdb, ballast: 1GiB }", StringComparison.Ordinal);

    [Test]
    public void A_ballast_is_a_file_on_the_volume_of_each_member_and_none_without_the_key()
    {
        var cluster = Load(WithBallast);
        var ballast = cluster.Resources.Where(resource => resource.Address.Type == "ballast").ToList();
        Assert.That(
            ballast.Select(one => $"{one.Address}"),
            Is.EqualTo(new[] { "db-master-01", "db-slave-01", "db-slave-02" }.Select(host => $"ballast.postgres@{host}"))
        );
        Assert.That(ballast.Select(one => one.Spec.String("path")), Is.All.EqualTo("/opt/keybuzz/postgres/kbr-ballast"));
        Assert.That(ballast.Select(one => one.Spec.Integer("size")), Is.All.EqualTo(1L << 30));
        Assert.That(cluster.Model<PostgresTopology>()!.Volume.BallastPath, Is.EqualTo("/opt/keybuzz/postgres/kbr-ballast"));
        Assert.That(Load(Minimal).Resources.Select(resource => resource.Address.Type), Does.Not.Contain("ballast"));
    }

    [Test]
    public void A_part_of_the_volume_is_declared_and_is_not_in_the_file_that_makes_the_database()
    {
        var cluster = Load(Share);
        var settings = Find(cluster, "patroni_config.keybuzz-pg@keybuzz-pg").Spec.Map("settings");
        Assert.That(settings["postgresql.parameters.max_slot_wal_keep_size"], Is.EqualTo("30%"));
        Assert.That(settings["postgresql.parameters.max_wal_size"], Is.EqualTo("5%"));
        Assert.That(
            Content(cluster, "config_file.patroni@db-master-01"),
            Does.Not.Contain("wal_keep_size").And.Not.Contain("max_wal_size")
        );
    }

    [TestCase("work_mem: 30%")]
    [TestCase("max_slot_wal_keep_size: 95%")]
    [TestCase("max_slot_wal_keep_size: -5%")]
    public void A_part_that_cannot_be_is_an_error(string parameter) =>
        Assert.That(OnlyError(Minimal + $"  parameters: {{ {parameter} }}\n"), Does.Contain("PostgreSQL does not accept"));

    [Test]
    public void Validate_says_where_a_slot_may_fill_the_volume()
    {
        Assert.That(UnlimitedSlots.Of(Topology(Minimal)), Has.One.Contains("such as 30%"));
        Assert.That(UnlimitedSlots.Of(Topology(Minimal + "  parameters: { max_slot_wal_keep_size: -1 }\n")), Has.Exactly(1).Items);
        Assert.That(UnlimitedSlots.Of(Topology(Share)), Is.Empty);
    }
}
