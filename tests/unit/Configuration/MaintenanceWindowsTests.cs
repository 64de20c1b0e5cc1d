using System.Globalization;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;

namespace KeyBuzz.Reconciler.Tests.Configuration;

/// <summary>When maintenance windows are open, and how malformed ones are refused. The zones are those of this machine.</summary>
[TestFixture]
internal sealed class MaintenanceWindowsTests
{
    // 2026-11-29 is a Sunday; Paris is an hour ahead of UTC in winter.
    [TestCase("Sun 02:00-04:00 Europe/Paris", "2026-11-29T00:59:59Z", false)]
    [TestCase("Sun 02:00-04:00 Europe/Paris", "2026-11-29T01:00:00Z", true)]
    [TestCase("Sun 02:00-04:00 Europe/Paris", "2026-11-29T02:59:59Z", true)]
    [TestCase("Sun 02:00-04:00 Europe/Paris", "2026-11-29T03:00:00Z", false)]
    [TestCase("sun 02:00-04:00 Europe/Paris", "2026-11-30T01:30:00Z", false, Description = "a Monday")]
    [TestCase("02:00-04:00 UTC", "2026-11-30T02:00:00Z", true, Description = "every day")]
    [TestCase("Mon-Fri 12:00-13:00 UTC", "2026-11-29T12:30:00Z", false)]
    [TestCase("Mon-Fri 12:00-13:00 UTC", "2026-12-04T12:30:00Z", true, Description = "a Friday")]
    [TestCase("Fri-Mon,Wed 12:00-13:00 UTC", "2026-11-29T12:30:00Z", true, Description = "a range over the end of a week")]
    [TestCase("Fri-Mon,Wed 12:00-13:00 UTC", "2026-12-01T12:30:00Z", false, Description = "a Tuesday")]
    [TestCase("Fri-Mon,Wed 12:00-13:00 UTC", "2026-12-02T12:30:00Z", true)]
    [TestCase("Sat 22:00-02:00 UTC", "2026-11-28T22:00:00Z", true)]
    [TestCase("Sat 22:00-02:00 UTC", "2026-11-29T01:59:59Z", true, Description = "the day is the one on which it begins")]
    [TestCase("Sat 22:00-02:00 UTC", "2026-11-29T02:00:00Z", false)]
    [TestCase("Sat 22:00-02:00 UTC", "2026-11-28T01:00:00Z", false, Description = "the night before")]
    [TestCase("Sat 22:00-02:00 UTC", "2026-11-29T22:30:00Z", false)]
    [TestCase("Sun 00:00-24:00 UTC", "2026-11-29T23:59:59Z", true)]
    [TestCase("Sun 00:00-24:00 UTC", "2026-11-30T00:00:00Z", false)]
    // The clocks of Paris go from 02:00 to 03:00 on 2026-03-29, and from 03:00 back to 02:00 on 2026-10-25.
    [TestCase("Sun 02:00-04:00 Europe/Paris", "2026-03-29T00:59:59Z", false, Description = "01:59")]
    [TestCase("Sun 02:00-04:00 Europe/Paris", "2026-03-29T01:00:00Z", true, Description = "03:00, an hour of it is left")]
    [TestCase("Sun 02:00-04:00 Europe/Paris", "2026-03-29T02:00:00Z", false, Description = "04:00")]
    [TestCase("Sun 02:00-04:00 Europe/Paris", "2026-10-25T00:00:00Z", true, Description = "02:00 for the first time")]
    [TestCase("Sun 02:00-04:00 Europe/Paris", "2026-10-25T02:59:59Z", true, Description = "03:59, three hours later")]
    [TestCase("Sun 02:00-04:00 Europe/Paris", "2026-10-25T03:00:00Z", false)]
    public void A_window_is_open_while_the_clock_of_its_zone_says_so(string window, string at, bool isOpen)
    {
        var windows = MaintenanceWindows.Parse("--within", [window]);

        Assert.That(windows.IsOpen(At(at)), Is.EqualTo(isOpen));
        Assert.That(
            windows.ClosedBecause(At(at)),
            isOpen ? Is.Null : Does.StartWith($"outside the maintenance window {window}, which opens ")
        );
    }

    [Test]
    public void Of_several_windows_any_is_enough()
    {
        var windows = MaintenanceWindows.Parse("--within", ["Sun 02:00-04:00 UTC", "Wed 22:00-23:00 UTC"]);

        Assert.That(windows.IsOpen(At("2026-11-29T02:30:00Z")) && windows.IsOpen(At("2026-12-02T22:30:00Z")), Is.True);
        Assert.That(windows.IsOpen(At("2026-12-01T22:30:00Z")), Is.False);
        Assert.That(
            windows.ClosedBecause(At("2026-11-29T04:00:00Z")),
            Is.EqualTo(
                "outside the maintenance windows Sun 02:00-04:00 UTC and Wed 22:00-23:00 UTC, which opens Wed 2026-12-02 22:00 +00:00"
            )
        );
    }

    [TestCase("Sun 02:00-04:00 Europe/Paris", "2026-11-29T12:00:00Z", "closed, opens Sun 2026-12-06 02:00 +01:00")]
    [TestCase("Sun 02:00-04:00 Europe/Paris", "2026-11-29T01:20:30Z", "open, closes Sun 2026-11-29 04:00 +01:00")]
    [TestCase("Sun 02:00-04:00 Europe/Paris", "2026-10-25T00:10:00Z", "open, closes Sun 2026-10-25 04:00 +01:00")]
    [TestCase("Sun 02:00-04:00 Europe/Paris", "2026-03-29T00:00:00Z", "closed, opens Sun 2026-03-29 03:00 +02:00")]
    [TestCase("Sun 02:15-02:45 Europe/Paris", "2026-03-28T00:00:00Z", "closed, opens Sun 2026-04-05 02:15 +02:00")]
    [TestCase("Sat 22:00-02:00 UTC", "2026-11-28T23:00:00Z", "open, closes Sun 2026-11-29 02:00 +00:00")]
    [TestCase("00:00-24:00 UTC", "2026-11-28T23:00:00Z", "open, never closes")]
    public void It_tells_when_it_opens_or_closes_by_its_own_clock(string window, string at, string said) =>
        Assert.That(
            MaintenanceWindows.Parse("--within", [window]).Describe(At(at)),
            Is.EqualTo($"the maintenance window {window}: {said}")
        );

    [TestCase("", "it is empty")]
    [TestCase("Sun", "it has no time range such as 02:00-04:00")]
    [TestCase("Sun 2-4 UTC", "it has no time range such as 02:00-04:00")]
    [TestCase("02:00-04:00", "it has no time zone")]
    [TestCase("Sun 02:00-04:00", "it has no time zone")]
    [TestCase("Sun 02:00 - 04:00 UTC", "'04:00 UTC' is too much")]
    [TestCase("Sun Mon 02:00-04:00 UTC", "it has no time range such as 02:00-04:00")]
    [TestCase("Sun 02:00 UTC", "'02:00' is not a time range such as 02:00-04:00")]
    [TestCase("Sun 2:00-04:00 UTC", "'2:00' is not a time from 00:00 to 23:59")]
    [TestCase("Sun 24:00-04:00 UTC", "'24:00' is not a time from 00:00 to 23:59")]
    [TestCase("Sun 02:00-24:01 UTC", "'24:01' is not a time from 00:00 to 24:00")]
    [TestCase("Sun 02:60-04:00 UTC", "'02:60' is not a time from 00:00 to 23:59")]
    [TestCase("Sun 02:00-02:00 UTC", "'02:00-02:00' ends when it begins; a whole day is 00:00-24:00")]
    [TestCase("Sunday 02:00-04:00 UTC", "'Sunday' is not a day such as Sun, nor a range of days such as Mon-Fri")]
    [TestCase("Mon-Wed-Fri 02:00-04:00 UTC", "'Mon-Wed-Fri' is not a day, nor a range of days such as Mon-Fri")]
    [TestCase("Mon, 02:00-04:00 UTC", "'' is not a day such as Sun, nor a range of days such as Mon-Fri")]
    [TestCase("Sun 02:00-04:00 Europe/Atlantis", "'Europe/Atlantis' is not a time zone that this machine knows")]
    [TestCase("Sun 02:00-04:00 Europe", "'Europe' is not a time zone that this machine knows")]
    public void What_is_malformed_is_named(string window, string said)
    {
        var exception = Assert.Throws<DiagnosticException>(() => MaintenanceWindows.Parse("--within", ["Sun 02:00-04:00 UTC", window]))!;

        Assert.That(exception.Diagnostics.Select(one => one.Summary), Is.EqualTo(new[] { $"--within '{window}': {said}" }));
        Assert.That(exception.Diagnostics[0].Remedy, Does.Contain(said.Contains("zone that") ? "UTC" : "'Sun 02:00-04:00 Europe/Paris'"));
    }

    [Test]
    public void Every_malformed_window_is_reported_at_once() =>
        Assert.That(
            Assert.Throws<DiagnosticException>(() => MaintenanceWindows.Parse("--within", ["Sun", "02:00-04:00"]))!.Diagnostics,
            Has.Count.EqualTo(2)
        );

    private static DateTimeOffset At(string text) => DateTimeOffset.Parse(text, CultureInfo.InvariantCulture);
}
