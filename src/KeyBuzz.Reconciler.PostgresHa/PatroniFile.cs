using System.Net;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa.Sections;
using KeyBuzz.Reconciler.Providers.ConfigFile;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Providers.PatroniConfig;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.PostgresHa;

/// <summary>Renders a member's patroni.yml (https://patroni.readthedocs.io/en/latest/yaml_configuration.html). It has the member's own
/// settings; the shared ones are Patroni's dynamic configuration.</summary>
internal static class PatroniFile
{
    /// <summary>The ending of its name.</summary>
    public const string Ending = ".yml";

    /// <summary>Its directory in the container.</summary>
    public const string Directory = "/etc/patroni";

    /// <summary>The line by which PostgreSQL offers TLS.</summary>
    public const string TlsOn = "ssl: 'on'";

    /// <summary>The kind of rule that refuses a connection without TLS.</summary>
    public const string TlsOnly = "hostssl";

    /// <summary>The user that PostgreSQL runs as in the image; the local socket lets it in as the superuser.</summary>
    private const string SystemUser = "postgres";

    private const string Map = "kbr";

    /// <summary>The file, and its fingerprint in the tag <see cref="PatroniReload.Tag"/>, by which Patroni reports that it has loaded
    /// it.</summary>
    public static (SecretText Text, string Tag) Render(PostgresTopology topology, RoleVerifier verifier, Host member)
    {
        var text = Text(topology, member);
        var tag = verifier.Fingerprint("patroni.yml", text.Reveal());
        return (ConfigText.Of($"{text}  {PatroniReload.Tag}: {Quoted(tag)}\n"), tag);
    }

    // Its last section is the tags.
    private static SecretText Text(PostgresTopology topology, Host member) =>
        ConfigText.Of(
            $"""
            # Written by kbr for {member.Name}; a change by hand is drift.
            scope: {topology.Scope}{Namespace(topology)}
            name: {member.Name}

            restapi:
              # It takes one address: that where HAProxy and the other members ask, and kbr on the member itself.
              listen: {Quoted(Endpoint(member.Address, topology.Ports.Rest))}
              connect_address: {Quoted(Endpoint(member.Address, topology.Ports.Rest))}
              authentication:
                username: {Quoted(topology.Rest.Name)}
                password: {ConfigText.Quoted(topology.Rest.Password)}

            {topology.Store.PatroniFragment(member)}
            {Bootstrap(topology, member)}
            postgresql:{ReplicaMethods(topology)}
              listen: {Quoted($"{member.Address},127.0.0.1:{topology.Ports.Postgres}")}
              connect_address: {Quoted(Endpoint(member.Address, topology.Ports.Postgres))}
              data_dir: {Quoted(topology.Directories.DataDirectory)}
              pgpass: /tmp/pgpass
              use_unix_socket: true
              authentication:
                superuser:
                  username: {Quoted(topology.Superuser.Name)}
                  password: {ConfigText.Quoted(topology.Superuser.Password)}{Verified(topology)}
                replication:
                  username: {Quoted(topology.Replication.Name)}
                  password: {ConfigText.Quoted(topology.Replication.Password)}{Verified(topology)}
              parameters:
                unix_socket_directories: {Quoted(PostgresTopology.PostgresSocketDirectory)}{Tls(topology)}
              pg_hba:{Lines(AccessRules(topology))}
              pg_ident:
                - {Quoted($"{Map} {SystemUser} {InAccessRule(topology.Superuser.Name)}")}
              basebackup:
                - max-rate: 100M
                - checkpoint: fast

            watchdog:
              mode: 'off'

            tags:
              nofailover: false
              noloadbalance: false
              clonefrom: false
              nosync: false

            """
        );

    // One file, so that certificate and key are replaced at once. It is each member's own, so it is not in the dynamic configuration.
    private static string Tls(PostgresTopology topology) =>
        topology.Tls is null
            ? ""
            : $"""

                    {TlsOn}
                    ssl_cert_file: {Quoted($"{Directory}/{TlsSettings.FileName}")}
                    ssl_key_file: {Quoted($"{Directory}/{TlsSettings.FileName}")}
                    ssl_min_protocol_version: 'TLSv1.2'
                """;

    // Without it libpq uses TLS where the other member offers it. Addresses in certificates are known to libpq since 15.
    private static string Verified(PostgresTopology topology) =>
        topology.Tls is not { HopsRequired: true }
            ? ""
            : $"""

                      sslmode: {(topology.Version < 15 ? "verify-ca" : "verify-full")}
                      sslrootcert: {Quoted($"{Directory}/{TlsSettings.AuthorityFileName}")}
                """;

    // Patroni's own default is left out, as in files that were written before there was a choice.
    private static string Namespace(PostgresTopology topology) =>
        topology.Namespace == ClusterIdentity.DefaultNamespace ? "" : $"\nnamespace: {Quoted(topology.Namespace)}";

    // Of those that fail the next one is tried.
    private static string ReplicaMethods(PostgresTopology topology) =>
        topology.Backup is not { ReplicasFromRepository: true }
            ? ""
            : $"""

                  create_replica_methods:
                    - repository
                    - basebackup
                  repository:
                    command: {Quoted($"python3 {Directory}/{BackupSection.Tool.ReplicaProgramName}")}
                """;

    // Only one member may make the database when there is none: otherwise it is a race who does.
    private static SecretText Bootstrap(PostgresTopology topology, Host member) =>
        member.Name != topology.FirstLeader
            ? SecretText.Plain("")
            : ConfigText.Of(
                $"""

                bootstrap:
                  # Counts only while there is no database; from then on the dynamic configuration is kbr's patroni_config.
                  dcs:{Settings(topology)}
                  initdb:
                    - encoding: UTF8
                    - locale: {Quoted(topology.Locale)}
                    - data-checksums

                """
            );

    private static string Settings(PostgresTopology topology)
    {
        const string Postgres = "postgresql.";
        const string Parameters = Postgres + "parameters.";
        // A slot comes with the dynamic configuration, when the database it may be in can follow; so does a part of a volume, whose size is
        // not known here.
        var top = topology
            .Settings.Where(pair =>
                !pair.Key.StartsWith(Postgres, StringComparison.Ordinal)
                && !pair.Key.StartsWith("slots.", StringComparison.Ordinal)
                && pair.Key != "ignore_slots"
            )
            .Select(pair => $"\n    {pair.Key}: {Scalar(pair.Value)}");
        var postgres = topology
            .Settings.Where(pair =>
                pair.Key.StartsWith(Postgres, StringComparison.Ordinal) && !pair.Key.StartsWith(Parameters, StringComparison.Ordinal)
            )
            .Select(pair => $"\n      {pair.Key[Postgres.Length..]}: {Scalar(pair.Value)}");
        var parameters = topology
            .Settings.Where(pair =>
                pair.Key.StartsWith(Parameters, StringComparison.Ordinal) && VolumeShare.PercentOfKey(pair.Key, pair.Value) is null
            )
            .Select(pair => $"\n        {pair.Key[Parameters.Length..]}: {Scalar(pair.Value)}");
        return string.Concat([.. top, "\n    postgresql:", .. postgres, "\n      parameters:", .. parameters]);
    }

    // Numbers and truths as such, as the REST API will give them back; everything else is a string.
    private static string Scalar(string value) =>
        ValueSyntax.TryParseInteger(value, out _) || value is "true" or "false" ? value : Quoted(value);

    // Applications come through HAProxy, so what PostgreSQL sees is a proxy's address. The load balancer itself never connects to a member:
    // one that is set up to do so by mistake is not let in.
    private static IEnumerable<string> AccessRules(PostgresTopology topology)
    {
        var superuser = InAccessRule(topology.Superuser.Name);
        var replication = InAccessRule(topology.Replication.Name);
        yield return $"local all all peer map={Map}";
        yield return "host all all 127.0.0.1/32 scram-sha-256";
        yield return $"host replication {replication} 127.0.0.1/32 scram-sha-256";
        var hop = topology.Tls is { HopsRequired: true } ? TlsOnly : "host";
        foreach (var member in topology.Members)
        {
            yield return $"{hop} replication {replication} {Single(member.Address)} scram-sha-256";
            // pg_rewind connects as the superuser.
            yield return $"{hop} all {superuser} {Single(member.Address)} scram-sha-256";
        }

        if (topology.SuperuserLogin == SuperuserLogin.Members)
        {
            // The first line that fits decides: the members have theirs above.
            yield return $"host all {superuser} all reject";
        }

        if (topology.Tls is { HopsRequired: true, ClientsRequired: false })
        {
            // The line of a network that members are in would let them in without TLS.
            foreach (var member in topology.Members.Where(member => topology.Networks.Any(network => Contains(network, member.Address))))
            {
                yield return $"hostnossl all all {Single(member.Address)} reject";
            }
        }

        var client = topology.Tls is { ClientsRequired: true } ? TlsOnly : "host";
        foreach (var place in topology.Proxies.Select(proxy => Single(proxy.Address)).Concat(topology.Networks))
        {
            yield return $"{client} all all {place} scram-sha-256";
        }
    }

    // In quotes a word such as all is a name like others.
    private static string InAccessRule(string name) =>
        name is not ("all" or "replication" or "sameuser" or "samerole" or "samegroup")
        && name.All(letter => char.IsAsciiLetterLower(letter) || char.IsAsciiDigit(letter) || letter is '_' or '-')
            ? name
            : ConfigText.InQuotes(name);

    private static bool Contains(string network, string address) => IPNetwork.Parse(network).Contains(IPAddress.Parse(address));

    private static string Single(string address) => address + (address.Contains(':', StringComparison.Ordinal) ? "/128" : "/32");

    private static string Lines(IEnumerable<string> items) => string.Concat(items.Select(item => $"\n    - {Quoted(item)}"));

    private static string Quoted(string text) => ConfigText.Quoted(text);

    private static string Endpoint(string address, int port) => ConfigText.Endpoint(address, port);
}
