using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Ssh;

/// <summary>Reads <c>ssh</c> of cluster.yaml and of its hosts.</summary>
public sealed class SshSection : IConnectionSection
{
    /// <inheritdoc />
    public string Key => "ssh";

    /// <inheritdoc />
    public SectionSchema Schema { get; } =
        new([
            new(
                "identity_file",
                ValueForm.Word,
                "The private key, without passphrase, with mode 0600; FILE-cert.pub beside it is its certificate."
            )
            {
                Default = "~/.ssh/id_ed25519",
            },
            new("known_hosts", ValueForm.Word, "The file with the hosts' keys.") { Default = "~/.ssh/known_hosts" },
            new("host_key_checking", ValueForm.Word, "strict refuses an unknown key; accept-new adds it. Both refuse a changed one.")
            {
                Default = "strict",
                Choices = ["strict", "accept-new"],
            },
            new(
                "key_exchange",
                ValueForm.Word,
                "curve25519-first connects faster; library-default offers the post-quantum exchanges first."
            )
            {
                Default = "curve25519-first",
                Choices = ["curve25519-first", "library-default"],
            },
            new("connect_timeout", ValueForm.Duration, "For one connection, from 100ms to 10m.") { Default = "10s" },
        ]);

    /// <inheritdoc />
    public SectionSchema HostSchema { get; } =
        new([
            new("host", ValueForm.Word, "The name or address that kbr connects to; default: the host's address.")
            {
                Example = "192.0.2.10",
            },
            new("port", ValueForm.Port, "The port of sshd.") { Default = "22" },
            new("user", ValueForm.Word, "The login.") { Default = "root" },
            new("sudo", ValueForm.Boolean, "Whether scripts run through sudo -n.") { Default = "false" },
        ]);

    /// <inheritdoc />
    public IConnectionSettings ReadSettings(
        SectionReader? section,
        string directory,
        IReadOnlyDictionary<string, string> environment,
        Findings findings
    )
    {
        ArgumentNullException.ThrowIfNull(findings);
        section?.Allow(Schema);
        var timeout = TimeSpan.FromSeconds(10);
        if (
            section?.Word("connect_timeout", "a time such as 10s") is { } word
            && (
                !ValueSyntax.TryParseDuration(word.Value, out timeout)
                || timeout < TimeSpan.FromMilliseconds(100)
                || timeout > TimeSpan.FromMinutes(10)
            )
        )
        {
            findings.Error($"'connect_timeout' must be a time such as 10s, from 100ms to 10m, not {word.Kind}", word.At);
        }

        return new SshSettings(
            LocalPath(section?.Word("identity_file", "a local path")?.Value ?? "~/.ssh/id_ed25519", directory, environment),
            LocalPath(section?.Word("known_hosts", "a local path")?.Value ?? "~/.ssh/known_hosts", directory, environment),
            section?.Choice(
                "host_key_checking",
                HostKeyChecking.Strict,
                ("strict", HostKeyChecking.Strict),
                ("accept-new", HostKeyChecking.AcceptNew)
            ) ?? HostKeyChecking.Strict,
            section?.Choice("key_exchange", true, ("curve25519-first", true), ("library-default", false)) ?? true,
            timeout
        );
    }

    /// <inheritdoc />
    public IHostEndpoint ReadEndpoint(string host, string address, SectionReader? section, Findings findings)
    {
        ArgumentNullException.ThrowIfNull(findings);
        if (section is null)
        {
            return new SshEndpoint(address, 22, "root", false);
        }

        section.Allow(HostSchema);
        var hostname = section.Word("host", "a name or an address");
        if (hostname is not null && !NetworkAddress.TryParse(hostname.Value, out _) && !IsHostname(hostname.Value))
        {
            findings.Error(
                $"bad address '{hostname.Value}' to reach host '{host}'",
                hostname.At,
                "write a host name or an IPv4 or IPv6 address"
            );
        }

        var user = section.Word("user", "a login name");
        if (
            user is not null
            && (user.Value[0] == '-' || user.Value.Any(letter => char.IsWhiteSpace(letter) || letter is '@' or ':' or '/'))
        )
        {
            findings.Error($"'{user.Value}' cannot be a login name", user.At);
        }

        var sudo = section.Boolean("sudo");
        if (user is not null && user.Value != "root" && sudo is null && section.Find("sudo") is null)
        {
            findings.Warning(
                $"kbr logs in to host '{host}' as '{user.Value}' without sudo, and most changes need root",
                user.At,
                null,
                "write 'sudo: true', or 'sudo: false' if this is intended"
            );
        }

        return new SshEndpoint(hostname?.Value ?? address, section.Port("port") ?? 22, user?.Value ?? "root", sudo ?? false);
    }

    // Where HOME is not set, as in some CI, the account says where the home is.
    private static string LocalPath(string text, string directory, IReadOnlyDictionary<string, string> environment) =>
        text.StartsWith("~/", StringComparison.Ordinal)
            ? Path.Combine(
                environment.GetValueOrDefault("HOME") is { Length: > 0 } home
                    ? home
                    : Environment.GetFolderPath(Environment.SpecialFolder.UserProfile),
                text[2..]
            )
            : Path.Combine(directory, text);

    // Digits and dots only is an address gone wrong, not a name.
    private static bool IsHostname(string text) =>
        text.Length <= 253
        && text[0] != '-'
        && text.Any(char.IsAsciiLetter)
        && text.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '.' or '-' or '_');
}
