using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>Decides about a desired resource that exists: nothing, only its record, an update, a replacement, or a refusal to touch what
/// kbr did not create.</summary>
/// <param name="providers">The resource types.</param>
/// <param name="fingerprint">The key of fingerprints.</param>
/// <param name="identity">Which object a resource stands for.</param>
/// <param name="records">Makes the records.</param>
internal sealed class UpdatePlanner(ProviderRegistry providers, Fingerprint fingerprint, ResourceIdentity identity, RecordFactory records)
{
    /// <summary>A resource that was found.</summary>
    /// <param name="desired">The resource.</param>
    /// <param name="present">What was found.</param>
    /// <param name="input">The planner's input.</param>
    /// <param name="joining">The hosts that become members of its group.</param>
    public ResourceDecision Decide(
        DesiredResource desired,
        Observation.Present present,
        PlanInput input,
        IReadOnlyCollection<string> joining
    )
    {
        var schema = providers.Get(desired.Address.Type).Schema;
        var note = present.Note;

        // A record of another path or name does not cover an object found at the new one: it must be adopted, and the former one is left
        // alone.
        var former =
            desired.Record is { } last && identity.IsAnotherObject(last, desired.Node)
                ? identity.PlaceOf(ResourceIdentity.Former(last))
                : null;
        if (former is not null)
        {
            desired = desired with { Record = null };
            note = PlanNote.Join($"the previous {former} stays unchanged and is no longer managed by kbr", note);
        }

        if (joining.Count > 0)
        {
            note = PlanNote.Join(PlanNote.OfJoining(joining), note);
        }

        var isUneven = input.UnevenRecords.Contains(desired.Address);
        var diff = ThreeWayDiff.Of(desired, present, schema, fingerprint, isUneven, joins: joining.Count > 0);
        var decision =
            diff.IsRecorded && !input.Options.Replace.Contains(desired.Address)
                ? ResourceDecision.Of(Unchanged(desired, ResourceAction.NoOp, Cause.FoundAsWanted, desired.Record, note))
                : Different(desired, present, input.Options, diff, schema, former, note);
        return present.Foreign.IsEmpty && present.Warnings.IsEmpty ? decision : decision.After(Notices(desired.Resource, present, diff));
    }

    private ResourceDecision Different(
        in DesiredResource desired,
        Observation.Present present,
        PlanOptions options,
        in ThreeWayDiff diff,
        ResourceSchema schema,
        string? former,
        string? note
    )
    {
        var record = desired.Record;
        var isRequested = options.Replace.Contains(desired.Address);
        if (isRequested && record is null && !present.IsManaged)
        {
            return ReplacementRequests.RefuseUnmanaged(desired.Resource);
        }

        var next = records.Applied(desired, created: record?.Created ?? present.IsManaged);
        if (diff.Differences.IsEmpty && !isRequested)
        {
            var cause = record?.RenamedFrom is null ? Cause.FoundAsWanted : Cause.Moved;
            return ResourceDecision.Of(Unchanged(desired, ResourceAction.Adopt, cause, next, note));
        }

        if (record is null && options.Import)
        {
            var imported = records.Imported(desired, next, schema, present.Attributes);
            return ResourceDecision.Of(
                Unchanged(desired, ResourceAction.Adopt, Cause.Adopted, imported, note) with
                {
                    Differences = diff.Differences,
                }
            );
        }

        if (record is null && !present.IsManaged && !options.Adopts(desired.Address))
        {
            return Unmanaged(desired.Resource, diff, former);
        }

        var replaces = isRequested || diff.Differences.Any(difference => difference.Effect == ChangeEffect.Replace);
        return replaces && desired.Resource.PreventDestroy
            ? DestroyProtection.Refusal(desired.Resource, "replaced")
            : ResourceDecision.Of(Change(desired, diff, schema, next, replaces, isRequested, note));
    }

    private PlannedChange Change(
        in DesiredResource desired,
        in ThreeWayDiff diff,
        ResourceSchema schema,
        ResourceRecord next,
        bool replaces,
        bool isRequested,
        string? note
    )
    {
        // What kbr makes anew is its own from then on.
        var record = next with
        {
            Created = next.Created || replaces || diff.Differences.Any(difference => schema.MadeAnewFor.Contains(difference.Name)),
        };
        return new PlannedChange(
            desired.Address,
            replaces ? ResourceAction.Replace : ResourceAction.Update,
            isRequested ? Cause.Requested : diff.Cause,
            desired.Resource,
            diff.Differences,
            []
        )
        {
            Record = record,
            Intent = records.Intent(desired.Record, record, diff.Differences),
            Adopts = !next.Created,
            Note = note,
        };
    }

    private static PlannedChange Unchanged(
        in DesiredResource desired,
        ResourceAction action,
        Cause cause,
        ResourceRecord? record,
        string? note
    ) => new(desired.Address, action, cause, desired.Resource, [], desired.Node.Requires) { Record = record, Note = note };

    private ResourceDecision Unmanaged(Resource resource, in ThreeWayDiff diff, string? former)
    {
        var address = resource.Address;
        var names = string.Join(
            ", ",
            diff.Differences.Select(one => $"{one.Name} ({PlanNote.Shown(one.Before)} on the host, {PlanNote.Shown(one.After)} desired)")
        );
        return ResourceDecision.Refused(
            "it exists and was not created by kbr",
            Diagnostic.Error(
                former is null
                    ? $"{address} exists and was not created by kbr"
                    : $"{address} was applied at {former}; {identity.PlaceOf(resource)} exists and was not created by kbr",
                resource.Location,
                detail: $"it differs in {names}",
                remedy: former is null
                    ? $"record it unchanged with 'kbr import', adopt and change it with --adopt '{address}', or remove it by hand"
                    : $"restore {former}; or move the existing one away; or adopt it with --adopt '{address}', which "
                        + $"leaves {former} unchanged and unmanaged",
                host: address.Host,
                address: address.ToString()
            )
        );
    }

    // An undeclared setting that this very change removes is kbr's own.
    private static List<Diagnostic> Notices(Resource resource, Observation.Present present, in ThreeWayDiff diff)
    {
        var differences = diff.Differences;
        var kept = present.Foreign.RemoveAll(setting => differences.Any(difference => difference.Name == setting.Name));
        return
        [
            .. present.Warnings.Select(pair => Diagnostic.Warning(pair.Value, host: pair.Key, address: resource.Address.ToString())),
            .. ForeignNotices.Of(resource.Address, kept, resource.Location),
        ];
    }
}
