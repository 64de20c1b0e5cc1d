using System.Collections.Immutable;
using System.Globalization;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa.Backups;
using KeyBuzz.Reconciler.PostgresHa.Restore;
using KeyBuzz.Reconciler.PostgresHa.Sections;
using KeyBuzz.Reconciler.Providers.Backup;
using KeyBuzz.Reconciler.Providers.ConfigFile;
using KeyBuzz.Reconciler.Providers.ConsensusStore;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Providers.PatroniConfig;
using KeyBuzz.Reconciler.Providers.SystemdUnit;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.PostgresHa;

/// <summary>The resources of each host: volume, directories, files, images, containers and units.</summary>
internal sealed class HostResources(
    PostgresTopology topology,
    ImmutableArray<Host> others,
    RoleVerifier verifier,
    ResourceFactory factory,
    SectionReader section
)
{
    // HAProxy waits for its sessions to end, and those of PgBouncer's pools never do; PgBouncer waits for transactions, which do.
    private static readonly TimeSpan s_haproxyStopTimeout = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan s_pgbouncerStopTimeout = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan s_keepalivedStopTimeout = TimeSpan.FromSeconds(10);

    private const long LeastFiles = 4096;

    // Without one but for keepalived: each starts as the user that it runs as, and listens above port 1023.
    private static readonly IReadOnlyList<string> s_droppedCapabilities = ResourceFactory.List("ALL");
    private static readonly IReadOnlyList<string> s_securityOptions = ResourceFactory.List("no-new-privileges");

    /// <summary>The containers of this section, each with a unit of its name.</summary>
    public static ImmutableArray<string> Containers { get; } =
    [
        PostgresTopology.PatroniContainer,
        PostgresTopology.HaproxyContainer,
        PostgresTopology.PgBouncerContainer,
        PostgresTopology.KeepalivedContainer,
    ];

    /// <summary>The unit of a container, with those of the drop-ins that are its own.</summary>
    public static UnitDefinition UnitOf(string container, ImmutableArray<string> dropIns)
    {
        var unit = new UnitDefinition(Unit(container), []);
        return unit with { AllowedDropIns = [.. dropIns.Where(unit.CanHave)] };
    }

    /// <summary>The service of a former member. It is stopped and removed from the consensus store before the others and the proxies
    /// change.</summary>
    public static ImmutableArray<Address> FormerMembers(ImmutableArray<Host> others) =>
        ContainersOn(others, PostgresTopology.PatroniContainer);

    /// <summary>A container on hosts that may have been members.</summary>
    public static ImmutableArray<Address> ContainersOn(ImmutableArray<Host> others, string container) =>
        [.. others.Select(host => new Address("container", container, host.Name))];

    public IEnumerable<Resource> OfMember(Host member)
    {
        var directories = topology.Directories;
        var at = section.Place("members");
        var owner = Text(topology.Uid);
        var group = Text(topology.Gid);
        var volume = topology.Volume;
        ImmutableArray<string> besideData = [.. topology.Store.Directories.Select(directory => directory.Path), directories.Archive];
        ImmutableArray<string> ofService = [.. (topology.Store.Service?.Directories ?? []).Select(directory => directory.Path)];
        yield return Base(member);
        yield return factory.Make(
            "volume",
            "postgres",
            member.Name,
            section.Place("volume"),
            ("device", volume.Devices[member.Name]),
            ("mount_point", volume.MountPoint),
            ("mount_options", volume.MountOptions)
        ) with
        {
            PreventDestroy = volume.PreventDestroy,
        };
        // Not inside of a data directory that is at the root of the volume: it is set aside first.
        ImmutableArray<Address> data = [new Address("directory", "postgres-data", member.Name)];
        if (volume.BallastPath is { } ballast)
        {
            yield return factory.Make(
                "ballast",
                "postgres",
                member.Name,
                section.Place("volume"),
                ("path", ballast),
                ("size", volume.Ballast!.Value)
            ) with
            {
                After = data,
            };
        }

        foreach (var directory in topology.Store.Directories)
        {
            yield return Data(directory.Name, directory.Path, directory.Mode) with
            {
                After = data,
            };
        }

        if (topology.Store.Service is { } service)
        {
            foreach (var one in OfStore(member, service, data))
            {
                yield return one;
            }
        }

        yield return Data("postgres-archive", directories.Archive, "0750") with
        {
            After = data,
        };
        yield return factory.Make(
            "directory",
            "patroni",
            member.Name,
            at,
            ("path", directories.Configuration),
            ("owner", owner),
            ("group", group),
            ("mode", "0700")
        );

        var image = factory.Make("image", "patroni", member.Name, section.Place("image"), topology.Image.Attributes);
        yield return image;
        ImmutableArray<Resource> tls =
        [
            .. TlsFiles(
                member,
                PostgresTopology.PatroniContainer,
                at,
                directories.Configuration,
                owner,
                group,
                TlsSteps.ReloadPostgres(directories.DataDirectory),
                topology.Ports.Postgres,
                reloadsAuthority: false,
                "localhost",
                "127.0.0.1"
            ),
        ];
        foreach (var one in tls)
        {
            yield return one;
        }

        var (text, tag) = PatroniFile.Render(topology, verifier, member);
        var file = factory.Make(
            "config_file",
            topology.PatroniFileName[..^PatroniFile.Ending.Length],
            member.Name,
            at,
            ("path", $"{directories.Configuration}/{topology.PatroniFileName}"),
            ("content", text),
            ("owner", owner),
            ("group", group),
            ("mode", "0600"),
            ("validate", TlsSteps.Check(topology, topology.PatroniFileName, PatroniFile.TlsOn) + CheckImage()),
            ("reload", IfUsed(PatroniReload.Command)),
            ("loaded_by", $"container:{PostgresTopology.PatroniContainer}"),
            ("reload_confirm", IfUsed(PatroniReload.Confirm($"{PatroniFile.Directory}/{topology.PatroniFileName}", tag))),
            ("confirm_timeout", PatroniReload.Timeout(topology))
        ) with
        {
            Requires = [image.Address, .. tls.Select(one => one.Address)],
            AfterRemovalOf = FormerMembers(others),
        };
        yield return file;
        ImmutableArray<Resource> ofStore =
        [
            .. topology.Store.Files.Select(one =>
                factory.Make(
                    "config_file",
                    one.Name,
                    member.Name,
                    at,
                    ("path", $"{directories.Configuration}/{one.FileName}"),
                    ("content", one.Content),
                    ("owner", owner),
                    ("group", group),
                    ("mode", "0600")
                )
            ),
        ];
        foreach (var one in ofStore)
        {
            yield return one;
        }

        foreach (var one in BackupFiles(member, image))
        {
            yield return one;
        }

        var unit = Unit(PostgresTopology.PatroniContainer);
        // An installation by hand often has its data at the root of the mounted directory, where Patroni cannot rename it: the member
        // copies it again from the leader in its turn, which begins once its dependencies exist.
        yield return Data(
            "postgres-data",
            directories.Data,
            "0700",
            ("set_aside_with", "PG_VERSION"),
            ("set_aside_root", volume.MountPoint),
            ("set_aside_keeps", ResourceFactory.List(besideData.Concat(ofService).Select(path => path[(path.LastIndexOf('/') + 1)..]))),
            ("used_by", PostgresTopology.PatroniContainer),
            ("supervised_by", unit),
            ("before_data_is_deleted", topology.Backup is null ? null : RestoreScripts.Forget(topology.Scope))
        ) with
        {
            Group = topology.Scope,
            After = [image.Address, file.Address, .. ofStore.Select(one => one.Address)],
        };
        var container = factory.Make(
            "container",
            PostgresTopology.PatroniContainer,
            member.Name,
            at,
            ("image", topology.Image.Reference),
            ("validate", CheckMounts() + CheckImage()),
            ("command", ResourceFactory.List("patroni", $"{PatroniFile.Directory}/{topology.PatroniFileName}")),
            ("environment", topology.Store.Environment.IsEmpty ? null : ResourceFactory.Map(topology.Store.Environment)),
            ("user", $"{owner}:{group}"),
            (
                "mounts",
                ResourceFactory.List([
                    $"{directories.Configuration}:{PatroniFile.Directory}:ro",
                    Same(directories.Data),
                    .. besideData.Select(Same),
                    .. (topology.Backup?.Mounts ?? []).Select(Same),
                ])
            ),
            ("shm_size", topology.SharedMemory),
            ("stop_timeout", (long)topology.StopTimeout.TotalSeconds),
            ("supervised_by", unit),
            ("ports", Ports([topology.Ports.Postgres, topology.Ports.Rest, .. topology.Store.Service is null ? StorePorts : []])),
            ("log_options", LogRotation()),
            // Patroni reads these only when it starts, so another value has to be another container.
            ("read_only", topology.ReadOnly),
            // Where the image has them, so that they are as writable as they are there without a read-only root.
            (
                "tmpfs",
                ResourceFactory.List(
                    "/tmp:mode=1777,size=256m",
                    $"{PostgresTopology.PostgresSocketDirectory}:uid={owner},gid={group},mode=0775"
                )
            ),
            ("cap_drop", s_droppedCapabilities),
            ("security_opt", s_securityOptions),
            (
                "labels",
                ResourceFactory.Map([
                    (
                        "kbr.start-settings",
                        verifier.Fingerprint([
                            // Patroni's default namespace is omitted, so containers from before this setting have the same settings.
                            .. topology.Namespace == ClusterIdentity.DefaultNamespace ? [] : new[] { topology.Namespace },
                            topology.Scope,
                            member.Name,
                            .. topology.Store.StartSettings(member, directories.DataDirectory),
                        ])
                    ),
                    .. topology.Store.Labels(settings => verifier.Fingerprint(settings.AsSpan())),
                ])
            )
        ) with
        {
            // The store's service is removed only after the container that used it.
            Requires =
            [
                file.Address,
                .. ofStore.Select(one => one.Address),
                .. topology.Store.Service is { } used ? new[] { new Address("systemd_unit", used.Name, member.Name) } : [],
            ],
            After = topology.Store.Service is { } before ? [GroupPolicy.AddressOf(before.Group)] : [],
            Group = topology.Scope,
        };
        yield return container;
        yield return factory.Make(
            "systemd_unit",
            PostgresTopology.PatroniContainer,
            member.Name,
            at,
            ("container", PostgresTopology.PatroniContainer),
            ("drop_ins", DropIns(PostgresTopology.PatroniContainer)),
            (
                "content",
                SecretText.Plain(
                    ContainerUnit.Render(
                        $"PostgreSQL and Patroni of {topology.Scope}",
                        PostgresTopology.PatroniContainer,
                        topology.StopTimeout,
                        volume.MountPoint
                    )
                )
            )
        ) with
        {
            Group = topology.Scope,
        };

        // Protection of the volume covers the resources on it, which the volume itself does not require.
        Resource Data(string name, string path, string mode, params ReadOnlySpan<(string, object?)> attributes) =>
            factory.Make(
                "directory",
                name,
                member.Name,
                section.Place(volume.PreventDestroy ? "volume" : "directories"),
                [("path", path), ("owner", owner), ("group", group), ("mode", mode), ("data", true), .. attributes]
            ) with
            {
                PreventDestroy = volume.PreventDestroy,
            };
    }

    private IEnumerable<int> StorePorts => topology.Store.Ports.Select(port => port.Number);

    // The store's service, which is a group of its own on the members.
    private IEnumerable<Resource> OfStore(Host member, StoreService service, ImmutableArray<Address> data)
    {
        var (at, volume) = (service.At, topology.Volume);
        var (owner, group) = (Text(service.Uid), Text(service.Gid));
        var folder = $"{topology.BaseDirectory}/{service.Name}";
        foreach (var directory in service.Directories)
        {
            yield return factory.Make(
                "directory",
                directory.Name,
                member.Name,
                section.Place(volume.PreventDestroy ? "volume" : "directories"),
                ("path", directory.Path),
                ("owner", owner),
                ("group", group),
                ("mode", directory.Mode),
                ("data", true)
            ) with
            {
                After = data,
                PreventDestroy = volume.PreventDestroy,
            };
        }

        yield return factory.Make(
            "directory",
            service.Name,
            member.Name,
            at,
            ("path", folder),
            ("owner", owner),
            ("group", group),
            ("mode", "0700")
        );
        var image = factory.Make("image", service.Name, member.Name, at, service.Image.Attributes.AsSpan());
        yield return image;
        List<Address> files = [];
        foreach (var file in service.Files(member))
        {
            var resource = factory.Make(
                "config_file",
                file.Name,
                member.Name,
                at,
                ("path", $"{folder}/{file.FileName}"),
                ("content", file.Content),
                ("owner", owner),
                ("group", group),
                ("mode", "0600")
            );
            files.Add(resource.Address);
            yield return resource;
        }

        var unit = Unit(service.Name);
        yield return factory.Make(
            "container",
            service.Name,
            member.Name,
            at,
            ("image", service.Image.Reference),
            ("command", ResourceFactory.List(service.Command)),
            ("environment", ResourceFactory.Map(service.Environment(member))),
            ("user", $"{owner}:{group}"),
            (
                "mounts",
                ResourceFactory.List([
                    $"{folder}:{service.FilesDirectory}:ro",
                    .. service.Directories.Select(directory => Same(directory.Path)),
                ])
            ),
            ("stop_timeout", (long)service.StopTimeout.TotalSeconds),
            ("supervised_by", unit),
            ("ports", Ports(StorePorts)),
            ("log_options", LogRotation()),
            ("read_only", true),
            ("cap_drop", s_droppedCapabilities),
            ("security_opt", s_securityOptions),
            ("labels", ResourceFactory.Map((StoreService.FixedLabel, FixedMark(service, verifier))))
        ) with
        {
            Requires = [.. files],
            Group = service.Group,
        };
        yield return factory.Make(
            "systemd_unit",
            service.Name,
            member.Name,
            at,
            ("container", service.Name),
            (
                "content",
                SecretText.Plain(
                    ContainerUnit.Render(
                        $"{topology.Store.Kind.Name} of {topology.Scope}",
                        service.Name,
                        service.StopTimeout,
                        volume.MountPoint
                    )
                )
            )
        ) with
        {
            Group = service.Group,
        };
    }

    /// <summary>The fingerprint of what a store's service cannot change.</summary>
    public static string FixedMark(StoreService service, RoleVerifier verifier) =>
        verifier.Fingerprint(["store.settings", .. service.Fixed]);

    // In Patroni's directory, which the container has mounted: backups are turned on without another container.
    private IEnumerable<Resource> BackupFiles(Host member, Resource image)
    {
        if (topology.Backup is not { } backup)
        {
            yield break;
        }

        List<Resource> named =
        [
            .. topology.BackupFiles.Select(one => File(System.IO.Path.GetFileNameWithoutExtension(one.Key), one.Key, one.Value, null)),
        ];
        foreach (var file in named)
        {
            yield return file;
        }

        yield return File(
            BackupSection.FileResource,
            BackupSection.Tool.FileName,
            BackupSection.Tool.Configuration(backup, PatroniFile.Directory),
            "docker run --rm --pull never --network none "
                + $"{Confined} --entrypoint sh {topology.Image.Reference} -c {Script.Quote(BackupSection.Tool.Present)}"
        ) with
        {
            Requires = [image.Address, .. named.Select(file => file.Address)],
        };
        if (backup.ReplicasFromRepository)
        {
            yield return File(
                "replica-program",
                BackupSection.Tool.ReplicaProgramName,
                SecretText.Plain(BackupSection.Tool.ReplicaProgram(BackupLook.LocationOf(topology), backup.Repositories.Length)),
                null
            );
        }

        if (backup.Schedule is { } schedule)
        {
            var program = File(
                "backup-program",
                BackupSection.Tool.ProgramName,
                SecretText.Plain(
                    BackupSection.Tool.Program(
                        BackupLook.LocationOf(topology),
                        backup.Repositories.Length,
                        $"http://{member.Address}:{Text(topology.Ports.Rest)}/primary",
                        schedule.Patience,
                        backup.IsIdle
                    )
                ),
                null
            );
            yield return program;
            foreach (var (kind, times) in schedule.Times)
            {
                yield return factory.Make(
                    "systemd_timer",
                    BackupSection.Unit(kind),
                    member.Name,
                    section.Place("backup"),
                    ("schedule", ResourceFactory.List(times)),
                    ("service", SecretText.Plain(BackupSection.Service(topology.Scope, kind, schedule.Patience)))
                ) with
                {
                    Requires = [program.Address],
                };
            }

            foreach (var one in Proof(backup))
            {
                yield return one;
            }

            var ledger = File(LedgerFiles.Unit, LedgerFiles.FileName, SecretText.Plain(LedgerFiles.Sql), null);
            yield return ledger;
            yield return factory.Make(
                "systemd_timer",
                LedgerFiles.Unit,
                member.Name,
                section.Place("backup"),
                ("schedule", ResourceFactory.List("minutely")),
                ("service", SecretText.Plain(LedgerFiles.Service(topology)))
            ) with
            {
                Requires = [ledger.Address],
            };
        }

        TimeSpan ArchiveTimeout() =>
            topology.Settings.GetValueOrDefault("postgresql.parameters.archive_timeout") is { } text
            && ParameterValue.Number(text, "s") is { } seconds
                ? TimeSpan.FromSeconds(Math.Max(0, seconds))
                : TimeSpan.Zero;

        IEnumerable<Resource> Proof(BackupSettings backup)
        {
            if (backup.Proof is not { } proof)
            {
                yield break;
            }

            var helper = File(
                "proof-helper",
                BackupSection.Tool.ProofProgramName,
                SecretText.Plain(
                    BackupSection.Tool.ProofProgram(
                        BackupLook.LocationOf(topology),
                        backup.Repositories.Length,
                        topology.Directories.DataDirectory,
                        $"http://{member.Address}:{Text(topology.Ports.Rest)}/cluster",
                        proof.Member,
                        ArchiveTimeout()
                    )
                ),
                null
            );
            var program = File("proof-program", ProofProgram.FileName, SecretText.Plain(ProofProgram.Render(topology, member)), null);
            yield return helper;
            yield return program;
            yield return factory.Make(
                "systemd_timer",
                ProofProgram.Unit,
                member.Name,
                section.Place("backup"),
                ("schedule", ResourceFactory.List(proof.Times)),
                ("service", SecretText.Plain(ProofProgram.Service(topology)))
            ) with
            {
                Requires = [helper.Address, program.Address],
            };
        }

        Resource File(string name, string fileName, SecretText content, string? validate) =>
            factory.Make(
                "config_file",
                name,
                member.Name,
                section.Place("backup"),
                ("path", $"{topology.Directories.Configuration}/{fileName}"),
                ("content", content),
                ("owner", Text(topology.Uid)),
                ("group", Text(topology.Gid)),
                ("mode", "0600"),
                ("validate", validate)
            );
    }

    public IEnumerable<Resource> OfProxy(Host proxy)
    {
        yield return Base(proxy);
        var keepalived = topology.VirtualAddress is { } held ? Keepalived(proxy, held) : [];
        foreach (var resource in Haproxy(proxy).Concat(PgBouncer(proxy)).Concat(keepalived))
        {
            // After a failed roll-out of the members a proxy keeps its files, with which applications still reach the primary. Starting it
            // depends on no other host.
            yield return resource.Address.Type == "config_file" ? resource with { After = [.. resource.After, .. Members] } : resource;
        }
    }

    private IEnumerable<Address> Members =>
        [
            .. topology.Members.Select(member => new Address("container", PostgresTopology.PatroniContainer, member.Name)),
            .. topology.Members.Select(member => new Address("systemd_unit", PostgresTopology.PatroniContainer, member.Name)),
        ];

    private IEnumerable<Resource> Haproxy(Host proxy)
    {
        var settings = topology.Haproxy;
        var at = section.Place("haproxy");
        var directory = topology.BaseDirectory + "/haproxy";
        yield return factory.Make("directory", "haproxy", proxy.Name, at, ("path", directory));
        var image = factory.Make("image", "haproxy", proxy.Name, at, settings.Image.Attributes);
        yield return image;
        var file = factory.Make(
            "config_file",
            "haproxy",
            proxy.Name,
            at,
            ("path", directory + "/haproxy.cfg"),
            ("content", HaproxyFile.Render(topology, proxy)),
            // With a password in it, it is HAProxy's alone.
            ("owner", settings.StatisticsLogin is null ? null : Text(settings.Uid)),
            ("group", settings.StatisticsLogin is null ? null : Text(settings.Gid)),
            ("mode", settings.StatisticsLogin is null ? null : "0600"),
            ("validate", HaproxyFile.Check(settings)),
            ("reload", IfManaged(PostgresTopology.HaproxyContainer, HaproxyFile.Reload(PostgresTopology.HaproxyContainer))),
            ("loaded_by", $"container:{PostgresTopology.HaproxyContainer}")
        ) with
        {
            Requires = [image.Address],
            After = SameOnProxyBefore(proxy, "haproxy"),
            AfterRemovalOf = FormerMembers(others),
        };
        yield return file;
        yield return factory.Make(
            "container",
            PostgresTopology.HaproxyContainer,
            proxy.Name,
            at,
            ("image", settings.Image.Reference),
            ("command", HaproxyFile.Command),
            ("user", $"{settings.Uid}:{settings.Gid}"),
            ("mounts", ResourceFactory.List($"{directory}:/usr/local/etc/haproxy:ro")),
            ("read_only", true),
            ("tmpfs", ResourceFactory.List($"{HaproxyFile.RunDirectory}:uid={settings.Uid},gid={settings.Gid},mode=0700")),
            ("cap_drop", s_droppedCapabilities),
            ("security_opt", s_securityOptions),
            ("ulimits", Files(settings.OpenFiles)),
            ("stop_timeout", (long)s_haproxyStopTimeout.TotalSeconds),
            ("supervised_by", Unit(PostgresTopology.HaproxyContainer)),
            (
                "ports",
                Ports([
                    settings.Port,
                    settings.PooledPort,
                    settings.StatsPort,
                    .. settings.ReadPort is { } reads ? [reads] : Array.Empty<int>(),
                ])
            ),
            ("log_options", LogRotation())
        ) with
        {
            Requires = [file.Address],
            Group = topology.ProxyGroup,
        };
        yield return Supervisor(proxy, PostgresTopology.HaproxyContainer, $"HAProxy of {topology.Scope}", s_haproxyStopTimeout, "haproxy");
    }

    private IEnumerable<Resource> PgBouncer(Host proxy)
    {
        var settings = topology.PgBouncer;
        var at = section.Place("pgbouncer");
        var directory = topology.BaseDirectory + "/pgbouncer";
        var owner = Text(settings.Uid);
        var group = Text(settings.Gid);
        yield return factory.Make(
            "directory",
            "pgbouncer",
            proxy.Name,
            at,
            ("path", directory),
            ("owner", owner),
            ("group", group),
            ("mode", "0700")
        );
        var image = factory.Make("image", "pgbouncer", proxy.Name, at, settings.Image.Attributes);
        yield return image;
        ImmutableArray<Resource> tls =
        [
            .. TlsFiles(
                proxy,
                PostgresTopology.PgBouncerContainer,
                at,
                directory,
                owner,
                group,
                PgBouncerFiles.Reload(PostgresTopology.PgBouncerContainer, settings),
                settings.Port,
                reloadsAuthority: true
            ),
        ];
        foreach (var one in tls)
        {
            yield return one;
        }

        var file = File(
            "pgbouncer",
            "pgbouncer.ini",
            SecretText.Plain(PgBouncerFiles.Render(topology, proxy)),
            ("validate", TlsSteps.Check(topology, "pgbouncer.ini", "client_tls_cert_file") + PgBouncerFiles.Check(settings))
        ) with
        {
            Requires = [image.Address, .. tls.Select(one => one.Address)],
        };
        // PostgreSQL has a new password first: the other way round PgBouncer could open no connection for those who are there already.
        var users = File(
            "pgbouncer-users",
            "userlist.txt",
            PgBouncerFiles.RenderUserList(topology, verifier),
            (
                "reload_confirm",
                IfManaged(PostgresTopology.PgBouncerContainer, PgBouncerFiles.Confirm(PostgresTopology.PgBouncerContainer, proxy, settings))
            ),
            ("confirm_input", PgBouncerFiles.Logins(topology))
        );
        users = users with
        {
            After =
            [
                .. users.After,
                .. topology.PooledUsers.Select(user => new Address("role", Address.NameOf(user.Name), topology.Scope)),
            ],
        };
        yield return file;
        yield return users;
        yield return factory.Make(
            "container",
            PostgresTopology.PgBouncerContainer,
            proxy.Name,
            at,
            ("image", settings.Image.Reference),
            ("command", ResourceFactory.List("pgbouncer", PgBouncerFiles.Path)),
            ("user", $"{owner}:{group}"),
            ("mounts", ResourceFactory.List($"{directory}:/etc/pgbouncer:ro")),
            ("read_only", true),
            ("tmpfs", ResourceFactory.List($"{PostgresTopology.PgBouncerSocketDirectory}:uid={settings.Uid},gid={settings.Gid},mode=0700")),
            ("cap_drop", s_droppedCapabilities),
            ("security_opt", s_securityOptions),
            ("ulimits", Files(settings.MaxClientConnections + (settings.MaxDatabaseConnections * topology.Databases.Length) + 200)),
            ("stop_timeout", (long)s_pgbouncerStopTimeout.TotalSeconds),
            ("supervised_by", Unit(PostgresTopology.PgBouncerContainer)),
            ("ports", Ports(settings.Port)),
            ("log_options", LogRotation()),
            // It binds its ports at its start.
            (
                "labels",
                ResourceFactory.Map(
                    (
                        "kbr.start-settings",
                        verifier.Fingerprint([
                            ConfigText.Endpoint(proxy.Address, settings.Port),
                            .. settings
                                .Settings.Where(pair => PgBouncerNames.NeedRestart.Contains(pair.Key))
                                .Select(pair => $"{pair.Key}={pair.Value}"),
                        ])
                    )
                )
            )
        ) with
        {
            Requires = [file.Address, users.Address],
            Group = topology.ProxyGroup,
        };
        yield return Supervisor(
            proxy,
            PostgresTopology.PgBouncerContainer,
            $"PgBouncer of {topology.Scope}",
            s_pgbouncerStopTimeout,
            "pgbouncer"
        );

        Resource File(string name, string fileName, SecretText content, params ReadOnlySpan<(string, object?)> attributes) =>
            factory.Make(
                "config_file",
                name,
                proxy.Name,
                at,
                [
                    ("path", $"{directory}/{fileName}"),
                    ("content", content),
                    ("owner", owner),
                    ("group", group),
                    ("mode", "0600"),
                    (
                        "reload",
                        IfManaged(PostgresTopology.PgBouncerContainer, PgBouncerFiles.Reload(PostgresTopology.PgBouncerContainer, settings))
                    ),
                    ("loaded_by", $"container:{PostgresTopology.PgBouncerContainer}"),
                    .. attributes,
                ]
            ) with
            {
                After = SameOnProxyBefore(proxy, name),
            };
    }

    // It runs as root with three capabilities: to set an address and to send VRRP no user can be given less.
    private IEnumerable<Resource> Keepalived(Host proxy, VirtualAddress held)
    {
        const string name = PostgresTopology.KeepalivedContainer;
        var at = section.Place(PostgresSection.VirtualKey);
        var directory = $"{topology.BaseDirectory}/{name}";
        yield return factory.Make("directory", name, proxy.Name, at, ("path", directory));
        var image = factory.Make("image", name, proxy.Name, at, held.Image.Attributes);
        yield return image;
        var check = factory.Make(
            "config_file",
            name + "-check",
            proxy.Name,
            at,
            ("path", $"{directory}/{KeepalivedFiles.CheckName}"),
            ("content", SecretText.Plain(KeepalivedFiles.CheckScript(topology))),
            ("mode", "0755")
        ) with
        {
            // It asks a port of HAProxy's, and keepalived runs it every second.
            After = [new Address("config_file", "haproxy", proxy.Name), .. SameOnProxyBefore(proxy, name + "-check")],
        };
        yield return check;
        var file = factory.Make(
            "config_file",
            name,
            proxy.Name,
            at,
            ("path", KeepalivedFiles.PathIn(directory)),
            ("content", SecretText.Plain(KeepalivedFiles.Render(topology, held, proxy))),
            ("validate", KeepalivedFiles.Check(held)),
            ("reload", IfManaged(name, KeepalivedFiles.Reload(name))),
            ("loaded_by", $"container:{name}")
        ) with
        {
            Requires = [image.Address, check.Address],
            // HAProxy listens on an address before it arrives.
            After = [new Address("config_file", "haproxy", proxy.Name), .. SameOnProxyBefore(proxy, name)],
            // A peer that is not heard any more must not announce the address any more either.
            AfterRemovalOf =
            [
                .. topology
                    .Members.Concat(others)
                    .Where(host => !topology.Proxies.Contains(host))
                    .Select(host => new Address("container", name, host.Name)),
            ],
        };
        yield return file;
        yield return factory.Make(
            "container",
            name,
            proxy.Name,
            at,
            ("image", held.Image.Reference),
            ("command", KeepalivedFiles.Command),
            ("mounts", ResourceFactory.List($"{directory}:{KeepalivedFiles.Directory}:ro")),
            ("read_only", true),
            ("tmpfs", ResourceFactory.List("/run:mode=0755", "/tmp:mode=1777")),
            ("cap_drop", s_droppedCapabilities),
            ("cap_add", KeepalivedFiles.Capabilities),
            ("security_opt", s_securityOptions),
            ("stop_timeout", (long)s_keepalivedStopTimeout.TotalSeconds),
            ("supervised_by", Unit(name)),
            ("log_options", LogRotation())
        ) with
        {
            Requires = [file.Address],
            // The others hear it from its first announcement on.
            After = [.. topology.Proxies.Where(other => other != proxy).Select(other => new Address("config_file", name, other.Name))],
            Group = topology.ProxyGroup,
        };
        yield return Supervisor(
            proxy,
            name,
            $"keepalived of {topology.Scope}",
            s_keepalivedStopTimeout,
            PostgresSection.VirtualKey,
            KeepalivedFiles.Release(held)
        );
    }

    // Beside the configuration of the service, which its container has mounted: TLS is turned on without another container.
    private IEnumerable<Resource> TlsFiles(
        Host host,
        string container,
        SourceLocation at,
        string directory,
        string owner,
        string group,
        string reload,
        int port,
        bool reloadsAuthority,
        params string[] loopback
    )
    {
        if (topology.Tls is not { } tls)
        {
            yield break;
        }

        yield return factory.Make(
            TlsSettings.ResourceType,
            container,
            host.Name,
            at,
            ("path", $"{directory}/{TlsSettings.FileName}"),
            ("authority", tls.Authority),
            ("subject", host.Name),
            ("names", ResourceFactory.List(TlsSettings.NamesOf(topology, host).AddRange(loopback))),
            ("validity", (long)tls.Validity.TotalSeconds),
            ("renew_before", (long)tls.RenewBefore.TotalSeconds),
            ("owner", owner),
            ("group", group),
            ("reload", IfManaged(container, reload)),
            ("loaded_by", $"container:{container}"),
            ("address", host.Address),
            ("port", (long)port)
        );
        yield return factory.Make(
            "config_file",
            container + "-authority",
            host.Name,
            at,
            ("path", $"{directory}/{TlsSettings.AuthorityFileName}"),
            ("content", SecretText.Plain(tls.AuthorityCertificate)),
            ("owner", owner),
            ("group", group),
            ("mode", "0644"),
            ("reload", reloadsAuthority ? IfManaged(container, reload) : null),
            ("loaded_by", reloadsAuthority ? $"container:{container}" : null)
        );
    }

    private Resource Base(Host host) =>
        factory.Make("directory", "base", host.Name, section.Place("directory"), ("path", topology.BaseDirectory));

    private Resource Supervisor(
        Host host,
        string container,
        string description,
        TimeSpan stopTimeout,
        string key,
        string? afterStop = null
    ) =>
        factory.Make(
            "systemd_unit",
            container,
            host.Name,
            section.Place(key),
            ("container", container),
            ("drop_ins", DropIns(container)),
            ("content", SecretText.Plain(ContainerUnit.Render(description, container, stopTimeout, mountPoint: null, afterStop)))
        ) with
        {
            Group = topology.ProxyGroup,
        };

    // A file that one proxy cannot be reloaded with does not reach the next.
    private ImmutableArray<Address> SameOnProxyBefore(Host proxy, string name) =>
        topology.Proxies.IndexOf(proxy) is var at and > 0 ? [new Address("config_file", name, topology.Proxies[at - 1].Name)] : [];

    // The container would not start without it, and before another one is stopped for it is the time to say so. A directory without its
    // mount is one of the system's own disk, which nobody shares.
    private string CheckMounts() =>
        string.Concat(
            (topology.Backup?.Mounts ?? []).Select(path =>
                $"timeout -k 1 10 test -d {path} || {{ echo '{path} is not there: mount the file system of the backups on this member' >&2; "
                + "exit 1; }; "
                + $"[ -n \"$(ls {RepositoryDirectory.MarkIn(path)} {RepositoryDirectory.MarkIn(path + "/*")} 2>/dev/null)\" ] || "
                + $"[ \"$(timeout -k 1 10 stat -c %d {path})\" != \"$(stat -c %d /)\" ] || {{ echo '{path} is on the disk of the system: "
                + "mount the file system of the backups on this member' >&2; exit 1; }; "
            )
        );

    // Before an image's first use: the directories belong to that uid, and the data was made by that major version. With patroni.yml before
    // data is set aside, with the container whenever the image is another.
    private string CheckImage()
    {
        var script =
            $"u=$(id -u postgres):$(id -g postgres); v=$(postgres --version); "
            + $"[ \"$u\" = {topology.Uid}:{topology.Gid} ] || {{ echo \"the image runs PostgreSQL as $u, and "
            + $"cluster.yaml says uid {topology.Uid} and gid {topology.Gid}\" >&2; exit 1; }}; "
            + $"case $v in *\") {topology.Version}.\"*|*\") {topology.Version} \"*) ;; *) echo \"the image has $v, "
            + $"and cluster.yaml says version {topology.Version}\" >&2; exit 1;; esac";
        return "docker run --rm --pull never --network none "
            + $"{Confined} --entrypoint sh {topology.Image.Reference} -c {Script.Quote(script)}";
    }

    /// <summary>The flags by which a container of kbr's own for a moment, such as a check, may do nothing but read.</summary>
    public const string Confined = "--cap-drop ALL --security-opt no-new-privileges --read-only";

    // A foreign container has another file, and so has one that uses another store and is about to be replaced.
    private string IfUsed(string reload) =>
        $"case $(docker container inspect -f '{{{{index .Config.Labels \"kbr.address\"}}}} {{{{.Config.Cmd}}}}' "
        + $"{PostgresTopology.PatroniContainer}) in ?*' '*/{topology.PatroniFileName}]) {reload} ;; esac";

    // A foreign container of the same name has another file, and may not survive the signal. It is replaced afterwards.
    private static string IfManaged(string container, string reload) =>
        $"test -z \"$(docker container inspect -f '{{{{index .Config.Labels \"kbr.address\"}}}}' {container})\" || {{ {reload}; }}";

    private IReadOnlyList<string> DropIns(string container) => ResourceFactory.List(UnitOf(container, topology.DropIns).AllowedDropIns);

    private static string Unit(string container) => container + ".service";

    private static string Same(string path) => $"{path}:{path}";

    private static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);

    private static IReadOnlyList<string> Ports(params IEnumerable<int> ports) =>
        [.. ports.Select(port => string.Create(CultureInfo.InvariantCulture, $"tcp/{port}"))];

    private static IReadOnlyDictionary<string, string> LogRotation() => ResourceFactory.Map(("max-size", "20m"), ("max-file", "5"));

    private static IReadOnlyDictionary<string, string> Files(long needed)
    {
        var limit = Text(Math.Max(LeastFiles, needed));
        return ResourceFactory.Map(("nofile", $"{limit}:{limit}"));
    }
}
