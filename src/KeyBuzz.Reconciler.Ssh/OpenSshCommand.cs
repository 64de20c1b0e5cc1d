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
        var arguments = ImmutableArray.CreateBuilder<string>();
        Add("-F", settings.Config.IsRead ? settings.Config.File : "none");
        Add("-p", endpoint.Port?.ToString(CultureInfo.InvariantCulture));
        Add("-l", await UserAsync(settings, host, time).ConfigureAwait(false));
        Add("-i", settings.IdentityFile);
        Option("UserKnownHostsFile", settings.KnownHostsFile is { } file ? $"\"{file}\"" : null);
        Option(
            "StrictHostKeyChecking",
            settings.HostKeyChecking switch
            {
                HostKeyChecking.Strict => "yes",
                HostKeyChecking.AcceptNew => "accept-new",
                _ => null,
            }
        );
        Option("ProxyJump", endpoint.ProxyJump ?? settings.ProxyJump);
        Option("HostName", endpoint.Alias is not null && endpoint.Hostname.Length > 0 ? endpoint.Hostname : null);
        arguments.Add("--");
        arguments.Add(endpoint.Alias ?? endpoint.Hostname);
        return arguments.ToImmutable();

        // ssh's own default is the operator's name here, and kbr's is root.
        static async Task<string> UserAsync(SshSettings settings, Host host, TimeProvider time)
        {
            var routes = new SshRoutes(settings, new SshConfig(settings.Config, time), new SshPrompts());
            try
            {
                return (await routes.ResolveAsync(host).ConfigureAwait(false)).Target.User;
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
