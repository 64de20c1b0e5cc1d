namespace KeyBuzz.Reconciler.LabTests;

/// <summary>What was there before kbr.</summary>
[TestFixture]
[Category(Lab.Part2)]
public sealed class AdoptionTests
{
    private const string Host = "haproxy-02";
    private const string Target = "directory.keybuzz@haproxy-02";

    [Test]
    public void An_existing_different_resource_is_refused_until_adopted_and_released_at_destroy()
    {
        using var workspace = new Workspace();
        Lab.OnHost(Host, "mkdir -m 0700 /opt/keybuzz");
        try
        {
            var refused = workspace.Kbr("apply", "--auto-approve", "--target", Target);
            Assert.Multiple(() =>
            {
                Assert.That(refused.ExitCode, Is.EqualTo(1));
                Assert.That(
                    refused.Error,
                    Does.Contain("exists and was not created by kbr")
                        .And.Contain("mode (0700 on the host, 0755 desired)")
                        .And.Contain("--adopt")
                );
                Assert.That(Lab.OnHost(Host, "stat -c %a /opt/keybuzz").Trim(), Is.EqualTo("700"));
            });
            workspace.Apply("--target", Target, "--adopt", Target);
            Assert.That(Lab.OnHost(Host, "stat -c %a /opt/keybuzz").Trim(), Is.EqualTo("755"));
            Assert.That(workspace.Plan("--target", Target), Is.Empty);

            var destroy = workspace.Kbr("destroy", "--auto-approve", "--target", Target);
            Assert.Multiple(() =>
            {
                Assert.That(destroy.ExitCode, Is.Zero, destroy.All);
                Assert.That(Lab.OnHost(Host, "test -d /opt/keybuzz && echo there").Trim(), Is.EqualTo("there"), "released, not deleted");
                Assert.That(Lab.OnHost(Host, "test -e /var/lib/kbr || echo gone").Trim(), Is.EqualTo("gone"));
            });
        }
        finally
        {
            Lab.OnHost(Host, "rmdir /opt/keybuzz");
        }
    }

    [Test]
    public void What_an_unmounted_volume_hid_from_the_plan_is_left_as_it_is_and_the_next_plan_names_it()
    {
        const string Volume = $"volume.data@{Host}";
        const string Inside = $"directory.app-data@{Host}";
        using var workspace = new Workspace();
        try
        {
            workspace.Apply("--target", Volume);
            Lab.OnHost(Host, "mkdir -m 0750 /opt/keybuzz/data/app && umount /opt/keybuzz/data");
            Assert.That(workspace.Kbr("plan", "--target", Inside).Output, Does.Contain("checked again once its volume is mounted"));

            var hidden = workspace.Kbr("apply", "--auto-approve", "--target", Inside);

            Assert.That(hidden.ExitCode, Is.EqualTo(1), hidden.All);
            Assert.That(
                hidden.All,
                Does.Contain("it exists and was not created by kbr")
                    .And.Contain("mode is 0750 and not 0700")
                    .And.Contain("run kbr plan again")
            );
            Assert.That(Lab.OnHost(Host, "stat -c '%a %u' /opt/keybuzz/data/app").Trim(), Is.EqualTo("750 0"));
            Assert.That(workspace.Kbr("plan", "--target", Inside).Error, Does.Contain($"--adopt '{Inside}'"));
            workspace.Apply("--target", Inside, "--adopt", Inside);
            Assert.That(Lab.OnHost(Host, "stat -c '%a %u' /opt/keybuzz/data/app").Trim(), Is.EqualTo("700 999"));

            var released = workspace.Kbr("destroy", "--auto-approve", "--target", Inside);
            Assert.That(released.ExitCode, Is.Zero, released.All);
            Lab.OnHost(Host, "umount /opt/keybuzz/data");
            workspace.Apply("--target", Inside);
            Assert.That(
                workspace.Kbr("state", "show", Inside, "--json").Output,
                Does.Match("\"created\": ?false"),
                "as desired, and somebody else's all the same"
            );
        }
        finally
        {
            CleanUp(workspace);
        }
    }

    [Test]
    public void An_import_restores_lost_records_and_changes_nothing_else_on_the_host()
    {
        const string All = $"*@{Host}";
        using var workspace = new Workspace();
        try
        {
            workspace.Apply("--target", All);
            var before = Running();
            Lab.OnHost(Host, "rm -rf /var/lib/kbr");
            Directory.Delete(Path.Combine(workspace.Directory, "state"), recursive: true);
            Assert.That(workspace.Plan("--target", All), Has.Length.EqualTo(8).And.All.Match(" adopt found_as_wanted $"));

            var import = workspace.Kbr("import", "--auto-approve", All);

            Assert.Multiple(() =>
            {
                Assert.That(import.ExitCode, Is.Zero, import.All);
                Assert.That(import.Output, Does.Contain("8 recorded unchanged, 0 of them differ"));
                Assert.That(workspace.Plan("--target", All), Is.Empty);
                Assert.That(workspace.Drift("--target", All), Is.Empty);
                Assert.That(Running(), Is.EqualTo(before));
            });
        }
        finally
        {
            CleanUp(workspace);
        }
    }

    [Test]
    public void An_installation_by_hand_is_shown_imported_and_converged_without_touching_foreign_files()
    {
        const string All = $"*@{Host}";
        using var workspace = new Workspace();
        var image = System.Text.RegularExpressions.Regex.Match(workspace.Yaml, @"(?m)^    reference: (\S+)$").Groups[1].Value;
        try
        {
            // A single file bound, its keys in another order, other modes, a restart policy, a oneshot unit; and a container of somebody
            // else.
            Lab.OnHost(
                Host,
                $$"""
                mkdir -p -m 0750 /opt/keybuzz && mkdir -m 0700 /opt/keybuzz/app
                printf 'limit = 7\nworkers = 4\n' >/opt/keybuzz/app/app.conf
                docker run -d --name app --network host --restart unless-stopped -v /opt/keybuzz/app/app.conf:/etc/app/app.conf {{image}} sh -c "trap 'exit 0' TERM; while :; do sleep 1 & wait; done"
                docker run -d --name redis --network host --restart unless-stopped {{image}} sh -c "trap 'exit 0' TERM; while :; do sleep 1 & wait; done"
                printf '[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/usr/bin/docker start app\n[Install]\nWantedBy=multi-user.target\n' >/etc/systemd/system/kbr-app.service
                systemctl daemon-reload && systemctl enable --quiet --now kbr-app
                """
            );
            var before = Running();
            var refused = workspace.Kbr("apply", "--auto-approve", "--target", $"container.app@{Host}");
            Assert.Multiple(() =>
            {
                Assert.That(refused.ExitCode, Is.EqualTo(1));
                Assert.That(refused.Error, Does.Contain("exists and was not created by kbr").And.Contain("kbr import"));
            });

            var asked = workspace.Kbr("import", All);
            Assert.Multiple(() =>
            {
                Assert.That(asked.ExitCode, Is.EqualTo(1), "there is nobody to answer");
                Assert.That(
                    asked.Output,
                    Does.Contain($"= config_file.app@{Host}  adopted: exists and differs")
                        .And.Contain("+limit = 100")
                        .And.Contain("mode: 0700 → 0755")
                        .And.Contain("restart: unless-stopped → no")
                );
                Assert.That(Lab.OnHost(Host, "ls /var/lib/kbr 2>/dev/null || true"), Is.Empty);
            });

            var import = workspace.Kbr("import", "--auto-approve", All);
            Assert.Multiple(() =>
            {
                Assert.That(import.ExitCode, Is.Zero, import.All);
                Assert.That(Running(), Is.EqualTo(before), "only recorded");
                Assert.That(
                    workspace.Plan("--target", All),
                    Has.Some.StartsWith($"container.app@{Host} replace configuration_changed")
                        .And.Some.StartsWith($"config_file.app@{Host} update configuration_changed")
                );
                Assert.That(workspace.Drift("--target", All), Is.Empty);
            });

            workspace.Apply("--target", All);

            Assert.Multiple(() =>
            {
                Assert.That(workspace.Plan("--target", All), Is.Empty);
                Assert.That(Lab.OnHost(Host, "docker inspect -f '{{.HostConfig.RestartPolicy.Name}}' app").Trim(), Is.EqualTo("no"));
                Assert.That(Lab.OnHost(Host, "docker exec app cat /etc/app/app.conf"), Does.Contain("limit = 100"));
                Assert.That(
                    Running().Split('\n').Where(line => line.StartsWith("/redis", StringComparison.Ordinal)),
                    Is.EqualTo(before.Split('\n').Where(line => line.StartsWith("/redis", StringComparison.Ordinal)))
                );
            });
        }
        finally
        {
            CleanUp(workspace);
        }
    }

    [Test]
    public void Every_loaded_service_that_starts_the_container_is_found_wherever_its_command_stands()
    {
        string[] units =
        [
            "foreign-dropped.service",
            @"foreign-linked\x2dunit.service",
            "foreign-prefix-one.service",
            "foreign-template@one.service",
            "foreign-wrapped.service",
        ];
        using var workspace = new Workspace();
        try
        {
            workspace.Apply("--target", $"*@{Host}");
            Lab.OnHost(
                Host,
                """
                cd /etc/systemd/system
                start='[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/usr/bin/docker start app\n'
                printf "$start" >foreign-template@.service
                mkdir foreign-dropped.service.d foreign-prefix-.service.d /opt/foreign
                printf '[Service]\nExecStart=\n%b' "${start#'[Service]\n'}" | tee foreign-dropped.service.d/a.conf >foreign-prefix-.service.d/a.conf
                printf '[Service]\nExecStart=/bin/true\n' | tee foreign-dropped.service >foreign-prefix-one.service
                printf "$start" >'/opt/foreign/foreign-linked\x2dunit.service'
                printf '#!/bin/sh\nexec docker start -a app\n' >/opt/foreign/wrapped && chmod +x /opt/foreign/wrapped
                printf '[Service]\nExecStart=/opt/foreign/wrapped\n' >foreign-wrapped.service
                printf "$start" >foreign-not-loaded.service
                systemctl link -q '/opt/foreign/foreign-linked\x2dunit.service'
                systemctl daemon-reload
                systemctl start foreign-template@one foreign-dropped foreign-prefix-one 'foreign-linked\x2dunit.service' foreign-wrapped
                rm foreign-wrapped.service && systemctl daemon-reload
                """
            );

            var found = System.Text.RegularExpressions.Regex.Matches(
                workspace.Kbr("plan", "--target", $"container.app@{Host}").Output,
                @"its unit (foreign-\S+) is kept"
            );

            Assert.That(found.Select(match => match.Groups[1].Value), Is.EqualTo(units));
        }
        finally
        {
            Lab.OnHost(
                Host,
                "systemctl stop 'foreign-*'; rm -rf /etc/systemd/system/foreign-* /opt/foreign; systemctl daemon-reload; systemctl reset-failed"
            );
            CleanUp(workspace);
        }
    }

    private static string Running() =>
        Lab.OnHost(Host, "docker ps -q | xargs -r docker inspect -f '{{.Name}} {{.Id}} {{.State.StartedAt}}' | sort");

    // What was adopted is only released.
    private static void CleanUp(Workspace workspace)
    {
        workspace.Kbr("destroy", "--auto-approve", "--delete-data", "--confirm", "lab", "--target", $"*@{Host}");
        Lab.OnHost(
            Host,
            "systemctl disable --quiet --now kbr-app 2>/dev/null; rm -f /etc/systemd/system/kbr-app.service; "
                + "systemctl daemon-reload; docker ps -aq | xargs -r docker rm -f >/dev/null; rm -rf /opt/keybuzz/app"
        );
        Lab.Command("reset", Host);
    }
}
