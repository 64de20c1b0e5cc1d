using System.Collections.Immutable;

namespace KeyBuzz.Reconciler.Resources;

/// <summary>The effect of a change of an attribute.</summary>
public enum ChangeEffect
{
    /// <summary>Changed where it is; nothing is interrupted.</summary>
    InPlace,

    /// <summary>Changed where it is, but what runs is interrupted.</summary>
    Disruptive,

    /// <summary>The resource is replaced.</summary>
    Replace,
}

/// <summary>The kinds of value an attribute can have in cluster.yaml.</summary>
public enum AttributeKind
{
    /// <summary>A word or a line.</summary>
    String,

    /// <summary>A text of several lines; shown as a unified diff; may carry <c>${secret.NAME}</c>.</summary>
    Text,

    /// <summary>A whole number.</summary>
    Integer,

    /// <summary><c>true</c> or <c>false</c>.</summary>
    Boolean,

    /// <summary>An absolute path on the host.</summary>
    Path,

    /// <summary>File permissions in octal, <c>0640</c>.</summary>
    Mode,

    /// <summary>A number of bytes, with an optional unit: <c>64MiB</c>, <c>1GiB</c>. Held as a number of bytes.</summary>
    Size,

    /// <summary>A list of strings.</summary>
    StringList,

    /// <summary>A map from string to string.</summary>
    StringMap,
}

/// <summary>One attribute of a resource type, described once: binding, validation, diff, records and help all read this.</summary>
/// <param name="Name">The key in cluster.yaml, snake_case.</param>
/// <param name="Kind">What it holds.</param>
/// <param name="Description">One sentence.</param>
public sealed record AttributeDefinition(string Name, AttributeKind Kind, string Description)
{
    /// <summary>Whether it must be given.</summary>
    public bool Required { get; init; }

    /// <summary>The value when it is left out, in the CLR type of <see cref="Kind"/>; null for none.</summary>
    public object? Default { get; init; }

    /// <summary>The effect of its change.</summary>
    public ChangeEffect Effect { get; init; }

    /// <summary>The words allowed, for a closed choice; null when open.</summary>
    public IReadOnlyList<string>? Choices { get; init; }

    /// <summary>Whether the value may hold <c>${secret.NAME}</c>.</summary>
    public bool MayHoldSecret { get; init; }

    /// <summary>Why it stays what it was when the resource was first applied, or null when it may change. A plan with another value is
    /// refused, with everything else of its group.</summary>
    public string? FixedBecause { get; init; }

    /// <summary>For <see cref="AttributeKind.Integer"/>: the least value allowed.</summary>
    public long Minimum { get; init; } = long.MinValue;
}

/// <summary>The description of a resource type.</summary>
/// <param name="Type">The word in cluster.yaml.</param>
/// <param name="Description">One sentence.</param>
/// <param name="Attributes">Its attributes, in the order help shows them.</param>
public sealed record ResourceSchema(string Type, string Description, IReadOnlyList<AttributeDefinition> Attributes)
{
    /// <summary>The effect of a change of computed attributes, such as the content that a process has loaded; default: in place.</summary>
    public IReadOnlyDictionary<string, ChangeEffect> Computed { get; init; } = new Dictionary<string, ChangeEffect>();

    /// <summary>Attributes whose change recreates the resource, which kbr then counts as its own.</summary>
    public IReadOnlySet<string> MadeAnewFor { get; init; } = ImmutableHashSet<string>.Empty;

    /// <summary>The effect of a change of that attribute.</summary>
    public ChangeEffect EffectOf(string name) => Find(name)?.Effect ?? Computed.GetValueOrDefault(name, ChangeEffect.InPlace);

    /// <summary>The attribute of that name, or null.</summary>
    public AttributeDefinition? Find(string name)
    {
        foreach (var attribute in Attributes)
        {
            if (attribute.Name == name)
            {
                return attribute;
            }
        }

        return null;
    }
}
