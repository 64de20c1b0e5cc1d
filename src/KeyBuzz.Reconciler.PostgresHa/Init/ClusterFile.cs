using System.Globalization;
using System.Text;
using KeyBuzz.Reconciler.Providers.ConsensusStore;
using KeyBuzz.Reconciler.Providers.PatroniCluster;

namespace KeyBuzz.Reconciler.PostgresHa.Init;

/// <summary>Writes a new cluster.yaml: the keys that a reader looks for, each with the reason for its value.</summary>
public static class ClusterFile
{
    /// <summary>Where the volume is mounted unless the file says otherwise.</summary>
    public const string MountPoint = "/opt/keybuzz/postgres";

    private const int MaxConnections = 100;

    // Of those, PostgreSQL reserves 3, and 10 are for Patroni, kbr and people.
    private const int Reserved = 13;

    /// <summary>The text.</summary>
    /// <param name="made">What it says.</param>
    /// <param name="schema">The JSON schema for editors, relative to the file; null for none.</param>
    /// <param name="identityFile">The private key; null for those of OpenSSH's configuration.</param>
    public static string Render(NewCluster made, string? schema, string? identityFile)
    {
        ArgumentNullException.ThrowIfNull(made);
        var text = new StringBuilder();
        var (db, lb) = (Role(made, "db", "postgres", "members"), Role(made, "lb", "proxy", "proxies"));
        if (schema is not null)
        {
            Line($"# yaml-language-server: $schema={schema}");
        }

        Line($"# PostgreSQL HA: {made.Members.Length} under Patroni, and HAProxy and PgBouncer on {made.Proxies.Length} in front of them.");
        Line("# docs/cluster-yaml.md explains every key. Check it with: kbr validate");
        Line("version: 1");
        Line($"cluster: {YamlText.Scalar(made.Name)}");
        Line("");
        Line("# What works as `ssh HOST` works here: ~/.ssh/config, the agent and known_hosts count (docs/ssh.md).");
        if (identityFile is not null)
        {
            Line("ssh:");
            Line($"  identity_file: {YamlText.Scalar(identityFile)}");
        }

        Line("");
        Line("# 'address' is the private address, which the hosts use among themselves. Any member may be the primary.");
        Line("hosts:");
        foreach (var (host, role) in made.Members.Select(host => (host, db)).Concat(made.Proxies.Select(host => (host, lb))))
        {
            if (host.Address.Note.Length > 0)
            {
                Line($"  # TODO: {YamlText.Comment(host.Address.Note)}");
            }

            Line($"  {YamlText.Scalar(host.Name)}: {{ role: {role}, address: {YamlText.Scalar(host.Address.Text ?? "TODO")}{Ssh(host)} }}");
        }

        Line("");
        Line("# User names and passwords. kbr init --credentials adds what is missing.");
        Line("secrets:");
        Line("  file: credentials/postgres.env");
        Line("");
        Line("# What each host must have before kbr touches it.");
        Line("preconditions: { swap: error, docker: error, clock: error }");
        Line("");
        Line("postgres:");
        Line($"  version: {made.Version.ToString(CultureInfo.InvariantCulture)}");
        Line($"  members: {db}");
        Line($"  proxies: {lb}");
        Adopted(made, Line);
        Line("");
        if (made.Choices.LoadBalancer is { } balancer)
        {
            Line("  # What applications connect to. Its targets are the proxies: TCP 5432 and 6432.");
            Line($"  load_balancer: {{ address: {YamlText.Scalar(balancer)} }}");
        }
        else if (made.VirtualAddress is { } held)
        {
            Line("  # What applications connect to: one of the proxies holds it, and another takes over.");
            Line("  virtual_ip:");
            Line($"    address: {YamlText.Scalar(held.Address)}");
            if (held.Interface.Note.Length > 0)
            {
                Line($"    # TODO: {YamlText.Comment(held.Interface.Note)}");
            }

            Line($"    interface: {YamlText.Scalar(held.Interface.Text ?? "TODO")}");
            Image("    ", made.Choices.KeepalivedImage, "keepalived", "kbr images build keepalived");
        }
        else
        {
            Line("  # Without a load balancer applications name every proxy; kbr connect --print shows how.");
            Line("  # load_balancer: { address: 10.0.0.10 }");
        }

        Line("");
        Image("  ", made.Choices.Image, "patroni", "kbr images build");
        Line("");
        Line("  # The volume of each member. kbr makes a file system only on an empty device.");
        Line("  volume:");
        Line("    device:");
        foreach (var host in made.Members)
        {
            var device = host.Device ?? new NewValue(null);
            if (device.Note.Length > 0)
            {
                Line($"      # {(device.Text is null ? "TODO: " : "")}{host.Name}: {YamlText.Comment(device.Note)}");
            }

            Line($"      {YamlText.Scalar(host.Name)}: {YamlText.Scalar(device.Text ?? "/dev/disk/by-id/TODO")}");
        }

        if (made.MountPoint is { } point)
        {
            Line($"    mount_point: {YamlText.Scalar(point)}");
        }

        Line("    prevent_destroy: true");
        Line("");
        Line("  # A failover takes ttl + 3 s at most. 20, 5 and 5 are faster, and bear shorter hiccups of the network.");
        Line("  dynamic: { ttl: 30, loop_wait: 10, retry_timeout: 10, maximum_lag_on_failover: 1MiB }");
        Line("  # true: no acknowledged write is lost in a failover; each commit waits for a replica.");
        Line("  synchronous: false");
        if (made.Found is null)
        {
            Line("  # Clients that ask for TLS get it (docs/tls.md). kbr init --credentials makes the authority.");
            Line("  tls: offered");
        }

        Line("  parameters:");
        Line($"    max_connections: {MaxConnections.ToString(CultureInfo.InvariantCulture)}");
        Line("    shared_buffers: 256MB");
        if (made.Found is null)
        {
            Line("    # Of the volume: a replication slot without a consumer holds no more WAL than this.");
            Line("    max_slot_wal_keep_size: 30%");
        }

        Line("  # extensions: [vector]");
        Line("");
        Line("  haproxy:");
        Image("    ", made.Choices.HaproxyImage, "haproxy");
        Line("");
        Line("  pgbouncer:");
        Image("    ", made.Choices.PgBouncerImage, "pgbouncer");
        Line("    pool_mode: transaction");
        Line("    # Of each PgBouncer: together they must leave room for Patroni, kbr and people.");
        var most = Math.Max(1, (MaxConnections - Reserved) / Math.Max(1, made.Proxies.Length));
        Line($"    max_db_connections: {most.ToString(CultureInfo.InvariantCulture)}");
        return text.ToString();

        void Line(string line) => text.Append(line).Append('\n');

        void Image(string indent, string? image, string service, string command = "kbr images build")
        {
            if (image is null)
            {
                Line($"{indent}# TODO: run {command}, which makes this archive; or name an image of a registry, with tag and digest.");
            }

            Line($"{indent}image: {(image is null ? $"{{ archive: images/{service}.tar }}" : YamlText.Scalar(image))}");
        }
    }

    // The keys by which a cluster that is there already is recognised as this one.
    private static void Adopted(NewCluster made, Action<string> line)
    {
        if (made.Found is not { } found)
        {
            return;
        }

        line("");
        line("  # A cluster runs already, and these keys make it this one (docs/adopting.md). Write the user names as they are there into");
        line("  # the credentials file, and the parameters that need a restart with their present values below.");
        if (found.Scope is { } scope && scope != made.Name)
        {
            line($"  scope: {YamlText.Scalar(scope)}");
        }

        if (found.Namespace is not null && ClusterIdentity.Normal(found.Namespace) != ClusterIdentity.DefaultNamespace)
        {
            line($"  namespace: {YamlText.Scalar(found.Namespace)}");
        }
        else if (found.Namespace is null)
        {
            line("  # TODO: compare with 'namespace' of the running patroni.yml, which was not found.");
        }

        foreach (var (comment, own) in ConsensusStores.Known.Default.AdoptionLines)
        {
            line($"  # {comment}");
            line($"  {own}");
        }
    }

    private static string Ssh(NewHost host)
    {
        var inventory = host.Inventory;
        List<string> keys = [];
        if (host.SshHost is { } target && target != host.Address.Text)
        {
            keys.Add($"host: {YamlText.Scalar(target)}");
        }

        if (inventory.Port is { } port)
        {
            keys.Add($"port: {port.ToString(CultureInfo.InvariantCulture)}");
        }

        if (inventory.User is { } user)
        {
            keys.Add($"user: {YamlText.Scalar(user)}");
            keys.Add("sudo: true");
        }

        return keys.Count == 0 ? "" : $", ssh: {{ {string.Join(", ", keys)} }}";
    }

    // A role may not have the name of a host, nor of the cluster.
    private static string Role(NewCluster made, params string[] words)
    {
        string[] taken =
        [
            made.Name,
            made.Name + "-proxies",
            made.Found?.Scope ?? "",
            .. made.Members.Concat(made.Proxies).Select(host => host.Name),
        ];
        return Array.Find(words, word => !taken.Contains(word)) ?? words[0] + "-hosts";
    }
}
