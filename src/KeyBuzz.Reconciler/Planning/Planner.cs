using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Graph;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>What the operator asked for, beyond cluster.yaml.</summary>
public sealed record PlanOptions
{
    /// <summary>Whether everything selected is to be taken down instead of made so.</summary>
    public bool Destroy { get; init; }

    /// <summary>Only these and what they need (for destroy: and what needs them); empty for all.</summary>
    public ImmutableArray<AddressPattern> Targets { get; init; } = [];

    /// <summary>What may be taken over although it exists and differs.</summary>
    public ImmutableArray<AddressPattern> Adopt { get; init; } = [];

    /// <summary>What is taken down and made anew although it need not be.</summary>
    public ImmutableArray<Address> Replace { get; init; } = [];

    /// <summary>Whether resources that hold data are deleted and not only forgotten.</summary>
    public bool DeleteData { get; init; }

    /// <summary>With <see cref="Destroy"/>: whether what hosts held that cannot be reached is given up.</summary>
    public bool ForgetUnreachable { get; init; }

    /// <summary>Whether what exists and has no record is recorded as it is, and nothing else is done. What differs is then no error any
    /// more, but a change of the next plan.</summary>
    public bool Import { get; init; }
}

/// <summary>Everything a plan is made of.</summary>
/// <param name="Graph">The desired resources, and the policies of groups.</param>
/// <param name="Records">What was last applied.</param>
/// <param name="Observations">What the hosts hold, for desired and recorded resources, and for groups with a policy; one that is missing is
/// unknown.</param>
/// <param name="HostErrors">Hosts that could not be read or may not be touched, with the reason.</param>
/// <param name="Options">What was asked.</param>
public sealed record PlanInput(
    ResourceGraph Graph,
    IReadOnlyDictionary<Address, ResourceRecord> Records,
    IReadOnlyDictionary<Address, Observation> Observations,
    ImmutableSortedDictionary<string, string> HostErrors,
    PlanOptions Options
)
{
    /// <summary>Records of a group that are not the same on every member: they are written again.</summary>
    public ImmutableHashSet<Address> UnevenRecords { get; init; } = [];

    /// <summary>Of the hosts with an error those that could not be reached at all.</summary>
    public ImmutableHashSet<string> Unreachable { get; init; } = [];

    /// <summary>The resources that got another name.</summary>
    public ImmutableArray<MovedRule> Moved { get; init; } = [];

    /// <summary>Hosts whose error has a finding of its own beside the plan, such as a precondition that does not hold.</summary>
    public ImmutableHashSet<string> ReportedHosts { get; init; } = [];

    /// <summary>What hosts that could not be read held when they last were, in words.</summary>
    public ImmutableDictionary<string, string> LastKnown { get; init; } = ImmutableDictionary<string, string>.Empty;
}

/// <summary>Compares desired, actual and last applied. Pure: no I/O, no clock, no randomness.</summary>
public sealed partial class Planner
{
    private readonly ProviderRegistry _providers;
    private readonly Fingerprint _fingerprint;

    /// <summary>Takes the providers and the key of fingerprints.</summary>
    public Planner(ProviderRegistry providers, Fingerprint fingerprint)
    {
        _providers = providers;
        _fingerprint = fingerprint;
    }

    /// <summary>Makes the plan.</summary>
    public Plan Plan(PlanInput input)
    {
        input = Renamed(input);
        // Its edges order what is removed: it is built where something is, or where somebody chooses.
        var recorded = new Lazy<ResourceGraph>(() =>
            ResourceGraph.Build(
                input
                    .Records.Values.Where(record => _providers.Find(record.Address.Type) is not null)
                    .Select(record => record.ToResource()),
                _providers,
                keepDangling: true
            )
        );
        var selected = Select(input, recorded);
        if (!input.Options.Destroy)
        {
            RefuseFixed(input);
        }

        RefuseReplacements(input, selected);
        var work = new Work(input, recorded, selected);
        foreach (var node in input.Graph.Nodes.Where(node => selected(node.Resource.Address)))
        {
            if (!input.Options.Destroy)
            {
                PlanDesired(work, node);
            }
            else if (input.Records.TryGetValue(node.Resource.Address, out var record))
            {
                PlanRemoval(work, record, Cause.Destroyed);
            }
        }

        var removes = input.Records.Keys.Any(address => input.Graph.Find(address) is null);
        foreach (
            var address in (removes ? recorded.Value.Order : [])
                .Reverse()
                .Where(address => input.Graph.Find(address) is null && selected(address))
        )
        {
            PlanRemoval(work, input.Records[address], input.Options.Destroy ? Cause.Destroyed : Cause.Removed);
        }

        if (!input.Options.Destroy)
        {
            foreach (var policy in input.Graph.Policies.Select(node => node.Policy).Where(policy => IsTarget(input, policy)))
            {
                PlanGroup(work, policy);
            }
        }

        FailOpenReplacements(work);
        KeepProtectedDependencies(work);
        RefuseAnotherGroup(work);
        RefuseOutsiders(work);
        foreach (var pattern in input.Options.Targets.Concat(input.Options.Adopt))
        {
            if (
                !input.Graph.Order.Any(pattern.Matches)
                && !input.Records.Keys.Any(pattern.Matches)
                && !input.Graph.Policies.Any(node => pattern.Matches(node.Policy.Address))
            )
            {
                work.Diagnostics.Add(
                    Diagnostic.Error($"no resource matches '{pattern}'", remedy: "write type.name@host; `*` matches anything")
                );
            }
        }

        if (input.Options.Import)
        {
            work.OnlyFound();
        }

        foreach (var (host, reason) in input.HostErrors.Where(pair => !input.ReportedHosts.Contains(pair.Key)))
        {
            var held = input.LastKnown.GetValueOrDefault(host);
            work.Diagnostics.Add(
                input.Options is { Destroy: true, ForgetUnreachable: true } && input.Unreachable.Contains(host)
                    ? Diagnostic.Warning(
                        $"{host}: {reason}; its records are dropped, and nothing is changed there",
                        detail: held,
                        host: host
                    )
                    : Diagnostic.Error($"{host}: {reason}", detail: held, host: host)
            );
        }

        var (ordered, groups) = Ordered(work);
        var changes = WithReplacedProcesses(ordered);
        var planned = Groups(input, changes, groups);
        RefuseParts(work, planned);
        return new Plan(changes, [.. work.Blocked.Values.OrderBy(blocked => blocked.Address)], [.. work.Diagnostics])
        {
            Groups = planned,
            Rollouts = Forecast(input, changes),
            HostErrors = input.HostErrors,
            Options = input.Options,
        };
    }

    // A limit, an image and a file may only fit together: the old process refuses the new file, and the replacement needs it.
    private ImmutableArray<PlannedChange> WithReplacedProcesses(ImmutableArray<PlannedChange> changes)
    {
        var replaced = changes
            .Where(change => change.Action == ResourceAction.Replace)
            .SelectMany(change => change.DependsOn.Select(before => (Before: before, change.Resource)))
            .ToLookup(pair => pair.Before, pair => pair.Resource);
        return replaced.Count == 0 ? changes : [.. changes.Select(change => change with { ReplacedProcess = ProcessOf(change) })];

        Address? ProcessOf(PlannedChange change) =>
            change.Action.Counts()
            && replaced.Contains(change.Address)
            && _providers.Get(change.Address.Type) is ILoadedByProcess loaded
            && loaded.ProcessOf(change.Resource) is { } process
            && replaced[change.Address]
                .FirstOrDefault(one => one.Address.Host == change.Address.Host && LinksOf(one).Provides.Contains(process))
                is { } found
                ? found.Address
                : null;
    }

    // What is said of the moment: it is in the plan to be read, and in nothing that plans are compared by.
    private ImmutableArray<RolloutForecast> Forecast(PlanInput input, ImmutableArray<PlannedChange> changes)
    {
        var forecasts = ImmutableArray.CreateBuilder<RolloutForecast>();
        foreach (var resource in input.Graph.Nodes.Select(node => node.Resource))
        {
            if (_providers.Get(resource.Address.Type) is not IForecastsRollout foreseeing)
            {
                continue;
            }

            var state = Disrupted(changes, resource.Address.Host);
            var own = changes.FirstOrDefault(change => change.Address == resource.Address);
            if (state.ToCome.IsEmpty && own?.Action.Counts() != true)
            {
                continue;
            }

            var outlooks = Outlooks(input, resource.Address.Host);
            var question = new RolloutQuestion(resource, own, state.ToCome, state.Leaving, [.. outlooks]);
            if (foreseeing.Forecast(question) is { } forecast)
            {
                forecasts.Add(forecast);
            }
        }

        return forecasts.ToImmutable();
    }

    // What has another name now is known by it from here on. Not so where it would be another thing that is there already: then the two are
    // what they are.
    private PlanInput Renamed(PlanInput input)
    {
        if (input.Moved.IsEmpty || input.Options.Destroy)
        {
            return input;
        }

        var records = new Dictionary<Address, ResourceRecord>(input.Records);
        foreach (
            var record in input.Records.Values.Where(record => input.Graph.Find(record.Address) is null).OrderBy(record => record.Address)
        )
        {
            var to = MovedRule.Follow(input.Moved, record.Address);
            if (
                to != record.Address
                && input.Graph.Find(to)?.Resource is { } resource
                && !records.ContainsKey(to)
                && !(input.Observations.GetValueOrDefault(to) is Observation.Present && IsElsewhere(record, resource))
            )
            {
                records.Remove(record.Address);
                records[to] = record.Rename(to, _providers.Get(to.Type).Desired(resource), _fingerprint);
            }
        }

        return input with
        {
            Records = records,
        };
    }

    // What a cluster was made with, such as its superuser's name: files that say something else must not reach a single host.
    private void RefuseFixed(PlanInput input)
    {
        var refused = ImmutableArray.CreateBuilder<Diagnostic>();
        var stable = _providers
            .All.SelectMany(provider => provider.Schema.Attributes.Select(attribute => (provider.Schema.Type, Attribute: attribute)))
            .Where(pair => pair.Attribute.FixedBecause is not null)
            .ToLookup(pair => pair.Type, pair => pair.Attribute, StringComparer.Ordinal);
        foreach (var resource in input.Graph.Nodes.Select(node => node.Resource).Where(one => stable.Contains(one.Address.Type)))
        {
            if (input.Records.GetValueOrDefault(resource.Address) is not { Pending: false } record)
            {
                continue;
            }

            foreach (var attribute in stable[resource.Address.Type])
            {
                var (was, wanted) = (record.Spec[attribute.Name], resource.Spec[attribute.Name]);
                if (was is not null && wanted is not null && !was.Equals(wanted))
                {
                    refused.Add(
                        Diagnostic.Error(
                            $"{resource.Address}: {attribute.Name} was applied as '{was}' and cannot change to '{wanted}'; nothing is planned",
                            resource.Location,
                            detail: attribute.FixedBecause,
                            remedy: $"restore '{was}'; if an import recorded a wrong value, run 'kbr state rm "
                                + $"{resource.Address}' and import again",
                            address: resource.Address.ToString()
                        )
                    );
                }
            }
        }

        if (refused.Count > 0)
        {
            throw new DiagnosticException(refused.ToImmutable());
        }
    }

    private static Func<Address, bool> Select(PlanInput input, Lazy<ResourceGraph> recorded)
    {
        if (input.Options is { Targets.IsEmpty: true, Destroy: false })
        {
            return _ => true;
        }

        if (input.Options.Targets.IsEmpty)
        {
            return address => input.Graph.Find(address) is not null || recorded.Value.Find(address) is not null;
        }

        var matched = input
            .Graph.Order.Concat(recorded.Value.Order)
            .Distinct()
            .Where(address => input.Options.Targets.Any(pattern => pattern.Matches(address)))
            .ToList();
        HashSet<Address> selected = input.Options.Destroy
            ? [.. input.Graph.WithDependents(matched), .. recorded.Value.WithDependents(matched)]
            : [.. input.Graph.WithRequirements(matched), .. matched];
        return selected.Contains;
    }

    private void PlanDesired(Work work, ResourceGraph.Node node)
    {
        var address = node.Resource.Address;
        var policy = work.Input.Graph.PolicyOver(address);
        if (policy is not null)
        {
            PlanGroup(work, policy);
        }

        if (work.BlockingReason(address, node.Requires) is { } reason)
        {
            work.Block(address, reason);
            return;
        }

        var record = work.Input.Records.GetValueOrDefault(address);
        var provider = _providers.Get(address.Type);
        var desired = provider.Desired(node.Resource);
        if (node.Volume is { } volume && !work.IsMounted(volume))
        {
            // A disk that was lost: what was on it is made again, from nothing.
            if (work.Observe(volume) is Observation.Absent { IsBlank: true })
            {
                AddCreate(work, node, record, desired, record is { Pending: false } ? $"{volume} is new and empty" : null);
                return;
            }

            AddLater(work, node, record, desired, "its volume is mounted", $"{volume} is not mounted; checked again once it is");
            return;
        }

        var observation = work.Observe(address);
        // A resource of a group that is not healthy yet, for example a role without a primary after an interrupted first apply.
        if (observation is Observation.Unknown && policy is not null && work.Groups[policy.Group].BringsToHealth)
        {
            AddLater(work, node, record, desired, $"{policy.Group} is healthy", $"checked again once {policy.Group} is healthy");
            return;
        }

        if (
            observation is Observation.Unknown
            && provider is IGroupResourceProvider
            && node.Requires.FirstOrDefault(required => work.Changes.GetValueOrDefault(required)?.Action.Counts() == true)
                is { Host: not null } pending
        )
        {
            AddLater(work, node, record, desired, $"{pending} is applied", $"checked again once {pending} is applied");
            return;
        }

        switch (observation)
        {
            case Observation.Unknown unknown:
                work.Fail(address, unknown.Reason, node.Resource);
                break;
            case Observation.Absent absent when record is { Pending: false } && IsElsewhere(record, node.Resource):
                AddMove(work, node, record, desired, absent.Note);
                break;
            case Observation.Absent { Foreign.IsEmpty: false } absent
                when record is null && !work.Input.Options.Adopt.Any(pattern => pattern.Matches(address)):
                work.Diagnostics.Add(
                    Diagnostic.Error(
                        $"{address} does not exist, and another service would create it",
                        node.Resource.Location,
                        detail: string.Join(", ", absent.Foreign.Select(pair => $"{pair.Key}: {Shown(pair.Value)}")),
                        remedy: $"adopt it with --adopt '{address}', or remove that service by hand",
                        host: address.Host,
                        address: address.ToString()
                    )
                );
                work.Block(address, "another service would create it");
                break;
            case Observation.Absent absent:
                AddCreate(work, node, record, desired, absent.Note, absent.Foreign);
                break;
            case Observation.Present present:
                work.Diagnostics.AddRange(
                    present.Warnings.Select(pair => Diagnostic.Warning(pair.Value, host: pair.Key, address: address.ToString()))
                );
                PlanPresent(work, node, record, desired, present);
                break;
        }
    }

    // What cannot be told before something else has changed: made, where no record says that it was; otherwise looked at again then.
    private void AddLater(
        Work work,
        ResourceGraph.Node node,
        ResourceRecord? record,
        SortedMap<AttributeValue> desired,
        string when,
        string note
    )
    {
        if (record is null || record.Pending)
        {
            AddCreate(work, node, record, desired, $"checked again once {when}");
            return;
        }

        work.Add(
            new PlannedChange(node.Resource.Address, ResourceAction.NoOp, Cause.FoundAsWanted, node.Resource, [], [])
            {
                Deferred = true,
                Record = record,
                Note = note,
            }
        );
    }

    private void AddCreate(
        Work work,
        ResourceGraph.Node node,
        ResourceRecord? record,
        SortedMap<AttributeValue> desired,
        string? note,
        SortedMap<AttributeValue>? foreign = null
    )
    {
        var cause = record switch
        {
            null => Cause.New,
            { Pending: true } => Cause.Interrupted,
            _ => Cause.Drift,
        };
        var differences = desired.Select(pair => new AttributeDifference(
            pair.Key,
            foreign?.GetValueOrDefault(pair.Key),
            pair.Value,
            cause,
            ChangeEffect.InPlace
        ));
        work.Add(
            new PlannedChange(node.Resource.Address, ResourceAction.Create, cause, node.Resource, [.. differences], [])
            {
                // A resource that kbr replaces is its own, even if the previous one was not.
                Record = Record(node, desired, created: record is not { Pending: true, Created: false }),
                Note = cause == Cause.Drift ? Join("deleted on the host", note) : note,
            }
        );
    }

    // Another path or name is another thing on the host: the former one is not left behind, unless it holds data.
    private void AddMove(Work work, ResourceGraph.Node node, ResourceRecord record, SortedMap<AttributeValue> desired, string? note)
    {
        var provider = _providers.Get(record.Address.Type);
        var former = Former(record);
        if (node.Resource.PreventDestroy)
        {
            work.Protect(node.Resource, "replaced");
            return;
        }

        var stays = !record.Created || (provider.HoldsData(former) && provider is not IReleasesOnDestroy) || Places(former).Length == 0;
        AddCreate(work, node, null, desired, Join(stays ? "the previous one stays in place" : "the previous one is removed first", note));
        work.Add(
            work.Changes[record.Address] with
            {
                Action = stays ? ResourceAction.Create : ResourceAction.Replace,
                Cause = Cause.ConfigurationChanged,
                Former = stays ? null : former,
                Place = stays ? null : PlaceOf(former),
            }
        );
    }

    private bool IsElsewhere(ResourceRecord record, Resource desired) =>
        IsAnotherThing(record, desired) || !LinksOf(Former(record)).ManagedPaths.SequenceEqual(LinksOf(desired).ManagedPaths);

    // By what it stands for and not by its paths: a unit that gets content of its own gets a file, and is the same unit.
    private bool IsAnotherThing(ResourceRecord record, Resource desired) =>
        !LinksOf(Former(record)).Provides.SequenceEqual(LinksOf(desired).Provides);

    // The very values of the configuration, which the record was read with, are those of the same thing.
    private bool IsAnotherThing(ResourceRecord record, ResourceGraph.Node node) =>
        (record.RenamedFrom is not null || !ReferenceEquals(record.Spec, node.Resource.Spec))
        && !LinksOf(Former(record)).Provides.AsSpan().SequenceEqual(node.Provides.AsSpan());

    private ResourceLinks LinksOf(Resource resource) => _providers.Get(resource.Address.Type).Links(resource);

    // Where it is on the host, or what it is called there.
    private string PlaceOf(Resource resource)
    {
        var links = LinksOf(resource);
        return string.Join(", ", links.ManagedPaths.IsEmpty ? links.Provides : links.ManagedPaths);
    }

    // As it was applied: where nothing else names the thing on the host, its own name does.
    private static Resource Former(ResourceRecord record) => record.ToResource() with { Address = record.RenamedFrom ?? record.Address };

    // A resource without a path or a name of its own is left to its users until then.
    private ImmutableArray<string> Places(Resource resource)
    {
        var links = LinksOf(resource);
        return [.. links.ManagedPaths, .. links.Names];
    }

    private static string Join(string first, string? second) => second is null ? first : first + "; " + second;

    private void PlanPresent(
        Work work,
        ResourceGraph.Node node,
        ResourceRecord? record,
        SortedMap<AttributeValue> desired,
        Observation.Present present
    )
    {
        var actual = present.Attributes;
        var address = node.Resource.Address;
        var schema = _providers.Get(address.Type).Schema;
        // A record of another path or name does not cover an object found at the new one: it must be adopted, and the former one is left
        // alone.
        var former = record is not null && IsAnotherThing(record, node) ? PlaceOf(Former(record)) : null;
        var note = present.Note;
        if (former is not null)
        {
            record = null;
            note = Join($"the previous {former} stays unchanged and is no longer managed by kbr", note);
        }

        // A group that a member joins differs because of that, and not because anybody changed it.
        var joining = work.NewMembersOf(address);
        if (joining.Length > 0)
        {
            note = Join($"{string.Join(" and ", joining)} {(joining.Length == 1 ? "joins" : "join")}", note);
        }

        var differences = ImmutableArray.CreateBuilder<AttributeDifference>();
        var recordIsOld =
            record is null
            || record.Pending
            || !record.Intended.IsEmpty
            || record.RenamedFrom is not null
            || work.Input.UnevenRecords.Contains(address);
        foreach (var (name, wanted) in desired)
        {
            var found = actual.GetValueOrDefault(name);
            var last = record?.Fingerprints.GetValueOrDefault(name);
            var isApplied = last is not null && _fingerprint.Is(last, address, name, wanted);
            if (found?.Value == wanted.Value)
            {
                recordIsOld |= !isApplied;
                continue;
            }

            var cause = record switch
            {
                null when present.IsManaged => Cause.New,
                null => Cause.Adopted,
                { Pending: true } => Cause.Interrupted,
                _ when record.Intended.Contains(name) => Cause.Interrupted,
                _ when last is null || (found is not null && _fingerprint.Matches(last, address, name, found)) =>
                    Cause.ConfigurationChanged,
                _ when isApplied => joining.Length > 0 ? Cause.New : Cause.Drift,
                _ => Cause.ConfigurationChangedAndDrift,
            };
            // Where cluster.yaml holds no secret any more, nothing tells which parts of what is on the host are one.
            var shown =
                found is not null && wanted.Secret is null && last is not null && Fingerprint.IsSecret(last)
                    ? new AttributeValue(SecretText.Mask)
                    : found;
            differences.Add(new AttributeDifference(name, shown, wanted, cause, schema.EffectOf(name)));
        }

        // What was applied, or was about to be, is not wanted any more and is still there is taken away.
        var isRequested = work.Input.Options.Replace.Contains(address);
        var isNoOp = differences.Count == 0 && !isRequested && !recordIsOld && IsRecorded(record!, node, desired.Count);
        foreach (var name in isNoOp ? [] : record?.Owned ?? [])
        {
            if (!desired.ContainsKey(name) && actual.TryGetValue(name, out var left))
            {
                var secret = record!.Fingerprints.TryGetValue(name, out var last)
                    ? Fingerprint.IsSecret(last)
                    : schema.Find(name) is { MayHoldSecret: true };
                var cause = record.Intended.Contains(name) ? Cause.Interrupted : Cause.ConfigurationChanged;
                differences.Add(
                    new AttributeDifference(name, secret ? new AttributeValue(SecretText.Mask) : left, null, cause, schema.EffectOf(name))
                );
            }
        }

        // What is taken away with this very change is kbr's own.
        if (!present.Foreign.IsEmpty)
        {
            work.Diagnostics.AddRange(
                ForeignNotices.Of(
                    address,
                    [.. present.Foreign.Where(setting => differences.All(difference => difference.Name != setting.Name))],
                    node.Resource.Location
                )
            );
        }

        if (isNoOp)
        {
            work.Add(
                new PlannedChange(address, ResourceAction.NoOp, Cause.FoundAsWanted, node.Resource, [], []) { Record = record, Note = note }
            );
            return;
        }

        var next = Record(node, desired, created: record?.Created ?? present.IsManaged);
        if (isRequested && record is null && !present.IsManaged)
        {
            FailUnmanagedReplacement(work, node.Resource);
            return;
        }

        if (differences.Count == 0 && !isRequested)
        {
            var cause = record?.RenamedFrom is null ? Cause.FoundAsWanted : Cause.Moved;
            work.Add(new PlannedChange(address, ResourceAction.Adopt, cause, node.Resource, [], []) { Record = next, Note = note });
            return;
        }

        var adopted = work.Input.Options.Adopt.Any(pattern => pattern.Matches(address));
        if (record is null && work.Input.Options.Import)
        {
            work.Add(
                new PlannedChange(address, ResourceAction.Adopt, Cause.Adopted, node.Resource, differences.ToImmutable(), [])
                {
                    Record = next with { Fingerprints = AsFound(address, schema, desired, actual) },
                    Note = note,
                }
            );
            return;
        }

        if (record is null && !adopted && !present.IsManaged)
        {
            var names = string.Join(", ", differences.Select(d => $"{d.Name} ({Shown(d.Before)} on the host, {Shown(d.After)} desired)"));
            work.Diagnostics.Add(
                Diagnostic.Error(
                    former is null
                        ? $"{address} exists and was not created by kbr"
                        : $"{address} was applied at {former}; {PlaceOf(node.Resource)} exists and was not created by kbr",
                    node.Resource.Location,
                    detail: $"it differs in {names}",
                    remedy: former is null
                        ? $"record it unchanged with 'kbr import', adopt and change it with --adopt '{address}', or remove it by hand"
                        : $"restore {former}; or move the existing one away; or adopt it with --adopt '{address}', which "
                            + $"leaves {former} unchanged and unmanaged",
                    host: address.Host,
                    address: address.ToString()
                )
            );
            work.Block(address, "it exists and was not created by kbr");
            return;
        }

        var replace = isRequested || differences.Any(difference => difference.Effect == ChangeEffect.Replace);
        if (replace && node.Resource.PreventDestroy)
        {
            work.Protect(node.Resource, "replaced");
            return;
        }

        var adopts = !next.Created;
        // What kbr makes anew is its own from then on.
        next = next with
        {
            Created = next.Created || replace || differences.Any(difference => schema.MadeAnewFor.Contains(difference.Name)),
        };
        work.Add(
            new PlannedChange(
                address,
                replace ? ResourceAction.Replace : ResourceAction.Update,
                isRequested ? Cause.Requested : Overall(differences),
                node.Resource,
                differences.ToImmutable(),
                []
            )
            {
                Record = next,
                Intent = Intent(record, next, differences),
                Adopts = adopts,
                Note = note,
            }
        );
    }

    // What belongs to a group is changed by several steps on several hosts, and recorded after them.
    private ResourceRecord? Intent(ResourceRecord? record, ResourceRecord next, IEnumerable<AttributeDifference> differences)
    {
        var names = differences.Where(difference => difference.After is not null).Select(difference => difference.Name).ToList();
        if (names.Count == 0 || _providers.Get(next.Address.Type) is not IGroupResourceProvider)
        {
            return null;
        }

        var known = record ?? next with { Fingerprints = SortedMap<string>.Empty };
        return known with { Intended = known.Intended.Union(names) };
    }

    private void PlanRemoval(Work work, ResourceRecord record, Cause cause)
    {
        var address = record.Address;
        var provider = _providers.Get(address.Type);
        var resource = record.ToResource();
        var volume = work.Recorded.Find(address)?.Volume;
        var covered = volume is { } over && !work.IsMounted(over);
        var observation = covered ? null : work.Observe(address);
        var nothingOfItsOwn = provider is IForgottenOnRemoval forgetful && forgetful.IsForgotten(resource);
        if (!nothingOfItsOwn && (work.Input.HostErrors.ContainsKey(address.Host) || observation is Observation.Unknown))
        {
            var reason = (observation as Observation.Unknown)?.Reason ?? work.Input.HostErrors[address.Host];
            work.Fail(address, reason, resource);
            return;
        }

        if (work.IsProtected(record))
        {
            work.Protect(work.Input.Graph.Find(address)?.Resource ?? resource, "deleted");
            return;
        }

        if (!work.Input.Options.Destroy && ReplacementOf(work, resource) is { } replacement)
        {
            work.Add(new PlannedChange(address, ResourceAction.Forget, cause, resource, [], []) { Note = $"replaced by {replacement}" });
            return;
        }

        var holdsData = provider.HoldsData(resource);
        var deleteData = holdsData && work.Input.Options.DeleteData;
        var detaches = holdsData && !deleteData && provider is IReleasesOnDestroy;
        var retirement =
            holdsData
            && !deleteData
            && !work.Input.Options.Destroy
            && observation is Observation.Present used
            && provider is IRetiresOnRemoval retiring
                ? retiring.Retirement(resource, used)
                : null;
        var (action, why, note) = observation switch
        {
            _ when nothingOfItsOwn => (ResourceAction.Forget, cause, (string?)null),
            Observation.Absent when !deleteData || provider is IGroupResourceProvider => (ResourceAction.Forget, Cause.AlreadyGone, null),
            _ when deleteData && provider is IGroupResourceProvider && work.IsTakenDown(address.Host) => (
                ResourceAction.Forget,
                cause,
                "it is deleted with the data of the members"
            ),
            _ when retirement is not null => (ResourceAction.Delete, cause, retirement),
            _ when !record.Created => (ResourceAction.Forget, cause, "adopted, not created by kbr: released, not deleted"),
            null => (ResourceAction.Forget, cause, "its volume is not mounted"),
            _ when detaches => (ResourceAction.Delete, cause, "detached; its data is kept"),
            _ when holdsData && !deleteData => (ResourceAction.Forget, cause, "its data is kept"),
            _ => (ResourceAction.Delete, cause, null),
        };
        var differences =
            action == ResourceAction.Delete && observation is Observation.Present present
                ? present
                    .Attributes.Where(pair =>
                        record.Fingerprints.TryGetValue(pair.Key, out var last)
                        && !_fingerprint.Matches(last, address, pair.Key, pair.Value)
                    )
                    .Select(pair => new AttributeDifference(pair.Key, Hidden(record, pair), null, Cause.Drift, ChangeEffect.InPlace))
                    .ToImmutableArray()
                : [];
        work.Add(
            new PlannedChange(address, action, why, resource, differences, [])
            {
                Note = note,
                DeleteData = deleteData && action == ResourceAction.Delete,
                Place = action == ResourceAction.Delete ? PlaceOf(resource) : null,
            }
        );
    }

    // Dependencies of protected resources are kept, transitively: deleting a directory deletes everything below it.
    private void KeepProtectedDependencies(Work work)
    {
        var open = new Queue<(Address Address, Address Protected)>(work.Blocked.Keys.Order().Select(address => (address, address)));
        var seen = work.Blocked.Keys.ToHashSet();
        while (open.TryDequeue(out var next))
        {
            foreach (var below in DependenciesOf(work, next.Address).Where(seen.Add))
            {
                if (work.Changes.GetValueOrDefault(below)?.Action == ResourceAction.Delete)
                {
                    work.Changes.Remove(below);
                    work.Block(below, $"{next.Protected} depends on it and is kept");
                }

                open.Enqueue((below, next.Protected));
            }
        }
    }

    // A resource of a group depends on no single member, but is removed with the last of them: a protected database keeps them all. An
    // unprotected one that cannot be removed, because there is no primary, does not keep a cluster from being destroyed.
    private IEnumerable<Address> DependenciesOf(Work work, Address address)
    {
        var required = work.Recorded.Find(address)?.Requires ?? [];
        return
            work.Input.Records.TryGetValue(address, out var own)
            && work.IsProtected(own)
            && _providers.Get(address.Type) is IGroupResourceProvider
            && work.IsTakenDown(address.Host)
            ? required.Concat(work.RunningBy[address.Host].Order())
            : required;
    }

    // The wanted resource that stands for the same thing under another name: taking the thing down would take it from that one.
    private Address? ReplacementOf(Work work, Resource removed)
    {
        var wanted = work.Things ??= work
            .Input.Graph.Order.SelectMany(address => Things(work.Input.Graph.Find(address)!.Resource).Select(thing => (address, thing)))
            .ToLookup(pair => (pair.address.Type, pair.address.Host, pair.thing), pair => pair.address);
        return Things(removed)
            .SelectMany(thing => wanted[(removed.Address.Type, removed.Address.Host, thing)])
            .Where(address => address != removed.Address)
            .Cast<Address?>()
            .FirstOrDefault();
    }

    private IEnumerable<string> Things(Resource resource)
    {
        var links = LinksOf(resource);
        return links.Provides.Concat(links.ManagedPaths);
    }

    // Without the desired text there is nothing to tell secret parts by, so the whole value stays hidden.
    private static AttributeValue Hidden(ResourceRecord record, KeyValuePair<string, AttributeValue> pair) =>
        Fingerprint.IsSecret(record.Fingerprints[pair.Key]) ? new AttributeValue(SecretText.Mask) : pair.Value;

    private static string Shown(AttributeValue? value) =>
        value switch
        {
            null => "nothing",
            { Secret: not null } => SecretText.Mask,
            { IsText: true } => "a different text",
            _ => value.Value.Length == 0 ? "\"\"" : value.Value.Replace('\n', ' '),
        };

    // Whether a record with the fingerprint of every desired value is as complete as a new one.
    private static bool IsRecorded(ResourceRecord record, ResourceGraph.Node node, int values) =>
        record.Fingerprints.Count == values
        && record.Requires.AsSpan().SequenceEqual(node.Requires.AsSpan())
        && record.PreventDestroy == node.Resource.PreventDestroy
        && record.Group == node.Resource.Group;

    private static Cause Overall(IEnumerable<AttributeDifference> differences)
    {
        var causes = differences.Select(difference => difference.Cause).Distinct().ToList();
        return causes.Count == 1 ? causes[0]
            : causes.TrueForAll(cause => cause is Cause.Interrupted or Cause.ConfigurationChanged) ? Cause.Interrupted
            : Cause.ConfigurationChangedAndDrift;
    }

    private ResourceRecord Record(ResourceGraph.Node node, SortedMap<AttributeValue> desired, bool created)
    {
        var resource = node.Resource;
        var prints = SortedMap.Of<string>(
            desired.Select(pair =>
                KeyValuePair.Create(pair.Key, _fingerprint.Of(resource.Address, pair.Key, pair.Value, pair.Value.Secret is not null))
            )
        );
        return new ResourceRecord(resource.Address, created, Pending: false, prints, resource.Spec, node.Requires, resource.PreventDestroy)
        {
            Group = resource.Group,
        };
    }

    // The found values count as last applied: from then on another value is drift, and another value in cluster.yaml is a change of the
    // configuration. A map, such as the environment of a foreign process, may hold passwords that no credentials file knows.
    private SortedMap<string> AsFound(
        Address address,
        ResourceSchema schema,
        SortedMap<AttributeValue> desired,
        SortedMap<AttributeValue> actual
    ) =>
        SortedMap.Of<string>(
            desired
                .Where(pair => actual.ContainsKey(pair.Key))
                .Select(pair =>
                    KeyValuePair.Create(
                        pair.Key,
                        _fingerprint.Of(
                            address,
                            pair.Key,
                            actual[pair.Key],
                            pair.Value.Secret is not null
                                || (
                                    actual[pair.Key].Value != pair.Value.Value
                                    && schema.Attributes.Any(attribute =>
                                        attribute.Name == pair.Key && attribute.Kind == AttributeKind.StringMap
                                    )
                                )
                        )
                    )
                )
        );

    // Creates and updates go after what they require; deletes go after everything that required the deleted thing.
    private static (ImmutableArray<PlannedChange> Changes, IReadOnlyDictionary<string, PlannedGroup> Groups) Ordered(Work work)
    {
        var removed = work
            .Changes.Values.Where(change => change.Action is ResourceAction.Delete or ResourceAction.Forget)
            .Select(change => change.Address)
            .ToHashSet();
        var dependents = work
            .Changes.Keys.Where(_ => removed.Count > 0)
            .SelectMany(address =>
                (work.Recorded.Find(address)?.Requires ?? []).Where(removed.Contains).Select(required => (required, address))
            )
            .ToLookup(edge => edge.required, edge => edge.address);
        var groups = work.Groups.Values.ToDictionary(
            group => group.Policy.Group,
            group => group with { DependsOn = Before(work, group.Policy, removed) },
            StringComparer.Ordinal
        );
        // With all resources and nothing to remove it is the order of the graph.
        var isWhole = removed.Count == 0 && work.Changes.Count == work.Input.Graph.Order.Length;
        ImmutableArray<Address> DependsOn(Address address) =>
            removed.Contains(address) ? [.. dependents[address].Order()]
            : work.Changes.ContainsKey(address) ? Before(work, address, removed, isWhole)
            : groups[address.Host].DependsOn;

        var order = isWhole
            ? new DependencyOrder(work.Input.Graph.Order, [])
            : DependencyOrder.Of(work.Changes.Keys.Concat(groups.Values.Select(group => group.Address)), DependsOn);
        if (!order.Left.IsEmpty)
        {
            throw new DiagnosticException(
                Diagnostic.Error(
                    "the new dependencies contradict the recorded ones among "
                        + string.Join(", ", order.Left.Select(address => address.ToString()).Order(StringComparer.Ordinal)),
                    remedy: "apply the removal first, with --target"
                )
            );
        }

        return (
            [
                .. order
                    .Addresses.Select(address => work.Changes.GetValueOrDefault(address))
                    .OfType<PlannedChange>()
                    .Select(change =>
                        change with
                        {
                            DependsOn = DependsOn(change.Address),
                            Disrupts = Disrupts(change) ? change.Resource.Group : null,
                        }
                    ),
            ],
            groups
        );
    }

    // The changes that a change goes after, in the order of their addresses.
    private static ImmutableArray<Address> Before(Work work, Address address, HashSet<Address> removed, bool allStay)
    {
        if (work.Input.Graph.Find(address) is not { } node)
        {
            return [];
        }

        bool Stays(Address other) => work.Changes.ContainsKey(other) && !removed.Contains(other);
        var gate = work.Input.Graph.PolicyOver(address)?.Address is { } policy && work.IsPlanned(policy) ? policy : (Address?)null;
        return node.After.IsEmpty && node.Resource.AfterRemovalOf.IsEmpty && gate is null && (allStay || node.Requires.All(Stays))
            ? node.Requires
            :
            [
                .. node
                    .Requires.Union(node.After)
                    .Where(Stays)
                    .Union(node.Resource.AfterRemovalOf.Where(removed.Contains))
                    .Concat(gate is null ? [] : [gate.Value])
                    .Order(),
            ];
    }

    // Making, removing or replacing what runs a member starts or stops it; of an update it depends on what is changed.
    private static bool Disrupts(PlannedChange change) =>
        change.Action switch
        {
            ResourceAction.Create or ResourceAction.Replace or ResourceAction.Delete => true,
            ResourceAction.Update => change.Differences.Any(difference => difference.Effect != ChangeEffect.InPlace),
            _ => false,
        };

    private sealed class Work(PlanInput input, Lazy<ResourceGraph> recorded, Func<Address, bool> selected)
    {
        public PlanInput Input { get; } = input;

        public ResourceGraph Recorded => recorded.Value;

        public Dictionary<Address, PlannedChange> Changes { get; } = new(input.Graph.Order.Length);

        public Dictionary<Address, BlockedResource> Blocked { get; } = [];

        /// <summary>The groups that were looked at, by name.</summary>
        public Dictionary<string, PlannedGroup> Groups { get; } = new(StringComparer.Ordinal);

        public HashSet<string> UnknownGroups { get; } = new(StringComparer.Ordinal);

        /// <summary>Whether it is the address of a group that was looked at.</summary>
        public bool IsPlanned(Address group) => Groups.TryGetValue(group.Host, out var planned) && planned.Address == group;

        public List<Diagnostic> Diagnostics { get; } = [];

        /// <summary>The wanted resources by what they stand for; made when it is first asked for.</summary>
        public ILookup<(string Type, string Host, string Thing), Address>? Things { get; set; }

        public Observation Observe(Address address) =>
            Input.Observations.GetValueOrDefault(address) ?? new Observation.Unknown("it was not read");

        public bool IsMounted(Address volume) => Observe(volume).ShowsContent;

        /// <summary>The recorded resources that run the members, by group.</summary>
        public ILookup<string, Address> RunningBy { get; } =
            input
                .Records.Values.Where(record => record.Group is not null)
                .ToLookup(record => record.Group!, record => record.Address, StringComparer.Ordinal);

        /// <summary>The declared resources that run the members, by group.</summary>
        public ILookup<string, Address> RunningIn { get; } =
            input
                .Graph.Nodes.Select(node => node.Resource)
                .Where(resource => resource.Group is not null)
                .ToLookup(resource => resource.Group!, resource => resource.Address, StringComparer.Ordinal);

        /// <summary>Whether all that runs the members of a group is taken down: what lives in the group goes with them.</summary>
        public bool IsTakenDown(string group)
        {
            return Input.Options.Destroy && RunningBy.Contains(group) && RunningBy[group].All(selected);
        }

        /// <summary>The hosts that become members of a group: what runs the member there is made, and was not there by its record
        /// either.</summary>
        public string[] NewMembersOf(Address group) =>
            RunningIn.Contains(group.Host)
                ?
                [
                    .. RunningIn[group.Host]
                        .Where(address => Changes.GetValueOrDefault(address) is { Action: ResourceAction.Create, Cause: Cause.New })
                        .Select(address => address.Host)
                        .Distinct()
                        .Order(StringComparer.Ordinal),
                ]
                : [];

        public string? BlockingReason(Address address, ImmutableArray<Address> requires)
        {
            if (Input.HostErrors.TryGetValue(address.Host, out var reason))
            {
                return reason;
            }

            foreach (var required in requires)
            {
                if (Blocked.ContainsKey(required))
                {
                    return $"{required} could not be planned";
                }
            }

            if (UnknownGroups.Count > 0 && UnknownGroups.Contains(address.Host))
            {
                return $"the health of {address.Host} is unknown";
            }

            return null;
        }

        public void Add(PlannedChange change)
        {
            // What is looked at again later keeps its old record until then.
            var from = change.Deferred ? null : Input.Records.GetValueOrDefault(change.Address)?.RenamedFrom;
            Changes[change.Address] =
                from is null || change.MovedFrom is not null
                    ? change
                    : change with
                    {
                        MovedFrom = from,
                        Note = Join($"recorded as {from} until now", change.Note),
                    };
        }

        /// <summary>Leaves only what exists and has no record.</summary>
        public void OnlyFound()
        {
            Groups.Clear();
            foreach (
                var address in Changes
                    .Where(pair => pair.Value.Action != ResourceAction.Adopt || Input.Records.ContainsKey(pair.Key))
                    .Select(pair => pair.Key)
                    .ToList()
            )
            {
                Changes.Remove(address);
            }
        }

        public void Block(Address address, string reason) => Blocked[address] = new BlockedResource(address, reason);

        public void Fail(Address address, string reason, Resource resource)
        {
            Block(address, reason);
            if (!Input.HostErrors.ContainsKey(address.Host))
            {
                Diagnostics.Add(
                    Diagnostic.Error($"{address}: {reason}", resource.Location, host: address.Host, address: address.ToString())
                );
            }
        }

        /// <summary>Whether it may not be taken down: as it is configured now; what is configured no more, as it was applied.</summary>
        public bool IsProtected(ResourceRecord record) =>
            Input.Graph.Find(record.Address)?.Resource.PreventDestroy ?? record.PreventDestroy;

        public void Protect(Resource resource, string what)
        {
            Block(resource.Address, "lifecycle.prevent_destroy");
            Diagnostics.Add(
                Diagnostic.Error(
                    $"{resource.Address} would be {what}, but lifecycle.prevent_destroy protects it",
                    resource.Location,
                    detail: resource.Location is null ? "it was applied with prevent_destroy, and is no longer in the configuration" : null,
                    remedy: resource.Location is null
                        ? "to remove it anyway: put it back without prevent_destroy, apply, then remove it"
                        : "to remove it anyway, drop prevent_destroy; or exclude it with --target",
                    host: resource.Address.Host,
                    address: resource.Address.ToString()
                )
            );
        }
    }
}
