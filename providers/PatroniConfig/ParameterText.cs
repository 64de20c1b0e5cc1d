namespace KeyBuzz.Reconciler.Providers.PatroniConfig;

/// <summary>Values of kind <c>string</c> that PostgreSQL reads as something else than a plain text: lists, names without regard to case,
/// the style of dates. Pure.</summary>
internal static class ParameterText
{
    // The parameters that PostgreSQL's source calls GUC_LIST_INPUT.
    private static readonly HashSet<string> s_lists = new(StringComparer.Ordinal)
    {
        "createrole_self_grant",
        "debug_io_direct",
        "listen_addresses",
        "local_preload_libraries",
        "log_destination",
        "restrict_nonsystem_relation_kind",
        "search_path",
        "session_preload_libraries",
        "shared_preload_libraries",
        "synchronized_standby_slots",
        "synchronous_standby_names",
        "temp_tablespaces",
        "unix_socket_directories",
        "wal_consistency_checking",
    };

    // Their items are words.
    private static readonly HashSet<string> s_words = new(StringComparer.Ordinal)
    {
        "createrole_self_grant",
        "debug_io_direct",
        "log_destination",
        "restrict_nonsystem_relation_kind",
        "wal_consistency_checking",
    };

    /// <summary>Whether two values of the parameter, its name in lower case, mean the same.</summary>
    public static bool Same(string name, string left, string right) =>
        left == right
        || name switch
        {
            "datestyle" => SameDateStyle(left, right),
            "timezone" or "log_timezone" or "timezone_abbreviations" => string.Equals(
                left.Trim(),
                right.Trim(),
                StringComparison.OrdinalIgnoreCase
            ),
            "client_encoding" => Encoding(left) == Encoding(right),
            "log_directory" => left.TrimEnd('/') == right.TrimEnd('/'),
            _ when s_lists.Contains(name) => string.Equals(
                List(left),
                List(right),
                s_words.Contains(name) ? StringComparison.OrdinalIgnoreCase : StringComparison.Ordinal
            ),
            _ => false,
        };

    private static string List(string text) => string.Join(',', text.Split(',').Select(item => item.Trim()));

    private static string Encoding(string text)
    {
        var name = string.Concat(text.Where(char.IsAsciiLetterOrDigit)).ToLowerInvariant();
        return name switch
        {
            "unicode" => "utf8",
            "iso88591" => "latin1",
            _ => name,
        };
    }

    // One part alone leaves the other as it is.
    private static bool SameDateStyle(string left, string right) =>
        DateStyle(left) is var (style, order)
        && DateStyle(right) is var (otherStyle, otherOrder)
        && (style is null || otherStyle is null || style == otherStyle)
        && (order is null || otherOrder is null || order == otherOrder);

    private static (string? Style, string? Order)? DateStyle(string text)
    {
        string? style = null;
        string? order = null;
        foreach (var word in text.Split(',').Select(item => item.Trim().ToUpperInvariant()))
        {
            switch (word)
            {
                case "ISO" or "SQL" or "GERMAN":
                    style = word;
                    break;
                case "YMD" or "DMY" or "MDY":
                    order = word;
                    break;
                case "US":
                    order = "MDY";
                    break;
                case var _ when word.StartsWith("POSTGRES", StringComparison.Ordinal):
                    style = "POSTGRES";
                    break;
                case var _ when word.StartsWith("EURO", StringComparison.Ordinal):
                    order = "DMY";
                    break;
                case var _ when word.StartsWith("NONEURO", StringComparison.Ordinal):
                    order = "MDY";
                    break;
                default:
                    return null;
            }
        }

        return (style, style == "GERMAN" ? order ?? "DMY" : order);
    }
}
