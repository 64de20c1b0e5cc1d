using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Records;

/// <summary>The operator's copy of the records, as it was read.</summary>
/// <param name="Serial">How often it was written; 0 when there is none.</param>
/// <param name="Records">What it says.</param>
/// <param name="Diagnostics">What is wrong with it.</param>
public sealed record StateCopy(long Serial, ImmutableArray<ResourceRecord> Records, ImmutableArray<Diagnostic> Diagnostics)
{
    /// <summary>The records of which no host that was read could have said otherwise: those of hosts and of groups that were not read, and
    /// of hosts that the cluster file has no more.</summary>
    /// <param name="groups">The groups of the configuration.</param>
    /// <param name="providers">The resource types.</param>
    /// <param name="read">The hosts whose records were all read.</param>
    public IEnumerable<ResourceRecord> Unread(ImmutableArray<HostGroup> groups, ProviderRegistry providers, IReadOnlySet<string> read)
    {
        ArgumentNullException.ThrowIfNull(providers);
        return Records.Where(record =>
            providers.Find(record.Address.Type) switch
            {
                // Every member has a copy of a group's records, so one that was read is enough.
                IGroupResourceProvider => !(groups.FirstOrDefault(group => group.Name == record.Address.Host)?.Members ?? [.. read]).Any(
                    read.Contains
                ),
                _ => !read.Contains(record.Address.Host),
            }
        );
    }

    /// <summary>The recorded resources of a host, in words; null for none.</summary>
    public string? Held(string host)
    {
        var held = Records.Where(record => record.Address.Host == host).Select(record => record.Address).Order().ToList();
        return held.Count == 0
            ? null
            : $"when it was last read, it held "
                + $"{string.Join(", ", held.Select(address => $"{address.Type}.{address.Name}"))} (from the operator's "
                + $"copy, serial {Serial})";
    }
}
