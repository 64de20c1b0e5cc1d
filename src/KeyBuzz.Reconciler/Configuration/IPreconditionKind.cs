using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Configuration;

/// <summary>One kind of precondition, as cluster.yaml declares it: <c>KIND: LEVEL</c>, or <c>KIND: { level: LEVEL, … }</c>.</summary>
public interface IPreconditionKind
{
    /// <summary>The word in cluster.yaml.</summary>
    string Kind { get; }

    /// <summary>Its level where the file does not name it.</summary>
    PreconditionLevel Default { get; }

    /// <summary>How it is written, for a kind that checks nothing without settings; null for one that its level turns on.</summary>
    string? Example { get; }

    /// <summary>What it checks where only its level is given.</summary>
    AttributeSet Settings { get; }

    /// <summary>The key that names the hosts it is checked on; without it, all.</summary>
    string PlacementKey { get; }

    /// <summary>Its own keys, beside the level and the hosts.</summary>
    IReadOnlyList<string> Keys { get; }

    /// <summary>Whether it may be given as a list of rules.</summary>
    bool IsList { get; }

    /// <summary>Reads what it checks; what is wrong is noted in the findings.</summary>
    IEnumerable<DeclaredPrecondition> Read(SectionReader settings, HostTable hosts, Findings findings);
}

/// <summary>One thing that a precondition checks on each of its hosts.</summary>
/// <param name="Settings">What is checked.</param>
/// <param name="At">Where the file says it.</param>
/// <param name="Peer">The host that it is about, which is not asked about itself; null for none.</param>
public sealed record DeclaredPrecondition(AttributeSet Settings, YamlNode At, string? Peer = null);
