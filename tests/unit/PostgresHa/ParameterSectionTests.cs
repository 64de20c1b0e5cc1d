using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.Providers.PatroniConfig;

namespace KeyBuzz.Reconciler.Tests.PostgresHa;

/// <summary>Names and values of PostgreSQL's parameters, checked against what PostgreSQL itself says of them.</summary>
internal sealed class ParameterSectionTests : BlueprintFixture
{
    [TestCase("shared_bufers: 1GB", "PostgreSQL 16 has no parameter 'shared_bufers' (did you mean 'shared_buffers'?)")]
    [TestCase("wal_keep_segments: 8", "[an earlier version had it] (set wal_keep_size: 128MB)")]
    [TestCase("io_method: worker", "[PostgreSQL 18 introduced it]")]
    [TestCase("auto_explain_log_timing: on", "(did you mean 'auto_explain.log_timing'?)")]
    [TestCase("synchronous_standby_names: '*'", "(remove it; synchronous does it)")]
    [TestCase("allow_alter_system: off", "PostgreSQL 16 has no parameter 'allow_alter_system' [PostgreSQL 17 introduced it]")]
    [TestCase("server_version: 16", "cannot be set")]
    [TestCase("block_size: 8192", "cannot be set")]
    [TestCase(
        "work_mem: 4mb",
        "PostgreSQL does not accept '4mb' for 'work_mem' [it is not a number with a unit compatible with kB] (units are "
            + "B, kB, MB, GB and TB, in this spelling)"
    )]
    [TestCase("work_mem: 1kB", "is outside 64kB to")]
    [TestCase("checkpoint_timeout: 1s", "is outside 30s to 1d")]
    [TestCase("max_connections: many", "is not a number")]
    [TestCase("wal_level: replika", "it is not one of minimal, replica, logical] (did you mean 'replica'?)")]
    [TestCase("track_io_timing: o", "is neither on nor off")]
    [TestCase("hot_standby: off", "Patroni does not accept 'off' for 'hot_standby'")]
    [TestCase("wal_level: minimal", "replicas need")]
    [TestCase("max_connections: 20", "below 25 it uses its own default")]
    [TestCase("wal_keep_size: 8MB", "below 16MB it uses its own default")]
    [TestCase("maintenance_work_mem: 512kB", "is outside 1MB to")]
    [TestCase("file_extend_method: write_zeros", "Patroni does not support the parameter 'file_extend_method'")]
    [TestCase("restore_command: 'true'", "cannot be set here")]
    [TestCase("Listen_Addresses: '*'", "cannot be set here")]
    [TestCase("TimeZone: UTC, timezone: GMT", "the parameter 'timezone' is declared twice")]
    public void A_value_that_PostgreSQL_or_Patroni_would_not_accept_is_refused_with_its_line(string parameters, string expected)
    {
        var error = OnlyError(With($"parameters: {{ {parameters} }}"));
        Assert.That(error, Does.StartWith("parameters: {").And.Contain(expected));
    }

    [TestCase("TimeZone: utc", "timezone", "utc")]
    [TestCase("DateStyle: 'iso, mdy'", "datestyle", "iso, mdy")]
    [TestCase("track_io_timing: t", "track_io_timing", "on")]
    [TestCase("track_io_timing: 'no'", "track_io_timing", "no")]
    [TestCase("wal_level: hot_standby", "wal_level", "replica")]
    [TestCase("log_min_messages: debug", "log_min_messages", "debug2")]
    [TestCase("synchronous_commit: 'yes'", "synchronous_commit", "yes")]
    [TestCase("pg_stat_statements.max: 5000", "pg_stat_statements.max", "5000")]
    [TestCase("wal_buffers: -1", "wal_buffers", "-1")]
    [TestCase("unix_socket_permissions: '0770'", "unix_socket_permissions", "0770")]
    public void An_accepted_value_is_stored_under_PostgreSQLs_name_in_Patronis_spelling(string parameters, string name, string value)
    {
        var settings = Load(With($"parameters: {{ {parameters} }}"))
            .Resources.Single(resource => resource.Address.Type == "patroni_config")
            .Spec.Map("settings");
        Assert.That(settings.GetValueOrDefault("postgresql.parameters." + name), Is.EqualTo(value));
    }

    [Test]
    public void Of_a_version_without_a_catalog_the_running_server_has_the_word()
    {
        Assert.That(ParameterCatalog.Of(18), Is.Null);
        Assert.That(() => Load(Changed("  version: 16", "  version: 18") + "  parameters: { io_method: worker }\n"), Throws.Nothing);
    }

    [TestCase(16)]
    [TestCase(17)]
    public void Each_catalog_takes_every_word_and_bound_of_its_own(int version)
    {
        var catalog = ParameterCatalog.Of(version)!;
        Assert.That(catalog.Names.Count(), Is.GreaterThan(350));
        foreach (var definition in catalog.Names.Select(name => catalog.Find(name)!))
        {
            Assert.That(definition.Words.Where(word => definition.Refusal(word) is not null), Is.Empty, definition.Name);
            foreach (var bound in new[] { definition.Minimum, definition.Maximum }.OfType<double>())
            {
                Assert.That(
                    definition.Refusal(bound.ToString("R", System.Globalization.CultureInfo.InvariantCulture)),
                    Is.Null,
                    definition.Name
                );
            }
        }
    }
}
