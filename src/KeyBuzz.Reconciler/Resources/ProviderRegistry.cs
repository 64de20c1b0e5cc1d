using System.Collections.Immutable;

namespace KeyBuzz.Reconciler.Resources;

/// <summary>The providers by resource type.</summary>
public sealed class ProviderRegistry
{
    private readonly Dictionary<string, IResourceProvider> _providers;

    /// <summary>Takes one provider per type.</summary>
    public ProviderRegistry(IEnumerable<IResourceProvider> providers) =>
        _providers = providers.ToDictionary(provider => provider.Schema.Type, StringComparer.Ordinal);

    /// <summary>Types of an older kbr that made nothing and are policies of a group now: their records say nothing.</summary>
    public IReadOnlySet<string> FormerPolicyTypes { get; init; } = ImmutableHashSet<string>.Empty;

    /// <summary>All of them.</summary>
    public IReadOnlyCollection<IResourceProvider> All => _providers.Values;

    /// <summary>The provider of a type. Throws <see cref="KeyNotFoundException"/> when there is none.</summary>
    public IResourceProvider Get(string type) => Find(type) ?? throw new KeyNotFoundException($"no provider for resource type '{type}'");

    /// <summary>The provider of a type, or null.</summary>
    public IResourceProvider? Find(string type) => _providers.GetValueOrDefault(type);
}
