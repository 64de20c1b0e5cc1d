namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary>kbr state, and what is known of a host that cannot be reached, as a user sees them.</summary>
[TestFixture]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed class StateTests : LocalCluster
{
    private string Copy => Path.Combine(Folder, "state", Name + ".json");

    [Test]
    public void Records_are_listed_and_shown_without_secrets_and_without_the_key()
    {
        Done("apply", "--auto-approve");
        Directory.Delete(Path.Combine(Folder, "credentials"), recursive: true);
        Assert.That(Done("state", "list"), Does.Match(@"^config_file\.app@db-1  made by kbr, 2.*UTC\ndirectory\.spare@db-1  made by kbr, 2.*UTC\n2 records\n$"));
        Assert.That(Done("state", "list", "directory.*"), Does.EndWith("UTC\n1 records\n"));
        Assert.That(Done("state", "show", "config_file.app@db-1"), Does.Contain("\n    content: hmac-sha256:").And.Contain("\n    mode: 0600\n"));
        Assert.That(Refused("state", "show", "config_file.other@db-1"), Does.StartWith("Error: there is no record of 'config_file.other@db-1'\n"));
        Assert.That(Document("state", "show", "*").GetProperty("records").GetArrayLength(), Is.EqualTo(2));
    }

    [Test]
    public void A_removed_record_leaves_the_thing_and_an_apply_takes_it_over_again()
    {
        Done("apply", "--auto-approve");
        Assert.That(Refused("state", "rm", "directory.spare@db-1"), Does.StartWith("Error: state rm needs an answer"));
        Assert.That(Done("state", "rm", "directory.spare@db-1", "--auto-approve"), Does.Contain("1 record changed; on the hosts nothing else was"));
        Assert.That(Directory.Exists($"{Folder}/host/spare"), Is.True);
        Assert.That(Directory.GetFiles(Records).Select(Path.GetFileName), Is.EqualTo(new[] { "config_file.app@db-1.json" }));
        Assert.That(File.ReadAllText(Copy), Does.Not.Contain("directory.spare"));
        Assert.That(Done("plan"), Does.Contain("= directory.spare@db-1  found as wanted"));
    }

    [Test]
    public void A_moved_record_is_of_the_new_address_and_nothing_on_the_host_changes()
    {
        Done("apply", "--auto-approve");
        var before = File.GetLastWriteTimeUtc(ConfigFile);
        WriteCluster(spare: "extra");
        Write("cluster.yaml", File.ReadAllText(Path.Combine(Folder, "cluster.yaml")).Replace("name: app", "name: main", StringComparison.Ordinal));
        Done("state", "mv", "directory.spare@db-1", "directory.extra@db-1", "--auto-approve");
        Done("state", "mv", "config_file.app@db-1", "config_file.main@db-1", "--auto-approve");
        Assert.That(Done("plan", "--detailed-exitcode"), Is.EqualTo("Plan: 0 to create, 0 to update, 0 to replace, 0 to delete\n"), "the fingerprint of its secret holds, too");
        Assert.That(File.GetLastWriteTimeUtc(ConfigFile), Is.EqualTo(before));
        Assert.That(Refused("state", "mv", "directory.extra@db-1", "directory.extra@db-2"), Does.StartWith("Error: directory.extra@db-1 cannot become directory.extra@db-2\n"));
        Assert.That(Refused("state", "mv", "directory.extra@db-1", "spare"), Does.StartWith("Error: 'spare' is no address\n"));
    }

    [Test]
    public void What_a_host_held_that_cannot_be_reached_is_named_kept_and_given_up_only_when_asked()
    {
        Done("apply", "--auto-approve");
        var port = Ssh.SshServer.FreePort();
        WriteCluster(port: port);
        Assert.That(Refused("plan"), Does.StartWith("Error: db-1: ").And.Contain("\n  when it was last read, it held config_file.app, directory.spare (from the operator's copy, serial 1)\n"));
        var (exit, output, _) = Kbr("state", "list");
        Assert.That((exit, output), Is.EqualTo((1, output)));
        Assert.That(output, Does.Contain("directory.spare@db-1  made by kbr").And.Contain("(from the operator's copy)"));
        Assert.That(Kbr("state", "pull").Exit, Is.EqualTo(1));
        Assert.That(File.ReadAllText(Copy), Does.Contain("directory.spare@db-1"), "it is kept");
        Assert.That(Refused("state", "rm", "directory.spare@db-1", "--auto-approve"), Does.StartWith("Error: the record of directory.spare@db-1 is on a host that cannot be read; nothing was changed\n"));

        Assert.That(Refused("destroy", "--auto-approve"), Does.Contain("Error: nothing was destroyed: db-1 cannot be reached"));
        var forgotten = Kbr("destroy", "--auto-approve", "--forget-unreachable");
        Assert.That(forgotten.Exit, Is.Zero, forgotten.Error);
        Assert.That(forgotten.Error, Does.Contain("; what it held is forgotten, and nothing is done there\n"));
        Assert.That(File.ReadAllText(Copy), Does.Not.Contain("directory.spare"));
        Assert.That(Directory.Exists($"{Folder}/host/spare"), Is.True);
    }

    [Test]
    public void A_host_that_was_taken_out_of_the_file_is_remembered_until_its_records_are_dropped()
    {
        Done("apply", "--auto-approve");
        WriteCluster();
        var yaml = Path.Combine(Folder, "cluster.yaml");
        File.WriteAllText(yaml, File.ReadAllText(yaml).Replace("db-1", "db-2", StringComparison.Ordinal));
        Directory.Move(Records, Records + "-of-db-1");
        var (_, output, error) = Kbr("plan");
        Assert.That(error, Does.StartWith("Warning: db-1 is no host of cluster.yaml any more, and 2 things were left there when it was last read\n"), output);
        Done("state", "rm", "*@db-1", "--auto-approve");
        Assert.That(Kbr("plan").Error, Is.Empty);
    }

    [Test]
    public void Records_that_are_damaged_newer_or_of_another_cluster_are_refused_and_nothing_is_done_on_that_host()
    {
        Done("apply", "--auto-approve");
        var record = $"{Records}/directory.spare@db-1.json";
        var was = File.ReadAllText(record);
        foreach (var (text, reason) in new[]
        {
            (was.Replace("\"format_version\":1", "\"format_version\":2", StringComparison.Ordinal), "it has format version 2; this kbr reads up to 1: use a newer kbr"),
            (was[..40], "it is damaged: "),
            (was.Replace(Name, "another", StringComparison.Ordinal), "it is of the cluster 'another', not '"),
        })
        {
            File.WriteAllText(record, text);
            Assert.That(Refused("apply", "--auto-approve"), Does.Contain($"Error: db-1: a record in {Records} cannot be used: {reason}"));
            Assert.That(Kbr("state", "list").Error, Does.Contain(reason));
            Assert.That(File.ReadAllText(record), Is.EqualTo(text), "it is left as it is");
        }
    }
}
