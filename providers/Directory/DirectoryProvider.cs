using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.Directory;

/// <summary>A directory with its owner, group and mode. What is in it is not looked at and never changed.</summary>
public sealed class DirectoryProvider : IHostResourceProvider
{
    /// <inheritdoc />
    public ResourceSchema Schema { get; } = new("directory", "A directory with owner, group and mode; its content is left alone.",
    [
        new("path", AttributeKind.Path, "Where it is; its parent must exist or be declared.") { Required = true, Effect = ChangeEffect.Replace },
        new("owner", AttributeKind.String, "Owner, a name or a number.") { Default = "root" },
        new("group", AttributeKind.String, "Group, a name or a number.") { Default = "root" },
        new("mode", AttributeKind.Mode, "Permissions in octal.") { Default = "0755" },
        new("data", AttributeKind.Boolean, "Whether it holds data: then destroy leaves it unless deleting data is asked for.") { Default = false },
    ]);

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
    public IEnumerable<Read> Reads(Resource resource) => [Stat(resource)];

    /// <inheritdoc />
    public ImmutableSortedDictionary<string, AttributeValue> Desired(Resource resource) => Comparable.None
        .Add("path", new(resource.Spec.String("path")))
        .Add("owner", new(resource.Spec.String("owner")))
        .Add("group", new(resource.Spec.String("group")))
        .Add("mode", new(resource.Spec.String("mode")));

    /// <inheritdoc />
    public Observation Observe(Resource resource, Snapshot snapshot)
    {
        var path = resource.Spec.String("path");
        if (snapshot.Get(Stat(resource)) is not { } stat)
        {
            return new Observation.Absent();
        }

        if (stat.Kind != "directory")
        {
            return new Observation.Unknown($"{path} is a {stat.Kind}, not a directory; move it away or correct the path");
        }

        return new Observation.Present(Comparable.None
            .Add("path", new(path))
            .Add("owner", new(SameForm(resource.Spec.String("owner"), stat.Uid, stat.User)))
            .Add("group", new(SameForm(resource.Spec.String("group"), stat.Gid, stat.Group)))
            .Add("mode", new(stat.Mode)));
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
            {DirectoryScripts.Start}
            """;
        return change.Operation switch
        {
            ResourceOperation.Create => new Script(head + DirectoryScripts.Create),
            ResourceOperation.Update => new Script(head + DirectoryScripts.Update),
            ResourceOperation.Delete => new Script(head + DirectoryScripts.Delete) { Deadline = TimeSpan.FromMinutes(30) },
            _ => throw new InvalidOperationException("a directory is never replaced: another path is another directory"),
        };
    }

    private static StatRead Stat(Resource resource) => new(resource.Spec.String("path"));

    // A number is compared with the number, a name with the name; an owner without a name still shows as its number.
    private static string SameForm(string desired, int id, string name)
    {
        var number = id.ToString(System.Globalization.CultureInfo.InvariantCulture);
        return desired.All(char.IsAsciiDigit) || name == "UNKNOWN" ? number : name;
    }
}
