using System.Collections.Immutable;
using System.Globalization;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.ConfigFile;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.ConsensusStore.Etcd;

/// <summary>etcd's settings: its service on each member, and Patroni's login to it.</summary>
internal sealed record EtcdSettings : StoreSettings
{
    private readonly string _scope;
    private readonly int _port;
    private readonly int _peerPort;
    private readonly SecretText _password;

    private ImmutableArray<Host> Members { get; init; }

    private EtcdSettings(EtcdStore store, StoreContext context, int port, int peerPort, SecretText password)
        : base(store)
    {
        _scope = context.Scope;
        Members = context.Members;
        _port = port;
        _peerPort = peerPort;
        _password = password;
    }

    /// <summary>Reads the section.</summary>
    public static EtcdSettings Read(EtcdStore store, SectionReader section, StoreContext context)
    {
        var (ports, own) = (section.Section("ports"), context.Own);
        var (port, peerPort) = (
            ports.Port(EtcdStore.MainKey) ?? EtcdStore.DefaultPort,
            ports.Port(EtcdStore.PeerPortKey) ?? EtcdStore.DefaultPeerPort
        );
        var directory = section.Section("directories").HostPath(EtcdStore.MainKey, context.MountPoint + "/etcd");
        var (password, root) = (Password(EtcdStore.Credential), Password(EtcdStore.RootCredential));
        if (own.Find(EtcdStore.ImageKey) is null)
        {
            own.Error("etcd has no image", own.At, null, "write store: { etcd: { image: REPOSITORY:TAG@sha256:DIGEST } }");
        }

        var image = own.Find(EtcdStore.ImageKey) is null ? null : context.Image(own);
        return new EtcdSettings(store, context, port, peerPort, password)
        {
            Ports =
            [
                new StorePort(port, "etcd", ports.Place(EtcdStore.MainKey)),
                new StorePort(peerPort, "etcd's members", ports.Place(EtcdStore.PeerPortKey)),
            ],
            OpenAccess =
            [
                $"Open: etcd, without TLS, on ports {port} and {peerPort} of each member; clients need a password, but not for its metrics",
            ],
            Service = new EtcdService(context, image ?? new StoreImage("", []), directory, port, peerPort, password, root)
            {
                Uid = own.Integer(EtcdStore.UidKey, 998, 1),
                Gid = own.Integer(EtcdStore.GidKey, 998, 1),
                At = own.At,
                Quota = own.Size(EtcdStore.QuotaKey, 512L << 20, 64L << 20),
                Compaction = own.Duration(EtcdStore.CompactionKey, TimeSpan.FromHours(1), TimeSpan.FromMinutes(1)),
                Directories = [new StoreDirectory(EtcdStore.MainKey, "postgres-etcd", directory, "0700")],
            },
        };

        // etcdctl takes a password up to the first space.
        SecretText Password(string name)
        {
            var text = context.Password(name, own.At);
            if (text.Reveal().Any(letter => letter is <= ' ' or > '~'))
            {
                own.Error(
                    $"secret {name} holds a space or another character than etcd's client takes",
                    own.At,
                    null,
                    "choose a password of printable ASCII characters without a space"
                );
            }

            return text;
        }
    }

    /// <inheritdoc />
    public override SecretText PatroniFragment(Host member) =>
        ConfigText.Of(
            $"""
            etcd3:
              hosts:{string.Concat(
                Members.Select(other => "\n    - " + ConfigText.Quoted(ConfigText.Endpoint(other.Address, _port)))
            )}
              protocol: http
              username: {ConfigText.Quoted(_scope)}
              password: {ConfigText.Quoted(_password)}
            """
        );

    // The lease cannot be renewed while etcd elects a leader or is away, and Patroni's own answer to that is to demote the primary.
    /// <inheritdoc />
    public override bool IsFailsafe => true;

    /// <inheritdoc />
    public override StoreSettings Of(ImmutableArray<Host> members) =>
        this with
        {
            Members = members,
            Service = Service is EtcdService service ? service with { Members = members } : null,
        };

    /// <inheritdoc />
    public override ImmutableArray<(string Name, object? Value)> GateAttributes =>
        [(EtcdStore.PeerPortAttribute, _peerPort == EtcdStore.DefaultPeerPort ? null : (long)_peerPort)];

    /// <inheritdoc />
    public override ImmutableArray<(string Name, object? Value)> ClusterAttributes(Func<ImmutableArray<string>, string> fingerprint) =>
        GateAttributes;

    // It asks etcd itself for the other members.
    /// <inheritdoc />
    public override ImmutableArray<string> StartSettings(Host member, string dataDirectory) =>
        ["etcd3", _port.ToString(CultureInfo.InvariantCulture), dataDirectory, _password.Reveal()];

    /// <inheritdoc />
    public override string AddressOf(Host host) => ConfigText.Endpoint(host.Address, _peerPort);
}

/// <summary>etcd's container on each member.</summary>
internal sealed record EtcdService : StoreService
{
    private readonly StoreContext _context;
    private readonly string _directory;
    private readonly int _port;
    private readonly int _peerPort;
    private readonly SecretText _password;
    private readonly SecretText _root;

    /// <summary>The service.</summary>
    public EtcdService(
        StoreContext context,
        StoreImage image,
        string directory,
        int port,
        int peerPort,
        SecretText password,
        SecretText root
    )
        : base(EtcdStore.ServiceName, $"{context.Scope}-{EtcdStore.ServiceName}", image, new EtcdGroup())
    {
        (_context, _directory, _port, _peerPort, _password, _root) = (context, directory, port, peerPort, password, root);
        Members = context.Members;
        Command = ["sh", $"{EtcdProgram.Directory}/{EtcdProgram.StartFile}"];
    }

    /// <summary>Its members.</summary>
    public ImmutableArray<Host> Members { get; init; }

    /// <summary>The most that its database may have, in bytes.</summary>
    public required long Quota { get; init; }

    /// <summary>For how long it keeps former values.</summary>
    public required TimeSpan Compaction { get; init; }

    private string Prefix => $"{_context.Namespace}{_context.Scope}/";

    // Not its members: it knows them from its data.
    /// <inheritdoc />
    public override ImmutableArray<(string Name, string Value)> Environment(Host member)
    {
        var own = ConfigText.Endpoint(member.Address, _port);
        var loopback = ConfigText.Endpoint("127.0.0.1", _port);
        return
        [
            ("ETCDCTL_ENDPOINTS", "http://" + loopback),
            ("ETCD_ADVERTISE_CLIENT_URLS", "http://" + own),
            ("ETCD_AUTO_COMPACTION_MODE", "periodic"),
            ("ETCD_AUTO_COMPACTION_RETENTION", $"{(long)Compaction.TotalMinutes}m"),
            ("ETCD_DATA_DIR", _directory),
            ("ETCD_INITIAL_ADVERTISE_PEER_URLS", UrlOf(member)),
            ("ETCD_INITIAL_CLUSTER_TOKEN", _context.Scope),
            ("ETCD_LISTEN_CLIENT_URLS", $"http://{own},http://{loopback}"),
            ("ETCD_LISTEN_PEER_URLS", UrlOf(member)),
            ("ETCD_NAME", member.Name),
            ("ETCD_QUOTA_BACKEND_BYTES", Quota.ToString(CultureInfo.InvariantCulture)),
        ];
    }

    /// <inheritdoc />
    public override ImmutableArray<StoreFile> Files(Host member) =>
        [
            new("etcd-start", EtcdProgram.StartFile, SecretText.Plain(EtcdProgram.Start)),
            new(
                "etcd-access",
                EtcdProgram.AccessFile,
                SecretText.Plain($"user={Script.Quote(_context.Scope)} prefix={Script.Quote(Prefix)}\n")
            ),
            new(
                "etcd-members",
                EtcdProgram.MembersFile,
                SecretText.Plain(string.Join(',', Members.Select(other => $"{other.Name}={UrlOf(other)}")) + "\n")
            ),
            new(
                "etcd-others",
                EtcdProgram.OthersFile,
                SecretText.Plain(
                    string.Join(
                        ',',
                        Members
                            .Where(other => other.Name != member.Name)
                            .Select(other => "http://" + ConfigText.Endpoint(other.Address, _port))
                    ) + "\n"
                )
            ),
            new("etcd-password", EtcdProgram.PasswordFile, Line(_password)),
            new("etcd-root-password", EtcdProgram.RootPasswordFile, Line(_root)),
        ];

    /// <inheritdoc />
    public override ImmutableArray<(string Name, object? Value)> Settings =>
        [
            (EtcdGroup.DirectoryKey, _directory),
            (EtcdGroup.MountPointKey, _context.MountPoint),
            (EtcdGroup.MembersKey, (IReadOnlyList<string>)[.. Members.Select(Address)]),
            (EtcdGroup.PrefixKey, Prefix),
            (EtcdGroup.PortKey, (long)_peerPort),
            (EtcdGroup.RestPortKey, (long)_context.RestPort),
            ("gate_timeout", (long)_context.GateTimeout.TotalSeconds),
        ];

    /// <inheritdoc />
    public override int? MetricsPort => _port;

    // The bounds of etcd's own rules (contrib/mixin), but for the database, which has less to grow here.
    /// <inheritdoc />
    public override ImmutableArray<StoreAlert> Alerts(string job) =>
        [
            new("EtcdDown", $"up{{{job}}} == 0", "2m", false, "etcd on {{ $labels.member }} does not answer"),
            new(
                "EtcdNoLeader",
                $"etcd_server_has_leader{{{job}}} == 0",
                "1m",
                true,
                "etcd on {{ $labels.member }} has no leader: without a quorum nobody can be elected"
            ),
            new(
                "EtcdLeaderChanges",
                $"increase(etcd_server_leader_changes_seen_total{{{job}}}[15m]) >= 4",
                "5m",
                false,
                "etcd on {{ $labels.member }} saw {{ $value }} changes of its leader in 15 minutes: a slow disk or network"
            ),
            new(
                "EtcdDatabaseNearQuota",
                $"etcd_mvcc_db_total_size_in_bytes{{{job}}} / etcd_server_quota_backend_bytes{{{job}}} > 0.8",
                "10m",
                false,
                "the database of etcd on {{ $labels.member }} has {{ $value | humanizePercentage }} of its quota: a full one takes no changes"
            ),
            new(
                "EtcdSlowDisk",
                $"histogram_quantile(0.99, rate(etcd_disk_wal_fsync_duration_seconds_bucket{{{job}}}[5m])) > 0.5",
                "10m",
                false,
                "the slowest hundredth of etcd's writes to disk on {{ $labels.member }} takes {{ $value | humanizeDuration }}"
            ),
        ];

    /// <inheritdoc />
    public override ImmutableArray<string> Fixed =>
        [
            _password.Reveal(),
            _root.Reveal(),
            Prefix,
            _port.ToString(CultureInfo.InvariantCulture),
            _peerPort.ToString(CultureInfo.InvariantCulture),
        ];

    private string Address(Host host) => ConfigText.Endpoint(host.Address, _peerPort);

    private string UrlOf(Host host) => "http://" + Address(host);

    private static SecretText Line(SecretText text) => new([.. text.Parts, new SecretText.Part("\n", false)]);
}
