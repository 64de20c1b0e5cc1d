using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>Decides about a desired resource that does not exist, or of which it cannot be told yet: create it, move it, or check it again
/// later.</summary>
/// <param name="providers">The resource types.</param>
/// <param name="identity">Which object a resource stands for.</param>
/// <param name="records">Makes the records.</param>
internal sealed class CreationPlanner(ProviderRegistry providers, ResourceIdentity identity, RecordFactory records)
{
    /// <summary>A resource that was not found.</summary>
    /// <param name="context">What the plan is made from.</param>
    /// <param name="desired">The resource.</param>
    /// <param name="absent">What was found instead.</param>
    public ResourceDecision Decide(PlanContext context, in DesiredResource desired, Observation.Absent absent) =>
        desired is { IsApplied: true, Record: { } record } && identity.IsElsewhere(record, desired.Resource)
            ? Move(context, desired, record, absent.Note)
        : desired.Record is null && !absent.Foreign.IsEmpty && !context.Input.Options.Adopts(desired.Address)
            ? ForeignService(desired.Resource, absent)
        : ResourceDecision.Of(Create(desired, absent.Note, absent.Foreign));

    /// <summary>A resource below a volume whose device is blank: the disk was lost, and what was on it is made again.</summary>
    public ResourceDecision OnBlankVolume(in DesiredResource desired, Address volume) =>
        ResourceDecision.Of(Create(desired, desired.IsApplied ? $"{volume} is new and empty" : null));

    /// <summary>A resource that is checked again later; created then, where no record says that it was and nothing else is there.</summary>
    public ResourceDecision Later(in DesiredResource desired, Deferral deferral) =>
        ResourceDecision.Of(
            desired is { IsApplied: true, Record: { } record }
                ? new PlannedChange(desired.Address, ResourceAction.NoOp, Cause.FoundAsWanted, desired.Resource, [], [])
                {
                    Deferred = true,
                    Record = record,
                    Note = deferral.Note,
                }
                : Create(desired, $"checked again once {deferral.Awaited}") with
                {
                    Unseen = desired.Record is null,
                }
        );

    private PlannedChange Create(in DesiredResource desired, string? note, SortedMap<AttributeValue>? foreign = null)
    {
        var cause = desired.Record switch
        {
            null => Cause.New,
            { Pending: true } => Cause.Interrupted,
            _ => Cause.Drift,
        };
        var differences = desired.Values.Select(pair => new AttributeDifference(
            pair.Key,
            foreign?.GetValueOrDefault(pair.Key),
            pair.Value,
            cause,
            ChangeEffect.InPlace
        ));
        return new PlannedChange(desired.Address, ResourceAction.Create, cause, desired.Resource, [.. differences], [])
        {
            // A resource that kbr replaces is its own, even if the previous one was not.
            Record = records.Applied(desired, created: desired.Record is not { Pending: true, Created: false }),
            Note = cause == Cause.Drift ? PlanNote.Join("deleted on the host", note) : note,
        };
    }

    // Another path or name is another object on the host: the former one is not left behind, unless it holds data, or another resource
    // stands for it now.
    private ResourceDecision Move(PlanContext context, in DesiredResource desired, ResourceRecord record, string? note)
    {
        if (desired.Resource.PreventDestroy)
        {
            return DestroyProtection.Refusal(desired.Resource, "replaced");
        }

        var provider = providers.Get(record.Address.Type);
        var former = ResourceIdentity.Former(record);
        var replacement = identity.ReplacementOf(former, desired.Address, context.DesiredObjects.Value);
        var stays =
            replacement is not null
            || !record.Created
            || (provider.HoldsData(former) && provider is not IReleasesOnDestroy)
            || !identity.HasPlace(former);
        var created = Create(
            desired with
            {
                Record = null,
            },
            PlanNote.Join(
                replacement is not null ? $"the previous one stays in place, replaced by {replacement}"
                    : stays ? "the previous one stays in place"
                    : "the previous one is removed first",
                note
            )
        );
        return ResourceDecision.Of(
            created with
            {
                Action = stays ? ResourceAction.Create : ResourceAction.Replace,
                Cause = Cause.ConfigurationChanged,
                Former = stays ? null : former,
                Place = stays ? null : identity.PlaceOf(former),
            }
        );
    }

    private static ResourceDecision ForeignService(Resource resource, Observation.Absent absent) =>
        ResourceDecision.Refused(
            "another service would create it",
            Diagnostic.Error(
                $"{resource.Address} does not exist, and another service would create it",
                resource.Location,
                detail: string.Join(", ", absent.Foreign.Select(pair => $"{pair.Key}: {PlanNote.Shown(pair.Value)}")),
                remedy: $"adopt it with --adopt '{resource.Address}', or remove that service by hand",
                host: resource.Address.Host,
                address: resource.Address.ToString()
            )
        );
}
