using System.Globalization;
using KeyBuzz.Reconciler.Configuration;

namespace KeyBuzz.Reconciler.Providers.PatroniConfig;

/// <summary>A parameter as PostgreSQL defines it, and which values it takes. Pure.</summary>
/// <param name="Name">Its name, as pg_settings spells it.</param>
/// <param name="Kind"><c>bool</c>, <c>integer</c>, <c>real</c>, <c>enum</c> or <c>string</c>.</param>
/// <param name="Unit">The unit of a number without one; null for none.</param>
/// <param name="Context"><c>internal</c> when it cannot be set.</param>
/// <param name="Minimum">The least number it takes.</param>
/// <param name="Maximum">The greatest.</param>
/// <param name="Words">The words that an enumeration takes.</param>
public sealed record ParameterDefinition(
    string Name,
    string Kind,
    string? Unit,
    string Context,
    double? Minimum,
    double? Maximum,
    IReadOnlyList<string> Words
)
{
    /// <summary>Why PostgreSQL would refuse the value, as the end of a sentence, and a remedy where there is one; null when it takes
    /// it.</summary>
    public (string Problem, string? Remedy)? Refusal(string text) =>
        Kind switch
        {
            "bool" => ParameterValue.Boolean(text) is null ? ("is neither on nor off", null) : null,
            "integer" or "real" => NumberRefusal(text),
            "enum" => WordRefusal(text),
            _ => null,
        };

    /// <summary>The value in a spelling that Patroni takes, too: it drops a truth like <c>t</c>, and waits for ever for a word that
    /// PostgreSQL only takes for another.</summary>
    public string Spelled(string text) =>
        Kind switch
        {
            "bool"
                when ParameterValue.Boolean(text) is { } truth
                    && text.Trim().ToLowerInvariant() is not ("on" or "off" or "true" or "false" or "yes" or "no" or "1" or "0") => truth
                ? "on"
                : "off",
            "enum" when ParameterValue.Alias(Name, text) is { } word => word,
            "enum"
                when Boolean(text) is { } word
                    && text.Trim().ToLowerInvariant() is not ("on" or "off" or "true" or "false" or "yes" or "no" or "1" or "0") => word,
            _ => text,
        };

    private (string, string?)? NumberRefusal(string text)
    {
        if (ParameterValue.Number(text, Unit) is not { } number)
        {
            return Unit is null
                ? ("is not a number", null)
                : (
                    $"is not a number with a unit compatible with {Unit}",
                    $"units are {(ParameterValue.IsMemory(Unit) ? "B, kB, MB, GB and TB" : "us, ms, s, min, h and d")}, in this spelling"
                );
        }

        var rounded = Kind == "integer" ? Math.Round(number, MidpointRounding.ToEven) : number;
        return rounded < Minimum || rounded > Maximum
            ? (string.Create(CultureInfo.InvariantCulture, $"is outside {Shown(Minimum)} to {Shown(Maximum)}"), null)
            : null;
    }

    private (string, string?)? WordRefusal(string text)
    {
        if (
            Words.Contains(text.Trim(), StringComparer.OrdinalIgnoreCase)
            || ParameterValue.Alias(Name, text) is not null
            || Boolean(text) is not null
        )
        {
            return null;
        }

        return (
            $"is not one of {string.Join(", ", Words.Select(word => word.Length == 0 ? "''" : word))}",
            NearName.Of(text.Trim(), Words) is { Length: > 0 } near ? $"did you mean '{near}'?" : null
        );
    }

    // An enumeration with on or off takes them in all the spellings of a truth.
    private string? Boolean(string text) =>
        text.Trim().ToLowerInvariant() switch
        {
            "true" or "yes" or "1" when Words.Contains("on") => "on",
            "false" or "no" or "0" when Words.Contains("off") => "off",
            _ => null,
        };

    private string Shown(double? number) =>
        number is not { } bound ? "any"
        : Unit is null ? bound.ToString(CultureInfo.InvariantCulture)
        : ParameterValue.Readable(bound.ToString(CultureInfo.InvariantCulture), Unit);
}
