using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Configuration;

/// <summary>Where the values of secrets come from: the environment first, then the credentials file.</summary>
public sealed class SecretSource
{
    /// <summary>The credentials file if neither the cluster file nor a blueprint names one.</summary>
    public const string DefaultFile = "credentials/secrets.env";
    private const string Remedy = "kbr init --credentials";

    private readonly IReadOnlyDictionary<string, string> _environment;
    private readonly ImmutableSortedDictionary<string, string> _file;
    private readonly string? _absent;
    private readonly bool _optional;
    private readonly SortedDictionary<string, string> _used = new(StringComparer.Ordinal);
    private readonly HashSet<string> _required = new(StringComparer.Ordinal);
    private ImmutableHashSet<string> _plain = ImmutableHashSet.Create<string>(StringComparer.Ordinal);

    /// <param name="directory">The folder that the file's name starts from.</param>
    /// <param name="file">The credentials file.</param>
    /// <param name="environment">The environment variables.</param>
    /// <param name="findings">Where to note what is wrong with the file.</param>
    /// <param name="optional">Whether a secret that has no value gets a stand-in instead of an error; for commands that only compare, and
    /// leave secrets out then.</param>
    public SecretSource(
        string directory,
        string file,
        IReadOnlyDictionary<string, string> environment,
        Findings findings,
        bool optional = false
    )
    {
        _environment = environment;
        _optional = optional;
        FileName = file;
        _file = ImmutableSortedDictionary.Create<string, string>(StringComparer.Ordinal);
        var path = Path.Combine(directory, file);
        if (!File.Exists(path))
        {
            // No error by itself: in CI the environment may hold everything.
            _absent = $"{file} does not exist, and the environment has no such variable";
            return;
        }

        try
        {
            var read = CredentialsFile.Read(path, file);
            _file = read.Values;
            foreach (var finding in read.Findings)
            {
                findings.Add(finding);
            }
        }
        catch (DiagnosticException exception)
        {
            foreach (var finding in exception.Diagnostics)
            {
                findings.Add(finding);
            }
        }
    }

    /// <summary>The credentials file as it was named; it need not exist.</summary>
    public string FileName { get; }

    /// <summary>Everything that has a value, by name.</summary>
    public Secrets All()
    {
        var values = ImmutableSortedDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        foreach (var name in _file.Keys.Concat(_used.Keys))
        {
            if (Find(name) is { } value)
            {
                values[name] = value;
            }
        }

        return new Secrets(values.ToImmutable(), _plain);
    }

    /// <summary>Whether a secret has a value, and no stand-in for one.</summary>
    public bool Has(string name) => Find(name) is not null;

    /// <summary>Says of names that their values are no secrets, though they stand beside them.</summary>
    public void MarkPlain(IEnumerable<string> names) => _plain = _plain.Union(names);

    /// <summary>The value of a name that was marked plain; null when it has none.</summary>
    public string? Plain(string name) =>
        _plain.Contains(name) ? Find(name) : throw new ArgumentException($"'{name}' is a secret", nameof(name));

    /// <summary>Notes a secret that must be there whether or not a text uses it.</summary>
    public void Require(string name, SourceLocation at, Findings findings)
    {
        if (_required.Add(name) && Find(name) is null && !_optional)
        {
            findings.Error(
                name == Secrets.KeyName ? $"secret {name} has no value; kbr fingerprints secrets with it" : $"secret {name} has no value",
                at,
                _absent,
                Remedy
            );
        }
        else
        {
            Use(name, at, findings);
        }
    }

    /// <summary>The value of a secret, or null when there is none (which is then noted).</summary>
    public string? Use(string name, SourceLocation at, Findings findings)
    {
        if (!ValueSyntax.IsVariableName(name))
        {
            findings.Error($"'{name}' cannot be the name of a secret", at, "letters, digits and '_' only, not starting with a digit");
            return null;
        }

        if (Find(name) is { } value)
        {
            if (_used.TryAdd(name, value) && value.Length < 4)
            {
                findings.Warning($"secret {name} is shorter than four characters, too short to be masked in output", at);
            }

            return value;
        }

        if (_optional)
        {
            return SecretText.StandIn;
        }

        if (!_required.Contains(name))
        {
            var near = NearName.Of(name, _file.Keys.Concat(_required));
            findings.Error($"secret {name} has no value", at, _absent, near is null ? Remedy : $"did you mean '{near}'?");
        }

        return null;
    }

    // An empty variable is what CI sets for a secret that it does not have.
    private string? Find(string name) =>
        _environment.TryGetValue(name, out var value) && value.Length > 0 ? value
        : _file.TryGetValue(name, out value) && value.Length > 0 ? value
        : null;
}
