using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Records;

/// <summary>The texts and specs of a host's records, each kept once: records repeat the values of one another and of the
/// configuration.</summary>
public sealed class TextPool
{
    private readonly HashSet<string> _texts = new(StringComparer.Ordinal);
    private readonly Dictionary<Address, AttributeSet> _specs = [];

    /// <summary>Makes a pool of the texts of these resources.</summary>
    public TextPool(IEnumerable<Resource> resources)
    {
        foreach (var resource in resources)
        {
            _specs[resource.Address] = resource.Spec;
            _texts.Add(resource.Address.Type);
            _texts.Add(resource.Address.Name);
            _texts.Add(resource.Address.Host);
            foreach (var value in resource.Spec.Texts)
            {
                _texts.Add(value);
            }
        }
    }

    /// <summary>The text that is kept in place of an equal one.</summary>
    public string Of(string text)
    {
        if (_texts.TryGetValue(text, out var kept))
        {
            return kept;
        }

        _texts.Add(text);
        return text;
    }

    /// <summary>The configured spec of an address, in place of an equal one.</summary>
    public AttributeSet Of(Address address, AttributeSet spec) =>
        _specs.TryGetValue(address, out var kept) && kept.HasSameValues(spec) ? kept : spec;

    /// <summary>Whether that spec is the configured one of an address itself, and so valid: cluster.yaml was checked.</summary>
    public bool IsConfigured(Address address, AttributeSet spec) =>
        _specs.TryGetValue(address, out var kept) && ReferenceEquals(kept, spec);

    /// <summary>The same address of texts that are kept.</summary>
    public Address Of(Address address) => new(Of(address.Type), Of(address.Name), Of(address.Host));
}
