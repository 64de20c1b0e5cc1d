using System.Collections.Immutable;
using KeyBuzz.Reconciler.Providers.ConsensusStore;

namespace KeyBuzz.Reconciler.Tests.Providers.ConsensusStore;

/// <summary>Which member a store adds or forgets next, with the members a, b and c wanted.</summary>
[TestFixture]
internal sealed class StoreMembershipTests
{
    private static readonly StoreMembership s_wanted = new(
        ["a", "b", "c"],
        ImmutableDictionary<string, string>.Empty.Add("x", "former-01")
    );

    // A small letter takes part, a capital one counts and does not.
    [TestCase("abc", "abc", "", true, "nothing")]
    [TestCase("abcX", "abc", "", true, "forget x")]
    [TestCase("abcXY", "abc", "", true, "forget x", Description = "one at a time")]
    [TestCase("abcX", "abc", "x", true, "nothing", Description = "it is still to be taken down")]
    [TestCase("abcx", "abc", "", true, "await x")]
    [TestCase("abcxY", "abc", "", true, "forget y")]
    [TestCase("abC", "ab", "", true, "nothing", Description = "a member that is away stays a member")]
    [TestCase("ab", "abc", "", true, "add c")]
    [TestCase("ab", "abc", "", false, "nothing")]
    [TestCase("ab", "ab", "", true, "nothing", Description = "only members that answer are added")]
    [TestCase("abX", "abc", "", true, "forget x", Description = "the dead count against the majority")]
    [TestCase("abx", "abc", "", true, "add c")]
    [TestCase("", "abc", "", true, "nothing", Description = "what counts is not known")]
    public void One_change_at_a_time_brings_the_store_to_its_members(
        string counted,
        string answering,
        string staying,
        bool mayAdd,
        string expected
    )
    {
        var change = s_wanted.Next(Health(counted), Members(answering), [.. staying.Select(letter => letter.ToString())], mayAdd);
        Assert.That(
            change switch
            {
                StoreChange.Add add => "add " + add.Address,
                StoreChange.Forget forget => "forget " + forget.Address,
                StoreChange.AwaitStop wait => "await " + string.Join(' ', wait.Addresses),
                _ => "nothing",
            },
            Is.EqualTo(expected)
        );
    }

    [Test]
    public void Outsiders_take_part_and_are_named_by_their_host_where_it_is_known()
    {
        Assert.That(
            s_wanted.Outsiders(Health("abcxyZ")).Select(outsider => (outsider.Name, outsider.Host)),
            Is.EqualTo(new[] { ("x", (string?)"former-01"), ("y", null) })
        );
    }

    private static StoreHealth Health(string counted) =>
        new("a", 0, 0, [], [], [])
        {
            Counted = counted.ToImmutableSortedDictionary(
                letter => char.ToLowerInvariant(letter).ToString(),
                char.IsLower,
                StringComparer.Ordinal
            ),
        };

    private static IEnumerable<StoreMember> Members(string letters) =>
        letters.Select(letter => new StoreMember($"host-{letter}", $"{letter}"));
}
