using System.Collections.Immutable;

namespace KeyBuzz.Reconciler.Hosts;

/// <summary>Settles how hosts are reached. Connects to nothing.</summary>
public interface IHostRoutes
{
    /// <summary>The way to a host. Throws <see cref="HostException"/> where it cannot be settled.</summary>
    Task<HostRoute> ResolveAsync(Host host, CancellationToken cancellationToken);
}

/// <summary>A machine on the way to a host, or the host itself.</summary>
/// <param name="Name">Its name, as one would type it.</param>
/// <param name="Hostname">The name or address that is connected to, as seen from the machine before it.</param>
/// <param name="Port">The TCP port.</param>
public sealed record HostStop(string Name, string Hostname, int Port);

/// <summary>The way to a host.</summary>
/// <param name="Target">The host.</param>
/// <param name="Jumps">The jump hosts before it, the first one first.</param>
public sealed record HostRoute(HostStop Target, ImmutableArray<HostStop> Jumps);
