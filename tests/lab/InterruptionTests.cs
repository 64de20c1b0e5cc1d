using System.Diagnostics;

namespace KeyBuzz.Reconciler.LabTests;

/// <summary>kbr killed, kept waiting, and run twice at once.</summary>
[TestFixture]
[Category(Lab.Part3)]
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
    public void Killed_at_any_remote_step_the_plan_is_true_and_the_next_apply_converges()
    {
        // A slice of eng/kill-sweep.sh, which knows what has to hold after each kill: a point on each of four hosts, in create, update and
        // destroy. Without a number it tries all.
        var start = new ProcessStartInfo(Path.Combine(Lab.Root, "eng/kill-sweep.sh"), ["raw", "1"])
        {
            WorkingDirectory = Lab.Root,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
        };
        start.Environment["KBR_TOOL"] = Workspace.Tool;
        using var sweep = Process.Start(start)!;
        sweep.StandardInput.Close();
        var outcome = Lab.Finish(sweep, TimeSpan.FromMinutes(15));
        TestContext.Out.WriteLine(outcome.Output);
        Assert.That(outcome.ExitCode, Is.Zero, outcome.All);
        var result = System.Text.RegularExpressions.Regex.Match(outcome.Output, @"kill sweep: (\d+) kill points tried, (\d+) converged");
        Assert.That(
            int.Parse(result.Groups[1].Value, System.Globalization.CultureInfo.InvariantCulture),
            Is.GreaterThanOrEqualTo(8),
            outcome.All
        );
    }

    [Test]
    public void A_connection_cut_during_a_script_fails_the_change_by_host_and_the_next_apply_converges()
    {
        using var apply = HoldInReload();
        // Up from what the script started to the sshd that serves kbr's connection.
        Lab.OnHost(
            Host,
            "pid=$(pgrep -o -f '^sleep 0\\.987'); while [ \"$(cat /proc/$pid/comm)\" != sshd ]; do pid=$(sed "
                + "'s/.*) . \\([0-9]*\\) .*/\\1/' /proc/$pid/stat); done; kill -9 $pid"
        );
        var outcome = Lab.Finish(apply);
        Assert.Multiple(() =>
        {
            Assert.That(outcome.ExitCode, Is.EqualTo(1), outcome.All);
            Assert.That(outcome.All, Does.Match($@"config_file\.app@{Host}: .*the connection was lost"));
        });

        // What the script has begun it finishes by itself, and the next apply waits for it.
        Lab.OnHost(Host, "rm /run/hold-reload");
        AssertConverges();
    }

    [Test]
    public void A_reboot_during_an_apply_fails_the_change_by_host_and_the_next_apply_converges()
    {
        using var apply = HoldInReload();
        Lab.Command("reboot", "--crash", Host);
        var outcome = Lab.Finish(apply);
        Assert.Multiple(() =>
        {
            Assert.That(outcome.ExitCode, Is.EqualTo(1), outcome.All);
            Assert.That(outcome.All, Does.Contain($"config_file.app@{Host}: "));
        });
        AssertConverges();
    }

    [Test]
    public void On_a_full_disk_the_change_fails_without_partial_files_and_the_next_apply_converges()
    {
        var directory = $"directory.app-config@{Host}";
        var file = $"config_file.app@{Host}";
        const string Records = "/var/lib/kbr/lab/records";
        _workspace.Apply("--target", directory);
        try
        {
            Lab.OnHost(
                Host,
                "mount -t tmpfs -o size=64k,mode=0755 tmpfs /opt/keybuzz/app; head -c 1M /dev/zero >/opt/keybuzz/app/filler || true"
            );
            var full = _workspace.Kbr("apply", "--auto-approve", "--target", file);
            Assert.Multiple(() =>
            {
                Assert.That(full.ExitCode, Is.EqualTo(1), full.All);
                Assert.That(full.All, Does.Contain($"{file}: ").And.Contain("No space left on device"));
                Assert.That(Lab.OnHost(Host, "ls -A /opt/keybuzz/app").Trim(), Is.EqualTo("filler"));
            });
        }
        finally
        {
            Lab.OnHost(Host, "umount /opt/keybuzz/app");
        }

        _workspace.Apply("--target", Target);
        _workspace.Yaml = _workspace.Yaml.Replace("limit = 100", "limit = 200", StringComparison.Ordinal);
        try
        {
            Lab.OnHost(
                Host,
                $"cp -a {Records} /run/records; mount -t tmpfs -o size=128k,mode=0700 tmpfs {Records}; cp -a "
                    + $"/run/records/. {Records}; head -c 1M /dev/zero >{Records}/filler || true"
            );
            var full = _workspace.Kbr("apply", "--auto-approve", "--target", file);
            Assert.Multiple(() =>
            {
                Assert.That(full.ExitCode, Is.EqualTo(1), full.All);
                Assert.That(full.All, Does.Contain($"{file}: ").And.Contain("No space left on device"));
                Assert.That(
                    Lab.OnHost(Host, $"rm {Records}/filler; diff -r {Records} /run/records && echo same").Trim(),
                    Is.EqualTo("same"),
                    "the records are those from before"
                );
            });
            AssertConverges();
        }
        finally
        {
            Lab.OnHost(
                Host,
                $"rm -r /run/records; cp -a {Records} /run/records; umount {Records}; cp -a /run/records/. {Records}; rm -r /run/records"
            );
        }
    }

    // An apply that changes the app's file and hangs in its reload until /run/hold-reload is gone.
    private Process HoldInReload()
    {
        _workspace.Apply("--target", Target);
        _workspace.Yaml = _workspace
            .Yaml.Replace("limit = 100", "limit = 200", StringComparison.Ordinal)
            .Replace(
                "reload: docker kill -s HUP app",
                "reload: while test -e /run/hold-reload; do sleep 0.987; done; docker kill -s HUP app",
                StringComparison.Ordinal
            );
        Lab.OnHost(Host, "touch /run/hold-reload");
        var apply = _workspace.Start("apply", "--auto-approve", "--target", Target);
        Lab.Until(() => Lab.OnHost(Host, "pgrep -f '^sleep 0\\.987' || true").Length > 0, TimeSpan.FromSeconds(90), "the reload");
        return apply;
    }

    private void AssertConverges()
    {
        _workspace.Apply("--target", Target);
        Assert.Multiple(() =>
        {
            Assert.That(_workspace.Plan("--target", Target), Is.Empty);
            Assert.That(Lab.OnHost(Host, "cat /opt/keybuzz/app/app.conf"), Does.Contain("limit = 200"));
            Assert.That(
                Lab.OnHost(
                        Host,
                        "find /opt/keybuzz /var/lib/kbr /var/tmp -name '.kbr*' -o -name '*.new' -o -name 'kbr-upload*'; "
                            + "flock -n /run/kbr/lock true && flock -n /run/kbr/work true && echo free"
                    )
                    .Trim(),
                Is.EqualTo("free"),
                "nothing unfinished, no stale lock, no process"
            );
        });
    }

    [Test]
    public void Killed_between_a_files_swap_and_its_reload_the_next_apply_reloads()
    {
        _workspace.Apply("--target", Target);
        var yaml = _workspace.Yaml;
        // The reload hangs for as long as the hold file is there.
        _workspace.Yaml = yaml.Replace("limit = 100", "limit = 200", StringComparison.Ordinal)
            .Replace(
                "reload: docker kill -s HUP app",
                "reload: test ! -e /run/hold-reload || exec sleep 987; docker kill -s HUP app",
                StringComparison.Ordinal
            );
        Lab.OnHost(Host, "touch /run/hold-reload");
        using (var apply = _workspace.Start("apply", "--auto-approve", "--target", Target))
        {
            Lab.Until(
                () => Lab.OnHost(Host, "cat /opt/keybuzz/app/app.conf").Contains("limit = 200", StringComparison.Ordinal),
                TimeSpan.FromSeconds(30),
                "the swap"
            );
            apply.Kill();
            apply.WaitForExit();
        }

        // The host loses the script, too, as it does when its power goes.
        Lab.OnHost(Host, "rm /run/hold-reload; pid=$(pgrep -f '^sleep 987'); kill -9 -- -$(ps -o pgid= -p $pid | tr -d ' ')");
        Assert.That(
            _workspace.Plan("--target", Target),
            Has.Exactly(1).StartsWith($"config_file.app@{Host} update").And.Some.EndsWith("loaded")
        );
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
            Assert.That(
                full.Output,
                Does.Contain($"image.archive@{Host}: ").And.Contain("No space left on device").And.Contain(", 1 failed, 0 skipped"),
                "all the rest was done"
            );
            Assert.That(left, Is.Empty, "what was sent is taken away again");
        });
        Assert.That(_workspace.Made("--target", Target), Is.EqualTo(new[] { $"image.archive@{Host}" }));
        Assert.That(_workspace.Plan("--target", Target), Is.Empty);
    }

    [Test]
    public void After_Ctrl_C_running_changes_finish_no_other_begins_and_the_next_apply_continues()
    {
        // Where this whole run was started in the background, a shell has SIGINT ignored, and kbr would keep to that.
        using var apply = Lab.Start(
            _workspace.Directory,
            "env",
            "--default-signal=INT",
            Workspace.Tool,
            "apply",
            "--auto-approve",
            "--target",
            Target
        );
        // At its first step: on a quiet machine the last one has begun some seconds later.
        while (apply.StandardOutput.ReadLine() is { } line && !line.EndsWith(": creating …", StringComparison.Ordinal)) { }

        Assert.That(
            Lab.Run(Lab.Root, "kill", "-INT", apply.Id.ToString(System.Globalization.CultureInfo.InvariantCulture)).ExitCode,
            Is.Zero
        );
        var outcome = Lab.Finish(apply);
        Assert.Multiple(() =>
        {
            Assert.That(outcome.ExitCode, Is.EqualTo(1), outcome.All);
            Assert.That(outcome.Error, Does.Contain("Interrupted"));
            Assert.That(outcome.Output, Does.Contain("skipped").And.Contain("0 failed"));
        });
        _workspace.Apply("--target", Target);
        Assert.That(_workspace.Plan("--target", Target), Is.Empty);
    }

    [Test]
    public void Of_two_applies_at_once_the_second_names_the_lock_holder_and_changes_nothing()
    {
        _workspace.Apply("--target", Target);
        using var second = new Workspace();
        _workspace.Yaml = _workspace
            .Yaml.Replace(
                "reload: docker kill -s HUP app",
                "reload: test ! -e /run/hold-reload || sleep 20; docker kill -s HUP app",
                StringComparison.Ordinal
            )
            .Replace("limit = 100", "limit = 300", StringComparison.Ordinal);
        second.Yaml = second.Yaml.Replace("limit = 100", "limit = 400", StringComparison.Ordinal);
        Lab.OnHost(Host, "touch /run/hold-reload");
        using var first = _workspace.Start("apply", "--auto-approve", "--target", Target);
        Lab.Until(
            () => Lab.OnHost(Host, "cat /opt/keybuzz/app/app.conf").Contains("limit = 300", StringComparison.Ordinal),
            TimeSpan.FromSeconds(30),
            "the first apply to work"
        );
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
        seen.Add(
            Lab.OnHost(
                Host,
                "cat /var/lib/kbr/lab/records/*; docker inspect app; journalctl --no-pager -q | tail -n 2000; find "
                    + "/run/kbr -type f -exec cat {} +"
            )
        );
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
