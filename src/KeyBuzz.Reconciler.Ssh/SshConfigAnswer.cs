using System.Collections.Frozen;
using System.Collections.Immutable;
using System.Globalization;

namespace KeyBuzz.Reconciler.Ssh;

/// <summary>What OpenSSH's configuration says about one name: the answer of <c>ssh -G</c>.</summary>
public sealed class SshConfigAnswer
{
    // The files that ssh tries where none is configured.
    private static readonly FrozenSet<string> s_defaultKeys = FrozenSet.ToFrozenSet(
        ["id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk", "id_xmss", "id_dsa"],
        StringComparer.Ordinal
    );

    // Options that change how a connection is made, and that kbr does not follow, with the value that means nothing.
    private static readonly ImmutableArray<(string Key, string Name, string Unset)> s_ignored =
    [
        ("bindaddress", "BindAddress", "none"),
        ("bindinterface", "BindInterface", "none"),
        ("addressfamily", "AddressFamily", "any"),
        ("pkcs11provider", "PKCS11Provider", "none"),
        ("securitykeyprovider", "SecurityKeyProvider", "internal"),
        ("knownhostscommand", "KnownHostsCommand", "none"),
        ("pubkeyauthentication", "PubkeyAuthentication no", "true"),
    ];

    private readonly Dictionary<string, List<string>> _values = new(StringComparer.Ordinal);

    private SshConfigAnswer() { }

    /// <summary>The address or name to connect to.</summary>
    public string Hostname => Brackets.Without(One("hostname") ?? "");

    /// <summary>The login name.</summary>
    public string? User => One("user");

    /// <summary>The port.</summary>
    public int? Port =>
        int.TryParse(One("port"), NumberStyles.None, CultureInfo.InvariantCulture, out var port) && port is >= 1 and <= 65535 ? port : null;

    /// <summary>The jump hosts; null for none.</summary>
    public string? ProxyJump => One("proxyjump");

    /// <summary>The command in place of a connection; null for none.</summary>
    public string? ProxyCommand => One("proxycommand") is { } command && !IsNone(command) ? command : null;

    /// <summary>The name in known_hosts; null for the one that is connected to.</summary>
    public string? HostKeyAlias => One("hostkeyalias");

    /// <summary>How host keys are checked. What accepts changed keys too accepts new ones only.</summary>
    public HostKeyChecking Checking =>
        One("stricthostkeychecking") is "accept-new" or "false" or "no" or "off" ? HostKeyChecking.AcceptNew : HostKeyChecking.Strict;

    /// <summary>Whether ssh would connect to a host whose key has changed.</summary>
    public bool AcceptsChangedKeys => One("stricthostkeychecking") is "false" or "no" or "off";

    /// <summary>Whether names are hashed when they are added to known_hosts.</summary>
    public bool HashesNames => One("hashknownhosts") is "yes" or "true";

    /// <summary>The list of revoked keys; null for none.</summary>
    public string? RevokedHostKeys => One("revokedhostkeys") is { } file && !IsNone(file) ? file : null;

    /// <summary>Whether only the configured keys are offered, and none that merely the agent has.</summary>
    public bool IdentitiesOnly => One("identitiesonly") is "yes" or "true";

    /// <summary>The keys to offer, not expanded.</summary>
    public IReadOnlyList<string> IdentityFiles => All("identityfile");

    /// <summary>Whether these are the files that ssh tries by itself.</summary>
    public bool HasDefaultKeys =>
        IdentityFiles.All(file => file.StartsWith("~/.ssh/", StringComparison.Ordinal) && s_defaultKeys.Contains(file["~/.ssh/".Length..]));

    /// <summary>The certificates to offer, not expanded.</summary>
    public IReadOnlyList<string> CertificateFiles => All("certificatefile");

    /// <summary>The agent's socket, not expanded; null for <c>SSH_AUTH_SOCK</c>.</summary>
    public string? IdentityAgent => One("identityagent");

    /// <summary>The operator's known_hosts files.</summary>
    public IReadOnlyList<string> UserKnownHosts => Paths("userknownhostsfile");

    /// <summary>The known_hosts files of this machine.</summary>
    public IReadOnlyList<string> GlobalKnownHosts => Paths("globalknownhostsfile");

    /// <summary>The options that are set and that kbr does not follow.</summary>
    public IReadOnlyList<string> Ignored =>
        [
            .. s_ignored
                .Where(option => One(option.Key) is { } value && !value.Equals(option.Unset, StringComparison.OrdinalIgnoreCase))
                .Select(option => option.Name),
        ];

    /// <summary>Reads the output of <c>ssh -G</c>: an option a line, its name, a space, its value.</summary>
    /// <param name="text">The output.</param>
    /// <exception cref="InvalidDataException">It is no such output.</exception>
    public static SshConfigAnswer Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var answer = new SshConfigAnswer();
        foreach (var line in text.Split('\n'))
        {
            var space = line.IndexOf(' ', StringComparison.Ordinal);
            if (space <= 0)
            {
                continue;
            }

            var key = line[..space].ToLowerInvariant();
            var value = line[(space + 1)..].Trim();
            if (value.Length == 0 || value.Any(char.IsControl))
            {
                continue;
            }

            if (!answer._values.TryGetValue(key, out var values))
            {
                answer._values.Add(key, values = []);
            }

            values.Add(value);
        }

        return answer.Hostname.Length > 0 && answer.User is not null && answer.Port is not null
            ? answer
            : throw new InvalidDataException("the answer has no hostname, user or port");
    }

    /// <summary>The answer for another name, of which the configuration says the same.</summary>
    public SshConfigAnswer Of(string name, string? user, int? port)
    {
        var answer = new SshConfigAnswer();
        foreach (var (key, values) in _values)
        {
            answer._values.Add(key, values);
        }

        answer._values["host"] = answer._values["hostname"] = [name];
        if (user is not null)
        {
            answer._values["user"] = [user];
        }

        if (port is { } number)
        {
            answer._values["port"] = [number.ToString(CultureInfo.InvariantCulture)];
        }

        return answer;
    }

    /// <summary>Whether two answers differ in more than the name that was asked for.</summary>
    public bool DiffersFrom(SshConfigAnswer other)
    {
        ArgumentNullException.ThrowIfNull(other);
        string[] names = ["host", "hostname"];
        return IsRenamed
            || other.IsRenamed
            || _values
                .Keys.Union(other._values.Keys, StringComparer.Ordinal)
                .Except(names, StringComparer.Ordinal)
                .Any(key => !All(key).SequenceEqual(other.All(key), StringComparer.Ordinal));
    }

    /// <summary>Whether <c>HostName</c> is set for the name.</summary>
    public bool IsRenamed => !string.Equals(One("hostname"), One("host") ?? One("hostname"), StringComparison.OrdinalIgnoreCase);

    private static bool IsNone(string value) => value.Equals("none", StringComparison.OrdinalIgnoreCase);

    private string? One(string key) => _values.TryGetValue(key, out var values) ? values[0] : null;

    private List<string> All(string key) => _values.TryGetValue(key, out var values) ? values : [];

    // Paths with spaces stand there without quotes: what begins no path continues the one before it.
    private List<string> Paths(string key)
    {
        var paths = new List<string>();
        foreach (var word in (One(key) ?? "none").Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            if (paths.Count > 0 && word[0] is not ('/' or '~'))
            {
                paths[^1] += " " + word;
            }
            else
            {
                paths.Add(word);
            }
        }

        return paths is [var only] && IsNone(only) ? [] : paths;
    }
}

/// <summary>Brackets around IPv6 addresses.</summary>
internal static class Brackets
{
    /// <summary>The address without them.</summary>
    public static string Without(string host) => host.StartsWith('[') && host.EndsWith(']') ? host[1..^1] : host;
}
