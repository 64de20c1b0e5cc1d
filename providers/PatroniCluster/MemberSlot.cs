using System.Globalization;
using KeyBuzz.Reconciler.Providers.PostgreSql;

namespace KeyBuzz.Reconciler.Providers.PatroniCluster;

/// <summary>The replication slot that Patroni keeps for each member on the leader.</summary>
public static class MemberSlot
{
    /// <summary>Its name: slot_name_from_member_name in patroni/dcs/__init__.py.</summary>
    public static string NameOf(string member)
    {
        ArgumentNullException.ThrowIfNull(member);
        var name = string.Concat(
            member
                .ToLowerInvariant()
                .Select(letter =>
                    char.IsAsciiLetterOrDigit(letter) || letter == '_' ? letter.ToString()
                    : letter is '-' or '.' ? "_"
                    : string.Create(CultureInfo.InvariantCulture, $"u{(int)letter:D4}")
                )
        );
        return name[..Math.Min(name.Length, SqlText.LongestName)];
    }
}
