using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Providers.SqlProxies;

/// <summary>The IPv4 addresses that a host has now, as its kernel lists them.</summary>
public static class LocalAddresses
{
    /// <summary>The list: the kernel's own routes to each of its addresses are in it.</summary>
    public static FileRead Read { get; } = new("/proc/net/fib_trie");

    /// <summary>Whether the host has the address.</summary>
    public static bool Has(Snapshot snapshot, string address)
    {
        ArgumentNullException.ThrowIfNull(snapshot);
        var isAddress = false;
        foreach (var line in (snapshot.Get(Read)?.Text ?? "").Split('\n').Select(line => line.Trim()))
        {
            if (line.StartsWith("|--", StringComparison.Ordinal) || line.StartsWith("+--", StringComparison.Ordinal))
            {
                isAddress = line == "|-- " + address;
            }
            else if (isAddress && line == "/32 host LOCAL")
            {
                return true;
            }
        }

        return false;
    }
}
