using System.Collections.Immutable;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Configuration;

/// <summary>The whole syntax of a cluster file, as its parts describe themselves.</summary>
/// <param name="Root">The keys at the top.</param>
/// <param name="Types">The resource types with their keys, in the order of their names.</param>
public sealed record ClusterSchema(SectionSchema Root, ImmutableSortedDictionary<string, SectionKey> Types)
{
    private static readonly SectionSchema s_secrets = new([
        new("file", ValueForm.Word, "The credentials file: lines NAME=value as a shell reads them. Nobody else may read or change it.")
        {
            Example = "credentials/secrets.env",
        },
        new("required", ValueForm.Words, "Names that must have a value even when no text uses them.") { Example = "[BACKUP_PASS]" },
    ]);

    private static readonly SectionSchema s_drift = new([
        new("ignore", ValueForm.Sections, "The differences that are shown with their reason, and not counted.")
        {
            Section = DriftSection.Schema,
        },
    ]);

    private static readonly SectionSchema s_common = new([
        new("type", ValueForm.Word, "The resource type.") { Required = true },
        new("name", ValueForm.Word, "Letters, digits, '-', '_' and '.'; with type and host it is the address type.name@host.")
        {
            Required = true,
        },
        new("host", ValueForm.Word, "A host, a role, a group, all, or a list of those; one resource is made for each host.")
        {
            Or = [ValueForm.Words],
            Required = true,
        },
        new("requires", ValueForm.Words, "Resources that must exist first, and are taken down after: type.name or type.name@host.")
        {
            Or = [ValueForm.Word],
            Example = "[directory.data]",
        },
        new("after", ValueForm.Words, "Resources that are created before it: an order only.")
        {
            Or = [ValueForm.Word],
            Example = "[directory.data]",
        },
        new("lifecycle", ValueForm.Section, "How the resource may end.")
        {
            Section = new([
                new("prevent_destroy", ValueForm.Boolean, "Whether a plan that would delete or replace it is an error.")
                {
                    Default = "false",
                },
            ]),
        },
    ]);

    /// <summary>The keys that every resource has.</summary>
    public static SectionSchema CommonKeys => s_common;

    /// <summary>The keys of <c>secrets</c>.</summary>
    internal static SectionSchema Secrets => s_secrets;

    /// <summary>The keys of <c>drift</c>.</summary>
    internal static SectionSchema Drift => s_drift;

    /// <summary>The description of a syntax.</summary>
    public static ClusterSchema Of(ClusterSyntax syntax)
    {
        ArgumentNullException.ThrowIfNull(syntax);
        var types = syntax.Providers.ToImmutableSortedDictionary(
            provider => provider.Schema.Type,
            provider => Type(provider.Schema),
            StringComparer.Ordinal
        );
        return new ClusterSchema(
            new([
                new("version", ValueForm.Word, "The version of this syntax.") { Required = true, Choices = ["1"] },
                new("cluster", ValueForm.Word, "The cluster's name: lower-case letters, digits and inner '-'. Records live under it.")
                {
                    Required = true,
                    Example = "keybuzz-pg",
                },
                new(syntax.Connection.Key, ValueForm.Section, "The connection settings of all hosts.")
                {
                    Section = syntax.Connection.Schema,
                },
                new("hosts", ValueForm.NamedSections, "The hosts, by name.")
                {
                    Section = HostTable.SchemaOf(syntax.Connection),
                    Example = "{ db-1: { role: db, address: 10.0.0.120 } }",
                },
                new("secrets", ValueForm.Section, "The source of secret values.") { Section = s_secrets },
                new("preconditions", ValueForm.Section, "Conditions that a host must meet before kbr touches it.")
                {
                    Section = new([.. syntax.Preconditions.Select(Precondition)]),
                },
                .. syntax.Blueprints.Select(blueprint => new SectionKey(blueprint.Key, ValueForm.Section, blueprint.Description)
                {
                    Section = blueprint.Schema,
                }),
                new("resources", ValueForm.Sections, "Resources on the hosts, each of one type.")
                {
                    Section = s_common with { IsOpen = true },
                    Example = "[{ type: directory, name: spare, host: all, path: /srv/spare }]",
                },
                new("drift", ValueForm.Section, "What kbr drift is to ignore.") { Section = s_drift },
                new("moved", ValueForm.Sections, "Renamed resources: their records follow, and the hosts are not touched.")
                {
                    Section = MovedSection.Schema,
                    Example = "[{ from: directory.spare, to: directory.archive }]",
                },
            ]),
            types
        );
    }

    /// <summary>The names of the top-level keys, in the order of the description.</summary>
    internal static ImmutableArray<string> Names(ClusterSyntax syntax) => Of(syntax).Root.Names;

    private static SectionKey Type(ResourceSchema schema)
    {
        var keys = schema.Attributes.Select(SectionKey.Of).ToList();
        // The binder takes a local file in place of a text.
        if (keys.FindIndex(key => key.Name == ResourceBinder.ContentKey && key.Form == ValueForm.Text) is >= 0 and var at)
        {
            keys.Insert(
                at + 1,
                new(ResourceBinder.ContentFileKey, ValueForm.Word, "A local file with the content, instead of it.")
                {
                    Example = "files/app.conf",
                }
            );
        }

        return new SectionKey(schema.Type, ValueForm.Section, schema.Description) { Section = new([.. s_common.Keys, .. keys]) };
    }

    private static SectionKey Precondition(IPreconditionKind kind)
    {
        var level = kind.Default.ToString().ToLowerInvariant();
        return new SectionKey(kind.Kind, ValueForm.Word, kind.Description)
        {
            Or = kind.IsList ? [ValueForm.Section, ValueForm.Sections] : [ValueForm.Section],
            Choices = ["error", "warn", "off"],
            Default = level,
            Example = kind.Example is { } example ? example[(example.IndexOf(':', StringComparison.Ordinal) + 2)..] : null,
            Section = new([
                new("level", ValueForm.Word, "What a host that does not meet it gets: an error, a warning, or nothing.")
                {
                    Required = true,
                    Choices = ["error", "warn", "off"],
                },
                new(kind.PlacementKey, ValueForm.Words, "The hosts that are checked: hosts, roles, or all.")
                {
                    Or = [ValueForm.Word],
                    Default = "all",
                },
                .. kind.Keys,
            ]),
        };
    }
}
