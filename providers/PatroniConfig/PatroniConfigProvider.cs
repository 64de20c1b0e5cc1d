using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Providers.ConsensusStore;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Providers.SqlProxies;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.PatroniConfig;

/// <summary>Patroni's dynamic configuration, key by key: kbr owns the keys that are declared, and keeps the others. A parameter of
/// PostgreSQL is as wanted when the store holds it and every member runs with it.</summary>
/// <param name="stores">The consensus stores that clusters may use.</param>
public sealed class PatroniConfigProvider(ConsensusStores stores)
    : IGroupResourceProvider,
        IForgottenOnRemoval,
        IForecastsRollout,
        IChangesAhead,
        IChangesInPart
{
    /// <summary>What follows, after a comma, an observed value that is stored and not in force everywhere.</summary>
    public static ImmutableArray<string> ReasonsNotInForce => ConfigView.Reasons;

    /// <summary>The type with the consensus stores that kbr knows.</summary>
    public PatroniConfigProvider()
        : this(ConsensusStores.Known) { }

    /// <summary>The word of the type.</summary>
    internal const string Type = "patroni_config";

    /// <inheritdoc />
    public ResourceSchema Schema { get; } =
        new(
            Type,
            "The dynamic configuration of a PostgreSQL cluster under Patroni, shared by all members.",
            [
                new(
                    PatroniConfigSpec.SettingsKey,
                    AttributeKind.StringMap,
                    "The values by flat key, for example ttl, or postgresql.parameters.max_connections."
                )
                {
                    Required = true,
                },
                new(
                    PatroniConfigSpec.VolumeKey,
                    AttributeKind.Path,
                    "Where each member has its volume: a value such as 30% of max_slot_wal_keep_size is of the smallest one."
                ),
                new(
                    PatroniConfigSpec.VolumeMembersKey,
                    AttributeKind.Integer,
                    "How many members there are: while one of them does not tell its volume's size, what is stored counts."
                ),
                .. ClusterConnection.Attributes.Select(attribute =>
                    attribute with
                    {
                        FixedBecause = attribute.Name switch
                        {
                            "connect_as" =>
                                "the superuser was created with the data directory, and Patroni logs in as it: a member whose patroni.yml "
                                    + "names a missing role loses its database",
                            "postgres_port" =>
                                "PostgreSQL changes its port only at a start, and the proxies would use the wrong port until then",
                            _ => attribute.FixedBecause,
                        },
                    }
                ),
                .. ClusterConnection.RestCredentials,
                ClusterIdentity.Definition with
                {
                    FixedBecause = "members in another namespace do not find the present ones, and would create a second, empty database",
                },
                .. stores.Attributes,
                .. ConnectionPools.Attributes,
                .. stores.All.SelectMany(store => store.GateAttributes),
                new("max_lag", AttributeKind.Size, "The maximal lag in bytes of a replica in a healthy cluster.")
                {
                    Default = PatroniHealth.DefaultMaxLag,
                },
                ClusterDefaults.GateTimeoutAttribute(
                    "Seconds to wait for members to take a value, and for the cluster to be healthy before and after each restart."
                ),
            ]
        );

    /// <inheritdoc />
    public bool HoldsData(Resource resource) => false;

    /// <inheritdoc />
    public bool IsForgotten(Resource resource) => true;

    /// <inheritdoc />
    public IEnumerable<Diagnostic> Validate(Resource resource)
    {
        var keys = PatroniConfigSpec.Of(resource).Settings.Keys.Order(StringComparer.Ordinal).ToList();
        foreach (var key in keys)
        {
            var inner = DynamicSettings.ParameterOf(key) is null
                ? keys.FirstOrDefault(other => other.StartsWith(key + ".", StringComparison.Ordinal))
                : null;
            var problem =
                inner is not null ? $"'{key}' cannot have a value and also hold '{inner}'"
                : key.Split('.').Any(part => part.Length == 0)
                    ? $"'{key}' is not a key of Patroni's dynamic configuration: a part of it is empty"
                : null;
            if (problem is not null)
            {
                yield return Diagnostic.Error(problem, resource.Location, address: resource.Address.ToString());
            }
        }
    }

    /// <inheritdoc />
    public ResourceLinks Links(Resource resource) => new(["patroni-config:" + resource.Address.Host], []);

    /// <inheritdoc />
    public IEnumerable<Read> Reads(Resource resource)
    {
        var spec = PatroniConfigSpec.Of(resource);
        return
        [
            .. ConfigView.Reads(spec.Connection, spec.Settings.Keys),
            ForeignSettings.Read(spec.Connection),
            .. VolumeShare.IsIn(spec.Settings) && spec.VolumePath is { } path ? VolumeShare.Reads(path) : [],
        ];
    }

    /// <inheritdoc />
    public SortedMap<AttributeValue> Desired(Resource resource) =>
        SortedMap.Of<AttributeValue>(
            PatroniConfigSpec.Of(resource).Settings.Select(pair => KeyValuePair.Create(pair.Key, new AttributeValue(pair.Value)))
        );

    /// <inheritdoc />
    public Observation Observe(Resource resource, IReadOnlyDictionary<string, Snapshot> members)
    {
        var spec = PatroniConfigSpec.Of(resource);
        var (declared, connection, _) = spec;
        if (ConfigView.Of(connection, declared.Keys, members) is not { } view)
        {
            return new Observation.Absent();
        }

        var wanted = VolumeShare.Resolve(
            declared,
            view.Stored,
            VolumeShare.Smallest(spec.VolumePath, spec.VolumeMembers, [.. members.Values])
        );

        // Where no PostgreSQL runs, the stored values may prevent its start: the store alone is compared.
        var isStored = wanted.All(pair => view.IsStored(pair.Key, pair.Value)) && view.Stored.Keys.All(wanted.ContainsKey);
        if (view.Members.IsEmpty && isStored)
        {
            return new Observation.Unknown($"no member's PostgreSQL answers: {string.Join("; ", view.Silent)}");
        }

        var observed = view.Stored.ToImmutableSortedDictionary(
            pair => pair.Key,
            pair => new AttributeValue(pair.Value),
            StringComparer.Ordinal
        );
        foreach (var (key, value) in wanted)
        {
            observed = view.Actual(key, value) is { } actual ? observed.SetItem(key, new AttributeValue(actual)) : observed.Remove(key);
        }

        // The part is compared, and not its size.
        foreach (var (key, value) in declared)
        {
            if (wanted[key] != value && observed.GetValueOrDefault(key)?.Value is { } found)
            {
                observed = observed.SetItem(key, new AttributeValue(found == wanted[key] ? value : found));
            }
        }

        // A key removed from the store is gone once no member has a restart pending for it.
        var waiting = view
            .Members.SelectMany(member => member.PatroniPending.Select(name => (Key: DynamicSettings.Parameters + name, member.Name)))
            .ToLookup(pair => pair.Key, pair => pair.Name);
        foreach (var left in waiting.Where(left => !view.Stored.ContainsKey(left.Key) && !wanted.ContainsKey(left.Key)))
        {
            observed = observed.SetItem(left.Key, new AttributeValue($"removed, restart pending on {string.Join(", ", left)}"));
        }

        return new Observation.Present(SortedMap.Of<AttributeValue>(observed))
        {
            Note = Note(view, declared, wanted),
            Outlook = ConfigOutlook.Of(view, wanted),
            Foreign = ForeignSettings.Find(connection, view, wanted, members),
        };
    }

    /// <summary>How many lines of a member's configuration files PostgreSQL would not start with; none where it does not answer.</summary>
    /// <param name="resource">The configuration.</param>
    /// <param name="member">The answers of the member.</param>
    public static int RefusedLines(Resource resource, Snapshot member)
    {
        ArgumentNullException.ThrowIfNull(member);
        return ForeignSettings.RefusedLines(PatroniConfigSpec.Of(resource).Connection, member);
    }

    /// <summary>How many parameters wait for a restart of a member: not those that a restart would not change.</summary>
    /// <param name="resource">The configuration.</param>
    /// <param name="member">The answers of the member.</param>
    public static int PendingRestarts(Resource resource, Snapshot member)
    {
        ArgumentNullException.ThrowIfNull(member);
        return ConfigView.PendingOf(member.Get(PatroniConfigSpec.Of(resource).Connection.Rest("/patroni"))).Count;
    }

    /// <inheritdoc />
    public RolloutForecast? Forecast(RolloutQuestion question)
    {
        ArgumentNullException.ThrowIfNull(question);
        // It comes after the roll-out of the members, which may leave another leader.
        return question.Change is { Action: ResourceAction.Update or ResourceAction.Create } change
            ? question
                .Outlooks.OfType<ConfigOutlook>()
                .FirstOrDefault()
                ?.Forecast(change, ClusterOutlook.Of(question.Outlooks)?.After(question.ToCome, question.Leaving))
            : null;
    }

    /// <inheritdoc />
    public async Task ChangeAsync(ResourceChange change, IGroupAccess group, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(change);
        ArgumentNullException.ThrowIfNull(group);
        if (change.Operation != ResourceOperation.Delete)
        {
            var resolved = await VolumeShare.ResolveAsync(change, group, cancellationToken).ConfigureAwait(false);
            await new ConfigChange(resolved, group, stores.Of(change.Resource)).RunAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    /// <inheritdoc />
    public async Task ChangeAheadAsync(ResourceChange change, IGroupAccess group, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(change);
        ArgumentNullException.ThrowIfNull(group);
        var resolved = await VolumeShare.ResolveAsync(change, group, cancellationToken).ConfigureAwait(false);
        await new ConfigChange(resolved, group, stores.Of(change.Resource)).StoreAheadAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>The parameters of PostgreSQL that a reload is enough for.</summary>
    public ResourceChange? WithoutDisruption(ResourceChange change, AttributeSet applied, GroupOutlook? outlook)
    {
        ArgumentNullException.ThrowIfNull(change);
        ArgumentNullException.ThrowIfNull(applied);
        if (outlook is not ConfigOutlook { Restarts: var restarts })
        {
            return null;
        }

        var wanted = change.Resource.Spec.Map(PatroniConfigSpec.SettingsKey);
        var settings = SortedMap.Of<string>(applied.Map(PatroniConfigSpec.SettingsKey));
        var names = change.Changed;
        foreach (var key in change.Changed)
        {
            // The value that a parameter falls back to is unknown.
            if (DynamicSettings.ParameterOf(key) is not null && !restarts.ContainsKey(key) && wanted.TryGetValue(key, out var value))
            {
                settings = settings.SetItem(key, value);
            }
            else
            {
                names = names.Remove(key);
            }
        }

        return names.IsEmpty
            ? null
            : change with
            {
                Resource = change.Resource with { Spec = change.Resource.Spec.With(PatroniConfigSpec.SettingsKey, settings) },
                Changed = names,
            };
    }

    private static string? Note(ConfigView view, IReadOnlyDictionary<string, string> declared, IReadOnlyDictionary<string, string> wanted)
    {
        List<string> parts =
        [
            .. declared
                .Where(pair => wanted[pair.Key] != pair.Value && !view.IsStored(pair.Key, wanted[pair.Key]))
                .Select(pair => $"{DynamicSettings.ParameterOf(pair.Key)}: {pair.Value} of the smallest volume are {wanted[pair.Key]}"),
        ];
        var restart = wanted
            .Where(pair =>
                !view.IsStored(pair.Key, pair.Value)
                && DynamicSettings.ParameterOf(pair.Key) is { } name
                && view.Any(name) is { Context: "postmaster" }
            )
            .Select(pair => pair.Key)
            .ToList();
        if (restart.Count > 0)
        {
            parts.Add($"members are restarted one at a time for {string.Join(", ", restart)}");
        }

        var copied = wanted
            .Where(pair => DynamicSettings.SlotOf(pair.Key) is not null && pair.Value == "logical" && !view.IsStored(pair.Key, pair.Value))
            .Select(pair => DynamicSettings.SlotOf(pair.Key))
            .ToList();
        if (copied.Count > 0)
        {
            parts.Add(
                $"Patroni restarts the replicas once, all at the same time, when it copies the new logical slot "
                    + $"{string.Join(" and ", copied)} to them"
            );
        }

        return parts.Count == 0 ? null : string.Join("; ", parts);
    }
}
