using System.Collections.Immutable;
using System.Diagnostics;
using KeyBuzz.Reconciler.Graph;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>Judges whether one resource was changed since it was applied.</summary>
/// <param name="providers">The resource types.</param>
/// <param name="configured">The resources as they are configured now, for their places in the file.</param>
/// <param name="applied">How resources were last applied.</param>
/// <param name="members">The members of groups as they were applied.</param>
internal sealed class ResourceDrift(ProviderRegistry providers, ResourceGraph configured, AppliedState applied, AppliedMembers members)
{
    private readonly AttributeDrift _attributes = new(providers, applied);

    /// <summary>Judges a resource.</summary>
    /// <param name="input">The inputs.</param>
    /// <param name="node">The recorded resource with its edges.</param>
    /// <param name="view">The resource as applied and found.</param>
    /// <param name="drifted">What was found to have drifted before, dependencies among it.</param>
    /// <param name="keyed">Whether secrets can be compared by fingerprint.</param>
    public DriftVerdict Judge(
        DriftInput input,
        ResourceGraph.Node node,
        AppliedView view,
        IReadOnlyDictionary<Address, DriftedResource> drifted,
        bool keyed
    )
    {
        var address = view.Record.Address;
        if (input.HostErrors.TryGetValue(address.Host, out var reason))
        {
            return DriftVerdict.Unread(address, reason);
        }

        if (view.Record.Pending)
        {
            return DriftVerdict.Unknown(address, "an apply was interrupted while creating it, so it has no complete record; apply again");
        }

        if (
            node.Volume is { } volume
            && input.Records.GetValueOrDefault(volume) is { } under
            && input.Observe(applied.Of(under)) is { ShowsContent: false }
        )
        {
            return Because(volume, "is not mounted");
        }

        var cause = CauseOfUnknown(node, drifted);
        return view.Observation switch
        {
            null => DriftVerdict.Unknown(address, "it was not read"),
            Observation.Unknown unknown when cause is { } because => Because(because, $"has drifted: {unknown.Reason}"),
            Observation.Absent when cause is { } because && drifted[because].Deleted => Because(because, "is not there"),
            Observation.Unknown unknown => DriftVerdict.Unknown(address, unknown.Reason),
            Observation.Absent absent => DriftVerdict.Compared(Drifted(input, address, [], absent.Note)),
            Observation.Present present => JudgePresent(input, view, present, keyed),
            _ => throw new UnreachableException(),
        };

        // What cannot be told because of something else that drifted is accounted for by that, as long as that counts.
        DriftVerdict Because(Address because, string why) =>
            DriftVerdict.Unknown(address, $"{because} {why}", isError: drifted.GetValueOrDefault(because) is not { IsIgnored: false });
    }

    // A resource of a group that drifted itself is unknown, for example a role without a primary.
    private Address? CauseOfUnknown(ResourceGraph.Node node, IReadOnlyDictionary<Address, DriftedResource> drifted)
    {
        var address = node.Resource.Address;
        return providers.Get(address.Type) is not IGroupResourceProvider ? null
            : drifted.ContainsKey(GroupPolicy.AddressOf(address.Host)) ? GroupPolicy.AddressOf(address.Host)
            : node.Requires.Where(drifted.ContainsKey).Select(required => (Address?)required).FirstOrDefault();
    }

    private DriftVerdict JudgePresent(DriftInput input, AppliedView view, Observation.Present present, bool keyed)
    {
        var (address, record) = (view.Record.Address, view.Record);
        var (changed, uncompared) = _attributes.Compare(view, present, input, keyed);
        if (!changed.IsEmpty && members.Incomplete(input, address.Host) is { } incomplete)
        {
            uncompared = uncompared.AddRange(changed.Select(one => new Uncompared(address, one.Name, incomplete, IsError: false)));
            changed = [];
        }

        var foreign = present.Foreign.RemoveAll(setting => record.Owned.Contains(setting.Name));
        changed = changed.AddRange(ForeignNotices.Drift(foreign, address, input));
        var verdict = new DriftVerdict(
            IsCompared: true,
            changed.IsEmpty ? null : Drifted(input, address, changed, Note(view, present, changed)),
            uncompared,
            [.. ForeignNotices.Of(address, foreign.RemoveAll(setting => setting.IsTrouble), null)]
        );

        // The intended value was not recorded as applied, so it cannot be compared.
        return record
            .Intended.Where(name => !record.Fingerprints.ContainsKey(name))
            .Aggregate(verdict, (all, name) =>
                all.With(address, name, "an apply that set it was interrupted or failed; apply again", isError: true)
            );
    }

    private static string? Note(AppliedView view, Observation.Present present, ImmutableArray<DriftedAttribute> changed)
    {
        var cutOff = view.Record.Intended.Where(name => changed.Any(attribute => attribute.Name == name)).ToList();
        return cutOff.Count > 0
            ? $"an apply that set {string.Join(", ", cutOff)} was interrupted or failed"
            : ForeignNotices.Remedies(
                present.Foreign.RemoveAll(setting => !changed.Any(attribute => attribute.IsForeign && attribute.Name == setting.Name))
            ) ?? present.Note;
    }

    private DriftedResource Drifted(DriftInput input, Address address, ImmutableArray<DriftedAttribute> attributes, string? note) =>
        new(address, attributes, input.Ignoring(address, null)) { Note = note, Location = configured.Find(address)?.Resource.Location };
}
