using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>Follows the <c>moved</c> section: a record gets the new address of its resource before anything is compared.</summary>
/// <param name="providers">The resource types.</param>
/// <param name="identity">Which object a resource stands for.</param>
/// <param name="fingerprint">The key of fingerprints.</param>
internal sealed class RecordMoves(ProviderRegistry providers, ResourceIdentity identity, Fingerprint fingerprint)
{
    /// <summary>The input with the records under their new addresses. A record stays where it is if its new address has one already, or
    /// names another object that exists.</summary>
    public PlanInput Follow(PlanInput input)
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
                && !(input.Observations.GetValueOrDefault(to) is Observation.Present && identity.IsElsewhere(record, resource))
            )
            {
                records.Remove(record.Address);
                records[to] = record.Rename(to, providers.Get(to.Type).Desired(resource), fingerprint);
            }
        }

        return input with
        {
            Records = records,
        };
    }

    /// <summary>The change of a resource; where its record had another address until now, the change removes that one. A resource that is
    /// checked again later keeps its old record until then.</summary>
    public static PlannedChange WithFormerAddress(PlannedChange change, ResourceRecord? record) =>
        record?.RenamedFrom is { } from && !change.Deferred
            ? change with
            {
                MovedFrom = from,
                Note = PlanNote.Join($"recorded as {from} until now", change.Note),
            }
            : change;
}
