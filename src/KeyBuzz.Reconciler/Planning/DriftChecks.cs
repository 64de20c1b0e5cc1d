using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Graph;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>Checks that the result of drift detection means what its reader expects: that hosts have records, and that every target and
/// every entry of <c>drift.ignore</c> is about something.</summary>
internal static class DriftChecks
{
    private const string Remedy = "run kbr apply first; kbr plan shows reinstalled hosts";

    /// <summary>Secrets are compared by a key that is not the one of the last apply.</summary>
    public static Diagnostic AnotherKey { get; } =
        Diagnostic.Warning(
            $"{Secrets.KeyName} differs from the key of the last apply; secrets are not compared",
            remedy: "use the key of the last apply, or unset it"
        );

    /// <summary>A host without its expected records may have been reinstalled: never "no drift".</summary>
    /// <param name="input">The inputs.</param>
    /// <param name="unrecorded">The resources of the configuration without a record, although the host that would have it was read.</param>
    public static IEnumerable<Diagnostic> WithoutRecords(DriftInput input, IReadOnlyCollection<Address> unrecorded)
    {
        var without = unrecorded
            .Select(address => address.Host)
            .Distinct()
            .Where(host =>
                input.Hosts.Contains(host) && !input.HostErrors.ContainsKey(host) && input.Records.Keys.All(address => address.Host != host)
            )
            .Order(StringComparer.Ordinal)
            .ToList();
        foreach (var host in without)
        {
            yield return Diagnostic.Error($"{host}: the host has no records, so drift cannot be compared", remedy: Remedy, host: host);
        }

        if (input.Records.Count == 0 && without.Count == 0 && input.HostErrors.IsEmpty)
        {
            yield return Diagnostic.Error("no host has records, so drift cannot be compared", remedy: Remedy);
        }
    }

    /// <summary>An error for each target that has no record.</summary>
    /// <param name="input">The inputs.</param>
    /// <param name="unrecorded">The resources of the configuration without a record.</param>
    /// <param name="groups">The groups with a policy that were looked at.</param>
    public static IEnumerable<Diagnostic> UnmatchedTargets(
        DriftInput input,
        IReadOnlyCollection<Address> unrecorded,
        IReadOnlyCollection<Address> groups
    ) =>
        input
            .Targets.Where(target => !input.Records.Keys.Any(target.Matches) && !groups.Any(target.Matches) && input.HostErrors.IsEmpty)
            .Select(target =>
                unrecorded.Any(target.Matches)
                    ? Diagnostic.Error($"'{target}' has no record, so drift cannot be compared", remedy: Remedy)
                    : Diagnostic.Error($"no resource matches '{target}'", remedy: "write type.name@host; `*` matches anything")
            );

    /// <summary>A warning for each entry of <c>drift.ignore</c> that hides nothing, although its author expects it to. A host that could
    /// not be read may have what it is about.</summary>
    /// <param name="input">The inputs.</param>
    /// <param name="configured">The resources as they are configured now.</param>
    /// <param name="drifted">What was found to have drifted.</param>
    public static IEnumerable<Diagnostic> UnmatchedRules(
        DriftInput input,
        ResourceGraph configured,
        IReadOnlyDictionary<Address, DriftedResource> drifted
    ) =>
        input.HostErrors.IsEmpty && input.Targets.IsEmpty
            ? from rule in input.Ignored
            let problem = ProblemOf(rule, input, configured, drifted)
            where problem is not null
            select Diagnostic.Warning(problem, rule.Location, remedy: "correct or remove that entry")
            : [];

    private static string? ProblemOf(
        IgnoreRule rule,
        DriftInput input,
        ResourceGraph configured,
        IReadOnlyDictionary<Address, DriftedResource> drifted
    )
    {
        var matched = input.Records.Values.Where(record => rule.Address.Matches(record.Address)).ToList();
        if (configured.Policies.Any(node => rule.Address.Matches(node.Policy.Address)))
        {
            return null;
        }

        if (matched.Count == 0)
        {
            return configured.Order.Any(rule.Address.Matches) ? null : $"no resource matches '{rule.Address}' of 'drift.ignore'";
        }

        return rule.Attribute is null || matched.Exists(HasAttribute)
            ? null
            : $"no resource that matches '{rule.Address}' has the attribute '{rule.Attribute}' of 'drift.ignore'";

        bool HasAttribute(ResourceRecord record) =>
            record.Pending
            || record.Fingerprints.Keys.Any(rule.Covers)
            || (drifted.TryGetValue(record.Address, out var found) && found.Attributes.Any(attribute => rule.Covers(attribute.Name)));
    }
}
