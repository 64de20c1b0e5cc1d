using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.PatroniCluster;

namespace KeyBuzz.Reconciler.PostgresHa.Status;

/// <summary>The conclusion of the checks.</summary>
internal sealed partial class StatusJudgement
{
    private StatusConclusion Conclude(IReadOnlyCollection<StatusItem> items)
    {
        ImmutableArray<string> unreachable = [.. All.Where(host => Of(host) is null).Select(host => host.Name)];
        var (writes, note) = Writes();
        var serving = (Leader is null ? 0 : 1) + Replicas.Count(member => member.Replication == "streaming");
        return new StatusConclusion(writes, note, serving, _declared, unreachable, Causes(items, unreachable))
        {
            WritesThrough = writes == StatusVerdict.Ok ? WritesThrough() : "",
        };
    }

    // Of the proxies without a load balancer those through which it was tried.
    private string WritesThrough()
    {
        var entry = _topology.Entry;
        var writable = _endpoints.Where(endpoint => endpoint.Entry is not null && IsWritable(endpoint)).Select(endpoint => endpoint.Way);
        return string.Join(
            " and ",
            entry
                .Addresses.Select(address => $"{address}:{entry.Port}")
                .Where(to => writable.Any(way => way.EndsWith($" {to}", StringComparison.Ordinal)))
        );
    }

    // Only where applications connect: through the load balancer, or without one through any of the proxies.
    private (StatusVerdict Verdict, string Note) Writes()
    {
        if (_topology.Synchronous == SynchronousMode.Strict && Leader is not null && !Health.Members.Any(member => member.IsSynchronous))
        {
            return (StatusVerdict.NotOk, "no synchronous standby, so no write is committed");
        }

        var ways = _endpoints.Where(endpoint => endpoint.Entry is not null).GroupBy(endpoint => endpoint.Entry).ToList();
        var shut = ways.Where(way => !way.Any(IsWritable)).ToList();
        // HAProxy sends pooled sessions to any PgBouncer: also to that of a proxy that could not be read.
        var read = _topology.Proxies.Select(Of).OfType<Snapshot>().ToList();
        var withoutPool =
            read.Count > 0 && read.Count == _topology.Proxies.Length && read.TrueForAll(proxy => IsDown(proxy, StatusReads.PgBouncer));
        var pooled = SqlEndpointProbe.PooledEntry(_topology);
        return shut.Count == 0 && ways.Count > 0 ? (StatusVerdict.Ok, "")
            : shut.TrueForAll(way => !way.Any(endpoint => endpoint.Measured) && !IsWithoutPool(way.Key))
                ? (StatusVerdict.Unknown, "no proxy could be asked")
            : (
                StatusVerdict.NotOk,
                string.Join(
                    "; ",
                    shut.Select(way =>
                    {
                        var problems = way.Where(endpoint => endpoint.Measured).Select(EndpointProblem).OfType<string>();
                        return $"{way.Key}: {problems.FirstOrDefault() ?? Unmeasured(way.Key)}";
                    })
                )
            );

        bool IsWithoutPool(string? way) => withoutPool && way == pooled;

        string Unmeasured(string? way) => IsWithoutPool(way) ? $"pgbouncer runs on none of {read.Count} proxies" : "not measured";
    }

    private static bool IsWritable(EndpointAnswer endpoint) => endpoint.Answer is { InRecovery: false, IsReadOnly: false };

    // An unreachable host, a full volume, a stopped service or a pause is the cause of its consequences; otherwise the first failed check
    // is named.
    private ImmutableArray<StatusCause> Causes(IReadOnlyCollection<StatusItem> items, ImmutableArray<string> unreachable)
    {
        string[] causes =
        [
            .. unreachable.Select(host => $"{host} unreachable"),
            .. FullVolumes.Select(host => $"the volume of {host} is full"),
            .. TroublesOf(UnitTrouble).Select(one => one.Text),
            .. Health.IsPaused ? ["Patroni is paused"] : (string[])[],
            .. _fenced.Select(one => $"{one.Member.Name} is fenced"),
        ];
        var first = items.FirstOrDefault(item => item.Verdict == StatusVerdict.NotOk)
            ?? items.FirstOrDefault(item => item.Verdict == StatusVerdict.Unknown);
        return causes.Length > 0 ? [.. causes.Select(text => new StatusCause(text))]
            : first is null ? []
            : [StatusCause.Of(first)];
    }
}
