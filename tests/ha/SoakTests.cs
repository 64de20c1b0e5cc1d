using KeyBuzz.Reconciler.LabTests;

namespace KeyBuzz.Reconciler.HaTests;

/// <summary>A short soak of a fixed seed; a long one is <c>eng/soak.sh</c>.</summary>
[TestFixture]
[Category(Ha.Live)]
[Category(Ha.Slice7)]
[DependsOnFixture(typeof(PasswordTests), AllowFailure = true)]
public sealed class SoakTests
{
    private static readonly string Tool = Path.GetFullPath(
        Path.Combine(
            AppContext.BaseDirectory,
            "../../KeyBuzz.Reconciler.Soak",
            Path.GetFileName(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory)),
            "KeyBuzz.Reconciler.Soak"
        )
    );

    // Two minutes of events, and the last one of them, its gate and a slow machine on top.
    private static readonly TimeSpan Deadline = TimeSpan.FromMinutes(15);

    private string _secrets = "";

    [SetUp]
    public void Remember() => _secrets = Ha.Credentials;

    [Test]
    public void Changes_and_faults_lose_no_acknowledged_row_and_never_have_two_primaries()
    {
        using var soak = Lab.Start(
            Lab.Root,
            Tool,
            "--file",
            Path.Combine(HaSetUp.Workspace.Directory, "cluster.yaml"),
            "--seed",
            "5",
            "--minutes",
            "2",
            "--events",
            "6",
            "--out",
            Path.Combine(HaSetUp.Workspace.Directory, "soak")
        );
        var (output, error) = (soak.StandardOutput.ReadToEndAsync(), soak.StandardError.ReadToEndAsync());
        if (!soak.WaitForExit(Deadline))
        {
            soak.Kill(entireProcessTree: true);
            Assert.Fail($"the soak took longer than {Deadline}: {error.Result}");
        }

        TestContext.Out.WriteLine(error.Result + output.Result);
        Assert.That(soak.ExitCode, Is.Zero, error.Result + output.Result);
        Assert.That(
            output.Result,
            Does.Contain(", synchronous: ")
                .And.Contain(" 0 of them missing; ")
                .And.Contain("; 0 times two members acknowledged at one time")
                .And.EndWith("Passed.\n")
        );
    }

    // The fixtures to come know the configuration and the password of before, however this ended.
    [TearDown]
    public void Take_back_what_was_changed()
    {
        Ha.Credentials = _secrets;
        HaSetUp.Workspace.Kbr("apply", "--auto-approve");
        Ha.UntilHealthy(HaSetUp.Workspace, TimeSpan.FromSeconds(180));
        HaSetUp.Workspace.AssertNothingToDo();
    }
}
