using System.Collections.Immutable;

namespace KeyBuzz.Reconciler.Hosts;

/// <summary>Connections that must get through: from each of some places to each of some others, never to itself.</summary>
/// <param name="Protocol">The protocol's name in /etc/protocols, such as <c>tcp</c>.</param>
/// <param name="Port">The port that they are made to; 0 for a protocol without ports.</param>
/// <param name="Purpose">What they are for, in a few words.</param>
/// <param name="From">Where they come from.</param>
/// <param name="To">Where they go to.</param>
public sealed record Traffic(string Protocol, int Port, string Purpose, ImmutableArray<TrafficEnd> From, ImmutableArray<TrafficEnd> To)
{
    /// <summary>The protocol of most connections.</summary>
    public const string Tcp = "tcp";

    /// <summary>The protocol of single packets.</summary>
    public const string Udp = "udp";

    /// <summary>TCP connections from some hosts to others.</summary>
    public static Traffic Between(IEnumerable<Host> from, IEnumerable<Host> to, int port, string purpose) =>
        new(Tcp, port, purpose, [.. from.Select(TrafficEnd.Of)], [.. to.Select(TrafficEnd.Of)]);
}

/// <summary>One end of a connection.</summary>
/// <param name="Name">A host's name, or what is there, such as <c>clients</c>.</param>
/// <param name="Network">Its address or network; empty for any.</param>
/// <param name="IsHost">Whether it is a host of the file.</param>
public sealed record TrafficEnd(string Name, string Network, bool IsHost = false)
{
    /// <summary>A host of the file.</summary>
    public static TrafficEnd Of(Host host)
    {
        ArgumentNullException.ThrowIfNull(host);
        return new TrafficEnd(host.Name, host.Address, true);
    }
}
