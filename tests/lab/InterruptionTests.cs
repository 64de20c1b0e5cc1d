using System.Diagnostics;

namespace KeyBuzz.Reconciler.LabTests;

/// <summary>kbr killed, kept waiting, and run twice at once.</summary>
[TestFixture]
public sealed class InterruptionTests
{
    private const string Host = "haproxy-01";
    private const string Target = "*@haproxy-01";
    private Workspace _workspace;

    [SetUp]
    public void Open() => _workspace = new Workspace();

    [TearDown]
    public void Close()
    {
        var outcome = _workspace.Kbr("destroy", "--auto-approve", "--delete-data", "--confirm", "lab", "--target", Target);
        _workspace.Dispose();
        Assert.That(outcome.ExitCode, Is.Zero, outcome.All);
    }

    [Test]
    public async Task Killed_at_twenty_random_moments_the_next_apply_converges_every_time()
    {
        // Five moments on each of four hosts, side by side; the seeds are there so that a failure can be had again.
        string[] hosts = ["db-slave-01", "db-slave-02", "haproxy-01", "haproxy-02"];
        await Task.WhenAll(hosts.Select((host, seed) => Task.Run(() => KillAndConverge(host, new Random(20261123 + seed), rounds: 5))));
    }

    private static void KillAndConverge(string host, Random random, int rounds)
    {
        var target = $"*@{host}";
        using var workspace = new Workspace();
        try
        {
            for (var i = 0; i < rounds; i++)
            {
                var clock = Stopwatch.StartNew();
                using (var apply = workspace.Start("apply", "--auto-approve", "--target", target))
                {
                    apply.WaitForExit(TimeSpan.FromMilliseconds(random.Next(100, 5000)));
                    apply.Kill();
                    apply.WaitForExit();
                }

                var context = $"{host}: killed at {clock.ElapsedMilliseconds} ms, round {i + 1}";
                var again = workspace.Kbr("apply", "--auto-approve", "--target", target);
                Assert.That(again.ExitCode, Is.Zero, context + "\n" + again.All);
                var plan = workspace.Kbr("plan", "--detailed-exitcode", "--target", target);
                Assert.That(plan.ExitCode, Is.Zero, context + "\n" + plan.All);
                var left = Lab.OnHost(host, """
                    find /opt/keybuzz /etc/systemd/system /var/lib/kbr /var/tmp -name '.kbr*' -o -name '*.new' -o -name 'kbr-upload*'
                    docker ps -a --format '{{.Names}}'
                    flock -n /run/kbr/lock true && flock -n /run/kbr/work true && echo free
                    """);
                Assert.That(left, Is.EqualTo("app\nfree\n"), context + ": nothing unfinished, one container, no stale lock");
                if (i % 2 == 0)
                {
                    var destroy = workspace.Kbr("destroy", "--auto-approve", "--delete-data", "--confirm", "lab", "--target", target);
                    Assert.That(destroy.ExitCode, Is.Zero, context + "\n" + destroy.All);
                }
                else
                {
                    workspace.Yaml = workspace.Yaml.Replace($"limit = {100 + i - 1}", $"limit = {100 + i + 1}", StringComparison.Ordinal);
                }
            }
        }
        finally
        {
            workspace.Kbr("destroy", "--auto-approve", "--delete-data", "--confirm", "lab", "--target", target);
        }
    }

    [Test]
    public void Killed_between_a_files_swap_and_its_reload_the_next_apply_reloads()
    {
        _workspace.Apply("--target", Target);
        var yaml = _workspace.Yaml;
        // The reload hangs for as long as the hold file is there.
        _workspace.Yaml = yaml.Replace("limit = 100", "limit = 200", StringComparison.Ordinal)
            .Replace("reload: docker kill -s HUP app", "reload: test ! -e /run/hold-reload || exec sleep 987; docker kill -s HUP app", StringComparison.Ordinal);
        Lab.OnHost(Host, "touch /run/hold-reload");
        using (var apply = _workspace.Start("apply", "--auto-approve", "--target", Target))
        {
            Lab.Until(() => Lab.OnHost(Host, "cat /opt/keybuzz/app/app.conf").Contains("limit = 200", StringComparison.Ordinal), TimeSpan.FromSeconds(30), "the swap");
            apply.Kill();
            apply.WaitForExit();
        }

        // The host loses the script, too, as it does when its power goes.
        Lab.OnHost(Host, "rm /run/hold-reload; pid=$(pgrep -f '^sleep 987'); kill -9 -- -$(ps -o pgid= -p $pid | tr -d ' ')");
        Assert.That(_workspace.Plan("--target", Target), Has.Exactly(1).StartsWith($"config_file.app@{Host} update").And.Some.EndsWith("loaded"));
        _workspace.Apply("--target", Target);
        Assert.That(_workspace.Plan("--target", Target), Is.Empty);
        Assert.That(Lab.OnHost(Host, "docker logs app 2>&1"), Does.Contain("reloaded"));
        Assert.That(Lab.OnHost(Host, "pgrep -f '[s]leep 987' || echo none").Trim(), Is.EqualTo("none"), "no orphaned process");
    }

    [Test]
    public void An_archive_that_does_not_fit_is_one_failed_change_on_a_connection_that_goes_on()
    {
        _workspace.TakeResources("every-attribute.yaml");
        Lab.OnHost(Host, "mount -t tmpfs -o size=1m tmpfs /var/tmp");
        var full = _workspace.Kbr("apply", "--auto-approve", "--target", Target);
        var left = Lab.OnHost(Host, "ls -A /var/tmp; umount /var/tmp");
        Assert.Multiple(() =>
        {
            Assert.That(full.ExitCode, Is.EqualTo(1));
            Assert.That(full.Output, Does.Contain($"image.archive@{Host}: ").And.Contain("No space left on device").And.Contain(", 1 failed, 0 not tried"), "all the rest was done");
            Assert.That(left, Is.Empty, "what was sent is taken away again");
        });
        Assert.That(_workspace.Made("--target", Target), Is.EqualTo(new[] { $"image.archive@{Host}" }));
        Assert.That(_workspace.Plan("--target", Target), Is.Empty);
    }

    [Test]
    public void After_Ctrl_C_what_runs_is_finished_nothing_more_is_begun_and_the_next_apply_goes_on()
    {
        using var apply = _workspace.Start("apply", "--auto-approve", "--target", Target);
        Lab.Until(() => Lab.OnHost(Host, "ls -d /opt/keybuzz 2>/dev/null || true").Length > 0, TimeSpan.FromSeconds(30), "the apply to work");
        Assert.That(Lab.Run(Lab.Root, "kill", "-INT", apply.Id.ToString(System.Globalization.CultureInfo.InvariantCulture)).ExitCode, Is.Zero);
        var outcome = Lab.Finish(apply);
        Assert.Multiple(() =>
        {
            Assert.That(outcome.ExitCode, Is.EqualTo(1), outcome.All);
            Assert.That(outcome.Error, Does.Contain("Interrupted"));
            Assert.That(outcome.Output, Does.Contain("not tried").And.Contain("0 failed"));
        });
        _workspace.Apply("--target", Target);
        Assert.That(_workspace.Plan("--target", Target), Is.Empty);
    }

    [Test]
    public void Of_two_applies_at_once_the_second_says_who_holds_the_lock_and_changes_nothing()
    {
        _workspace.Apply("--target", Target);
        using var second = new Workspace();
        _workspace.Yaml = _workspace.Yaml.Replace("reload: docker kill -s HUP app", "reload: test ! -e /run/hold-reload || sleep 20; docker kill -s HUP app", StringComparison.Ordinal)
            .Replace("limit = 100", "limit = 300", StringComparison.Ordinal);
        second.Yaml = second.Yaml.Replace("limit = 100", "limit = 400", StringComparison.Ordinal);
        Lab.OnHost(Host, "touch /run/hold-reload");
        using var first = _workspace.Start("apply", "--auto-approve", "--target", Target);
        Lab.Until(() => Lab.OnHost(Host, "cat /opt/keybuzz/app/app.conf").Contains("limit = 300", StringComparison.Ordinal), TimeSpan.FromSeconds(30), "the first apply to work");
        var refused = second.Kbr("apply", "--auto-approve", "--target", Target);
        Lab.OnHost(Host, "rm /run/hold-reload; pkill -f '^sleep 20' || true");
        var outcome = Lab.Finish(first);
        Assert.Multiple(() =>
        {
            Assert.That(refused.ExitCode, Is.EqualTo(1));
            Assert.That(refused.Error, Does.Contain(_workspace.Directory).And.Contain(Environment.UserName).And.Contain("since"));
            Assert.That(outcome.ExitCode, Is.Zero, outcome.All);
            Assert.That(Lab.OnHost(Host, "cat /opt/keybuzz/app/app.conf"), Does.Contain("limit = 300"));
        });
    }

    [Test]
    public void A_secret_is_in_no_output_record_process_list_or_container_description()
    {
        var seen = new List<string>();
        using (var apply = _workspace.Start("apply", "--auto-approve", "--verbose", "--target", Target))
        {
            var output = apply.StandardOutput.ReadToEndAsync();
            var error = apply.StandardError.ReadToEndAsync();
            while (!apply.WaitForExit(50))
            {
                seen.Add(Lab.OnHost(Host, "ps axww -o args; ps axwwe -o args"));
            }

            seen.Add(output.Result);
            seen.Add(error.Result);
        }

        seen.Add(_workspace.Kbr("plan", "--json").All);
        seen.Add(Lab.OnHost(Host, "cat /var/lib/kbr/lab/records/*; docker inspect app; journalctl --no-pager -q | tail -n 2000; find /run/kbr -type f -exec cat {} +"));
        seen.Add(File.ReadAllText(Path.Combine(_workspace.Directory, "state/lab.json")));
        Lab.OnHost(Host, "sed -i 's/password = .*/password = by-hand/' /opt/keybuzz/app/app.conf");
        var drift = _workspace.Kbr("plan", "--target", Target);
        seen.Add(drift.All);
        Assert.Multiple(() =>
        {
            Assert.That(drift.Output, Does.Contain("password = (secret)").And.Not.Contain("by-hand"));
            Assert.That(Lab.OnHost(Host, "cat /opt/keybuzz/app/app.conf"), Does.Contain("by-hand"));
            Assert.That(seen.Where(text => text.Contains("canary-", StringComparison.Ordinal)), Is.Empty);
        });
    }
}
