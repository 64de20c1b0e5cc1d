using KeyBuzz.Reconciler.Cli.Steps;
using KeyBuzz.Reconciler.Diagnostics;

namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary>The remote steps of a run, and where it may be killed for a test.</summary>
[TestFixture]
public sealed class RemoteStepsTests
{
    [TestCase("before:2", "one begun, one done, before remote step 2, two")]
    [TestCase("during:2:0", "one begun, one done, two begun, 0 ms into remote step 2, two")]
    [TestCase("after:2", "one begun, one done, two begun, two done, after remote step 2, two")]
    [TestCase("after:4", "one begun, one done, two begun, two done, three begun, three done")]
    [TestCase("", "one begun, one done, two begun, two done, three begun, three done")]
    public void A_run_ends_at_its_kill_point_and_nowhere_else(string point, string expected)
    {
        var said = new List<string>();
        var steps = new RemoteSteps(TimeProvider.System, reached =>
        {
            said.Add(reached);
            throw new OperationCanceledException("killed");
        }) { Kills = KillPoint.Parse(point) };
        try
        {
            foreach (var name in (string[])["one", "two", "three"])
            {
                steps
                    .TakeAsync(name, async () =>
                    {
                        said.Add(name + " begun");
                        await Task.Yield();
                        if (point.StartsWith("during", StringComparison.Ordinal) && name == "two")
                        {
                            await Task.Delay(Timeout.Infinite);
                        }

                        said.Add(name + " done");
                        return name;
                    })
                    .GetAwaiter()
                    .GetResult();
            }
        }
        catch (OperationCanceledException)
        {
            // What a kill would have ended.
        }

        Assert.That(string.Join(", ", said), Is.EqualTo(expected));
        Assert.That(steps.Count, Is.EqualTo(steps.Kills?.Step == 2 ? 2 : 3));
    }

    [TestCase("before")]
    [TestCase("before:0")]
    [TestCase("before:x")]
    [TestCase("during:3")]
    [TestCase("during:3:-1")]
    [TestCase("after:1:2")]
    [TestCase("now:1")]
    public void Anything_else_is_refused_and_not_taken_for_no_kill_point(string point) =>
        Assert.That(() => KillPoint.Parse(point), Throws.TypeOf<DiagnosticException>());
}
