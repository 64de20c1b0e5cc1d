using System.Buffers;
using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using System.Text.Json;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa.Sections;
using KeyBuzz.Reconciler.Providers.PatroniCluster;

namespace KeyBuzz.Reconciler.PostgresHa;

/// <summary>Reads <c>slots</c> and <c>ignore_slots</c>: keys of Patroni's dynamic configuration
/// (https://patroni.readthedocs.io/en/latest/dynamic_configuration.html).</summary>
/// <param name="findings">Where what is wrong is noted.</param>
internal sealed class SlotSettings(Findings findings)
{
    private const string Physical = "physical";
    private const string Logical = "logical";
    private const int LongestName = 63;

    private static readonly string[] s_ofLogical = ["database", "plugin"];

    /// <summary>The settings of the permanent slots by flat key.</summary>
    /// <param name="slots">Their sections.</param>
    /// <param name="settings">The dynamic configuration without them.</param>
    /// <param name="members">The members, which have slots of their own.</param>
    /// <param name="databases">The databases there are.</param>
    public IEnumerable<KeyValuePair<string, string>> Permanent(
        IEnumerable<SectionReader> slots,
        IReadOnlyDictionary<string, string> settings,
        ImmutableArray<Host> members,
        ImmutableArray<PostgresDatabase> databases
    )
    {
        var names = members.ToDictionary(
            member => MemberSlot.NameOf(member.Name),
            member => $"Patroni reserves it for the member {member.Name}",
            StringComparer.Ordinal
        );
        SourceLocation? last = null;
        foreach (var own in slots)
        {
            own.Allow(PostgresSchema.Slot);
            last = own.At;
            if (Name(own, required: true) is not { } name)
            {
                continue;
            }

            if (!names.TryAdd(name, "slot names must be unique"))
            {
                findings.Error($"the slot '{name}' is already declared", own.Place("name"), names[name], "give it another name");
                continue;
            }

            if (settings.GetValueOrDefault("postgresql.use_slots") == "false")
            {
                findings.Error(
                    $"the slot '{name}' needs dynamic.use_slots",
                    own.At,
                    "with 'use_slots: false' Patroni creates no slots",
                    "remove 'use_slots: false'"
                );
            }

            foreach (var pair in Slot(own, name, settings, databases))
            {
                yield return pair;
            }
        }

        Count(names.Count - 1, settings, last);
    }

    /// <summary>The value of <c>ignore_slots</c>; null where none is declared.</summary>
    public string? Ignored(IEnumerable<SectionReader> matchers)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using var json = new Utf8JsonWriter(buffer);
        json.WriteStartArray();
        var any = false;
        foreach (var own in matchers)
        {
            own.Allow(PostgresSchema.IgnoredSlot);
            any = true;
            if (own.Map.Entries.Count == 0)
            {
                findings.Error(
                    "an entry of 'ignore_slots' is empty",
                    own.At,
                    null,
                    $"give one or more of {string.Join(", ", PostgresSchema.IgnoredSlot.Names)}"
                );
            }

            json.WriteStartObject();
            foreach (
                var (key, value) in new[]
                {
                    ("name", Name(own, required: false)),
                    ("type", Type(own)),
                    ("database", own.Word("database", "a database's name")?.Value),
                    ("plugin", Plugin(own, false)),
                }
            )
            {
                if (value is not null)
                {
                    json.WriteString(key, value);
                }
            }

            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.Flush();
        return any ? Encoding.UTF8.GetString(buffer.WrittenSpan) : null;
    }

    private IEnumerable<KeyValuePair<string, string>> Slot(
        SectionReader own,
        string name,
        IReadOnlyDictionary<string, string> settings,
        ImmutableArray<PostgresDatabase> databases
    )
    {
        var type = Type(own) ?? (own.Find("plugin") is null && own.Find("database") is null ? Physical : Logical);
        yield return KeyValuePair.Create($"slots.{name}.type", type);
        if (type == Physical)
        {
            foreach (var key in s_ofLogical.Where(key => own.Find(key) is not null))
            {
                findings.Error(
                    $"the physical slot '{name}' has no '{key}'",
                    own.Place(key),
                    "a physical slot streams the whole cluster",
                    "remove it, or write type: logical"
                );
            }

            yield break;
        }

        var database = own.Word("database", "the database whose changes are decoded", required: true);
        if (database is not null && databases.All(one => one.Name != database.Value))
        {
            findings.Unknown(
                $"there is no database '{database.Value}'",
                database.At,
                database.Value,
                databases.Select(one => one.Name),
                "databases are"
            );
        }

        if (!string.Equals(settings.GetValueOrDefault("postgresql.parameters.wal_level"), Logical, StringComparison.OrdinalIgnoreCase))
        {
            findings.Error(
                $"the logical slot '{name}' needs wal_level logical",
                own.At,
                "PostgreSQL creates no logical slot at a lower level",
                "write wal_level: logical under 'parameters'"
            );
        }

        if (database is not null && Plugin(own, required: true) is { } plugin)
        {
            yield return KeyValuePair.Create($"slots.{name}.database", database.Value);
            yield return KeyValuePair.Create($"slots.{name}.plugin", plugin);
        }
    }

    private void Count(int needed, IReadOnlyDictionary<string, string> settings, SourceLocation? at)
    {
        if (
            at is not null
            && long.TryParse(
                settings.GetValueOrDefault("postgresql.parameters.max_replication_slots"),
                NumberStyles.None,
                CultureInfo.InvariantCulture,
                out var most
            )
            && needed > most
        )
        {
            findings.Error(
                string.Create(CultureInfo.InvariantCulture, $"{needed} replication slots are needed, but max_replication_slots is {most}"),
                at,
                "one for each replica and each declared slot",
                string.Create(CultureInfo.InvariantCulture, $"write max_replication_slots: {needed} or more under 'parameters'")
            );
        }
    }

    private string? Name(SectionReader own, bool required)
    {
        if (own.Word("name", "a slot's name", required) is not { } word)
        {
            return null;
        }

        if (
            word.Value.Length <= LongestName
            && word.Value.All(letter => char.IsAsciiLetterLower(letter) || char.IsAsciiDigit(letter) || letter == '_')
        )
        {
            return word.Value;
        }

        findings.Error(
            $"'{word.Value}' cannot be the name of a slot",
            word.At,
            "PostgreSQL allows at most 63 lower-case letters, digits and '_'"
        );
        return null;
    }

    private string? Plugin(SectionReader own, bool required)
    {
        if (own.Word("plugin", "an output plugin such as pgoutput", required) is not { } word)
        {
            return null;
        }

        if (word.Value.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '_' or '-'))
        {
            return word.Value;
        }

        findings.Error($"'{word.Value}' cannot be the name of an output plugin", word.At, "letters, digits, '_' and '-' only");
        return null;
    }

    private static string? Type(SectionReader own) => own.Choice<string?>("type", null, (Physical, Physical), (Logical, Logical));
}
