using System.Globalization;
using System.Net.Sockets;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Records;
using Renci.SshNet;
using Renci.SshNet.Common;
using Renci.SshNet.Security;

namespace KeyBuzz.Reconciler.Ssh;

/// <summary>Opens SSH connections with a private key, after checking the host's key against known_hosts.</summary>
public sealed class SshConnector : IHostConnector
{
    // SSH.NET occupies threads of the pool with every connection and with whatever comes in through a tunnel. The pool grows beyond its
    // minimum, the number of processors, by only one or two a second, and every host would wait for that. Threads that are not needed are
    // not made.
    private const int Threads = 64;

    private readonly SshSettings _settings;
    private readonly ProbeScript _probe;
    private readonly TimeProvider _time;

    static SshConnector()
    {
        ThreadPool.GetMinThreads(out var workers, out var completions);
        ThreadPool.SetMinThreads(Math.Max(workers, Threads), completions);
    }

    /// <summary>Takes the settings of all connections.</summary>
    /// <param name="settings">The settings.</param>
    /// <param name="probe">Renders reads as shell.</param>
    /// <param name="time">The clock.</param>
    public SshConnector(SshSettings settings, ProbeScript probe, TimeProvider time)
    {
        _settings = settings;
        _probe = probe;
        _time = time;
    }

    /// <inheritdoc />
    public async Task<IHostConnection> ConnectAsync(Host host, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(host);
        var endpoint = SshEndpoint.Of(host);
        var key = LoadKey(host);
        var client = new SshClient(
            new ConnectionInfo(endpoint.Hostname, endpoint.Port, endpoint.User, new PrivateKeyAuthenticationMethod(endpoint.User, key))
            {
                Timeout = _settings.ConnectTimeout,
            }
        );
        client.KeepAliveInterval = TimeSpan.FromSeconds(15);
        HostException? refusal = null;
        using var timeout = new CancellationTokenSource(_settings.ConnectTimeout, _time);
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, timeout.Token);
        try
        {
            var known = KnownHosts.Load(_settings.KnownHostsFile);
            Prefer(client.ConnectionInfo, known.KeyTypes(endpoint.Hostname, endpoint.Port));
            client.HostKeyReceived += (_, received) =>
            {
                refusal = Judge(host, known, received.HostKey);
                received.CanTrust = refusal is null;
            };

            // Parts of the key exchange block their thread.
            await Task.Run(() => client.ConnectAsync(deadline.Token), deadline.Token).ConfigureAwait(false);
            return new SshConnection(host, client, key, _probe, _time);
        }
        catch (Exception e)
        {
            var certificate = key.Certificate;
            client.Dispose();
            key.Dispose();
            if (refusal is not null)
            {
                throw refusal;
            }

            if (cancellationToken.IsCancellationRequested)
            {
                throw new OperationCanceledException("cancelled while connecting", e, cancellationToken);
            }

            throw e is SshAuthenticationException && certificate is not null ? Explain(host, certificate, e) : Explain(host, e);
        }
    }

    // Users of a certificate do not add the key to the host: the error is about the certificate.
    private HostException Explain(Host host, Certificate certificate, Exception error)
    {
        var path = _settings.IdentityFile + "-cert.pub";
        var now = _time.GetUtcNow().ToUnixTimeSeconds();
        string When(ulong seconds) =>
            DateTimeOffset
                .FromUnixTimeSeconds((long)Math.Min(seconds, 253_402_300_799))
                .ToString("yyyy-MM-dd HH:mm:ss 'UTC'", CultureInfo.InvariantCulture);
        var (message, remedy) =
            certificate.Type == Certificate.CertificateType.Host
                ? (
                    $"{path} is a host certificate, not a user's",
                    $"move it away, or have {_settings.IdentityFile}.pub signed as a user's: ssh-keygen -s CA -I NAME -n "
                        + $"{SshEndpoint.Of(host).User} {_settings.IdentityFile}.pub"
                )
            : certificate.ValidBeforeUnixSeconds <= (ulong)now
                ? (
                    $"the certificate {path} expired at {When(certificate.ValidBeforeUnixSeconds)}",
                    $"have {_settings.IdentityFile}.pub signed again, or move {path} away to use the key alone"
                )
            : certificate.ValidAfterUnixSeconds > (ulong)now
                ? (
                    $"the certificate {path} is not valid before {When(certificate.ValidAfterUnixSeconds)}",
                    "is this machine's clock right?"
                )
            : certificate.ValidPrincipals.Any() && !certificate.ValidPrincipals.Contains(SshEndpoint.Of(host).User)
                ? (
                    $"the certificate {path} is for {string.Join(", ", certificate.ValidPrincipals)} and not for user {SshEndpoint.Of(host).User}",
                    $"have it signed for {SshEndpoint.Of(host).User}, or set ssh.user"
                )
            : (
                $"{SshEndpoint.Of(host).Hostname} does not accept the certificate {path}",
                "is its authority among TrustedUserCAKeys there, and the certificate not revoked? look at sshd's journal on the host"
            );
        return new HostException(host.Name, message, remedy, error);
    }

    private PrivateKeyFile LoadKey(Host host)
    {
        var path = _settings.IdentityFile;
        try
        {
            if (PrivateFile.Problem(path) is { } problem)
            {
                throw new HostException(host.Name, $"the private key {path} {problem}", PrivateFile.Remedy(path));
            }

            var certificate = path + "-cert.pub";
            return File.Exists(certificate) ? new PrivateKeyFile(path, null, certificate) : new PrivateKeyFile(path);
        }
        catch (SshPassPhraseNullOrEmptyException e)
        {
            throw new HostException(
                host.Name,
                $"the private key {path} has a passphrase, which kbr cannot ask for",
                "use a key without a passphrase, kept where only kbr's operator can read it",
                e
            );
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new HostException(
                host.Name,
                $"the private key {path} cannot be read: {e.Message}",
                "set ssh.identity_file to a private key that you can read",
                e
            );
        }
        catch (Exception e)
            when (e is SshException or ArgumentException or InvalidOperationException or NotSupportedException or FormatException)
        {
            throw new HostException(
                host.Name,
                $"{path} is not a private key that can be used: {e.Message}",
                "make one with ssh-keygen -t ed25519",
                e
            );
        }
    }

    private void Prefer(ConnectionInfo info, IReadOnlyList<string> knownTypes)
    {
        if (_settings.PreferCurve25519 && info.KeyExchangeAlgorithms.ContainsKey("curve25519-sha256"))
        {
            info.KeyExchangeAlgorithms.SetPosition("curve25519-sha256", 0);
        }

        // Host certificates are not checked by kbr: without them in the offer the host shows its plain key.
        foreach (
            var algorithm in info
                .HostKeyAlgorithms.Keys.Where(name => name.EndsWith("-cert-v01@openssh.com", StringComparison.Ordinal))
                .ToList()
        )
        {
            info.HostKeyAlgorithms.Remove(algorithm);
        }

        // A host has keys of several types and shows the one asked for first: ask for the one that is known.
        string[] preferred = [.. knownTypes.SelectMany(type => type == "ssh-rsa" ? (string[])["rsa-sha2-512", "rsa-sha2-256"] : [type])];
        for (var i = preferred.Length - 1; i >= 0; i--)
        {
            if (info.HostKeyAlgorithms.ContainsKey(preferred[i]))
            {
                info.HostKeyAlgorithms.SetPosition(preferred[i], 0);
            }
        }
    }

    private HostException? Judge(Host host, KnownHosts known, byte[] key)
    {
        var (hostname, port) = (SshEndpoint.Of(host).Hostname, SshEndpoint.Of(host).Port);
        var name = KnownHosts.Name(hostname, port);
        var file = _settings.KnownHostsFile;
        var what = $"{KnownHosts.TypeOf(key)} key {KnownHosts.Fingerprint(key)}";
        var scan = string.Create(CultureInfo.InvariantCulture, $"ssh-keyscan -p {port} {hostname} >> {file}");
        switch (known.Check(hostname, port, key))
        {
            case HostKeyVerdict.Known:
                return null;
            case HostKeyVerdict.Unknown when _settings.HostKeyChecking == HostKeyChecking.AcceptNew:
                try
                {
                    KnownHosts.Add(file, hostname, port, key);
                    return null;
                }
                catch (Exception e) when (e is IOException or UnauthorizedAccessException)
                {
                    return new HostException(
                        host.Name,
                        $"its {what} is new and cannot be added to {file}: {e.Message}",
                        $"make {file} writable",
                        e
                    );
                }

            case HostKeyVerdict.Unknown:
                return new HostException(
                    host.Name,
                    $"its {what} is not in {file}",
                    $"compare the fingerprint with the host's own (ssh-keygen -lf on its /etc/ssh/*.pub), then: {scan}"
                );
            case HostKeyVerdict.AuthorityOnly:
                return new HostException(
                    host.Name,
                    $"{file} names only a certificate authority for {name} (@cert-authority), which kbr cannot check; the "
                        + $"host showed its {what}",
                    $"compare the fingerprint with the host's own, then add the key itself: {scan}"
                );
            case HostKeyVerdict.Revoked:
                return new HostException(
                    host.Name,
                    $"its {what} is marked @revoked in {file}",
                    "give the host a new key; do not connect to it before"
                );
            default:
                return new HostException(
                    host.Name,
                    $"its {what} differs from {file}: the host was reinstalled, or the connection is intercepted",
                    $"once you know why it changed: ssh-keygen -R '{name}' -f {file}; then {scan}"
                );
        }
    }

    private HostException Explain(Host host, Exception error)
    {
        var where = string.Create(CultureInfo.InvariantCulture, $"{SshEndpoint.Of(host).Hostname}:{SshEndpoint.Of(host).Port}");
        var socket = error as SocketException ?? error.InnerException as SocketException;
        switch (socket?.SocketErrorCode)
        {
            case SocketError.ConnectionRefused:
                return new HostException(host.Name, $"{where} refuses connections", "is sshd running there, on that port?", error);
            case SocketError.HostNotFound or SocketError.NoData or SocketError.TryAgain:
                return new HostException(
                    host.Name,
                    $"the name {SshEndpoint.Of(host).Hostname} cannot be resolved",
                    "correct ssh.host, or name resolution on this machine",
                    error
                );
            case SocketError.HostUnreachable or SocketError.NetworkUnreachable:
                return new HostException(
                    host.Name,
                    $"there is no route to {where}",
                    "is the host up, and are you in its network or VPN?",
                    error
                );
            default:
                break;
        }

        return error switch
        {
            _ when socket?.SocketErrorCode == SocketError.TimedOut
                    || error is SshOperationTimeoutException or OperationCanceledException or TimeoutException => new HostException(
                host.Name,
                string.Create(CultureInfo.InvariantCulture, $"{where} did not answer within {_settings.ConnectTimeout.TotalSeconds:0.#} s"),
                "is the host up, and does its firewall let you in?",
                error
            ),
            SshAuthenticationException => new HostException(
                host.Name,
                $"{where} does not let user {SshEndpoint.Of(host).User} in with the key {_settings.IdentityFile}",
                $"add {_settings.IdentityFile}.pub to ~{SshEndpoint.Of(host).User}/.ssh/authorized_keys there",
                error
            ),
            _ => new HostException(
                host.Name,
                $"no SSH session with {where}: {error.Message}",
                "try: ssh -v to the same address, and look at sshd's journal there",
                error
            ),
        };
    }
}
