using System.Globalization;
using System.Net.Sockets;
using Renci.SshNet.Common;
using Renci.SshNet.Security;

namespace KeyBuzz.Reconciler.Ssh;

/// <summary>What a failed connection means, and what to do.</summary>
internal static class ConnectFailure
{
    /// <summary>Explains a failure.</summary>
    /// <param name="target">The server.</param>
    /// <param name="jump">The jump host before it; null for none.</param>
    /// <param name="offer">The keys that were offered; null when it did not come to that.</param>
    /// <param name="error">The failure.</param>
    /// <param name="onJump">The failure of the jump host, when it could not connect to the server; null for none.</param>
    /// <param name="limit">How long it was waited for.</param>
    /// <param name="time">The clock.</param>
    public static SshProblem Of(
        SshTarget target,
        SshTarget? jump,
        KeyOffer? offer,
        Exception error,
        Exception? onJump,
        TimeSpan limit,
        TimeProvider time
    )
    {
        var where = jump is null ? target.Place : $"{target.Place}, through jump host {jump.Name},";
        if (error.Message.Contains("Too many authentication failures", StringComparison.Ordinal) && offer is not null)
        {
            return new SshProblem(
                $"{where} ends the connection after too many keys (MaxAuthTries): {string.Join(", ", offer.Names)}",
                "set ssh.identity_file in cluster.yaml, or IdentityFile with IdentitiesOnly yes in ssh's configuration",
                error
            );
        }

        if (error is SshAuthenticationException && offer is not null)
        {
            return offer.Certificates is [var (path, certificate), ..]
                ? OfCertificate(target, path, certificate, error, time)
                : OfKeys(target, where, offer, error);
        }

        var socket = error as SocketException ?? error.InnerException as SocketException;
        return socket?.SocketErrorCode switch
        {
            SocketError.TimedOut => Silent(where, limit, error),
            _ when error is SshOperationTimeoutException or OperationCanceledException or TimeoutException => Silent(where, limit, error),

            // Of the port on loopback, not of the server.
            _ when jump is not null => new SshProblem(
                error.Message.Contains("identification", StringComparison.Ordinal)
                    ? $"jump host {jump.Name} opened no connection to {target.Place}"
                    : $"no SSH session with {where} came about: {(onJump ?? error).Message.TrimEnd('.')}",
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"is sshd running there, can {jump.Name} reach it, and may it (AllowTcpForwarding, PermitOpen)? try: ssh -J "
                        + $"{jump.User}@{jump.Place} -p {target.Port} {target.User}@{target.Hostname}"
                ),
                error
            ),
            SocketError.ConnectionRefused => new SshProblem($"{where} refuses connections", "is sshd running there, on that port?", error),
            SocketError.HostNotFound or SocketError.NoData or SocketError.TryAgain => new SshProblem(
                $"the name {target.Hostname} cannot be resolved",
                "correct ssh.host, or name resolution on this machine",
                error
            ),
            SocketError.HostUnreachable or SocketError.NetworkUnreachable => new SshProblem(
                $"there is no route to {where}",
                "is the host up, and are you in its network or VPN?",
                error
            ),
            _ => new SshProblem(
                $"no SSH session with {where}: {error.Message}",
                "try: ssh -v to the same address, and look at sshd's journal there",
                error
            ),
        };
    }

    private static SshProblem Silent(string where, TimeSpan limit, Exception error) =>
        new($"{where} did not answer within {limit.TotalSeconds:0.#} s", "is the host up, and does its firewall let you in?", error);

    private static SshProblem OfKeys(SshTarget target, string where, KeyOffer offer, Exception error)
    {
        var keys = string.Join(", ", offer.Names);
        var leftOut = string.Concat(offer.LeftOut.Select(problem => $"; {problem.Message}"));
        var ignored =
            target.Ignored.Length > 0 ? $"; ssh's configuration sets {string.Join(", ", target.Ignored)}, which kbr does not follow" : "";
        var file = target.Identities.Select(identity => identity.Path).FirstOrDefault(offer.Names.Contains);
        return new SshProblem(
            $"{where} does not let user {target.User} in with the {(offer.Names.Count == 1 ? "key" : "keys")} {keys}{leftOut}{ignored}",
            file is null
                ? $"add one of them to ~{target.User}/.ssh/authorized_keys there, or set ssh.identity_file and ssh.user"
                : $"add {file}.pub to ~{target.User}/.ssh/authorized_keys there",
            error
        );
    }

    // Users of a certificate do not add the key to the host: the error is about the certificate.
    private static SshProblem OfCertificate(SshTarget target, string path, Certificate certificate, Exception error, TimeProvider time)
    {
        const string suffix = "-cert.pub";
        var now = time.GetUtcNow().ToUnixTimeSeconds();
        var key = path.EndsWith(suffix, StringComparison.Ordinal) ? path[..^suffix.Length] : path;
        var (message, remedy) =
            certificate.Type == Certificate.CertificateType.Host
                ? (
                    $"{path} is a host certificate, not a user's",
                    $"move it away, or have {key}.pub signed as a user's: ssh-keygen -s CA -I NAME -n {target.User} {key}.pub"
                )
            : certificate.ValidBeforeUnixSeconds <= (ulong)now
                ? (
                    $"the certificate {path} expired at {HostKeys.When(certificate.ValidBeforeUnixSeconds)}",
                    $"have {key}.pub signed again, or move {path} away to use the key alone"
                )
            : certificate.ValidAfterUnixSeconds > (ulong)now
                ? (
                    $"the certificate {path} is not valid before {HostKeys.When(certificate.ValidAfterUnixSeconds)}",
                    "is this machine's clock right?"
                )
            : certificate.ValidPrincipals.Any() && !certificate.ValidPrincipals.Contains(target.User)
                ? (
                    $"the certificate {path} is for {string.Join(", ", certificate.ValidPrincipals)} and not for user {target.User}",
                    $"have it signed for {target.User}, or set ssh.user"
                )
            : (
                $"{target.Hostname} does not accept the certificate {path}",
                "is its authority among TrustedUserCAKeys there, and the certificate not revoked? look at sshd's journal on the host"
            );
        return new SshProblem(message, remedy, error);
    }
}
