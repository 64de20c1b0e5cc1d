using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.ConsensusStore.Raft;

/// <summary>Patroni's own consensus store (pysyncobj): it runs inside of Patroni on every member.</summary>
public sealed class RaftStore : IConsensusStore
{
    /// <summary>Its key under <c>directories</c>.</summary>
    internal const string DirectoryKey = "raft";

    /// <summary>Its key under <c>ports</c>.</summary>
    internal const string PortKey = "raft";

    /// <summary>The attribute of the directory.</summary>
    internal const string DirectoryAttribute = "raft_directory";

    private const string Connections = "raft";
    private const string AllConnected = "all connected";
    private const string EveryMember = "the wanted one on every member";

    /// <inheritdoc />
    public string Key => "raft";

    /// <inheritdoc />
    public string Name => "RAFT";

    /// <inheritdoc />
    public string PasswordPostponement =>
        $"Write '{RaftPassword.Key}: false' under 'postgres' until they have; set RAFT's password in a later apply";

    /// <inheritdoc />
    public ImmutableArray<(string Comment, string Line)> AdoptionLines { get; } =
    [("The old members know no password of RAFT: remove this line last.", $"{RaftPassword.Key}: false")];

    /// <inheritdoc />
    public bool IsUsedBy(string patroniFile) =>
        patroniFile is not null && patroniFile.Split('\n').Any(line => line.TrimEnd() == Connections + ":");

    /// <inheritdoc />
    public bool RunsInPatroni => true;

    // Of the last time that the cluster used it. It is kept aside, since nobody asked to delete it.
    /// <inheritdoc />
    public Script? Clear(IDeclared resource)
    {
        var directory = DirectoriesOf(resource);
        return directory.IsEmpty
            ? null
            : new Script(
                $"""
                set -eu
                directory={Script.Quote(directory[0])}
                test -d "$directory"
                if [ -n "$(ls -A "$directory")" ]; then
                    rm -rf "$directory.former"
                    mkdir -m 0700 "$directory.former"
                    find "$directory" -mindepth 1 -maxdepth 1 -exec mv -t "$directory.former" -- '{"{}"}' +
                fi

                """
            );
    }

    // pysyncobj tries a link again every 5 s (connectionRetryTime).
    /// <inheritdoc />
    public TimeSpan Reconnection => TimeSpan.FromSeconds(6);

    /// <inheritdoc />
    public ImmutableArray<AttributeDefinition> ClusterAttributes { get; } =
    [
        Port,
        new(DirectoryAttribute, AttributeKind.Path, "RAFT's directory on the members."),
        new(
            RaftMembership.Attribute,
            AttributeKind.StringList,
            "The members' addresses in RAFT, such as 10.0.0.120:7000: those that count for its majority. Others "
                + "are removed from RAFT once they are stopped; without this key none is removed."
        ),
        new(
            RaftPassword.Key,
            AttributeKind.String,
            $"The fingerprint of RAFT's password in the label {RaftPassword.Label} of the members' containers; members "
                + $"with another one are stopped and started together."
        ),
    ];

    /// <inheritdoc />
    public ImmutableArray<AttributeDefinition> GateAttributes { get; } =
    [
        Port with
        {
            FixedBecause =
                "RAFT identifies members by address and port: with another port they are new members that the present ones do not count",
        },
    ];

    /// <inheritdoc />
    public ImmutableArray<string> SectionKeys { get; } = [RaftPassword.Key];

    /// <inheritdoc />
    public ImmutableArray<string> PortKeys { get; } = [PortKey];

    /// <inheritdoc />
    public ImmutableArray<string> DirectoryKeys { get; } = [DirectoryKey];

    /// <inheritdoc />
    public SectionKey Describe(string section, string key) =>
        (section, key) switch
        {
            (_, RaftPassword.Key) => new(key, ValueForm.Boolean, "Whether RAFT has a password; false only while such a cluster is adopted.")
            {
                Default = "true",
            },
            ("ports", _) => new(key, ValueForm.Port, "RAFT; it stays as it is once the cluster exists.")
            {
                Default = RaftMembership.DefaultPort.ToString(System.Globalization.CultureInfo.InvariantCulture),
            },
            _ => new(key, ValueForm.Word, "RAFT's directory; default: under the mount point.") { Example = "/opt/keybuzz/postgres/raft" },
        };

    private static AttributeDefinition Port =>
        new(RaftMembership.PortAttribute, AttributeKind.Integer, "The port of RAFT between the members.")
        {
            Default = (long)RaftMembership.DefaultPort,
            Minimum = 1,
        };

    /// <inheritdoc />
    public ImmutableArray<string> PasswordsNeeded(SectionReader section)
    {
        ArgumentNullException.ThrowIfNull(section);
        return section.Boolean(RaftPassword.Key) == false ? [] : [RaftPassword.Credential];
    }

    /// <inheritdoc />
    public StoreSettings Read(SectionReader section, StoreContext context)
    {
        ArgumentNullException.ThrowIfNull(section);
        ArgumentNullException.ThrowIfNull(context);
        return new RaftSettings(this, section, context);
    }

    /// <inheritdoc />
    public ImmutableArray<ContainerReadKind> ReadKinds => [RaftRead.Kind];

    /// <inheritdoc />
    public ImmutableArray<Read> Reads(IDeclared resource) => [ReadOf(resource)];

    /// <inheritdoc />
    public StoreHealth Judge(IDeclared resource, IReadOnlyDictionary<string, Snapshot> members, IReadOnlyCollection<string> gone)
    {
        ArgumentNullException.ThrowIfNull(members);
        var read = ReadOf(resource);
        return RaftHealth.Judge(members.ToDictionary(pair => pair.Key, pair => pair.Value.Get(read), StringComparer.Ordinal), gone);
    }

    /// <inheritdoc />
    public string? NamespaceOf(IDeclared resource, Snapshot member)
    {
        ArgumentNullException.ThrowIfNull(member);
        var read = ReadOf(resource);
        return member.Has(read) ? RaftStatus.NamespaceOf(member.Get(read)) : null;
    }

    /// <inheritdoc />
    public bool? HasDesiredPassword(IDeclared resource, Snapshot member) => RaftPassword.IsDesired(resource, member, ReadOf(resource));

    /// <inheritdoc />
    public string? PasswordName => RaftPassword.Credential;

    /// <inheritdoc />
    public ImmutableArray<string> DirectoriesOf(IDeclared resource)
    {
        ArgumentNullException.ThrowIfNull(resource);
        return resource.Spec.OptionalString(DirectoryAttribute) is { } directory ? [directory] : [];
    }

    /// <inheritdoc />
    public bool MustTellPassword(IDeclared resource, Snapshot member) => RaftPassword.IsUnmarked(resource, member);

    /// <inheritdoc />
    public SortedMap<AttributeValue> Desired(IDeclared resource)
    {
        ArgumentNullException.ThrowIfNull(resource);
        return Compared(
            resource,
            AllConnected,
            MembershipOf(resource) is { } membership ? StoreMembership.Text(membership.Wanted) : null,
            EveryMember
        );
    }

    /// <inheritdoc />
    public SortedMap<AttributeValue> Observe(IDeclared resource, StoreHealth health, IReadOnlyCollection<string> withOtherPassword)
    {
        ArgumentNullException.ThrowIfNull(resource);
        ArgumentNullException.ThrowIfNull(health);
        ArgumentNullException.ThrowIfNull(withOtherPassword);
        return Compared(
            resource,
                // A stopped member has its own line.
                health.Outside.Length > 0
                    ? string.Join(", ", health.Outside.Select(name => name + ": outside"))
                : health.Leader is null && !health.Problems.IsEmpty ? health.Problems[^1].Text
                : AllConnected,
            // Unknown while RAFT has no leader; attribute 'raft' reports that.
            MembershipOf(resource) is { } membership
                ? StoreMembership.Text(health.Counted.IsEmpty ? membership.Wanted : health.Counted.Keys)
                : null,
            withOtherPassword.Count == 0 ? EveryMember : $"another one on {string.Join(", ", withOtherPassword)}"
        );
    }

    /// <inheritdoc />
    public StoreMembership? MembershipOf(IDeclared resource) => RaftMembership.Of(resource);

    /// <inheritdoc />
    public string AddressOf(IDeclared resource, Host host) => RaftMembership.AddressOf(host, RaftMembership.PortOf(resource));

    /// <inheritdoc />
    public PortRead ListenerOf(IDeclared resource, Host host)
    {
        ArgumentNullException.ThrowIfNull(host);
        return new PortRead(host.Address, RaftMembership.PortOf(resource));
    }

    /// <inheritdoc />
    public Script Add(IDeclared resource, string address) =>
        RaftMembership.Change(ClusterConnection.Of(resource).Container, "add", address);

    /// <inheritdoc />
    public Script Forget(IDeclared resource, string address) =>
        RaftMembership.Change(ClusterConnection.Of(resource).Container, "remove", address);

    private static RaftRead ReadOf(IDeclared resource) => new(ClusterConnection.Of(resource).Container);

    private static SortedMap<AttributeValue> Compared(IDeclared resource, string connections, string? members, string password)
    {
        var all = Comparable.None.Add(Connections, new(connections));
        all = members is null ? all : all.Add(RaftMembership.Attribute, new(members));
        return resource.Spec.Has(RaftPassword.Key) ? all.Add(RaftPassword.Key, new(password)) : all;
    }
}
