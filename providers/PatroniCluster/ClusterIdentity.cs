using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.PatroniCluster;

/// <summary>What tells one cluster under Patroni from another: members that differ in either elect a leader of their own, also where they
/// share the consensus store. Pure.</summary>
/// <param name="Scope">Patroni's name of the cluster.</param>
/// <param name="Namespace">The path in the consensus store that it lies under, as <see cref="Normal"/> spells it.</param>
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
    public static ClusterIdentity Of(Resource resource)
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
                $"{stranger.Name} is named as a member, and {stranger.UnmanagedServer}",
                "kbr would start Patroni beside it",
                $"take {stranger.Name} out of 'postgres.members', or stop by hand what runs there"
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
            $"members that differ in it do not find each other: one that is started with {key} {wanted} would "
                + $"make a second, empty database",
            same.Count == told.Count
                ? $"set postgres.{key}: {found}"
                : $"take {Names(same)} out of 'postgres.members' where "
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
                "find out which of them is yours; stop the members with the other one by hand and move their data directories away"
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
/// <param name="Detail">The evidence, or what would come of it.</param>
/// <param name="Remedy">What to do.</param>
public sealed record IdentityProblem(string Problem, string Detail, string Remedy)
{
    /// <summary>All of it in one text.</summary>
    public string Text => $"{Problem}: {Detail}; {Remedy}";
}

/// <summary>What one member says of the cluster that it belongs to.</summary>
/// <param name="Name">The member.</param>
public sealed record MemberIdentity(string Name)
{
    // The server of no major version writes more there than it reads first: the system identifier, in the byte order of the machine.
    private const int IdentifierBytes = 8;

    /// <summary>The scope of its Patroni; null without an answer.</summary>
    public string? Scope { get; init; }

    /// <summary>The namespace of its Patroni; null where that was not told.</summary>
    public string? Namespace { get; init; }

    /// <summary>The system identifier of its database while Patroni tells it.</summary>
    public string? SystemIdentifier { get; init; }

    /// <summary>The system identifiers of the databases on its disk, by data directory.</summary>
    public ImmutableSortedDictionary<string, string> Held { get; init; } = ImmutableSortedDictionary<string, string>.Empty;

    /// <summary>Whether it is a primary.</summary>
    public bool TakesWrites { get; init; }

    /// <summary>What runs there that is not the cluster's, as the end of a sentence; null for nothing.</summary>
    public string? UnmanagedServer { get; init; }

    /// <summary>The file whose first bytes are the system identifier of a data directory.</summary>
    public static FileRead ControlFile(string dataDirectory) => new(dataDirectory + "/global/pg_control");

    /// <summary>The answers of a member, as far as it was asked.</summary>
    /// <param name="name">The member.</param>
    /// <param name="connection">How it was asked.</param>
    /// <param name="snapshot">What it said.</param>
    /// <param name="dataDirectories">Where it may have data.</param>
    /// <param name="storeNamespace">The path in the consensus store that its Patroni uses; null where that was not told.</param>
    internal static MemberIdentity Of(
        string name,
        ClusterConnection connection,
        Snapshot snapshot,
        IEnumerable<string> dataDirectories,
        string? storeNamespace
    )
    {
        var member = PatroniHealth
            .Judge(connection.RestPort, ImmutableDictionary<string, Snapshot>.Empty.Add(name, snapshot), [name], long.MaxValue)
            .Members[0];
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
                ? $"port {connection.PostgresPort} there is taken by a server that is not under Patroni"
            : null;
    }
}
