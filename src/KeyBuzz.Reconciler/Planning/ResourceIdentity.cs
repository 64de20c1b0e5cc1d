using KeyBuzz.Reconciler.Graph;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Planning;

/// <summary>An object on a host, such as a path or a unit. It is the same object for resources of all types.</summary>
/// <param name="Host">The host, or the group.</param>
/// <param name="Name">Its path; or what it is and its name there, such as <c>unit:app.service</c>.</param>
internal readonly record struct HostObject(string Host, string Name);

/// <summary>Tells which object on a host a resource stands for, by its names and paths there. A record under the same address with another
/// path or name stands for another object.</summary>
/// <param name="providers">The resource types.</param>
internal sealed class ResourceIdentity(ProviderRegistry providers)
{
    /// <summary>The resource as it was applied. Where nothing else names the object on the host, the resource's own name does.</summary>
    public static Resource Former(ResourceRecord record) => record.ToResource() with { Address = record.RenamedFrom ?? record.Address };

    /// <summary>Whether a record is of another object than is desired, or of the same one at other paths.</summary>
    public bool IsElsewhere(ResourceRecord record, Resource desired) =>
        IsAnotherObject(record, desired) || !LinksOf(Former(record)).ManagedPaths.SequenceEqual(LinksOf(desired).ManagedPaths);

    /// <summary>Whether a record is of another object than is desired.</summary>
    public bool IsAnotherObject(ResourceRecord record, ResourceGraph.Node node) =>
        // The very values of the configuration, which the record was read with, are those of the same object.
        (record.RenamedFrom is not null || !ReferenceEquals(record.Spec, node.Resource.Spec))
        && !LinksOf(Former(record)).Provides.AsSpan().SequenceEqual(node.Provides.AsSpan());

    /// <summary>Where the object is on the host, or what it is called there.</summary>
    public string PlaceOf(Resource resource)
    {
        var links = LinksOf(resource);
        return string.Join(", ", links.ManagedPaths.IsEmpty ? links.Provides : links.ManagedPaths);
    }

    /// <summary>Whether a resource has a path or a name of its own; one without is left to its users.</summary>
    public bool HasPlace(Resource resource)
    {
        var links = LinksOf(resource);
        return !links.ManagedPaths.IsEmpty || !links.Names.IsEmpty;
    }

    /// <summary>The desired resources by the objects that they stand for.</summary>
    public ILookup<HostObject, Address> DesiredObjects(ResourceGraph desired) =>
        desired
            .Order.SelectMany(address => ObjectsOf(desired.Find(address)!.Resource).Select(one => (address, one)))
            .ToLookup(pair => pair.one, pair => pair.address);

    /// <summary>The desired resource that stands for the same object under another name or type: removing the object would take it from
    /// that one. Null for none.</summary>
    /// <param name="removed">The resource that is removed.</param>
    /// <param name="owner">The address of the resource that it is removed for: another one is asked for.</param>
    /// <param name="desired">The desired resources by their objects.</param>
    public Address? ReplacementOf(Resource removed, Address owner, ILookup<HostObject, Address> desired) =>
        ObjectsOf(removed).SelectMany(one => desired[one]).Where(address => address != owner).Cast<Address?>().FirstOrDefault();

    // By its name and not by its paths: a unit that gets content of its own gets a file, and is the same unit.
    private bool IsAnotherObject(ResourceRecord record, Resource desired) =>
        !LinksOf(Former(record)).Provides.SequenceEqual(LinksOf(desired).Provides);

    private IEnumerable<HostObject> ObjectsOf(Resource resource)
    {
        var links = LinksOf(resource);
        return links.Provides.Concat(links.ManagedPaths).Select(name => new HostObject(resource.Address.Host, name));
    }

    private ResourceLinks LinksOf(Resource resource) => providers.Get(resource.Address.Type).Links(resource);
}
