using System.Diagnostics.CodeAnalysis;
using System.IO.Enumeration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Configuration;

/// <summary>Drift that is known and accepted: it is shown with the reason, and exit codes do not count it.</summary>
/// <param name="Address">The resources it is about.</param>
/// <param name="Attribute">A glob over the attributes it is about; null for the whole resource, its deletion included.</param>
/// <param name="Reason">Why.</param>
/// <param name="Location">Where cluster.yaml says it; null for one of the command line.</param>
public sealed record IgnoreRule(AddressPattern Address, string? Attribute, string Reason, SourceLocation? Location = null)
{
    /// <summary>Reads <c>ADDRESS</c> or <c>ADDRESS:attribute</c>, both globs.</summary>
    public static bool TryParse(string text, string reason, [NotNullWhen(true)] out IgnoreRule? rule)
    {
        var colon = text.IndexOf(':', StringComparison.Ordinal);
        var (address, attribute) = colon < 0 ? (text, null) : (text[..colon], text[(colon + 1)..]);
        rule =
            address.Length == 0 || attribute is { Length: 0 } || text.Any(char.IsWhiteSpace)
                ? null
                : new IgnoreRule(new AddressPattern(address), attribute, reason);
        return rule is not null;
    }

    /// <summary>Whether it is about that attribute of a resource that it matches; null stands for the resource as a whole.</summary>
    public bool Covers(string? attribute) =>
        Attribute is null || (attribute is not null && FileSystemName.MatchesSimpleExpression(Attribute, attribute, ignoreCase: false));

    /// <inheritdoc />
    public override string ToString() => Attribute is null ? Address.ToString() : $"{Address}:{Attribute}";
}
