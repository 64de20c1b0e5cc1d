using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.ConfigFile;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.ConsensusStore.Etcd;

/// <summary>etcd in a container of its own on every member. Its members are a group with a policy of their own (<see cref="EtcdGroup"/>),
/// which adds, removes and restarts them.</summary>
public sealed class EtcdStore : IConsensusStore
{
    /// <summary>The name of its container and its unit.</summary>
    internal const string ServiceName = "etcd";

    /// <summary>Its directory's key under <c>directories</c>, and its clients' port's under <c>ports</c>.</summary>
    internal const string MainKey = "etcd";

    /// <summary>The key of the port of its members under <c>ports</c>.</summary>
    internal const string PeerPortKey = "etcd_peer";

    internal const string ImageKey = "image";
    internal const string UidKey = "uid";
    internal const string GidKey = "gid";
    internal const string QuotaKey = "quota";
    internal const string CompactionKey = "compaction";

    internal const int DefaultPort = 2379;
    internal const int DefaultPeerPort = 2380;

    /// <summary>The name in the credentials file of the password of etcd's user root.</summary>
    internal const string RootCredential = "ETCD_ROOT_PASS";

    /// <summary>The name in the credentials file of the password of Patroni's user.</summary>
    internal const string Credential = "PATRONI_ETCD_PASS";

    /// <inheritdoc />
    public string Key => "etcd";

    /// <inheritdoc />
    public string Name => "etcd";

    /// <inheritdoc />
    public string? Service => ServiceName;

    /// <inheritdoc />
    public string PasswordPostponement => "Leave etcd's passwords as they are";

    // Patroni asks the next member at once.
    /// <inheritdoc />
    public TimeSpan Reconnection => TimeSpan.FromSeconds(2);

    /// <summary>The attribute with the port of its members; missing where it is the default.</summary>
    internal const string PeerPortAttribute = "etcd_peer_port";

    /// <inheritdoc />
    public ImmutableArray<AttributeDefinition> ClusterAttributes => GateAttributes;

    /// <inheritdoc />
    public ImmutableArray<AttributeDefinition> GateAttributes { get; } =
    [new(PeerPortAttribute, AttributeKind.Integer, "The port of etcd between the members; default: 2380.") { Minimum = 1 }];

    /// <inheritdoc />
    public ImmutableArray<string> SectionKeys => [];

    /// <inheritdoc />
    public ImmutableArray<string> PortKeys { get; } = [MainKey, PeerPortKey];

    /// <inheritdoc />
    public ImmutableArray<string> DirectoryKeys { get; } = [MainKey];

    /// <inheritdoc />
    public SectionSchema Own { get; } =
        new([
            new(ImageKey, ValueForm.Word, "etcd's image, 3.5 or newer: REPOSITORY:TAG@sha256:DIGEST, or { archive: FILE }.")
            {
                Required = true,
                Example = "registry.example.com/kbr/etcd:3.5.16@sha256:" + string.Concat(Enumerable.Repeat("0123456789abcdef", 4)),
            },
            new(UidKey, ValueForm.Integer, "The user that etcd runs as in the image.") { Default = "998", Minimum = 1 },
            new(GidKey, ValueForm.Integer, "Its group.") { Default = "998", Minimum = 1 },
            new(QuotaKey, ValueForm.Size, "The most that its database may have; when it is full, etcd takes no more changes.")
            {
                Default = "512MiB",
            },
            new(CompactionKey, ValueForm.Duration, "For how long it keeps former values.") { Default = "1h" },
        ]);

    /// <inheritdoc />
    public SectionKey Describe(string section, string key) =>
        (section, key) switch
        {
            ("ports", MainKey) => new(key, ValueForm.Port, "etcd, for Patroni; default: 2379. It stays as it is once the cluster exists."),
            ("ports", _) => new(key, ValueForm.Port, "etcd between the members; default: 2380. It stays as it is, too."),
            _ => new(key, ValueForm.Word, "etcd's directory; default: under the mount point.") { Example = "/opt/keybuzz/postgres/etcd" },
        };

    /// <inheritdoc />
    public bool IsUsedBy(string patroniFile) =>
        patroniFile is not null && patroniFile.Split('\n').Any(line => line.TrimEnd() is "etcd3:" or "etcd:");

    // Of the last time that the cluster used it.
    /// <inheritdoc />
    public Script? Clear(IDeclared resource) => EtcdProgram.OnHost(EtcdProgram.Clear);

    /// <inheritdoc />
    public ImmutableArray<string> PasswordsNeeded(SectionReader section) => [Credential, RootCredential];

    /// <inheritdoc />
    public StoreSettings Read(SectionReader section, StoreContext context)
    {
        ArgumentNullException.ThrowIfNull(section);
        ArgumentNullException.ThrowIfNull(context);
        return EtcdSettings.Read(this, section, context);
    }

    /// <inheritdoc />
    public ImmutableArray<ContainerReadKind> ReadKinds => [EtcdRead.Kind];

    private static EtcdRead Question { get; } = new(ServiceName, false);

    /// <inheritdoc />
    public ImmutableArray<Read> Reads(IDeclared resource) => [Question];

    /// <inheritdoc />
    public StoreHealth Judge(IDeclared resource, IReadOnlyDictionary<string, Snapshot> members, IReadOnlyCollection<string> gone)
    {
        ArgumentNullException.ThrowIfNull(members);
        return EtcdHealth.Judge(new EtcdView(members.Select(pair => KeyValuePair.Create(pair.Key, pair.Value.Get(Question)))), gone);
    }

    // Patroni's user may write below one path only, and that of a running etcd is the declared one: another one is refused
    // (EtcdService.Fixed).
    /// <inheritdoc />
    public string? NamespaceOf(IDeclared resource, Snapshot member)
    {
        ArgumentNullException.ThrowIfNull(member);
        return member.Has(Question) && new EtcdView([KeyValuePair.Create("", member.Get(Question))]).Silent.Count == 0
            ? ClusterIdentity.Of(resource).Namespace
            : null;
    }

    /// <inheritdoc />
    public bool? HasDesiredPassword(IDeclared resource, Snapshot member) => null;

    /// <inheritdoc />
    public bool MustTellPassword(IDeclared resource, Snapshot member) => false;

    /// <inheritdoc />
    public SortedMap<AttributeValue> Desired(IDeclared resource) => Comparable.None;

    /// <inheritdoc />
    public SortedMap<AttributeValue> Observe(IDeclared resource, StoreHealth health, IReadOnlyCollection<string> withOtherPassword) =>
        Comparable.None;

    // The policy of its own group sees to its members.
    /// <inheritdoc />
    public StoreMembership? MembershipOf(IDeclared resource) => null;

    /// <inheritdoc />
    public string AddressOf(IDeclared resource, Host host)
    {
        ArgumentNullException.ThrowIfNull(host);
        return ConfigText.Endpoint(host.Address, PeerPortOf(resource));
    }

    /// <inheritdoc />
    public PortRead ListenerOf(IDeclared resource, Host host)
    {
        ArgumentNullException.ThrowIfNull(host);
        return new PortRead(host.Address, PeerPortOf(resource));
    }

    private static int PeerPortOf(IDeclared resource)
    {
        ArgumentNullException.ThrowIfNull(resource);
        return (int)(resource.Spec.Integer(PeerPortAttribute) ?? DefaultPeerPort);
    }

    /// <inheritdoc />
    public Script Add(IDeclared resource, string address) => throw new NotSupportedException();

    /// <inheritdoc />
    public Script Forget(IDeclared resource, string address) => throw new NotSupportedException();
}
