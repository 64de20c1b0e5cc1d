using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using KeyBuzz.Reconciler.LabTests;

namespace KeyBuzz.Reconciler.HaTests;

/// <summary>The primary's volume is full to the last byte, and the ballast is given back: the steps of docs/full-volume.md.</summary>
[TestFixture]
[Category(Ha.Slice8)]
[DependsOnFixture(typeof(UsersAndSlotsTests), AllowFailure = true)]
public sealed class FullVolumeTests
{
    private const string Mount = "/opt/keybuzz/postgres";
    private const string Filler = Mount + "/filler";

    [Test]
    public void A_full_volume_of_the_primary_is_named_relieved_and_the_ballast_is_made_again_without_a_lost_row()
    {
        var yaml = HaSetUp.Workspace.Yaml;
        HaSetUp.Workspace.Yaml = yaml.Replace("volume: { device: /dev/sdb }", "volume: { device: /dev/sdb, ballast: 1GiB }");
        Assert.That(HaSetUp.Workspace.Made(), Is.EquivalentTo(Ha.Members.Select(member => $"ballast.postgres@{member}")));
        HaSetUp.Workspace.AssertNothingToDo();
        var leader = Ha.Leader();
        const int Before = 100;
        Ha.Write("full_volume", Before);
        try
        {
            Lab.OnHost(
                leader,
                $"fallocate -l $(df -B1 --output=avail {Mount} | tail -n 1) {Filler}; cat /dev/zero >>{Filler}; sync; df {Mount}"
            );
            var acknowledged = Before + WriteUntilItFails(Before);
            TestContext.Out.WriteLine($"{acknowledged} rows were acknowledged before PostgreSQL had no room; leader {Ha.Leader()}");

            var status = HaSetUp.Workspace.Kbr("status");
            TestContext.Out.WriteLine(status.All);
            Assert.That(status.ExitCode, Is.EqualTo(2), status.All);
            Assert.That(status.Output, Does.Match($"(?m)^NOT OK +volume .*{leader} (99|100) % used.*: kbr relief gives the ballast back"));

            var clock = Stopwatch.StartNew();
            var relief = HaSetUp.Workspace.Kbr("relief", leader);
            Assert.That(relief.ExitCode, Is.Zero, relief.All);
            Assert.That(relief.Output, Does.Match($"^{leader}: 1 GiB given back, .* free\n"));
            var last = "";
            Lab.Until(
                () =>
                {
                    last = HaSetUp.Workspace.Kbr("status").Output;
                    return !Regex.IsMatch(last, "(?m)^(NOT OK|unknown) +(?! |volume |slots )");
                },
                TimeSpan.FromSeconds(180),
                () => $"a cluster of which only the volume is not well: {last}"
            );
            TestContext.Out.WriteLine($"all but the volume was well {clock.Elapsed.TotalSeconds:0} s after kbr relief began");
            // One more may be there whose acknowledgement was not seen.
            foreach (var member in Ha.Members)
            {
                Assert.That(Ha.Count(member, "full_volume"), Is.InRange(acknowledged, acknowledged + 1), member);
            }

            Assert.That(HaSetUp.Workspace.Kbr("relief", leader).Error, Does.Contain("it was given back already"));

            var apply = HaSetUp.Workspace.Kbr("apply", "--auto-approve");
            Assert.That(apply.ExitCode, Is.EqualTo(1), apply.All);
            Assert.That(apply.All, Does.Contain("MiB free: the ballast of 1024 MiB is made when").And.Contain("make room first"));
        }
        finally
        {
            Lab.OnHost(leader, $"rm -f {Filler}");
        }

        HaSetUp.Workspace.Apply();
        Assert.That(
            Lab.OnHost(leader, $"stat -c %s {Mount}/kbr-ballast").Trim(),
            Is.EqualTo((1L << 30).ToString(CultureInfo.InvariantCulture))
        );
        Ha.UntilHealthy(HaSetUp.Workspace, TimeSpan.FromSeconds(120));
        HaSetUp.Workspace.AssertNothingToDo();
        HaSetUp.Workspace.Yaml = yaml;
        HaSetUp.Workspace.Apply();
        HaSetUp.Workspace.AssertNothingToDo();
        Assert.That(Lab.OnHost(leader, $"ls {Mount}"), Does.Not.Contain("kbr-ballast"));
    }

    // A row a statement, each acknowledged before the next: until the first that fails.
    private static int WriteUntilItFails(int before)
    {
        var leader = Ha.Leader();
        for (var next = 1; ; next++)
        {
            var outcome = Lab.RunOn(
                leader,
                $"docker exec patroni psql -X -q -v ON_ERROR_STOP=1 -U {Ha.Superuser} -d {Ha.Database} -c \"INSERT INTO full_volume VALUES ({before + next})\" -c \"SELECT pg_switch_wal()\""
            );
            if (outcome.ExitCode != 0)
            {
                TestContext.Out.WriteLine(outcome.All);
                return next - 1;
            }

            Assert.That(next, Is.LessThan(500), "the volume is not full");
        }
    }
}
