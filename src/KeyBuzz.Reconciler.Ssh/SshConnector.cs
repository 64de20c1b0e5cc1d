using KeyBuzz.Reconciler.Hosts;
using Renci.SshNet;

namespace KeyBuzz.Reconciler.Ssh;

/// <summary>Opens SSH connections with a private key, after checking the host's key against known_hosts; through jump hosts, each checked
/// like a host, where the settings name them.</summary>
public sealed class SshConnector : IHostConnector, IHostRoutes
{
    /// <summary>The environment variable with the passphrase of private keys.</summary>
    public const string PassphraseVariable = "KBR_SSH_PASSPHRASE";

    // SSH.NET occupies threads of the pool with every connection and with whatever comes in through a tunnel. The pool grows beyond its
    // minimum, the number of processors, by only one or two a second, and every host would wait for that. Threads that are not needed are
    // not made.
    private const int Threads = 64;

    private readonly SshSettings _settings;
    private readonly ProbeScript _probe;
    private readonly TimeProvider _time;
    private readonly SshRoutes _routes;
    private readonly KeyRing _keys;
    private readonly JumpHosts _jumps;

    static SshConnector()
    {
        ThreadPool.GetMinThreads(out var workers, out var completions);
        ThreadPool.SetMinThreads(Math.Max(workers, Threads), completions);
    }

    /// <summary>Takes the settings of all connections.</summary>
    /// <param name="settings">The settings.</param>
    /// <param name="probe">Renders reads as shell.</param>
    /// <param name="time">The clock.</param>
    /// <param name="prompts">What may be asked of the operator; null for nothing.</param>
    public SshConnector(SshSettings settings, ProbeScript probe, TimeProvider time, SshPrompts? prompts = null)
    {
        ArgumentNullException.ThrowIfNull(settings);
        _settings = settings;
        _probe = probe;
        _time = time;
        prompts ??= new SshPrompts();
        _routes = new SshRoutes(settings, new SshConfig(settings.Config, time), prompts);
        _keys = new KeyRing(prompts, time);
        _jumps = new JumpHosts(OpenAsync);
    }

    /// <inheritdoc />
    public async Task<IHostConnection> ConnectAsync(Host host, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(host);
        try
        {
            var route = await _routes.ResolveAsync(host).WaitAsync(cancellationToken).ConfigureAwait(false);
            var via = await _jumps.LeaseAsync(route.Jumps, cancellationToken).ConfigureAwait(false);
            try
            {
                return new SshConnection(host, await OpenAsync(route.Target, via, cancellationToken).ConfigureAwait(false), _probe, _time);
            }
            catch when (via is not null)
            {
                await via.DisposeAsync().ConfigureAwait(false);
                throw;
            }
        }
        catch (SshProblem problem)
        {
            throw new HostException(host.Name, problem.Message, problem.Remedy, problem);
        }
    }

    /// <inheritdoc />
    public async Task<HostRoute> ResolveAsync(Host host, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(host);
        try
        {
            var route = await _routes.ResolveAsync(host).WaitAsync(cancellationToken).ConfigureAwait(false);
            return new HostRoute(Stop(route.Target), [.. route.Jumps.Select(Stop)]);
        }
        catch (SshProblem problem)
        {
            throw new HostException(host.Name, problem.Message, problem.Remedy, problem);
        }

        static HostStop Stop(SshTarget target) => new(target.Name, target.Hostname, target.Port);
    }

    private async Task<SshLink> OpenAsync(SshTarget target, JumpLease? via, CancellationToken cancellationToken)
    {
        using var timeout = new HoldableDeadline(_settings.ConnectTimeout, _time);
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, timeout.Token);
        var jump = via?.Link.Target;
        KeyOffer? offer = null;
        Forwarding? forwarding = null;
        SshClient? client = null;
        Task? connecting = null;
        SshProblem? refusal = null;
        HostKeys? hostKeys = null;
        try
        {
            offer = await Task.Run(() => _keys.OfferAsync(target, timeout.Hold), cancellationToken)
                .WaitAsync(cancellationToken)
                .ConfigureAwait(false);
            if (via is not null)
            {
                forwarding = Forwarding.Open(via.Link.Client, target.Hostname, target.Port);
            }

            client = new SshClient(
                new ConnectionInfo(
                    forwarding is null ? target.Hostname : "127.0.0.1",
                    forwarding?.Port ?? target.Port,
                    target.User,
                    new PrivateKeyAuthenticationMethod(target.User, offer)
                )
                {
                    Timeout = _settings.ConnectTimeout,
                }
            );
            client.KeepAliveInterval = TimeSpan.FromSeconds(15);
            hostKeys = new HostKeys(target, _time);
            if (_settings.PreferCurve25519 && client.ConnectionInfo.KeyExchangeAlgorithms.ContainsKey("curve25519-sha256"))
            {
                client.ConnectionInfo.KeyExchangeAlgorithms.SetPosition("curve25519-sha256", 0);
            }

            hostKeys.Prefer(client.ConnectionInfo);
            client.HostKeyReceived += (_, received) =>
            {
                refusal = hostKeys.Judge(received.HostKey, received.Certificate);
                received.CanTrust = refusal is null;
            };

            // Parts of the key exchange block their thread, and a question for the passphrase does.
            var opening = client;
            connecting = Task.Run(() => opening.ConnectAsync(deadline.Token), CancellationToken.None);
            await connecting.WaitAsync(cancellationToken).ConfigureAwait(false);
            return new SshLink(target, client, via, forwarding, _time);
        }
        catch (Exception e)
        {
            Close(connecting, client, forwarding);
            if (refusal is not null)
            {
                throw refusal;
            }

            if (Inner<SshProblem>(e) is { } problem)
            {
                throw problem;
            }

            if (cancellationToken.IsCancellationRequested)
            {
                throw new OperationCanceledException("cancelled while connecting", e, cancellationToken);
            }

            if (via?.Lost is { } lost)
            {
                throw new SshProblem(
                    $"the connection through jump host {lost} was lost",
                    "check that the jump host is up, then run the command again",
                    e
                );
            }

            throw hostKeys?.BrokenOff() ?? ConnectFailure.Of(target, jump, offer, e, forwarding?.Failure, _settings.ConnectTimeout, _time);
        }
    }

    // A connection that is still being made is closed when it is done: the operator does not wait for it.
    private static void Close(Task? connecting, SshClient? client, Forwarding? forwarding)
    {
        if (connecting is { IsCompleted: false })
        {
            _ = connecting.ContinueWith(_ => Close(null, client, forwarding), TaskScheduler.Default);
            return;
        }

        client?.Dispose();
        forwarding?.Dispose();
    }

    // What a key's signature throws comes back through the library.
    private static T? Inner<T>(Exception? e)
        where T : Exception
    {
        for (; e is not null; e = e.InnerException)
        {
            if (e is T found)
            {
                return found;
            }
        }

        return null;
    }
}
