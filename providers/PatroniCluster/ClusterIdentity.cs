using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.PatroniCluster;

/// <summary>The identity of a cluster under Patroni: members that differ in either part elect separate leaders, even in one consensus
/// store. Pure.</summary>
/// <param name="Scope">Patroni's name of the cluster.</param>
/// <param name="Namespace">Its path in the consensus store, as <see cref="Normal"/> spells it.</param>
public sealed record ClusterIdentity(string Scope, string Namespace)
{
    /// <summary>The attribute of the namespace.</summary>
    public const string Attribute = "namespace";

    /// <summary>Patroni's own namespace.</summary>
    public const string DefaultNamespace = "/service/";

    /// <summary>The attribute of the namespace, for every type whose gate is the cluster's health.</summary>
    internal static AttributeDefinition Definition { get; } =
        new(
            Attribute,
            AttributeKind.String,
            "The path in the consensus store that the cluster lies under: Patroni's own setting 'namespace'."
        )
        {
            Default = DefaultNamespace,
        };

    /// <summary>The identity that a resource of the cluster wants.</summary>
    public static ClusterIdentity Of(IDeclared resource)
    {
        ArgumentNullException.ThrowIfNull(resource);
        return new ClusterIdentity(resource.Address.Host, Normal(resource.Spec.OptionalString(Attribute) ?? DefaultNamespace));
    }

    /// <summary>A namespace in one spelling: to Patroni <c>db</c>, <c>/db</c> and <c>//db/</c> are the same.</summary>
    public static string Normal(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        var parts = name.Split('/', StringSplitOptions.RemoveEmptyEntries);
        return parts.Length == 0 ? "/" : $"/{string.Join('/', parts)}/";
    }

    /// <summary>Why the members are not the cluster that is wanted, or not one cluster; null when they are, as far as they tell.</summary>
    public IdentityProblem? Compare(IEnumerable<MemberIdentity> members)
    {
        ImmutableArray<MemberIdentity> all = [.. members.OrderBy(member => member.Name, StringComparer.Ordinal)];
        return UnmanagedServer(all)
            ?? Other(all, "scope", Scope, member => member.Scope)
            ?? Databases(all)
            ?? Other(all, Attribute, Namespace, member => member.Namespace);
    }

    private static IdentityProblem? UnmanagedServer(ImmutableArray<MemberIdentity> members) =>
        members.FirstOrDefault(member => member.UnmanagedServer is not null) is { } stranger
            ? new IdentityProblem(
                $"{stranger.Name} is listed as a member, but {stranger.UnmanagedServer}",
                "kbr would start Patroni beside it",
                $"remove {stranger.Name} from 'postgres.members', or stop that server by hand"
            )
            : null;

    private static IdentityProblem? Other(
        ImmutableArray<MemberIdentity> members,
        string key,
        string wanted,
        Func<MemberIdentity, string?> of
    )
    {
        var told = members.Where(member => of(member) is not null).ToList();
        var others = told.Where(member => of(member) != wanted).ToList();
        if (others.Count == 0)
        {
            return null;
        }

        var found = of(others[0])!;
        var same = others.Where(member => of(member) == found).Select(member => member.Name).ToList();
        return new IdentityProblem(
            $"{Names(same)} {(same.Count == 1 ? "is" : "are")} in Patroni's {key} {found}, not in {wanted}",
            $"members with different values do not find each other: one started with {key} {wanted} would "
                + $"create a second, empty database",
            same.Count == told.Count
                ? $"set postgres.{key}: {found}"
                : $"remove {Names(same)} from 'postgres.members' if "
                    + $"{(same.Count == 1 ? "it belongs" : "they belong")} to another cluster; set postgres.{key}: {found} "
                    + $"where all of them should"
        );
    }

    private IdentityProblem? Databases(ImmutableArray<MemberIdentity> members)
    {
        var holders = members
            .Select(member => (Member: member, Identifier: member.SystemIdentifier ?? member.Held.Values.FirstOrDefault()))
            .Where(pair => pair.Identifier is not null)
            .ToList();
        return holders.Select(pair => pair.Identifier).Distinct().Count() < 2
            ? null
            : new IdentityProblem(
                $"the members of {Scope} hold different databases",
                string.Join(
                    "; ",
                    holders.Select(pair => $"{pair.Member.Name}: system identifier {pair.Identifier}{Described(pair.Member)}")
                ),
                "find out which database is yours; stop the members with the other one by hand and move their data directories away"
            );
    }

    private static string Described(MemberIdentity member) =>
        (
            member.TakesWrites ? ", a primary"
            : member.SystemIdentifier is not null ? ", a replica"
            : $", in {member.Held.Keys.FirstOrDefault()}, not running"
        ) + (member.Namespace is { } found ? $", in namespace {found}" : "");

    private static string Names(List<string> names) =>
        names.Count < 3 ? string.Join(" and ", names) : $"{string.Join(", ", names.SkipLast(1))} and {names[^1]}";
}

/// <summary>Why members must not be touched.</summary>
/// <param name="Problem">What was found, in a line.</param>
/// <param name="Detail">The evidence, or the consequence.</param>
/// <param name="Remedy">What to do.</param>
public sealed record IdentityProblem(string Problem, string Detail, string Remedy)
{
    /// <summary>All of it in one text.</summary>
    public string Text => $"{Problem}: {Detail}; {Remedy}";
}

/// <summary>The cluster identity that one member reports.</summary>
/// <param name="Name">The member.</param>
public sealed record MemberIdentity(string Name)
{
    // The server of no major version writes more there than it reads first: the system identifier, in the byte order of the machine.
    private const int IdentifierBytes = 8;

    /// <summary>The scope of its Patroni; null without an answer.</summary>
    public string? Scope { get; init; }

    /// <summary>The namespace of its Patroni; null if it was not reported.</summary>
    public string? Namespace { get; init; }

    /// <summary>The system identifier of its database while Patroni tells it.</summary>
    public string? SystemIdentifier { get; init; }

    /// <summary>The system identifiers of the databases on its disk, by data directory.</summary>
    public ImmutableSortedDictionary<string, string> Held { get; init; } = ImmutableSortedDictionary<string, string>.Empty;

    /// <summary>Whether it is a primary.</summary>
    public bool TakesWrites { get; init; }

    /// <summary>A server on the host outside the cluster, as the end of a sentence; null for none.</summary>
    public string? UnmanagedServer { get; init; }

    /// <summary>The file whose first bytes are the system identifier of a data directory.</summary>
    public static FileRead ControlFile(string dataDirectory) => new(dataDirectory + "/global/pg_control");

    /// <summary>The answers of a member, as far as it was asked.</summary>
    /// <param name="name">The member.</param>
    /// <param name="connection">How it was asked.</param>
    /// <param name="snapshot">What it said.</param>
    /// <param name="dataDirectories">Where it may have data.</param>
    /// <param name="storeNamespace">The path in the consensus store that its Patroni uses; null if it was not reported.</param>
    internal static MemberIdentity Of(
        string name,
        ClusterConnection connection,
        Snapshot snapshot,
        IEnumerable<string> dataDirectories,
        string? storeNamespace
    )
    {
        // One that is fenced and down is nobody's member.
        var members = PatroniHealth
            .Judge(connection.RestPort, ImmutableDictionary<string, Snapshot>.Empty.Add(name, snapshot), [name], long.MaxValue)
            .Members;
        var member = members.IsEmpty ? new PatroniMember(name) : members[0];
        return new MemberIdentity(name)
        {
            Scope = member.Scope,
            Namespace = member.Answers && storeNamespace is not null ? ClusterIdentity.Normal(storeNamespace) : null,
            SystemIdentifier = member.SystemIdentifier,
            TakesWrites = member.Leads,
            Held = dataDirectories
                .Select(path => (path, identifier: snapshot.Has(ControlFile(path)) ? Identifier(snapshot.Get(ControlFile(path))) : null))
                .Where(pair => pair.identifier is not null)
                .ToImmutableSortedDictionary(pair => pair.path, pair => pair.identifier!, StringComparer.Ordinal),
            UnmanagedServer = UnmanagedServerOf(connection, member, snapshot),
        };
    }

    private static string? Identifier(FileContent? file) =>
        file is null || file.Bytes.Length < IdentifierBytes
            ? null
            : BitConverter.ToUInt64(file.Bytes.Span[..IdentifierBytes]).ToString(System.Globalization.CultureInfo.InvariantCulture);

    private static string? UnmanagedServerOf(ClusterConnection connection, PatroniMember member, Snapshot snapshot)
    {
        var port = connection.PostgresListener;
        return !snapshot.Has(connection.ContainerRead) || snapshot.Get(connection.ContainerRead).Status != 404 ? null
            : member.Answers ? $"its Patroni does not run in the container '{connection.Container}'"
            : snapshot.Has(port) && snapshot.Get(port) == PortState.Answered
                ? $"its port {connection.PostgresPort} is used by a server outside Patroni"
            : null;
    }
}
