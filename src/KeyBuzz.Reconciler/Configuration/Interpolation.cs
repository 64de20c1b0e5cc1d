using System.Collections.Immutable;
using System.Text;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Configuration;

/// <summary>Expands <c>${secret.NAME}</c>, <c>${host.name}</c>, <c>${host.address}</c>, <c>${host.role}</c>, <c>${address.HOST}</c> and
/// <c>${cluster}</c>. Any other <c>${…}</c> belongs to the program that reads the text on the host, and <c>$${</c> is a literal
/// <c>${</c>.</summary>
internal sealed class Interpolation(
    SourceText source,
    string cluster,
    IReadOnlyDictionary<string, Host> hosts,
    SecretSource secrets,
    Findings findings
)
{
    private static readonly string[] s_hostNames = ["host.name", "host.address", "host.role"];

    /// <summary>The text with everything expanded, or null when something in it is unknown (which is then noted).</summary>
    public SecretText? Expand(string text, Host host, Func<string, SourceLocation> locate)
    {
        if (!text.Contains("${", StringComparison.Ordinal))
        {
            return SecretText.Plain(text);
        }

        var parts = ImmutableArray.CreateBuilder<SecretText.Part>();
        var literal = new StringBuilder();
        var whole = true;
        for (var i = 0; i < text.Length; )
        {
            if (string.CompareOrdinal(text, i, "$${", 0, 3) == 0)
            {
                literal.Append("${");
                i += 3;
                continue;
            }

            var end = string.CompareOrdinal(text, i, "${", 0, 2) == 0 ? text.IndexOf('}', i) : -1;
            if (end < 0)
            {
                literal.Append(text[i++]);
                continue;
            }

            var expression = text[i..(end + 1)];
            var name = text[(i + 2)..end];
            i = end + 1;
            if (name.StartsWith("secret.", StringComparison.Ordinal))
            {
                if (secrets.Use(name[7..], locate(expression), findings) is not { } value)
                {
                    whole = false;
                    continue;
                }

                Flush(parts, literal);
                parts.Add(new SecretText.Part(value, true));
            }
            else if (Value(name, expression, host, locate) is { } value)
            {
                literal.Append(value);
            }
            else
            {
                whole = false;
            }
        }

        Flush(parts, literal);
        return whole ? new SecretText(parts.ToImmutable()) : null;
    }

    /// <summary>The names of the secrets that a text asks for.</summary>
    public static IEnumerable<string> SecretsIn(string text)
    {
        const string Opening = "${secret.";
        for (var i = text.IndexOf(Opening, StringComparison.Ordinal); i >= 0; i = text.IndexOf(Opening, i + 1, StringComparison.Ordinal))
        {
            var end = text.IndexOf('}', i);
            if (end >= 0 && (i == 0 || text[i - 1] != '$'))
            {
                yield return text[(i + Opening.Length)..end];
            }
        }
    }

    /// <summary>The place of an expression within a scalar; of its first occurrence when there are several.</summary>
    public SourceLocation Locate(YamlScalar scalar, string expression)
    {
        var start = Math.Clamp(scalar.Start, 0, source.Text.Length);
        var length = Math.Clamp(scalar.End - start, 0, source.Text.Length - start);
        var offset = source.Text.IndexOf(expression, start, length, StringComparison.Ordinal);
        return offset < 0 ? scalar.At : source.AtOffset(offset);
    }

    private string? Value(string name, string expression, Host host, Func<string, SourceLocation> locate)
    {
        if (s_hostNames.Contains(name) && !hosts.ContainsKey(host.Name))
        {
            findings.Error(
                $"'{name}' has no value here",
                locate(expression),
                $"this resource is placed on the group {host.Name} as a whole, not on a host"
            );
            return null;
        }

        switch (name)
        {
            case "cluster":
                return cluster;
            case "host.name":
                return host.Name;
            case "host.address":
                return host.Address;
            case "host.role":
                return host.Role;
        }

        if (name.StartsWith("host.", StringComparison.Ordinal))
        {
            findings.Unknown($"unknown value '{name}'", locate(expression), name, s_hostNames, "known are");
            return null;
        }

        if (name.StartsWith("address.", StringComparison.Ordinal))
        {
            if (hosts.TryGetValue(name[8..], out var other))
            {
                return other.Address;
            }

            findings.Unknown($"unknown host '{name[8..]}'", locate(expression), name[8..], hosts.Keys, "hosts are");
            return null;
        }

        return expression;
    }

    private static void Flush(ImmutableArray<SecretText.Part>.Builder parts, StringBuilder literal)
    {
        if (literal.Length > 0)
        {
            parts.Add(new SecretText.Part(literal.ToString(), false));
            literal.Clear();
        }
    }
}
