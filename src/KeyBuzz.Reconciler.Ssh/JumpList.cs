using System.Collections.Immutable;
using System.Globalization;
using KeyBuzz.Reconciler.Configuration;

namespace KeyBuzz.Reconciler.Ssh;

/// <summary>One jump host as <c>ProxyJump</c> writes it.</summary>
/// <param name="Name">Its name, as one would type it after <c>ssh</c>.</param>
/// <param name="User">The login name; null for the configured one.</param>
/// <param name="Port">The port; null for the configured one.</param>
public sealed record JumpHost(string Name, string? User, int? Port);

/// <summary>Reads OpenSSH's <c>ProxyJump</c>: <c>[USER@]HOST[:PORT]</c>, several with commas, in order; or <c>none</c>.</summary>
public static class JumpList
{
    /// <summary>More hops than any network has.</summary>
    public const int Most = 8;

    /// <summary>Reads a list.</summary>
    /// <param name="text">The list.</param>
    /// <param name="hops">The jump hosts; none for <c>none</c>.</param>
    /// <param name="problem">What is wrong with it.</param>
    public static bool TryParse(string text, out ImmutableArray<JumpHost> hops, out string problem)
    {
        ArgumentNullException.ThrowIfNull(text);
        (hops, problem) = ([], "");
        if (text.Equals("none", StringComparison.OrdinalIgnoreCase))
        {
            return true;
        }

        var found = ImmutableArray.CreateBuilder<JumpHost>();
        foreach (var word in text.Split(',', StringSplitOptions.TrimEntries))
        {
            if (ParseOne(word) is not { } hop)
            {
                problem = word.Length == 0 ? "a jump host is missing beside a comma" : $"'{word}' is not [USER@]HOST[:PORT]";
                return false;
            }

            found.Add(hop);
        }

        if (found.Count > Most)
        {
            problem = string.Create(CultureInfo.InvariantCulture, $"{found.Count} jump hosts; kbr follows {Most} at most");
            return false;
        }

        hops = found.ToImmutable();
        return true;
    }

    private static JumpHost? ParseOne(string word)
    {
        var rest = word.StartsWith("ssh://", StringComparison.OrdinalIgnoreCase) ? word[6..].TrimEnd('/') : word;
        string? user = null;
        if (rest.LastIndexOf('@') is var at and >= 0)
        {
            user = rest[..at];
            rest = rest[(at + 1)..];
            if (!IsUser(user))
            {
                return null;
            }
        }

        // An IPv6 address with a port stands in brackets; with more than one colon it has none.
        string? digits = null;
        if (rest.StartsWith('[') && rest.IndexOf(']', StringComparison.Ordinal) is var end and > 0)
        {
            digits = end + 1 == rest.Length ? null : rest[(end + 1)..];
            rest = rest[1..end];
            if (digits is not null && !digits.StartsWith(':'))
            {
                return null;
            }

            digits = digits?[1..];
        }
        else if (rest.Count(letter => letter == ':') == 1)
        {
            var colon = rest.IndexOf(':', StringComparison.Ordinal);
            (rest, digits) = (rest[..colon], rest[(colon + 1)..]);
        }

        int? port = null;
        if (digits is not null)
        {
            if (!int.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var number) || number is < 1 or > 65535)
            {
                return null;
            }

            port = number;
        }

        return IsHostname(rest) || NetworkAddress.TryParse(rest, out _) ? new JumpHost(rest, user, port) : null;
    }

    /// <summary>Whether a text can be a login name.</summary>
    internal static bool IsUser(string text) =>
        text.Length > 0
        && text[0] != '-'
        && !text.Any(letter => char.IsWhiteSpace(letter) || char.IsControl(letter) || letter is '@' or ':' or '/');

    /// <summary>Whether a text can be the name of a host. Digits and dots only is an address gone wrong.</summary>
    internal static bool IsHostname(string text) =>
        text.Length is > 0 and <= 253
        && text[0] != '-'
        && text.Any(char.IsAsciiLetter)
        && text.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '.' or '-' or '_');
}
