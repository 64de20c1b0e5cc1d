using System.Globalization;
using CsCheck;

namespace KeyBuzz.Reconciler.Tests;

/// <summary>Properties on generated values that are the same in each run: the values of a slice follow from its seed and their place in
/// it. Another slice: <c>KBR_SEED=7 dotnet test tests/unit</c>. CsCheck alone begins with another seed each time, so that a run could
/// fail which nobody changed.</summary>
internal static class Slices
{
    private static readonly ulong s_seed = ulong.Parse(Environment.GetEnvironmentVariable("KBR_SEED") ?? "1", CultureInfo.InvariantCulture);

    /// <summary>Checks so many values, on all processors. Of those that fail, the first in the slice is shown, and how to see it again
    /// alone; CsCheck looks for a smaller one.</summary>
    /// <param name="values">What makes them.</param>
    /// <param name="check">Throws where the property does not hold.</param>
    /// <param name="count">How many values.</param>
    /// <param name="threads">How many are checked at a time; 0 is the number of processors.</param>
    /// <param name="print">The value in words, for the failure.</param>
    public static void Slice<T>(this Gen<T> values, Action<T> check, int count = 100, int threads = 0, Func<T, string>? print = null)
    {
        if (Environment.GetEnvironmentVariable("CsCheck_Seed") is { Length: > 0 } one)
        {
            values.Sample(check, iter: 1, seed: one, print: print);
            return;
        }

        var gate = new Lock();
        (int Place, string Seed, Exception Exception)? first = null;
        Parallel.For(
            0,
            count,
            new ParallelOptions { MaxDegreeOfParallelism = threads > 0 ? threads : Environment.ProcessorCount },
            (place, loop) =>
            {
                var random = new PCG((uint)place, s_seed);
                var seed = random.ToString();
                try
                {
                    check(values.Generate(random, null, out _));
                }
                catch (Exception exception)
                {
                    loop.Break();
                    lock (gate)
                    {
                        first = first is { } before && before.Place < place ? first : (place, seed, exception);
                    }
                }
            }
        );
        if (first is { } failed)
        {
            TestContext.Out.WriteLine($"value {failed.Place} of the slice: CsCheck_Seed={failed.Seed} checks it alone\n{failed.Exception}");
            values.Sample(check, iter: 1000, seed: failed.Seed, print: print);
            Assert.Fail($"value {failed.Place} of the slice failed, and alone did not: {failed.Exception}");
        }
    }

    /// <inheritdoc cref="Slice{T}(Gen{T}, Action{T}, int, int, Func{T, string})" />
    public static void Slice<T>(this Gen<T> values, Func<T, bool> holds, int count = 100, int threads = 0) =>
        values.Slice(value => Assert.That(holds(value), Is.True), count, threads);

    /// <inheritdoc cref="Slice{T}(Gen{T}, Action{T}, int, int, Func{T, string})" />
    public static void Slice<T1, T2>(this Gen<(T1, T2)> values, Action<T1, T2> check, int count = 100, int threads = 0) =>
        values.Slice(all => check(all.Item1, all.Item2), count, threads);

    /// <inheritdoc cref="Slice{T}(Gen{T}, Action{T}, int, int, Func{T, string})" />
    public static void Slice<T1, T2>(this Gen<(T1, T2)> values, Func<T1, T2, bool> holds, int count = 100, int threads = 0) =>
        values.Slice(all => holds(all.Item1, all.Item2), count, threads);

    /// <inheritdoc cref="Slice{T}(Gen{T}, Action{T}, int, int, Func{T, string})" />
    public static void Slice<T1, T2, T3>(this Gen<(T1, T2, T3)> values, Action<T1, T2, T3> check, int count = 100, int threads = 0) =>
        values.Slice(all => check(all.Item1, all.Item2, all.Item3), count, threads);

    /// <inheritdoc cref="Slice{T}(Gen{T}, Action{T}, int, int, Func{T, string})" />
    public static void Slice<T1, T2, T3>(this Gen<(T1, T2, T3)> values, Func<T1, T2, T3, bool> holds, int count = 100, int threads = 0) =>
        values.Slice(all => holds(all.Item1, all.Item2, all.Item3), count, threads);
}
