using KeyBuzz.Reconciler.Tests.Cli;

namespace KeyBuzz.Reconciler.LabTests;

/// <summary>What programs read of five hosts, by the schemas of docs/schema; and a plan that is saved, refused and applied there.</summary>
[TestFixture]
[Category(Lab.Part2)]
public sealed class MachineOutputTests
{
    [Test]
    public void A_saved_plan_holds_until_a_host_changes_and_whatever_is_written_as_json_is_valid()
    {
        using var workspace = new Workspace();
        workspace.TakeResources("every-attribute.yaml");
        try
        {
            Valid(workspace, 0, "plan", "--out", "first.plan");
            Assert.That(
                File.ReadAllText(Path.Combine(workspace.Directory, "first.plan")),
                Does.Not.Contain("canary-"),
                "no secret is in the file"
            );
            Valid(workspace, 0, "show", "first.plan");
            Assert.That(Valid(workspace, 0, "apply", "first.plan"), Does.Contain("apply_event").And.Contain("apply_result"));
            workspace.AssertNothingToDo();

            workspace.Yaml = workspace.Yaml.Replace("limit = 100", "limit = 101", StringComparison.Ordinal);
            Valid(workspace, 0, "plan", "--out", "second.plan");
            Lab.OnHost("haproxy-01", "chmod 0711 /opt/keybuzz/spare");
            var refused = workspace.Kbr("apply", "second.plan");
            Assert.Multiple(() =>
            {
                Assert.That(refused.ExitCode, Is.EqualTo(1), refused.All);
                Assert.That(
                    refused.Error,
                    Does.StartWith("Error: The plan in second.plan is out of date; nothing was changed\n")
                        .And.Contain("Error: directory.spare@haproxy-01: mode was changed on haproxy-01\n")
                );
                Assert.That(refused.Error.Split("\nError: "), Has.Length.EqualTo(2), "that is all that changed");
            });
            Assert.That(Valid(workspace, 2, "drift"), Does.Contain("directory.spare@haproxy-01"));
            Lab.OnHost("haproxy-01", "chmod 0750 /opt/keybuzz/spare");
            workspace.Kbr("apply", "second.plan");
            workspace.AssertNothingToDo();

            Valid(workspace, 0, "drift");
            Valid(workspace, 0, "check");
            Valid(workspace, 0, "graph");
            Assert.That(Valid(workspace, 0, "state", "list").Split("\"hosts\":[\""), Has.Length.GreaterThan(20));
            Assert.That(Valid(workspace, 0, "unlock").Split("\"held\":false"), Has.Length.EqualTo(Lab.Hosts.Length + 1), "no lock is left");
        }
        finally
        {
            var destroy = workspace.Kbr("destroy", "--auto-approve", "--delete-data", "--confirm", "lab");
            Assert.That(destroy.ExitCode, Is.Zero, destroy.All);
        }
    }

    private static string Valid(Workspace workspace, int exit, params string[] arguments)
    {
        var outcome = workspace.Kbr([.. arguments, "--json"]);
        Assert.That(outcome.ExitCode, Is.EqualTo(exit), outcome.All);
        foreach (var line in outcome.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            Assert.That(JsonSchemas.Problems(line), Is.Empty, line);
        }

        return outcome.Output;
    }
}
