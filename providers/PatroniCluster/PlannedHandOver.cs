using System.Collections.Immutable;
using System.Globalization;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.SqlProxies;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.PatroniCluster;

/// <summary>What a planned hand-over of the lead took, phase by phase.</summary>
/// <param name="Pause">Until the pools were paused.</param>
/// <param name="Lead">From then until the candidate led.</param>
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
    /// <summary>The phases in a line; null where no pool was paused.</summary>
    public string? Phases =>
        Paused.IsEmpty
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
internal sealed class PlannedHandOver(ConnectionPools? pools, IGroupAccess access)
{
    private static readonly PollPace s_route = new(TimeSpan.FromMilliseconds(100), TimeSpan.FromSeconds(15));

    /// <summary>Runs it. Throws what the hand-over throws, and <see cref="HandOverPostponedException"/> where a pause is
    /// required and not to be had.</summary>
    /// <param name="candidate">Who is to lead.</param>
    /// <param name="handOverAsync">Returns once it leads.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public async Task<HandOver> RunAsync(string candidate, Func<Task> handOverAsync, CancellationToken cancellationToken)
    {
        if (pools is null)
        {
            var alone = access.Time.GetTimestamp();
            await handOverAsync().ConfigureAwait(false);
            return new HandOver(TimeSpan.Zero, access.Time.GetElapsedTime(alone), TimeSpan.Zero, TimeSpan.Zero, [], []);
        }

        using var over = new CancellationTokenSource();
        var held = HoldAsync(pools, over.Token);
        var begun = access.Time.GetTimestamp();
        TimeSpan pause,
            lead,
            route;
        ImmutableArray<string> paused = [];
        ImmutableArray<string> unpaused;
        try
        {
            access.Report.Awaits("the transactions of the pools end");
            var answers = await Task.WhenAll(pools.Hosts.Select(host => PauseAsync(pools, host))).ConfigureAwait(false);
            paused = [.. answers.Where(answer => answer.Trouble is null).Select(answer => answer.Host)];
            unpaused = [.. answers.Where(answer => answer.Trouble is not null).Select(answer => $"{answer.Host}: {answer.Trouble}")];
            pause = access.Time.GetElapsedTime(begun);
            cancellationToken.ThrowIfCancellationRequested();
            if (pools.IsRequired && !unpaused.IsEmpty)
            {
                throw new HandOverPostponedException(
                    $"the lead was not handed over to {candidate}: {string.Join("; ", unpaused)}. Wait for these transactions, or let the "
                        + "hand-over end them by postgres.switchover.on_timeout: proceed"
                );
            }

            await handOverAsync().ConfigureAwait(false);
            lead = access.Time.GetElapsedTime(begun) - pause;
            await RouteAsync(pools, paused, candidate, cancellationToken).ConfigureAwait(false);
            route = access.Time.GetElapsedTime(begun) - pause - lead;
        }
        finally
        {
            await over.CancelAsync().ConfigureAwait(false);
            await held.ConfigureAwait(false);
            await Task.WhenAll(pools.Hosts.Select(host => ResumeAsync(pools, host))).ConfigureAwait(false);
        }

        return new HandOver(pause, lead, route, access.Time.GetElapsedTime(begun) - pause - lead - route, paused, unpaused);
    }

    // Answers why they are not paused; null when they are. Not cancelled midway: what was begun is resumed.
    private async Task<(string Host, string? Trouble)> PauseAsync(ConnectionPools pools, string host)
    {
        try
        {
            var result = await access.RunAsync(host, pools.Pause, CancellationToken.None).ConfigureAwait(false);
            return (
                host,
                result.ExitCode switch
                {
                    0 => null,
                    ConnectionPools.Busy => string.Create(
                        CultureInfo.InvariantCulture,
                        $"transactions through its pools run for more than {pools.Patience.TotalSeconds:0} s"
                    ),
                    _ => "its pools cannot be paused: " + LastLine(result.Error),
                }
            );
        }
        catch (HostException exception)
        {
            return (host, "its pools cannot be paused: " + exception.Message);
        }
    }

    // A third of the patience leaves time for a slow answer.
    private async Task HoldAsync(ConnectionPools pools, CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            try
            {
                await Task.Delay(pools.Patience / 3, access.Time, stop).ConfigureAwait(false);
                await Task.WhenAll(pools.Hosts.Select(host => access.RunAsync(host, pools.Hold, CancellationToken.None)))
                    .ConfigureAwait(false);
            }
            catch (Exception exception) when (exception is HostException or OperationCanceledException)
            {
                // The host resumes its pools by itself.
            }
        }
    }

    // A proxy that does not answer is not waited for: it leads nobody anywhere.
    private Task<bool> RouteAsync(
        ConnectionPools pools,
        ImmutableArray<string> hosts,
        string candidate,
        CancellationToken cancellationToken
    ) =>
        Poll.UntilAsync(
            async () =>
                (await Task.WhenAll(hosts.Select(host => LeadsAsync(pools, host, candidate, cancellationToken))).ConfigureAwait(false)).All(
                    leads => leads
                ),
            seen => seen,
            s_route,
            access.Time,
            cancellationToken
        );

    private async Task<bool> LeadsAsync(ConnectionPools pools, string host, string candidate, CancellationToken cancellationToken)
    {
        try
        {
            return pools.LeadTo(candidate, await access.ReadAsync(host, [pools.Statistics], cancellationToken).ConfigureAwait(false));
        }
        catch (HostException)
        {
            return true;
        }
    }

    private async Task ResumeAsync(ConnectionPools pools, string host)
    {
        try
        {
            var result = await access.RunAsync(host, pools.Resume, CancellationToken.None).ConfigureAwait(false);
            if (result.ExitCode != 0)
            {
                access.Report.Awaits($"{host} resumes its pools by itself: {LastLine(result.Error)}");
            }
        }
        catch (HostException)
        {
            // The host does it by itself.
        }
    }

    private static string LastLine(string text) => text.Trim() is { Length: > 0 } said ? said.Split('\n')[^1] : "no reason is given";
}
