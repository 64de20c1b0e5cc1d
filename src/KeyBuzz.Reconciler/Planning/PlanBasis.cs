using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Graph;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>The basis and the actions of a plan, as keyed fingerprints that reveal only whether a value is still the same. Only what was
/// compared is in it: never the primary, a lag, a time, or a forecast.</summary>
/// <param name="Files">The local files and the secrets, by name.</param>
/// <param name="Hosts">Where each host is.</param>
/// <param name="Desired">What is wanted, by address and attribute.</param>
/// <param name="Records">What was last applied, by address.</param>
/// <param name="Observed">What the hosts hold, by address and attribute.</param>
/// <param name="Steps">What is done, by address.</param>
public sealed record PlanBasis(
    ImmutableSortedDictionary<string, string> Files,
    ImmutableSortedDictionary<string, string> Hosts,
    ImmutableSortedDictionary<string, ImmutableSortedDictionary<string, string>> Desired,
    ImmutableSortedDictionary<string, string> Records,
    ImmutableSortedDictionary<string, ImmutableSortedDictionary<string, string>> Observed,
    ImmutableSortedDictionary<string, string> Steps
)
{
    // Beside the attributes of a resource: the rest of what cluster.yaml says of it; whether it is there.
    private const string Rest = "its other settings";
    private const string State = "";
    private const int Most = 20;

    private static readonly ImmutableSortedDictionary<string, string> s_none = ImmutableSortedDictionary.Create<string, string>(
        StringComparer.Ordinal
    );

    /// <summary>The fingerprints of a plan and of what it was made from.</summary>
    /// <param name="input">What it was made from.</param>
    /// <param name="plan">The plan.</param>
    /// <param name="providers">The resource types.</param>
    /// <param name="key">The key of the fingerprints.</param>
    /// <param name="files">The local files and the secrets, each by a text that changes with it.</param>
    /// <param name="hosts">Where each host is, as a text.</param>
    public static PlanBasis Of(
        PlanInput input,
        Plan plan,
        ProviderRegistry providers,
        byte[] key,
        IEnumerable<KeyValuePair<string, string>> files,
        IEnumerable<KeyValuePair<string, string>> hosts
    )
    {
        ArgumentNullException.ThrowIfNull(input);
        ArgumentNullException.ThrowIfNull(plan);
        ArgumentNullException.ThrowIfNull(providers);
        var desired = Sorted<ImmutableSortedDictionary<string, string>>();
        var records = Sorted<string>();
        var observed = Sorted<ImmutableSortedDictionary<string, string>>();
        var steps = Sorted<string>();
        foreach (var change in plan.Changes)
        {
            var name = change.Address.ToString();
            var wanted =
                input.Graph.Find(change.Address) is { } node && !input.Options.Destroy
                    ? Wanted(node, providers.Get(change.Address.Type), Print)
                    : s_none;
            if (!wanted.IsEmpty)
            {
                desired[name] = wanted;
            }

            var record = input.Records.GetValueOrDefault(change.Address);
            if (record is not null)
            {
                // When it was written, and how often, says nothing about what was applied.
                records[name] = Print(name, "", RecordJson.Write(record with { AppliedAt = null, Serial = 0 }, ""));
            }

            if (!change.Deferred)
            {
                observed[name] = Seen(
                    input.Observations.GetValueOrDefault(change.Address),
                    name,
                    [.. wanted.Keys, .. record?.Fingerprints.Keys ?? []],
                    Print
                );
            }

            if (change.Action != ResourceAction.NoOp || change.Deferred)
            {
                string[] step =
                [
                    $"{change.Cause} {change.DeleteData} {change.Deferred} {change.Disrupts} {change.Former?.Address} {change.MovedFrom}",
                    string.Join(' ', change.DependsOn),
                    .. Differences(change.Differences),
                ];
                steps[name] = change.Action.Word() + ":" + Print(name, "step", string.Join('\n', step));
            }
        }

        foreach (var group in plan.Groups.Where(group => group.IsSelected))
        {
            var (policy, name) = (group.Policy, group.Address.ToString());
            string[] settings =
            [
                .. Settings(policy.Spec),
                string.Join(' ', policy.After.Order()),
                string.Join(' ', policy.AfterRemovalOf.Order()),
            ];
            desired[name] = Wanted(name, policy.Rules.Desired(policy), settings, Print);
            observed[name] = Seen(input.Observations.GetValueOrDefault(group.Address), name, [.. desired[name].Keys], Print);
            if (group.BringsToHealth)
            {
                string[] step = [$"{group.Cause}", string.Join(' ', group.DependsOn), .. Differences(group.Differences)];
                steps[name] = PlannedGroup.Word + ":" + Print(name, "step", string.Join('\n', step));
            }
        }

        return new PlanBasis(
            files.ToImmutableSortedDictionary(pair => pair.Key, pair => Print(pair.Key, "file", pair.Value), StringComparer.Ordinal),
            hosts.ToImmutableSortedDictionary(pair => pair.Key, pair => Print(pair.Key, "host", pair.Value), StringComparer.Ordinal),
            desired.ToImmutable(),
            records.ToImmutable(),
            observed.ToImmutable(),
            steps.ToImmutable()
        );

        // Half of an HMAC-SHA-256 is still more than anybody can find a second text for.
        string Print(string of, string attribute, string value) =>
            Convert.ToHexStringLower(HMACSHA256.HashData(key, Encoding.UTF8.GetBytes($"{of}\n{attribute}\n{value}")).AsSpan(0, 16));
    }

    /// <summary>The changes since the plan was made: an error for each host, and for each resource with its host or file. Empty when the
    /// plan is up to date.</summary>
    /// <param name="now">The same, as of now.</param>
    /// <param name="locate">The place in cluster.yaml of a resource or group as it is wanted now; null when it is not.</param>
    public ImmutableArray<Diagnostic> Changes(PlanBasis now, Func<Address, SourceLocation?> locate)
    {
        ArgumentNullException.ThrowIfNull(now);
        ArgumentNullException.ThrowIfNull(locate);
        var files = Names(Files, now.Files).ToList();
        var changed = ImmutableArray.CreateBuilder<Diagnostic>();
        foreach (var host in Names(Hosts, now.Hosts))
        {
            changed.Add(Diagnostic.Error($"{host}: its address or SSH settings changed in cluster.yaml", host: host));
        }

        string[] all =
        [
            .. Steps.Keys,
            .. now.Steps.Keys,
            .. Desired.Keys,
            .. now.Desired.Keys,
            .. Observed.Keys,
            .. now.Observed.Keys,
            .. Records.Keys,
            .. now.Records.Keys,
        ];
        foreach (var name in all.Distinct().Order(StringComparer.Ordinal))
        {
            var address = Address.TryParse(name, out var parsed) ? parsed : default;
            var reasons = new List<string>();
            var wanted = Difference(
                Desired,
                now.Desired,
                name,
                "it was added to the configuration",
                "it was removed from the configuration",
                names => $"desired value changed: {names}"
            );
            if (wanted is not null)
            {
                reasons.Add(wanted + (files.Count > 0 ? $" (changed since: {string.Join(", ", files)})" : ""));
            }

            if (Records.GetValueOrDefault(name) != now.Records.GetValueOrDefault(name))
            {
                reasons.Add(
                    now.Records.ContainsKey(name)
                        ? $"it was applied since (its record on {address.Host} changed)"
                        : $"its record on {address.Host} is gone"
                );
            }

            if (Seen(Observed.GetValueOrDefault(name, s_none), now.Observed.GetValueOrDefault(name, s_none), address.Host) is { } seen)
            {
                reasons.Add(seen);
            }

            if (reasons.Count == 0 && Steps.GetValueOrDefault(name) != now.Steps.GetValueOrDefault(name))
            {
                reasons.Add($"planned action was {Word(Steps, name)}, now {Word(now.Steps, name)}");
            }

            if (reasons.Count > 0)
            {
                changed.Add(
                    Diagnostic.Error(
                        $"{address}: {string.Join("; ", reasons)}",
                        wanted is null ? null : locate(address),
                        host: address.Host,
                        address: name
                    )
                );
            }
        }

        return changed.Count <= Most
            ? changed.ToImmutable()
            : [.. changed.Take(Most), Diagnostic.Error($"and {changed.Count - Most} more")];
    }

    private static ImmutableSortedDictionary<string, string> Wanted(
        ResourceGraph.Node node,
        IResourceProvider provider,
        Func<string, string, string, string> print
    )
    {
        var resource = node.Resource;
        string[] settings =
        [
            .. Settings(resource.Spec),
            string.Join(' ', node.Requires.Order()),
            string.Join(' ', node.After.Order()),
            $"{resource.Group} {resource.PreventDestroy}",
        ];
        return Wanted(resource.Address.ToString(), provider.Desired(resource), settings, print);
    }

    private static ImmutableSortedDictionary<string, string> Wanted(
        string name,
        SortedMap<AttributeValue> desired,
        string[] settings,
        Func<string, string, string, string> print
    ) =>
        desired
            .ToImmutableSortedDictionary(pair => pair.Key, pair => print(name, pair.Key, pair.Value.Value), StringComparer.Ordinal)
            .SetItem(Rest, print(name, Rest, string.Join('\n', settings)));

    private static IEnumerable<string> Settings(AttributeSet spec) =>
        spec.Names.Order(StringComparer.Ordinal).Select(name => $"{name}\0{AttributeValue.Of(spec[name]!).Value}");

    private static IEnumerable<string> Differences(ImmutableArray<AttributeDifference> differences) =>
        differences.Select(one => $"{one.Name}\0{one.Before?.Value}\0{one.After?.Value}\0{one.Effect}");

    private static ImmutableSortedDictionary<string, string> Seen(
        Observation? observation,
        string name,
        HashSet<string> compared,
        Func<string, string, string, string> print
    )
    {
        var state = observation switch
        {
            Observation.Present => "present",
            Observation.Absent => "absent",
            _ => "unknown",
        };
        var attributes = (observation as Observation.Present)?.Attributes.Where(pair => compared.Contains(pair.Key)) ?? [];
        return attributes
            .ToImmutableSortedDictionary(pair => pair.Key, pair => print(name, pair.Key, pair.Value.Value), StringComparer.Ordinal)
            .SetItem(State, state);
    }

    private static string? Seen(ImmutableSortedDictionary<string, string> then, ImmutableSortedDictionary<string, string> now, string host)
    {
        switch (then.GetValueOrDefault(State), now.GetValueOrDefault(State))
        {
            case (null, _) or (_, null):
                return null; // it is not looked at, or was not: the configuration or the record says why
            case (not "absent", "absent"):
                return $"it no longer exists on {host}";
            case ("absent", not "absent"):
                return $"it now exists on {host}";
            default:
                var names = Names(then, now).Select(name => name == State ? "readability" : name).ToList();
                return names.Count == 0 ? null : $"{string.Join(", ", names)} was changed on {host}";
        }
    }

    private static string? Difference(
        ImmutableSortedDictionary<string, ImmutableSortedDictionary<string, string>> then,
        ImmutableSortedDictionary<string, ImmutableSortedDictionary<string, string>> now,
        string name,
        string added,
        string removed,
        Func<string, string> differs
    )
    {
        switch (then.GetValueOrDefault(name), now.GetValueOrDefault(name))
        {
            case (null, null):
                return null;
            case (null, _):
                return added;
            case (_, null):
                return removed;
            case var (before, after):
                var names = Names(before, after).ToList();
                return names.Count == 0 ? null : differs(string.Join(", ", names.Count > 1 ? names.Where(one => one != Rest) : names));
        }
    }

    private static string Word(ImmutableSortedDictionary<string, string> steps, string name) =>
        steps.GetValueOrDefault(name)?.Split(':')[0] ?? ResourceAction.NoOp.Word();

    private static IEnumerable<string> Names(
        ImmutableSortedDictionary<string, string> then,
        ImmutableSortedDictionary<string, string> now
    ) => then.Keys.Union(now.Keys).Where(name => then.GetValueOrDefault(name) != now.GetValueOrDefault(name)).Order(StringComparer.Ordinal);

    private static ImmutableSortedDictionary<string, T>.Builder Sorted<T>() =>
        ImmutableSortedDictionary.CreateBuilder<string, T>(StringComparer.Ordinal);
}
