using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers;
using KeyBuzz.Reconciler.Providers.ConsensusStore.Raft;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.Http;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Providers.SqlProxies;
using KeyBuzz.Reconciler.Providers.Supervision;
using KeyBuzz.Reconciler.Records;

namespace KeyBuzz.Reconciler.Tests.Hosts;

[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed class ProbeScriptTests
{
    private const string Nonce = "0123456789abcdef0123456789abcdef";

    private string _directory = "";

    [SetUp]
    public void MakeDirectory() => _directory = Directory.CreateTempSubdirectory("kbr probe ").FullName;

    [TearDown]
    public void RemoveDirectory() => Directory.Delete(_directory, recursive: true);

    [Test]
    public void A_file_comes_back_byte_for_byte()
    {
        var bytes = new byte[100_000];
        new Random(1).NextBytes(bytes);
        var path = In("it's binary\\n");
        File.WriteAllBytes(path, bytes);
        var read = new FileRead(path);
        var missing = new FileRead(In("missing"));
        var directory = new FileRead(_directory);

        var snapshot = Run(read, missing, directory);

        Assert.That(snapshot.Get(read)!.Bytes.ToArray(), Is.EqualTo(bytes));
        Assert.That(snapshot.Get(missing), Is.Null);
        Assert.That(snapshot.Get(directory), Is.Null);
    }

    [Test]
    public void An_empty_file_is_a_file_with_no_bytes()
    {
        var path = In("empty");
        File.WriteAllText(path, "");
        var stat = new StatRead(path);
        var file = new FileRead(path);

        var snapshot = Run(stat, file);

        Assert.That(snapshot.Get(stat)!.Kind, Is.EqualTo("regular file"));
        Assert.That(snapshot.Get(file)!.Bytes.Length, Is.Zero);
    }

    [Test]
    public void A_file_that_looks_like_the_end_of_an_answer_is_only_a_file()
    {
        var text = "x\nffff end 0\nf0 0\n\n";
        var (first, second) = (In("a"), In("b"));
        File.WriteAllText(first, text);
        File.WriteAllText(second, "second");

        var snapshot = Run(new FileRead(first), new FileRead(second));

        Assert.That(snapshot.Get(new FileRead(first))!.Text, Is.EqualTo(text));
        Assert.That(snapshot.Get(new FileRead(second))!.Text, Is.EqualTo("second"));
    }

    [Test]
    public void Stat_tells_kind_mode_owner_and_time_and_does_not_follow_links()
    {
        var file = In("a file");
        File.WriteAllText(file, "text");
        File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead);
        var time = new DateTime(2026, 1, 2, 3, 4, 5, DateTimeKind.Utc).AddTicks(1234567);
        File.SetLastWriteTimeUtc(file, time);
        File.CreateSymbolicLink(In("link"), file);
        Directory.CreateDirectory(In("directory"));

        var snapshot = Run(
            new StatRead(file),
            new StatRead(In("link")),
            new StatRead(In("directory")),
            new StatRead(In("none")),
            new StatRead(file)
        );

        var stat = snapshot.Get(new StatRead(file))!;
        Assert.That((stat.Kind, stat.Mode), Is.EqualTo(("regular file", "0640")));
        Assert.That(stat.ModifiedAt.UtcDateTime, Is.EqualTo(time));
        Assert.That(stat.User, Is.EqualTo(Environment.UserName));
        Assert.That(snapshot.Get(new StatRead(In("link")))!.Kind, Is.EqualTo("symbolic link"));
        Assert.That(snapshot.Get(new StatRead(In("directory")))!.Kind, Is.EqualTo("directory"));
        Assert.That(snapshot.Get(new StatRead(In("none"))), Is.Null);
    }

    [Test]
    public void Mounts_are_those_of_the_kernel_and_their_names_are_decoded()
    {
        var proc = Run(new MountsRead()).Get(new MountsRead()).First(mount => mount.MountPoint == "/proc");
        Assert.That(proc.Type, Is.EqualTo("proc"));

        var output =
            $"36 35 98:0 / /mnt/with\\040space rw,noatime shared:1 master:2 - xfs /dev/sd\\134b "
            + $"rw,attr2\n\n{Nonce} mounts 0\n\n{Nonce} end 0\n";
        var mount = ReadList
            .Probe.Parse([new MountsRead()], Nonce, System.Text.Encoding.UTF8.GetBytes(output))
            .Get(new MountsRead())
            .Single();
        Assert.That(mount, Is.EqualTo(new MountEntry("/mnt/with space", "/dev/sd\\b", "98:0", "xfs", "rw,noatime,rw,attr2")));
    }

    [Test]
    public void Space_is_that_of_the_nearest_directory_that_exists()
    {
        var read = new DiskSpaceRead(In("not/yet/there"));

        var space = Run(read).Get(read)!;

        Assert.That(space.SizeBytes, Is.Positive);
        Assert.That(space.AvailableBytes, Is.LessThanOrEqualTo(space.SizeBytes));
        Assert.That(space.FileSystem, Is.Not.Empty);
    }

    [Test]
    public void A_path_other_than_a_block_device_does_not_exist_as_one()
    {
        File.WriteAllText(In("file"), "");
        var snapshot = Run(new BlockDeviceRead(In("file")), new BlockDeviceRead(In("none")));

        Assert.That(snapshot.Get(new BlockDeviceRead(In("file"))).Exists, Is.False);
        Assert.That(snapshot.Get(new BlockDeviceRead(In("none"))).Exists, Is.False);
    }

    [TestCase("2", 0, Description = "nothing recognised")]
    [TestCase("8", 1, Description = "ambivalent")]
    [TestCase("127", 1, Description = "no blkid")]
    public void A_device_that_blkid_could_not_judge_does_not_look_empty(string status, int tags)
    {
        var read = new BlockDeviceRead("/dev/sdb");
        var output = $"8 1f\n1073741824\nzero\n\n{Nonce} b0 {status}\n\n{Nonce} end 0\n";

        var device = ReadList.Probe.Parse([read], Nonce, System.Text.Encoding.UTF8.GetBytes(output)).Get(read);

        Assert.That(device.DeviceNumber, Is.EqualTo("8:31"));
        Assert.That(device.SizeBytes, Is.EqualTo(1073741824));
        Assert.That(device.Signatures, Has.Count.EqualTo(tags));
    }

    [Test]
    public void The_tags_of_a_device_are_unescaped()
    {
        var read = new BlockDeviceRead("/dev/sdb");
        var output = $"8 10\n1024\ndata\nDEVNAME=/dev/sdb\nLABEL=my\\ data\nTYPE=xfs\n\n{Nonce} b0 0\n\n{Nonce} end 0\n";

        var device = ReadList.Probe.Parse([read], Nonce, System.Text.Encoding.UTF8.GetBytes(output)).Get(read);

        Assert.That(device.Signatures, Is.EquivalentTo(new Dictionary<string, string> { ["LABEL"] = "my data", ["TYPE"] = "xfs" }));
        Assert.That(device.FirstMebibyteIsZero, Is.False);
    }

    [Test]
    public void A_file_that_cannot_be_read_is_not_taken_for_one_that_is_absent() =>
        Assert.That(
            () => Run(new FileRead("/proc/self/mem")),
            Throws.InstanceOf<InvalidDataException>().With.Message.EqualTo("/proc/self/mem is there and cannot be read")
        );

    private static readonly (Read, string)[] s_ofHost =
    [
        (new FileRead("/etc/x"), "f0"),
        (new StatRead("/etc/x"), "stat"),
        (new MountsRead(), "mounts"),
        (new UnitRead("x.service"), "units"),
        (new RecordsRead("pg"), "r0"),
        (new RecordsRead("pg"), "rf0"),
        (new HistoryRead("pg"), "hi0"),
        (new HistoryRead("pg"), "hf0"),
    ];

    [TestCaseSource(nameof(s_ofHost))]
    public void What_a_killed_program_did_not_print_is_not_absent((Read Read, string Label) one)
    {
        var output = System.Text.Encoding.UTF8.GetBytes($"\n{Nonce} {one.Label} 137\n\n{Nonce} end 0\n");
        Assert.That(
            () => ReadList.Probe.Parse([one.Read], Nonce, output),
            Throws.InstanceOf<InvalidDataException>().With.Message.Contains("was killed (status 137)")
        );
    }

    [Test]
    public void A_port_answers_or_refuses_and_neither_takes_long()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var open = new PortRead("127.0.0.1", ((IPEndPoint)listener.LocalEndpoint).Port);
        var closed = new PortRead("127.0.0.1", 1);
        var watch = Stopwatch.StartNew();

        var snapshot = Run(open, closed, new StatRead("/"));

        Assert.That(snapshot.Get(open), Is.EqualTo(PortState.Answered));
        Assert.That(snapshot.Get(closed), Is.EqualTo(PortState.Refused));
        Assert.That(snapshot.Get(new StatRead("/")), Is.Not.Null);
        Assert.That(watch.Elapsed, Is.LessThan(TimeSpan.FromSeconds(1.9)));
    }

    [Test]
    public async Task A_port_that_stays_silent_is_told_from_others_after_two_seconds()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        using var full = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        full.Start(0);
        var (open, silent) = (
            new PortRead("127.0.0.1", ((IPEndPoint)listener.LocalEndpoint).Port),
            new PortRead("127.0.0.1", ((IPEndPoint)full.LocalEndpoint).Port)
        );

        // Nobody accepts: once the queue is full, the kernel drops whatever else arrives.
        using var first = new TcpClient();
        await first.ConnectAsync((IPEndPoint)full.LocalEndpoint);
        var waiting = Enumerable.Range(0, 3).Select(_ => new TcpClient()).ToList();
        waiting.ForEach(client =>
            _ = client.ConnectAsync((IPEndPoint)full.LocalEndpoint).ContinueWith(connect => connect.Exception, TaskScheduler.Default)
        );

        var snapshot = Run(silent, open);

        Assert.That((snapshot.Get(silent), snapshot.Get(open)), Is.EqualTo((PortState.Silent, PortState.Answered)));
        waiting.ForEach(client => client.Dispose());
    }

    [Test]
    public void A_clock_has_a_time_even_when_no_service_reports_its_state()
    {
        var clock = Run(new ClockRead()).Get(new ClockRead());

        Assert.That(clock.Now, Is.EqualTo(DateTimeOffset.UtcNow).Within(TimeSpan.FromMinutes(1)));
        Assert.That(clock.Source, Is.Not.Empty);
    }

    [TestCase("kernel=yes\n", true)]
    [TestCase("kernel=no\n", false)]
    [TestCase("kernel=no\nchrony=Normal\n", true)]
    [TestCase("chrony=Not synchronised\n", false)]
    [TestCase("kernel=no\ntimesyncd=yes\n", true)]
    [TestCase("kernel=no\ncontainer=yes\n", null)]
    [TestCase("", null)]
    public void A_clock_is_synchronized_when_a_service_reports_it(string said, bool? expected)
    {
        var output = $"now=1700000000.5\n{said}\n{Nonce} clock 0\n\n{Nonce} end 0\n";

        var clock = ReadList.Probe.Parse([new ClockRead()], Nonce, System.Text.Encoding.UTF8.GetBytes(output)).Get(new ClockRead());

        Assert.That(clock.Synchronized, Is.EqualTo(expected));
        Assert.That(clock.Now, Is.EqualTo(DateTimeOffset.FromUnixTimeMilliseconds(1700000000500)));
    }

    [Test]
    public void Without_records_the_list_is_empty()
    {
        var read = new RecordsRead("no such cluster");

        Assert.That(Run(read).Get(read).Files, Is.Empty);
    }

    // A killed apply may still be removing records while the next one reads them.
    [TestCase("a", "b c")]
    [TestCase("b", "a c")]
    [TestCase("c", "a b")]
    [TestCase("a b c", "")]
    public void A_record_that_is_removed_while_records_are_read_is_not_there_and_the_others_are_whole(string removed, string left)
    {
        var read = new RecordsRead($"vanishing-{Environment.ProcessId}");
        var records = Directory.CreateDirectory(RecordScript.Directory(read.Cluster)).FullName;
        try
        {
            foreach (var name in "abc")
            {
                File.WriteAllText($"{records}/{name}.json", $"{{\"{name}\":1}}\n");
            }

            var script = ReadList.Probe.Render([read], Nonce);
            var files = string.Join(' ', removed.Split(' ').Select(name => $"'{records}/{name}.json'"));
            var vanishing = script.Replace("; then head -v", $"; then rm {files}; head -v", StringComparison.Ordinal);
            Assert.That(vanishing, Is.Not.EqualTo(script));

            var folder = Answer(vanishing, read).Get(read);

            Assert.That(
                folder.Files.Select(file => file.Text),
                Is.EqualTo(left.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(name => $"{{\"{name}\":1}}"))
            );
        }
        finally
        {
            Directory.Delete($"/var/lib/kbr/{read.Cluster}", recursive: true);
        }
    }

    [Test]
    public void Units_are_found_by_name_also_when_systemd_skips_one()
    {
        var output =
            $"Id=docker.service\nNames=docker.service\nActiveState=active\nActiveEnterTimestamp=Mon 2026-11-23 "
            + $"11:00:00.123456 UTC\n\nId=real.service\nNames=alias.service "
            + $"real.service\nActiveState=failed\n\n{Nonce} units 1\n\n{Nonce} end 0\n";
        Read[] reads = [new UnitRead("bad@.service"), new UnitRead("docker"), new UnitRead("alias.service")];

        var snapshot = ReadList.Probe.Parse(reads, Nonce, System.Text.Encoding.UTF8.GetBytes(output));

        Assert.That(snapshot.Get(new UnitRead("bad@.service"))["ActiveState"], Is.Empty);
        Assert.That(
            snapshot.Get(new UnitRead("docker")).ActiveSince,
            Is.EqualTo(new DateTimeOffset(2026, 11, 23, 11, 0, 0, TimeSpan.Zero).AddTicks(1234560))
        );
        Assert.That(snapshot.Get(new UnitRead("alias.service"))["ActiveState"], Is.EqualTo("failed"));
    }

    [Test]
    public void The_drop_ins_of_a_unit_are_the_hosts_own_loaded_or_not()
    {
        var output =
            $"Id=a.service\nNames=a.service\nDropInPaths=/usr/lib/systemd/system/service.d/vendor.conf "
            + $"/run/systemd/generator/a.service.d/g.conf /run/systemd/transient/a.service.d/t.conf\n\n{Nonce} "
            + $"units 0\n"
            + "/etc/systemd/system/multi-user.target.wants/a.service\n/etc/systemd/system/a.service.d/not yet "
            + "loaded.conf\n/etc/systemd/system/b.service.d/x.conf\n"
            + $"\n{Nonce} unitfiles 0\n\n{Nonce} end 0\n";

        var unit = ReadList
            .Probe.Parse([new UnitRead("a.service")], Nonce, System.Text.Encoding.UTF8.GetBytes(output))
            .Get(new UnitRead("a.service"));

        Assert.That(
            unit.DropIns,
            Is.EqualTo(new[] { "/etc/systemd/system/a.service.d/not yet loaded.conf", "/run/systemd/transient/a.service.d/t.conf" })
        );
        Assert.That(unit.StartedWith, Is.EqualTo(new[] { "multi-user.target" }));
    }

    [Test]
    public void Services_come_with_their_commands_and_the_container_clients_that_run_in_them()
    {
        const string Output =
            "ExecStart={ path=/usr/bin/docker ; argv[]=/usr/bin/docker run --rm --name app tiny:1 sh -c a ; b ; "
            + "ignore_errors=no ; start_time=[n/a] ; pid=7 ; code=(null) ; status=0/0 }\n"
            + "ExecStop={ path=/usr/bin/docker ; argv[]=/usr/bin/docker stop app ; ignore_errors=no ; "
            + "start_time=[n/a] ; pid=0 ; code=(null) ; status=0/0 }\n"
            + "Id=app-docker.service\nLoadState=loaded\n\nId=gone.service\nLoadState=not-found\n\n"
            + Nonce
            + " services 0\ngone.service /usr/bin/docker start -a app \n\n"
            + Nonce
            + " clients 0\n\n"
            + Nonce
            + " end 0\n";
        Read[] reads = [new ServicesRead()];

        var services = ReadList.Probe.Parse(reads, Nonce, System.Text.Encoding.UTF8.GetBytes(Output)).Get(new ServicesRead());

        Assert.That(
            services.Select(service => $"{service.Name} {service.LoadState}"),
            Is.EqualTo(new[] { "app-docker.service loaded", "gone.service not-found" })
        );
        Assert.That(
            services[0].Commands,
            Is.EqualTo(
                new[]
                {
                    new ServiceCommand("ExecStart", "/usr/bin/docker run --rm --name app tiny:1 sh -c a ; b"),
                    new ServiceCommand("ExecStop", "/usr/bin/docker stop app"),
                }
            )
        );
        Assert.That(services[1].Clients, Is.EqualTo(new[] { "/usr/bin/docker start -a app" }));
    }

    [Test]
    public void One_curl_asks_for_every_container_and_image()
    {
        var script = ReadList.Probe.Render(
            [new ContainerRead("a"), new ContainerRead("b c"), new ImageRead("reg:5000/x/y:1@sha256:00")],
            Nonce
        );

        Assert.That(script.Split("curl ").Length - 1, Is.EqualTo(1));
        Assert.That(
            script,
            Does.Contain("'http://localhost/containers/b%20c/json'").And.Contain("'http://localhost/images/reg:5000/x/y:1@sha256:00/json'")
        );
    }

    [Test]
    public void Every_docker_answer_has_its_status_and_a_silent_engine_is_status_zero()
    {
        Read[] reads = [new ContainerRead("a"), new ContainerRead("b"), new ImageRead("c")];
        var output = $"{{\"Id\":1}}\n\n{Nonce} d0 200\n{{}}\n\n{Nonce} d1 404\n\n{Nonce} d2 000\n\n{Nonce} docker 7\n\n{Nonce} end 0\n";

        var snapshot = ReadList.Probe.Parse(reads, Nonce, System.Text.Encoding.UTF8.GetBytes(output));

        Assert.That(snapshot.Get(new ContainerRead("a")).Json.Trim(), Is.EqualTo("{\"Id\":1}"));
        Assert.That(snapshot.Get(new ContainerRead("b")).Status, Is.EqualTo(404));
        Assert.That(snapshot.Get(new ImageRead("c")), Is.EqualTo(new DockerAnswer(0, "")));
    }

    [Test]
    public void Whatever_is_asked_inside_one_container_takes_one_exec()
    {
        Read[] reads =
        [
            new RaftRead("patroni"),
            new SqlRead("patroni", "postgres", "postgres", 5432, "SELECT 1"),
            new SqlRead("patroni", "postgres", "app", 5432, "SELECT 2"),
            new PoolerRead("pgbouncer", "/tmp", 6432, PoolerTable.Pools),
            new PoolerRead("pgbouncer", "/tmp", 6432, PoolerTable.Config),
        ];

        var script = ReadList.Probe.Render(reads, Nonce);

        Assert.That(
            script.Split("http://localhost/containers/").Skip(1).Select(part => part.Split('/')[0]),
            Is.EqualTo(new[] { "patroni", "pgbouncer" })
        );
        var output =
            $"{{\"leader\": null}}\n\n{Nonce} a0 0\n[{{\"n\":1}}]\n\n{Nonce} q0 false\n\n{Nonce} p0 0\npsql: "
            + $"error: no such database\n\n{Nonce} p1 2\n\n{Nonce} x0 0\n"
            + $"Error response from daemon: No such container: pgbouncer\n\n{Nonce} x1 1\n\n{Nonce} end 0\n";
        var snapshot = ReadList.Probe.Parse(reads, Nonce, System.Text.Encoding.UTF8.GetBytes(output));
        Assert.That(snapshot.Get(new RaftRead("patroni")), Is.EqualTo(new ToolAnswer(0, "{\"leader\": null}\n")));
        Assert.That(snapshot.Get((SqlRead)reads[1]).Json, Is.EqualTo("[{\"n\":1}]"));
        Assert.That(snapshot.Get((SqlRead)reads[2]), Is.EqualTo(new SqlAnswer(null, "psql: error: no such database")));
        Assert.That(
            reads[3..].Cast<PoolerRead>().Select(read => snapshot.Get(read)),
            Is.All.EqualTo(new ToolAnswer(1, "Error response from daemon: No such container: pgbouncer\n")),
            "what docker says stands for who was not reached"
        );
    }

    [Test]
    public void An_answer_that_broke_off_is_refused() =>
        Assert.That(() => ReadList.Probe.Parse([new MountsRead()], Nonce, "1 2 3"u8.ToArray()), Throws.TypeOf<InvalidDataException>());

    [Test]
    public void A_script_of_every_kind_of_read_runs_and_leaves_the_directory_as_it_was()
    {
        File.WriteAllText(In("file"), "x");
        var before = File.GetLastWriteTimeUtc(_directory);

        var snapshot = Run(
            new StatRead(In("file")),
            new FileRead(In("file")),
            new MountsRead(),
            new BlockDeviceRead("/dev/null"),
            new DiskSpaceRead("/"),
            new ContainerRead("none"),
            new ImageRead("none"),
            new UnitRead("none.service"),
            new PortRead("127.0.0.1", 1),
            new ClockRead(),
            new RecordsRead("none")
        );

        Assert.That(snapshot.Get(new FileRead(In("file")))!.Text, Is.EqualTo("x"));
        Assert.That(snapshot.Get(new ContainerRead("none")).Status, Is.AnyOf(0, 404));
        Assert.That(File.GetLastWriteTimeUtc(_directory), Is.EqualTo(before));
        Assert.That(Directory.GetFileSystemEntries(_directory), Has.Length.EqualTo(1));
    }

    [Test]
    public void An_HTTP_read_has_status_and_body_and_a_port_without_a_listener_has_none()
    {
        using var listener = new System.Net.HttpListener();
        var port = Ssh.SshServer.FreePort();
        listener.Prefixes.Add($"http://127.0.0.1:{port}/");
        listener.Start();
        var answering = Task.Run(async () =>
        {
            var context = await listener.GetContextAsync();
            context.Response.StatusCode = 503;
            context.Response.Close("{\"state\": \"starting\"}\n"u8.ToArray(), willBlock: true);
        });
        var silent = new HttpRead("127.0.0.1", Ssh.SshServer.FreePort(), "/patroni");
        var speaking = new HttpRead("127.0.0.1", port, "/patroni?x=1&y=2");

        var snapshot = Run(silent, speaking);

        Assert.That(answering.Wait(TimeSpan.FromSeconds(10)), Is.True);
        Assert.That(snapshot.Get(speaking), Is.EqualTo(new HttpAnswer(503, "{\"state\": \"starting\"}\n")));
        Assert.That(snapshot.Get(silent), Is.EqualTo(new HttpAnswer(0, "")));
    }

    [Test]
    public void A_df_that_succeeds_and_prints_nothing_is_an_unknown_space()
    {
        var read = new DiskSpaceRead("/data");
        Assert.That(ReadList.Probe.Parse([read], "n", "\nn s0 0\n\nn end 0\n"u8.ToArray()).Get(read), Is.Null);
    }

    [Test]
    public void Queries_are_answered_as_json_rows_each_by_itself_and_cannot_write()
    {
        var image = Docker("images", "-q", "--filter", "reference=kbr-lab/patroni").Split('\n')[0];
        Assert.That(image, Is.Not.Empty, "the lab's PostgreSQL image is needed: run lab/up");
        var container = $"kbr-probe-test-{Environment.ProcessId}";
        Docker(
            "run",
            "-d",
            "--rm",
            "--name",
            container,
            "--network",
            "none",
            "--tmpfs",
            "/pg:uid=999,gid=999",
            image,
            "sh",
            "-c",
            "initdb -D /pg/data -U kb_admin -A trust >/dev/null && exec postgres -D /pg/data"
        );
        try
        {
            var good = new SqlRead(
                container,
                "kb_admin",
                "postgres",
                5432,
                "SELECT rolname, rolsuper FROM pg_roles WHERE rolname = 'kb_admin'"
            );
            var none = new SqlRead(container, "kb_admin", "postgres", 5432, "SELECT 1 AS x WHERE false");
            var wrong = new SqlRead(container, "kb_admin", "postgres", 5432, "SELECT * FROM nothing_there");
            var text = new SqlRead(container, "kb_admin", "template1", 5432, "SELECT E'two\nlines, \"quotes\" and \\\\ :ERROR' AS t");
            var writing = new SqlRead(container, "kb_admin", "postgres", 5432, "SELECT nextval('kbr_sequence')");
            var nowhere = new SqlRead(container, "kb_admin", "no_such_database", 5432, "SELECT 1 AS x");
            var gone = new SqlRead("kbr-no-such-container", "kb_admin", "postgres", 5432, "SELECT 1 AS x");
            var deadline = DateTime.UtcNow.AddSeconds(60);
            while (Run(good).Get(good).Json is null && DateTime.UtcNow < deadline)
            {
                Thread.Sleep(200);
            }

            Docker("exec", container, "psql", "-X", "-q", "-U", "kb_admin", "-d", "postgres", "-c", "CREATE SEQUENCE kbr_sequence");

            var snapshot = Run(good, none, wrong, text, writing, nowhere, gone);

            Assert.That(snapshot.Get(good).Json, Does.Contain("\"rolname\":\"kb_admin\"").And.Contain("\"rolsuper\":true"));
            Assert.That(snapshot.Get(none), Is.EqualTo(new SqlAnswer("[]", "")));
            Assert.That(snapshot.Get(wrong).Json, Is.Null);
            Assert.That(snapshot.Get(wrong).Error, Does.Contain("nothing_there"));
            Assert.That(
                System.Text.Json.JsonDocument.Parse(snapshot.Get(text).Json!).RootElement[0].GetProperty("t").GetString(),
                Is.EqualTo("two\nlines, \"quotes\" and \\ :ERROR")
            );
            Assert.That(snapshot.Get(writing).Error, Does.Contain("read-only transaction"));
            Assert.That(snapshot.Get(nowhere).Error, Does.Contain("no_such_database"));
            Assert.That(snapshot.Get(gone).Error, Is.EqualTo("Error response from daemon: No such container: kbr-no-such-container"));

            // More than Linux takes in one argument of a program.
            var padding = new string('é', 300);
            SqlRead[] many =
            [
                .. Enumerable
                    .Range(0, 400)
                    .Select(number => new SqlRead(container, "kb_admin", "postgres", 5432, $"SELECT {number} AS n, '{padding}' AS t")),
            ];
            var answers = Run(many);
            Assert.That(
                many.Select(read => answers.Get(read).Json),
                Is.EqualTo(many.Select((_, number) => $"[{{\"n\":{number},\"t\":\"{padding}\"}}]"))
            );
        }
        finally
        {
            Docker("rm", "-f", container);
        }
    }

    private static string Docker(params string[] arguments)
    {
        var start = new ProcessStartInfo("docker", arguments) { RedirectStandardOutput = true };
        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEnd();
        Assert.That(process.WaitForExit(60_000), Is.True, "docker did not end");
        Assert.That(process.ExitCode, Is.Zero, $"docker {string.Join(' ', arguments)}");
        return output.Trim();
    }

    private string In(string name) => Path.Combine(_directory, name);

    private static Snapshot Run(params Read[] reads) => Answer(ReadList.Probe.Render(reads, Nonce), reads);

    private static Snapshot Answer(string script, params Read[] reads)
    {
        var start = new ProcessStartInfo("sh") { RedirectStandardInput = true, RedirectStandardOutput = true };
        using var process = Process.Start(start)!;
        var output = new MemoryStream();
        var reading = process.StandardOutput.BaseStream.CopyToAsync(output);
        process.StandardInput.Write(script);
        process.StandardInput.Close();
        Assert.That(reading.Wait(TimeSpan.FromSeconds(30)), Is.True, "the probe did not end");
        process.WaitForExit();
        Assert.That(process.ExitCode, Is.Zero);
        return ReadList.Probe.Parse(reads, Nonce, output.ToArray());
    }
}
