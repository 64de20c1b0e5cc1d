using System.Collections.Immutable;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Configuration;

/// <summary>One kind of precondition, as cluster.yaml declares it: <c>KIND: LEVEL</c>, or <c>KIND: { level: LEVEL, … }</c>.</summary>
public interface IPreconditionKind
{
    /// <summary>The word in cluster.yaml.</summary>
    string Kind { get; }

    /// <summary>When it holds, in a sentence.</summary>
    string Description { get; }

    /// <summary>Its default level.</summary>
    PreconditionLevel Default { get; }

    /// <summary>An example, for a kind that checks nothing without settings; null for one that its level turns on.</summary>
    string? Example { get; }

    /// <summary>Its checks if only its level is given.</summary>
    AttributeSet Settings { get; }

    /// <summary>The key that names the hosts it is checked on; without it, all.</summary>
    string PlacementKey { get; }

    /// <summary>Its own keys, beside the level and the hosts.</summary>
    ImmutableArray<SectionKey> Keys { get; }

    /// <summary>Whether it may be given as a list of rules.</summary>
    bool IsList { get; }

    /// <summary>Reads its checks, and adds every error to the findings.</summary>
    IEnumerable<DeclaredPrecondition> Read(SectionReader settings, HostTable hosts, Findings findings);
}

/// <summary>One check of a precondition on each of its hosts.</summary>
/// <param name="Settings">Its settings.</param>
/// <param name="At">Its place in the file.</param>
/// <param name="Peer">The host that it checks, which does not check itself; null for none.</param>
public sealed record DeclaredPrecondition(AttributeSet Settings, YamlNode At, string? Peer = null);
