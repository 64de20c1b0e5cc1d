using System.Diagnostics;
using KeyBuzz.Reconciler.LabTests;

[assembly: NonParallelizable]

namespace KeyBuzz.Reconciler.HaTests;

/// <summary>Installs the cluster once, on hosts made anew; the fixtures go on from there in their order. Without a lab every test here
/// fails, none is skipped.</summary>
[SetUpFixture]
public sealed class HaSetUp
{
    /// <summary>The operator's folder that all fixtures share: there is one cluster.</summary>
    internal static Workspace Workspace { get; private set; }

    /// <summary>What the first apply, on empty hosts, said and how long it took.</summary>
    internal static (Outcome Outcome, TimeSpan Elapsed) FirstApply { get; private set; }

    [OneTimeSetUp]
    public void Install_on_empty_hosts()
    {
        Lab.WithNewHosts();
        Workspace = Ha.OpenShared();
        var clock = Stopwatch.StartNew();
        var outcome = Workspace.Kbr("apply", "--auto-approve");
        FirstApply = (outcome, clock.Elapsed);
        TestContext.Out.WriteLine($"the first apply took {clock.Elapsed.TotalSeconds:0.0} s");
    }

    [OneTimeTearDown]
    public void Close() => Workspace?.Dispose();
}
