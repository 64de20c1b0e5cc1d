using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Directory;
using KeyBuzz.Reconciler.Resources;
using static KeyBuzz.Reconciler.Tests.Providers.ProviderBench;

namespace KeyBuzz.Reconciler.Tests.Providers;

[TestFixture]
internal sealed class DirectoryProviderTests
{
    private readonly DirectoryProvider _provider = new();
    private string _folder = "";

    [SetUp]
    public void MakeFolder() => _folder = System.IO.Directory.CreateTempSubdirectory("kbr-directory-").FullName;

    [TearDown]
    public void RemoveFolder() => System.IO.Directory.Delete(_folder, recursive: true);

    [TestCase("999", "999", "999", "999")]
    [TestCase("postgres", "999", "postgres", "999")]
    [TestCase("999", "postgres", "999", "postgres")]
    public void Owner_and_group_are_compared_in_the_form_they_were_asked_for(string owner, string group, string seenOwner, string seenGroup)
    {
        var resource = Resource(_provider, "d", ("path", "/d"), ("owner", owner), ("group", group));
        var observed = Observe(resource, new FileStat("directory", 999, 999, "postgres", "postgres", "0755", default));
        Assert.That(observed, Is.InstanceOf<Observation.Present>());
        var attributes = ((Observation.Present)observed).Attributes;
        Assert.That(attributes["owner"].Value, Is.EqualTo(seenOwner));
        Assert.That(attributes["group"].Value, Is.EqualTo(seenGroup));
        Assert.That(attributes, Is.EqualTo(_provider.Desired(resource)));
    }

    [Test]
    public void An_owner_without_a_name_is_shown_as_its_number()
    {
        var observed = (Observation.Present)Observe(
            Resource(_provider, "d", ("path", "/d")),
            new FileStat("directory", 4242, 0, "UNKNOWN", "root", "0755", default)
        );
        Assert.That(observed.Attributes["owner"].Value, Is.EqualTo("4242"));
    }

    [Test]
    public void Nothing_is_absent_and_a_file_is_an_error_that_says_so()
    {
        var resource = Resource(_provider, "d", ("path", "/d"));
        Assert.That(Observe(resource, null), Is.InstanceOf<Observation.Absent>());
        Assert.That(
            Observe(resource, new FileStat("regular file", 0, 0, "root", "root", "0644", default)),
            Is.InstanceOf<Observation.Unknown>().With.Property("Reason").Contains("regular file")
        );
    }

    [TestCase("/a/../b")]
    [TestCase("/a/")]
    [TestCase("/")]
    [TestCase("//a")]
    public void A_path_with_more_than_one_spelling_is_refused(string path) =>
        Assert.That(_provider.Validate(Resource(_provider, "d", ("path", path))), Is.Not.Empty);

    [Test]
    public void It_needs_the_path_above_and_offers_its_own()
    {
        var links = _provider.Links(Resource(_provider, "d", ("path", "/opt/data")));
        Assert.That(links.Provides, Is.EqualTo(new[] { "path:/opt/data" }));
        Assert.That(links.Needs, Is.EqualTo(new[] { "path:/opt" }));
    }

    [Test]
    public void Create_twice_and_update_give_owner_group_and_mode()
    {
        OnlyAsRootWith("chown");
        var resource = Resource(_provider, "d", ("path", $"{_folder}/it's"), ("owner", "999"), ("group", "998"), ("mode", "0700"));
        Succeeds(_provider.Render(ResourceOperation.Create, resource));
        Succeeds(_provider.Render(ResourceOperation.Create, resource));
        Assert.That(Stat(resource), Is.EqualTo("999 998 700 directory"));
        Shell($"chmod 0777 {_folder}/it*; chown 0:0 {_folder}/it*");
        Succeeds(_provider.Render(ResourceOperation.Update, resource));
        Assert.That(Stat(resource), Is.EqualTo("999 998 700 directory"));
        Assert.That(System.IO.Directory.GetFileSystemEntries(_folder), Has.Length.EqualTo(1));
    }

    [TestCase("0755", "755")]
    [TestCase("2750", "2750")]
    public void The_set_id_bits_are_those_of_the_mode(string mode, string expected)
    {
        OnlyAsRootWith("chown");
        Shell($"chmod 2755 {_folder}");
        var resource = Resource(_provider, "d", ("path", $"{_folder}/d"), ("mode", mode), ("set_aside_with", "PG_VERSION"));

        Succeeds(_provider.Render(ResourceOperation.Create, resource));
        Assert.That(Stat(resource), Is.EqualTo($"0 0 {expected} directory"), "a new one");

        Shell($"chmod 6777 {_folder}/d");
        Succeeds(_provider.Render(ResourceOperation.Update, resource));
        Assert.That(Stat(resource), Is.EqualTo($"0 0 {expected} directory"), "one whose mode was changed");

        Shell($"chmod 6777 {_folder}/d");
        Succeeds(_provider.Render(ResourceOperation.Create, resource));
        Assert.That(Stat(resource), Is.EqualTo($"0 0 {expected} directory"), "one that exists");

        Shell($"touch {_folder}/d/PG_VERSION");
        Succeeds(_provider.Render(new ResourceChange(ResourceOperation.Update, resource, ["holds"])));
        Assert.That(Stat(resource), Is.EqualTo($"0 0 {expected} directory"), "one in place of another");
    }

    [Test]
    public void Update_does_not_change_the_content()
    {
        OnlyAsRootWith("chown");
        var resource = Resource(_provider, "d", ("path", $"{_folder}/d"), ("owner", "999"), ("mode", "0700"));
        Succeeds(_provider.Render(ResourceOperation.Create, resource));
        File.WriteAllText($"{_folder}/d/file", "");
        var before = Output($"stat -c '%u %a %Z' {_folder}/d/file");
        Succeeds(
            _provider.Render(ResourceOperation.Update, resource with { Spec = resource.Spec.With("owner", "root").With("mode", "0750") })
        );
        Assert.That(Output($"stat -c '%u %a %Z' {_folder}/d/file"), Is.EqualTo(before));
    }

    [Test]
    public void A_parent_that_is_not_there_is_not_made()
    {
        var error = Fails(_provider.Render(ResourceOperation.Create, Resource(_provider, "d", ("path", $"{_folder}/a/b"))));
        Assert.That(error, Does.Contain($"{_folder}/a does not exist"));
        Assert.That(System.IO.Directory.GetFileSystemEntries(_folder), Is.Empty);
    }

    [Test]
    public void A_create_that_failed_half_way_leaves_nothing_at_the_path_and_can_be_repeated()
    {
        OnlyAsRootWith("chown");
        var resource = Resource(_provider, "d", ("path", $"{_folder}/d"));
        Fails(_provider.Render(ResourceOperation.Create, resource with { Spec = resource.Spec.With("owner", "nobody-has-this-name") }));
        Assert.That(System.IO.Directory.Exists($"{_folder}/d"), Is.False);
        Succeeds(_provider.Render(ResourceOperation.Create, resource));
        Assert.That(System.IO.Directory.GetFileSystemEntries(_folder), Is.EqualTo(new[] { $"{_folder}/d" }));
    }

    [Test]
    public void Delete_takes_an_empty_directory_and_refuses_a_full_one()
    {
        OnlyAsRootWith("chown");
        var resource = Resource(_provider, "d", ("path", $"{_folder}/d"));
        Succeeds(_provider.Render(ResourceOperation.Create, resource));
        File.WriteAllText($"{_folder}/d/file", "");
        Assert.That(Fails(_provider.Render(ResourceOperation.Delete, resource)), Does.Contain("is not empty (1 entries"));
        Assert.That(
            Fails(_provider.Render(ResourceOperation.Delete, resource, deleteData: true)),
            Does.Contain("is not empty"),
            "only a directory declared as data is emptied"
        );
        File.Delete($"{_folder}/d/file");
        Succeeds(_provider.Render(ResourceOperation.Delete, resource));
        Succeeds(_provider.Render(ResourceOperation.Delete, resource));
        Assert.That(System.IO.Directory.Exists($"{_folder}/d"), Is.False);
    }

    [Test]
    public void Deleting_data_takes_the_content_but_never_a_mounted_file_system()
    {
        OnlyAsRootWith("mount");
        var resource = Resource(_provider, "d", ("path", $"{_folder}/d"), ("data", true));
        Succeeds(_provider.Render(ResourceOperation.Create, resource));
        System.IO.Directory.CreateDirectory($"{_folder}/d/sub");
        if (Shell($"mount -t tmpfs none {_folder}/d/sub").ExitCode != 0)
        {
            Assert.Fail("nothing can be mounted here");
        }

        try
        {
            File.WriteAllText($"{_folder}/d/sub/precious", "");
            Assert.That(Fails(_provider.Render(ResourceOperation.Delete, resource, deleteData: true)), Does.Contain("mounted"));
            Assert.That(File.Exists($"{_folder}/d/sub/precious"));
        }
        finally
        {
            Shell($"umount {_folder}/d/sub");
        }

        Succeeds(_provider.Render(ResourceOperation.Delete, resource, deleteData: true));
        Assert.That(System.IO.Directory.Exists($"{_folder}/d"), Is.False);
    }

    [TestCase("a b")]
    [TestCase(@"a\b")]
    public void A_file_system_is_seen_at_a_path_that_the_kernel_escapes(string name)
    {
        OnlyAsRootWith("mount");
        var path = $"{_folder}/{name}";
        var resource = Resource(_provider, "d", ("path", path), ("data", true), ("set_aside_with", "PG_VERSION"));
        var below = Resource(_provider, "d", ("path", $"{path}/d"), ("set_aside_with", "PG_VERSION"), ("set_aside_root", path));
        System.IO.Directory.CreateDirectory($"{path}/m");
        File.WriteAllText($"{path}/PG_VERSION", "");
        Output($"mount -t tmpfs none {Script.Quote($"{path}/m")}");
        try
        {
            foreach (var aside in new[] { resource, below })
            {
                Assert.That(
                    Fails(_provider.Render(new ResourceChange(ResourceOperation.Update, aside, ["holds"]))),
                    Does.Contain("a file system is mounted at")
                );
            }

            Output($"umount {Script.Quote($"{path}/m")}; mount -t tmpfs none {Script.Quote(path)}");
            File.WriteAllText($"{path}/precious", "");
            Assert.That(Fails(_provider.Render(ResourceOperation.Delete, resource, deleteData: true)), Does.Contain("unmount it first"));
            Assert.That(File.Exists($"{path}/precious"));
        }
        finally
        {
            Shell($"umount {Script.Quote($"{path}/m")}; umount {Script.Quote(path)}");
        }
    }

    [Test]
    public void A_directory_with_a_forbidden_entry_is_renamed_and_an_empty_one_replaces_it()
    {
        OnlyAsRootWith("chown");
        var resource = Resource(
            _provider,
            "d",
            ("path", $"{_folder}/d"),
            ("owner", "999"),
            ("mode", "0700"),
            ("set_aside_with", "PG_VERSION")
        );
        Succeeds(_provider.Render(ResourceOperation.Create, resource));
        SetAside();
        Assert.That(
            System.IO.Directory.GetFileSystemEntries(_folder),
            Is.EqualTo(new[] { $"{_folder}/d" }),
            "without that entry nothing is moved"
        );
        File.WriteAllText($"{_folder}/d/PG_VERSION", "first");
        SetAside();
        File.WriteAllText($"{_folder}/d/PG_VERSION", "second");
        SetAside();
        SetAside();
        Assert.Multiple(() =>
        {
            Assert.That(
                System.IO.Directory.GetFileSystemEntries(_folder),
                Is.EquivalentTo(new[] { $"{_folder}/d", $"{_folder}/d.before-kbr", $"{_folder}/d.before-kbr.2" })
            );
            Assert.That(System.IO.Directory.GetFileSystemEntries($"{_folder}/d"), Is.Empty);
            Assert.That(
                (File.ReadAllText($"{_folder}/d.before-kbr/PG_VERSION"), File.ReadAllText($"{_folder}/d.before-kbr.2/PG_VERSION")),
                Is.EqualTo(("first", "second"))
            );
            Assert.That(Stat(resource), Is.EqualTo("999 0 700 directory"));
        });

        void SetAside() => Succeeds(_provider.Render(new ResourceChange(ResourceOperation.Update, resource, ["holds"])));
    }

    // What belongs to data that stays, stays.
    [TestCase(false, "d, mark")]
    [TestCase(true, "")]
    public void With_its_data_goes_what_belongs_to_it_elsewhere(bool deletesData, string left)
    {
        Shell($"mkdir -p {_folder}/d/x; touch {_folder}/mark");
        var resource = Resource(_provider, "d", ("path", $"{_folder}/d"), ("data", true), ("before_data_is_deleted", $"rm {_folder}/mark"));
        var script = _provider.Render(new ResourceChange(ResourceOperation.Delete, resource, []) { DeleteData = deletesData });
        Assert.That(Run(script).ExitCode == 0, Is.EqualTo(deletesData));
        Assert.That(
            string.Join(", ", System.IO.Directory.GetFileSystemEntries(_folder).Select(Path.GetFileName).Order(StringComparer.Ordinal)),
            Is.EqualTo(left)
        );
    }

    [Test]
    public void The_content_of_a_volumes_root_is_moved_below_it_and_an_interrupted_run_continues()
    {
        OnlyAsRootWith("chown");
        var resource = Resource(
            _provider,
            "d",
            ("path", $"{_folder}/data"),
            ("owner", "999"),
            ("mode", "0700"),
            ("set_aside_with", "PG_VERSION"),
            ("set_aside_root", _folder),
            ("set_aside_keeps", (IReadOnlyList<string>)["raft"])
        );
        Shell(
            $"cd {_folder}; mkdir base raft lost+found .kbr-aside; echo 17 >PG_VERSION; echo x >.hidden; echo y "
                + $">.kbr-aside/moved-before; ln -s /nowhere pg_wal"
        );
        var stat = new FileStat("regular file", 999, 999, "postgres", "postgres", "0600", default);
        var seen = (Observation.Present)
            _provider.Observe(
                resource,
                Snapshot(
                    (new StatRead($"{_folder}/data"), null),
                    (new StatRead($"{_folder}/data/PG_VERSION"), null),
                    (new StatRead($"{_folder}/PG_VERSION"), stat)
                )
            );
        Assert.That((seen.Attributes["holds"].Value, seen.Attributes.ContainsKey("owner")), Is.EqualTo(($"{_folder}/PG_VERSION", false)));
        Assert.That(
            seen.Note,
            Is.EqualTo($"the content of {_folder} is kept as {_folder}/data.before-kbr; an empty directory is created beside it")
        );

        Succeeds(_provider.Render(new ResourceChange(ResourceOperation.Update, resource, ["holds"])));
        AssertMoved();

        // Cut off between the last entry and the rename: nothing tells any more that there is something to do but what is left over.
        Shell($"cd {_folder}; rmdir data; mv data.before-kbr .kbr-aside");
        Succeeds(_provider.Render(ResourceOperation.Create, resource));
        AssertMoved();

        void AssertMoved()
        {
            Assert.That(
                System.IO.Directory.GetFileSystemEntries(_folder).Select(Path.GetFileName),
                Is.EquivalentTo(new[] { "data", "data.before-kbr", "raft", "lost+found" })
            );
            Assert.That(
                System.IO.Directory.GetFileSystemEntries($"{_folder}/data.before-kbr").Select(Path.GetFileName),
                Is.EquivalentTo(new[] { "PG_VERSION", "base", ".hidden", "pg_wal", "moved-before" })
            );
            Assert.That(Stat(resource), Is.EqualTo("999 0 700 directory"));
        }
    }

    [Test]
    public void Without_space_for_both_copies_nothing_is_moved()
    {
        OnlyAsRootWith("mount");
        Output($"mount -t tmpfs -o size=2m none {_folder}");
        try
        {
            var resource = Resource(_provider, "d", ("path", $"{_folder}/d"), ("set_aside_with", "PG_VERSION"));
            Succeeds(_provider.Render(ResourceOperation.Create, resource));
            File.WriteAllText($"{_folder}/d/PG_VERSION", new string('1', 1200000));

            Assert.That(
                Fails(_provider.Render(new ResourceChange(ResourceOperation.Update, resource, ["holds"]))),
                Does.Contain("free disk space first")
            );

            Assert.That(System.IO.Directory.GetFileSystemEntries(_folder), Is.EqualTo(new[] { $"{_folder}/d" }));
            Assert.That(File.Exists($"{_folder}/d/PG_VERSION"));
        }
        finally
        {
            Shell($"umount {_folder}");
        }
    }

    [Test]
    public void A_forbidden_entry_is_shown_and_its_removal_disrupts_the_users_of_the_directory()
    {
        var resource = Resource(_provider, "d", ("path", "/d"), ("set_aside_with", "PG_VERSION"));
        var stat = new FileStat("directory", 0, 0, "root", "root", "0755", default);
        var with = (Observation.Present)
            _provider.Observe(resource, Snapshot((new StatRead("/d"), stat), (new StatRead("/d/PG_VERSION"), stat)));
        var without = (Observation.Present)
            _provider.Observe(resource, Snapshot((new StatRead("/d"), stat), (new StatRead("/d/PG_VERSION"), null)));
        Assert.Multiple(() =>
        {
            Assert.That(with.Attributes["holds"].Value, Is.EqualTo("PG_VERSION"));
            Assert.That(with.Note, Does.Contain("/d.before-kbr"));
            Assert.That(_provider.Schema.EffectOf("holds"), Is.EqualTo(ChangeEffect.Disruptive));
            Assert.That((without.Attributes, without.Note), Is.EqualTo((_provider.Desired(resource), (string?)null)));
        });
    }

    private Observation Observe(Resource resource, FileStat? stat) =>
        _provider.Observe(resource, Snapshot((new StatRead(resource.Spec.String("path")), stat)));

    private static string Stat(Resource resource) => Output($"stat -c '%u %g %a %F' {Script.Quote(resource.Spec.String("path"))}");
}
