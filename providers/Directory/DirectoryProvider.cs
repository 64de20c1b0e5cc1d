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
    private const string Root = "set_aside_root";
    private const string Keeps = "set_aside_keeps";

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
                new("owner", AttributeKind.String, "Owner, a name or a number.") { Default = "root" },
                new("group", AttributeKind.String, "Group, a name or a number.") { Default = "root" },
                new("mode", AttributeKind.Mode, "Permissions in octal.") { Default = "0755" },
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
                    Root,
                    AttributeKind.Path,
                    "A directory above it that may contain that entry instead, such as a volume mounted at a data "
                        + "directory. With that entry its content is moved to PATH.before-kbr."
                ),
                new(Keeps, AttributeKind.StringList, "The names of entries of that directory that stay in place."),
                new("used_by", AttributeKind.String, "The container that is stopped before the directory is renamed."),
                new("supervised_by", AttributeKind.String, "The systemd unit that runs that container."),
            ]
        )
        {
            Computed = ImmutableDictionary<string, ChangeEffect>
                .Empty.Add(Holds, ChangeEffect.Disruptive)
                .Add(ForeignUnits.Attribute, ChangeEffect.Disruptive),
            MadeAnewFor = ImmutableHashSet.Create(Holds),
        };

    /// <inheritdoc />
    public bool HoldsData(Resource resource) => resource.Spec.Boolean("data");

    /// <inheritdoc />
    public IEnumerable<Diagnostic> Validate(Resource resource) => PathRules.Check(resource, "path");

    /// <inheritdoc />
    public ResourceLinks Links(Resource resource)
    {
        var path = resource.Spec.String("path");
        return new ResourceLinks([$"path:{path}"], [$"path:{PathRules.Parent(path)}"]) { ManagedPaths = [path] };
    }

    /// <inheritdoc />
    public IEnumerable<Read> Reads(Resource resource) =>
        [Stat(resource), .. Unwanted(resource), .. IsSupervised(resource) ? [new ServicesRead()] : Array.Empty<Read>()];

    /// <inheritdoc />
    public ImmutableSortedDictionary<string, AttributeValue> Desired(Resource resource) =>
        Comparable
            .None.Add("path", new(resource.Spec.String("path")))
            .Add("owner", new(resource.Spec.String("owner")))
            .Add("group", new(resource.Spec.String("group")))
            .Add("mode", new(resource.Spec.String("mode")))
            .AddRange(Unwanted(resource).IsEmpty ? [] : [KeyValuePair.Create(Holds, new AttributeValue(Without(resource)))])
            .AddRange(IsSupervised(resource) ? [KeyValuePair.Create(ForeignUnits.Attribute, new AttributeValue(ForeignUnits.None))] : []);

    /// <inheritdoc />
    public Observation Observe(Resource resource, Snapshot snapshot)
    {
        var path = resource.Spec.String("path");
        var found = Unwanted(resource).FirstOrDefault(unwanted => snapshot.Get(unwanted) is not null);
        var stat = snapshot.Get(Stat(resource));
        if (stat is null && found is null)
        {
            return new Observation.Absent();
        }

        if (stat is not null && stat.Kind != "directory")
        {
            return new Observation.Unknown($"{path} is a {stat.Kind}, not a directory; move it away or correct the path");
        }

        var isUnwanted = found is not null;
        // They matter only before a directory is set aside: another supervisor would start the container on the empty directory.
        var units =
            isUnwanted && IsSupervised(resource)
                ? ForeignUnits.Of(snapshot.Get(new ServicesRead()), resource.Spec.String("used_by"), resource.Spec.String("supervised_by"))
                : null;
        return new Observation.Present(
            Comparable
                .None.AddRange(
                    IsSupervised(resource)
                        ? [KeyValuePair.Create(ForeignUnits.Attribute, new AttributeValue(units?.Value ?? ForeignUnits.None))]
                        : []
                )
                .AddRange(
                    Unwanted(resource).IsEmpty
                        ? []
                        : [KeyValuePair.Create(Holds, new AttributeValue(found is null ? Without(resource) : Entry(resource, found)))]
                )
                .Add("path", new(path))
                // Where it is to come out of a directory above, it is not there yet.
                .AddRange(
                    stat is null
                        ? []
                        :
                        [
                            KeyValuePair.Create("owner", new AttributeValue(SameForm(resource.Spec.String("owner"), stat.Uid, stat.User))),
                            KeyValuePair.Create("group", new AttributeValue(SameForm(resource.Spec.String("group"), stat.Gid, stat.Group))),
                            KeyValuePair.Create("mode", new AttributeValue(stat.Mode)),
                        ]
                )
        )
        {
            Note =
                found is null ? null
                : IsWithin(resource, found)
                    ? $"the existing directory is kept as {path}{DirectoryScripts.AsideSuffix}; an empty one replaces it"
                : $"the content of {PathRules.Parent(found.Path)} is kept as {path}{DirectoryScripts.AsideSuffix}; an "
                    + $"empty directory is created beside it",
        };
    }

    /// <inheritdoc />
    public Script Render(ResourceChange change)
    {
        var spec = change.Resource.Spec;
        var path = spec.String("path");
        var head = $"""
            path={Script.Quote(path)}
            parent={Script.Quote(PathRules.Parent(path))}
            # Beside the path, so that the finished directory appears by one rename.
            fresh={Script.Quote(PathRules.Parent(path).TrimEnd('/') + "/.kbr-new-" + path[(path.LastIndexOf('/') + 1)..])}
            owner={Script.Quote($"{spec.String("owner")}:{spec.String("group")}")}
            mode={Script.Quote(spec.String("mode"))}
            delete_data={(change.DeleteData && HoldsData(change.Resource) ? "yes" : "no")}
            unwanted={Script.Quote(spec.OptionalString("set_aside_with") ?? "")}
            container={Script.Quote(spec.OptionalString("used_by") ?? "")}
            unit={Script.Quote(spec.OptionalString("supervised_by") ?? "")}
            root={Script.Quote(spec.OptionalString(Root) ?? "")}
            keeps={Script.Quote($" {string.Join(' ', spec.Has(Keeps) ? spec.List(Keeps) : [])} ")}
            stop_timeout={(int)s_stopTimeout.TotalSeconds}
            {DirectoryScripts.Start}
            {ForeignUnitScript.Render(
                change.Found.GetValueOrDefault(ForeignUnits.Attribute, ForeignUnits.None),
                spec.OptionalString("used_by") ?? ""
            )}
            """;
        return change.Operation switch
        {
            // Cut off after the entry was moved out of a directory above, that is gone on with.
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

    private static StatRead Stat(Resource resource) => new(resource.Spec.String("path"));

    // The entry that must not be there, in the directory itself and at the root above it.
    private static ImmutableArray<StatRead> Unwanted(Resource resource) =>
        resource.Spec.OptionalString("set_aside_with") is not { } name
            ? []
            :
            [
                .. new[] { resource.Spec.String("path"), resource.Spec.OptionalString(Root) }
                    .OfType<string>()
                    .Select(path => new StatRead($"{path}/{name}")),
            ];

    private static bool IsSupervised(Resource resource) =>
        !Unwanted(resource).IsEmpty && resource.Spec.Has("used_by") && resource.Spec.Has("supervised_by");

    private static bool IsWithin(Resource resource, StatRead entry) => PathRules.Parent(entry.Path) == resource.Spec.String("path");

    private static string Entry(Resource resource, StatRead entry) =>
        IsWithin(resource, entry) ? resource.Spec.String("set_aside_with") : entry.Path;

    private static string Without(Resource resource) => $"no {resource.Spec.String("set_aside_with")}";

    // A number is compared with the number, a name with the name; an owner without a name still shows as its number.
    private static string SameForm(string desired, int id, string name)
    {
        var number = id.ToString(System.Globalization.CultureInfo.InvariantCulture);
        return desired.All(char.IsAsciiDigit) || name == "UNKNOWN" ? number : name;
    }
}
