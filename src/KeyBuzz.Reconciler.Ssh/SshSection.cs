using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Ssh;

/// <summary>Reads <c>ssh</c> of cluster.yaml and of its hosts.</summary>
public sealed class SshSection : IConnectionSection
{
    /// <summary>The environment variable with the file that is read in place of OpenSSH's own configuration.</summary>
    public const string ConfigVariable = "KBR_SSH_CONFIG";

    /// <inheritdoc />
    public string Key => "ssh";

    /// <inheritdoc />
    public SectionSchema Schema { get; } =
        new([
            new(
                "config",
                ValueForm.Word,
                "OpenSSH's configuration for what is left out here: false for none, or a file in place of ~/.ssh/config and "
                    + "/etc/ssh/ssh_config."
            )
            {
                Or = [ValueForm.Boolean],
                Default = "true",
            },
            new(
                "proxy_jump",
                ValueForm.Word,
                "The jump hosts of every host, as [USER@]HOST[:PORT], several with commas, the first one first; or none."
            )
            {
                Example = "ops@jump.example.com",
            },
            new("identity_file", ValueForm.Word, "The private key, with mode 0600; FILE-cert.pub beside it is its certificate.")
            {
                Example = "~/.ssh/id_ed25519",
            },
            new("known_hosts", ValueForm.Word, "The file with the hosts' keys.") { Example = "~/.ssh/known_hosts" },
            new(
                "host_key_checking",
                ValueForm.Word,
                "strict refuses an unknown key; accept-new adds it. Both refuse a changed one. Left out: OpenSSH's configuration, else strict."
            )
            {
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
            new("port", ValueForm.Port, "The port of sshd. Left out: OpenSSH's configuration, else 22.") { Example = "22" },
            new("user", ValueForm.Word, "The login. Left out: OpenSSH's configuration, else root.") { Example = "root" },
            new("proxy_jump", ValueForm.Word, "The jump hosts of this host; or none.") { Example = "ops@jump.example.com" },
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

        string? Local(string key) => section?.Word(key, "a local path") is { } path ? LocalPath(path.Value, directory, environment) : null;

        var settings = new SshSettings(
            Local("identity_file"),
            Local("known_hosts"),
            section?.Choice<HostKeyChecking?>(
                "host_key_checking",
                null,
                ("strict", HostKeyChecking.Strict),
                ("accept-new", HostKeyChecking.AcceptNew)
            ),
            section?.Choice("key_exchange", true, ("curve25519-first", true), ("library-default", false)) ?? true,
            timeout
        );
        return settings with
        {
            Config = ReadConfig(section, directory, environment),
            ProxyJump = ReadJump(section, findings),
            Home = Home(environment),
            AgentSocket = environment.GetValueOrDefault("SSH_AUTH_SOCK") is { Length: > 0 } socket ? socket : null,
        };
    }

    // true, false, or the path of another file. The environment names one for the machine that kbr runs on, such as a runner of CI.
    private static SshConfigSource ReadConfig(SectionReader? section, string directory, IReadOnlyDictionary<string, string> environment) =>
        section?.Word("config", "true, false or a local path") switch
        {
            null or { IsPlain: true, Value: "true" } => environment.GetValueOrDefault(ConfigVariable) is { Length: > 0 } file
                ? new SshConfigSource(true, Path.GetFullPath(file))
                : SshConfigSource.Default,
            { IsPlain: true, Value: "false" } => SshConfigSource.None,
            var path => new SshConfigSource(true, LocalPath(path.Value, directory, environment)),
        };

    private static string? ReadJump(SectionReader? section, Findings findings)
    {
        if (section?.Word("proxy_jump", "[USER@]HOST[:PORT], several with commas, or none") is not { } word)
        {
            return null;
        }

        if (!JumpList.TryParse(word.Value, out _, out var problem))
        {
            findings.Error(
                $"'proxy_jump' cannot be '{word.Value}': {problem}",
                word.At,
                remedy: "write [USER@]HOST[:PORT], several with commas in the order of the jumps, or none"
            );
        }

        return word.Value;
    }

    /// <inheritdoc />
    public IHostEndpoint ReadEndpoint(string host, string address, SectionReader? section, Findings findings)
    {
        ArgumentNullException.ThrowIfNull(findings);
        if (section is null)
        {
            return new SshEndpoint(address, null, null, false) { Alias = host };
        }

        section.Allow(HostSchema);
        var hostname = section.Word("host", "a name or an address");
        if (hostname is not null && !NetworkAddress.TryParse(hostname.Value, out _) && !JumpList.IsHostname(hostname.Value))
        {
            findings.Error(
                $"bad address '{hostname.Value}' to reach host '{host}'",
                hostname.At,
                "write a host name or an IPv4 or IPv6 address"
            );
        }

        var user = section.Word("user", "a login name");
        if (user is not null && !JumpList.IsUser(user.Value))
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

        return new SshEndpoint(hostname?.Value ?? address, section.Port("port"), user?.Value, sudo ?? false)
        {
            Alias = hostname is null ? host : null,
            ProxyJump = ReadJump(section, findings),
        };
    }

    private static string LocalPath(string text, string directory, IReadOnlyDictionary<string, string> environment) =>
        text.StartsWith("~/", StringComparison.Ordinal) ? Path.Combine(Home(environment), text[2..]) : Path.Combine(directory, text);

    // Where HOME is not set, as in some CI, the account says where the home is.
    private static string Home(IReadOnlyDictionary<string, string> environment) =>
        environment.GetValueOrDefault("HOME") is { Length: > 0 } home
            ? home
            : Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
}
