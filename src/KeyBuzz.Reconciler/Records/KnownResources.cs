using System.Collections.Immutable;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Records;

/// <summary>A resource of cluster.yaml with its edges, which its record most often has as well.</summary>
/// <param name="Resource">The resource.</param>
/// <param name="Requires">The resources that must exist first, declared and inferred.</param>
public sealed record KnownResource(Resource Resource, ImmutableArray<Address> Requires);

/// <summary>What the records of a host share with cluster.yaml and with one another: each address and text is kept once.</summary>
public sealed class KnownResources
{
    // By their names, which most often are of one resource each: to look for an address no text has to be made of it.
    private readonly Dictionary<string, Named> _resources = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Named>.AlternateLookup<ReadOnlySpan<char>> _byLetters;
    private readonly Dictionary<string, Address> _others = new(StringComparer.Ordinal);
    private readonly TextPool _texts;

    /// <summary>Takes the resources of the host, and the texts of all.</summary>
    public KnownResources(IEnumerable<KnownResource> resources, TextPool texts)
    {
        _byLetters = _resources.GetAlternateLookup<ReadOnlySpan<char>>();
        _texts = texts;
        foreach (var known in resources)
        {
            var name = known.Resource.Address.Name;
            _resources[name] = new Named(known, _resources.GetValueOrDefault(name));
        }
    }

    /// <summary>The resource of the address that a text is, or null.</summary>
    public KnownResource? Find(ReadOnlySpan<char> text)
    {
        if (!Address.TrySplit(text, out var type, out var name, out var host) || !_byLetters.TryGetValue(name, out var named))
        {
            return null;
        }

        for (var one = named; one is not null; one = one.Next)
        {
            var address = one.Known.Resource.Address;
            if (type.SequenceEqual(address.Type) && host.SequenceEqual(address.Host))
            {
                return one.Known;
            }
        }

        return null;
    }

    /// <summary>The text that is kept in place of an equal one.</summary>
    public string Shared(ReadOnlySpan<char> text) => _texts.Of(text);

    /// <summary>Reads the address of another resource, as <see cref="Address.TryParse"/> does.</summary>
    public bool TryOther(string text, out Address address)
    {
        if (_others.TryGetValue(text, out address))
        {
            return true;
        }

        if (!Address.TryParse(text, out var parsed))
        {
            return false;
        }

        address = new Address(Shared(parsed.Type), Shared(parsed.Name), Shared(parsed.Host));
        _others.Add(text, address);
        return true;
    }

    private sealed record Named(KnownResource Known, Named? Next);
}
