using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Resources;

/// <summary>A type whose resources make their host connect to places that are no hosts of the file.</summary>
public interface IReachesOut
{
    /// <summary>The connections of a resource that is placed on a host; their <see cref="Traffic.From"/> is that host.</summary>
    IEnumerable<Traffic> Outgoing(Resource resource, Host host);
}
