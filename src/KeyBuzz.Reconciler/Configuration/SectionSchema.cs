using System.Collections.Immutable;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Configuration;

/// <summary>The forms that the value of a key of cluster.yaml can have.</summary>
public enum ValueForm
{
    /// <summary>A word or a line.</summary>
    Word,

    /// <summary>A text of several lines.</summary>
    Text,

    /// <summary>A whole number.</summary>
    Integer,

    /// <summary><c>true</c> or <c>false</c>.</summary>
    Boolean,

    /// <summary>File permissions in octal.</summary>
    Mode,

    /// <summary>A number of bytes, with an optional unit.</summary>
    Size,

    /// <summary>A time with its unit.</summary>
    Duration,

    /// <summary>The number of a port.</summary>
    Port,

    /// <summary>A list of words.</summary>
    Words,

    /// <summary>A map with keys that are described.</summary>
    Section,

    /// <summary>A list of such maps.</summary>
    Sections,

    /// <summary>A map with names of the operator's choice, and a word each.</summary>
    Values,

    /// <summary>A map with names of the operator's choice, and a described map each.</summary>
    NamedSections,
}

/// <summary>One key of a section of cluster.yaml, described once: the readers take the names from here, the JSON Schema and <c>kbr
/// explain</c> everything.</summary>
/// <param name="Name">The key.</param>
/// <param name="Form">What it holds.</param>
/// <param name="Description">One or two sentences.</param>
public sealed record SectionKey(string Name, ValueForm Form, string Description)
{
    /// <summary>Further forms that it can have.</summary>
    public ImmutableArray<ValueForm> Or { get; init; } = [];

    /// <summary>Whether it must be given.</summary>
    public bool Required { get; init; }

    /// <summary>The value when it is left out, as it is written; null for none.</summary>
    public string? Default { get; init; }

    /// <summary>The words allowed; empty for any.</summary>
    public ImmutableArray<string> Choices { get; init; } = [];

    /// <summary>The least number allowed.</summary>
    public long? Minimum { get; init; }

    /// <summary>Its keys, or those of its items.</summary>
    public SectionSchema? Section { get; init; }

    /// <summary>The effect of a change; null where it depends.</summary>
    public string? Effect { get; init; }

    /// <summary>A value as it is written in the file; null for one that is made of the form.</summary>
    public string? Example { get; init; }

    /// <summary>All forms.</summary>
    public IEnumerable<ValueForm> Forms => [Form, .. Or];

    /// <summary>The key of an attribute of a resource type.</summary>
    public static SectionKey Of(AttributeDefinition attribute)
    {
        ArgumentNullException.ThrowIfNull(attribute);
        return new(
            attribute.Name,
            attribute.Kind switch
            {
                AttributeKind.Text => ValueForm.Text,
                AttributeKind.Integer => ValueForm.Integer,
                AttributeKind.Boolean => ValueForm.Boolean,
                AttributeKind.Mode => ValueForm.Mode,
                AttributeKind.Size => ValueForm.Size,
                AttributeKind.StringList => ValueForm.Words,
                AttributeKind.StringMap => ValueForm.Values,
                _ => ValueForm.Word,
            },
            attribute.Description
        )
        {
            Required = attribute.Required,
            Default = attribute.Default is { } preset ? Written(preset) : null,
            Choices = [.. attribute.Choices ?? []],
            Minimum = attribute.Kind == AttributeKind.Integer && attribute.Minimum > long.MinValue ? attribute.Minimum : null,
            Effect =
                attribute.FixedBecause is { } why ? $"It cannot change: {why}."
                : attribute.Effect == ChangeEffect.Replace ? "A change replaces the resource."
                : attribute.Effect == ChangeEffect.Disruptive ? "A change is made in place, and interrupts what runs."
                : "A change is made in place.",
        };
    }

    private static string? Written(object preset) =>
        preset switch
        {
            bool truth => truth ? "true" : "false",
            string text => text,
            IFormattable number => number.ToString(null, System.Globalization.CultureInfo.InvariantCulture),
            _ => null,
        };
}

/// <summary>The description of a map of cluster.yaml.</summary>
/// <param name="Keys">Its keys, in the order of the help.</param>
public sealed record SectionSchema(ImmutableArray<SectionKey> Keys)
{
    /// <summary>Whether it takes keys that are not described.</summary>
    public bool IsOpen { get; init; }

    /// <summary>The names of its keys.</summary>
    public ImmutableArray<string> Names => [.. Keys.Select(key => key.Name)];

    /// <summary>The key of that name, or null.</summary>
    public SectionKey? Find(string name) => Keys.FirstOrDefault(key => key.Name == name);
}
