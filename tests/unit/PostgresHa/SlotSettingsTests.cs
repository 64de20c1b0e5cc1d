namespace KeyBuzz.Reconciler.Tests.PostgresHa;

/// <summary><c>slots</c> and <c>ignore_slots</c> become keys of Patroni's dynamic configuration.</summary>
internal sealed class SlotSettingsTests : BlueprintFixture
{
    private const string LogicalWal = "parameters: { wal_level: logical }";

    [Test]
    public void Slots_are_keys_of_the_dynamic_configuration_and_not_of_the_bootstrap_section()
    {
        var cluster = Load(
            With(
                LogicalWal,
                "slots: [backup, { name: orders, type: logical, database: keybuzz, plugin: pgoutput }]",
                "ignore_slots: [{ name: debezium, type: logical }, { plugin: wal2json }]"
            )
        );
        var settings = Find(cluster, "patroni_config.keybuzz-pg@keybuzz-pg").Spec.Map("settings");

        Assert.That(
            settings.Where(pair => pair.Key.Contains("slots.", StringComparison.Ordinal)).Select(pair => $"{pair.Key}={pair.Value}"),
            Is.EquivalentTo(
                new[]
                {
                    "slots.backup.type=physical",
                    "slots.orders.type=logical",
                    "slots.orders.database=keybuzz",
                    "slots.orders.plugin=pgoutput",
                }
            )
        );
        Assert.That(settings["ignore_slots"], Is.EqualTo("""[{"name":"debezium","type":"logical"},{"plugin":"wal2json"}]"""));
        Assert.That(
            Content(cluster, "config_file.patroni@db-master-01"),
            Does.Not.Contain("slots.").And.Not.Contain("ignore_slots"),
            "the database it is in does not exist yet"
        );
    }

    [TestCase("slots: [Backup]", "'Backup' cannot be the name of a slot [PostgreSQL allows at most 63 lower-case letters, digits and '_']")]
    [TestCase("slots: [db_slave_01]", "the slot 'db_slave_01' is already declared [Patroni reserves it for the member db-slave-01]")]
    [TestCase("slots: [a, a]", "the slot 'a' is already declared [slot names must be unique]")]
    [TestCase("slots: [{ name: a, type: physical, plugin: pgoutput }]", "the physical slot 'a' has no 'plugin'")]
    [TestCase("slots: [{ name: a, type: logicl }]", "did you mean 'logical'?")]
    [TestCase(
        "slots: [{ name: a, database: keybuzz, plugin: pgoutput }]",
        "the logical slot 'a' needs wal_level logical [PostgreSQL creates no logical slot at a lower level] "
            + "(write wal_level: logical under 'parameters')"
    )]
    [TestCase("slots: [a, b, c, d, e, f, g, h, i]", "11 replication slots are needed, but max_replication_slots is 10")]
    [TestCase("ignore_slots: [{}]", "an entry of 'ignore_slots' is empty")]
    public void A_slot_that_cannot_be_is_refused_with_its_line(string line, string message) =>
        Assert.That(OnlyError(With(line)), Does.Contain(message));

    [Test]
    public void A_logical_slot_needs_a_database_that_is_declared_and_slots_need_Patronis_use_of_them()
    {
        Assert.That(
            OnlyError(With(LogicalWal, "slots: [{ name: a, type: logical, database: keybuz, plugin: pgoutput }]")),
            Does.Contain("there is no database 'keybuz' (did you mean 'keybuzz'?)")
        );
        Assert.That(OnlyError(With(LogicalWal, "slots: [{ name: a, type: logical, database: keybuzz }]")), Does.Contain("has no 'plugin'"));
        Assert.That(OnlyError(With("dynamic: { use_slots: false }", "slots: [a]")), Does.Contain("the slot 'a' needs dynamic.use_slots"));
    }
}
