using System.Collections.Immutable;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.ConfigFile;

/// <summary>Texts of configuration files that know which of their characters are secret: an interpolated string takes a
/// <see cref="SecretText"/> as it is.</summary>
public static class ConfigText
{
    /// <summary>The text of an interpolated string.</summary>
    public static SecretText Of(Handler text) => text.ToText();

    /// <summary>A string in single quotes, as YAML and PgBouncer read it: a quote in it is doubled.</summary>
    public static string Quoted(string text) => "'" + text.Replace("'", "''", StringComparison.Ordinal) + "'";

    /// <summary>A secret in single quotes; the text between them stays secret.</summary>
    public static SecretText Quoted(SecretText text) =>
        Of(
            $"'{new SecretText([.. text.Parts.Select(part => part with { Value = part.Value.Replace("'", "''", StringComparison.Ordinal) })])}'"
        );

    /// <summary>A name in double quotes, as pg_hba.conf and userlist.txt read it: a quote in it is doubled.</summary>
    public static string InQuotes(string name) => "\"" + name.Replace("\"", "\"\"", StringComparison.Ordinal) + "\"";

    /// <summary>Texts one after another.</summary>
    public static SecretText Join(IEnumerable<SecretText> texts)
    {
        var handler = new Handler(0, 0);
        foreach (var text in texts)
        {
            handler.AppendFormatted(text);
        }

        return handler.ToText();
    }

    /// <summary>Address and port as one word; an IPv6 address stands in brackets.</summary>
    public static string Endpoint(string address, int port) =>
        string.Create(
            CultureInfo.InvariantCulture,
            $"{(address.Contains(':', StringComparison.Ordinal) ? $"[{address}]" : address)}:{port}"
        );

    /// <summary>Collects what an interpolated string is made of.</summary>
    [InterpolatedStringHandler]
    public sealed class Handler(int literalLength, int formattedCount)
    {
        private readonly ImmutableArray<SecretText.Part>.Builder _parts = ImmutableArray.CreateBuilder<SecretText.Part>(formattedCount + 1);
        private readonly StringBuilder _plain = new(literalLength);

        public void AppendLiteral(string text) => _plain.Append(text);

        public void AppendFormatted(string text) => _plain.Append(text);

        public void AppendFormatted(long number) => _plain.Append(CultureInfo.InvariantCulture, $"{number}");

        public void AppendFormatted(SecretText text)
        {
            foreach (var part in text.Parts)
            {
                if (part.IsSecret)
                {
                    Flush();
                    _parts.Add(part);
                }
                else
                {
                    _plain.Append(part.Value);
                }
            }
        }

        public SecretText ToText()
        {
            Flush();
            return new SecretText(_parts.ToImmutable());
        }

        private void Flush()
        {
            if (_plain.Length > 0)
            {
                _parts.Add(new SecretText.Part(_plain.ToString(), false));
                _plain.Clear();
            }
        }
    }
}
