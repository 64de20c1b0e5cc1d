using System.Text.Json;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.ConfigFile;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.ConsensusStore.Raft;

/// <summary>RAFT's members: host and port. A started member adds itself.</summary>
public static class RaftMembership
{
    /// <summary>The attribute of the members that RAFT should count.</summary>
    public const string Attribute = "raft_members";

    /// <summary>The attribute of the port.</summary>
    public const string PortAttribute = "raft_port";

    /// <summary>The default port.</summary>
    public const int DefaultPort = 7000;

    /// <summary>The declared members of a resource; null when it declares none.</summary>
    public static StoreMembership? Of(IDeclared resource) =>
        resource is null || !resource.Spec.Has(Attribute)
            ? null
            : new StoreMembership([.. resource.Spec.List(Attribute)], resource.Spec.Map(StoreMembership.OtherHostsAttribute));

    /// <summary>The port of RAFT.</summary>
    public static int PortOf(IDeclared resource) => (int)(resource?.Spec.Integer(PortAttribute) ?? DefaultPort);

    /// <summary>A host's address in RAFT.</summary>
    public static string AddressOf(Host host, int port)
    {
        ArgumentNullException.ThrowIfNull(host);
        return ConfigText.Endpoint(host.Address, port);
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
