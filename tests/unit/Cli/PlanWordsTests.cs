using System.Diagnostics;
using System.Text.RegularExpressions;

namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary>Plan and apply in the words of Terraform, as a user of it looks for them.</summary>
[TestFixture, NonParallelizable]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed partial class PlanWordsTests : LocalCluster
{
    private const string NotSaved =
        "This plan is not saved: kbr apply plans again, and may differ. To apply exactly this, add --out FILE, then run: kbr apply FILE\n";

    [Test]
    public void A_plan_begins_with_the_symbols_that_occur_and_ends_with_its_sum_and_how_to_keep_it()
    {
        var (exit, output, error) = Kbr("plan");
        Assert.That((exit, error), Is.EqualTo((0, NotSaved)));
        Assert.That(
            output,
            Does.StartWith("Actions are indicated with these symbols:\n    + create\n\ndb-1\n  + config_file.app@db-1  new\n")
                .And.EndWith("\nPlan: 2 to create, 0 to update, 0 to replace, 0 to delete\n")
        );
        Assert.That(Kbr("plan", "--out", "f.plan").Error, Does.StartWith("Saved to f.plan. To do exactly this: kbr apply f.plan"));
        Assert.That(Kbr("plan", "--json").Error, Is.Empty);

        Done("apply", "--auto-approve");
        Assert.That(Kbr("plan"), Is.EqualTo((0, "No changes. The hosts match cluster.yaml.\n", "")));
        Assert.That(Done("plan", "--destroy"), Does.StartWith("Actions are indicated with these symbols:\n    - delete\n\n"));
        WriteCluster(mode: "0640", more: "  - { type: directory, name: new, host: db-1, path: FOLDER/new }");
        Assert.That(Done("plan"), Does.StartWith("Actions are indicated with these symbols:\n    + create\n    ~ update in place\n\n"));
    }

    [Test]
    public void A_plan_that_could_not_look_everywhere_does_not_say_that_there_are_no_changes()
    {
        Done("apply", "--auto-approve");
        WriteCluster(port: Ssh.SshServer.FreePort());
        var (exit, output, _) = Kbr("plan");
        Assert.That(exit, Is.EqualTo(1));
        Assert.That(
            output,
            Is.EqualTo(
                "Actions are indicated with these symbols:\n    ! not planned\n\n  ! db-1, 2 resources, not planned\n"
                    + "Plan: 0 to create, 0 to update, 0 to replace, 0 to delete; 2 could not be planned\n"
            )
        );
    }

    [Test]
    public void Target_warns_that_the_plan_is_not_of_everything_on_stderr_and_as_a_diagnostic_in_JSON()
    {
        const string Warning = "--target is in effect: the plan covers the targeted resources and their dependencies only";
        var (exit, output, error) = Kbr("plan", "--target", "directory.*");
        Assert.That(exit, Is.Zero);
        Assert.That(output, Does.Not.Contain("--target"));
        Assert.That(
            error,
            Does.StartWith($"Warning: {Warning}\n  other resources may differ from cluster.yaml, too, and stay as they are\n")
        );

        var warned = Document("plan", "--target", "directory.*").GetProperty("diagnostics")[0];
        Assert.That(
            (warned.GetProperty("severity").GetString(), warned.GetProperty("summary").GetString()),
            Is.EqualTo(("warning", Warning))
        );
        Assert.That(Kbr("apply", "--auto-approve", "--target", "directory.*").Error, Does.Contain(Warning));
        Assert.That(
            Done("plan", "--target", "directory.*"),
            Is.EqualTo("No changes. The targeted resources match cluster.yaml.\n"),
            "the rest may differ"
        );
        Assert.That(Kbr("plan", "--destroy", "--target", "directory.*").Error, Does.Not.Contain("Warning"), "to destroy a part is whole");
    }

    [Test]
    public void A_requested_replacement_is_planned_saved_and_applied_and_nothing_else()
    {
        Done("apply", "--auto-approve");
        var file = new FileInfo(ConfigFile);
        var before = (Inode(), Inode("spare"));
        Assert.That(
            Done("plan", "--replace", "config_file.app@db-1", "--out", "f.plan"),
            Is.EqualTo(
                "Actions are indicated with these symbols:\n  -/+ replace: take down, then create\n\ndb-1\n"
                    + "  -/+ config_file.app@db-1  replacement requested on the command line\n\n"
                    + "Plan: 0 to create, 0 to update, 1 to replace, 0 to delete\n"
            )
        );
        Assert.That(Done("show", "f.plan"), Does.Contain(", with --replace config_file.app@db-1\n"));
        Assert.That(
            Document("show", "f.plan").GetProperty("options").GetProperty("replace")[0].GetString(),
            Is.EqualTo("config_file.app@db-1")
        );
        Assert.That(Refused("apply", "f.plan", "--replace", "config_file.app@db-1"), Does.Contain("a saved plan is applied unchanged"));
        Assert.That(Done("apply", "f.plan"), Does.Contain("Apply complete! Resources: 0 created, 0 updated, 1 replaced, 0 deleted.\n"));
        Assert.That(Inode(), Is.Not.EqualTo(before.Item1));
        Assert.That(Inode("spare"), Is.EqualTo(before.Item2));
        Assert.That(file.Exists && Done("plan").StartsWith("No changes. ", StringComparison.Ordinal), Is.True, "once is enough");

        Assert.That(
            Refused("apply", "--auto-approve", "--replace", "config_file.ap@db-1"),
            Is.EqualTo("Error: --replace config_file.ap@db-1: there is no such resource\n  → did you mean 'config_file.app@db-1'?\n")
        );
        Assert.That(
            Refused("apply", "--auto-approve", "--replace", "directory.spare@db-1"),
            Does.StartWith("Error: --replace directory.spare@db-1: a resource of the type directory cannot be replaced\n  at cluster.yaml:")
                .And.Contain("  → these types can: certificate, config_file, container\n")
        );

        string Inode(string name = "app.conf")
        {
            using var stat = Process.Start(
                new ProcessStartInfo("stat", ["-c", "%i", $"{Folder}/host/{name}"]) { RedirectStandardOutput = true }
            )!;
            return stat.StandardOutput.ReadToEnd();
        }
    }

    [Test]
    public void On_a_terminal_without_colours_no_escape_is_written_but_the_two_that_redraw_the_running_changes()
    {
        var bare = OnTerminal("apply --auto-approve", ("NO_COLOR", "1"));
        Assert.That(bare, Does.Contain("Apply complete! Resources: 2 created,"));
        Assert.That(Escapes(bare).Except(["\e[J"]).Where(escape => !Regex.IsMatch(escape, "^\e\\[[0-9]+A$")), Is.Empty);
        Assert.That(Escapes(OnTerminal("plan", ("NO_COLOR", "1"))), Is.Empty, "nothing is redrawn in a plan");
        Assert.That(Escapes(OnTerminal("apply --auto-approve", ("TERM", "dumb"))), Is.Empty);

        WriteCluster(mode: "0640", more: "  - { type: directory, name: new, host: db-1, path: FOLDER/new }");
        var colored = Escapes(OnTerminal("plan; " + KbrProgram.Path + " plan --destroy")).Distinct().ToList();
        Assert.That(colored, Is.SupersetOf(new[] { "\e[32m", "\e[31m", "\e[33m", "\e[0m" }));
        Assert.That(colored, Is.SubsetOf(new[] { "\e[0m", "\e[1m", "\e[2m", "\e[31m", "\e[32m", "\e[33m" }), "eight colours are enough");
        Assert.That(Escapes(OnTerminal("plan 2>errors")), Is.Not.Empty);
        Assert.That(File.ReadAllText($"{Folder}/errors"), Is.EqualTo(NotSaved), "a file gets no colours");
    }

    private static List<string> Escapes(string text) => [.. EscapePattern().Matches(text).Select(match => match.Value)];

    private string OnTerminal(string arguments, params (string Name, string Value)[] environment)
    {
        var start = new ProcessStartInfo("script", ["-qec", $"{KbrProgram.Path} {arguments}", "/dev/null"])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            WorkingDirectory = Folder,
            Environment = { ["TERM"] = "xterm", ["SHELL"] = "/bin/sh" },
        };
        start.Environment.Remove("NO_COLOR");
        foreach (var (name, value) in environment)
        {
            start.Environment[name] = value;
        }

        using var process = Process.Start(start)!;
        var text = process.StandardOutput.ReadToEnd();
        Assert.That(process.WaitForExit(TimeSpan.FromMinutes(1)) && process.ExitCode == 0, Is.True, text);
        return text;
    }

    [GeneratedRegex("\e(\\[[0-9;?]*[A-Za-z])?")]
    private static partial Regex EscapePattern();
}
