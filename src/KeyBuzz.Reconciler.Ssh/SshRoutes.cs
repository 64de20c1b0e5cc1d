using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Ssh;

/// <summary>Settles how a host is reached: cluster.yaml first, then OpenSSH's configuration, then the defaults.</summary>
internal sealed class SshRoutes
{
    /// <summary>The login of a host where nothing names one.</summary>
    public const string DefaultUser = "root";

    private const string Nowhere = "/dev/null";

    private static readonly string[] s_defaultKeys = ["id_ed25519", "id_ecdsa", "id_rsa"];

    private readonly SshSettings _settings;
    private readonly SshConfig _config;
    private readonly SshPrompts _prompts;
    private readonly HashSet<string> _warned = new(StringComparer.Ordinal);

    public SshRoutes(SshSettings settings, SshConfig config, SshPrompts prompts)
    {
        _settings = settings;
        _config = config;
        _prompts = prompts;
    }

    /// <summary>The way to a host.</summary>
    /// <exception cref="SshProblem">It cannot be settled.</exception>
    public async Task<SshRoute> ResolveAsync(Host host)
    {
        var endpoint = SshEndpoint.Of(host);
        var (name, answer) = await LookUpAsync(endpoint).ConfigureAwait(false);
        WarnOfMissing(host.Name);
        var user = endpoint.User
            ?? (
                answer?.User is { } said && await _config.NamesUserAsync(name, endpoint.Port, said).ConfigureAwait(false)
                    ? said
                    : DefaultUser
            );
        var hostname = answer is { IsRenamed: true } ? answer.Hostname : endpoint.Hostname;
        var target = Target(name, hostname, endpoint.Port, user, answer, isJump: false);
        Warn(host.Name, answer);
        var list = endpoint.ProxyJump ?? _settings.ProxyJump;
        if (list is null && answer?.ProxyCommand is { } command)
        {
            throw Refusal(name, command);
        }

        return new SshRoute(target, await JumpsAsync(name, list ?? answer?.ProxyJump, [target]).ConfigureAwait(false));
    }

    // The name that one would type comes first; where the configuration says nothing of it, the address counts.
    private async Task<(string Name, SshConfigAnswer? Answer)> LookUpAsync(SshEndpoint endpoint)
    {
        Task<SshConfigAnswer?> Ask(string name) => _config.AskAsync(name, endpoint.User, endpoint.Port);
        if (endpoint.Alias is not { } alias || alias == endpoint.Hostname)
        {
            return (endpoint.Hostname, await Ask(endpoint.Hostname).ConfigureAwait(false));
        }

        var (byName, byAddress) = (Ask(alias), Ask(endpoint.Hostname));
        var (named, addressed) = (await byName.ConfigureAwait(false), await byAddress.ConfigureAwait(false));
        if (named is null || addressed is null || !named.DiffersFrom(addressed))
        {
            return (endpoint.Hostname, addressed);
        }

        var general = await Ask(SshConfig.AnyHost).ConfigureAwait(false);
        return general is not null && named.DiffersFrom(general) ? (alias, named) : (endpoint.Hostname, addressed);
    }

    // A jump host is reached through those before it in its list; the first of them through its own, as with ssh -J.
    private async Task<ImmutableArray<SshTarget>> JumpsAsync(string name, string? list, ImmutableArray<SshTarget> behind)
    {
        if (list is null)
        {
            return [];
        }

        if (!JumpList.TryParse(list, out var hops, out var problem))
        {
            throw new SshProblem(
                $"ProxyJump of {name} cannot be '{list}': {problem}",
                "correct it: [USER@]HOST[:PORT], several with commas"
            );
        }

        ImmutableArray<SshTarget> chain = [];
        foreach (var hop in hops)
        {
            var answer = await _config.AskAsync(hop.Name, hop.User, hop.Port).ConfigureAwait(false);
            var target = Target(
                hop.Name,
                answer?.Hostname ?? hop.Name,
                hop.Port,
                hop.User ?? answer?.User ?? Environment.UserName,
                answer,
                isJump: true
            );
            if (behind.Concat(chain).Any(other => other.Place == target.Place && other.Name == target.Name))
            {
                throw new SshProblem(
                    $"the jump hosts of {name} lead in a circle: {hop.Name} is reached through itself",
                    "correct ProxyJump in ssh's configuration, or proxy_jump in cluster.yaml"
                );
            }

            Warn($"jump host {hop.Name}", answer);
            if (chain.Length == 0)
            {
                if (answer?.ProxyCommand is { } command)
                {
                    throw Refusal(hop.Name, command);
                }

                chain = await JumpsAsync(hop.Name, answer?.ProxyJump, behind.Add(target)).ConfigureAwait(false);
            }

            chain = chain.Add(target);
            if (chain.Length + behind.Length > JumpList.Most + 1)
            {
                throw new SshProblem(
                    string.Create(CultureInfo.InvariantCulture, $"{name} is reached through more than {JumpList.Most} jump hosts"),
                    "correct ProxyJump in ssh's configuration: do two hosts name each other?"
                );
            }
        }

        return chain;
    }

    private SshTarget Target(string name, string hostname, int? port, string user, SshConfigAnswer? answer, bool isJump)
    {
        var number = port ?? answer?.Port ?? 22;
        hostname = Brackets.Without(hostname);
        if (answer?.RevokedHostKeys is { } revoked)
        {
            throw new SshProblem(
                $"ssh's configuration of {name} sets RevokedHostKeys {revoked}, which kbr cannot check",
                "list revoked keys in known_hosts, with @revoked, and 'config: false' under ssh in cluster.yaml"
            );
        }

        string Expand(string path) => Expanded(path, name, hostname, number, user);
        ImmutableArray<string> usersHosts = answer is null
            ? [Path.Combine(_settings.Home, ".ssh/known_hosts")]
            : [.. answer.UserKnownHosts.Select(Expand)];
        ImmutableArray<string> configuredHosts = [.. usersHosts, .. (answer?.GlobalKnownHosts ?? []).Select(Expand)];
        ImmutableArray<string> known =
            _settings.KnownHostsFile is not { } own ? configuredHosts
            // A jump host is none of the cluster's: its key may stand where ssh has it.
            : isJump ? [own, .. configuredHosts]
            : [own];
        // As with ssh: a first file that keeps nothing is not replaced by another one.
        var added = _settings.KnownHostsFile ?? usersHosts.FirstOrDefault();
        return new SshTarget
        {
            Name = name,
            Hostname = hostname,
            Port = number,
            User = user,
            KeyName = answer?.HostKeyAlias?.ToLowerInvariant() ?? Ssh.KnownHosts.Name(hostname, number),
            KnownHosts = [.. known.Where(file => file != Nowhere)],
            NewKeysFile = added == Nowhere ? null : added,
            Checking = _settings.HostKeyChecking ?? answer?.Checking ?? HostKeyChecking.Strict,
            HashesNames = _settings.KnownHostsFile is null && answer is { HashesNames: true },
            Identities = Identities(answer, isJump, Expand),
            Certificates = _settings.IdentityFile is null || isJump ? [.. (answer?.CertificateFiles ?? []).Select(Expand)] : [],
            AgentSocket = Agent(answer?.IdentityAgent, Expand),
            OffersAgentKeys = (_settings.IdentityFile is null || isJump) && answer is not { IdentitiesOnly: true },
            Ignored = [.. answer?.Ignored ?? []],
        };
    }

    private ImmutableArray<Identity> Identities(SshConfigAnswer? answer, bool isJump, Func<string, string> expand)
    {
        ImmutableArray<Identity> configured = answer is null
            ? [.. s_defaultKeys.Select(key => new Identity(Path.Combine(_settings.Home, ".ssh", key), IsRequired: false))]
            : [.. answer.IdentityFiles.Where(file => file != "none").Select(file => new Identity(expand(file), IsRequired: false))];
        return _settings.IdentityFile is not { } own ? configured
            : isJump ? [new Identity(own, IsRequired: false), .. configured]
            : [new Identity(own, IsRequired: true)];
    }

    private string? Agent(string? configured, Func<string, string> expand) =>
        configured is null or "SSH_AUTH_SOCK" ? _settings.AgentSocket
        : configured.Equals("none", StringComparison.OrdinalIgnoreCase) ? null
        : configured[0] == '$' && !configured.StartsWith("${", StringComparison.Ordinal)
            ? Environment.GetEnvironmentVariable(configured[1..]) is { Length: > 0 } socket ? socket
                : null
        : expand(configured);

    // ssh -G shows most paths as they are written.
    private string Expanded(string path, string name, string hostname, int port, string user)
    {
        var text = new StringBuilder();
        for (var i = 0; i < path.Length; i++)
        {
            if (path[i] == '%' && i + 1 < path.Length)
            {
                i++;
                text.Append(
                    path[i] switch
                    {
                        '%' => "%",
                        'd' => _settings.Home,
                        'h' => hostname,
                        'k' or 'n' => name,
                        'p' => port.ToString(CultureInfo.InvariantCulture),
                        'r' => user,
                        'u' => Environment.UserName,
                        'l' or 'L' => Environment.MachineName,
                        var other => "%" + other,
                    }
                );
            }
            else if (path[i] == '$' && path.IndexOf('}', i) is var end && end > i + 2 && path[i + 1] == '{')
            {
                text.Append(Environment.GetEnvironmentVariable(path[(i + 2)..end]));
                i = end;
            }
            else
            {
                text.Append(path[i]);
            }
        }

        var whole = text.ToString();
        return whole.StartsWith("~/", StringComparison.Ordinal) ? Path.Combine(_settings.Home, whole[2..]) : whole;
    }

    private static SshProblem Refusal(string name, string command) =>
        new(
            $"ssh's configuration of {name} sets ProxyCommand, which kbr does not run: {command}",
            "use ProxyJump there, proxy_jump in cluster.yaml, or 'config: false' under ssh in cluster.yaml"
        );

    private void Warn(string whose, SshConfigAnswer? answer)
    {
        if (answer is null)
        {
            return;
        }

        if (answer.Ignored is { Count: > 0 } ignored)
        {
            WarnOnce($"{whose}: ssh's configuration sets {string.Join(", ", ignored)}, which kbr does not follow");
        }

        if (answer.AcceptsChangedKeys && _settings.HostKeyChecking is null)
        {
            WarnOnce($"{whose}: ssh's configuration sets StrictHostKeyChecking no; kbr accepts new host keys, and refuses changed ones");
        }
    }

    private void WarnOfMissing(string host)
    {
        if (_config.IsMissing && File.Exists(Path.Combine(_settings.Home, ".ssh/config")))
        {
            WarnOnce($"ssh is not installed here: kbr does not know what ~/.ssh/config says of {host} and the other hosts", "missing");
        }
    }

    private void WarnOnce(string text, string? key = null)
    {
        lock (_warned)
        {
            if (!_warned.Add(key ?? text))
            {
                return;
            }
        }

        _prompts.Warn(text);
    }
}
