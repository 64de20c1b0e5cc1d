namespace KeyBuzz.Reconciler.LabTests;

/// <summary>What was there before kbr.</summary>
[TestFixture]
public sealed class AdoptionTests
{
    private const string Host = "haproxy-02";
    private const string Target = "directory.keybuzz@haproxy-02";

    [Test]
    public void What_exists_and_differs_is_refused_until_adopted_and_released_at_destroy()
    {
        using var workspace = new Workspace();
        Lab.OnHost(Host, "mkdir -m 0700 /opt/keybuzz");
        try
        {
            var refused = workspace.Kbr("apply", "--auto-approve", "--target", Target);
            Assert.Multiple(() =>
            {
                Assert.That(refused.ExitCode, Is.EqualTo(1));
                Assert.That(refused.Error, Does.Contain("exists and was not made by kbr").And.Contain("mode (0700 on the host, 0755 wanted)").And.Contain("--adopt"));
                Assert.That(Lab.OnHost(Host, "stat -c %a /opt/keybuzz").Trim(), Is.EqualTo("700"));
            });
            workspace.Apply("--target", Target, "--adopt", Target);
            Assert.That(Lab.OnHost(Host, "stat -c %a /opt/keybuzz").Trim(), Is.EqualTo("755"));
            Assert.That(workspace.Plan("--target", Target), Is.Empty);

            var destroy = workspace.Kbr("destroy", "--auto-approve", "--target", Target);
            Assert.Multiple(() =>
            {
                Assert.That(destroy.ExitCode, Is.Zero, destroy.All);
                Assert.That(Lab.OnHost(Host, "test -d /opt/keybuzz && echo there").Trim(), Is.EqualTo("there"), "released, not deleted");
                Assert.That(Lab.OnHost(Host, "test -e /var/lib/kbr || echo gone").Trim(), Is.EqualTo("gone"));
            });
        }
        finally
        {
            Lab.OnHost(Host, "rmdir /opt/keybuzz");
        }
    }
}
