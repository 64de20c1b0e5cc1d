using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Configuration;

/// <summary>What a cluster file may hold beyond what the engine knows by itself.</summary>
/// <param name="Providers">The resource types.</param>
/// <param name="Preconditions">The kinds of preconditions, in the order in which they are read.</param>
/// <param name="Connection">How hosts are reached.</param>
/// <param name="Blueprints">The sections that stand for many resources.</param>
public sealed record ClusterSyntax(
    IReadOnlyCollection<IResourceProvider> Providers,
    IReadOnlyList<IPreconditionKind> Preconditions,
    IConnectionSection Connection,
    IReadOnlyCollection<IBlueprint> Blueprints
);
