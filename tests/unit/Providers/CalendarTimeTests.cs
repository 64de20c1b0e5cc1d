using KeyBuzz.Reconciler.Providers.SystemdTimer;

namespace KeyBuzz.Reconciler.Tests.Providers;

[TestFixture]
internal sealed class CalendarTimeTests
{
    [TestCase("Sun 01:00")]
    [TestCase("Mon..Sat 01:00")]
    [TestCase("Mon,Wed..Fri *-*-* 00/6:00:00")]
    [TestCase("*-*-01 02:30 UTC")]
    [TestCase("sunday")]
    [TestCase("daily")]
    [TestCase("04:30")]
    [TestCase("Sun 01:00 Europe/Paris")]
    public void It_can_be_one(string text) => Assert.That(CalendarTime.Problem(text), Is.Null);

    [TestCase("", "it is empty, or has spaces around it")]
    [TestCase("Sun 01:00\nOnBootSec=1", "'\n' cannot stand in it")]
    [TestCase("Sun 01:00%n", "'%' cannot stand in it")]
    [TestCase("nightly", "'nightly' is no day of the week")]
    [TestCase("Mon..Son 01:00", "'Son' is no day of the week")]
    [TestCase("5", "it has neither a day nor a time")]
    public void It_cannot_be_one(string text, string problem) => Assert.That(CalendarTime.Problem(text), Is.EqualTo(problem));

    [TestCase(7, "Sun 01:00")]
    [TestCase(1, "Sun 01:00", "Mon..Sat 01:00")]
    [TestCase(2, "Mon..Sat 01:00")]
    [TestCase(3, "Mon,Thu 01:00", "Sat")]
    [TestCase(5, "Fri..Sun 01:00")]
    [TestCase(4, "Fri..Mon 01:00")]
    [TestCase(1, "04:30")]
    [TestCase(1, "*-*-* 00/6:00")]
    [TestCase(7, "weekly", "*-*-01 00:00")]
    [TestCase(31, "*-*-01 00:00")]
    public void The_days_between_two_of_them_are_known(int days, params string[] times) =>
        Assert.That(CalendarTime.LongestGap(times), Is.EqualTo(days));
}
