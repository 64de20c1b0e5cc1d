using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Configuration;

/// <summary>Takes typed values out of a map and notes what is wrong with them.</summary>
/// <param name="map">The map.</param>
/// <param name="what">What it describes, for messages: "the cluster", "host 'db-1'".</param>
/// <param name="findings">Where to note it.</param>
public sealed class SectionReader(YamlMapping map, string what, Findings findings)
{
    public YamlMapping Map => map;

    public SourceLocation At => map.At;

    /// <summary>The section of a node, or null with a note when it is no map.</summary>
    public static SectionReader? Of(YamlNode? node, string what, Findings findings)
    {
        if (node is YamlMapping map)
        {
            return new SectionReader(map, what, findings);
        }

        if (node is not null)
        {
            findings.Error($"{what} must be a map, not {node.Kind}", node.At);
        }

        return null;
    }

    /// <summary>Notes every key that is none of these.</summary>
    public SectionReader Allow(params IReadOnlyCollection<string> known)
    {
        foreach (var (key, _) in map.Entries)
        {
            if (!known.Contains(key.Value))
            {
                findings.Unknown($"unknown key '{key.Value}' in {what}", key.At, key.Value, known, "keys are");
            }
        }

        return this;
    }

    /// <summary>Notes every key that the description of the section does not have.</summary>
    public SectionReader Allow(SectionSchema schema)
    {
        ArgumentNullException.ThrowIfNull(schema);
        return Allow(schema.Names);
    }

    public YamlNode? Find(string key) => map.Find(key);

    /// <summary>The place of a key's value; of the whole section where it is left out.</summary>
    public SourceLocation Place(string key) => map.Find(key)?.At ?? map.At;

    /// <summary>The section under a key; an empty one, so that every default holds, when it is left out or, with a note, when it is no
    /// map.</summary>
    public SectionReader Section(string key) =>
        Of(map.Find(key), $"'{key}'", findings) ?? new SectionReader(new YamlMapping(Place(key), []), $"'{key}'", findings);

    /// <summary>The scalar of a key; null when left out or, with a note, when it is something else.</summary>
    public YamlScalar? Word(string key, string wanted = "a word", bool required = false)
    {
        switch (map.Find(key))
        {
            case null when required:
                findings.Error($"{what} has no '{key}'", map.At, $"'{key}' is {wanted}");
                return null;
            case null:
                return null;
            case YamlScalar { IsNull: false } scalar when scalar.Value.Length > 0 && !ControlCharacters.AreIn(scalar.Value):
                return scalar;
            case var other:
                findings.Error($"'{key}' must be {wanted}, not {(other is YamlScalar { Value: "" } ? "nothing" : other.Kind)}", other.At);
                return null;
        }
    }

    public bool? Boolean(string key)
    {
        if (Word(key, "true or false") is not { } word)
        {
            return null;
        }

        if (word is { IsPlain: true, Value: "true" or "false" })
        {
            return word.Value == "true";
        }

        findings.Error($"'{key}' must be true or false, not {word.Kind}", word.At);
        return null;
    }

    public int? Port(string key, bool required = false)
    {
        if (Word(key, "a port number", required) is not { } word)
        {
            return null;
        }

        if (ValueSyntax.TryParseInteger(word.Value, out var number) && number is >= 1 and <= 65535)
        {
            return (int)number;
        }

        findings.Error($"'{key}' must be a port number from 1 to 65535, not {word.Kind}", word.At);
        return null;
    }

    /// <summary>A whole number within bounds; the default when left out or, with a note, when it is something else.</summary>
    public long Integer(string key, long otherwise, long minimum = 0, long maximum = int.MaxValue)
    {
        if (Word(key, "a whole number") is not { } word)
        {
            return otherwise;
        }

        if (ValueSyntax.TryParseInteger(word.Value, out var number) && number >= minimum && number <= maximum)
        {
            return number;
        }

        findings.Error(
            $"'{key}' must be a whole number from {minimum}{(maximum == int.MaxValue ? "" : $" to {maximum}")}, not {word.Kind}",
            word.At
        );
        return otherwise;
    }

    /// <summary>A number of bytes written as <c>1MiB</c>; the default when left out or, with a note, when it is something else or
    /// too small.</summary>
    public long Size(string key, long otherwise, long least = 0)
    {
        if (Word(key, "a size such as 1GiB") is not { } word)
        {
            return otherwise;
        }

        if (ValueSyntax.TryParseSize(word.Value, out var bytes))
        {
            if (bytes >= least)
            {
                return bytes;
            }

            findings.Error($"'{key}' must be at least {least >> 20}MiB, not {word.Value}", word.At);
            return otherwise;
        }

        findings.Error($"'{key}' must be a size such as 1GiB or 512MB, not {word.Kind}", word.At);
        return otherwise;
    }

    /// <summary>A time written as <c>500ms</c>, <c>10s</c>, <c>2m</c> or <c>1h</c>; the default when left out or, with a note, when it is
    /// something else or too short.</summary>
    public TimeSpan Duration(string key, TimeSpan otherwise, TimeSpan minimum)
    {
        if (Word(key, "a time such as 10s") is not { } word)
        {
            return otherwise;
        }

        if (ValueSyntax.TryParseDuration(word.Value, out var duration) && duration >= minimum)
        {
            return duration;
        }

        findings.Error($"'{key}' must be a time such as 10s, at least {minimum.TotalMilliseconds}ms, not {word.Kind}", word.At);
        return otherwise;
    }

    /// <summary>A path on a host that kbr may touch, in its one form; the default when left out or, with a note, when it is something
    /// else.</summary>
    public string HostPath(string key, string otherwise)
    {
        if (Word(key, "an absolute path") is not { } word)
        {
            return otherwise;
        }

        if (!Hosts.HostPath.TryNormalize(word.Value, out var path, out var problem))
        {
            findings.Error($"'{key}' cannot be '{word.Value}'", word.At, problem);
            return otherwise;
        }

        if (Hosts.HostPath.Refusal(path) is { } refusal)
        {
            findings.Error($"'{key}' cannot be {path}: it is outside the paths that kbr may change", word.At, refusal);
            return otherwise;
        }

        return path;
    }

    /// <summary>One of these words; the default when left out or wrong.</summary>
    public T Choice<T>(string key, T otherwise, params (string Word, T Value)[] choices)
    {
        if (Word(key, string.Join(" or ", choices.Select(choice => choice.Word))) is not { } word)
        {
            return otherwise;
        }

        foreach (var choice in choices)
        {
            if (choice.Word == word.Value)
            {
                return choice.Value;
            }
        }

        findings.Unknown($"'{key}' cannot be {word.Kind}", word.At, word.Value, choices.Select(choice => choice.Word), "choices are");
        return otherwise;
    }

    /// <summary>A word or a list of words.</summary>
    public IReadOnlyList<YamlScalar> Words(string key, string wanted)
    {
        switch (map.Find(key))
        {
            case null:
                return [];
            case YamlSequence list:
                var words = new List<YamlScalar>();
                foreach (var item in list.Items)
                {
                    if (item is YamlScalar { IsNull: false } word)
                    {
                        words.Add(word);
                    }
                    else
                    {
                        findings.Error($"'{key}' must be {wanted}, not {item.Kind}", item.At);
                    }
                }

                return words;
            case YamlScalar { IsNull: false } one:
                return [one];
            case var other:
                findings.Error($"'{key}' must be {wanted}, not {other.Kind}", other.At);
                return [];
        }
    }

    public void Error(string summary, SourceLocation at, string? detail = null, string? remedy = null) =>
        findings.Error(summary, at, detail, remedy);
}
