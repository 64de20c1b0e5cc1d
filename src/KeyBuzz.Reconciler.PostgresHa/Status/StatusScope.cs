using System.Collections.Immutable;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.PostgresHa.Status;

/// <summary>The checks that count for an apply of some resources: those of the changed resources.</summary>
/// <param name="topology">The cluster.</param>
/// <param name="touched">What was changed.</param>
public sealed class StatusScope(PostgresTopology topology, IEnumerable<Address> touched)
{
    private readonly ImmutableArray<Address> _touched = [.. touched];

    /// <summary>The items that what was touched can have changed. Of an item about several hosts only what was touched counts.</summary>
    public ClusterStatus Of(ClusterStatus status)
    {
        ArgumentNullException.ThrowIfNull(status);
        ImmutableArray<StatusItem> items = [.. status.Items.Where(IsConcerned)];
        var first = items.FirstOrDefault(item => item.Verdict != StatusVerdict.Ok);
        return new ClusterStatus(items, status.Conclusion with { Causes = first is null ? [] : [StatusCause.Of(first)] });
    }

    private bool IsConcerned(StatusItem item) =>
        item.Topic switch
        {
            StatusTopic.Hosts => item.Places.IsEmpty || item.Places.Any(place => _touched.Any(address => address.Host == place.Host)),
            StatusTopic.Services => item.Places.IsEmpty
                ? _touched.Any(Runs)
                : item.Places.Any(place => _touched.Any(address => Runs(address) && IsOf(address, place))),
            StatusTopic.Members => _touched.Any(address => address.Host == topology.Scope || IsMember(address)),
            StatusTopic.Configuration => _touched.Any(address => address.Type == "patroni_config"),
            StatusTopic.Extensions => _touched.Any(address =>
                address.Type is "extension" or "database" || (IsMember(address) && Runs(address))
            ),
            StatusTopic.Backups or StatusTopic.Outlook => false,
            _ => _touched.Any(address => IsProxy(address) && IsAbout(address, item.Topic))
                && (item.Places.IsEmpty || item.Places.Any(place => _touched.Any(address => IsOf(address, place)))),
        };

    private bool IsMember(Address address) => topology.Members.Any(host => host.Name == address.Host);

    private bool IsProxy(Address address) => topology.Proxies.Any(host => host.Name == address.Host);

    private static bool Runs(Address address) => address.Type is "container" or "systemd_unit";

    private bool IsOf(Address address, StatusPlace place) => address.Host == place.Host && ServiceOf(address) == place.Service;

    private bool IsAbout(Address address, StatusTopic topic) =>
        ServiceOf(address) switch
        {
            PostgresTopology.HaproxyContainer => topic is StatusTopic.Haproxy or StatusTopic.SqlEndpoints or StatusTopic.VirtualAddress,
            PostgresTopology.PgBouncerContainer => topic is StatusTopic.Pooler or StatusTopic.SqlEndpoints,
            PostgresTopology.KeepalivedContainer => topic is StatusTopic.VirtualAddress or StatusTopic.SqlEndpoints,
            _ => false,
        };

    // The blueprint names what a service consists of after it: config_file.pgbouncer-users, directory.haproxy.
    private string ServiceOf(Address address) =>
        address.Name.StartsWith(PostgresTopology.HaproxyContainer, StringComparison.Ordinal) ? PostgresTopology.HaproxyContainer
        : address.Name.StartsWith(PostgresTopology.PgBouncerContainer, StringComparison.Ordinal) ? PostgresTopology.PgBouncerContainer
        : address.Name.StartsWith(PostgresTopology.KeepalivedContainer, StringComparison.Ordinal) ? PostgresTopology.KeepalivedContainer
        : topology.Store.Service is { } store && address.Name.StartsWith(store.Name, StringComparison.Ordinal) ? store.Name
        : PostgresTopology.PatroniContainer;
}
