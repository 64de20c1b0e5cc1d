using System.Collections.Immutable;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>Decides about a recorded resource that is not desired any more: delete it, detach it, or drop its record and keep what holds
/// data or was adopted.</summary>
/// <param name="providers">The resource types.</param>
/// <param name="fingerprint">The key of fingerprints.</param>
/// <param name="identity">Which object a resource stands for.</param>
internal sealed class RemovalPlanner(ProviderRegistry providers, Fingerprint fingerprint, ResourceIdentity identity)
{
    /// <summary>A resource that is removed.</summary>
    /// <param name="context">What the plan is made from.</param>
    /// <param name="record">Its record.</param>
    /// <param name="cause">Why it is removed.</param>
    public ResourceDecision Decide(PlanContext context, ResourceRecord record, Cause cause)
    {
        var address = record.Address;
        var input = context.Input;
        var provider = providers.Get(address.Type);
        var resource = record.ToResource();
        var volume = context.Recorded.Find(address)?.Volume;
        var observation = volume is { } over && !input.IsMounted(over) ? null : input.Observe(address);
        var hasNothing = provider is IForgottenOnRemoval forgetful && forgetful.IsForgotten(resource);
        if (!hasNothing)
        {
            // An error of the host is reported once, for the host.
            if (input.HostErrors.TryGetValue(address.Host, out var error))
            {
                return ResourceDecision.Blocking((observation as Observation.Unknown)?.Reason ?? error);
            }

            if (observation is Observation.Unknown unknown)
            {
                return ResourceDecision.Unknown(resource, unknown.Reason);
            }
        }

        if (DestroyProtection.IsProtected(input, record))
        {
            return DestroyProtection.Refusal(input.Graph.Find(address)?.Resource ?? resource, "deleted");
        }

        if (!input.Options.Destroy && identity.ReplacementOf(resource, address, context.DesiredObjects.Value) is { } replacement)
        {
            return ResourceDecision.Of(
                new PlannedChange(address, ResourceAction.Forget, cause, resource, [], []) { Note = $"replaced by {replacement}" }
            );
        }

        var deletesData = provider.HoldsData(resource) && input.Options.DeleteData;
        var (action, why, note) = hasNothing
            ? (ResourceAction.Forget, cause, null)
            : Removal(context, record, resource, observation, cause, deletesData);
        return ResourceDecision.Of(
            new PlannedChange(
                address,
                action,
                why,
                resource,
                action == ResourceAction.Delete && observation is Observation.Present present ? Drifted(record, present) : [],
                []
            )
            {
                Note = note,
                DeleteData = deletesData && action == ResourceAction.Delete,
                Place = action == ResourceAction.Delete ? identity.PlaceOf(resource) : null,
            }
        );
    }

    // The observation is null where the volume over the resource is not mounted.
    private (ResourceAction Action, Cause Cause, string? Note) Removal(
        PlanContext context,
        ResourceRecord record,
        Resource resource,
        Observation? observation,
        Cause cause,
        bool deletesData
    )
    {
        var provider = providers.Get(resource.Address.Type);
        var isOfGroup = provider is IGroupResourceProvider;
        var keepsData = provider.HoldsData(resource) && !deletesData;
        var retirement =
            keepsData && !context.Input.Options.Destroy && observation is Observation.Present used && provider is IRetiresOnRemoval retiring
                ? retiring.Retirement(resource, used)
                : null;
        return observation switch
        {
            Observation.Absent when !deletesData || isOfGroup => (ResourceAction.Forget, Cause.AlreadyGone, null),
            _ when deletesData && isOfGroup && context.Members.IsTakenDown(resource.Address.Host) => (
                ResourceAction.Forget,
                cause,
                "it is deleted with the data of the members"
            ),
            _ when retirement is not null => (ResourceAction.Delete, cause, retirement),
            _ when !record.Created => (ResourceAction.Forget, cause, "adopted, not created by kbr: released, not deleted"),
            null => (ResourceAction.Forget, cause, "its volume is not mounted"),
            _ when keepsData && provider is IReleasesOnDestroy => (ResourceAction.Delete, cause, "detached; its data is kept"),
            _ when keepsData => (ResourceAction.Forget, cause, "its data is kept"),
            _ => (ResourceAction.Delete, cause, null),
        };
    }

    // The values that are not those last applied.
    private ImmutableArray<AttributeDifference> Drifted(ResourceRecord record, Observation.Present present) =>
        [
            .. present
                .Attributes.Where(pair =>
                    record.Fingerprints.TryGetValue(pair.Key, out var last)
                    && !fingerprint.Matches(last, record.Address, pair.Key, pair.Value)
                )
                .Select(pair => new AttributeDifference(pair.Key, Hidden(record, pair), null, Cause.Drift, ChangeEffect.InPlace)),
        ];

    // Without the desired text there is nothing to tell secret parts by, so the whole value stays hidden.
    private static AttributeValue Hidden(ResourceRecord record, KeyValuePair<string, AttributeValue> pair) =>
        Fingerprint.IsSecret(record.Fingerprints[pair.Key]) ? new AttributeValue(SecretText.Mask) : pair.Value;
}
