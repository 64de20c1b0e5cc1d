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
        Assert.That(
            Done("state", "list"),
            Does.Match(@"^config_file\.app@db-1  created by kbr, 2.*UTC\ndirectory\.spare@db-1  created by kbr, 2.*UTC\n2 records\n$")
        );
        Assert.That(Done("state", "list", "directory.*"), Does.EndWith("UTC\n1 records\n"));
        Assert.That(
            Done("state", "show", "config_file.app@db-1"),
            Does.Contain("\n    content: hmac-sha256:").And.Contain("\n    mode: 0600\n")
        );
        Assert.That(
            Refused("state", "show", "config_file.other@db-1"),
            Does.StartWith("Error: there is no record of 'config_file.other@db-1'\n")
        );
        Assert.That(Document("state", "show", "*").GetProperty("records").GetArrayLength(), Is.EqualTo(2));
    }

    [Test]
    public void A_removed_record_leaves_the_thing_and_an_apply_takes_it_over_again()
    {
        Done("apply", "--auto-approve");
        Assert.That(Refused("state", "rm", "directory.spare@db-1"), Does.StartWith("Error: state rm needs confirmation"));
        Assert.That(
            Done("state", "rm", "directory.spare@db-1", "--auto-approve"),
            Does.Contain("1 record changed; nothing else changed on the hosts")
        );
        Assert.That(Directory.Exists($"{Folder}/host/spare"), Is.True);
        Assert.That(Directory.GetFiles(Records).Select(Path.GetFileName), Is.EqualTo(new[] { "config_file.app@db-1.json" }));
        Assert.That(File.ReadAllText(Copy), Does.Not.Contain("directory.spare"));
        Assert.That(Done("plan"), Does.Contain("= directory.spare@db-1  exists as declared"));
    }

    [Test]
    public void A_moved_record_is_of_the_new_address_and_nothing_on_the_host_changes()
    {
        Done("apply", "--auto-approve");
        var before = File.GetLastWriteTimeUtc(ConfigFile);
        WriteCluster(spare: "extra");
        Write(
            "cluster.yaml",
            File.ReadAllText(Path.Combine(Folder, "cluster.yaml")).Replace("name: app", "name: main", StringComparison.Ordinal)
        );
        Done("state", "mv", "directory.spare@db-1", "directory.extra@db-1", "--auto-approve");
        Done("state", "mv", "config_file.app@db-1", "config_file.main@db-1", "--auto-approve");
        Assert.That(
            Done("plan", "--detailed-exitcode"),
            Is.EqualTo("No changes. The hosts match cluster.yaml.\n"),
            "the fingerprint of its secret holds, too"
        );
        Assert.That(File.GetLastWriteTimeUtc(ConfigFile), Is.EqualTo(before));
        Assert.That(
            Refused("state", "mv", "directory.extra@db-1", "directory.extra@db-2"),
            Does.StartWith("Error: directory.extra@db-1 cannot become directory.extra@db-2\n")
        );
        Assert.That(Refused("state", "mv", "directory.extra@db-1", "spare"), Does.StartWith("Error: 'spare' is not an address\n"));
    }

    [Test]
    public void Resources_of_an_unreachable_host_are_named_kept_and_dropped_only_on_request()
    {
        Done("apply", "--auto-approve");
        var port = Ssh.SshServer.FreePort();
        WriteCluster(port: port);
        Assert.That(
            Refused("plan"),
            Does.StartWith("Error: db-1: ")
                .And.Contain("\n  when it was last read, it held config_file.app, directory.spare (from the operator's copy, serial 1)\n")
        );
        var (exit, output, _) = Kbr("state", "list");
        Assert.That((exit, output), Is.EqualTo((1, output)));
        Assert.That(output, Does.Contain("directory.spare@db-1  created by kbr").And.Contain("(from the operator's copy)"));
        Assert.That(Kbr("state", "pull").Exit, Is.EqualTo(1));
        Assert.That(File.ReadAllText(Copy), Does.Contain("directory.spare@db-1"), "it is kept");
        Assert.That(
            Refused("state", "rm", "directory.spare@db-1", "--auto-approve"),
            Does.StartWith("Error: the record of directory.spare@db-1 is on a host that cannot be read; nothing was changed\n")
        );

        Assert.That(Refused("destroy", "--auto-approve"), Does.Contain("Error: nothing was destroyed: db-1 cannot be reached"));
        var forgotten = Kbr("destroy", "--auto-approve", "--forget-unreachable");
        Assert.That(forgotten.Exit, Is.Zero, forgotten.Error);
        Assert.That(forgotten.Error, Does.Contain("; its records are dropped, and nothing is changed there\n"));
        Assert.That(File.ReadAllText(Copy), Does.Not.Contain("directory.spare"));
        Assert.That(Directory.Exists($"{Folder}/host/spare"), Is.True);
    }

    [Test]
    public void A_host_that_left_the_file_is_remembered_until_its_records_are_dropped()
    {
        Done("apply", "--auto-approve");
        WriteCluster();
        var yaml = Path.Combine(Folder, "cluster.yaml");
        File.WriteAllText(yaml, File.ReadAllText(yaml).Replace("db-1", "db-2", StringComparison.Ordinal));
        Directory.Move(Records, Records + "-of-db-1");
        var (_, output, error) = Kbr("plan");
        Assert.That(
            error,
            Does.StartWith("Warning: db-1 is no longer a host of cluster.yaml, and 2 resources were left there when it was last read\n"),
            output
        );
        Done("state", "rm", "*@db-1", "--auto-approve");
        Assert.That(Kbr("plan").Error, Is.Empty);
    }

    [Test]
    public void A_renamed_host_is_refused_until_its_records_are_moved_and_then_has_no_changes()
    {
        Done("apply", "--auto-approve");
        var before = File.GetLastWriteTimeUtc(ConfigFile);
        RenameHost();
        Assert.That(
            Refused("apply", "--auto-approve"),
            Does.Contain(
                $"Error: db-2: {Records} holds 2 records of db-1, such as config_file.app@db-1; if db-1 is called "
                    + $"db-2 now: kbr state mv '*@db-1' '*@db-2', or kbr state rm '*@db-1' and then adopt its resources; if "
            )
        );
        var (exit, output, error) = Kbr("state", "list");
        Assert.That(exit, Is.EqualTo(1), output + error);
        Assert.That(
            output,
            Does.Match(@"\ndirectory\.spare@db-1  created by kbr, 2.*UTC  on db-2\n2 records\n$"),
            "they can be read, to be mended"
        );
        Assert.That(error, Does.StartWith($"Error: db-2: {Records} holds 2 records of db-1"));

        Assert.That(
            Refused("state", "mv", "*@db-1", "*@db-3", "--auto-approve"),
            Does.StartWith("Error: config_file.app@db-1 cannot become config_file.app@db-3\n"),
            "they lie on db-2"
        );
        Assert.That(
            Done("state", "mv", "*@db-1", "*@db-2", "--auto-approve"),
            Does.Contain("2 records changed; nothing else changed on the hosts")
        );
        Assert.That(
            Directory.GetFiles(Records).Select(Path.GetFileName).Order(StringComparer.Ordinal),
            Is.EqualTo(new[] { "config_file.app@db-2.json", "directory.spare@db-2.json" })
        );
        var (planned, plan, warned) = Kbr("plan", "--detailed-exitcode");
        Assert.That(
            (planned, plan, warned),
            Is.EqualTo((0, "No changes. The hosts match cluster.yaml.\n", "")),
            "the fingerprint of its secret holds, too"
        );
        Assert.That(File.GetLastWriteTimeUtc(ConfigFile), Is.EqualTo(before));
        Done("destroy", "--auto-approve");
        Assert.That(Directory.Exists($"{Folder}/host/spare"), Is.False, "it is still known to be created by kbr");
    }

    [Test]
    public void The_records_of_a_hosts_former_name_can_be_removed_and_its_resources_adopted()
    {
        Done("apply", "--auto-approve");
        RenameHost();
        Done("state", "rm", "*@db-1", "--auto-approve");
        var (exit, output, error) = Kbr("plan");
        Assert.That((exit, error), Is.EqualTo((0, "")), output);
        Assert.That(output, Does.Contain("= directory.spare@db-2  exists as declared").And.Contain("(2 to adopt)"));
    }

    [Test]
    public void A_host_with_records_of_another_host_is_refused_with_the_directory_to_move_away()
    {
        Done("apply", "--auto-approve");
        AddHost();
        var record = File.ReadAllText($"{Records}/directory.spare@db-1.json");
        var copied = $"{Records}/directory.spare@db-2.json";
        File.WriteAllText(copied, record.Replace("@db-1", "@db-2", StringComparison.Ordinal));
        Assert.That(
            Refused("apply", "--auto-approve", "--target", "*@db-1"),
            Does.StartWith(
                $"Error: db-1: {Records} holds a record of db-2, directory.spare@db-2; if db-1 was cloned from db-2, "
                    + $"move that directory away on db-1; kbr state rm would remove the records on db-2, too\n"
            )
        );
        Assert.That(Kbr("drift", "--target", "*@db-1").Error, Does.Contain($"db-1: {Records} holds a record of db-2"));
        Assert.That(
            Refused("state", "mv", "directory.spare@db-2", "directory.spare@db-1", "--auto-approve"),
            Does.StartWith("Error: directory.spare@db-2 cannot become directory.spare@db-1\n")
        );
        Assert.That(File.Exists(copied), Is.True, "it is left as it is");
        Directory.Move(Records, Records + "-of-db-2");
        Assert.That(Done("plan", "--target", "*@db-1"), Does.Contain("(2 to adopt)"));
    }

    [Test]
    public void Damaged_newer_or_foreign_records_are_refused_and_their_host_stays_unchanged()
    {
        Done("apply", "--auto-approve");
        var record = $"{Records}/directory.spare@db-1.json";
        var was = File.ReadAllText(record);
        foreach (
            var (text, reason) in new[]
            {
                (
                    was.Replace("\"format_version\":2", "\"format_version\":3", StringComparison.Ordinal),
                    "it has format version 3; this kbr reads up to 2: use a newer kbr"
                ),
                (was[..40], "it is damaged: "),
                (was.Replace(Name, "another", StringComparison.Ordinal), "it is of the cluster 'another', not '"),
            }
        )
        {
            File.WriteAllText(record, text);
            Assert.That(Refused("apply", "--auto-approve"), Does.Contain($"Error: db-1: the record {record} cannot be used: {reason}"));
            Assert.That(Kbr("state", "list").Error, Does.Contain(reason));
            Assert.That(File.ReadAllText(record), Is.EqualTo(text), "it is left as it is");
        }
    }

    [Test]
    public void A_record_of_a_policy_that_an_older_kbr_wrote_says_nothing_and_the_next_apply_removes_its_file()
    {
        Done("apply", "--auto-approve");
        var old = $"{Records}/patroni_cluster.pg@pg.json";
        var text =
            $"{{\"format_version\":1,\"cluster\":\"{Name}\",\"address\":\"patroni_cluster.pg@pg\",\"created\":true,\"pending\":false,"
            + "\"prevent_destroy\":false,\"serial\":1,\"requires\":[],\"fingerprints\":{\"leader\":\"=one\"},\"spec\":{\"version\":16}}";
        void Write()
        {
            File.WriteAllText(old, text);
            File.SetUnixFileMode(old, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        }

        Write();
        Assert.That(Done("plan"), Is.EqualTo("No changes. The hosts match cluster.yaml.\n"));
        Assert.That(Done("state", "list"), Does.Not.Contain("patroni_cluster"));
        Assert.That(Done("drift"), Does.Not.Contain("patroni_cluster"));
        Assert.That(File.ReadAllText(old), Is.EqualTo(text), "they change nothing");

        WriteCluster(mode: "0640");
        Done("apply", "--auto-approve");
        Assert.That(File.Exists(old), Is.False);

        Write();
        Done("destroy", "--auto-approve");
        Assert.That(Directory.Exists(Records), Is.False, "it keeps no directory");
    }

    private void RenameHost() => Edit(yaml => yaml.Replace("db-1", "db-2", StringComparison.Ordinal));

    // Another host, where nothing listens.
    private void AddHost() =>
        Edit(yaml =>
            yaml.Replace(
                "hosts:\n",
                $"hosts:\n  db-2: {{ role: db, address: 127.0.0.2, ssh: {{ port: {Ssh.SshServer.FreePort()} }} }}\n",
                StringComparison.Ordinal
            )
        );

    private void Edit(Func<string, string> change) => Write("cluster.yaml", change(File.ReadAllText(Path.Combine(Folder, "cluster.yaml"))));
}
