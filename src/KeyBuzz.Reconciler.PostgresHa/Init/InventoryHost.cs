using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;

namespace KeyBuzz.Reconciler.PostgresHa.Init;

/// <summary>A host as an inventory names it.</summary>
/// <param name="Name">Its name, as cluster.yaml takes one.</param>
/// <param name="At">Where it is named; null for an option or an answer.</param>
public sealed record InventoryHost(string Name, SourceLocation? At)
{
    /// <summary>The private address; null where only the host itself knows it.</summary>
    public string? Address { get; init; }

    /// <summary>The name or address to log in at, where that is not the private address.</summary>
    public string? SshHost { get; init; }

    /// <summary>The port to log in at; null for the usual one.</summary>
    public int? Port { get; init; }

    /// <summary>The user to log in as; null for root.</summary>
    public string? User { get; init; }

    /// <summary>The private key of the login; null for the default.</summary>
    public string? IdentityFile { get; init; }

    /// <summary>The address of a name: the name itself where it is an address, and what to log in at otherwise.</summary>
    public InventoryHost ReachedAt(string target) =>
        NetworkAddress.TryParse(target, out _) ? this with { Address = target } : this with { SshHost = target };
}

/// <summary>The hosts of a new cluster, and why it has these and no others.</summary>
/// <param name="Members">The hosts with PostgreSQL.</param>
/// <param name="Proxies">The hosts with HAProxy and PgBouncer.</param>
/// <param name="Notes">What was taken and what was left, a line each.</param>
public sealed record InitSelection(
    ImmutableArray<InventoryHost> Members,
    ImmutableArray<InventoryHost> Proxies,
    ImmutableArray<string> Notes
)
{
    /// <summary>The cluster's name where nothing else gives one.</summary>
    public string Name { get; init; } = "pg";

    /// <summary>All hosts, members first.</summary>
    public IEnumerable<InventoryHost> All => [.. Members, .. Proxies];

    /// <summary>Notes what no cluster file could hold: no hosts, or a name, an address or a login that is given twice.</summary>
    public InitSelection Check(Findings findings)
    {
        ArgumentNullException.ThrowIfNull(findings);
        if (Members.IsEmpty && !findings.HasErrors)
        {
            findings.Error("no host is a member", null, null, "name at least one, best three: --members");
        }

        if (Proxies.IsEmpty && !findings.HasErrors)
        {
            findings.Error("no host is a proxy", null, null, "name at least one, best two: --proxies");
        }

        Twice("the name", host => host.Name);
        Twice("the address", host => host.Address is { } address ? NetworkAddress.Canonical(address) : null);
        return this;

        void Twice(string what, Func<InventoryHost, string?> key)
        {
            foreach (var same in All.Where(host => key(host) is not null).GroupBy(host => key(host)!).Where(group => group.Count() > 1))
            {
                var (first, last) = (same.First(), same.Last());
                var line = first.At is { } at ? $", first in line {at.Line}" : "";
                findings.Error(
                    $"{what} {same.Key} is given twice: {first.Name} and {last.Name}",
                    last.At,
                    $"members and proxies are hosts of their own{line}",
                    "name each host once"
                );
            }
        }
    }
}
