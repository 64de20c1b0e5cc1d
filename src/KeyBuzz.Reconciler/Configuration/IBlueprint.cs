using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Configuration;

/// <summary>A section of cluster.yaml in the operator's words that stands for many resources.</summary>
public interface IBlueprint
{
    /// <summary>The section's key, for example <c>web</c>.</summary>
    string Key { get; }

    /// <summary>The section in a sentence.</summary>
    string Description => $"The section of the blueprint {Key}.";

    /// <summary>The keys of the section, for the JSON Schema and <c>kbr explain</c>; without a description it takes any.</summary>
    SectionSchema Schema => new([]) { IsOpen = true };

    /// <summary>Names in the credentials file whose values are no secrets, such as the name of a user: they are never masked, also where
    /// the section is missing.</summary>
    IReadOnlyCollection<string> PlainNames { get; }

    /// <summary>The default credentials file of a cluster file with this section; null for none.</summary>
    string? CredentialsFile => null;

    /// <summary>Turns the section into resources, and adds every error to the context's findings.</summary>
    BlueprintExpansion Expand(SectionReader section, BlueprintContext context);

    /// <summary>Checks what shows only beside the other resources of the file.</summary>
    /// <param name="expansion">What <see cref="Expand"/> made.</param>
    /// <param name="others">The resources that the file places by itself.</param>
    IEnumerable<Diagnostic> Check(BlueprintExpansion expansion, IReadOnlyCollection<Resource> others) => [];

    /// <summary>What to write in place of a placeholder such as <c>REPLACE-ME</c>; null where the blueprint does not know.</summary>
    /// <param name="path">The keys from the top of the file to the value, the section's own first.</param>
    string? PlaceholderRemedy(IReadOnlyList<string> path) => null;

    /// <summary>The names that the section needs in the credentials file, readable also while it is missing; for <c>kbr init
    /// --credentials</c>.</summary>
    /// <param name="section">The section.</param>
    /// <param name="cluster">The cluster's name.</param>
    IEnumerable<CredentialNeeded> CredentialsNeeded(SectionReader section, string cluster);
}

/// <summary>A name that the credentials file must have.</summary>
/// <param name="Name">The name.</param>
/// <param name="Value">The default of a name that is not a secret; null for a random secret.</param>
public sealed record CredentialNeeded(string Name, string? Value = null);

/// <summary>A blueprint's inputs besides its own section.</summary>
/// <param name="Cluster">The cluster's name.</param>
/// <param name="Directory">The folder of the cluster file, which local files are relative to.</param>
/// <param name="Hosts">The hosts of the file.</param>
/// <param name="Secrets">Where secrets come from; <see cref="SecretSource.Require"/> notes one that is missing.</param>
/// <param name="Providers">The resource types there are; <see cref="SchemaDefaults"/> fills in what their schemas say.</param>
/// <param name="Findings">Where to note what is wrong.</param>
public sealed record BlueprintContext(
    string Cluster,
    string Directory,
    HostTable Hosts,
    SecretSource Secrets,
    IReadOnlyCollection<IResourceProvider> Providers,
    Findings Findings
);

/// <summary>The expansion of a section.</summary>
/// <param name="Groups">Groups of hosts that resources are placed on.</param>
/// <param name="Resources">The resources; their <see cref="Resource.Location"/> is the place in the section that each comes from.</param>
/// <param name="Preconditions">Preconditions of the hosts besides those in the file.</param>
public sealed record BlueprintExpansion(
    ImmutableArray<HostGroup> Groups,
    ImmutableArray<Resource> Resources,
    ImmutableArray<Precondition> Preconditions
)
{
    /// <summary>A section that is too broken to stand for anything.</summary>
    public static readonly BlueprintExpansion Empty = new([], [], []);

    /// <summary>The policies of those groups that have one.</summary>
    public ImmutableArray<GroupPolicy> Policies { get; init; } = [];

    /// <summary>The section as a typed record of the blueprint's own, kept in <see cref="Cluster.Models"/>; null for none.</summary>
    public object? Model { get; init; }
}
