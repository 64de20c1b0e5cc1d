using KeyBuzz.Reconciler.Providers.Backup;

namespace KeyBuzz.Reconciler.Tests.Providers.Backup;

[TestFixture]
internal sealed class WalSegmentsTests
{
    private const string First = "000000010000000000000005";

    [TestCase("")]
    [TestCase(" 000000010000000000000007", "000000010000000000000006")]
    [TestCase(" 000000010000000000000006 000000010000000000000009", "000000010000000000000007 to 000000010000000000000008")]
    // A new timeline may begin in the middle of its predecessor's last segment, or after it.
    [TestCase(" 000000010000000000000006 000000020000000000000006 000000020000000000000007")]
    [TestCase(" 000000010000000000000006 000000020000000000000007")]
    [TestCase(" 000000020000000000000007", "000000010000000000000006")]
    // What is before the oldest backup is of no use.
    [TestCase(" 000000010000000000000001 000000010000000000000003")]
    public void Missing_segments_are_named(string more, params string[] gaps) =>
        Assert.That(WalSegments.Gaps((First + more).Split(' '), First), Is.EqualTo(gaps));

    [Test]
    public void A_log_goes_on_in_the_next_one() =>
        Assert.That(WalSegments.Gaps(["0000000100000000000000FF", "000000010000000100000000"], "0000000100000000000000FF"), Is.Empty);

    [Test]
    public void A_backup_whose_WAL_is_gone_cannot_be_restored() =>
        Assert.That(WalSegments.Gaps([], First), Is.EqualTo(new[] { First + " and all after it" }));

    [TestCase("000000010000000000000005", "000000010000000000000006", true)]
    [TestCase("000000010000000000000005", "000000010000000000000006.00000028.backup", true)]
    [TestCase("000000010000000000000006", "000000010000000000000006", false)]
    [TestCase("000000010000000000000005", "00000002.history", false)]
    [TestCase("000000010000000000000005", "000000020000000000000005", true)]
    [TestCase("000000020000000000000005", "000000010000000000000006", false)]
    [TestCase(null, "000000010000000000000006", false)]
    public void A_segment_is_before_a_later_one_and_all_of_a_later_timeline(string? one, string other, bool before) =>
        Assert.That(WalSegments.IsBefore(one, other), Is.EqualTo(before));
}
