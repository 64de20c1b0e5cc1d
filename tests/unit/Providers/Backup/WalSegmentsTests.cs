using System.Globalization;
using KeyBuzz.Reconciler.Providers.Backup;

namespace KeyBuzz.Reconciler.Tests.Providers.Backup;

[TestFixture]
internal sealed class WalSegmentsTests
{
    private const string First = "000000010000000000000005";
    private static readonly TimelineHistory s_first = TimelineHistory.Parse(1, "");

    // The timeline and its history, in segments as TIMELINE-NUMBER.
    [TestCase("1", "1-5")]
    [TestCase("1", "1-5 1-7", "1-6")]
    [TestCase("1", "1-5 1-6 1-9", "1-7 to 1-8")]
    // A new timeline may begin in the middle of its predecessor's last segment, or after it.
    [TestCase("2 1:0/6800000", "1-5 1-6 2-6 2-7")]
    [TestCase("2 1:0/7000000", "1-5 1-6 2-7")]
    [TestCase("2 1:0/7000000", "1-5 2-7", "1-6")]
    [TestCase("2 1:0/6800000", "1-5 1-6 2-7", "2-6")]
    // What is before the oldest backup is of no use, and what follows the last segment may not be archived yet.
    [TestCase("1", "1-1 1-3 1-5")]
    [TestCase("3 1:0/8800000 2:0/9800000", "1-5 1-6")]
    // The restored database was given up: the former one goes on from its own end.
    [TestCase("3 1:0/B000000", "1-5 1-6 1-7 1-8 1-9 1-A 2-8 2-9 3-B 3-C")]
    [TestCase("3 1:0/B000000", "1-5 1-6 1-7 1-8 1-9 2-8 2-9 2-A 3-B", "1-A")]
    // After a restore the timeline before goes on for longer than it counts.
    [TestCase("2 1:0/7800000", "1-5 1-6 1-7 1-8 1-9 1-A 2-9", "2-7 to 2-8")]
    [TestCase("3 1:0/7000000 2:0/9000000", "1-5 3-A", "1-6 to 3-9")]
    public void Missing_segments_are_named(string timelines, string segments, params string[] gaps) =>
        Assert.That(WalSegments.Gaps(Names(segments), First, History(timelines)), Is.EqualTo(gaps.Select(InFull)));

    // Where one timeline ends and the next one begins is not known then.
    [TestCase("1-5 1-6 2-9 2-A")]
    [TestCase("1-5 1-6 1-7 2-6 2-7 3-8")]
    [TestCase("1-5 1-7 2-8", "1-6")]
    [TestCase("1-5 2-6 2-9", "2-7 to 2-8")]
    [TestCase("2-6 2-7", "1-5")]
    public void Without_a_history_only_what_is_missing_within_a_timeline_counts(string segments, params string[] gaps)
    {
        Assert.That(WalSegments.Gaps(Names(segments), First, null), Is.EqualTo(gaps.Select(InFull)));
        Assert.That(WalSegments.Gaps(Names(segments), First, TimelineHistory.Parse(3, "")), Is.EqualTo(gaps.Select(InFull)), "not read");
    }

    [Test]
    public void A_log_goes_on_in_the_next_one() =>
        Assert.That(
            WalSegments.Gaps(["0000000100000000000000FF", "000000010000000100000000"], "0000000100000000000000FF", s_first),
            Is.Empty
        );

    [TestCase("")]
    [TestCase("2-8 2-9")]
    public void A_backup_whose_WAL_is_gone_cannot_be_restored(string segments) =>
        Assert.That(WalSegments.Gaps(Names(segments), First, s_first), Is.EqualTo(new[] { First + " and all after it" }));

    [TestCase("000000010000000000000005", "000000010000000000000006", true)]
    [TestCase("000000010000000000000005", "000000010000000000000006.00000028.backup", true)]
    [TestCase("000000010000000000000006", "000000010000000000000006", false)]
    [TestCase("000000010000000000000005", "00000002.history", false)]
    [TestCase("000000010000000000000005", "000000020000000000000005", true)]
    [TestCase("000000020000000000000005", "000000010000000000000006", false)]
    [TestCase(null, "000000010000000000000006", false)]
    public void A_segment_is_before_a_later_one_and_all_of_a_later_timeline(string? one, string other, bool before) =>
        Assert.That(WalSegments.IsBefore(one, other), Is.EqualTo(before));

    private static TimelineHistory History(string text)
    {
        var words = text.Split(' ');
        return TimelineHistory.Parse(long.Parse(words[0], CultureInfo.InvariantCulture), string.Join('\n', words[1..]).Replace(':', '\t'));
    }

    private static IEnumerable<string> Names(string segments) =>
        segments.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(one => InFull(one));

    private static string InFull(string text) =>
        string.Join(" to ", text.Split(" to ").Select(one => $"{one.Split('-')[0].PadLeft(8, '0')}{one.Split('-')[1].PadLeft(16, '0')}"));
}
