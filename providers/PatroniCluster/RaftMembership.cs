using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.PatroniCluster;

/// <summary>RAFT's counted members compared with the declared ones. A stopped member counts until it is removed from RAFT; a started one
/// adds itself. Pure.</summary>
/// <param name="Wanted">The addresses of the members.</param>
/// <param name="OtherHosts">Hosts outside the cluster, by the address they would have.</param>
/// <param name="Port">The port of RAFT.</param>
public sealed record RaftMembership(ImmutableSortedSet<string> Wanted, IReadOnlyDictionary<string, string> OtherHosts, int Port)
{
    /// <summary>The attribute of the members that RAFT should count.</summary>
    public const string Attribute = "raft_members";

    /// <summary>The attribute that names hosts which are no members.</summary>
    public const string OtherHostsAttribute = "other_hosts";

    /// <summary>The declared members of a resource; null when it declares none.</summary>
    public static RaftMembership? Of(Resource resource) =>
        resource is null || !resource.Spec.Has(Attribute)
            ? null
            : new RaftMembership([.. resource.Spec.List(Attribute)], resource.Spec.Map(OtherHostsAttribute), PortOf(resource));

    /// <summary>The port of RAFT.</summary>
    public static int PortOf(Resource resource) => (int)(resource?.Spec.Integer("raft_port") ?? 7000);

    /// <summary>A host's address in RAFT.</summary>
    public static string AddressOf(Host host, int port)
    {
        ArgumentNullException.ThrowIfNull(host);
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{(host.Address.Contains(':', StringComparison.Ordinal) ? $"[{host.Address}]" : host.Address)}:{port}"
        );
    }

    /// <summary>The value that is compared.</summary>
    public static string Text(IEnumerable<string> addresses) => string.Join(", ", addresses.Order(StringComparer.Ordinal));

    /// <summary>Counted and connected addresses that are not declared.</summary>
    public IEnumerable<Outsider> Outsiders(RaftHealth raft)
    {
        ArgumentNullException.ThrowIfNull(raft);
        return raft
            .Counted.Where(pair => pair.Value && !Wanted.Contains(pair.Key))
            .Select(pair => new Outsider(pair.Key, OtherHosts.GetValueOrDefault(pair.Key)));
    }

    /// <summary>Counted addresses that are not declared.</summary>
    /// <param name="raft">RAFT as it is.</param>
    /// <param name="staying">Addresses that are still to be taken down.</param>
    public IReadOnlyList<string> Strays(RaftHealth raft, IReadOnlyCollection<string> staying)
    {
        ArgumentNullException.ThrowIfNull(raft);
        ArgumentNullException.ThrowIfNull(staying);
        return [.. raft.Counted.Keys.Where(address => !Wanted.Contains(address) && !staying.Contains(address))];
    }

    /// <summary>Members that answer and are not counted; empty while RAFT has no leader.</summary>
    public IReadOnlyList<Host> Uncounted(RaftHealth raft, IEnumerable<Host> answering)
    {
        ArgumentNullException.ThrowIfNull(raft);
        ArgumentNullException.ThrowIfNull(answering);
        return raft.Counted.IsEmpty
            ? []
            :
            [
                .. answering.Where(host =>
                    AddressOf(host, Port) is var address && Wanted.Contains(address) && !raft.Counted.ContainsKey(address)
                ),
            ];
    }

    /// <summary>The script that makes RAFT count an address or forget it, run on a member that takes part. The password is read inside the
    /// container, from the file that Patroni was started with.</summary>
    /// <param name="container">The container that runs Patroni.</param>
    /// <param name="command"><c>add</c> or <c>remove</c>.</param>
    /// <param name="address">The address.</param>
    public static Script Change(string container, string command, string address) =>
        new(
            $"""
            timeout 30 docker exec -i {Script.Quote(container)} python3 - 2>&1 <<'KBR_RAFT_END'
            {RaftProgram.Connect}
            answer = utility.executeCommand(endpoint, ["{command}", "{JsonEncodedText.Encode(address)}"])
            print(answer)
            sys.exit(0 if str(answer).startswith("SUCCESS") else 1)
            KBR_RAFT_END

            """
        );
}
