using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.Resources;

/// <summary>A sorted map is in the ordinal order of its names, however it was made, and has each name once.</summary>
public sealed class SortedMapTests
{
    private static readonly SortedMap<int> s_three = SortedMap.Of<int>(("b", 2), ("a_b", 3), ("a", 1));

    [Test]
    public void Values_are_in_the_ordinal_order_of_their_names()
    {
        var added = SortedMap<int>.Empty.Add("b", 2).Add("a", 1).Add("a_b", 3);
        var ranged = SortedMap<int>.Empty.Add("b", 2).AddRange([new("a_b", 3), new("a", 1)]);
        Assert.Multiple(() =>
        {
            Assert.That(s_three.Keys, Is.EqualTo(new[] { "a", "a_b", "b" }));
            Assert.That(added, Is.EqualTo(s_three));
            Assert.That(ranged, Is.EqualTo(s_three));
            Assert.That(s_three.SetItem("B", 4).Keys, Is.EqualTo(new[] { "B", "a", "a_b", "b" }));
        });
    }

    [Test]
    public void Every_value_is_found_by_its_name_and_no_other_is()
    {
        Assert.Multiple(() =>
        {
            Assert.That(s_three["a"] + (10 * s_three["b"]) + (100 * s_three["a_b"]), Is.EqualTo(321));
            Assert.That(s_three.GetValueOrDefault("c", -1), Is.EqualTo(-1));
            Assert.That(s_three.ContainsKey("A"), Is.False);
            Assert.That(() => s_three["c"], Throws.TypeOf<KeyNotFoundException>().With.Message.Contains("'c'"));
        });
    }

    [Test]
    public void A_name_that_is_there_is_not_added_again_but_set()
    {
        Assert.Multiple(() =>
        {
            Assert.That(() => s_three.Add("a", 5), Throws.ArgumentException.With.Message.Contains("'a'"));
            Assert.That(() => s_three.AddRange([new("c", 1), new("c", 1)]), Throws.ArgumentException.With.Message.Contains("'c'"));
            Assert.That(() => SortedMap.Of<int>(("a", 1), ("a", 2)), Throws.ArgumentException);
            Assert.That(s_three.SetItem("a", 5)["a"], Is.EqualTo(5));
            Assert.That(s_three["a"], Is.EqualTo(1), "a map does not change");
        });
    }

    [Test]
    public void Only_the_values_that_pass_are_kept()
    {
        Assert.Multiple(() =>
        {
            Assert.That(s_three.Where((name, value) => name != "b" && value > 1).Keys, Is.EqualTo(new[] { "a_b" }));
            Assert.That(s_three.Where((_, _) => true), Is.SameAs(s_three));
        });
    }
}
