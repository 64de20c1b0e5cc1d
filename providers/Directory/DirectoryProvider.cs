using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Supervision;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.Directory;

/// <summary>A directory with its owner, group and mode. Its content is never read or changed. A directory with a forbidden entry is renamed
/// as a whole, and an empty one replaces it.</summary>
public sealed class DirectoryProvider : IHostResourceProvider
{
    private const string Holds = "holds";

    // Longer than a PostgreSQL with a full cache takes to write it down.
    private static readonly TimeSpan s_stopTimeout = TimeSpan.FromMinutes(2);

    /// <inheritdoc />
    public ResourceSchema Schema { get; } =
        new(
            "directory",
            "A directory with owner, group and mode; kbr does not change its content.",
            [
                new("path", AttributeKind.Path, "Its path; the parent must exist or be declared.")
                {
                    Required = true,
                    Effect = ChangeEffect.Replace,
                },
                new("owner", AttributeKind.String, "Owner, a name or a number.") { Default = DirectorySpec.DefaultPrincipal },
                new("group", AttributeKind.String, "Group, a name or a number.") { Default = DirectorySpec.DefaultPrincipal },
                new("mode", AttributeKind.Mode, "Permissions in octal.") { Default = DirectorySpec.DefaultMode },
                new("data", AttributeKind.Boolean, "Whether it is stateful: destroy then keeps it unless --delete-data is given.")
                {
                    Default = false,
                },
                new(
                    "set_aside_with",
                    AttributeKind.String,
                    "The name of an entry that marks it as a data directory, such as PG_VERSION, where it must "
                        + "only contain data directories. With that entry it is renamed to PATH.before-kbr, and an empty one "
                        + "replaces it."
                ),
                new(
                    "set_aside_root",
                    AttributeKind.Path,
                    "A directory above it that may contain that entry instead, such as a volume mounted at a data "
                        + "directory. With that entry its content is moved to PATH.before-kbr."
                ),
                new("set_aside_keeps", AttributeKind.StringList, "The names of entries of that directory that stay in place."),
                new("used_by", AttributeKind.String, "The container that is stopped before the directory is renamed."),
                new("supervised_by", AttributeKind.String, "The systemd unit that runs that container."),
                new(
                    "before_data_is_deleted",
                    AttributeKind.String,
                    "A command that removes what belongs to the data and lies elsewhere; run before --delete-data deletes the directory."
                ),
            ]
        )
        {
            Computed = new Dictionary<string, ChangeEffect>
            {
                [Holds] = ChangeEffect.Disruptive,
                [ForeignUnits.Attribute] = ChangeEffect.Disruptive,
            },
            MadeAnewFor = ImmutableHashSet.Create(Holds),
        };

    /// <inheritdoc />
    public bool HoldsData(Resource resource) => DirectorySpec.Of(resource).HoldsData;

    /// <inheritdoc />
    public IEnumerable<Diagnostic> Validate(Resource resource) => PathRules.Check(resource, "path");

    /// <inheritdoc />
    public ResourceLinks Links(Resource resource)
    {
        var path = resource.Spec.String("path");
        return new ResourceLinks([$"path:{path}"], [$"path:{PathRules.Parent(path)}"]) { ManagedPaths = [path] };
    }

    /// <inheritdoc />
    public IEnumerable<Read> Reads(Resource resource)
    {
        var spec = DirectorySpec.Of(resource);
        yield return spec.Stat;
        foreach (var entry in spec.Unwanted)
        {
            yield return entry;
        }

        if (spec.IsSupervised)
        {
            yield return new ServicesRead();
        }
    }

    /// <inheritdoc />
    public SortedMap<AttributeValue> Desired(Resource resource)
    {
        var spec = DirectorySpec.Of(resource);
        var values = SortedMap.Of<AttributeValue>(
            ("group", AttributeValue.OfWord(spec.Group)),
            ("mode", new(spec.Mode)),
            ("owner", AttributeValue.OfWord(spec.Owner)),
            ("path", new(spec.Path))
        );
        return WithCompared(values, spec, spec.WithoutEntry, ForeignUnits.None);
    }

    /// <inheritdoc />
    public Observation Observe(Resource resource, Snapshot snapshot)
    {
        var spec = DirectorySpec.Of(resource);
        var found = spec.UnwantedEntry is null ? null : spec.Unwanted.FirstOrDefault(unwanted => snapshot.Get(unwanted) is not null);
        var stat = snapshot.Get(spec.Stat);
        if (stat is null && found is null)
        {
            return new Observation.Absent();
        }

        if (stat is not null && stat.Kind != "directory")
        {
            return new Observation.Unknown($"{spec.Path} is a {stat.Kind}, not a directory; move it away or correct the path");
        }

        // They matter only before a directory is set aside: another supervisor would start the container on the empty directory.
        var units =
            found is not null && spec.IsSupervised
                ? ForeignUnits.Of(snapshot.Get(new ServicesRead()), spec.UsedBy!, spec.SupervisedBy!)
                : null;
        // A directory that will be created from an entry above it does not exist yet.
        var values = stat is null
            ? SortedMap.Of<AttributeValue>(("path", new(spec.Path)))
            : SortedMap.Of<AttributeValue>(
                ("group", AttributeValue.OfWord(stat.GroupBeside(spec.Group))),
                ("mode", AttributeValue.OfWord(stat.Mode)),
                ("owner", AttributeValue.OfWord(stat.OwnerBeside(spec.Owner))),
                ("path", new(spec.Path))
            );
        return new Observation.Present(
            WithCompared(values, spec, found is null ? spec.WithoutEntry : spec.Shown(found), units?.Value ?? ForeignUnits.None)
        )
        {
            Note =
                found is null ? null
                : spec.Contains(found)
                    ? $"the existing directory is kept as {spec.Path}{DirectoryScripts.AsideSuffix}; an empty one replaces it"
                : $"the content of {PathRules.Parent(found.Path)} is kept as {spec.Path}{DirectoryScripts.AsideSuffix}; an "
                    + $"empty directory is created beside it",
        };
    }

    // With the compared values beside path and permissions, if an entry can set the directory aside.
    private static SortedMap<AttributeValue> WithCompared(SortedMap<AttributeValue> values, DirectorySpec spec, string entry, string units)
    {
        if (spec.UnwantedEntry is not null)
        {
            values = values.Add(Holds, new(entry));
        }

        return spec.IsSupervised ? values.Add(ForeignUnits.Attribute, new(units)) : values;
    }

    /// <inheritdoc />
    public Script Render(ResourceChange change)
    {
        var spec = DirectorySpec.Of(change.Resource);
        var parent = PathRules.Parent(spec.Path);
        var head = $"""
            path={Script.Quote(spec.Path)}
            mounted_path={Script.Quote(PathRules.InMountinfo(spec.Path))}
            parent={Script.Quote(parent)}
            # Beside the path, so that the finished directory appears by one rename.
            fresh={Script.Quote(parent.TrimEnd('/') + "/.kbr-new-" + spec.Path[(spec.Path.LastIndexOf('/') + 1)..])}
            owner={Script.Quote($"{spec.Owner}:{spec.Group}")}
            mode={Script.Quote(spec.Mode)}
            delete_data={(change.DeleteData && spec.HoldsData ? "yes" : "no")}
            unwanted={Script.Quote(spec.UnwantedEntry ?? "")}
            container={Script.Quote(spec.UsedBy ?? "")}
            unit={Script.Quote(spec.SupervisedBy ?? "")}
            root={Script.Quote(spec.Root ?? "")}
            mounted_root={Script.Quote(PathRules.InMountinfo(spec.Root ?? ""))}
            before_delete={Script.Quote(spec.BeforeDataIsDeleted ?? "")}
            keeps={Script.Quote($" {string.Join(' ', spec.Keeps)} ")}
            stop_timeout={(int)s_stopTimeout.TotalSeconds}
            {DirectoryScripts.Start}
            {ForeignUnitScript.Render(change.Found.GetValueOrDefault(ForeignUnits.Attribute, ForeignUnits.None), spec.UsedBy ?? "")}
            """;
        return change.Operation switch
        {
            // An apply that was cut off after it had moved the entry out of a directory above goes on from there.
            ResourceOperation.Create => new Script(head + DirectoryScripts.SetRootAside + DirectoryScripts.Create),
            ResourceOperation.Update when change.Changed.Contains(Holds) => new Script(
                head + DirectoryScripts.SetAside + DirectoryScripts.SetRootAside + DirectoryScripts.Create
            )
            {
                Deadline = s_stopTimeout + TimeSpan.FromMinutes(10),
            },
            ResourceOperation.Update => new Script(head + DirectoryScripts.Update),
            ResourceOperation.Delete => new Script(head + DirectoryScripts.Delete) { Deadline = TimeSpan.FromMinutes(30) },
            _ => throw new InvalidOperationException("a directory is never replaced: another path is another directory"),
        };
    }
}
