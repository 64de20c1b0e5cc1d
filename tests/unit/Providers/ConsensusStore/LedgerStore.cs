using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.ConsensusStore;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.Http;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.Providers.ConsensusStore;

/// <summary>A second store, which exists in tests only: it answers on HTTP, has neither files nor environment, and a token in place of a
/// password.</summary>
internal sealed class LedgerStore : IConsensusStore
{
    public const string TokenAttribute = "ledger_token";

    private const string Peers = "ledger_peers";

    /// <summary>The read on a member: the answer is the leader, and every address that counts, in capitals where it is away.</summary>
    public static HttpRead Question { get; } = new(HttpRead.OwnAddress, 4001, "/peers");

    public string Key => "ledger";

    public string Name => "Ledger";

    public string PasswordPostponement => "Leave the token as it is";

    public TimeSpan Reconnection => TimeSpan.Zero;

    public ImmutableArray<AttributeDefinition> ClusterAttributes { get; } =
    [new(Peers, AttributeKind.StringList, "The peers."), new(TokenAttribute, AttributeKind.String, "The mark of the token.")];

    public ImmutableArray<AttributeDefinition> GateAttributes => [];

    public ImmutableArray<string> SectionKeys => ["ledger_token"];

    public ImmutableArray<string> PortKeys => ["ledger"];

    public ImmutableArray<string> DirectoryKeys => ["ledger"];

    public ImmutableArray<string> PasswordsNeeded(SectionReader section) => ["LEDGER_TOKEN"];

    public StoreSettings Read(SectionReader section, StoreContext context) =>
        new Settings(this, context, context.Password("LEDGER_TOKEN", section.At))
        {
            Directories =
            [
                new StoreDirectory(
                    "ledger",
                    "postgres-ledger",
                    section.Section("directories").HostPath("ledger", context.MountPoint + "/ledger"),
                    "0711"
                ),
            ],
            Ports =
            [
                new StorePort(section.Section("ports").Port("ledger") ?? 4001, "Ledger's peers", section.Section("ports").Place("ledger")),
                new StorePort(4002, "Ledger's clients", section.At),
            ],
            OpenAccess = ["Open: Ledger"],
        };

    public ImmutableArray<ContainerReadKind> ReadKinds => [];

    public ImmutableArray<Read> Reads(IDeclared resource) => [Question];

    public StoreHealth Judge(IDeclared resource, IReadOnlyDictionary<string, Snapshot> members, IReadOnlyCollection<string> gone)
    {
        var words = members.Values.Select(member => member.Get(Question).Body).FirstOrDefault(body => body.Length > 0)?.Split(' ') ?? [];
        var counted = words.Skip(1).ToImmutableSortedDictionary(word => word.ToLowerInvariant(), word => char.IsLower(word[0]));
        return new StoreHealth(
            words.FirstOrDefault(),
            counted.Count(pair => pair.Value) - 1,
            counted.Count - 1,
            [],
            [],
            [
                .. counted
                    .Where(pair => !pair.Value && !gone.Contains(pair.Key))
                    .Select(pair => new HealthProblem(HealthProblemKind.Store, null, $"Ledger: {pair.Key} is away")),
            ]
        )
        {
            Counted = counted,
            OwnMembers = counted.ToImmutableSortedDictionary(pair => pair.Key["peer-".Length..], pair => pair.Value),
        };
    }

    public string? NamespaceOf(IDeclared resource, Snapshot member) => member.Has(Question) ? "service" : null;

    public bool? HasDesiredPassword(IDeclared resource, Snapshot member) => null;

    public bool MustTellPassword(IDeclared resource, Snapshot member) => false;

    public SortedMap<AttributeValue> Desired(IDeclared resource) =>
        Comparable.None.Add(Peers, new(StoreMembership.Text(MembershipOf(resource)!.Wanted)));

    public SortedMap<AttributeValue> Observe(IDeclared resource, StoreHealth health, IReadOnlyCollection<string> withOtherPassword) =>
        Comparable.None.Add(Peers, new(StoreMembership.Text(health.Counted.Keys)));

    public StoreMembership? MembershipOf(IDeclared resource) =>
        new([.. resource.Spec.List(Peers)], resource.Spec.Map(StoreMembership.OtherHostsAttribute));

    public string AddressOf(IDeclared resource, Host host) => "peer-" + host.Name;

    public PortRead ListenerOf(IDeclared resource, Host host) => new(host.Address, 4001);

    public Script Add(IDeclared resource, string address) => new("ledger add " + address);

    public Script Forget(IDeclared resource, string address) => new("ledger forget " + address);

    private sealed record Settings(IConsensusStore Kind, StoreContext Context, SecretText Token) : StoreSettings(Kind)
    {
        public override SecretText PatroniFragment(Host member) =>
            new([new("ledger:\n  peer: " + AddressOf(member) + "\n  token: ", false), .. Token.Parts]);

        public override ImmutableArray<string> StartSettings(Host member, string dataDirectory) => [dataDirectory, Token.Reveal()];

        public override ImmutableArray<(string Name, object? Value)> ClusterAttributes(Func<ImmutableArray<string>, string> fingerprint) =>
            [
                (Peers, (IReadOnlyList<string>)[.. Context.Members.Select(AddressOf)]),
                (TokenAttribute, fingerprint([Context.Scope, Token.Reveal()])),
            ];

        public override string AddressOf(Host host) => "peer-" + host.Name;

        public override StoreSettings Of(ImmutableArray<Host> members) => this with { Context = Context with { Members = members } };
    }
}
