using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.ConsensusStore;
using KeyBuzz.Reconciler.Providers.Image;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Providers.SystemdUnit;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.PostgresHa;

/// <summary>Reads the <c>postgres</c> section: fills in the defaults and notes what is wrong with each value by itself.</summary>
internal sealed class PostgresSection(SectionReader section, BlueprintContext context, ConsensusStores stores)
{
    // NAMEDATALEN - 1: PostgreSQL silently cuts longer ones.
    private const int LongestName = 63;

    private const string StoreKey = "store";

    /// <summary>Whether the root file system of the members' containers is read-only.</summary>
    public const string ReadOnlyKey = "read_only";

    private static readonly string[] s_keys =
    [
        "version",
        "scope",
        "namespace",
        "members",
        "proxies",
        "load_balancer",
        "ports",
        "image",
        "uid",
        "gid",
        "shm_size",
        "stop_timeout",
        "directory",
        "volume",
        "directories",
        "first_leader",
        "preferred_leader",
        StoreKey,
        "synchronous",
        "locale",
        "networks",
        "dynamic",
        "parameters",
        "slots",
        "ignore_slots",
        "superuser",
        "superuser_login",
        "replication",
        "application",
        "database",
        "users",
        "databases",
        "extensions",
        "haproxy",
        "pgbouncer",
        "health",
        "drop_ins",
        ReadOnlyKey,
    ];

    private const int DefaultVersion = 16;

    // The runbook's.
    private static readonly (string Name, string Value)[] s_parameters =
    [
        ("hot_standby", "on"),
        ("max_connections", "100"),
        ("max_replication_slots", "10"),
        ("max_wal_senders", "10"),
        ("shared_buffers", "256MB"),
        ("wal_level", "replica"),
    ];

    private static readonly string[] s_numbers =
    [
        "maximum_lag_on_syncnode",
        "max_timelines_history",
        "member_slots_ttl",
        "primary_start_timeout",
        "primary_stop_timeout",
    ];
    private static readonly string[] s_switches = ["check_timeline", "failsafe_mode"];
    private static readonly string[] s_postgresSwitches =
    [
        "remove_data_directory_on_diverged_timelines",
        "remove_data_directory_on_rewind_failure",
        "use_pg_rewind",
        "use_slots",
    ];

    // HAProxy's further timeouts of sessions over TCP: the key here, and HAProxy's name.
    private static readonly (string Key, string Name)[] s_haproxyTimeouts =
    [
        ("queue_timeout", "queue"),
        ("tunnel_timeout", "tunnel"),
        ("client_fin_timeout", "client-fin"),
        ("server_fin_timeout", "server-fin"),
    ];

    private readonly Findings _findings = context.Findings;

    /// <summary>The section, or null when so much is missing that it says nothing.</summary>
    public PostgresTopology? Read()
    {
        var store = StoreOf(section, stores);
        section.Allow([.. s_keys, .. store.SectionKeys]);
        var members = Hosts("members");
        var proxies = Hosts("proxies");
        var scope = Scope();
        var balancer = LoadBalancer();
        var image = Image(section);
        var directory = section.HostPath("directory", "/opt/keybuzz");
        var volume = Volume(members, directory);
        var superuser = User("superuser", PostgresCredentials.Superuser, PostgresCredentials.SuperuserPassword) with { Pooled = true };
        var replication = User("replication", PostgresCredentials.Replication, PostgresCredentials.ReplicationPassword);
        var application = User("application", PostgresCredentials.Application, PostgresCredentials.ApplicationPassword) with
        {
            Pooled = true,
        };
        var dropped = ImmutableArray.CreateBuilder<string>();
        var users = Users(
            dropped,
            [superuser, replication, application],
            RotateWith(
                section.Find("application") as YamlMapping is { } map ? new SectionReader(map, "'application'", _findings) : null,
                application
            )
        );
        var databases = Databases(application.Name);
        var times = Times();
        var synchronous = Synchronous();
        var haproxy = Haproxy(balancer);
        var pgbouncer = PgBouncer();
        var rest = Credentials(PostgresCredentials.Rest, PostgresCredentials.RestPassword);
        var settings = store.Read(section, new StoreContext(scope, members, volume.MountPoint, PatroniFile.Directory, Password));
        var topology = new PostgresTopology
        {
            Scope = scope,
            Namespace = Namespace(),
            Version = (int)section.Integer("version", DefaultVersion, 13, 99),
            Members = members,
            Proxies = proxies,
            LoadBalancer = balancer ?? new LoadBalancer("", 5432, 6432),
            Ports = Ports(store),
            Image = image ?? "",
            Uid = section.Integer("uid", 999, 1),
            Gid = section.Integer("gid", 999, 1),
            SharedMemory = section.Size("shm_size", 1L << 30),
            ReadOnly = section.Boolean(ReadOnlyKey) ?? true,
            DropIns = DropIns(),
            StopTimeout = section.Duration("stop_timeout", TimeSpan.FromSeconds(60), TimeSpan.FromSeconds(60)),
            BaseDirectory = directory,
            Volume = volume,
            Directories = Directories(volume, directory, settings),
            FirstLeader = Member("first_leader", members) ?? members.FirstOrDefault()?.Name ?? "",
            PreferredLeader = Member("preferred_leader", members),
            Locale = section.Word("locale", "a locale such as C.UTF-8")?.Value ?? "C.UTF-8",
            Networks = Networks(),
            Times = times,
            Synchronous = synchronous,
            Settings = Settings(times, synchronous, members, databases),
            Superuser = superuser,
            SuperuserLogin = section.Choice(
                "superuser_login",
                SuperuserLogin.Proxies,
                ("proxies", SuperuserLogin.Proxies),
                ("members", SuperuserLogin.Members)
            ),
            Replication = replication,
            Application = application,
            Users = users,
            DroppedUsers = dropped.ToImmutable(),
            Databases = databases,
            Extensions = Extensions(databases),
            Rest = rest,
            Store = settings,
            PoolerStatistics = Credentials(PostgresCredentials.PoolerStatistics, PostgresCredentials.PoolerStatisticsPassword),
            Haproxy = haproxy
                ?? new HaproxySettings(
                    "",
                    99,
                    99,
                    5432,
                    6432,
                    8404,
                    null,
                    1,
                    1,
                    default,
                    default,
                    default,
                    1,
                    1,
                    default,
                    default,
                    1,
                    default
                ),
            PgBouncer = pgbouncer ?? new PgBouncerSettings("", 999, 999, 6433, "transaction", 1, 1, 1, 1, 1, 1, 1),
            Health = Health(),
        };
        return
            members.IsEmpty
            || proxies.IsEmpty
            || balancer is null
            || image is null
            || haproxy is null
            || pgbouncer is null
            || volume.Devices.Count == 0
            ? null
            : topology;
    }

    /// <summary>The consensus store that a section chooses.</summary>
    public static IConsensusStore StoreOf(SectionReader section, ConsensusStores stores) =>
        section.Choice(StoreKey, stores.Default, [.. stores.All.Select(store => (store.Key, store))]);

    /// <summary>The name of the cluster's group.</summary>
    public string Scope()
    {
        var word = section.Word("scope", "Patroni's name of the cluster");
        var scope = word?.Value ?? context.Secrets.Plain(PostgresCredentials.Scope.Name) ?? context.Cluster;
        if (context.Hosts.ProblemOfGroup(scope) is { } problem)
        {
            _findings.Error(
                $"'{scope}' cannot be the scope of the cluster",
                section.Place("scope"),
                problem,
                word is null ? $"give 'scope', or another value to {PostgresCredentials.Scope.Name} in the credentials file" : null
            );
        }

        return scope;
    }

    private string Namespace()
    {
        if (section.Word("namespace", "a path such as /db/, the 'namespace' of patroni.yml") is not { } word)
        {
            return ClusterIdentity.DefaultNamespace;
        }

        if (!word.Value.All(character => char.IsAsciiLetterOrDigit(character) || character is '/' or '.' or '_' or '-'))
        {
            _findings.Error(
                $"'{word.Value}' cannot be the namespace of the cluster",
                word.At,
                "it may have letters, digits, '.', '_', '-' and '/'",
                "write the 'namespace' of patroni.yml, such as /db/"
            );
        }

        return ClusterIdentity.Normal(word.Value);
    }

    private ImmutableArray<Host> Hosts(string key)
    {
        if (section.Find(key) is null)
        {
            _findings.Error($"'postgres' has no '{key}'", section.At, $"'{key}' is a role, a host, or a list of hosts");
            return [];
        }

        var words = section.Words(key, "a role, a host, or a list of hosts");
        foreach (var twice in words.GroupBy(word => word.Value).Where(group => group.Count() > 1))
        {
            _findings.Error(
                $"'{twice.Key}' is named twice in '{key}'",
                twice.Last().At,
                key == "members" ? "a host runs one Patroni" : null,
                "remove one of them"
            );
        }

        return context.Hosts.Select(words);
    }

    private string? Member(string key, ImmutableArray<Host> members)
    {
        if (section.Word(key, "a member") is not { } word)
        {
            return null;
        }

        if (members.Any(member => member.Name == word.Value))
        {
            return word.Value;
        }

        _findings.Unknown(
            $"'{key}' names '{word.Value}', which is not a member",
            word.At,
            word.Value,
            members.Select(member => member.Name),
            "members are"
        );
        return null;
    }

    private LoadBalancer? LoadBalancer()
    {
        if (section.Find("load_balancer") is null)
        {
            _findings.Error(
                "'postgres' has no 'load_balancer'",
                section.At,
                "applications connect to it, in front of the proxies",
                "write load_balancer: { address: 10.0.0.10 }"
            );
            return null;
        }

        var own = section.Section("load_balancer").Allow("address", "port", "pooled_port");
        var address = own.Word("address", "the load balancer's private address", required: true);
        if (address is not null && NetworkAddress.Problem(address.Value) is { } problem)
        {
            _findings.Error($"bad address '{address.Value}' of the load balancer", address.At, problem);
        }

        return address is null ? null : new LoadBalancer(address.Value, own.Port("port") ?? 5432, own.Port("pooled_port") ?? 6432);
    }

    private MemberPorts Ports(IConsensusStore store)
    {
        var own = section.Section("ports").Allow(["postgres", "rest", .. store.PortKeys]);
        return new MemberPorts(own.Port("postgres") ?? 5432, own.Port("rest") ?? 8008);
    }

    private string? Image(SectionReader own)
    {
        if (own.Word("image", "an image, as REPOSITORY:TAG@sha256:DIGEST", required: true) is not { } word)
        {
            return null;
        }

        if (!ImageReference.TryParse(word.Value, out _, out var tag, out var digest))
        {
            _findings.Error($"'{word.Value}' is not an image reference", word.At, null, "write REPOSITORY:TAG@sha256:DIGEST");
        }
        else if (tag is null or "latest")
        {
            _findings.Error(
                $"image '{word.Value}' has no fixed tag",
                word.At,
                "'latest', the default tag, changes over time",
                "give the tag of a version, and @sha256:DIGEST"
            );
        }
        else if (digest is null)
        {
            _findings.Error(
                $"image '{word.Value}' is not pinned by digest",
                word.At,
                "a tag can be moved to another image",
                "add @sha256:DIGEST, as 'docker image inspect' shows it under RepoDigests"
            );
        }
        else
        {
            return word.Value;
        }

        return null;
    }

    private DataVolume Volume(ImmutableArray<Host> members, string directory)
    {
        if (section.Find("volume") is null)
        {
            _findings.Error(
                "'postgres' has no 'volume'",
                section.At,
                "each member's data is on a file system of its own",
                "write volume: { device: /dev/disk/by-id/NAME }"
            );
        }

        var own = section.Section("volume").Allow("device", "mount_point", "mount_options", "prevent_destroy");
        var devices = ImmutableSortedDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        switch (own.Find("device"))
        {
            case YamlMapping map:
                var byHost = new SectionReader(map, "'device'", _findings).Allow([.. members.Select(member => member.Name)]);
                foreach (var member in members)
                {
                    if (Device(byHost, member.Name, required: true) is { } device)
                    {
                        devices[member.Name] = device;
                    }
                }

                break;
            case null when section.Find("volume") is null:
                break;
            default:
                if (Device(own, "device", required: true) is { } same)
                {
                    devices.AddRange(members.Select(member => KeyValuePair.Create(member.Name, same)));
                }

                break;
        }

        return new DataVolume(
            devices.ToImmutable(),
            own.HostPath("mount_point", directory + "/postgres"),
            own.Word("mount_options", "options of mount, comma-separated")?.Value,
            own.Boolean("prevent_destroy") ?? false
        );
    }

    private string? Device(SectionReader own, string key, bool required)
    {
        if (own.Word(key, "a block device such as /dev/disk/by-id/NAME, or a map from member to device", required) is not { } word)
        {
            return null;
        }

        if (HostPath.TryNormalize(word.Value, out var path, out _) && path.StartsWith("/dev/", StringComparison.Ordinal))
        {
            return path;
        }

        _findings.Error(
            $"'{word.Value}' is not a block device",
            word.At,
            "write a path under /dev",
            "name the volume as 'ls -l /dev/disk/by-id' shows it"
        );
        return null;
    }

    private MemberDirectories Directories(DataVolume volume, string directory, StoreSettings store)
    {
        var own = section.Section("directories").Allow(["data", "data_directory", "archive", .. store.Kind.DirectoryKeys]);
        var data = own.HostPath("data", volume.MountPoint + "/data");
        var found = new MemberDirectories(
            data,
            own.HostPath("data_directory", data + "/pgdata"),
            own.HostPath("archive", volume.MountPoint + "/archive"),
            directory + "/patroni"
        );
        (string Key, string Path)[] apart =
        [
            ("data", found.Data),
            .. store.Directories.Select(one => (one.Key, one.Path)),
            ("archive", found.Archive),
        ];
        foreach (var (key, path) in apart)
        {
            if (path == volume.MountPoint || !HostPath.IsIn(path, volume.MountPoint))
            {
                _findings.Error(
                    $"the directory '{key}', {path}, does not lie under the mount point {volume.MountPoint}",
                    own.Place(key),
                    "it would be on the root disk, and the volume would not be used",
                    "put it under the mount point, or correct volume.mount_point"
                );
            }
        }

        if (found.DataDirectory == data || !HostPath.IsIn(found.DataDirectory, data))
        {
            _findings.Error(
                $"the data directory {found.DataDirectory} is not a subdirectory of {data}",
                own.Place("data_directory"),
                $"the container mounts {data}, and Patroni must be able to rename and remove the data directory",
                $"write {data}/pgdata, or remove the key"
            );
        }

        foreach (var (one, other) in apart.SelectMany((one, at) => apart.Skip(at + 1).Select(other => (one.Path, other.Path))))
        {
            if (HostPath.IsIn(one, other) || HostPath.IsIn(other, one))
            {
                _findings.Error(
                    $"the directories {one} and {other} are nested",
                    section.Place("directories"),
                    null,
                    "use separate directories"
                );
            }
        }

        return found;
    }

    private ImmutableArray<string> DropIns()
    {
        var words = section.Words("drop_ins", "a list of paths such as /etc/systemd/system/patroni.service.d/limits.conf");
        foreach (
            var word in words.Where(word =>
                !HostResources.Containers.Any(container => HostResources.UnitOf(container, [word.Value]).AllowedDropIns.Length > 0)
            )
        )
        {
            _findings.Error(
                $"'{word.Value}' is not a drop-in of patroni, haproxy or pgbouncer",
                word.At,
                null,
                $"give its path, as in {UnitDefinition.Directory}patroni.service.d/limits.conf"
            );
        }

        return [.. words.Select(word => word.Value)];
    }

    private ImmutableArray<string> Networks()
    {
        var words = section.Words("networks", "a list of networks such as 10.0.0.0/16");
        foreach (var word in words)
        {
            if (NetworkAddress.ProblemOfNetwork(word.Value) is { } problem)
            {
                _findings.Error($"'{word.Value}' is not a network", word.At, problem);
            }
            else if (word.Value.EndsWith("/0", StringComparison.Ordinal))
            {
                _findings.Error(
                    $"the network {word.Value} matches every address",
                    word.At,
                    "pg_hba would let any address try passwords",
                    "list the networks of your own hosts"
                );
            }
        }

        return [.. words.Select(word => word.Value)];
    }

    private FailoverTimes Times()
    {
        var own = section.Section("dynamic");
        var times = new FailoverTimes(
            (int)own.Integer("ttl", 30),
            (int)own.Integer("loop_wait", 10),
            (int)own.Integer("retry_timeout", 10)
        );
        if (times.Problem is { } problem)
        {
            _findings.Error(
                $"Patroni would not use these times: {problem}",
                own.Place("ttl"),
                "it stores them, but silently uses others",
                $"required: ttl ≥ {FailoverTimes.LeastTtl}, loop_wait ≥ 1, retry_timeout ≥ 3 and loop_wait + 2 × "
                    + $"retry_timeout ≤ ttl; 20, 5 and 5 are the fastest safe values, with a failover in at most "
                    + $"{new FailoverTimes(20, 5, 5).WorstCase.TotalSeconds} s"
            );
        }

        return times;
    }

    // true or false, or { strict }, which means true.
    private SynchronousMode Synchronous()
    {
        if (section.Find("synchronous") is YamlMapping map)
        {
            return new SectionReader(map, "'synchronous'", _findings).Allow("strict").Boolean("strict") == true
                ? SynchronousMode.Strict
                : SynchronousMode.On;
        }

        return section.Boolean("synchronous") == true ? SynchronousMode.On : SynchronousMode.Off;
    }

    private ImmutableSortedDictionary<string, string> Settings(
        FailoverTimes times,
        SynchronousMode synchronous,
        ImmutableArray<Host> members,
        ImmutableArray<PostgresDatabase> databases
    )
    {
        var own = section.Section("dynamic");
        if (!RefuseSynchronous(own))
        {
            own.Allow(["ttl", "loop_wait", "retry_timeout", "maximum_lag_on_failover", .. s_numbers, .. s_switches, .. s_postgresSwitches]);
        }

        var settings = ImmutableSortedDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        settings["ttl"] = Text(times.Ttl);
        settings["loop_wait"] = Text(times.LoopWait);
        settings["retry_timeout"] = Text(times.RetryTimeout);
        settings["maximum_lag_on_failover"] = Text(own.Size("maximum_lag_on_failover", 1L << 20));
        // Both always, so that a change of either by hand is drift.
        settings[PatroniHealth.SynchronousKey] = synchronous == SynchronousMode.Off ? "false" : "true";
        settings[PatroniHealth.StrictKey] = synchronous == SynchronousMode.Strict ? "true" : "false";
        settings["postgresql.use_pg_rewind"] = "true";
        settings["postgresql.use_slots"] = "true";
        foreach (var key in s_numbers.Where(key => own.Find(key) is not null))
        {
            settings[key] = Text(own.Integer(key, 0));
        }

        foreach (var key in s_switches.Concat(s_postgresSwitches))
        {
            if (own.Boolean(key) is { } truth)
            {
                settings[s_postgresSwitches.Contains(key) ? "postgresql." + key : key] = truth ? "true" : "false";
            }
        }

        foreach (var (name, value) in s_parameters)
        {
            settings["postgresql.parameters." + name] = value;
        }

        // A version that is no number has its own error.
        var version =
            section.Find("version") is YamlScalar word && int.TryParse(word.Value, CultureInfo.InvariantCulture, out var number)
                ? number
                : DefaultVersion;
        var parameters = new ParameterSection(version, _findings);
        foreach (var (key, value) in section.Section("parameters").Map.Entries)
        {
            if (parameters.Read(key, value) is var (name, text))
            {
                settings["postgresql.parameters." + name] = text;
            }
        }

        var slots = new SlotSettings(_findings);
        settings.AddRange(slots.Permanent(Items("slots", "a slot"), settings.ToImmutable(), members, databases));
        if (slots.Ignored(Items("ignore_slots", "an entry of 'ignore_slots'")) is { } ignored)
        {
            settings["ignore_slots"] = ignored;
        }

        return settings.ToImmutable();
    }

    private bool RefuseSynchronous(SectionReader own)
    {
        if (own.Map.Entries.Find(entry => entry.Key.Value.StartsWith("synchronous", StringComparison.Ordinal)).Key is not { } key)
        {
            return false;
        }

        _findings.Error(
            $"'{key.Value}' is not set here",
            key.At,
            "kbr sets it from 'synchronous' of the 'postgres' section",
            key.Value.StartsWith(PatroniHealth.SynchronousKey, StringComparison.Ordinal)
                ? "write synchronous: true, or synchronous: { strict: true }, in the 'postgres' section"
                : "remove it: kbr uses one synchronous standby"
        );
        return true;
    }

    // A name by itself, or { name, password }.
    private PostgresUser User(string key, CredentialNeeded name, string password)
    {
        var fallback = context.Secrets.Plain(name.Name) ?? name.Value!;
        if (section.Find(key) is not YamlMapping map)
        {
            var word = section.Word(key, "a user's name, or { name, password }");
            return new PostgresUser(
                Name(word, word?.Value ?? fallback, word?.At ?? section.At, "user"),
                Password(password, word?.At ?? section.At)
            );
        }

        // The superuser and the replication user are the cluster's own: it changes their passwords by itself.
        var own = new SectionReader(map, $"'{key}'", _findings).Allow(
            key == "application" ? ["name", "password", "rotate_with"] : ["name", "password"]
        );
        var given = own.Word("name", "a user's name");
        return new PostgresUser(
            Name(given, given?.Value ?? fallback, own.Place("name"), "user"),
            own.Find("password") is null ? Password(password, own.At) : SecretOf(own, "password")
        );
    }

    private PostgresUser Credentials(CredentialNeeded name, string password) =>
        new(PlainName(context.Secrets.Plain(name.Name) ?? name.Value!, section.At), Password(password, section.At));

    // The second of two logins in turn.
    private (PostgresUser User, SourceLocation At)? RotateWith(SectionReader? own, PostgresUser first)
    {
        const string key = "rotate_with";
        if (own?.Find(key) is null)
        {
            return null;
        }

        var second = own.Section(key).Allow("name", "password");
        if (second.Word("name", "the name of a second login", required: true) is not { } word)
        {
            return null;
        }

        var user = new PostgresUser(Name(word, word.Value, word.At, "user"), SecretOf(second, "password"))
        {
            Pooled = first.Pooled,
            ActsAs = first.Name,
        };
        if (user.Password.Reveal() is { Length: > 0 } password && password == first.Password.Reveal())
        {
            _findings.Error(
                $"'{user.Name}' and '{first.Name}' have the same password",
                second.Place("password"),
                "the unused login could not be changed on its own",
                "give each its own secret"
            );
        }

        return (user, word.At);
    }

    private ImmutableArray<PostgresUser> Users(
        ImmutableArray<string>.Builder dropped,
        PostgresUser[] known,
        (PostgresUser User, SourceLocation At)? ofApplication
    )
    {
        var users = ImmutableArray.CreateBuilder<PostgresUser>();
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (var user in known.Where(user => !names.Add(user.Name)))
        {
            _findings.Error(
                $"the user '{user.Name}' is assigned to two roles",
                section.At,
                "superuser, replication and application need separate users",
                "give each another name"
            );
        }

        foreach (var own in Items("users", "a user"))
        {
            var isDropped = own.Boolean("drop") == true;
            own.Allow(isDropped ? ["name", "drop"] : ["name", "password", "pooled", "rotate_with", "drop"]);
            var word = own.Word("name", "a user's name", required: true);
            if (isDropped && word is not null && names.Add(Name(word, word.Value, word.At, "user")))
            {
                dropped.Add(word.Value);
            }
            else if (word is not null && names.Add(Name(word, word.Value, word.At, "user")))
            {
                users.Add(new PostgresUser(word.Value, SecretOf(own, "password")) { Pooled = own.Boolean("pooled") ?? true });
                Second(RotateWith(own, users[^1]));
            }
            else if (word is not null)
            {
                _findings.Error($"the user '{word.Value}' is already declared", word.At, null, "remove one of them");
            }
        }

        Second(ofApplication);
        return users.ToImmutable();

        void Second((PostgresUser User, SourceLocation At)? login)
        {
            if (login is var (user, at) && names.Add(user.Name))
            {
                users.Add(user);
            }
            else if (login is { } twice)
            {
                _findings.Error(
                    $"the user '{twice.User.Name}' is already declared",
                    twice.At,
                    "a second login is a separate role",
                    "give it another name"
                );
            }
        }
    }

    private ImmutableArray<PostgresDatabase> Databases(string owner)
    {
        var databases = ImmutableArray.CreateBuilder<PostgresDatabase>();
        var word = section.Word("database", "the application's database");
        var first = Name(
            word,
            word?.Value ?? context.Secrets.Plain(PostgresCredentials.Database.Name) ?? PostgresCredentials.Database.Value!,
            section.Place("database"),
            "database"
        );
        Pooled(null, first, section.Place("database"));
        databases.Add(new PostgresDatabase(first, owner));
        foreach (var own in Items("databases", "a database"))
        {
            own.Allow("name", "owner", "pooled");
            if (own.Word("name", "a database's name", required: true) is not { } name)
            {
                continue;
            }

            if (databases.Any(database => database.Name == name.Value))
            {
                _findings.Error($"the database '{name.Value}' is already declared", name.At, null, "remove one of them");
                continue;
            }

            databases.Add(
                new PostgresDatabase(Name(name, name.Value, name.At, "database"), own.Word("owner", "a user's name")?.Value ?? owner)
                {
                    Pooled = Pooled(own, name.Value, name.At),
                }
            );
        }

        return databases.ToImmutable();
    }

    private ImmutableArray<PostgresExtension> Extensions(ImmutableArray<PostgresDatabase> databases)
    {
        var extensions = ImmutableArray.CreateBuilder<PostgresExtension>();
        foreach (var own in Items("extensions", "an extension"))
        {
            own.Allow("name", "database", "version");
            var name = own.Word("name", "an extension's name", required: true);
            var database = own.Word("database", "a database's name");
            if (database is not null && !databases.Any(one => one.Name == database.Value))
            {
                _findings.Unknown(
                    $"there is no database '{database.Value}'",
                    database.At,
                    database.Value,
                    databases.Select(one => one.Name),
                    "databases are"
                );
            }

            if (name is null)
            {
                continue;
            }

            if (!name.Value.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '_' or '-'))
            {
                _findings.Error($"'{name.Value}' cannot be the name of an extension", name.At, "letters, digits, '_' and '-' only");
            }

            var extension = new PostgresExtension(
                name.Value,
                database?.Value ?? databases[0].Name,
                own.Word("version", "a version")?.Value
            );
            if (extensions.Any(one => one.Name == extension.Name && one.Database == extension.Database))
            {
                _findings.Error(
                    $"the extension '{extension.Name}' is already declared in {extension.Database}",
                    name.At,
                    null,
                    "remove one of them"
                );
                continue;
            }

            extensions.Add(extension);
        }

        return extensions.ToImmutable();
    }

    private HaproxySettings? Haproxy(LoadBalancer? balancer)
    {
        var own = section
            .Section("haproxy")
            .Allow(
                "image",
                "uid",
                "gid",
                "port",
                "pooled_port",
                "stats_port",
                "stats_login",
                "read_port",
                "read_max_lag",
                "max_connections",
                "inter",
                "fastinter",
                "downinter",
                "fall",
                "rise",
                "connect_timeout",
                "check_timeout",
                "retries",
                "idle_timeout",
                "client_timeout",
                "server_timeout",
                "queue_timeout",
                "tunnel_timeout",
                "client_fin_timeout",
                "server_fin_timeout",
                "on_marked_down",
                "read_on_marked_down"
            );
        var shortest = TimeSpan.FromMilliseconds(50);
        var settings = new HaproxySettings(
            "",
            own.Integer("uid", 99, 1),
            own.Integer("gid", 99, 1),
            own.Port("port") ?? balancer?.Port ?? 5432,
            own.Port("pooled_port") ?? balancer?.PooledPort ?? 6432,
            own.Port("stats_port") ?? 8404,
            own.Port("read_port"),
            own.Size("read_max_lag", 1L << 20),
            own.Integer("max_connections", 2000, 10),
            own.Duration("inter", TimeSpan.FromMilliseconds(500), shortest),
            own.Duration("fastinter", TimeSpan.FromMilliseconds(250), shortest),
            own.Duration("downinter", TimeSpan.FromMilliseconds(500), shortest),
            own.Integer("fall", 2, 1),
            own.Integer("rise", 1, 1),
            own.Duration("connect_timeout", TimeSpan.FromSeconds(1), shortest),
            own.Duration("check_timeout", TimeSpan.FromSeconds(2), shortest),
            own.Integer("retries", 1),
            own.Duration("idle_timeout", TimeSpan.FromHours(24), TimeSpan.FromMinutes(1))
        )
        {
            StatisticsLogin = StatisticsLogin(own),
            EndsSessions = own.Choice("on_marked_down", true, ("shutdown-sessions", true), ("none", false)),
            EndsReads = own.Choice("read_on_marked_down", true, ("shutdown-sessions", true), ("none", false)),
            ClientTimeout = Given("client_timeout"),
            ServerTimeout = Given("server_timeout"),
            Timeouts = s_haproxyTimeouts
                .Select(timeout => (timeout.Name, Time: Given(timeout.Key)))
                .Where(timeout => timeout.Time is not null)
                .ToImmutableSortedDictionary(timeout => timeout.Name, timeout => timeout.Time!.Value, StringComparer.Ordinal),
        };
        return Image(own) is { } image ? settings with { Image = image } : null;

        TimeSpan? Given(string key) => own.Find(key) is null ? null : own.Duration(key, TimeSpan.FromHours(24), TimeSpan.FromSeconds(1));
    }

    private PostgresUser? StatisticsLogin(SectionReader haproxy)
    {
        if (haproxy.Find("stats_login") is null)
        {
            return null;
        }

        var own = haproxy.Section("stats_login").Allow("name", "password");
        var name = own.Word("name", "a user's name", required: true);
        if (
            name is not null
            && !(
                name.Value.Length is > 0 and <= 63
                && name.Value.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '-' or '_' or '.')
            )
        )
        {
            _findings.Error(
                $"'{name.Value}' cannot be the name of a login to the statistics",
                name.At,
                "letters, digits, '-', '_' and '.' only"
            );
        }

        return new PostgresUser(name?.Value ?? "", SecretOf(own, "password"));
    }

    private PgBouncerSettings? PgBouncer()
    {
        var own = section
            .Section("pgbouncer")
            .Allow(
                "image",
                "uid",
                "gid",
                "port",
                "pool_mode",
                "max_client_conn",
                "default_pool_size",
                "min_pool_size",
                "reserve_pool_size",
                "reserve_pool_timeout",
                "max_db_connections",
                "max_user_connections",
                "settings"
            );
        var settings = new PgBouncerSettings(
            "",
            own.Integer("uid", 999, 1),
            own.Integer("gid", 999, 1),
            own.Port("port") ?? 6433,
            own.Choice("pool_mode", "transaction", ("session", "session"), ("transaction", "transaction"), ("statement", "statement")),
            own.Integer("max_client_conn", 500, 1),
            own.Integer("default_pool_size", 50, 1),
            own.Integer("min_pool_size", 10),
            own.Integer("reserve_pool_size", 5),
            own.Integer("reserve_pool_timeout", 3),
            own.Integer("max_db_connections", 100),
            own.Integer("max_user_connections", 50)
        )
        {
            Settings = PgBouncerFurther(own.Section("settings")),
        };
        return Image(own) is { } image ? settings with { Image = image } : null;
    }

    // PgBouncer itself says which values it takes, before the file is used; a name is known here already.
    private ImmutableSortedDictionary<string, string> PgBouncerFurther(SectionReader own)
    {
        var settings = ImmutableSortedDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        foreach (var (key, value) in own.Map.Entries)
        {
            if (PgBouncerNames.Owned.GetValueOrDefault(key.Value) is { } from)
            {
                _findings.Error($"'{key.Value}' is not set in pgbouncer.settings", key.At, $"kbr sets it from {from}", "remove it");
            }
            else if (
                key.Value.Length == 0
                || !key.Value.All(letter => char.IsAsciiLetterLower(letter) || char.IsAsciiDigit(letter) || letter == '_')
            )
            {
                _findings.Error(
                    $"{key.Kind} cannot be the name of a setting of PgBouncer",
                    key.At,
                    "lower-case letters, digits and '_' only, as in SHOW CONFIG"
                );
            }
            else if (value is not YamlScalar { IsNull: false } scalar || scalar.Value.Any(char.IsControl))
            {
                _findings.Error($"PgBouncer's setting '{key.Value}' must be one line, not {value.Kind}", value.At);
            }
            else if (scalar.Value.Contains("${secret.", StringComparison.Ordinal))
            {
                _findings.Error(
                    $"PgBouncer's setting '{key.Value}' may not hold a secret",
                    scalar.At,
                    "the statistics user can read it with SHOW CONFIG"
                );
            }
            else if (IsKnownToPgBouncer(key))
            {
                settings[key.Value] = scalar.Value.Trim();
            }
        }

        return settings.ToImmutable();
    }

    // A newer PgBouncer may have settings that are not known here: only what looks like a typo is refused.
    private bool IsKnownToPgBouncer(YamlScalar key)
    {
        if (PgBouncerNames.Known.Contains(key.Value))
        {
            return true;
        }

        var near = NearName.Of(key.Value, [.. PgBouncerNames.Known, .. PgBouncerNames.Owned.Keys]);
        if (near is not null && NearName.Distance(key.Value, near) <= 2)
        {
            _findings.Error($"PgBouncer has no setting '{key.Value}'", key.At, null, $"did you mean '{near}'?");
            return false;
        }

        _findings.Warning(
            $"PgBouncer 1.25 and older have no setting '{key.Value}'",
            key.At,
            "PgBouncer refuses a file with unknown settings",
            near is null ? null : $"did you mean '{near}'?"
        );
        return true;
    }

    private HealthBounds Health()
    {
        var own = section.Section("health").Allow("max_lag", "gate_timeout");
        return new HealthBounds(
            own.Size("max_lag", 1L << 20),
            own.Duration("gate_timeout", TimeSpan.FromSeconds(120), TimeSpan.FromSeconds(10))
        );
    }

    // The maps of a list; a word stands for a map with that name.
    private IEnumerable<SectionReader> Items(string key, string what)
    {
        switch (section.Find(key))
        {
            case null:
                yield break;
            case YamlSequence list:
                foreach (var item in list.Items)
                {
                    if (item is YamlScalar { IsNull: false } word)
                    {
                        yield return new SectionReader(
                            new YamlMapping(word.At, [(word with { Value = "name" }, word)]),
                            $"{what} '{word.Value}'",
                            _findings
                        );
                    }
                    else if (SectionReader.Of(item, what, _findings) is { } own)
                    {
                        yield return own;
                    }
                }

                break;
            case var other:
                _findings.Error($"'{key}' must be a list, not {other.Kind}", other.At);
                break;
        }
    }

    // The names that PostgreSQL allows in double quotes, without those that have another meaning for it or for PgBouncer.
    private string Name(YamlScalar? word, string name, SourceLocation at, string what)
    {
        if (NameProblem(name, what) is { } problem)
        {
            _findings.Error(
                $"'{name}' cannot be the name of a {what}",
                at,
                problem,
                word is null ? "give the name here, or another value in the credentials file" : null
            );
        }

        return name;
    }

    private static string? NameProblem(string name, string what) =>
        name.Length == 0 ? "a name may not be empty"
        : Encoding.UTF8.GetByteCount(name) > LongestName ? $"PostgreSQL allows at most {LongestName} bytes"
        : name.Any(char.IsControl) ? "PgBouncer's files are line-based, so a name cannot have control characters"
        : name == "pgbouncer" ? "PgBouncer reserves this name for its console"
        : what == "database"
            ? name is "template0" or "template1" ? "every PostgreSQL cluster already has this database"
                : null
        : name.StartsWith("pg_", StringComparison.Ordinal) ? "PostgreSQL reserves names that begin with 'pg_'"
        : name is "public" or "none" ? "PostgreSQL reserves this word"
        : name[0] == '/' ? "pg_hba.conf reads it as a regular expression"
        : null;

    // PgBouncer's file has no quotes for the name of a database.
    private bool Pooled(SectionReader? own, string name, SourceLocation at)
    {
        if (own?.Boolean("pooled") == false)
        {
            return false;
        }

        if (name.Length > 0 && !name.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '_' or '-' or '.'))
        {
            _findings.Error(
                $"PgBouncer cannot take a database called '{name}'",
                at,
                "its file allows ASCII letters, digits, '_', '-' and '.' for a database",
                own is null
                    ? "give the application's database another name"
                    : "give it another name, or write pooled: false: it is then not available through PgBouncer"
            );
        }

        return true;
    }

    // A user of PgBouncer's console or of Patroni's REST API: part of a list there, or of a header.
    private string PlainName(string name, SourceLocation at)
    {
        if (
            name.Length is 0 or > LongestName
            || name == "pgbouncer"
            || !name.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '_' or '-' or '.')
        )
        {
            _findings.Error(
                $"'{name}' cannot be the name of a user",
                at,
                "ASCII letters, digits, '_', '-' and '.' only",
                "give another value in the credentials file"
            );
        }

        return name;
    }

    private SecretText SecretOf(SectionReader own, string key)
    {
        if (own.Word(key, "a password, as ${secret.NAME}", required: true) is not { } word)
        {
            return SecretText.Plain("");
        }

        if (!word.Value.StartsWith("${secret.", StringComparison.Ordinal) || !word.Value.EndsWith('}'))
        {
            // The value may be a password, so it is not shown.
            _findings.Error(
                $"'{key}' must be ${{secret.NAME}}",
                word.At with
                {
                    LineText = "",
                },
                "secrets belong in the credentials file or the environment, never in cluster.yaml",
                "kbr init --credentials generates it"
            );
            return SecretText.Plain("");
        }

        return Password(word.Value[9..^1], word.At);
    }

    private SecretText Password(string name, SourceLocation at)
    {
        context.Secrets.Require(name, at, _findings);
        var value = context.Secrets.Use(name, at, _findings);
        if (value?.Any(char.IsControl) == true)
        {
            _findings.Error(
                $"secret {name} holds a control character",
                at,
                "configuration files are line-based",
                "choose a password without it"
            );
        }

        return new SecretText([new SecretText.Part(value ?? "", true)]);
    }

    private static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);
}
