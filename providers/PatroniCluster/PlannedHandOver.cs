using System.Collections.Immutable;
using System.Globalization;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.SqlProxies;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.PatroniCluster;

/// <summary>What a planned hand-over of the lead took, phase by phase.</summary>
/// <param name="Pause">Until the pools were paused.</param>
/// <param name="Lead">From then until there was a new primary.</param>
/// <param name="Route">From then until every HAProxy sent sessions to it.</param>
/// <param name="Resume">From then until the pools were resumed.</param>
/// <param name="Paused">The hosts whose pools were paused.</param>
/// <param name="Unpaused">What of others was not, and why; empty where all were paused, or there are none.</param>
public sealed record HandOver(
    TimeSpan Pause,
    TimeSpan Lead,
    TimeSpan Route,
    TimeSpan Resume,
    ImmutableArray<string> Paused,
    ImmutableArray<string> Unpaused
)
{
    /// <summary>The phases in a line; null where there are no pools.</summary>
    public string? Phases =>
        Pause == TimeSpan.Zero
            ? null
            : string.Create(
                CultureInfo.InvariantCulture,
                $"pools paused after {Pause.TotalSeconds:0.0} s, the lead after {Lead.TotalSeconds:0.0} s more, HAProxy after "
                    + $"{Route.TotalSeconds:0.0} s, pools resumed after {Resume.TotalSeconds:0.0} s"
            );
}

/// <summary>A hand-over was put off, because transactions run for longer than was waited for. To try again at once would keep all others
/// waiting again.</summary>
public sealed class HandOverPostponedException(string message) : ChangeFailedException(message);

/// <summary>Hands the lead over while the pools in front of the cluster are paused, so that their sessions wait and do not fail. Whatever
/// happens here, the pools are resumed: from here, or by their hosts once nobody holds the pause.</summary>
/// <param name="pools">The pools; null for none.</param>
/// <param name="access">The members, and the hosts of the pools beside them.</param>
public sealed class PlannedHandOver(ConnectionPools? pools, IGroupAccess access)
{
    private static readonly PollPace s_route = new(TimeSpan.FromMilliseconds(100), TimeSpan.FromSeconds(15));
    private static readonly TimeSpan s_hold = ConnectionPools.Lease / 5;

    // What a host may take beyond its own time, before it counts as one that does not answer.
    private static readonly TimeSpan s_slow = TimeSpan.FromSeconds(10);

    private enum Answer
    {
        // All transactions have ended.
        Paused,

        // Some have not, and all others wait.
        Busy,

        // Its pools go on.
        Failed,
    }

    /// <summary>Runs it. Throws what the hand-over throws, and <see cref="HandOverPostponedException"/> where transactions take too
    /// long and may not be ended.</summary>
    /// <param name="candidate">Who is to lead.</param>
    /// <param name="handOverAsync">Answers the new primary once it leads, which may be another than the candidate. Once pools are paused it
    /// is not cancelled: that would send their sessions to nobody.</param>
    /// <param name="cancellationToken">Ends it before that.</param>
    public async Task<HandOver> RunAsync(
        string candidate,
        Func<CancellationToken, Task<string>> handOverAsync,
        CancellationToken cancellationToken
    )
    {
        var begun = access.Time.GetTimestamp();
        if (pools is null)
        {
            await handOverAsync(cancellationToken).ConfigureAwait(false);
            return new HandOver(TimeSpan.Zero, access.Time.GetElapsedTime(begun), TimeSpan.Zero, TimeSpan.Zero, [], []);
        }

        access.Report.Awaits("the transactions of the pools end");
        using var over = new CancellationTokenSource();
        var hosts = await Task.WhenAll(pools.Hosts.Select(host => new PausedHost(host, pools, access).PauseAsync(over.Token)))
            .ConfigureAwait(false);
        var waiting = hosts.Where(host => host.Answer != Answer.Failed).ToList();
        TimeSpan pause,
            lead,
            route;
        try
        {
            pause = access.Time.GetElapsedTime(begun);
            cancellationToken.ThrowIfCancellationRequested();
            if (pools.IsRequired && hosts.Where(host => host.Answer == Answer.Busy).ToList() is { Count: > 0 } busy)
            {
                throw new HandOverPostponedException(
                    $"the lead was not handed over to {candidate}: {string.Join("; ", busy.Select(host => host.Trouble))}. Wait for these "
                        + "transactions, or let the hand-over end them by postgres.switchover.on_timeout: proceed"
                );
            }

            await Task.WhenAll(waiting.Select(host => host.HoldDirectAsync())).ConfigureAwait(false);
            string primary;
            try
            {
                primary = await handOverAsync(waiting.Count > 0 ? CancellationToken.None : cancellationToken).ConfigureAwait(false);
            }
            catch (ChangeFailedException) when (waiting.Count > 0)
            {
                // Patroni may go on without us; whoever leads then, the sessions are sent to it.
                await RouteAsync(waiting, null).ConfigureAwait(false);
                throw;
            }

            lead = access.Time.GetElapsedTime(begun) - pause;
            await RouteAsync(waiting, primary).ConfigureAwait(false);
            route = access.Time.GetElapsedTime(begun) - pause - lead;
        }
        finally
        {
            await over.CancelAsync().ConfigureAwait(false);
            await Task.WhenAll(hosts.Select(host => host.ResumeAsync())).ConfigureAwait(false);
        }

        return new HandOver(
            pause,
            lead,
            route,
            access.Time.GetElapsedTime(begun) - pause - lead - route,
            [.. hosts.Where(host => host.Answer == Answer.Paused).Select(host => host.Name)],
            [.. hosts.Select(host => host.Trouble).OfType<string>()]
        );
    }

    private Task<bool> RouteAsync(List<PausedHost> hosts, string? primary) =>
        Poll.UntilAsync(
            async () => (await Task.WhenAll(hosts.Select(host => host.LeadsAsync(primary))).ConfigureAwait(false)).All(leads => leads),
            seen => seen,
            s_route,
            access.Time,
            CancellationToken.None
        );

    // A host with pools. It is asked beside the others, and never waits for them.
    private sealed class PausedHost(string name, ConnectionPools pools, IGroupAccess access)
    {
        private Task _held = Task.CompletedTask;
        private bool _isLapsed;
        private string? _trouble;

        public string Name => name;

        public Answer Answer { get; private set; }

        // The trouble with this host, for the operator; null for none.
        public string? Trouble =>
            _trouble is { } trouble ? $"{name}: {trouble}"
            : _isLapsed ? $"{name}: its pools were resumed by the host before the hand-over was done"
            : null;

        // Not cancelled midway: what was begun is resumed.
        public async Task<PausedHost> PauseAsync(CancellationToken over)
        {
            var (answer, trouble) = await AskAsync().ConfigureAwait(false);
            (Answer, _trouble) = (answer, trouble);
            if (answer != Answer.Failed)
            {
                _held = HoldAsync(over);
            }

            return this;
        }

        // Where that fails, new direct sessions are refused for as long as there is no primary.
        public async Task HoldDirectAsync()
        {
            var (code, error) = await RunAsync(ConnectionPools.HoldDirect).ConfigureAwait(false);
            if (code is not (0 or ConnectionPools.Over))
            {
                access.Report.Awaits($"{name}: new direct sessions cannot be kept waiting: {error}");
            }
        }

        // One that does not answer is not waited for: it leads nobody anywhere.
        public async Task<bool> LeadsAsync(string? primary)
        {
            try
            {
                var answer = await access.ReadAsync(name, [pools.Statistics], CancellationToken.None).ConfigureAwait(false);
                return pools.Leads(primary, answer);
            }
            catch (HostException)
            {
                return true;
            }
        }

        // Where that fails the host does it by itself.
        public async Task ResumeAsync()
        {
            await _held.ConfigureAwait(false);
            var (code, error) = await RunAsync(pools.Resume).ConfigureAwait(false);
            if (code != 0 && Answer != Answer.Failed)
            {
                access.Report.Awaits($"{name} resumes its pools by itself: {error}");
            }
        }

        private async Task<(Answer Answer, string? Trouble)> AskAsync()
        {
            var (code, error) = await RunAsync(pools.Pause).ConfigureAwait(false);
            return code switch
            {
                0 => (Answer.Paused, null),
                ConnectionPools.Busy => (
                    Answer.Busy,
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"transactions through its pools run for more than {pools.Patience.TotalSeconds:0} s"
                    )
                ),
                _ => (Answer.Failed, "its pools cannot be paused: " + error),
            };
        }

        private async Task HoldAsync(CancellationToken over)
        {
            while (!over.IsCancellationRequested)
            {
                try
                {
                    await Task.Delay(s_hold, access.Time, over).ConfigureAwait(false);
                }
                catch (OperationCanceledException)
                {
                    return;
                }

                _isLapsed |= (await RunAsync(ConnectionPools.Hold).ConfigureAwait(false)).Code == ConnectionPools.Over;
            }
        }

        // An exit code, or one that no script has where the host does not answer in time.
        private async Task<(int Code, string Error)> RunAsync(Script script)
        {
            try
            {
                var result = await access
                    .RunAsync(name, script, CancellationToken.None)
                    .WaitAsync(pools.Patience + s_slow, access.Time)
                    .ConfigureAwait(false);
                return (result.ExitCode, LastLine(result.Error));
            }
            catch (HostException exception)
            {
                return (-1, exception.Message);
            }
            catch (TimeoutException)
            {
                return (-1, "it does not answer");
            }
        }

        private static string LastLine(string text) => text.Trim() is { Length: > 0 } said ? said.Split('\n')[^1] : "no reason is given";
    }
}
