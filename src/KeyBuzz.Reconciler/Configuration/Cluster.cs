using System.Collections.Immutable;
using System.Text.Encodings.Web;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Graph;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Configuration;

/// <summary>cluster.yaml, typed and validated.</summary>
/// <param name="Name">The name of the cluster; records live under it.</param>
/// <param name="File">The file it came from, as the operator named it.</param>
/// <param name="Directory">The folder of that file; relative paths in it start there.</param>
/// <param name="Hosts">The hosts, in the order of the file.</param>
/// <param name="Connection">How they are reached.</param>
/// <param name="Preconditions">Their preconditions.</param>
/// <param name="Resources">The resources, one per host they are placed on.</param>
/// <param name="Secrets">The secrets by name.</param>
/// <param name="Warnings">The warnings of the validation.</param>
public sealed record Cluster(
    string Name,
    string File,
    string Directory,
    ImmutableArray<Host> Hosts,
    IConnectionSettings Connection,
    ImmutableArray<Precondition> Preconditions,
    ImmutableArray<Resource> Resources,
    Secrets Secrets,
    ImmutableArray<Diagnostic> Warnings
)
{
    /// <summary>The groups of hosts that resources are placed on.</summary>
    public ImmutableArray<HostGroup> Groups { get; init; } = [];

    /// <summary>The policies of those groups that have one.</summary>
    public ImmutableArray<GroupPolicy> Policies { get; init; } = [];

    /// <summary>The blueprints' typed sections, one each.</summary>
    public ImmutableArray<object> Models { get; init; } = [];

    /// <summary>The drift that <c>kbr drift</c> shows and does not count.</summary>
    public ImmutableArray<IgnoreRule> IgnoredDrift { get; init; } = [];

    /// <summary>The resources that got another name.</summary>
    public ImmutableArray<MovedRule> Moved { get; init; } = [];

    /// <summary>The resources with their dependencies, and the policies between them.</summary>
    public ResourceGraph Graph { get; init; } = ResourceGraph.Empty;

    /// <summary>The credentials file as cluster.yaml names it, or the default; it need not exist.</summary>
    public string CredentialsFile { get; init; } = SecretSource.DefaultFile;

    /// <summary>Its sources, by name: hashes of the local files, and of the secrets together.</summary>
    public ImmutableSortedDictionary<string, string> Sources { get; init; } = ImmutableSortedDictionary<string, string>.Empty;

    /// <summary>The record of that type that a blueprint read its section as; null when the file has no such section.</summary>
    public T? Model<T>()
        where T : class => Models.OfType<T>().FirstOrDefault();

    /// <summary>The hosts that a resource of this place concerns: the members of a group, or the host itself.</summary>
    public ImmutableArray<string> HostsOf(string place) => Groups.FirstOrDefault(group => group.Name == place)?.Members ?? [place];
}

/// <summary>The effect of a failed precondition.</summary>
public enum PreconditionLevel
{
    /// <summary>Not looked at.</summary>
    Off,

    /// <summary>Said, nothing refused.</summary>
    Warn,

    /// <summary>The host is not touched.</summary>
    Error,
}

/// <summary>Something a host must have that kbr checks and never installs.</summary>
/// <param name="Kind">One that <see cref="IPreconditionChecks.Kinds"/> has.</param>
/// <param name="Level">What happens when it does not hold.</param>
/// <param name="Host">The host it is checked on.</param>
/// <param name="Settings">The checked settings, as its kind reads them.</param>
/// <param name="Location">Where cluster.yaml says it; null for a default.</param>
public sealed record Precondition(string Kind, PreconditionLevel Level, string Host, AttributeSet Settings, SourceLocation? Location);

/// <summary>Secret values by name.</summary>
public sealed class Secrets
{
    /// <summary>The name of the key that fingerprints and salts are made under.</summary>
    public const string KeyName = "KBR_KEY";

    private readonly ImmutableSortedDictionary<string, string> _values;
    private readonly ImmutableArray<string> _masked;

    /// <summary>Takes the values by name.</summary>
    public Secrets(ImmutableSortedDictionary<string, string> values)
        : this(values, []) { }

    /// <summary>Takes the values by name, and the names whose values are no secrets.</summary>
    public Secrets(ImmutableSortedDictionary<string, string> values, ImmutableHashSet<string> plain)
    {
        ArgumentNullException.ThrowIfNull(values);
        _values = values;

        // Unchanged, and as Utf8JsonWriter escapes it (+ & ' " < > \ and all beyond ASCII). The longest first: one secret may be part of
        // another.
        _masked =
        [
            .. values
                .Where(pair => pair.Value.Length >= 4 && !plain.Contains(pair.Key))
                .SelectMany(pair => (string[])[pair.Value, JavaScriptEncoder.Default.Encode(pair.Value)])
                .Distinct()
                .OrderByDescending(value => value.Length),
        ];
    }

    /// <summary>The names that have a value.</summary>
    public IEnumerable<string> Names => _values.Keys;

    /// <summary>The value of that name, or null.</summary>
    public string? Find(string name) => _values.GetValueOrDefault(name);

    /// <summary>Replaces every secret value of at least four characters in a text that a person or a file will see, which may be
    /// JSON.</summary>
    public string Mask(string text)
    {
        foreach (var value in _masked)
        {
            text = text.Replace(value, SecretText.Mask, StringComparison.Ordinal);
        }

        return text;
    }
}
