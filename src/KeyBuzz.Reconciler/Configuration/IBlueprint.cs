using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Configuration;

/// <summary>A section of cluster.yaml in the operator's words that stands for many resources.</summary>
public interface IBlueprint
{
    /// <summary>The section's key, for example <c>postgres</c>.</summary>
    string Key { get; }

    /// <summary>Turns the section into resources; what is wrong with it is noted in the context's findings, all of it.</summary>
    BlueprintExpansion Expand(SectionReader section, BlueprintContext context);

    /// <summary>The secrets that the section needs, readable also while they are missing; for <c>kbr init --credentials</c>.</summary>
    IEnumerable<string> SecretsNeeded(SectionReader section);
}

/// <summary>What a blueprint may look at besides its own section.</summary>
/// <param name="Cluster">The cluster's name.</param>
/// <param name="Hosts">The hosts of the file.</param>
/// <param name="Secrets">Where secrets come from; <see cref="SecretSource.Require"/> notes one that is missing.</param>
/// <param name="Findings">Where to note what is wrong.</param>
public sealed record BlueprintContext(string Cluster, HostTable Hosts, SecretSource Secrets, Findings Findings);

/// <summary>What a section stands for.</summary>
/// <param name="Groups">Groups of hosts that resources are placed on.</param>
/// <param name="Resources">The resources; their <see cref="Resource.Location"/> is the place in the section that each comes from.</param>
/// <param name="Preconditions">What must hold on the hosts beyond what the file says.</param>
public sealed record BlueprintExpansion(ImmutableArray<HostGroup> Groups, ImmutableArray<Resource> Resources, ImmutableArray<Precondition> Preconditions);
