using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.Directory;

/// <summary>A directory as declared.</summary>
/// <param name="Path">Its path.</param>
/// <param name="Owner">A name or a number.</param>
/// <param name="Group">A name or a number.</param>
/// <param name="Mode">Four octal digits.</param>
/// <param name="HoldsData">Whether only an explicit deletion of data removes it.</param>
/// <param name="UnwantedEntry">The name of the entry that sets it aside, or null.</param>
/// <param name="Root">A directory above it that may have that entry instead, or null.</param>
/// <param name="Keeps">The entries of that directory which stay.</param>
/// <param name="UsedBy">The container that is stopped before it is renamed, or null.</param>
/// <param name="SupervisedBy">The unit that runs that container, or null.</param>
internal sealed record DirectorySpec(
    string Path,
    string Owner,
    string Group,
    string Mode,
    bool HoldsData,
    string? UnwantedEntry,
    string? Root,
    ImmutableArray<string> Keeps,
    string? UsedBy,
    string? SupervisedBy
)
{
    /// <summary>The command that is run before its data is deleted, or null.</summary>
    public string? BeforeDataIsDeleted { get; init; }

    public const string DefaultPrincipal = "root";
    public const string DefaultMode = "0755";

    public static DirectorySpec Of(Resource resource)
    {
        var spec = resource.Spec;
        return new DirectorySpec(
            spec.String("path"),
            spec.OptionalString("owner") ?? DefaultPrincipal,
            spec.OptionalString("group") ?? DefaultPrincipal,
            spec.OptionalString("mode") ?? DefaultMode,
            spec.Boolean("data"),
            spec.OptionalString("set_aside_with"),
            spec.OptionalString("set_aside_root"),
            spec.Has("set_aside_keeps") ? [.. spec.List("set_aside_keeps")] : [],
            spec.OptionalString("used_by"),
            spec.OptionalString("supervised_by")
        )
        {
            BeforeDataIsDeleted = spec.OptionalString("before_data_is_deleted"),
        };
    }

    /// <summary>The directory itself.</summary>
    public StatRead Stat => new(Path);

    /// <summary>The entry that must not exist, in the directory itself and at the root above it.</summary>
    public ImmutableArray<StatRead> Unwanted =>
        UnwantedEntry is null ? [] : [.. new[] { Path, Root }.OfType<string>().Select(path => new StatRead($"{path}/{UnwantedEntry}"))];

    /// <summary>Whether foreign units that would start its container again matter.</summary>
    public bool IsSupervised => UnwantedEntry is not null && UsedBy is not null && SupervisedBy is not null;

    /// <summary>The compared value without the entry.</summary>
    public string WithoutEntry => $"no {UnwantedEntry}";

    /// <summary>Whether an unwanted entry is in the directory itself.</summary>
    public bool Contains(StatRead entry) => PathRules.Parent(entry.Path) == Path;

    /// <summary>The compared value with the entry.</summary>
    public string Shown(StatRead entry) => Contains(entry) ? UnwantedEntry! : entry.Path;
}
