using System.Text.Json;

namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary>plan --out, show and apply of a saved plan, as a user runs them.</summary>
[TestFixture]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed class SavedPlanTests : LocalCluster
{
    private string Plan => Path.Combine(Folder, "f.plan");

    [Test]
    public void A_saved_destroy_waits_for_no_maintenance_window()
    {
        Done("apply", "--auto-approve");
        Done("plan", "--destroy", "--out", "f.plan");
        Assert.That(
            Refused("apply", "f.plan", "--within", "Mon-Sun 00:00-24:00 UTC"),
            Does.StartWith("Error: f.plan is a plan of a destroy").And.Contain("without --within")
        );
        Assert.That(File.Exists(ConfigFile), Is.True);
    }

    [Test]
    public void A_saved_plan_is_shown_unchanged_and_applied_unchanged_without_a_question()
    {
        var planned = Done("plan", "-out", "f.plan");
        Assert.That(File.GetUnixFileMode(Plan), Is.EqualTo(UnixFileMode.UserRead | UnixFileMode.UserWrite));
        Assert.That(File.ReadAllText(Plan), Does.Not.Contain("canary-"), "it holds no secret");
        Assert.That(Done("show", "f.plan"), Does.StartWith($"A plan for {Name}, made at ").And.EndWith("\n\n" + planned));

        var shown = Document("show", "f.plan");
        Assert.That(
            (
                shown.GetProperty("kind").GetString(),
                shown.GetProperty("authenticated").GetBoolean(),
                shown.GetProperty("plan").GetProperty("changes").GetArrayLength()
            ),
            Is.EqualTo(("saved_plan", true, 2))
        );

        Assert.That(Done("apply", "f.plan"), Does.Contain("Apply complete! Resources: 2 created, 0 updated, 0 replaced, 0 deleted."));
        Assert.That(File.ReadAllText(ConfigFile), Does.Contain(Password));
        Assert.That(Done("plan", "--detailed-exitcode"), Does.StartWith("No changes. The hosts match cluster.yaml."));

        // It was applied: it does not hold a second time.
        var again = Refused("apply", "f.plan");
        Assert.That(
            again,
            Does.StartWith("Error: The plan in f.plan is out of date; nothing was changed\n")
                .And.Contain("directory.spare@db-1: it was applied since (its record on db-1 changed); it now exists on db-1")
        );
    }

    [Test]
    public void Changes_since_the_plan_are_named_with_their_host_or_file_and_nothing_is_applied()
    {
        Done("apply", "--auto-approve");
        Write("more.txt", "one\n");
        const string more = "  - { type: config_file, name: more, host: db-1, path: FOLDER/more.conf, content_file: more.txt }";
        WriteCluster(more: more);
        Done("plan", "--out", "f.plan");

        File.SetUnixFileMode(ConfigFile, UnixFileMode.UserRead);
        Assert.That(Refused("apply", "f.plan"), Does.Contain("Error: config_file.app@db-1: mode was changed on db-1\n"));
        File.SetUnixFileMode(ConfigFile, UnixFileMode.UserRead | UnixFileMode.UserWrite);

        Write("more.txt", "two\n");
        Assert.That(
            Refused("apply", "f.plan"),
            Does.Contain("Error: config_file.more@db-1: desired value changed: content (changed since: more.txt)\n  at cluster.yaml:")
        );
        Write("more.txt", "one\n");

        WriteCluster(mode: "0640", more: more);
        Assert.That(
            Refused("apply", "f.plan"),
            Does.Contain("Error: config_file.app@db-1: desired value changed: mode (changed since: cluster.yaml)\n  at cluster.yaml:")
        );
        WriteCluster(more: more + "\n  - { type: directory, name: other, host: db-1, path: FOLDER/other }");
        Assert.That(
            Refused("apply", "f.plan"),
            Does.Contain("directory.other@db-1: it was added to the configuration").And.Contain("it is there").Or.Contain("added")
        );
        WriteCluster(more: more);

        WriteSecrets("canary-another-one");
        Assert.That(
            Refused("apply", "f.plan"),
            Does.Contain("config_file.app@db-1: desired value changed: content (changed since: the secrets)")
        );
        WriteSecrets();

        var record = $"{Records}/config_file.app@db-1.json";
        var was = File.ReadAllText(record);
        File.WriteAllText(record, was.Replace("\"created\":true", "\"created\":false", StringComparison.Ordinal));
        Assert.That(Refused("apply", "f.plan"), Does.Contain("config_file.app@db-1: it was applied since (its record on db-1 changed)"));
        File.WriteAllText(record, was.Replace("\"applied_at\":\"2", "\"applied_at\":\"1", StringComparison.Ordinal));

        Assert.That(File.Exists($"{Folder}/host/more.conf"), Is.False, "nothing was done until now");
        WriteCluster(more: "# a remark changes nothing that is wanted\n" + more);
        Assert.That(
            Done("apply", "f.plan"),
            Does.Contain("Apply complete! Resources: 1 created,"),
            "neither a remark nor a time is a change"
        );
    }

    [Test]
    public void A_truncated_plan_or_one_of_another_cluster_or_version_is_refused()
    {
        Done("plan", "--out", "f.plan");
        var was = File.ReadAllText(Plan);

        File.WriteAllText(Plan, was.Replace("\"delete_data\":false", "\"delete_data\":true ", StringComparison.Ordinal));
        Assert.That(
            Refused("apply", "f.plan"),
            Does.StartWith("Error: f.plan is damaged or altered, or was created with another KBR_KEY\n")
        );
        Assert.That(Refused("show", "f.plan"), Does.StartWith("Error: f.plan is damaged or altered"));
        File.WriteAllText(Plan, was[..(was.Length / 2)]);
        Assert.That(Refused("apply", "f.plan"), Does.StartWith("Error: f.plan is not a saved plan, or is truncated\n"));
        foreach (var version in new[] { 1, 3 })
        {
            File.WriteAllText(Plan, was.Replace("{\"format_version\":2", $"{{\"format_version\":{version}", StringComparison.Ordinal));
            Assert.That(
                Refused("apply", "f.plan"),
                Does.StartWith($"Error: f.plan has format version {version}; this kbr reads version 2 only\n")
                    .And.Contain("use the kbr that created it, or plan again")
            );
        }

        File.WriteAllText(Plan, was);

        WriteCluster(name: "another");
        Assert.That(Refused("apply", "f.plan"), Does.StartWith($"Error: f.plan is a plan for the cluster '{Name}', not for 'another'\n"));
        WriteCluster();
        WriteSecrets(key: "canary-of-another-key");
        Assert.That(Refused("apply", "f.plan"), Does.Contain("was created with another KBR_KEY"));
        WriteSecrets();
        Assert.That(Refused("apply", "f.plan", "--target", "directory.*"), Does.Contain("a saved plan is applied unchanged"));
        Assert.That(Refused("apply", "missing.plan"), Does.StartWith("Error: missing.plan does not exist\n"));
        Assert.That(Directory.Exists($"/var/lib/kbr/{Name}"), Is.False, "nothing was done");

        // Whoever has no key sees it, and is told that it cannot be told whose it is.
        Directory.Delete(Path.Combine(Folder, "credentials"), recursive: true);
        Assert.That(Kbr("show", "f.plan").Error, Does.Contain("without KBR_KEY the plan's signature cannot be checked"));
    }

    [Test]
    public void A_plan_with_errors_is_not_saved_and_no_other_file_is_ever_replaced()
    {
        Assert.That(Refused("plan", "--out", "cluster.yaml"), Does.StartWith("Error: cluster.yaml is not a saved plan"));
        Done("plan", "--out", "f.plan");
        Write("host/app.conf", "by hand\n");
        Assert.That(
            Refused("plan", "--out", "f.plan"),
            Does.Contain("exists and was not created by kbr").And.Contain("was not saved to f.plan")
        );
        Assert.That(File.Exists(Plan), Is.False, "an older one would be taken for it");

        // What was asked with it is part of it.
        Done("plan", "--out", "f.plan", "--adopt", "config_file.app", "--target", "config_file.app");
        Assert.That(Done("show", "f.plan"), Does.Contain(", with --target config_file.app@* --adopt config_file.app@*\n"));
        Assert.That(Done("apply", "f.plan"), Does.Contain("1 updated"));
        Assert.That(Directory.Exists($"{Folder}/host/spare"), Is.False);
    }

    [Test]
    public void A_saved_destroy_takes_down_and_one_that_deletes_data_wants_the_clusters_name()
    {
        WriteCluster(more: "  - { type: directory, name: data, host: db-1, path: FOLDER/data, data: true }");
        Done("apply", "--auto-approve");
        Done("plan", "--destroy", "--delete-data", "--out", "f.plan");
        Assert.That(Refused("apply", "f.plan"), Does.StartWith("Error: f.plan deletes data permanently; confirmation is missing\n"));
        Assert.That(Directory.Exists($"{Folder}/host/data"), Is.True);
        Done("apply", "f.plan", "--confirm", Name);
        Assert.That(Directory.GetFileSystemEntries($"{Folder}/host"), Is.Empty);
        Assert.That(Directory.Exists($"/var/lib/kbr/{Name}"), Is.False);
    }

    // Kbr, by which all of these run it, fails for a secret in what is printed.
    [Test]
    public void A_secret_of_characters_that_json_escapes_is_masked_in_plans_diagnostics_and_saved_plans()
    {
        const string odd = "canary-+2024&\"prod<é";
        WriteSecrets($"'{odd}'");
        WriteCluster(more: $"  - {{ type: directory, name: odd, host: db-1, path: 'FOLDER/{odd}' }}");

        var paths = Document("plan", "--out", "f.plan")
            .GetProperty("changes")
            .EnumerateArray()
            .SelectMany(change => change.GetProperty("differences").EnumerateArray())
            .Where(difference => difference.GetProperty("attribute").GetString() == "path")
            .Select(difference => difference.GetProperty("after").GetString());
        Assert.That(paths, Has.One.EqualTo($"{Folder}/host/(secret)"));
        Assert.That(File.ReadAllText(Plan), Does.Not.Contain("canary-").And.Contain("/host/(secret)"));
        Assert.That(Document("show", "f.plan").GetProperty("plan").GetProperty("changes").GetArrayLength(), Is.EqualTo(3));

        Write("host/" + odd, "in the way");
        Assert.That(
            Document("plan")
                .GetProperty("diagnostics")
                .EnumerateArray()
                .Select(diagnostic => diagnostic.GetProperty("summary").GetString()),
            Has.One.Contains("/host/(secret) is a regular file, not a directory")
        );
    }

    [Test]
    public void A_plan_of_nothing_is_saved_too_and_changes_nothing()
    {
        Done("apply", "--auto-approve");
        Done("plan", "--out", "f.plan");
        using var document = JsonDocument.Parse(File.ReadLines(Plan).First());
        Assert.That(document.RootElement.GetProperty("has_changes").GetBoolean(), Is.False);
        Assert.That(Done("apply", "f.plan"), Does.StartWith("No changes. The hosts match cluster.yaml."));
    }
}
