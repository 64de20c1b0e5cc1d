using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Configuration;

/// <summary>The syntax of a cluster file beyond that of the engine.</summary>
/// <param name="Providers">The resource types.</param>
/// <param name="Preconditions">The kinds of preconditions, in the order in which they are read.</param>
/// <param name="Connection">How hosts are reached.</param>
/// <param name="Blueprints">The sections that expand to many resources.</param>
public sealed record ClusterSyntax(
    IReadOnlyCollection<IResourceProvider> Providers,
    IReadOnlyList<IPreconditionKind> Preconditions,
    IConnectionSection Connection,
    IReadOnlyCollection<IBlueprint> Blueprints
);
