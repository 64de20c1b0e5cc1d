using System.Collections.Immutable;
using System.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Applying;

/// <summary>What is run for a change: the record before it, the provider's part, the record after it. Pure.</summary>
/// <param name="change">The change.</param>
/// <param name="cluster">The cluster's name.</param>
/// <param name="serial">How often the record of a group's resource was written until now.</param>
internal sealed class ChangeScript(PlannedChange change, string cluster, long serial)
{
    /// <summary>Writes the record with which the change begins; empty where none is needed. The record of a creation is begun before it,
    /// also where that is at another place than before: were it cut off, the half-made thing is known to be kbr's.</summary>
    /// <param name="record">The record after the change.</param>
    public string Begin(ResourceRecord? record) =>
        (change.Action == ResourceAction.Create || change.Former is not null) && record is not null
            ? RecordScript.Write(record with { Pending = true, Fingerprints = SortedMap<string>.Empty }, cluster)
            : Intent();

    /// <summary>Writes the record by which what an update sets is known as kbr's; empty where none is needed.</summary>
    public string Intent() => change.Intent is { } intent ? RecordScript.Write(intent with { Serial = serial + 1 }, cluster) : "";

    /// <summary>Writes the record with which the change ends, or removes it.</summary>
    /// <param name="record">The record after the change; null where it is removed.</param>
    public string End(ResourceRecord? record) =>
        (record is null ? RecordScript.Remove(change.Address, cluster) : RecordScript.Write(record, cluster))
        + (change.MovedFrom is { } former ? RecordScript.Remove(former, cluster) : "");

    /// <summary>The record after the change; null where it is removed.</summary>
    /// <param name="isOfGroup">Whether the members of a group have copies of it.</param>
    /// <param name="now">The time.</param>
    public ResourceRecord? Record(bool isOfGroup, DateTimeOffset now)
    {
        var record = change.Record is null ? null : change.Record with { AppliedAt = now };
        return isOfGroup && record is not null ? record with { Serial = serial + (change.Intent is null ? 1 : 2) } : record;
    }

    /// <summary>The whole change of a resource on a host, as one script.</summary>
    /// <param name="provider">The resource's type.</param>
    /// <param name="record">The record after the change.</param>
    /// <param name="directory">The folder of cluster.yaml, from which local files are named.</param>
    public Script OnHost(IHostResourceProvider provider, ResourceRecord? record, string directory)
    {
        if (OnlyRecords(change))
        {
            return new Script(End(record));
        }

        var script = provider.Render(Of(change, change.Former is null ? Operation(change) : ResourceOperation.Create));
        script = script with { Text = $"{Begin(record)}(\n{script.Text}\n)\n" };
        if (change.Former is { } former)
        {
            // Before the record of the new one is begun: until then the record is the only one that knows of the former one.
            var removal = provider.Render(new ResourceChange(ResourceOperation.Delete, former, []));
            script = script with { Text = $"(\n{removal.Text}\n)\n{script.Text}", Deadline = removal.Deadline + script.Deadline };
        }

        return script with
        {
            Text = script.Text + End(record),
            Uploads = script.Uploads.ToImmutableSortedDictionary(
                pair => pair.Key,
                pair => Path.Combine(directory, pair.Value),
                StringComparer.Ordinal
            ),
        };
    }

    /// <summary>Whether a change touches nothing but records.</summary>
    public static bool OnlyRecords(PlannedChange change) => change.Action is ResourceAction.Adopt or ResourceAction.Forget;

    /// <summary>The change as its provider sees it.</summary>
    public static ResourceChange Of(PlannedChange change) => Of(change, Operation(change));

    private static ResourceChange Of(PlannedChange change, ResourceOperation operation) =>
        new(operation, change.Resource, [.. change.Differences.Select(difference => difference.Name)])
        {
            DeleteData = change.DeleteData,
            Adopt = change.Adopts || change.Cause == Cause.Adopted || change.Record is { Created: false },
            ProcessIsReplaced = change.ReplacedProcess is not null,
            Found = change
                .Differences.Where(difference => difference.Before is not null)
                .ToImmutableSortedDictionary(difference => difference.Name, difference => difference.Before!.Value, StringComparer.Ordinal),
        };

    private static ResourceOperation Operation(PlannedChange change) =>
        change.Action switch
        {
            ResourceAction.Create => ResourceOperation.Create,
            ResourceAction.Update => ResourceOperation.Update,
            ResourceAction.Replace => ResourceOperation.Replace,
            ResourceAction.Delete => ResourceOperation.Delete,
            _ => throw new UnreachableException(),
        };
}
