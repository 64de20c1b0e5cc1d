using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.ConsensusStore;

/// <summary>The store through which Patroni elects the primary. Only an implementation knows its product: its part of a
/// member (<see cref="StoreSettings"/>), its reads, its health, and how its members are added and removed. It has no effects: reads and
/// scripts are values that the cluster's executor runs.</summary>
public interface IConsensusStore
{
    /// <summary>The value of <c>postgres.store</c> that chooses it.</summary>
    string Key { get; }

    /// <summary>Its name in output.</summary>
    string Name { get; }

    /// <summary>The name of its service and of its container on each member; null for a store that runs inside of Patroni.</summary>
    string? Service => null;

    /// <summary>How an operator postpones its password, as sentences for the end of an error.</summary>
    string PasswordPostponement { get; }

    /// <summary>The lines of the <c>postgres</c> section, each with a comment, for members that run already and are adopted.</summary>
    ImmutableArray<(string Comment, string Line)> AdoptionLines => [];

    /// <summary>How long members take to connect again by themselves after a cut.</summary>
    TimeSpan Reconnection { get; }

    /// <summary>The settings of the cluster's policy that are its own.</summary>
    ImmutableArray<AttributeDefinition> ClusterAttributes { get; }

    /// <summary>Its attributes of every other type whose gate is the cluster's health.</summary>
    ImmutableArray<AttributeDefinition> GateAttributes { get; }

    /// <summary>The keys of the <c>postgres</c> section that are its own.</summary>
    ImmutableArray<string> SectionKeys { get; }

    /// <summary>The keys of <c>ports</c> that are its own.</summary>
    ImmutableArray<string> PortKeys { get; }

    /// <summary>The keys of <c>directories</c> that are its own.</summary>
    ImmutableArray<string> DirectoryKeys { get; }

    /// <summary>The keys of the map below its own key under <c>store</c>; null for a store that has none.</summary>
    SectionSchema? Own => null;

    /// <summary>Whether a member's patroni.yml says that its Patroni uses this store.</summary>
    bool IsUsedBy(string patroniFile) => false;

    /// <summary>Whether it runs inside of Patroni, so that nobody is elected before a majority of the members has started.</summary>
    bool RunsInPatroni => false;

    /// <summary>The script by which it forgets everything about the cluster while no member uses it: run on every member for a store that
    /// runs inside of Patroni, otherwise on one. Null where a cluster cannot move to it.</summary>
    Script? Clear(IDeclared resource) => null;

    /// <summary>The description of one of its own keys.</summary>
    /// <param name="section"><c>ports</c>, <c>directories</c>, or empty for the <c>postgres</c> section itself.</param>
    /// <param name="key">The key.</param>
    SectionKey Describe(string section, string key) => new(key, ValueForm.Word, $"A setting of the consensus store {Key}.");

    /// <summary>The names in the credentials file of the passwords that a section needs.</summary>
    ImmutableArray<string> PasswordsNeeded(SectionReader section);

    /// <summary>Reads its part of the <c>postgres</c> section, and adds an error for each invalid value.</summary>
    StoreSettings Read(SectionReader section, StoreContext context);

    /// <summary>Its own kinds of read, answered inside of a member's container.</summary>
    ImmutableArray<ContainerReadKind> ReadKinds { get; }

    /// <summary>The reads of the store's status on a member.</summary>
    ImmutableArray<Read> Reads(IDeclared resource);

    /// <summary>The store's health and quorum, from the members' answers to <see cref="Reads"/>.</summary>
    /// <param name="resource">The resource whose members they are.</param>
    /// <param name="members">The answers of each member that was read.</param>
    /// <param name="gone">Addresses of removed members that still count.</param>
    StoreHealth Judge(IDeclared resource, IReadOnlyDictionary<string, Snapshot> members, IReadOnlyCollection<string> gone);

    /// <summary>The path in the store that the member's Patroni uses, as its file spells it; null if it was not read, or not
    /// reported.</summary>
    string? NamespaceOf(IDeclared resource, Snapshot member);

    /// <summary>Whether a member was started with the desired password; null without a password, or if it was not reported.</summary>
    bool? HasDesiredPassword(IDeclared resource, Snapshot member);

    /// <summary>The name of its password in the credentials file; null for none.</summary>
    string? PasswordName => null;

    /// <summary>The directories of a member that hold what its part of the store remembers.</summary>
    ImmutableArray<string> DirectoriesOf(IDeclared resource) => [];

    /// <summary>Whether <see cref="HasDesiredPassword"/> needs the answers to <see cref="Reads"/>.</summary>
    bool MustTellPassword(IDeclared resource, Snapshot member);

    /// <summary>The compared attributes of the cluster's health that are its own, as they should be.</summary>
    SortedMap<AttributeValue> Desired(IDeclared resource);

    /// <summary>The same attributes as they are.</summary>
    /// <param name="resource">The resource.</param>
    /// <param name="health">The store's health.</param>
    /// <param name="withOtherPassword">Members that were started with another password.</param>
    SortedMap<AttributeValue> Observe(IDeclared resource, StoreHealth health, IReadOnlyCollection<string> withOtherPassword);

    /// <summary>The declared members; null when none are declared.</summary>
    StoreMembership? MembershipOf(IDeclared resource);

    /// <summary>A host's address as a member of the store.</summary>
    string AddressOf(IDeclared resource, Host host);

    /// <summary>The port on which a member of the store listens for the others.</summary>
    PortRead ListenerOf(IDeclared resource, Host host);

    /// <summary>The script that adds a member, run on the store's leader.</summary>
    Script Add(IDeclared resource, string address);

    /// <summary>The script that removes a member, run on the store's leader.</summary>
    Script Forget(IDeclared resource, string address);
}
