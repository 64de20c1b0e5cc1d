using System.Collections.Immutable;
using KeyBuzz.Reconciler.Applying;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.ConsensusStore;
using KeyBuzz.Reconciler.Providers.Container;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.PatroniCluster;

/// <summary>The move of all members to another consensus store. A member's container names the file of its store, so a member is in the
/// former store, between both, or in the declared one, whatever was interrupted and whichever host restarts.</summary>
/// <param name="group">The resource that stands for the cluster.</param>
/// <param name="access">The members.</param>
/// <param name="store">The declared store.</param>
internal sealed class StoreMove(IDeclared group, IGroupAccess access, IConsensusStore store)
{
    // Stopping takes as long as the unit and the container are given.
    private static readonly TimeSpan s_deadline = TimeSpan.FromMinutes(5);

    private readonly ClusterConnection _connection = ClusterConnection.Of(group);

    /// <summary>Where a member is; pure.</summary>
    /// <param name="policy">The cluster.</param>
    /// <param name="stores">The stores that clusters may use.</param>
    /// <param name="member">The answer about its container, and those to <see cref="Files"/>.</param>
    /// <param name="former">The former store; null for none.</param>
    public static StorePlace PlaceOf(IDeclared policy, ConsensusStores stores, Snapshot member, out IConsensusStore? former)
    {
        former = null;
        var read = ClusterConnection.Of(policy).ContainerRead;
        if (policy.Spec.OptionalString(PatroniGroupSpec.FileKey) is not { } file || !member.Has(read))
        {
            return StorePlace.None;
        }

        var container = member.Get(read);
        var declared = stores.Of(policy);
        foreach (var other in stores.All)
        {
            var name = stores.FileOf(other);
            if (other.Key == declared.Key || !member.Has(Beside(file, name)) || member.Get(Beside(file, name)) is not { Text: var text })
            {
                continue;
            }

            // A container that kbr did not make may read any file.
            if (container.Status == 200 ? Uses(container, name) : container.Status == 404 && other.IsUsedBy(text))
            {
                former = other;
                return container.Status == 200 ? StorePlace.Former : StorePlace.Between;
            }
        }

        return container.Status == 200 && Uses(container, stores.FileOf(declared)) ? StorePlace.Declared : StorePlace.None;
    }

    /// <summary>The patroni.yml of each store.</summary>
    public static IEnumerable<FileRead> Files(IDeclared policy, ConsensusStores stores) =>
        policy.Spec.OptionalString(PatroniGroupSpec.FileKey) is { } file
            ? stores.All.Select(store => Beside(file, stores.FileOf(store)))
            : [];

    /// <summary>What a member's host says of the declared image; nothing where none is declared.</summary>
    public static IEnumerable<ImageRead> Image(IDeclared policy) =>
        policy.Spec.OptionalString(PatroniGroupSpec.ImageKey) is { } image ? [new(image)] : [];

    /// <summary>Whether a member's container has another image than the declared one.</summary>
    public static bool HasOtherImage(IDeclared policy, Snapshot member) =>
        Image(policy).SingleOrDefault() is { } read
        && JsonAnswer.Parse(member.Get(ClusterConnection.Of(policy).ContainerRead).Json) is { } container
        && !ContainerComparison.HasImage(
            container,
            read.Reference,
            member.Get(read) is { Status: 200, Json: var image } ? JsonAnswer.Parse(image) : null
        );

    private static FileRead Beside(string file, string name) => new(file[..(file.LastIndexOf('/') + 1)] + name);

    private static bool Uses(DockerAnswer container, string file) =>
        JsonAnswer.Parse(container.Json)?.At("Config") is { } config
        && config.At("Labels")?.Text(ContainerComparison.AddressLabel) is not null
        && config.Texts("Cmd").LastOrDefault() is { } last
        && last[(last.LastIndexOf('/') + 1)..] == file;

    /// <summary>The member with the newest data by the control files: the highest timeline, then a primary's, then the latest checkpoint.
    /// Null where none could be read; pure.</summary>
    public static string? LastPrimary(string? dataDirectory, IReadOnlyDictionary<string, Snapshot> members)
    {
        string? newest = null;
        (uint Timeline, int WasPrimary, ulong Checkpoint) most = default;
        foreach (var (name, member) in members.OrderBy(pair => pair.Key, StringComparer.Ordinal))
        {
            if (
                dataDirectory is not null
                && MemberIdentity.ControlFile(dataDirectory) is var read
                && member.Has(read)
                && member.Get(read) is { Bytes: { Length: >= ControlBytes } bytes }
            )
            {
                var span = bytes.Span;
                // PostgreSQL's DBState: 2 is shut down in recovery, 5 is in archive recovery.
                var data = (
                    BitConverter.ToUInt32(span[TimelineAt..]),
                    BitConverter.ToInt32(span[StateAt..]) is 2 or 5 ? 0 : 1,
                    BitConverter.ToUInt64(span[CheckpointAt..])
                );
                if (newest is null || data.CompareTo(most) > 0)
                {
                    (newest, most) = (name, data);
                }
            }
        }

        return newest;
    }

    // ControlFileData of PostgreSQL 11 and newer.
    private const int StateAt = 16;
    private const int CheckpointAt = 32;
    private const int TimelineAt = 48;
    private const int ControlBytes = 52;

    /// <summary>Empties the declared store, stops the members, and takes their containers away. Answers null, or what failed: until the
    /// first container is taken away the members then run again, and from then on they stay stopped for the next apply.</summary>
    /// <param name="members">The members, the primary last.</param>
    /// <param name="cancellationToken">Aborts it, which is as a failure.</param>
    public async Task<string?> LeaveAsync(ImmutableArray<string> members, CancellationToken cancellationToken)
    {
        var stop = new Script(RecoveryJournal.Stop(_connection.Container, PatroniGroupSpec.Of(group).Unit)) { Deadline = s_deadline };
        // What it holds of the cluster is of an earlier time: nobody uses it yet.
        var clear = store.Clear(group);
        if (clear is null)
        {
            return $"kbr does not move a cluster to {store.Name}";
        }

        if (await RunAsync(store.RunsInPatroni ? members : members[^1..], clear, cancellationToken).ConfigureAwait(false) is { } full)
        {
            return full;
        }

        // The primary stops when the replicas have: nothing that it acknowledged is missing on them.
        var trouble = await RunAsync(members[..^1], stop, cancellationToken).ConfigureAwait(false)
            ?? await RunAsync(members[^1..], stop, cancellationToken).ConfigureAwait(false);
        if (trouble is not null)
        {
            var start = PatroniGroupSpec.Of(group).Unit is { } unit
                ? new Script(
                    $"if docker inspect {Script.Quote(_connection.Container)} >/dev/null 2>&1; then systemctl start {Script.Quote(unit)}; fi\n"
                )
                : new Script($"docker start {Script.Quote(_connection.Container)} >/dev/null\n");
            var again = await RunAsync(members, start, CancellationToken.None).ConfigureAwait(false);
            return trouble + (again is null ? "; the members run as before" : $"; {again}");
        }

        // From here on no host, whenever it restarts, starts the former store; docker refuses to remove a container that runs. One that was
        // there before kbr stays, stopped, under its other name.
        var gone = new Script(
            string.Concat(
                new[] { ContainerSpec.FormerOf(_connection.Container), _connection.Container }.Select(name =>
                    $"if [ -n \"$(docker inspect -f '{{{{index .Config.Labels \"{ContainerComparison.AddressLabel}\"}}}}' "
                    + $"{Script.Quote(name)} 2>/dev/null)\" ]; then docker rm {Script.Quote(name)} >/dev/null; fi\n"
                )
            )
        );
        trouble = await RunAsync(members, gone with { Text = "set -eu\ndocker version >/dev/null\n" + gone.Text }, cancellationToken)
            .ConfigureAwait(false);
        return trouble is null ? null : $"{trouble}; every member is stopped until kbr apply, run again, goes on with the move";
    }

    private async Task<string?> RunAsync(ImmutableArray<string> members, Script script, CancellationToken cancellationToken)
    {
        var results = await Task.WhenAll(members.Select(RunOnAsync)).ConfigureAwait(false);
        return results.FirstOrDefault(trouble => trouble is not null);

        async Task<string?> RunOnAsync(string member)
        {
            try
            {
                var result = await access.RunAsync(member, script, cancellationToken).ConfigureAwait(false);
                return result.ExitCode == 0
                    ? null
                    : $"{member}: "
                        + (
                            (result.Error.Trim() + " " + result.Output.Trim()).Trim() is { Length: > 0 } said
                                ? said.Split('\n')[^1]
                                : $"exit status {result.ExitCode}"
                        );
            }
            catch (HostException exception)
            {
                return $"{member}: {exception.Message}";
            }
            catch (OperationCanceledException)
            {
                return $"{member}: aborted";
            }
        }
    }
}

/// <summary>Where a member is on its way from one consensus store to another.</summary>
internal enum StorePlace
{
    /// <summary>It has no container that kbr made, and is not on its way.</summary>
    None,

    /// <summary>Its container uses the declared store.</summary>
    Declared,

    /// <summary>Its container uses another store.</summary>
    Former,

    /// <summary>It has no container, and the file of another store.</summary>
    Between,
}
