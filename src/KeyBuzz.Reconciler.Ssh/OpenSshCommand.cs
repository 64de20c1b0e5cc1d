using System.Collections.Immutable;
using System.Globalization;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Ssh;

/// <summary>The command line of OpenSSH's own client for a host, as kbr reaches it.</summary>
public static class OpenSshCommand
{
    /// <summary>The options and, last, the host: what cluster.yaml leaves open is left to ssh's configuration.</summary>
    /// <exception cref="HostException">It cannot be settled how the host is reached.</exception>
    public static async Task<ImmutableArray<string>> ArgumentsAsync(SshSettings settings, Host host, TimeProvider time)
    {
        ArgumentNullException.ThrowIfNull(settings);
        var endpoint = SshEndpoint.Of(host);

        // Where nothing names them, ssh's login is the operator's name here and its check of keys asks; kbr's are root and strict.
        var target = await TargetAsync(settings, host, time).ConfigureAwait(false);
        var arguments = ImmutableArray.CreateBuilder<string>();
        Add("-F", settings.Config.IsRead ? settings.Config.File : "none");
        Add("-p", endpoint.Port?.ToString(CultureInfo.InvariantCulture));
        Add("-l", target.User);
        Add("-i", settings.IdentityFile);
        Option("UserKnownHostsFile", settings.KnownHostsFile is { } file ? $"\"{file}\"" : null);
        Option("StrictHostKeyChecking", target.Checking == HostKeyChecking.Strict ? "yes" : "accept-new");
        Option("ProxyJump", endpoint.ProxyJump ?? settings.ProxyJump);
        Option("HostName", endpoint.Alias is not null && endpoint.Hostname.Length > 0 ? endpoint.Hostname : null);
        arguments.Add("--");
        arguments.Add(endpoint.Alias ?? endpoint.Hostname);
        return arguments.ToImmutable();

        static async Task<SshTarget> TargetAsync(SshSettings settings, Host host, TimeProvider time)
        {
            var routes = new SshRoutes(settings, new SshConfig(settings.Config, time), new SshPrompts());
            try
            {
                return (await routes.ResolveAsync(host).ConfigureAwait(false)).Target;
            }
            catch (SshProblem problem)
            {
                throw new HostException(host.Name, problem.Message, problem.Remedy, problem);
            }
        }

        void Add(string option, string? value)
        {
            if (value is not null)
            {
                arguments.AddRange(option, value);
            }
        }

        void Option(string name, string? value) => Add("-o", value is null ? null : $"{name}={value}");
    }
}
