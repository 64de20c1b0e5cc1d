using System.Collections;
using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;

namespace KeyBuzz.Reconciler.Resources;

/// <summary>Makes sorted maps.</summary>
public static class SortedMap
{
    /// <summary>A map of these pairs, in any order. Throws <see cref="ArgumentException"/> when a name occurs twice.</summary>
    public static SortedMap<T> Of<T>(IEnumerable<KeyValuePair<string, T>> pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        return SortedMap<T>.Sorted(pairs.ToArray());
    }

    /// <summary>A map of these pairs, in any order. Throws <see cref="ArgumentException"/> when a name occurs twice.</summary>
    public static SortedMap<T> Of<T>(params ReadOnlySpan<(string Name, T Value)> pairs)
    {
        var values = new SortedMap<T>.Builder(pairs.Length);
        foreach (var (name, value) in pairs)
        {
            values.Add(name, value);
        }

        return values.ToMap();
    }
}

/// <summary>Values by name, in the ordinal order of the names. Immutable.</summary>
/// <remarks>A resource has few attributes, and a cluster many resources: one array takes a fraction of the memory of a tree, and of the
/// time to make one.</remarks>
/// <typeparam name="T">The type of the values.</typeparam>
#pragma warning disable CA1710 // It is a map, as AttributeKind.StringMap is.
public sealed class SortedMap<T> : IReadOnlyDictionary<string, T>
#pragma warning restore CA1710
{
    /// <summary>No values.</summary>
    public static readonly SortedMap<T> Empty = new([]);

    private static readonly Comparison<KeyValuePair<string, T>> s_byName = (one, other) => string.CompareOrdinal(one.Key, other.Key);

    private readonly ImmutableArray<KeyValuePair<string, T>> _pairs;

    private SortedMap(ImmutableArray<KeyValuePair<string, T>> pairs) => _pairs = pairs;

    /// <inheritdoc />
    public int Count => _pairs.Length;

    /// <summary>Whether it has no values.</summary>
    public bool IsEmpty => _pairs.IsEmpty;

    /// <inheritdoc />
    public IEnumerable<string> Keys => _pairs.Select(pair => pair.Key);

    /// <inheritdoc />
    public IEnumerable<T> Values => _pairs.Select(pair => pair.Value);

    /// <inheritdoc />
    public T this[string key] =>
        TryGetValue(key, out var value) ? value : throw new KeyNotFoundException($"there is no value of the name '{key}'");

    /// <summary>This map with one more value. Throws <see cref="ArgumentException"/> when it has one of that name.</summary>
    public SortedMap<T> Add(string name, T value)
    {
        var place = PlaceOf(name);
        return place < 0 ? new SortedMap<T>(_pairs.Insert(~place, KeyValuePair.Create(name, value))) : throw Twice(name);
    }

    /// <summary>This map with more values. Throws <see cref="ArgumentException"/> when a name occurs twice.</summary>
    public SortedMap<T> AddRange(IEnumerable<KeyValuePair<string, T>> pairs) =>
        pairs.TryGetNonEnumeratedCount(out var count) && count == 0 ? this : Sorted([.. _pairs, .. pairs]);

    /// <summary>This map with a value in place of one of the same name, or beside the others.</summary>
    public SortedMap<T> SetItem(string name, T value)
    {
        var place = PlaceOf(name);
        return place < 0 ? Add(name, value) : new SortedMap<T>(_pairs.SetItem(place, KeyValuePair.Create(name, value)));
    }

    /// <summary>The values for which that holds.</summary>
    public SortedMap<T> Where(Func<string, T, bool> predicate)
    {
        var kept = _pairs.RemoveAll(pair => !predicate(pair.Key, pair.Value));
        return kept.Length == _pairs.Length ? this : new SortedMap<T>(kept);
    }

    /// <inheritdoc />
    public bool ContainsKey(string key) => PlaceOf(key) >= 0;

    /// <inheritdoc />
    public bool TryGetValue(string key, [MaybeNullWhen(false)] out T value)
    {
        var place = PlaceOf(key);
        value = place < 0 ? default : _pairs[place].Value;
        return place >= 0;
    }

    /// <summary>The pairs in the order of their names.</summary>
    public ImmutableArray<KeyValuePair<string, T>>.Enumerator GetEnumerator() => _pairs.GetEnumerator();

    IEnumerator<KeyValuePair<string, T>> IEnumerable<KeyValuePair<string, T>>.GetEnumerator() =>
        ((IEnumerable<KeyValuePair<string, T>>)_pairs).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => ((IEnumerable)_pairs).GetEnumerator();

    // The index of a name, or the complement of where it would be.
    private int PlaceOf(string name)
    {
        var (low, high) = (0, _pairs.Length - 1);
        while (low <= high)
        {
            var middle = (low + high) / 2;
            var order = string.CompareOrdinal(_pairs[middle].Key, name);
            if (order == 0)
            {
                return middle;
            }

            (low, high) = order < 0 ? (middle + 1, high) : (low, middle - 1);
        }

        return ~low;
    }

    internal static SortedMap<T> Sorted(KeyValuePair<string, T>[] pairs)
    {
        // Most often they are in order already.
        if (!IsInOrder(pairs))
        {
            Array.Sort(pairs, s_byName);
            for (var i = 1; i < pairs.Length; i++)
            {
                if (pairs[i - 1].Key == pairs[i].Key)
                {
                    throw Twice(pairs[i].Key);
                }
            }
        }

        return pairs.Length == 0 ? Empty : new SortedMap<T>(ImmutableCollectionsMarshal.AsImmutableArray(pairs));
    }

    private static bool IsInOrder(KeyValuePair<string, T>[] pairs)
    {
        for (var i = 1; i < pairs.Length; i++)
        {
            if (string.CompareOrdinal(pairs[i - 1].Key, pairs[i].Key) >= 0)
            {
                return false;
            }
        }

        return true;
    }

    private static ArgumentException Twice(string name) => new($"there are two values of the name '{name}'");

    /// <summary>Collects the values of a map.</summary>
    /// <param name="most">How many values there are at most. The map takes the very array where it is full.</param>
    public sealed class Builder(int most)
    {
        private readonly KeyValuePair<string, T>[] _pairs = new KeyValuePair<string, T>[most];
        private int _count;

        /// <summary>Adds a value. Throws <see cref="IndexOutOfRangeException"/> for one too many.</summary>
        public void Add(string name, T value) => _pairs[_count++] = KeyValuePair.Create(name, value);

        /// <summary>The map. Throws <see cref="ArgumentException"/> when a name occurs twice.</summary>
        public SortedMap<T> ToMap() => Sorted(_count == _pairs.Length ? _pairs : _pairs[.._count]);
    }
}
