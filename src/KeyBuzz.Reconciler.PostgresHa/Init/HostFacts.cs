using System.Buffers;
using System.Collections.Immutable;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Numerics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.Http;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Providers.PostgreSql;

namespace KeyBuzz.Reconciler.PostgresHa.Init;

/// <summary>What a host knows of itself that a new cluster file needs. Pure: the answers come from elsewhere.</summary>
public sealed record HostFacts
{
    private static readonly string[] s_configurations =
    [
        "/etc/patroni/patroni.yml",
        "/etc/patroni.yml",
        "/opt/keybuzz/patroni/config/patroni.yml",
        "/opt/keybuzz/patroni/patroni.yml",
    ];

    // Interfaces of container networks, by how their names begin.
    private static readonly string[] s_bridges = ["docker", "br-", "veth", "virbr", "cni", "flannel", "lo"];

    private static readonly SearchValues<char> s_word = SearchValues.Create(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._/-"
    );

    private static readonly FileRead s_addresses = new("/proc/net/fib_trie");
    private static readonly FileRead s_routes = new("/proc/net/route");
    private static readonly DisksRead s_disks = new();
    private static readonly MountsRead s_mounts = new();
    private static readonly ContainerRead s_container = new(PostgresTopology.PatroniContainer);

    // On its own address, or on all: the host may have been named otherwise than by its address.
    private static readonly HttpRead[] s_patroni =
    [
        new(HttpRead.OwnAddress, ClusterDefaults.RestPort, "/patroni"),
        new("127.0.0.1", ClusterDefaults.RestPort, "/patroni"),
    ];

    /// <summary>Its private addresses, but for those of container networks.</summary>
    public ImmutableArray<string> PrivateAddresses { get; init; } = [];

    /// <summary>The networks that its interfaces lead to, without the default one.</summary>
    public ImmutableArray<NetworkRoute> Routes { get; init; } = [];

    /// <summary>Its empty disks.</summary>
    public ImmutableArray<DiskState> EmptyDisks { get; init; } = [];

    /// <summary>The volume that is mounted where the data is to be, or where the runbook mounts it; null for none.</summary>
    public MountedVolume? Volume { get; init; }

    /// <summary>The Patroni that runs on it; null for none.</summary>
    public FoundPatroni? Patroni { get; init; }

    /// <summary>The reads that answer it.</summary>
    public static IReadOnlyCollection<Read> Reads { get; } =
    [s_addresses, s_routes, s_disks, s_mounts, s_container, .. s_patroni, .. s_configurations.Select(path => new FileRead(path))];

    /// <summary>What the answers say.</summary>
    public static HostFacts Of(Snapshot snapshot)
    {
        ArgumentNullException.ThrowIfNull(snapshot);
        var disks = snapshot.Get(s_disks);
        var routes = RoutesOf(snapshot.Get(s_routes)?.Text ?? "");
        return new HostFacts
        {
            PrivateAddresses = AddressesOf(snapshot.Get(s_addresses)?.Text ?? "", routes),
            Routes = routes,
            EmptyDisks = [.. disks.Where(disk => disk.IsEmpty)],
            Volume = VolumeOf(disks, snapshot.Get(s_mounts)),
            Patroni = PatroniOf(snapshot),
        };
    }

    /// <summary>The interface by which it reaches an IPv4 address of a network that it is on; null for none.</summary>
    public string? InterfaceTo(string address) =>
        IPAddress.TryParse(address, out var parsed) && parsed.AddressFamily == AddressFamily.InterNetwork
            ? Routes.Where(route => route.Leads(parsed)).MaxBy(route => BitOperations.PopCount(route.Mask))?.Interface
            : null;

    /// <summary>The name of a disk that stays: of several under by-id the one that a person recognises.</summary>
    public static string StableName(DiskState disk)
    {
        ArgumentNullException.ThrowIfNull(disk);
        return disk.Names.OrderBy(name =>
                name.Contains("/wwn-", StringComparison.Ordinal) || name.Contains("-eui.", StringComparison.Ordinal)
            )
            .ThenBy(name => name.Length)
            .ThenBy(name => name, StringComparer.Ordinal)
            .FirstOrDefault()
            ?? disk.Path;
    }

    private static ImmutableArray<NetworkRoute> RoutesOf(string routes) =>
        [
            .. routes
                .Split('\n')
                .Skip(1)
                .Select(line => line.Split('\t', StringSplitOptions.TrimEntries))
                .Where(cells => cells.Length > 7)
                .Select(cells => new NetworkRoute(cells[0], Number(cells[1]), Number(cells[7])))
                .Where(route => route.Mask != 0),
        ];

    // In the order of the network's bytes, as the machine's own numbers have them.
    private static uint Number(string hex) =>
        uint.TryParse(hex, NumberStyles.HexNumber, CultureInfo.InvariantCulture, out var number) ? number : 0;

    // The kernel's own table of local addresses, since there may be no `ip`; the routes say which belong to bridges of containers.
    private static ImmutableArray<string> AddressesOf(string trie, ImmutableArray<NetworkRoute> routes)
    {
        var bridges = routes.Where(route => s_bridges.Any(prefix => route.Interface.StartsWith(prefix, StringComparison.Ordinal))).ToList();
        var found = new SortedSet<string>(StringComparer.Ordinal);
        var last = "";
        foreach (var line in trie.Split('\n').Select(line => line.Trim()))
        {
            if (line.StartsWith("|-- ", StringComparison.Ordinal))
            {
                last = line[4..];
            }
            else if (
                line == "/32 host LOCAL"
                && IPAddress.TryParse(last, out var address)
                && IsPrivate(address)
                && !bridges.Exists(route => route.Leads(address))
            )
            {
                found.Add(last);
            }
        }

        return [.. found];
    }

    /// <summary>Whether an address is of a private network.</summary>
    public static bool IsPrivate(IPAddress address)
    {
        ArgumentNullException.ThrowIfNull(address);
        return address.AddressFamily == AddressFamily.InterNetwork
            && address.GetAddressBytes() is var bytes
            && (
                bytes[0] == 10
                || (bytes[0] == 172 && bytes[1] is >= 16 and < 32)
                || (bytes[0] == 192 && bytes[1] == 168)
                || (bytes[0] == 100 && bytes[1] is >= 64 and < 128)
            );
    }

    private static MountedVolume? VolumeOf(IReadOnlyList<DiskState> disks, IReadOnlyList<MountEntry> mounts)
    {
        foreach (var point in new[] { ClusterFile.MountPoint, ClusterFile.MountPoint + "/data" })
        {
            if (mounts.LastOrDefault(mount => mount.MountPoint == point) is { } mount)
            {
                var disk = disks.FirstOrDefault(disk => disk.DeviceNumber == mount.DeviceNumber);
                return disk is null && !mount.Source.StartsWith("/dev/", StringComparison.Ordinal)
                    ? null
                    : new MountedVolume(disk is null ? mount.Source : StableName(disk), point);
            }
        }

        return null;
    }

    // Only two keys of patroni.yml are taken: it holds passwords.
    private static FoundPatroni? PatroniOf(Snapshot snapshot)
    {
        var container = snapshot.Get(s_container).Status == 200;
        var json = s_patroni
            .Select(snapshot.Get)
            .Where(answer => answer.Status is > 0 and < 504)
            .Select(answer => JsonAnswer.Parse(answer.Body))
            .FirstOrDefault(body => body is not null);
        var text = s_configurations.Select(path => snapshot.Get(new FileRead(path))?.Text).FirstOrDefault(text => text is not null);
        var scope = json?.At("patroni")?.Text("scope") ?? (container ? Key(text, "scope") : null);
        if (!container && scope is null)
        {
            return null;
        }

        var version = json?.Number("server_version");
        return new FoundPatroni(scope, text is null ? null : Key(text, "namespace") ?? ClusterIdentity.DefaultNamespace)
        {
            Version = version is >= 100_000 ? (int)(version / 10_000) : null,
            IsInContainer = container,
        };
    }

    // The value of a top-level key: one word, plain or quoted, and perhaps a comment behind it.
    private static string? Key(string? text, string key)
    {
        var line = text?.Split('\n').FirstOrDefault(line => line.StartsWith(key + ":", StringComparison.Ordinal));
        var value = line?[(key.Length + 1)..].Trim(' ', '\t', '\r') ?? "";
        var quote = value is ['\'' or '"', ..] ? value[..1] : "";
        value = value[quote.Length..];
        var end = value.AsSpan().IndexOfAnyExcept(s_word);
        var (word, rest) = end < 0 ? (value, "") : (value[..end], value[end..]);
        return
            word.Length > 0
            && rest.StartsWith(quote, StringComparison.Ordinal)
            && rest[quote.Length..].TrimStart(' ', '\t') is "" or ['#', ..]
            ? word
            : null;
    }
}

/// <summary>A network that an interface leads to; the numbers as the machine reads the network's bytes.</summary>
/// <param name="Interface">The interface.</param>
/// <param name="Network">The network.</param>
/// <param name="Mask">Its mask.</param>
public sealed record NetworkRoute(string Interface, uint Network, uint Mask)
{
    /// <summary>Whether an IPv4 address is in the network.</summary>
    public bool Leads(IPAddress address)
    {
        ArgumentNullException.ThrowIfNull(address);
        return (BitConverter.ToUInt32(address.GetAddressBytes()) & Mask) == Network;
    }
}

/// <summary>A volume that is in use for the data already.</summary>
/// <param name="Device">Its device.</param>
/// <param name="MountPoint">Where it is mounted.</param>
public sealed record MountedVolume(string Device, string MountPoint);

/// <summary>A Patroni that runs on a host already.</summary>
/// <param name="Scope">Its name of the cluster; null where it does not say.</param>
/// <param name="Namespace">Its namespace; null where its patroni.yml was not found.</param>
public sealed record FoundPatroni(string? Scope, string? Namespace)
{
    /// <summary>PostgreSQL's major version; null where it does not say.</summary>
    public int? Version { get; init; }

    /// <summary>Whether it runs in the container <c>patroni</c>.</summary>
    public bool IsInContainer { get; init; }
}
