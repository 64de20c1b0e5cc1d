using System.Collections.Immutable;
using System.Globalization;

namespace KeyBuzz.Reconciler.Ssh;

/// <summary>The command line of OpenSSH's own client for a host, as kbr reaches it.</summary>
public static class OpenSshCommand
{
    /// <summary>The options and, last, the host: what cluster.yaml leaves open is left to ssh's configuration.</summary>
    public static ImmutableArray<string> Arguments(SshSettings settings, SshEndpoint endpoint)
    {
        ArgumentNullException.ThrowIfNull(settings);
        ArgumentNullException.ThrowIfNull(endpoint);
        var arguments = ImmutableArray.CreateBuilder<string>();
        Add("-F", settings.Config.IsRead ? settings.Config.File : "none");
        Add("-p", endpoint.Port?.ToString(CultureInfo.InvariantCulture));
        Add("-l", endpoint.User);
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
