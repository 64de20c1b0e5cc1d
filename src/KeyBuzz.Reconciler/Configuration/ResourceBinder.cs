using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Configuration;

/// <summary>Binds the attributes of a resource, by nothing but the schema of its type.</summary>
internal sealed class ResourceBinder(string directory, Interpolation interpolation, Findings findings)
{
    /// <summary>The keys that every resource has.</summary>
    public static readonly ImmutableArray<string> CommonKeys = ClusterSchema.CommonKeys.Names;

    internal const string ContentKey = "content";
    internal const string ContentFileKey = "content_file";

    private readonly Dictionary<string, SourceText?> _files = new(StringComparer.Ordinal);

    /// <summary>The local files that became contents, by the names that the cluster file gives them; null for one that cannot be
    /// read.</summary>
    public IReadOnlyDictionary<string, SourceText?> Files => _files;

    /// <summary>Whether what an entry says does not depend on the host.</summary>
    public static bool IsSameEverywhere(YamlMapping map) => map.Find(ContentFileKey) is null && !NamesHost(map);

    /// <summary>The attributes for one host, or null when something is wrong with them (which is then noted).</summary>
    public AttributeSet? Bind(ResourceSchema schema, YamlMapping map, string what, Host host)
    {
        var values = new List<KeyValuePair<string, object>>(schema.Attributes.Count);
        var good = true;
        var takesFile = schema.Find(ContentKey) is { Kind: AttributeKind.Text };
        foreach (var (key, _) in map.Entries)
        {
            if (!CommonKeys.Contains(key.Value) && schema.Find(key.Value) is null && !(takesFile && key.Value == ContentFileKey))
            {
                var known = schema.Attributes.Select(attribute => attribute.Name).Concat(CommonKeys);
                findings.Unknown(
                    $"unknown key '{key.Value}' in {what}",
                    key.At,
                    key.Value,
                    takesFile ? known.Append(ContentFileKey) : known,
                    "keys are"
                );
                good = false;
            }
        }

        foreach (var attribute in schema.Attributes)
        {
            var node = map.Find(attribute.Name);
            var file = takesFile && attribute.Name == ContentKey ? map.Find(ContentFileKey) : null;
            if (node is not null && file is not null)
            {
                findings.Error($"{what} has both '{ContentKey}' and '{ContentFileKey}'", file.At, null, "keep one of them");
                good = false;
            }
            else if (node is null && file is null)
            {
                if (attribute.Required)
                {
                    findings.Error(
                        $"{what} has no '{attribute.Name}'",
                        map.At,
                        attribute.Description,
                        attribute.Name == ContentKey && takesFile ? $"give '{ContentKey}', or '{ContentFileKey}' with a local path" : null
                    );
                    good = false;
                }
                else if (SchemaDefaults.Of(attribute) is { } value)
                {
                    values.Add(new(attribute.Name, value));
                }
            }
            else if ((file is null ? Value(attribute, node!, host) : FileText(attribute, file, host)) is { } value)
            {
                values.Add(new(attribute.Name, value));
            }
            else
            {
                good = false;
            }
        }

        return good ? new AttributeSet(values) : null;
    }

    private static bool NamesHost(YamlNode node) =>
        node switch
        {
            YamlScalar scalar => scalar.Value.Contains("${host.", StringComparison.Ordinal),
            YamlSequence sequence => sequence.Items.Any(NamesHost),
            YamlMapping mapping => mapping.Entries.Any(entry => NamesHost(entry.Value)),
            _ => true,
        };

    private object? Value(AttributeDefinition attribute, YamlNode node, Host host)
    {
        switch (attribute.Kind)
        {
            case AttributeKind.StringList:
                return List(attribute, node, host);
            case AttributeKind.StringMap:
                return Map(attribute, node, host);
        }

        if (node is not YamlScalar scalar || scalar.IsNull)
        {
            return Wrong(attribute, node);
        }

        switch (attribute.Kind)
        {
            case AttributeKind.Integer when scalar.IsPlain && ValueSyntax.TryParseInteger(scalar.Value, out var number):
                return number >= attribute.Minimum
                    ? number
                    : Refuse($"'{attribute.Name}' must be at least {attribute.Minimum}, not {number}", scalar.At);
            case AttributeKind.Boolean when scalar.IsPlain && scalar.Value is "true" or "false":
                return scalar.Value == "true";
            case AttributeKind.Mode when ValueSyntax.TryParseMode(scalar.Value, out var mode):
                return mode;
            case AttributeKind.Size when ValueSyntax.TryParseSize(scalar.Value, out var bytes):
                return bytes;
            case AttributeKind.Integer or AttributeKind.Boolean or AttributeKind.Mode or AttributeKind.Size:
                return Wrong(attribute, node);
        }

        if (Expand(attribute, scalar, host) is not { } text)
        {
            return null;
        }

        if (attribute.Kind == AttributeKind.Text)
        {
            return text;
        }

        if (!IsOneLine(text))
        {
            return Refuse($"'{attribute.Name}' must be one line without control characters", scalar.At);
        }

        if (attribute.Kind == AttributeKind.Path)
        {
            return PathOf(attribute, text.Reveal(), scalar);
        }

        if (attribute.Choices is { } choices && !choices.Contains(text.Reveal()))
        {
            findings.Unknown($"'{attribute.Name}' cannot be {scalar.Kind}", scalar.At, scalar.Value, choices, "choices are");
            return null;
        }

        return attribute.MayHoldSecret ? text : text.Reveal();
    }

    private string? PathOf(AttributeDefinition attribute, string text, YamlScalar scalar)
    {
        if (!HostPath.TryNormalize(text, out var path, out var problem))
        {
            return Refuse($"'{attribute.Name}' cannot be '{text}'", scalar.At, problem);
        }

        return HostPath.RefusalOf(attribute.Name, path) is not { } refusal ? path
            : attribute.Name == "device" ? Refuse($"'{attribute.Name}' cannot be {path}", scalar.At, refusal)
            : Refuse($"'{attribute.Name}' cannot be {path}: it is outside the paths that kbr may change", scalar.At, refusal);
    }

    private object? List(AttributeDefinition attribute, YamlNode node, Host host)
    {
        if (node is not YamlSequence sequence)
        {
            return Wrong(attribute, node);
        }

        var items = ImmutableArray.CreateBuilder<string>(sequence.Items.Count);
        foreach (var item in sequence.Items)
        {
            if (Item(attribute, item, host) is { } text)
            {
                items.Add(text);
            }
        }

        return items.Count == sequence.Items.Count ? (IReadOnlyList<string>)items.ToImmutable() : null;
    }

    private ImmutableSortedDictionary<string, string>? Map(AttributeDefinition attribute, YamlNode node, Host host)
    {
        if (node is not YamlMapping mapping)
        {
            Wrong(attribute, node);
            return null;
        }

        var items = ImmutableSortedDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        var good = true;
        foreach (var (key, value) in mapping.Entries)
        {
            // The canonical form is lines of key=value, so neither may be mistaken for another.
            if (key.Value.Length == 0 || key.Value.Any(letter => letter == '=' || char.IsControl(letter)))
            {
                Refuse(
                    $"{key.Kind} cannot be a key in '{attribute.Name}'",
                    key.At,
                    "a key may not be empty and not hold '=' or a line break"
                );
                good = false;
            }
            else if (Item(attribute, value, host) is { } text)
            {
                items[key.Value] = text;
            }
            else
            {
                good = false;
            }
        }

        return good ? items.ToImmutable() : null;
    }

    private string? Item(AttributeDefinition attribute, YamlNode node, Host host)
    {
        if (node is not YamlScalar { IsNull: false } scalar)
        {
            return Refuse($"'{attribute.Name}' may hold words only, not {node.Kind}", node.At);
        }

        if (Expand(attribute, scalar, host) is not { } text)
        {
            return null;
        }

        return IsOneLine(text) ? text.Reveal() : Refuse($"'{attribute.Name}' may hold single lines only", scalar.At);
    }

    private SecretText? Expand(AttributeDefinition attribute, YamlScalar scalar, Host host) =>
        Expand(attribute, scalar.Value, host, expression => interpolation.Locate(scalar, expression));

    private SecretText? Expand(AttributeDefinition attribute, string written, Host host, Func<string, SourceLocation> locate)
    {
        var text = interpolation.Expand(written, host, locate);
        if (text is null || !text.HasSecret || (attribute.MayHoldSecret && attribute.Kind is AttributeKind.String or AttributeKind.Text))
        {
            return text;
        }

        findings.Error(
            $"'{attribute.Name}' may not hold a secret",
            locate("${secret."),
            "its value is visible on the host, for example with ps or systemctl",
            "put the secret in a file with mode 0600 and refer to that file"
        );
        return null;
    }

    private SecretText? FileText(AttributeDefinition attribute, YamlNode node, Host host)
    {
        if (node is not YamlScalar { IsNull: false } scalar || scalar.Value.Length == 0)
        {
            findings.Error($"'{ContentFileKey}' must be the path of a local file, not {node.Kind}", node.At);
            return null;
        }

        if (!_files.TryGetValue(scalar.Value, out var file))
        {
            try
            {
                file = SourceText.Read(Path.Combine(directory, scalar.Value), scalar.Value, scalar.At);
            }
            catch (DiagnosticException exception)
            {
                foreach (var finding in exception.Diagnostics)
                {
                    findings.Add(finding);
                }
            }

            _files[scalar.Value] = file;
        }

        return file is null
            ? null
            : Expand(attribute, file.Text, host, expression =>
                file.AtOffset(Math.Max(0, file.Text.IndexOf(expression, StringComparison.Ordinal)))
            );
    }

    private string? Wrong(AttributeDefinition attribute, YamlNode node) =>
        Refuse(
            $"'{attribute.Name}' must be {Wanted(attribute)}, not {node.Kind}",
            node.At,
            node is YamlScalar { IsPlain: false } && attribute.Kind is AttributeKind.Integer or AttributeKind.Boolean
                ? "quotes make it a string"
                : null
        );

    private static string Wanted(AttributeDefinition attribute) =>
        attribute.Kind switch
        {
            AttributeKind.Integer => "a whole number",
            AttributeKind.Boolean => "true or false",
            AttributeKind.Mode => "permissions in octal such as 0640",
            AttributeKind.Size => "a size such as 64MiB, 1GiB or 1024",
            AttributeKind.Path => "an absolute path",
            AttributeKind.Text => "a text",
            AttributeKind.StringList => "a list of strings",
            AttributeKind.StringMap => "a map of strings",
            _ => "a string",
        };

    private string? Refuse(string summary, SourceLocation at, string? detail = null)
    {
        findings.Error(summary, at, detail);
        return null;
    }

    private static bool IsOneLine(SecretText text) => !text.Parts.Any(part => ControlCharacters.OtherThanTabAreIn(part.Value));
}
