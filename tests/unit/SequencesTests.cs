namespace KeyBuzz.Reconciler.Tests;

/// <summary>The sequences of kbr are those of System.Linq under the same names.</summary>
public sealed class SequencesTests
{
    private static readonly (int Key, string Word)[][] s_samples =
    [
        [],
        [(1, "a")],
        .. Enumerable
            .Range(0, 50)
            .Select(seed => new Random(seed))
            .Select(random => Enumerable.Range(0, 30).Select(i => (random.Next(5), $"{(char)('a' + random.Next(3))}{i % 2}")).ToArray()),
    ];

    [TestCaseSource(nameof(s_samples))]
    public void They_have_the_items_of_System_Linq_in_the_same_order((int Key, string Word)[] items)
    {
        Assert.Multiple(() =>
        {
            Same(Sequences.Order(items), Enumerable.Order(items));
            Same(Sequences.OrderBy(items, item => item.Key), Enumerable.OrderBy(items, item => item.Key));
            Same(Sequences.OrderByDescending(items, item => item.Key), Enumerable.OrderByDescending(items, item => item.Key));
            Same(
                Sequences.ThenBy(Sequences.OrderBy(items, item => item.Key), item => item.Word[0]),
                Enumerable.ThenBy(Enumerable.OrderBy(items, item => item.Key), item => item.Word[0])
            );
            Same(
                Sequences.ThenByDescending(Sequences.OrderByDescending(items, item => item.Word[..1], StringComparer.Ordinal), item =>
                    item.Key
                ),
                Enumerable.ThenByDescending(Enumerable.OrderByDescending(items, item => item.Word[..1], StringComparer.Ordinal), item =>
                    item.Key
                )
            );
            foreach (var count in new[] { -1, 0, 1, 7, 30, 31 })
            {
                Same(Sequences.Skip(items, count), Enumerable.Skip(items, count));
                Same(Sequences.Take(items, count), Enumerable.Take(items, count));
            }

            Same(Sequences.Distinct(items), Enumerable.Distinct(items));
            Same(Sequences.Union(items, [(2, "b"), (9, "z"), (9, "z")]), Enumerable.Union(items, [(2, "b"), (9, "z"), (9, "z")]));
            Same(Sequences.Concat(items, items), Enumerable.Concat(items, items));
            Same(Sequences.Append(items, (8, "h")), Enumerable.Append(items, (8, "h")));
            Same(Sequences.Prepend(items, (8, "h")), Enumerable.Prepend(items, (8, "h")));
            Same(Sequences.DefaultIfEmpty(items, (8, "h")), Enumerable.DefaultIfEmpty(items, (8, "h")));
            Same(Sequences.SelectMany(items, item => item.Word), Enumerable.SelectMany(items, item => item.Word));
            Same(Sequences.Cast<(int, string)>(items), Enumerable.Cast<(int, string)>(items));
            object?[] mixed = [.. Enumerable.Select(items, item => (object?)(item.Key > 2 ? item.Word : item.Key)), null];
            Same(Sequences.OfType<string>(mixed), Enumerable.OfType<string>(mixed));
            Same(Sequences.OfType<int>(mixed), Enumerable.OfType<int>(mixed));
        });

        static void Same<T>(IEnumerable<T> own, IEnumerable<T> linq) => Assert.That(own, Is.EqualTo(linq).AsCollection);
    }

    [Test]
    public void A_comparer_decides_and_a_key_is_asked_for_once_an_item()
    {
        var asked = 0;

        var sorted = Sequences.OrderBy(["b", "A", "B", "a"], Key, StringComparer.OrdinalIgnoreCase);

        Assert.That(asked, Is.Zero, "nobody has asked yet");
        Assert.That(sorted, Is.EqualTo(new[] { "A", "a", "b", "B" }).AsCollection);
        Assert.That(asked, Is.EqualTo(4));
        Assert.That(Sequences.Distinct(["b", "B"], StringComparer.OrdinalIgnoreCase), Is.EqualTo(new[] { "b" }).AsCollection);

        string Key(string word)
        {
            asked++;
            return word;
        }
    }

    [Test]
    public void No_more_is_asked_for_than_is_taken()
    {
        Assert.That(Sequences.Take(Endless(2), 2), Is.EqualTo(new[] { 0, 1 }).AsCollection);
        Assert.That(Sequences.Take(Endless(0), 0), Is.Empty);

        static IEnumerable<int> Endless(int most)
        {
            for (var i = 0; ; i++)
            {
                Assert.That(i, Is.LessThan(most));
                yield return i;
            }
        }
    }
}
