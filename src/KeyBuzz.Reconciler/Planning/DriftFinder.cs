using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Graph;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>The inputs of drift detection.</summary>
/// <param name="Records">What was last applied.</param>
/// <param name="Observe">What the hosts hold of a resource as <see cref="DriftFinder.Applied(ResourceRecord)"/> hands it out; null when
/// it was not read.</param>
/// <param name="HostErrors">Hosts that could not be read, with the reason.</param>
/// <param name="Hosts">The hosts that were looked at.</param>
/// <param name="Targets">Only these; empty for all.</param>
/// <param name="Ignored">What is shown and not counted.</param>
public sealed record DriftInput(
    IReadOnlyDictionary<Address, ResourceRecord> Records,
    Func<Resource, Observation?> Observe,
    ImmutableSortedDictionary<string, string> HostErrors,
    ImmutableArray<string> Hosts,
    ImmutableArray<AddressPattern> Targets,
    ImmutableArray<IgnoreRule> Ignored
)
{
    /// <summary>How the members of a group as <see cref="DriftFinder.Applied(GroupPolicy, IEnumerable{ResourceRecord})"/> hands it out were
    /// found; null when none was read.</summary>
    public Func<GroupPolicy, Observation?> ObserveGroup { get; init; } = _ => null;
}

/// <summary>Compares the last applied state with the hosts. The current configuration matters only for the values of secrets, which records
/// do not have, so an edit that was not applied yet is no drift. Pure: no I/O, no clock, no randomness.</summary>
public sealed partial class DriftFinder
{
    private readonly ProviderRegistry _providers;
    private readonly ResourceGraph _configured;
    private readonly Fingerprint _fingerprint;
    private readonly bool _hasKey;

    /// <summary>Takes what it compares with.</summary>
    /// <param name="providers">The resource types.</param>
    /// <param name="configured">The resources as they are configured now.</param>
    /// <param name="key">The key of fingerprints; null where it is not known: then secrets are not compared.</param>
    public DriftFinder(ProviderRegistry providers, ResourceGraph configured, string? key)
    {
        _providers = providers;
        _configured = configured;
        _fingerprint = new Fingerprint(key ?? "");
        _hasKey = key is not null;
    }

    /// <summary>The resource as it was last applied. Its secrets, which a record masks, are taken from what is configured where the
    /// fingerprints say that they are still the same.</summary>
    public Resource Applied(ResourceRecord record)
    {
        var resource = record.ToResource();
        if (!_hasKey || _configured.Find(record.Address)?.Resource is not { } configured)
        {
            return resource;
        }

        var desired = _providers.Get(record.Address.Type).Desired(configured);
        if (
            record.Fingerprints.Any(pair =>
                Fingerprint.IsSecret(pair.Value) && !(desired.TryGetValue(pair.Key, out var value) && Matches(record, pair.Key, value))
            )
        )
        {
            return resource;
        }

        var spec = resource
            .Spec.Names.Where(name =>
                IsMasked(resource.Spec[name])
                && configured.Spec[name] is SecretText secret
                && secret.ToString() == resource.Spec[name]!.ToString()
            )
            .Aggregate(resource.Spec, (spec, name) => spec.With(name, configured.Spec[name]!));
        return resource with { Spec = spec };
    }

    /// <summary>Finds what was changed on the hosts.</summary>
    public Drift Find(DriftInput input)
    {
        var views = input
            .Records.Values.Where(record => IsTarget(input, record.Address))
            .ToDictionary(record => record.Address, record => View(input, record));
        var graph = ResourceGraph.Build(input.Records.Values.Select(record => record.ToResource()), _providers, keepDangling: true);
        var work = new Work(input);
        var keyed = _hasKey;
        if (keyed && !IsRightKey(views.Values))
        {
            keyed = false;
            work.Diagnostics.Add(
                Diagnostic.Warning(
                    $"{Secrets.KeyName} differs from the key of the last apply; " + $"secrets are not compared",
                    remedy: "use the key of the last apply, or unset it"
                )
            );
        }

        foreach (var policy in _configured.Policies.Select(node => node.Policy).Where(policy => IsApplied(input, policy)))
        {
            JudgeGroup(work, Applied(policy, input.Records.Values), keyed);
        }

        foreach (var address in graph.Order.Where(views.ContainsKey))
        {
            Judge(work, graph.Find(address)!, views[address], keyed);
        }

        var missing = _configured
            .Order.Where(address => IsTarget(input, address) && !input.Records.ContainsKey(address))
            .ToLookup(address => UnreadOf(input, address));
        work.Uncompared.AddRange(
            missing
                .Where(unread => unread.Key is not null)
                .SelectMany(unread => unread.Select(address => new Uncompared(address, null, input.HostErrors[unread.Key!], IsError: true)))
        );
        var unrecorded = missing[null].ToList();
        CheckRecords(work, unrecorded);
        CheckPatterns(work);
        foreach (var (host, reason) in input.HostErrors)
        {
            work.Diagnostics.Add(Diagnostic.Error($"{host}: {reason}", host: host));
        }

        // Without the secrets the names of roles and databases may be others than were applied, so what is missing cannot be told.
        return new Drift(
            [.. work.Compared],
            [.. work.Drifted.Values],
            [.. work.Uncompared],
            _hasKey ? [.. unrecorded] : [],
            [.. work.Diagnostics]
        );
    }

    // A record, the resource as it was applied, and what is there of it.
    private sealed record AppliedView(ResourceRecord Record, Resource Resource, Observation? Observation);

    private sealed class Work(DriftInput input)
    {
        public DriftInput Input { get; } = input;

        public List<Address> Compared { get; } = [];

        public Dictionary<Address, DriftedResource> Drifted { get; } = [];

        public List<Uncompared> Uncompared { get; } = [];

        public List<Diagnostic> Diagnostics { get; } = [];

        /// <summary>Whether a group that is looked at is meant.</summary>
        public bool LooksAtGroup(AddressPattern pattern) =>
            Compared
                .Concat(Uncompared.Select(one => one.Address))
                .Any(address => address.Type == GroupPolicy.Type && pattern.Matches(address));

        /// <summary>Something that cannot be told because of something else that drifted is accounted for by that, as long as that
        /// counts.</summary>
        public void CannotTell(Address address, Address because, string reason) =>
            CannotTell(address, $"{because} {reason}", isError: !Drifted.TryGetValue(because, out var drift) || drift.IsIgnored);

        public void CannotTell(Address address, string reason, bool isError, string? attribute = null)
        {
            Uncompared.Add(new Uncompared(address, attribute, reason, isError));
            if (isError)
            {
                Diagnostics.Add(
                    Diagnostic.Error(
                        $"{address}: {(attribute is null ? "" : attribute + ": ")}{reason}",
                        host: address.Host,
                        address: address.ToString()
                    )
                );
            }
        }
    }

    private static bool IsTarget(DriftInput input, Address address) =>
        input.Targets.IsEmpty || input.Targets.Any(target => target.Matches(address));

    private AppliedView View(DriftInput input, ResourceRecord record)
    {
        var resource = Applied(record);
        var observation = input.Observe(resource);

        // A text that proves to be the applied one has the secrets that the record lacks; what depends on the whole text, as what a process
        // has loaded, is judged by that.
        var proved = (observation as Observation.Present)
            ?.Attributes.Where(pair =>
                pair.Value.IsText
                && resource.Spec[pair.Key] is SecretText text
                && IsMasked(text)
                && !text.HasSecret
                && IsAsApplied(record, text, pair.Key, pair.Value)
            )
            .ToList()
            ?? [];
        if (proved.Count > 0)
        {
            var complete = resource with
            {
                Spec = proved.Aggregate(resource.Spec, (spec, pair) => spec.With(pair.Key, SecretText.Plain(pair.Value.Value))),
            };
            observation = input.Observe(complete);
        }

        return new AppliedView(record, resource, observation);
    }

    private bool IsAsApplied(ResourceRecord record, SecretText masked, string name, AttributeValue actual) =>
        record.Fingerprints.TryGetValue(name, out var last)
        && Fingerprint.IsSecret(last)
        && (_hasKey ? Matches(record, name, actual) : new SecretTemplate(masked.ToString()).Fits(actual.Value));

    private bool Matches(ResourceRecord record, string name, AttributeValue value) =>
        _fingerprint.Matches(record.Fingerprints[name], record.Address, name, value);

    // A key under which no fingerprint comes out, neither of what is there nor of what is configured, is another one.
    private bool IsRightKey(IEnumerable<AppliedView> views)
    {
        var any = false;
        foreach (var view in views)
        {
            var secret = view.Record.Fingerprints.Where(pair => Fingerprint.IsSecret(pair.Value)).Select(pair => pair.Key).ToList();
            if (secret.Count == 0)
            {
                continue;
            }

            any = true;
            var actual = (view.Observation as Observation.Present)?.Attributes ?? Comparable.None;
            var desired = _configured.Find(view.Record.Address)?.Resource is { } configured
                ? _providers.Get(view.Record.Address.Type).Desired(configured)
                : Comparable.None;
            if (
                secret.Any(name =>
                    (actual.TryGetValue(name, out var there) && Matches(view.Record, name, there))
                    || (desired.TryGetValue(name, out var wanted) && Matches(view.Record, name, wanted))
                )
            )
            {
                return true;
            }
        }

        return !any;
    }

    private void Judge(Work work, ResourceGraph.Node node, AppliedView view, bool keyed)
    {
        var address = view.Record.Address;
        if (work.Input.HostErrors.TryGetValue(address.Host, out var reason))
        {
            // Said once, for the host.
            work.Uncompared.Add(new Uncompared(address, null, reason, IsError: true));
            return;
        }

        if (view.Record.Pending)
        {
            work.CannotTell(
                address,
                "an apply was interrupted while creating it, so it has no complete record; apply again",
                isError: true
            );
            return;
        }

        if (
            node.Volume is { } volume
            && work.Input.Records.GetValueOrDefault(volume) is { } under
            && work.Input.Observe(Applied(under)) is { ShowsContent: false }
        )
        {
            work.CannotTell(address, volume, "is not mounted");
            return;
        }

        // A resource of a group that drifted itself is unknown, for example a role without a primary.
        var because =
            _providers.Get(address.Type) is not IGroupResourceProvider ? null
            : work.Drifted.ContainsKey(GroupPolicy.AddressOf(address.Host)) ? GroupPolicy.AddressOf(address.Host)
            : node.Requires.Where(work.Drifted.ContainsKey).Select(required => (Address?)required).FirstOrDefault();
        switch (view.Observation)
        {
            case null:
                work.CannotTell(address, "it was not read", isError: true);
                break;
            case Observation.Unknown unknown when because is { } cause:
                work.CannotTell(address, cause, $"has drifted: {unknown.Reason}");
                break;
            case Observation.Absent when because is { } cause && work.Drifted[cause].Deleted:
                work.CannotTell(address, cause, "is not there");
                break;
            case Observation.Unknown unknown:
                work.CannotTell(address, unknown.Reason, isError: true);
                break;
            case Observation.Absent absent:
                work.Compared.Add(address);
                Add(work, address, [], absent.Note);
                break;
            case Observation.Present present:
                work.Compared.Add(address);
                var changed = Changed(work, view, present, keyed);
                if (!changed.IsEmpty && MembersWithoutRecord(work.Input, address.Host) is { Length: > 0 } away)
                {
                    // Taken down by kbr, or never made: what the group lacks for that is no change by hand.
                    var why = $"the member on {string.Join(" and ", away)} has no record, so the group is incomplete";
                    work.Uncompared.AddRange(changed.Select(one => new Uncompared(address, one.Name, why, IsError: false)));
                    changed = [];
                }

                changed = changed.AddRange(Foreign(work, view, present));
                var cutOff = view.Record.Intended.Where(name => changed.Any(attribute => attribute.Name == name)).ToList();
                if (!changed.IsEmpty)
                {
                    var remedies = present
                        .Foreign.Where(setting => changed.Any(attribute => attribute.IsForeign && attribute.Name == setting.Name))
                        .Select(setting => setting.Remedy)
                        .Distinct()
                        .ToList();
                    Add(
                        work,
                        address,
                        changed,
                        cutOff.Count > 0 ? $"an apply that set {string.Join(", ", cutOff)} was interrupted or failed"
                            : remedies.Count > 0 ? $"apply keeps undeclared settings: {string.Join("; ", remedies)}"
                            : present.Note
                    );
                }

                // The intended value was not recorded as applied, so it cannot be compared.
                foreach (var name in view.Record.Intended.Where(name => !view.Record.Fingerprints.ContainsKey(name)))
                {
                    work.CannotTell(address, "an apply that set it was interrupted or failed; apply again", isError: true, name);
                }

                break;
        }
    }

    // Harmless settings are only reported, as in the plan.
    private static IEnumerable<DriftedAttribute> Foreign(Work work, AppliedView view, Observation.Present present)
    {
        var address = view.Record.Address;
        var foreign = present.Foreign.Where(setting => !view.Record.Owned.Contains(setting.Name)).ToList();
        work.Diagnostics.AddRange(ForeignNotices.Of(address, [.. foreign.Where(setting => !setting.IsTrouble)], null));
        return foreign
            .Where(setting => setting.IsTrouble)
            .Select(setting => new DriftedAttribute(setting.Name, null, new(setting.Value), Ignoring(work, address, setting.Name))
            {
                IsForeign = true,
            });
    }

    // The host that could not be read and may have the record of a resource; null when all could. Of a group's any member would have it.
    private string? UnreadOf(DriftInput input, Address address) =>
        input.HostErrors.ContainsKey(address.Host) ? address.Host
        : _providers.Get(address.Type) is not IGroupResourceProvider || !_hasKey ? null
        : _configured
            .Order.Where(other => _configured.Find(other)!.Resource.Group == address.Host)
            .Select(other => other.Host)
            .Distinct()
            .ToList()
            is { Count: > 0 } members
        && members.TrueForAll(input.HostErrors.ContainsKey)
            ? members[0]
        : null;

    // The hosts that answer and run a member of the group by the configuration, and not by their records.
    private string[] MembersWithoutRecord(DriftInput input, string group) =>
        [
            .. _configured
                .Order.Where(address =>
                    _configured.Find(address)!.Resource.Group == group
                    && !input.Records.ContainsKey(address)
                    && !input.HostErrors.ContainsKey(address.Host)
                )
                .Select(address => address.Host)
                .Distinct()
                .Order(StringComparer.Ordinal),
        ];

    private ImmutableArray<DriftedAttribute> Changed(Work work, AppliedView view, Observation.Present present, bool keyed)
    {
        var address = view.Record.Address;
        var applied = _providers.Get(address.Type).Desired(view.Resource);
        var changed = ImmutableArray.CreateBuilder<DriftedAttribute>();
        foreach (var (name, last) in view.Record.Fingerprints)
        {
            var actual = present.Attributes.GetValueOrDefault(name);
            var known = applied.GetValueOrDefault(name);
            if (known is not null && !Matches(view.Record, name, known))
            {
                known = null;
            }

            if (!Fingerprint.IsSecret(last))
            {
                if (actual is null || !Matches(view.Record, name, actual))
                {
                    changed.Add(
                        new DriftedAttribute(
                            name,
                            known ?? (last.StartsWith('=') ? new AttributeValue(last[1..]) : null),
                            actual,
                            Ignoring(work, address, name)
                        )
                    );
                }

                continue;
            }

            var template =
                actual is { IsText: true } && view.Resource.Spec[name] is SecretText text ? new SecretTemplate(text.ToString()) : null;
            switch (CompareSecret(view.Record, name, actual, known, template, keyed))
            {
                case SecretVerdict.Changed:
                    changed.Add(Shown(name, actual, known, template, Ignoring(work, address, name)));
                    break;
                case SecretVerdict.Unknown:
                    var why =
                        keyed ? "its secret changed, or has no value here; it can be compared again " + "after the next apply"
                        : template is null ? $"secret values are compared only with {Secrets.KeyName}"
                        : $"secret values are compared only with {Secrets.KeyName}";
                    work.Uncompared.Add(new Uncompared(address, name, why, IsError: false));
                    break;
            }
        }

        return changed.ToImmutable();
    }

    private enum SecretVerdict
    {
        Same,
        Changed,
        Unknown,
    }

    private SecretVerdict CompareSecret(
        ResourceRecord record,
        string name,
        AttributeValue? actual,
        AttributeValue? known,
        SecretTemplate? template,
        bool keyed
    )
    {
        if (keyed && actual is not null && Matches(record, name, actual))
        {
            return SecretVerdict.Same;
        }

        // A text is compared by its characters. Of what only proves a secret, such as the verifier of a password, several are right, and
        // without the secret they cannot be compared.
        if (keyed)
        {
            return template is not null || known is not null ? SecretVerdict.Changed : SecretVerdict.Unknown;
        }

        return template is { IsOpaque: false } && !template.Fits(actual!.Value) ? SecretVerdict.Changed : SecretVerdict.Unknown;
    }

    private static DriftedAttribute Shown(
        string name,
        AttributeValue? actual,
        AttributeValue? known,
        SecretTemplate? template,
        IgnoreRule? ignored
    )
    {
        if (template is null)
        {
            var hidden = new AttributeValue(SecretText.Mask);
            return new DriftedAttribute(name, hidden, actual is null ? null : hidden, ignored);
        }

        // With its secrets known a text is masked by them; without, what may hold one stays hidden.
        return known?.Secret is not null
            ? new DriftedAttribute(name, known, actual, ignored)
            : new DriftedAttribute(name, template.Masked, template.Redact(actual!.Value), ignored);
    }

    private void Add(
        Work work,
        Address address,
        ImmutableArray<DriftedAttribute> attributes,
        string? note,
        SourceLocation? location = null
    ) =>
        work.Drifted.Add(
            address,
            new DriftedResource(address, attributes, Ignoring(work, address, null))
            {
                Note = note,
                Location = location ?? _configured.Find(address)?.Resource.Location,
            }
        );

    private static IgnoreRule? Ignoring(Work work, Address address, string? attribute) =>
        work.Input.Ignored.FirstOrDefault(rule => rule.Address.Matches(address) && rule.Covers(attribute));

    // A host without its expected records may have been reinstalled: never "no drift".
    private static void CheckRecords(Work work, List<Address> unrecorded)
    {
        const string Remedy = "run kbr apply first; kbr plan shows reinstalled hosts";
        var input = work.Input;
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
            work.Diagnostics.Add(
                Diagnostic.Error($"{host}: the host has no records, so drift cannot be compared", remedy: Remedy, host: host)
            );
        }

        if (input.Records.Count == 0 && without.Count == 0 && input.HostErrors.IsEmpty)
        {
            work.Diagnostics.Add(Diagnostic.Error("no host has records, so drift cannot be compared", remedy: Remedy));
        }

        foreach (
            var target in input.Targets.Where(target =>
                !input.Records.Keys.Any(target.Matches) && !work.LooksAtGroup(target) && input.HostErrors.IsEmpty
            )
        )
        {
            work.Diagnostics.Add(
                unrecorded.Exists(target.Matches)
                    ? Diagnostic.Error($"'{target}' has no record, so drift cannot be compared", remedy: Remedy)
                    : Diagnostic.Error($"no resource matches '{target}'", remedy: "write type.name@host; `*` matches anything")
            );
        }
    }

    // A rule without a match hides nothing, although its author expects it to.
    private void CheckPatterns(Work work)
    {
        var records = work.Input.Records;
        foreach (var rule in work.Input.Ignored)
        {
            var matched = records.Values.Where(record => rule.Address.Matches(record.Address)).ToList();
            var matchesGroup = _configured.Policies.Any(node => rule.Address.Matches(node.Policy.Address));
            var problem =
                matched.Count == 0 && !matchesGroup && !_configured.Order.Any(rule.Address.Matches)
                    ? $"no resource matches '{rule.Address}' of 'drift.ignore'"
                : matched.Count > 0
                && !matchesGroup
                && rule.Attribute is not null
                && !matched.Exists(record =>
                    record.Pending
                    || record.Fingerprints.Keys.Any(rule.Covers)
                    || (
                        work.Drifted.TryGetValue(record.Address, out var drifted)
                        && drifted.Attributes.Any(attribute => rule.Covers(attribute.Name))
                    )
                )
                    ? $"no resource that matches '{rule.Address}' has the attribute '{rule.Attribute}' of 'drift.ignore'"
                : null;

            // A host that could not be read may have it.
            if (problem is not null && work.Input.HostErrors.IsEmpty && work.Input.Targets.IsEmpty)
            {
                work.Diagnostics.Add(Diagnostic.Warning(problem, rule.Location, remedy: "correct or remove that entry"));
            }
        }
    }

    private static bool IsMasked(object? value) =>
        value switch
        {
            SecretText text => text.ToString().Contains(SecretText.Mask, StringComparison.Ordinal),
            string text => text.Contains(SecretText.Mask, StringComparison.Ordinal),
            _ => false,
        };
}
