using KeyBuzz.Reconciler.HaTests;
using KeyBuzz.Reconciler.LabTests;

namespace KeyBuzz.Reconciler.FreshHosts;

/// <summary>A slice of eng/quorum-sweep.sh: two members are lost, and return.</summary>
[TestFixture]
[Category(Ha.FreshHosts)]
[Category(Ha.OfRaft)]
[Category(Ha.Slice6)]
public sealed class QuorumSweepTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(15);

    // By this seed db-slave-01 survives; db-slave-02 returns with the data of before the last rows, and db-master-01 was alive, cut off.
    [Test]
    public void Two_lost_members_return_one_with_old_data_one_alive_all_the_time_and_no_row_since_is_missing()
    {
        Lab.WithNewHosts();
        var sweep = Lab.Finish(
            Lab.Start(Lab.Root, "env", $"KBR_TOOL={Workspace.Tool}", Path.Combine(Lab.Root, "eng/quorum-sweep.sh"), "--seed", "1", "1"),
            s_patience
        );
        TestContext.Out.WriteLine(sweep.All);
        Assert.That(sweep.ExitCode, Is.Zero, sweep.All);
        Assert.That(sweep.Output, Does.Contain(", 0 of 25 since\n").And.Contain("quorum sweep: 1 recoveries, "));
    }
}
