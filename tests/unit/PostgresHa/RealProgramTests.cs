using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Tests.Cli;
using KeyBuzz.Reconciler.Tests.Providers;

namespace KeyBuzz.Reconciler.Tests.PostgresHa;

/// <summary>The files and commands of the blueprint, given to the very programs they are for: those of the lab's images, in containers
/// without a network.</summary>
[Category(Suites.Programs)]
internal sealed class RealProgramTests : BlueprintFixture
{
    // Inside a container without a network there is only loopback, and all of it is there.
    private const string OnLoopback = $$"""
        version: 1
        cluster: keybuzz-pg
        hosts:
          db-1: { role: db, address: 127.0.1.1 }
          lb-1: { role: lb, address: 127.0.2.1 }
        postgres:
          version: 17
          members: db
          proxies: lb
          load_balancer: { address: 127.0.3.1 }
          image: registry.example.com/kbr/patroni:17{{Digest}}
          volume: { device: /dev/sdb }
          haproxy: { image: "registry.example.com/kbr/haproxy:3{{Digest}}", inter: 5s, fastinter: 5s, downinter: 5s, fall: 1 }
          pgbouncer: { image: "registry.example.com/kbr/pgbouncer:1{{Digest}}" }

        """;

    private readonly string _container = $"kbr-blueprint-test-{Guid.NewGuid():n}"[..30];

    [TearDown]
    public void Remove() => ProviderBench.Shell($"docker rm -f {_container}");

    [Test]
    public void HAProxys_check_accepts_its_file_and_refuses_a_broken_one()
    {
        var file = Find(Load(Minimal), "config_file.haproxy@haproxy-01");
        var content = file.Spec.Text("content")!.Reveal();
        var reads = Content(Load(Changed("haproxy: { image:", "haproxy: { read_port: 5433, image:")), "config_file.haproxy@haproxy-01");
        Environment["STATS_PASS"] = "it's a #\"$x\\ password";
        var login = Content(
            Load(
                Changed(
                    "haproxy: { image:",
                    "haproxy: { stats_login: { name: ops, password: '${secret.STATS_PASS}' }, metrics: true, image:"
                )
            ),
            "config_file.haproxy@haproxy-01"
        );

        var good = Check(file, content);
        var withLogin = Check(file, login);
        var withReads = Check(file, reads);
        const string Everything =
            "read_port: 5433, on_marked_down: none, read_on_marked_down: none, client_timeout: 2h, "
            + "server_timeout: 2h, queue_timeout: 5s, tunnel_timeout: 4h, client_fin_timeout: 30s, "
            + "server_fin_timeout: 30s";
        var withSettings = Check(
            file,
            Content(Load(Changed("haproxy: { image:", $"haproxy: {{ {Everything}, image:")), "config_file.haproxy@haproxy-01")
        );
        var broken = Check(file, content.Replace("mode tcp", "mode tpc", StringComparison.Ordinal));

        Assert.That(good.ExitCode, Is.Zero, good.Error);
        Assert.That(good.Error, Does.Not.Contain("WARNING").And.Not.Contain("ALERT"));
        Assert.That(
            (withSettings.ExitCode, withSettings.Error.Contains("WARNING", StringComparison.Ordinal)),
            Is.EqualTo((0, false)),
            withSettings.Error
        );
        Assert.That(
            (withReads.ExitCode, withReads.Error.Contains("WARNING", StringComparison.Ordinal)),
            Is.EqualTo((0, false)),
            withReads.Error
        );
        Assert.That(
            (withLogin.ExitCode, withLogin.Error.Contains("WARNING", StringComparison.Ordinal)),
            Is.EqualTo((0, false)),
            withLogin.Error
        );
        Assert.That(broken.ExitCode, Is.Not.Zero);
        Assert.That(broken.Error, Does.Contain("tpc"));
    }

    [TestCase("query_wait_timeout: 60, idle_transaction_timeout: 1.5, track_extra_parameters: search_path", null)]
    [TestCase("query_wait_timeout: 60s", "PgBouncer says: ERROR invalid value \"60s\" for parameter query_wait_timeout in configuration")]
    [TestCase("brand_new_thing: 1", "PgBouncer says: ERROR unknown parameter: pgbouncer/brand_new_thing")]
    public void PgBouncer_itself_says_before_the_file_is_used_whether_it_takes_a_setting(string setting, string? complaint)
    {
        var file = Find(
            Load(Changed("max_db_connections: 40", $"max_db_connections: 40, settings: {{ {setting} }}")),
            "config_file.pgbouncer@haproxy-01"
        );

        var result = Check(file, file.Spec.Text("content")!.Reveal());

        Assert.That(result.ExitCode == 0, Is.EqualTo(complaint is null), result.Error);
        Assert.That(result.Error, complaint is null ? Is.Empty : Does.Contain(complaint));
    }

    [TestCase("version: 17", "uid: 999", null)]
    [TestCase("version: 16", "uid: 999", "and cluster.yaml says version 16")]
    [TestCase("version: 17", "uid: 101", "the image runs PostgreSQL as 999:999, and cluster.yaml says uid 101 and gid 999")]
    public void An_image_with_another_major_version_or_uid_is_found_out_before_its_first_use(string version, string uid, string? complaint)
    {
        var cluster = Load(Changed("version: 16", $"{version}\n  {uid}"));
        var file = Find(cluster, "config_file.patroni@db-slave-01");

        var result = Check(file, "");

        Assert.That(
            file.Spec.String("validate"),
            Does.EndWith(Find(cluster, "container.patroni@db-slave-01").Spec.String("validate")),
            "also where only the image changes"
        );

        Assert.That(result.ExitCode == 0, Is.EqualTo(complaint is null), result.Error);
        Assert.That(result.Error, complaint is null ? Is.Empty : Does.Contain(complaint));
    }

    [Test]
    public void Patroni_stops_when_its_RAFT_thread_dies_so_that_its_unit_restarts_it()
    {
        Place(Load(OnLoopback), "db-1");
        System.IO.File.WriteAllText(
            $"{Folder}/patroni/program.py",
            """
            import signal, sys, threading
            done = threading.Event()
            signal.signal(signal.SIGTERM, lambda *_: (print("asked to stop"), done.set()))
            def somebody_else(): raise AssertionError
            def _autoTickThread(): raise AssertionError
            other = threading.Thread(target=somebody_else)
            other.start()
            other.join()
            print("goes on" if not done.is_set() else "stopped too early")
            threading.Thread(target=_autoTickThread).start()
            # A signal between wait's look and its sleep is not seen before the timeout.
            for _ in range(400): done.is_set() or done.wait(0.05)
            sys.exit(0 if done.is_set() else 1)
            """
        );

        var said = ProviderBench.Shell(
            $"docker run --rm --network none --user 999:999 -e PYTHONPATH=/etc/patroni -v "
                + $"{Folder}/patroni:/etc/patroni:ro {Image("patroni")} python3 /etc/patroni/program.py"
        );

        Assert.That((said.ExitCode, said.Output), Is.EqualTo((0, "goes on\nasked to stop\n")), said.Error);
        Assert.That(said.Error, Does.Contain("AssertionError"), "what killed it is still told");
    }

    [Test]
    public void Two_members_agreement_after_a_restart_of_all_is_not_overwritten_by_a_late_third()
    {
        Place(Load(OnLoopback), "db-1");

        var said = ProviderBench.Shell(
            $"docker run --rm --network none --user 999:999 -e PYTHONPATH=/etc/patroni -v "
                + $"{Folder}/patroni:/etc/patroni:ro -v "
                + $"{Path.Combine(JsonSchemas.Root, "tests/unit/PostgresHa/late_member.py")}:/late_member.py:ro "
                + $"{Image("patroni")} "
                + "timeout 120 python3 /late_member.py"
        );

        const string Everything = "['afterwards', 'before 0', 'before 1', 'before 2', 'meanwhile']";
        Assert.That((said.ExitCode, said.Output), Is.EqualTo((0, $"[{Everything}, {Everything}, {Everything}]\n")), said.Error);
    }

    [Test]
    public void Patroni_finds_its_file_valid()
    {
        Environment["POSTGRES_SUPERPASS"] = "it's: \"#1\" {x} \\";
        var cluster = Load(OnLoopback + "  parameters: { work_mem: 8MB, jit: off, auto_explain.log_min_duration: '-1' }\n");
        Place(cluster, "db-1");

        var said = ProviderBench.Shell(
            $"docker run --rm --network none --user 999:999 -v {Folder}/patroni:/etc/patroni:ro --tmpfs "
                + $"/opt/keybuzz/postgres:uid=999,gid=999 {Image("patroni")} "
                + "sh -c 'mkdir /opt/keybuzz/postgres/raft /opt/keybuzz/postgres/data && patroni --validate-config "
                + "/etc/patroni/patroni.yml'"
        );

        Assert.That((said.ExitCode, said.Output + said.Error), Is.EqualTo((0, "")));
    }

    [Test]
    public void PgBouncer_starts_with_its_files_proves_a_password_by_kbrs_verifier_and_reloads()
    {
        var cluster = Load(OnLoopback);
        Place(cluster, "lb-1");
        Start(cluster, "container.pgbouncer@lb-1", "pgbouncer");
        const string Show = "psql -X -At -h 127.0.2.1 -p 6433 -U pgbouncer_stats -d pgbouncer -c";
        Until($"docker exec -e PGPASSWORD=canary-of-the-statistics {_container} {Show} 'SHOW VERSION'");

        var config = ProviderBench.Output($"docker exec -e PGPASSWORD=canary-of-the-statistics {_container} {Show} 'SHOW DATABASES'");
        var wrong = ProviderBench.Shell($"docker exec -e PGPASSWORD=wrong {_container} {Show} 'SHOW VERSION'");
        System.IO.File.WriteAllText(
            Path.Combine(Folder, "pgbouncer/pgbouncer.ini"),
            Content(cluster, "config_file.pgbouncer@lb-1")
                .Replace("default_pool_size = 50", "default_pool_size = 51", StringComparison.Ordinal)
        );
        var reload = Reload(cluster, "config_file.pgbouncer@lb-1");
        var reloaded = ProviderBench.Output($"docker exec -e PGPASSWORD=canary-of-the-statistics {_container} {Show} 'SHOW DATABASES'");

        Assert.Multiple(() =>
        {
            Assert.That(config, Does.StartWith("keybuzz|127.0.3.1|5432|keybuzz|").And.Contain("|50|"));
            Assert.That(wrong.Error, Does.Contain("SASL authentication failed"));
            Assert.That(reload.ExitCode, Is.Zero, reload.Error);
            Assert.That(reloaded, Does.Contain("|51|"));
        });
    }

    [Test]
    public void HAProxy_reloads_without_taking_a_server_for_up_that_is_down()
    {
        var cluster = Load(OnLoopback);
        Place(cluster, "lb-1");
        Start(cluster, "container.haproxy@lb-1", "haproxy");
        // Columns 4 and 6 are the server's name and its state, 0 when it is down.
        const string States =
            "echo show servers state | socat -t 5 - UNIX-CONNECT:/run/haproxy/admin.sock | awk '$4 ~ /-1$/ { print $4, $6 }'";
        Until(
            $"[ \"$(docker exec {_container} sh -c \"$states\")\" = \"$down\" ]",
            $"states={Script.Quote(States)}\ndown='db-1 0\nlb-1 0'\n"
        );

        var first = Reload(cluster, "config_file.haproxy@lb-1");
        var after = ProviderBench.Output($"states={Script.Quote(States)}\ndocker exec {_container} sh -c \"$states\"");
        System.IO.File.WriteAllText(Path.Combine(Folder, "haproxy/haproxy.cfg"), "nonsense\n");
        var broken = Reload(cluster, "config_file.haproxy@lb-1");

        Assert.Multiple(() =>
        {
            Assert.That(first.ExitCode, Is.Zero, first.Error);
            Assert.That(after, Is.EqualTo("db-1 0\nlb-1 0"));
            Assert.That(broken.ExitCode, Is.Not.Zero);
            Assert.That(broken.Error, Does.Contain("Success=0").And.Contain("nonsense"));
            Assert.That(
                ProviderBench.Output($"docker inspect -f '{{{{.State.Running}}}} {{{{.RestartCount}}}}' {_container}"),
                Is.EqualTo("true 0")
            );
        });
    }

    [Test]
    public void HAProxy_takes_and_starts_with_a_file_that_asks_for_more_files_than_its_container_may_open()
    {
        var cluster = Load(OnLoopback);
        Place(cluster, "lb-1");
        Start(cluster, "container.haproxy@lb-1", "haproxy");
        const string Socket = "socat -t 5 - UNIX-CONNECT:/run/haproxy/admin.sock";
        string Most() => $"docker exec {_container} sh -c 'echo show info | {Socket}' | grep ^Maxconn:";
        Until(Most());

        Place(
            Load(
                OnLoopback.Replace(
                    "{ image: \"registry.example.com/kbr/haproxy",
                    "{ max_connections: 9000, image: \"registry.example.com/kbr/haproxy",
                    StringComparison.Ordinal
                )
            ),
            "lb-1"
        );
        var reload = Reload(cluster, "config_file.haproxy@lb-1");
        var reloaded = ProviderBench.Output(Most());
        ProviderBench.Output($"docker restart -t 1 {_container}");
        Until(Most());

        Assert.That(reload.ExitCode, Is.Zero, reload.Error);
        Assert.That((reloaded, ProviderBench.Output(Most())), Is.EqualTo(("Maxconn: 27100", "Maxconn: 27100")));
    }

    // As config_file runs it: with the new file's path in $file.
    private ScriptResult Check(Resource file, string content)
    {
        var folder = Directory.CreateDirectory(Path.Combine(Folder, "check"));
        var path = Path.Combine(folder.FullName, ".kbr.new");
        System.IO.File.WriteAllText(path, content);
        ProviderBench.Output($"chmod 755 {Folder} {folder.FullName}; chmod 644 {path}");
        return ProviderBench.Shell($"export file={path}\n" + InLab(file.Spec.String("validate")));
    }

    // What is after "test … || {": the container here was not made by kbr.
    private ScriptResult Reload(Cluster cluster, string file)
    {
        var reload = Find(cluster, file).Spec.String("reload").Split("|| {", 2)[1][..^1];
        return ProviderBench.Shell(
            reload
                .Replace("docker exec haproxy ", $"docker exec {_container} ", StringComparison.Ordinal)
                .Replace("docker exec pgbouncer ", $"docker exec {_container} ", StringComparison.Ordinal)
        );
    }

    // The files of a host, under this test's folder instead of /opt/keybuzz.
    private void Place(Cluster cluster, string host)
    {
        foreach (var file in cluster.Resources.Where(resource => resource.Address.Type == "config_file" && resource.Address.Host == host))
        {
            var path = file.Spec.String("path").Replace("/opt/keybuzz", Folder, StringComparison.Ordinal);
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            System.IO.File.WriteAllText(path, file.Spec.Text("content")!.Reveal());
            ProviderBench.Output(
                $"chmod 755 {Folder} {Path.GetDirectoryName(path)}; chmod {file.Spec.String("mode")} {path}; chown "
                    + $"{file.Spec.String("owner")}:{file.Spec.String("group")} {path}"
            );
        }
    }

    private void Start(Cluster cluster, string address, string image)
    {
        var spec = Find(cluster, address).Spec;
        var options = string.Concat([
            .. spec.List("mounts").Select(mount => $" -v {mount.Replace("/opt/keybuzz", Folder, StringComparison.Ordinal)}"),
            .. spec.List("tmpfs").Select(entry => $" --tmpfs {entry}"),
            .. spec.Map("ulimits").Select(limit => $" --ulimit {limit.Key}={limit.Value}"),
        ]);
        ProviderBench.Output(
            $"docker run -d --name {_container} --network none --user {spec.String("user")}{options} "
                + $"{Image(image)} {string.Join(' ', spec.List("command"))}"
        );
    }

    private void Until(string command, string before = "")
    {
        var deadline = DateTime.UtcNow.AddSeconds(30);
        while (ProviderBench.Shell(before + command).ExitCode != 0)
        {
            if (DateTime.UtcNow > deadline)
            {
                Assert.Fail($"{command}\n{ProviderBench.Shell($"docker logs --tail 30 {_container} 2>&1").Output}");
            }

            Thread.Sleep(200);
        }
    }

    private static string InLab(string command)
    {
        foreach (var (name, version) in new[] { ("patroni", "16"), ("haproxy", "3"), ("pgbouncer", "1") })
        {
            command = command.Replace($"registry.example.com/kbr/{name}:{version}{Digest}", Image(name), StringComparison.Ordinal);
        }

        return command;
    }

    private static string Image(string name) => ProviderBench.LabImage(name);
}
