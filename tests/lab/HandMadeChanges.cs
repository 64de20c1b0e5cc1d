namespace KeyBuzz.Reconciler.LabTests;

/// <summary>One thing changed by hand on a host, and what the plan has to say of it and of nothing else: "address action cause
/// attribute".</summary>
internal sealed record HandMadeChange(string Host, string Command, params string[] Expected);

/// <summary>The resources of every-attribute.yaml changed by hand, one attribute at a time, until all have been.</summary>
/// <remarks> Several changes are made between two plans, never two of one resource: what the plan shows can still be told apart. A few
/// cannot be changed without another one: <see cref="NotByThemselves"/>. What a schema has beyond the attributes compared here says where a
/// thing is, or how it is changed (path, device, container_name, unit, validate, reload, archive, ports, supervised_by …); on a host there
/// is nothing of it that could differ.
/// </remarks>
internal static class HandMadeChanges
{
    private const string Db1 = "db-master-01";
    private const string Db2 = "db-slave-01";
    private const string Db3 = "db-slave-02";
    private const string Lb1 = "haproxy-01";
    private const string Lb2 = "haproxy-02";

    public static readonly HandMadeChange[][] Rounds =
    [
        [
            App(Db1, "command", """.Cmd[-1] |= . + " # by hand" """),
            App(Db2, "entrypoint", """.Entrypoint = ["/bin/env"]"""),
            App(Db3, "environment", """.Env |= map(if startswith("APP_HOST=") then "APP_HOST=other" else . end)"""),
            App(Lb1, "mounts", """.HostConfig.Mounts += [{ Type: "bind", Source: "/tmp", Target: "/other" }]"""),
            App(Lb2, "network", """.HostConfig.NetworkMode = "none" """),
            Update(Db1, "directory.app-data", "mode", "chmod 0755 /opt/keybuzz/data/app"),
            Update(Db2, "directory.app-data", "owner", "chown 997 /opt/keybuzz/data/app"),
            Update(Db3, "directory.app-data", "group", "chgrp 997 /opt/keybuzz/data/app"),
            Update(Lb1, "volume.data", "mount_options", "mount -o remount,dev /opt/keybuzz/data"),
            Update(Lb2, "volume.data", "label", "xfs_io -x -c 'label -s by-hand' /opt/keybuzz/data"),
            Update(Db1, "systemd_unit.kbr-app", "mode", "chmod 0600 /etc/systemd/system/kbr-app.service"),
            Update(Db2, "systemd_unit.kbr-app", "owner", "chown 998 /etc/systemd/system/kbr-app.service"),
        ],
        [
            App(Db1, "user", """.User = "999" """),
            App(Db2, "hostname", """.Hostname = "by-hand" """),
            App(Db3, "shm_size", ".HostConfig.ShmSize = 16777216"),
            App(Lb1, "stop_timeout", ".StopTimeout = 5"),
            App(Lb2, "labels", """.Labels.team = "other" """),
            Update(Db1, "volume.data", "fstab", "sed -i '/keybuzz/d' /etc/fstab"),
            Update(Db2, "config_file.app", "mode", "chmod 0600 /opt/keybuzz/app/app.conf"),
            Update(Db3, "config_file.app", "owner", "chown 998 /opt/keybuzz/app/app.conf"),
            Update(Lb1, "config_file.app", "group", "chgrp 998 /opt/keybuzz/app/app.conf"),
            Update(Db1, "container.side", "running", "docker stop -t 1 side"),
            Update(Db2, "container.side", "restart", "docker update --restart no side"),
            Created(Db3, "container.side", "docker rm -f side"),
            Created(Lb1, "directory.spare", "rmdir /opt/keybuzz/spare"),
            Created(Lb2, "image.archive", "docker rmi kbr-archive/tiny:1"),
        ],
        [
            App(Db1, "ulimits", ".HostConfig.Ulimits[0].Soft = 256"),
            App(Db2, "cap_add", """.HostConfig.CapAdd += ["NET_ADMIN"]"""),
            App(Db3, "log_driver", """.HostConfig.LogConfig.Type = "json-file" """),
            App(Lb1, "log_options", """.HostConfig.LogConfig.Config["max-size"] = "1m" """),
            App(Lb2, "read_only", ".HostConfig.ReadonlyRootfs = false"),
            Update(Db1, "systemd_unit.kbr-app", "enabled", "systemctl disable -q kbr-app.service"),
            Update(Lb1, "image.archive", "label.kbr.test", Retag),
            Update(Lb2, "image.archive", "image_id", Retag),
        ],
        [
            App(Db1, "tmpfs", """.HostConfig.Tmpfs = { "/other": "" }"""),
            App(Db2, "image", """.Image = "kbr-archive/tiny:1" """),
            App(Db3, "environment", """.Env += ["EXTRA=1"]"""),
            Update(
                Db1,
                "image.tiny",
                "tag",
                "docker tag kbr-archive/tiny:1 $(docker images --filter reference='*/kbr/tiny' --format '{{.Repository}}:{{.Tag}}')"
            ),
            Update(Lb1, "container.app", "leftover", "docker create --name app.kbr-old kbr-archive/tiny:1"),
            Update(Lb2, "container.app", "restart", "docker update --restart always app"),
            Update(Lb1, "config_file.app", "content", "echo by-hand >> /opt/keybuzz/app/app.conf"),
            Update(Lb2, "config_file.app", "loaded", "touch /opt/keybuzz/app/app.conf; rm -r /run/kbr/loaded"),
        ],
        [
            new(
                Db1,
                "systemctl stop kbr-app.service; docker rm -f app",
                $"container.app@{Db1} create drift",
                $"systemd_unit.kbr-app@{Db1} update drift active"
            ),
            Update(Db2, "systemd_unit.kbr-app", "content", "echo '# by hand' >> /etc/systemd/system/kbr-app.service"),
            Update(Db2, "container.app", "foreign_units", ForeignUnit),
            Update(Db3, "systemd_unit.kbr-app", "loaded", "touch /etc/systemd/system/kbr-app.service"),
            Update(Lb1, "systemd_unit.kbr-app", "active", "systemctl stop kbr-app.service"),
            Created(Lb2, "systemd_unit.kbr-app", "rm /etc/systemd/system/kbr-app.service"),
            Created(Lb2, "config_file.app", "rm /opt/keybuzz/app/app.conf"),
        ],
        [
            App(Db1, "cap_drop", ".HostConfig.CapDrop = null"),
            App(Db2, "security_opt", """.HostConfig.SecurityOpt = ["seccomp=unconfined"]"""),
            // One that is listed beside it is none of it.
            Update(
                Db3,
                "systemd_unit.kbr-app",
                "drop_ins",
                "d=/etc/systemd/system/kbr-app.service.d; mkdir $d; printf '[Service]\\nEnvironment=A=1\\n' | tee "
                    + "$d/x.conf >$d/allowed.conf; systemctl daemon-reload; systemctl restart kbr-app"
            ),
            Update(
                Lb1,
                "systemd_unit.kbr-app",
                "fragment",
                "mkdir -p /etc/systemd/system.control; cp /etc/systemd/system/kbr-app.service "
                    + "/etc/systemd/system.control/; systemctl daemon-reload; systemctl restart kbr-app"
            ),
            new(
                Lb2,
                "ln -sf /dev/null /etc/systemd/system/kbr-app.service; systemctl daemon-reload",
                $"systemd_unit.kbr-app@{Lb2} update drift enabled,fragment"
            ),
        ],
    ];

    /// <summary>Attributes that are compared and have no row above, each with the reason.</summary>
    public static readonly IReadOnlyDictionary<string, string> NotByThemselves = new Dictionary<string, string>
    {
        ["container.privileged"] =
            "the lab's hosts cannot start a privileged container: ContainerTests.One_field_that_changed_is_one_difference",
        ["directory.path"] = "another path is another directory: what is left is a directory that is gone, or something else at its place",
        ["image.digest"] = "an image is looked up by its digest: another one is an image that is gone",
        ["volume.file_system"] =
            "another file system on the device is refused, never mended: A_device_formatted_by_hand_is_refused_and_named",
        ["volume.mounted"] =
            "only with what uses it stopped: A_stopped_unit_and_its_unmounted_volume_are_two_changes_and_no_directory_is_created",
    };

    private const string ForeignUnit =
        "printf '[Service]\\nType=oneshot\\nRemainAfterExit=yes\\nExecStart=/usr/bin/docker start "
        + "app\\n[Install]\\nWantedBy=multi-user.target\\n' >/etc/systemd/system/app-docker.service; "
        + "systemctl daemon-reload; systemctl enable -q app-docker.service";

    private const string Retag = "docker tag $(docker images -q --filter label=kbr.test=2) kbr-archive/tiny:1";

    private static HandMadeChange Update(string host, string resource, string attribute, string command) =>
        new(host, command, $"{resource}@{host} update drift {attribute}");

    // A create lists all attributes, so none is named.
    private static HandMadeChange Created(string host, string resource, string command) =>
        new(host, command, $"{resource}@{host} create drift");

    // The container made anew from Docker's own description of it, edited.
    private static HandMadeChange App(string host, string attribute, string edit) =>
        new(
            host,
            $$"""
            docker inspect app | jq '.[0] | .Config + { HostConfig: .HostConfig } | {{edit}}' >/tmp/app.json
            systemctl stop kbr-app.service
            docker rm -f app >/dev/null
            curl -sS -f --unix-socket /run/docker.sock -H 'Content-Type: application/json' -d @/tmp/app.json 'http://localhost/containers/create?name=app' >/dev/null
            rm /tmp/app.json
            systemctl start kbr-app.service
            """,
            $"container.app@{host} replace drift {attribute}"
        );
}
