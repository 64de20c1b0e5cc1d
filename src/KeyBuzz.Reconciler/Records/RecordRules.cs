using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Records;

/// <summary>The rules of cluster.yaml for a record, which may have been edited: kbr removes recorded resources as root.</summary>
internal static class RecordRules
{
    /// <summary>Why a record speaks of a resource that cluster.yaml could not declare, or null when it does not.</summary>
    /// <param name="record">The record.</param>
    /// <param name="provider">The provider of its type.</param>
    /// <param name="configured">The resource as cluster.yaml has it, or null: what the record shares with it was checked already.</param>
    public static string? Problem(ResourceRecord record, IResourceProvider provider, KnownResource? configured) =>
        (
            (configured is not null || record.Address.CanBeDeclared)
            && (configured?.Requires == record.Requires || AllCanBeDeclared(record.Requires))
                ? null
                : "its address, or one that it requires, is invalid in cluster.yaml"
        )
        ?? (record.Requires.Contains(record.Address) ? "it requires itself" : null)
        ?? (record.Group is { } group && !Address.IsPlace(group) ? "its group is not a valid name" : null)
        ?? (ReferenceEquals(record.Spec, configured?.Resource.Spec) ? null : SpecProblem(record, provider))
        ?? (AnyHasControl(record.Fingerprints) ? "a fingerprint of it has a control character" : null);

    private static bool AllCanBeDeclared(ImmutableArray<Address> addresses) => addresses.All(address => address.CanBeDeclared);

    private static bool AnyHasControl(SortedMap<string> fingerprints)
    {
        foreach (var (name, _) in fingerprints)
        {
            if (HasControl(name))
            {
                return true;
            }
        }

        return false;
    }

    private static string? SpecProblem(ResourceRecord record, IResourceProvider provider) =>
        provider
            .Schema.Attributes.Select(attribute => Problem(attribute, record.Spec[attribute.Name]))
            .FirstOrDefault(problem => problem is not null)
        ?? provider.Validate(record.ToResource()).FirstOrDefault(finding => finding.Severity == Severity.Error)?.Summary;

    private static string? Problem(AttributeDefinition attribute, object? value) =>
        (attribute.Kind, value) switch
        {
            (_, null) => attribute.Required ? $"it has no '{attribute.Name}'" : null,
            (AttributeKind.Path, string path) => PathProblem(attribute.Name, path),
            (AttributeKind.Mode, string mode) => ValueSyntax.TryParseMode(mode, out var read) && read == mode
                ? null
                : $"its '{attribute.Name}' is not a mode",
            (AttributeKind.String, string word) =>
            // A blueprint's commands have several lines.
            HasControl(word.Replace('\n', ' ')) ? $"its '{attribute.Name}' has a control character"
            : attribute.Choices is { } choices && !choices.Contains(word)
                ? $"its '{attribute.Name}' is not one of {string.Join(", ", choices)}"
            : null,
            (AttributeKind.Integer, long number) => number < attribute.Minimum
                ? $"its '{attribute.Name}' is less than {attribute.Minimum}"
                : null,
            (AttributeKind.Size, long size) => size < 0 ? $"its '{attribute.Name}' is less than 0" : null,
            (AttributeKind.StringList, IReadOnlyList<string> items) => items.Any(item => HasControl(item.Replace('\n', ' ')))
                ? $"its '{attribute.Name}' has a control character"
                : null,
            (AttributeKind.StringMap, IReadOnlyDictionary<string, string> items) => items.Any(item =>
                item.Key.Length == 0 || item.Key.Contains('=', StringComparison.Ordinal) || HasControl(item.Key) || HasControl(item.Value)
            )
                ? $"its '{attribute.Name}' has a key or a value that cluster.yaml could not have"
                : null,
            _ => null,
        };

    private static string? PathProblem(string attribute, string path) =>
        !HostPath.TryNormalize(path, out var normal, out var problem) ? $"its {attribute} is invalid: {problem}"
        : normal != path ? $"its {attribute} {path} is not in the form that kbr writes"
        : HostPath.RefusalOf(attribute, path) is { } refusal ? $"its {attribute} is {path}, which kbr may not change: {refusal}"
        : null;

    private static bool HasControl(string text) => ControlCharacters.OtherThanTabAreIn(text);
}
