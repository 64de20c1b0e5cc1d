using System.Text.RegularExpressions;

namespace KeyBuzz.Reconciler.LabTests;

/// <summary>A host that answers ssh to the lab's jump host only.</summary>
[TestFixture]
[Category(Lab.Part2)]
public sealed class JumpHostTests
{
    private const string Behind = "db-slave-01";

    [OneTimeSetUp]
    public void Put_a_host_behind_the_jump_host() => Lab.Command("behind", Behind);

    [OneTimeTearDown]
    public void Bring_it_back() => Lab.Command("heal", Behind);

    [Test]
    public void A_host_behind_a_jump_host_is_changed_through_it()
    {
        using var workspace = new Workspace();
        var direct = workspace.Kbr("check");
        Assert.That(direct.ExitCode, Is.EqualTo(1));
        Assert.That(direct.All, Does.Contain("did not answer within 10 s"));

        // By the name there is nothing in .state/ssh_config; by the address there is the jump host.
        workspace.Yaml = Regex
            .Replace(workspace.Yaml, $"(  {Behind}: .*), ssh: {{[^}}]*}} }}", "$1 }")
            .Replace("\nssh:\n", "\nssh:\n  config: .state/ssh_config\n", StringComparison.Ordinal);
        var check = workspace.Kbr("check");
        Assert.That(check.ExitCode, Is.Zero, check.All);

        Assert.That(workspace.Made("--target", $"directory.*@{Behind}"), Is.Not.Empty);
        Assert.That(workspace.Plan("--target", $"directory.keybuzz@{Behind}"), Has.None.Contains("create").And.None.Contains("update"));
    }

    [Test]
    public void The_documented_login_through_it_is_a_shell_on_the_host()
    {
        const string Documented = "ssh -F lab/.state/ssh_config 10.77.0.121";
        Assert.That(DocumentedBlocks.With("lab/README.md", Documented)[0], Is.EqualTo($"lab/behind {Behind}"));
        var state = Path.Combine(Lab.Folder, ".state");
        var address = Regex.Match(File.ReadAllText(Path.Combine(Lab.Folder, "cluster.yaml")), $"{Behind}: .*address: ([0-9.]+),");
        var command = Documented.Replace("lab/.state", state, StringComparison.Ordinal).Replace("10.77.0.121", address.Groups[1].Value);

        var outcome = Lab.Run(Lab.Root, "bash", "-c", $"echo hostname | {command}");

        Assert.That(outcome.Output, Is.EqualTo($"{Behind}\n"), outcome.All);
    }

    [Test]
    public void A_jump_host_in_cluster_yaml_is_enough()
    {
        using var workspace = new Workspace();
        var jump = Regex.Match(workspace.Yaml, $"{Behind}: .*host: (127\\.0\\.\\d+)\\.").Groups[1].Value + ".6";
        workspace.Yaml = Regex
            .Replace(workspace.Yaml, $"(  {Behind}: .*), ssh: {{[^}}]*}} }}", $"$1, ssh: {{ proxy_jump: hop@{jump} }} }}")
            .Replace("\nssh:\n", "\nssh:\n  config: false\n", StringComparison.Ordinal);

        var check = workspace.Kbr("check");

        Assert.That(check.ExitCode, Is.Zero, check.All);
    }
}
