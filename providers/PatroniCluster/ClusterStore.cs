using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.ConsensusStore;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.PatroniCluster;

/// <summary>The consensus store of a running cluster: its health, and changes of its members.</summary>
/// <param name="resource">A resource of the cluster.</param>
/// <param name="group">The members.</param>
/// <param name="store">The store.</param>
internal sealed class ClusterStore(IDeclared resource, IGroupAccess group, IConsensusStore store)
{
    private readonly ClusterConnection _connection = ClusterConnection.Of(resource);

    /// <summary>The store's problems according to its members; empty for none, or if Patroni uses another store.</summary>
    /// <param name="without">Members that count as removed.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public async Task<ImmutableArray<HealthProblem>> ProblemsAsync(
        ImmutableSortedSet<string> without,
        CancellationToken cancellationToken
    ) => Problems(await PatroniGroup.ReadAllAsync(group, store.Reads(resource), cancellationToken).ConfigureAwait(false), without);

    /// <summary>The same, from answers already read. Pure.</summary>
    /// <param name="snapshots">The answers of the members that could be read.</param>
    /// <param name="without">Members that count as removed.</param>
    public ImmutableArray<HealthProblem> Problems(IReadOnlyDictionary<string, Snapshot> snapshots, ImmutableSortedSet<string> without)
    {
        var asked = group.Members.Select(member => member.Name).Except(without).ToList();
        var answers = snapshots
            .Where(pair => asked.Contains(pair.Key))
            .ToDictionary(pair => pair.Key, pair => pair.Value, StringComparer.Ordinal);
        var gone = group
            .Members.Where(member => without.Contains(member.Name))
            .Select(member => store.AddressOf(resource, member))
            .ToList();
        var health = store.Judge(resource, answers, gone);
        var mistaken = ClusterIdentity
            .Of(resource)
            .Compare(
                answers.Select(pair => new MemberIdentity(pair.Key)
                {
                    Namespace = store.NamespaceOf(resource, pair.Value) is { } found ? ClusterIdentity.Normal(found) : null,
                })
            );
        var uncounted = store
            .MembershipOf(resource)
            ?.Uncounted(health, Members(group.Members.Where(member => snapshots.ContainsKey(member.Name))));
        return
        [
            .. mistaken is null ? [] : new[] { new HealthProblem(HealthProblemKind.Identity, null, mistaken.Text) },
            .. asked
                .Where(name => !snapshots.ContainsKey(name))
                .Select(name => Problem(name, $"{store.Name}'s status is unknown: the host could not be read")),
            .. health.Problems,
            .. (uncounted ?? []).Select(member => Problem(member.Host, $"{store.Name} does not count it yet")),
        ];
    }

    /// <summary>Takes one step towards the store counting exactly the members: its leader adds a member, or removes a former one.
    /// Answers the pending work; null for none.</summary>
    /// <param name="staying">Members that are still to be taken down.</param>
    /// <param name="mayAdd">Whether members that do not count may be added.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public async Task<string?> ChangeAsync(ImmutableArray<Host> staying, bool mayAdd, CancellationToken cancellationToken)
    {
        if (store.MembershipOf(resource) is not { } membership)
        {
            return null;
        }

        var patroni = _connection.Rest("/patroni");
        var snapshots = await PatroniGroup
            .ReadAllAsync(group, [.. store.Reads(resource), patroni], cancellationToken)
            .ConfigureAwait(false);
        var answering = group
            .Members.Where(member => snapshots.TryGetValue(member.Name, out var snapshot) && snapshot.Get(patroni).Status > 0)
            .ToList();
        var health = store.Judge(
            resource,
            answering.ToDictionary(member => member.Name, member => snapshots[member.Name], StringComparer.Ordinal),
            []
        );
        if (health.Leader is not { } leader)
        {
            return health.Problems.IsEmpty ? null : $"{store.Name} has no leader with a quorum";
        }

        return membership.Next(health, Members(answering), [.. Members(staying).Select(member => member.Address)], mayAdd) switch
        {
            StoreChange.Add(var address) => await RunAsync("counts", address, store.Add(resource, address)).ConfigureAwait(false),
            StoreChange.Forget(var address) => await RunAsync("forgets", address, store.Forget(resource, address)).ConfigureAwait(false),
            StoreChange.AwaitStop(var addresses) => $"{string.Join(" and ", addresses)} still takes part in {store.Name}",
            _ => null,
        };

        async Task<string> RunAsync(string verb, string address, Script script)
        {
            var result = await group.RunAsync(leader, script, cancellationToken).ConfigureAwait(false);
            return $"{store.Name} {verb} {address}: {result.Output.Trim().Split('\n')[^1]}";
        }
    }

    private IEnumerable<StoreMember> Members(IEnumerable<Host> hosts) =>
        hosts.Select(host => new StoreMember(host.Name, store.AddressOf(resource, host)));

    private static HealthProblem Problem(string member, string text) => new(HealthProblemKind.Store, member, $"{member}: {text}");
}
