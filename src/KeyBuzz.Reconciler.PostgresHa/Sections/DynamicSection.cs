using System.Collections.Immutable;
using System.Globalization;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.PatroniCluster;

namespace KeyBuzz.Reconciler.PostgresHa.Sections;

/// <summary>Reads what becomes Patroni's dynamic configuration: <c>dynamic</c>, <c>synchronous</c>, <c>parameters</c> and the
/// slots.</summary>
internal sealed class DynamicSection(SectionReader section, Findings findings, SectionValues values)
{
    private const string FailsafeKey = "failsafe_mode";

    // The runbook's.
    private static readonly (string Name, string Value)[] s_parameters =
    [
        ("hot_standby", "on"),
        ("max_connections", "100"),
        ("max_replication_slots", "10"),
        ("max_wal_senders", "10"),
        ("shared_buffers", "256MB"),
        ("wal_level", "replica"),
    ];

    private static readonly string[] s_numbers =
    [
        "maximum_lag_on_syncnode",
        "max_timelines_history",
        "member_slots_ttl",
        "primary_start_timeout",
        "primary_stop_timeout",
    ];

    private static readonly string[] s_switches = ["check_timeline", FailsafeKey];

    private static readonly string[] s_postgresSwitches =
    [
        "remove_data_directory_on_diverged_timelines",
        "remove_data_directory_on_rewind_failure",
        "use_pg_rewind",
        "use_slots",
    ];

    /// <summary>The times that decide how long a failover takes.</summary>
    public FailoverTimes Times()
    {
        var own = section.Section("dynamic");
        var times = new FailoverTimes(
            (int)own.Integer("ttl", 30),
            (int)own.Integer("loop_wait", 10),
            (int)own.Integer("retry_timeout", 10)
        );
        if (times.Problem is { } problem)
        {
            findings.Error(
                $"Patroni would not use these times: {problem}",
                own.Place("ttl"),
                "it stores them, but silently uses others",
                $"required: ttl ≥ {FailoverTimes.LeastTtl}, loop_wait ≥ 1, retry_timeout ≥ 3 and loop_wait + 2 × "
                    + $"retry_timeout ≤ ttl; 20, 5 and 5 are the fastest safe values, with a failover in at most "
                    + $"{new FailoverTimes(20, 5, 5).WorstCase.TotalSeconds} s"
            );
        }

        return times;
    }

    /// <summary>true or false, or { strict }, which means true.</summary>
    public SynchronousMode Synchronous()
    {
        if (section.Find("synchronous") is YamlMapping map)
        {
            return new SectionReader(map, "'synchronous'", findings).Allow(PostgresSchema.Synchronous).Boolean("strict") == true
                ? SynchronousMode.Strict
                : SynchronousMode.On;
        }

        return section.Boolean("synchronous") == true ? SynchronousMode.On : SynchronousMode.Off;
    }

    /// <summary>Patroni's dynamic configuration, flat, with PostgreSQL's parameters and slots.</summary>
    /// <param name="times">The times of a failover.</param>
    /// <param name="synchronous">The synchronous mode.</param>
    /// <param name="members">The members.</param>
    /// <param name="databases">The databases.</param>
    /// <param name="archiveCommand">The command that archives WAL; null where none is archived by kbr.</param>
    /// <param name="isFailsafe">Whether <c>failsafe_mode</c> is on where the section does not say.</param>
    /// <param name="hasTls">Whether kbr sets PostgreSQL's TLS.</param>
    public ImmutableSortedDictionary<string, string> Settings(
        FailoverTimes times,
        SynchronousMode synchronous,
        ImmutableArray<Host> members,
        ImmutableArray<PostgresDatabase> databases,
        string? archiveCommand,
        bool isFailsafe,
        bool hasTls
    )
    {
        var own = section.Section("dynamic");
        if (!RefuseSynchronous(own))
        {
            own.Allow(PostgresSchema.Dynamic);
        }

        var settings = ImmutableSortedDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        settings["ttl"] = Text(times.Ttl);
        settings["loop_wait"] = Text(times.LoopWait);
        settings["retry_timeout"] = Text(times.RetryTimeout);
        settings["maximum_lag_on_failover"] = Text(own.Size("maximum_lag_on_failover", 1L << 20));
        // Both always, so that a change of either by hand is drift.
        settings[PatroniHealth.SynchronousKey] = synchronous == SynchronousMode.Off ? "false" : "true";
        settings[PatroniHealth.StrictKey] = synchronous == SynchronousMode.Strict ? "true" : "false";
        settings["postgresql.use_pg_rewind"] = "true";
        settings["postgresql.use_slots"] = "true";
        foreach (var key in s_numbers.Where(key => own.Find(key) is not null))
        {
            settings[key] = Text(own.Integer(key, 0));
        }

        if (isFailsafe)
        {
            settings[FailsafeKey] = "true";
        }

        foreach (var key in s_switches.Concat(s_postgresSwitches))
        {
            if (own.Boolean(key) is { } truth)
            {
                settings[s_postgresSwitches.Contains(key) ? "postgresql." + key : key] = truth ? "true" : "false";
            }
        }

        foreach (var (name, value) in s_parameters)
        {
            settings["postgresql.parameters." + name] = value;
        }

        if (archiveCommand is not null)
        {
            settings["postgresql.parameters.archive_mode"] = "on";
            settings["postgresql.parameters.archive_command"] = archiveCommand;
            // An idle cluster archives, too: what a lost cluster loses is bounded by time.
            settings["postgresql.parameters.archive_timeout"] = "60s";
        }

        var version = PostgresSection.VersionIn(section.Find(PostgresSection.VersionKey));
        var parameters = new ParameterSection(version, findings, isArchiving: archiveCommand is not null, hasTls);
        foreach (var (key, value) in section.Section("parameters").Map.Entries)
        {
            if (parameters.Read(key, value) is var (name, text))
            {
                settings["postgresql.parameters." + name] = text;
            }
        }

        var slots = new SlotSettings(findings);
        settings.AddRange(slots.Permanent(values.Items("slots", "a slot"), settings.ToImmutable(), members, databases));
        if (slots.Ignored(values.Items("ignore_slots", "an entry of 'ignore_slots'")) is { } ignored)
        {
            settings["ignore_slots"] = ignored;
        }

        return settings.ToImmutable();
    }

    private bool RefuseSynchronous(SectionReader own)
    {
        if (own.Map.Entries.Find(entry => entry.Key.Value.StartsWith("synchronous", StringComparison.Ordinal)).Key is not { } key)
        {
            return false;
        }

        findings.Error(
            $"'{key.Value}' is not set here",
            key.At,
            "kbr sets it from 'synchronous' of the 'postgres' section",
            key.Value.StartsWith(PatroniHealth.SynchronousKey, StringComparison.Ordinal)
                ? "write synchronous: true, or synchronous: { strict: true }, in the 'postgres' section"
                : "remove it: kbr uses one synchronous standby"
        );
        return true;
    }

    private static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);
}
