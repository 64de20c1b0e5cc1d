namespace KeyBuzz.Reconciler.LabTests;

/// <summary>The container made anew by hand with one thing different each time: exactly that attribute is shown, and mended.</summary>
[TestFixture]
public sealed class ContainerDriftTests
{
    private const string Host = "haproxy-01";
    private const string Target = "*@haproxy-01";
    private Workspace _workspace;

    [OneTimeSetUp]
    public void Converge()
    {
        _workspace = new Workspace();
        _workspace.Apply("--target", Target);
    }

    [OneTimeTearDown]
    public void Take_down()
    {
        var outcome = _workspace.Kbr("destroy", "--auto-approve", "--delete-data", "--confirm", "lab", "--target", Target);
        _workspace.Dispose();
        Assert.That(outcome.ExitCode, Is.Zero, outcome.All);
    }

    [TestCase("--cap-add SYS_NICE", "cap_add", "replace")]
    [TestCase("-e APP_HOST=other", "environment", "replace")]
    [TestCase("-e EXTRA=1", "environment", "replace")]
    [TestCase("--entrypoint /bin/env", "entrypoint", "replace")]
    [TestCase("--label by=hand", "labels", "replace")]
    [TestCase("--log-driver json-file", "log_driver", "replace")]
    [TestCase("--mount type=bind,source=/tmp,target=/other", "mounts", "replace")]
    [TestCase("--network none", "network", "replace")]
    [TestCase("--read-only", "read_only", "replace")]
    [TestCase("--restart unless-stopped", "restart", "update")]
    [TestCase("--shm-size 32m", "shm_size", "replace")]
    [TestCase("--stop-timeout 5", "stop_timeout", "replace")]
    [TestCase("--tmpfs /scratch", "tmpfs", "replace")]
    [TestCase("--ulimit nofile=512:512", "ulimits", "replace")]
    [TestCase("--user 999", "user", "replace")]
    public void A_container_made_by_hand_with_another_option_is_shown_as_exactly_that_and_mended(string option, string attribute, string action)
    {
        // Of an option given twice docker takes the last, so the odd one comes after what kbr asks for.
        Lab.OnHost(Host, "set -e; systemctl stop kbr-app.service; image=$(docker inspect -f '{{.Config.Image}}' app); docker rm -f app >/dev/null; " +
            $"docker create --name app {(option.StartsWith("--network", StringComparison.Ordinal) ? "" : "--network host")} --shm-size 64m --stop-timeout 60 --log-driver local -e APP_HOST={Host} " +
            $"--mount type=bind,source=/opt/keybuzz/app,target=/etc/app,readonly --mount type=bind,source=/opt/keybuzz/data/app,target=/data {option} \"$image\" " +
            "sh -c \"trap 'echo reloaded' HUP; trap 'exit 0' TERM; while :; do sleep 1 & wait; done\" >/dev/null; systemctl start kbr-app.service");
        var plan = _workspace.Plan("--target", Target);
        Assert.That(plan, Is.EqualTo(new[] { $"container.app@{Host} {action} drift {attribute}" }));
        _workspace.Apply("--target", Target);
        Assert.That(_workspace.Plan("--target", Target), Is.Empty);
    }

    // A test that failed half-way must not take the next one with it.
    [TearDown]
    public void Mend_after_a_failure()
    {
        if (TestContext.CurrentContext.Result.Outcome.Status == NUnit.Framework.Interfaces.TestStatus.Failed)
        {
            _workspace.Kbr("apply", "--auto-approve", "--target", Target);
        }
    }

    [Test]
    public void An_image_untagged_by_hand_is_shown_as_its_tag_and_tagged_again()
    {
        Lab.OnHost(Host, "docker rmi -f $(docker images --filter reference='*/kbr/tiny' --format '{{.Repository}}:{{.Tag}}' | grep -v none)");
        var plan = _workspace.Plan("--target", Target);
        Assert.That(plan, Has.Length.EqualTo(1));
        Assert.That(plan[0], Does.StartWith($"image.tiny@{Host} "));
        _workspace.Apply("--target", Target);
        Assert.That(_workspace.Plan("--target", Target), Is.Empty);
    }
}
