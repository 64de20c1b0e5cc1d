using System.Collections.Immutable;
using System.Runtime.InteropServices;

namespace KeyBuzz.Reconciler;

/// <summary>What System.Linq and System.Collections.Immutable have under these names, for every namespace below this one.
/// Theirs compile to up to seven types for each pair of types that they are used with, and took 1 MB of the program.</summary>
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
        where TKey : notnull =>
        ImmutableSortedDictionary.CreateRange(comparer, source.Select(item => KeyValuePair.Create(key(item), value(item))));

    /// <summary>A dictionary with an entry of each item.</summary>
    public static ImmutableDictionary<TKey, TValue> ToImmutableDictionary<TSource, TKey, TValue>(
        this IEnumerable<TSource> source,
        Func<TSource, TKey> key,
        Func<TSource, TValue> value,
        IEqualityComparer<TKey>? comparer = null
    )
        where TKey : notnull =>
        ImmutableDictionary.CreateRange(comparer, source.Select(item => KeyValuePair.Create(key(item), value(item))));

    // Without a copy.
    private static T[] Items<T>(ImmutableArray<T> array) => ImmutableCollectionsMarshal.AsArray(array)!;
}
