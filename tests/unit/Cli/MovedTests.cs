namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary>Resources that were renamed, dropped, or protected from that.</summary>
[TestFixture]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed class MovedTests : LocalCluster
{
    [Test]
    public void A_new_name_moves_the_record_and_touches_nothing_else()
    {
        Done("apply", "--auto-approve");
        var before = File.GetLastWriteTimeUtc(ConfigFile);
        Rename("app", "main");
        WriteMoved(
            "moved: [{ from: directory.spare, to: directory.other }, { from: directory.other, to: "
                + "directory.extra@* }, { from: config_file.app@db-1, to: config_file.main@db-1 }]",
            "extra",
            "main"
        );
        Assert.That(
            Done("plan", "--detailed-exitcode"),
            Is.EqualTo(
                """
                Actions are indicated with these symbols:
                    = adopt: only its record is written

                db-1
                  = config_file.main@db-1  moved: only its record changes
                      recorded as config_file.app@db-1 until now
                  = directory.extra@db-1  moved: only its record changes
                      recorded as directory.spare@db-1 until now

                Plan: 0 to create, 0 to update, 0 to replace, 0 to delete (2 to adopt)

                """
            )
        );
        Done("apply", "--auto-approve");
        Assert.That(
            Directory.GetFiles(Records).Select(Path.GetFileName).Order(StringComparer.Ordinal),
            Is.EqualTo(new[] { "config_file.main@db-1.json", "directory.extra@db-1.json" })
        );
        Assert.That(File.GetLastWriteTimeUtc(ConfigFile), Is.EqualTo(before));
        Assert.That(
            Done("plan", "--detailed-exitcode"),
            Is.EqualTo("No changes. The hosts match cluster.yaml.\n"),
            "entries that are done with may stay"
        );
    }

    [Test]
    public void A_moved_resource_is_updated_too_and_a_rename_without_an_entry_deletes_nothing()
    {
        Done("apply", "--auto-approve");
        WriteMoved("moved: [{ from: config_file.app, to: config_file.main }]", "extra", "main", mode: "0640");
        var plan = Done("plan");
        Assert.That(
            plan,
            Does.Contain(
                "~ config_file.main@db-1  configuration changed\n      recorded as config_file.app@db-1 until now\n  "
                    + "    mode: 0600 → 0640\n"
            )
        );
        Assert.That(
            plan,
            Does.Contain("# directory.spare@db-1  removed from the configuration\n      replaced by directory.extra@db-1\n")
                .And.Contain("= directory.extra@db-1  exists as declared")
        );
        Done("apply", "--auto-approve");
        Assert.That(Directory.Exists($"{Folder}/host/spare"), Is.True);
        Assert.That(
            Directory.GetFiles(Records).Select(Path.GetFileName).Order(StringComparer.Ordinal),
            Is.EqualTo(new[] { "config_file.main@db-1.json", "directory.extra@db-1.json" })
        );
    }

    [Test]
    public void A_file_that_is_to_be_where_another_one_is_does_not_take_that_over_unless_asked()
    {
        Done("apply", "--auto-approve");
        File.WriteAllText($"{Folder}/host/other.conf", "by hand");
        Move("other.conf");

        Assert.That(
            Refused("apply", "--auto-approve"),
            Does.Contain(
                $"Error: config_file.app@db-1 was applied at {ConfigFile}; {Folder}/host/other.conf exists and was not created by kbr\n"
            )
        );
        Assert.That(File.ReadAllText($"{Folder}/host/other.conf"), Is.EqualTo("by hand"));
        Assert.That(
            Done("apply", "--auto-approve", "--adopt", "config_file.app@db-1"),
            Does.Contain($"the previous {ConfigFile} stays unchanged and is no longer managed by kbr")
        );
        Done("destroy", "--auto-approve");
        Assert.That((File.Exists($"{Folder}/host/other.conf"), File.Exists(ConfigFile)), Is.EqualTo((true, true)));
    }

    [Test]
    public void An_interrupted_move_continues_and_is_not_taken_for_a_foreign_resource()
    {
        Done("apply", "--auto-approve");
        Move("new/app.conf");
        Assert.That(Kbr("apply", "--auto-approve").Exit, Is.EqualTo(1), "there is no such directory yet");
        Assert.That(
            File.ReadAllText($"{Records}/config_file.app@db-1.json"),
            Does.Contain("\"pending\":true").And.Contain("/host/new/app.conf")
        );
        Assert.That(File.Exists(ConfigFile), Is.False);

        // As if it had been cut off a little later.
        Directory.CreateDirectory($"{Folder}/host/new");
        File.WriteAllText($"{Folder}/host/new/app.conf", "half");
        Assert.That(Done("plan"), Does.Contain("~ config_file.app@db-1  an earlier apply was interrupted here\n"));
        Done("apply", "--auto-approve");
        Done("destroy", "--auto-approve");
        Assert.That(File.Exists($"{Folder}/host/new/app.conf"), Is.False, "it is kbr's");
    }

    [Test]
    public void A_destroy_removes_the_applied_resource_at_its_applied_path_despite_later_edits()
    {
        Done("apply", "--auto-approve");
        Move("other.conf");
        Assert.That(
            Done("destroy", "--auto-approve"),
            Does.Contain($"- config_file.app@db-1  {ConfigFile}  destroy requested\n").And.Not.Contain("already gone")
        );
        Assert.That(File.Exists(ConfigFile), Is.False);
    }

    [TestCase("{ from: directory.spare, to: directory.spare2 }", "directory.spare is listed in 'moved', but still declared")]
    [TestCase("{ from: directory.old, to: directory.spar }", "'moved' names directory.spar, which no resource has")]
    [TestCase("{ from: directory.old, to: config_file.app }", "directory.old cannot become config_file.app")]
    [TestCase("{ from: directory.old@db-1, to: directory.spare@db-2 }", "directory.old@db-1 cannot become directory.spare@db-2")]
    [TestCase("{ from: old, to: directory.spare }", "'old' is not an address")]
    [TestCase("{ from: directory.old }", "an entry of 'moved' has no 'to'")]
    [TestCase(
        "{ from: directory.a, to: directory.b }, { from: directory.b, to: directory.a }",
        "the entries of 'moved' form a cycle from directory.a"
    )]
    public void An_entry_that_cannot_be_is_refused_with_its_line(string entry, string said)
    {
        WriteCluster(top: $"moved: [{entry}]");
        Assert.That(Refused("validate"), Does.Contain("Error: " + said).And.Contain("  at cluster.yaml:7:"));
    }

    [Test]
    public void Removed_resources_go_after_their_dependents_and_protected_ones_stay_with_their_line_named()
    {
        const string more = """
              - { type: directory, name: outer, host: db-1, path: FOLDER/outer }
              - { type: directory, name: inner, host: db-1, path: FOLDER/outer/inner }
              - { type: directory, name: kept, host: db-1, path: FOLDER/kept, lifecycle: { prevent_destroy: true } }
            """;
        WriteCluster(more: more);
        Done("apply", "--auto-approve");
        Assert.That(
            Refused("plan", "--destroy"),
            Does.Contain("Error: directory.kept@db-1 would be deleted, but lifecycle.prevent_destroy protects it\n  at cluster.yaml:20:")
        );
        WriteCluster();
        Assert.That(
            Refused("plan"),
            Does.StartWith(
                "Error: directory.kept@db-1 would be deleted, but lifecycle.prevent_destroy protects it\n  it was applied "
                    + "with prevent_destroy, and is no longer in the configuration\n"
            )
        );

        WriteCluster(more: more.Split('\n')[2]);
        var events = Done("apply", "--auto-approve", "--json")
            .Split('\n')
            .Where(line => line.Contains("\"event\":\"done\"", StringComparison.Ordinal))
            .Select(line => line.Split("\"address\":\"")[1].Split('"')[0]);
        Assert.That(events, Is.EqualTo(new[] { "directory.inner@db-1", "directory.outer@db-1" }));
        Assert.That(
            Directory.GetDirectories($"{Folder}/host").Select(Path.GetFileName).Order(StringComparer.Ordinal),
            Is.EqualTo(new[] { "kept", "spare" })
        );
    }

    [Test]
    public void A_file_that_moves_leaves_its_former_path_to_the_resource_that_names_it_now()
    {
        Done("apply", "--auto-approve");
        var before = File.ReadAllText(ConfigFile);
        Move("new.conf");
        File.AppendAllText(
            Path.Combine(Folder, "cluster.yaml"),
            $"""
              - type: config_file
                name: legacy
                host: db-1
                path: {ConfigFile}
                mode: "0600"
                content: |
                  workers = 4
                  password = ${"{secret.APP_PASS}"}

            """
        );
        Assert.That(
            Done("plan"),
            Does.Contain("+ config_file.app@db-1")
                .And.Contain("the previous one stays in place, replaced by config_file.legacy@db-1")
                .And.Contain("= config_file.legacy@db-1  exists as declared")
        );

        Done("apply", "--auto-approve");
        Assert.That((File.ReadAllText(ConfigFile), File.ReadAllText($"{Folder}/host/new.conf")), Is.EqualTo((before, before)));
        Assert.That(Done("plan"), Is.EqualTo("No changes. The hosts match cluster.yaml.\n"));
    }

    private void WriteMoved(string moved, string spare, string app, string mode = "0600")
    {
        WriteCluster(spare: spare, top: moved, mode: mode);
        Rename("app", app);
    }

    private void Move(string path)
    {
        var yaml = File.ReadAllText(Path.Combine(Folder, "cluster.yaml"));
        Write("cluster.yaml", yaml.Replace($"path: {ConfigFile}\n", $"path: {Folder}/host/{path}\n", StringComparison.Ordinal));
    }

    private void Rename(string from, string to)
    {
        var yaml = File.ReadAllText(Path.Combine(Folder, "cluster.yaml"));
        Write("cluster.yaml", yaml.Replace($"name: {from}\n", $"name: {to}\n", StringComparison.Ordinal));
    }
}
