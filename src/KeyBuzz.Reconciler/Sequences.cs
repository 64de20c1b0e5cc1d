using System.Collections.Immutable;
using System.Runtime.InteropServices;

namespace KeyBuzz.Reconciler;

/// <summary>What System.Linq and System.Collections.Immutable have under these names, for every namespace below this one.
/// Theirs compile to up to seven types for each pair of types that they are used with, and took 1.5 MB of the program: each type that goes
/// through one iterator of theirs has all the others, too.</summary>
public static class Sequences
{
    /// <summary>The result of each item.</summary>
    public static IEnumerable<TResult> Select<TSource, TResult>(this IEnumerable<TSource> source, Func<TSource, TResult> selector)
    {
        foreach (var item in source)
        {
            yield return selector(item);
        }
    }

    /// <summary>The result of each item.</summary>
    public static IEnumerable<TResult> Select<TSource, TResult>(this ImmutableArray<TSource> source, Func<TSource, TResult> selector) =>
        Items(source).Select(selector);

    /// <summary>The items that meet a condition.</summary>
    public static IEnumerable<TSource> Where<TSource>(this IEnumerable<TSource> source, Func<TSource, bool> predicate)
    {
        foreach (var item in source)
        {
            if (predicate(item))
            {
                yield return item;
            }
        }
    }

    /// <summary>The items that meet a condition.</summary>
    public static IEnumerable<TSource> Where<TSource>(this ImmutableArray<TSource> source, Func<TSource, bool> predicate) =>
        Items(source).Where(predicate);

    /// <summary>A sorted dictionary with an entry of each item.</summary>
    public static ImmutableSortedDictionary<TKey, TValue> ToImmutableSortedDictionary<TSource, TKey, TValue>(
        this IEnumerable<TSource> source,
        Func<TSource, TKey> key,
        Func<TSource, TValue> value,
        IComparer<TKey>? comparer = null
    )
        where TKey : notnull
    {
        if (!typeof(TKey).IsValueType && !typeof(TValue).IsValueType)
        {
            return ImmutableSortedDictionary.CreateRange(comparer, source.Select(item => KeyValuePair.Create(key(item), value(item))));
        }

        // It goes through a sorted dictionary and a sorted set, which each pair with a value type would have of its own.
        var items = ImmutableSortedDictionary.CreateBuilder<TKey, TValue>(comparer);
        foreach (var item in source)
        {
            items.Add(key(item), value(item));
        }

        return items.ToImmutable();
    }

    /// <summary>A dictionary with an entry of each item.</summary>
    public static ImmutableDictionary<TKey, TValue> ToImmutableDictionary<TSource, TKey, TValue>(
        this IEnumerable<TSource> source,
        Func<TSource, TKey> key,
        Func<TSource, TValue> value,
        IEqualityComparer<TKey>? comparer = null
    )
        where TKey : notnull =>
        ImmutableDictionary.CreateRange(comparer, source.Select(item => KeyValuePair.Create(key(item), value(item))));

    /// <summary>The items of the results of each item.</summary>
    public static IEnumerable<TResult> SelectMany<TSource, TResult>(
        this IEnumerable<TSource> source,
        Func<TSource, IEnumerable<TResult>> selector
    )
    {
        foreach (var item in source)
        {
            foreach (var result in selector(item))
            {
                yield return result;
            }
        }
    }

    /// <summary>The items of one, then those of the other.</summary>
    public static IEnumerable<TSource> Concat<TSource>(this IEnumerable<TSource> first, IEnumerable<TSource> second)
    {
        foreach (var item in first)
        {
            yield return item;
        }

        foreach (var item in second)
        {
            yield return item;
        }
    }

    /// <summary>The items, then one more.</summary>
    public static IEnumerable<TSource> Append<TSource>(this IEnumerable<TSource> source, TSource last)
    {
        foreach (var item in source)
        {
            yield return item;
        }

        yield return last;
    }

    /// <summary>One item, then the others.</summary>
    public static IEnumerable<TSource> Prepend<TSource>(this IEnumerable<TSource> source, TSource first)
    {
        yield return first;
        foreach (var item in source)
        {
            yield return item;
        }
    }

    /// <summary>The items but for the first ones.</summary>
    public static IEnumerable<TSource> Skip<TSource>(this IEnumerable<TSource> source, int count)
    {
        foreach (var item in source)
        {
            if (count-- <= 0)
            {
                yield return item;
            }
        }
    }

    /// <summary>The first items; no more of them are asked for.</summary>
    public static IEnumerable<TSource> Take<TSource>(this IEnumerable<TSource> source, int count)
    {
        if (count <= 0)
        {
            yield break;
        }

        foreach (var item in source)
        {
            yield return item;
            if (--count == 0)
            {
                yield break;
            }
        }
    }

    /// <summary>The items; this one where there is none.</summary>
    public static IEnumerable<TSource> DefaultIfEmpty<TSource>(this IEnumerable<TSource> source, TSource value)
    {
        var any = false;
        foreach (var item in source)
        {
            any = true;
            yield return item;
        }

        if (!any)
        {
            yield return value;
        }
    }

    /// <summary>The items that differ from each one before them.</summary>
    public static IEnumerable<TSource> Distinct<TSource>(this IEnumerable<TSource> source, IEqualityComparer<TSource>? comparer = null)
    {
        HashSet<TSource> seen = new(comparer);
        foreach (var item in source)
        {
            if (seen.Add(item))
            {
                yield return item;
            }
        }
    }

    /// <summary>The items of both that differ from each one before them.</summary>
    public static IEnumerable<TSource> Union<TSource>(
        this IEnumerable<TSource> first,
        IEnumerable<TSource> second,
        IEqualityComparer<TSource>? comparer = null
    ) => first.Concat(second).Distinct(comparer);

    /// <summary>The items of a type.</summary>
    public static IEnumerable<TResult> OfType<TResult>(this System.Collections.IEnumerable source)
    {
        foreach (var item in source)
        {
            if (item is TResult result)
            {
                yield return result;
            }
        }
    }

    /// <summary>The items, all of a type.</summary>
    public static IEnumerable<TResult> Cast<TResult>(this System.Collections.IEnumerable source)
    {
        foreach (var item in source)
        {
            yield return (TResult)item;
        }
    }

    /// <summary>The items in their order; equal ones as they were.</summary>
    public static ISorted<TSource> Order<TSource>(this IEnumerable<TSource> source, IComparer<TSource>? comparer = null) =>
        source.OrderBy(item => item, comparer);

    /// <summary>The items in the order of a key; equal ones as they were.</summary>
    public static ISorted<TSource> OrderBy<TSource, TKey>(
        this IEnumerable<TSource> source,
        Func<TSource, TKey> key,
        IComparer<TKey>? comparer = null
    ) => new Sorted<TSource>(source, items => ByKey(items, key, comparer, 1));

    /// <summary>The items in the falling order of a key; equal ones as they were.</summary>
    public static ISorted<TSource> OrderByDescending<TSource, TKey>(
        this IEnumerable<TSource> source,
        Func<TSource, TKey> key,
        IComparer<TKey>? comparer = null
    ) => new Sorted<TSource>(source, items => ByKey(items, key, comparer, -1));

    /// <summary>Where they are equal, in the order of another key.</summary>
    public static ISorted<TSource> ThenBy<TSource, TKey>(
        this ISorted<TSource> source,
        Func<TSource, TKey> key,
        IComparer<TKey>? comparer = null
    ) => source.Then(items => ByKey(items, key, comparer, 1));

    /// <summary>Where they are equal, in the falling order of another key.</summary>
    public static ISorted<TSource> ThenByDescending<TSource, TKey>(
        this ISorted<TSource> source,
        Func<TSource, TKey> key,
        IComparer<TKey>? comparer = null
    ) => source.Then(items => ByKey(items, key, comparer, -1));

    // Each key is asked for once.
    private static Comparison<int> ByKey<TSource, TKey>(TSource[] items, Func<TSource, TKey> key, IComparer<TKey>? comparer, int direction)
    {
        var keys = new TKey[items.Length];
        for (var i = 0; i < keys.Length; i++)
        {
            keys[i] = key(items[i]);
        }

        comparer ??= Comparer<TKey>.Default;
        return direction > 0
            ? (one, other) => comparer.Compare(keys[one], keys[other])
            : (one, other) => comparer.Compare(keys[other], keys[one]);
    }

    // Without a copy.
    private static T[] Items<T>(ImmutableArray<T> array) => ImmutableCollectionsMarshal.AsArray(array)!;

    /// <summary>Items in an order, which is made anew whenever they are asked for.</summary>
    public interface ISorted<TSource> : IEnumerable<TSource>
    {
        /// <summary>The items in this order, and where they are equal in another, which compares them by their indices.</summary>
        ISorted<TSource> Then(Func<TSource[], Comparison<int>> next);
    }

    private sealed class Sorted<TSource> : ISorted<TSource>
    {
        private readonly IEnumerable<TSource> _source;
        private readonly Func<TSource[], Comparison<int>> _order;

        public Sorted(IEnumerable<TSource> source, Func<TSource[], Comparison<int>> order)
        {
            _source = source;
            _order = order;
        }

        public ISorted<TSource> Then(Func<TSource[], Comparison<int>> next) => new Sorted<TSource>(_source, items =>
            {
                var (first, second) = (_order(items), next(items));
                return (one, other) => first(one, other) is not 0 and var order ? order : second(one, other);
            });

        public IEnumerator<TSource> GetEnumerator()
        {
            var items = _source.ToArray();
            if (items.Length < 2)
            {
                foreach (var item in items)
                {
                    yield return item;
                }

                yield break;
            }

            var order = _order(items);
            var places = new int[items.Length];
            for (var i = 0; i < places.Length; i++)
            {
                places[i] = i;
            }

            Array.Sort(places, (one, other) => order(one, other) is not 0 and var different ? different : one - other);
            foreach (var place in places)
            {
                yield return items[place];
            }
        }

        System.Collections.IEnumerator System.Collections.IEnumerable.GetEnumerator() => GetEnumerator();
    }
}
