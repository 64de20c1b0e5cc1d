using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Http;
using KeyBuzz.Reconciler.Providers.SqlProxies;

namespace KeyBuzz.Reconciler.Tests.Providers.SqlProxies;

/// <summary>New direct sessions are kept waiting by a real HAProxy, and whatever happens to the commands for it, not for good. The engine's
/// client, systemd and PgBouncer are told what to do: a command that begins late or never cannot be had of them.</summary>
[TestFixture, NonParallelizable]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
internal sealed class DirectSessionsTests
{
    private const string Lease = "/run/kbr/pools-paused-until";
    private const string Limit = "1234";

    private static readonly ConnectionPools s_pools = new(
        ["lb-1"],
        "pgbouncer",
        "/run/pgbouncer",
        6433,
        new HttpRead("127.0.0.1", 8404, "/stats;csv"),
        "primary",
        TimeSpan.FromSeconds(2),
        IsRequired: false
    );

    private readonly string _container = $"kbr-direct-test-{Guid.NewGuid():n}"[..30];
    private string _folder = "";

    [SetUp]
    public void Begin()
    {
        ProviderBench.OnlyAsRootWith("docker");
        _folder = Directory.CreateTempSubdirectory("kbr-direct-").FullName;
        File.WriteAllText(
            Path.Combine(_folder, "haproxy.cfg"),
            $"""
            global
              stats socket {ConnectionPools.HaproxyAdminSocket} level admin
            defaults
              mode tcp
              timeout connect 5s
              timeout client 5s
              timeout server 5s
            frontend {ConnectionPools.DirectFrontend}
              bind 127.0.0.1:5432
              maxconn {Limit}

            """
        );
        ProviderBench.Output(
            $"chmod 755 {_folder}; docker run -d --name {_container} --network none --user 99:99 --tmpfs /run/haproxy:uid=99,gid=99 "
                + $"-v {_folder}:/etc/haproxy:ro {ProviderBench.LabImage("haproxy")} haproxy -W -db -f /etc/haproxy/haproxy.cfg"
        );
        Program("systemctl", "exit 0");
        Program("systemd-run", """while [ "$1" != /bin/sh ]; do shift; done; setsid "$@" </dev/null >/dev/null 2>&1 & """);
        // "late": the client is there, and what it asks for begins once there is "go". "fail": a number of calls that fail.
        Program(
            "docker",
            $$"""
            here=$(dirname "$0"); PATH=${PATH#*:}
            case "$*" in
            *PAUSE*) echo kbr-paused ;;
            *RESUME*) ;;
            "exec haproxy "*)
                shift 2
                if [ -s $here/fail ]; then sed -i 1d $here/fail; echo "no answer" >&2; exit 1; fi
                if [ -e $here/late ]; then
                    export here
                    setsid sh -c 'until [ -e $here/go ]; do sleep 0.1; done; docker exec {{_container}} "$@"; touch $here/done' sh "$@" \
                        >/dev/null 2>&1 </dev/null &
                    exec sleep 60
                fi
                exec docker exec {{_container}} "$@" ;;
            *) exit 9 ;;
            esac
            """
        );
        Assert.That(LimitNow, Is.EqualTo(Limit).After(20000, 200));
    }

    [TearDown]
    public void End()
    {
        File.Delete(Lease);
        ProviderBench.Shell($"docker rm -f {_container}");
        Directory.Delete(_folder, recursive: true);
    }

    [Test]
    public void They_wait_from_the_hold_until_the_pools_are_resumed_and_not_after_that()
    {
        Assert.That(Run(ConnectionPools.HoldDirect).ExitCode, Is.EqualTo(ConnectionPools.Over), "there is no pause");
        Succeeds(s_pools.Pause);
        Hold();
        Hold();
        Assert.That(LimitNow(), Is.EqualTo("0"));
        Succeeds(s_pools.Resume);
        Assert.That(LimitNow(), Is.EqualTo(Limit));
        File.WriteAllText(Lease, "99999999999\n");
        var late = Run(ConnectionPools.HoldDirect);
        Assert.That(late.ExitCode, Is.EqualTo(1), "without the permission of a pause");
        Assert.That(late.Error, Does.Contain("HAProxy could not be asked when the pause began"));
        Assert.That(LimitNow(), Is.EqualTo(Limit));
    }

    [Test]
    public void A_hold_that_was_given_up_and_begins_after_all_is_over_holds_nobody()
    {
        Succeeds(s_pools.Pause);
        File.WriteAllText(Path.Combine(_folder, "late"), "");
        Assert.That(Run(ConnectionPools.HoldDirect).ExitCode, Is.EqualTo(124), "it was given up");
        File.Delete(Path.Combine(_folder, "late"));
        Succeeds(s_pools.Resume);
        Assert.That(() => ProviderBench.Shell("pgrep -f ^/bin/sh./run/kbr/pools-program").ExitCode, Is.EqualTo(1).After(30000, 100));
        File.WriteAllText(Path.Combine(_folder, "go"), "");
        Assert.That(() => File.Exists(Path.Combine(_folder, "done")), Is.True.After(30000, 100));
        Assert.That(LimitNow(), Is.EqualTo(Limit));
    }

    [Test]
    public void The_host_releases_them_by_itself_also_where_that_fails_a_dozen_times()
    {
        Succeeds(s_pools.Pause);
        Hold();
        File.WriteAllText(Path.Combine(_folder, "fail"), string.Concat(Enumerable.Repeat("x\n", 11)));
        File.WriteAllText(Lease, "1\n");
        Assert.That(LimitNow, Is.EqualTo(Limit).After(60000, 500));
        Assert.That(new FileInfo(Path.Combine(_folder, "fail")).Length, Is.Zero);
    }

    // On a busy machine it can take longer than it may.
    private void Hold() => Assert.That(() => Run(ConnectionPools.HoldDirect).ExitCode, Is.Zero.After(60000, 100));

    private string LimitNow() =>
        ProviderBench
            .Shell(
                $"docker exec {_container} sh -c 'echo show stat | socat -t 4 - UNIX-CONNECT:{ConnectionPools.HaproxyAdminSocket}' | "
                    + $"grep ^{ConnectionPools.DirectFrontend},FRONTEND | cut -d, -f7"
            )
            .Output.Trim();

    private void Succeeds(Script script) => ProviderBench.Succeeds(Here(script));

    private ScriptResult Run(Script script) => ProviderBench.Run(Here(script));

    private Script Here(Script script) => script with { Text = $"PATH={_folder}:$PATH\n{script.Text}" };

    private void Program(string name, string body)
    {
        var path = Path.Combine(_folder, name);
        File.WriteAllText(path, "#!/bin/sh\n" + body + "\n");
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }
}
