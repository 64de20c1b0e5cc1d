using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;

namespace KeyBuzz.Reconciler.Resources;

/// <summary>A string that may carry secrets: its parts in order, each a literal or the value of a secret.</summary>
/// <param name="Parts">The parts, in order.</param>
public sealed record SecretText(ImmutableArray<SecretText.Part> Parts)
{
    /// <summary>The mask of a secret in output and files.</summary>
    public const string Mask = "(secret)";

    /// <summary>The value of a secret for a command that needs none. Never compared and never shown; it only lets what is made of secrets
    /// be made. As long as a good secret: it is no mistake of the file.</summary>
    public const string StandIn = "no-value-known-where-none-is-needed";

    /// <summary>A piece of the text.</summary>
    /// <param name="Value">The characters.</param>
    /// <param name="IsSecret">Whether they are a secret's value.</param>
    public readonly record struct Part(string Value, bool IsSecret);

    /// <summary>Whether any part is secret.</summary>
    public bool HasSecret
    {
        get
        {
            foreach (var part in Parts)
            {
                if (part.IsSecret)
                {
                    return true;
                }
            }

            return false;
        }
    }

    /// <summary>The real text, secrets included. For hosts only.</summary>
    public string Reveal() => Parts is [var only] ? only.Value : string.Concat(Parts.Select(part => part.Value));

    /// <summary>The text with every secret replaced by <see cref="Mask"/>.</summary>
    public override string ToString() => string.Concat(Parts.Select(part => part.IsSecret ? Mask : part.Value));

    /// <summary>Whether its value is known: it is neither what a record holds in place of a secret, nor made of a stand-in.</summary>
    public bool IsKnown
    {
        get
        {
            foreach (var part in Parts)
            {
                if (part is { IsSecret: true, Value: StandIn })
                {
                    return false;
                }
            }

            return Parts is not [{ IsSecret: false, Value: Mask }];
        }
    }

    /// <summary>A text without secrets.</summary>
    public static SecretText Plain(string value) => new([new Part(value, false)]);
}

/// <summary>The values of a resource as bound from cluster.yaml, defaults filled in. Values by kind: String, Path, Mode →
/// <see cref="string"/> (mode as four octal digits); Text → <see cref="SecretText"/>; Integer, Size → <see cref="long"/>; Boolean →
/// <see cref="bool"/>; StringList → <see cref="IReadOnlyList{T}"/> of string; StringMap → <see cref="IReadOnlyDictionary{TKey,TValue}"/> of
/// string.</summary>
public sealed class AttributeSet
{
    /// <summary>No attributes.</summary>
    public static readonly AttributeSet Empty = new([]);

    // There are few, and many sets of them: an array takes the least memory and is searched as fast as a dictionary.
    private readonly KeyValuePair<string, object>[] _values;

    /// <summary>Takes the values by attribute name, each once.</summary>
    public AttributeSet(IEnumerable<KeyValuePair<string, object>> values) => _values = [.. values];

    /// <summary>How many values there are.</summary>
    public int Count => _values.Length;

    /// <summary>The names that have a value.</summary>
    public IEnumerable<string> Names => _values.Select(pair => pair.Key);

    /// <summary>The raw value, or null.</summary>
    public object? this[string name]
    {
        get
        {
            foreach (var (key, value) in _values)
            {
                if (key == name)
                {
                    return value;
                }
            }

            return null;
        }
    }

    /// <summary>Whether it has a value.</summary>
    public bool Has(string name) => this[name] is not null;

    /// <summary>The string of that name; throws when it has none.</summary>
    public string String(string name) => OptionalString(name) ?? throw new InvalidOperationException($"attribute '{name}' has no value");

    /// <summary>The string of that name, or null.</summary>
    public string? OptionalString(string name) => this[name] as string;

    /// <summary>The text of that name, or null.</summary>
    public SecretText? Text(string name) => this[name] as SecretText;

    /// <summary>The number of that name, or null.</summary>
    public long? Integer(string name) => this[name] as long?;

    /// <summary>The truth of that name; false when it has none.</summary>
    public bool Boolean(string name) => this[name] is true;

    /// <summary>The list of that name; empty when it has none.</summary>
    public IReadOnlyList<string> List(string name) => this[name] as IReadOnlyList<string> ?? [];

    /// <summary>The map of that name; empty when it has none.</summary>
    public IReadOnlyDictionary<string, string> Map(string name) =>
        this[name] as IReadOnlyDictionary<string, string> ?? ImmutableDictionary<string, string>.Empty;

    /// <summary>The same set with one more value.</summary>
    public AttributeSet With(string name, object value) => new([.. _values.Where(pair => pair.Key != name), new(name, value)]);
}

/// <summary>One thing that must be so on a host.</summary>
/// <param name="Address">Its name.</param>
/// <param name="Spec">Its attributes.</param>
/// <param name="Location">Where cluster.yaml says it; null for one made by a blueprint or read back from a record.</param>
public sealed record Resource(Address Address, AttributeSet Spec, SourceLocation? Location = null) : IDeclared
{
    /// <summary>The resources that must exist first; a destroy reverses the order.</summary>
    public ImmutableArray<Address> Requires { get; init; } = [];

    /// <summary>Resources ordered first when both change.</summary>
    public ImmutableArray<Address> After { get; init; } = [];

    /// <summary>Resources removed first when they left the configuration; only an order.</summary>
    public ImmutableArray<Address> AfterRemovalOf { get; init; } = [];

    /// <summary>The quorum group whose member it runs, or null: a change that disrupts it counts against that group, one member at a
    /// time.</summary>
    public string? Group { get; init; }

    /// <summary>Whether any plan that would delete or replace it is refused.</summary>
    public bool PreventDestroy { get; init; }
}
