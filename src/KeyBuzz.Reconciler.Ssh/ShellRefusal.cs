using System.Globalization;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Ssh;

/// <summary>Why a shell as root did not come up, by the words of sudo and the exit status.</summary>
internal static class ShellRefusal
{
    /// <summary>The error of a shell that ended before it ran anything.</summary>
    /// <param name="host">The host; its login uses sudo.</param>
    /// <param name="said">Its error output.</param>
    /// <param name="exitStatus">How it ended; null when that is not known.</param>
    /// <param name="user">The login name.</param>
    public static HostException Of(Host host, string said, int? exitStatus, string user)
    {
        bool Says(string words) => said.Contains(words, StringComparison.OrdinalIgnoreCase);
        var (message, remedy) =
            Says("must have a tty")
                ? (
                    $"sudo asks user {user} for a terminal (requiretty)",
                    $"on the host, as root: echo 'Defaults:{user} !requiretty' >> /etc/sudoers.d/kbr"
                )
            : (exitStatus is 126 or 127 || Says("not found") || Says("No such file")) && Says("sudo")
                ? ("sudo is not installed", "install sudo on the host, or log in as root without 'sudo: true'")
            : Says("password is required")
            || Says("not in the sudoers")
            || Says("may not run")
            || Says("not allowed to")
            || Says("no askpass")
                ? (
                    $"sudo does not let user {user} become root without a password",
                    $"on the host, as root: echo '{user} ALL=(root) NOPASSWD: ALL' > /etc/sudoers.d/kbr"
                )
            : Says("sudo") ? ($"sudo does not give user {user} a shell", $"try: ssh {user}@{SshEndpoint.Of(host).Hostname} sudo -n sh")
            : (
                $"the login shell of user {user} ended at once",
                "give that user a shell that runs commands (getent passwd shows it), or another ssh.user"
            );
        var detail = said.Length > 0 ? said : string.Create(CultureInfo.InvariantCulture, $"exit status {exitStatus}");
        return new HostException(host.Name, $"{message}: {detail}", remedy);
    }
}
