using System.Collections.Immutable;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Graph;

/// <summary>Addresses in an order in which each comes after its dependencies.</summary>
/// <param name="Addresses">The order. Of the addresses that could come next, the first by name does: so it is the same in every
/// run.</param>
/// <param name="Left">The addresses in a cycle, or behind one; none when the order is complete.</param>
internal sealed record DependencyOrder(ImmutableArray<Address> Addresses, ImmutableArray<Address> Left)
{
    /// <summary>One of the cycles, each address before one that it depends on. Only where some are left.</summary>
    /// <param name="before">The dependencies that the order was made from.</param>
    public ImmutableArray<Address> Cycle(Func<Address, ImmutableArray<Address>> before)
    {
        // Every address left over waits for another one left over, so walking on must come back to where it has been.
        var left = Left.ToHashSet();
        var path = new List<Address>();
        var seen = new Dictionary<Address, int>();
        var at = Left.Min();
        while (seen.TryAdd(at, path.Count))
        {
            path.Add(at);
            at = before(at).First(left.Contains);
        }

        return [.. path[seen[at]..]];
    }

    /// <summary>The addresses in cycles, and between two of them; none when the order is complete.</summary>
    /// <param name="before">The dependencies that the order was made from.</param>
    public IReadOnlySet<Address> InCycles(Func<Address, ImmutableArray<Address>> before)
    {
        // Of those left over, the ones behind a cycle have nothing left before them in the opposite direction.
        var left = Left.ToHashSet();
        var behind = Left.SelectMany(address => before(address).Where(left.Contains).Select(first => (first, address)))
            .ToLookup(edge => edge.first, edge => edge.address);
        return Of(Left, address => [.. behind[address]]).Left.ToHashSet();
    }

    /// <summary>Kahn's algorithm.</summary>
    /// <param name="addresses">The addresses, each once.</param>
    /// <param name="before">The dependencies of an address; those outside the addresses are ignored, and one may occur twice.</param>
    public static DependencyOrder Of(IEnumerable<Address> addresses, Func<Address, ImmutableArray<Address>> before)
    {
        // By their place in the order of names, so that comparing two of them compares numbers.
        var sorted = addresses.ToArray();
        Array.Sort(sorted);
        var places = new Dictionary<Address, int>(sorted.Length);
        for (var place = 0; place < sorted.Length; place++)
        {
            places.Add(sorted[place], place);
        }

        // Each place with the places that follow it: those of one place stand together, and end where those of the next begin.
        var edges = new List<(int First, int Then)>(sorted.Length);
        var (waits, ends) = (new int[sorted.Length], new int[sorted.Length + 1]);
        for (var place = 0; place < sorted.Length; place++)
        {
            foreach (var address in before(sorted[place]))
            {
                if (places.TryGetValue(address, out var first))
                {
                    edges.Add((first, place));
                    ends[first]++;
                    waits[place]++;
                }
            }
        }

        for (var place = 1; place < ends.Length; place++)
        {
            ends[place] += ends[place - 1];
        }

        var followers = new int[edges.Count];
        for (var edge = edges.Count - 1; edge >= 0; edge--)
        {
            var (first, then) = edges[edge];
            followers[--ends[first]] = then;
        }

        var ready = new PriorityQueue<int, int>();
        for (var place = 0; place < sorted.Length; place++)
        {
            if (waits[place] == 0)
            {
                ready.Enqueue(place, place);
            }
        }

        var order = ImmutableArray.CreateBuilder<Address>(sorted.Length);
        while (ready.TryDequeue(out var place, out _))
        {
            order.Add(sorted[place]);
            foreach (var follower in followers.AsSpan(ends[place]..ends[place + 1]))
            {
                if (--waits[follower] == 0)
                {
                    ready.Enqueue(follower, follower);
                }
            }
        }

        return new DependencyOrder(order.DrainToImmutable(), [.. sorted.Where((_, place) => waits[place] > 0)]);
    }
}
