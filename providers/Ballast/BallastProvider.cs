using System.Globalization;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Directory;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.Ballast;

/// <summary>A file that takes room on a file system and holds nothing, so that there is something to give back when it is full. It is
/// made only where a tenth of the file system stays free beside it.</summary>
public sealed class BallastProvider : IHostResourceProvider
{
    // What a file system allocates beside the size itself.
    private const long Tolerance = 1 << 20;

    /// <inheritdoc />
    public ResourceSchema Schema { get; } =
        new(
            "ballast",
            "A file that takes room on a file system, to be given back when that is full: kbr relief.",
            [
                new("path", AttributeKind.Path, "Its path; the parent must exist or be declared.")
                {
                    Required = true,
                    Effect = ChangeEffect.Replace,
                },
                new("size", AttributeKind.Size, "How much room it takes.") { Required = true },
            ]
        );

    /// <summary>What gives the room of a ballast back: it needs none itself.</summary>
    /// <param name="path">Its path.</param>
    public static Script Relief(string path) => new($"rm -f -- {Script.Quote(path)} {Script.Quote(path + ".new")}");

    /// <inheritdoc />
    public bool HoldsData(Resource resource) => false;

    /// <inheritdoc />
    public IEnumerable<Diagnostic> Validate(Resource resource)
    {
        ArgumentNullException.ThrowIfNull(resource);
        return
        [
            .. PathRules.Check(resource, "path"),
            .. SizeOf(resource) >= Tolerance
                ? Array.Empty<Diagnostic>()
                : [Diagnostic.Error("a ballast of less than 1MiB is of no use", resource.Location, address: resource.Address.ToString())],
        ];
    }

    /// <inheritdoc />
    public ResourceLinks Links(Resource resource)
    {
        var path = PathOf(resource);
        return new ResourceLinks([$"path:{path}"], [$"path:{PathRules.Parent(path)}"]) { ManagedPaths = [path] };
    }

    /// <inheritdoc />
    public IEnumerable<Read> Reads(Resource resource) => [new StatRead(PathOf(resource))];

    /// <inheritdoc />
    public SortedMap<AttributeValue> Desired(Resource resource) => Values(PathOf(resource), SizeOf(resource));

    /// <inheritdoc />
    public Observation Observe(Resource resource, Snapshot snapshot)
    {
        ArgumentNullException.ThrowIfNull(snapshot);
        var (path, size) = (PathOf(resource), SizeOf(resource));
        return snapshot.Get(new StatRead(path)) switch
        {
            null => new Observation.Absent(),
            { Kind: not "regular file" } other => new Observation.Unknown(
                $"{path} is a {other.Kind}, not a file; move it away or correct the path"
            ),
            var file => new Observation.Present(
                Values(path, Math.Abs(file.AllocatedBytes - size) <= Tolerance ? size : file.AllocatedBytes)
            ),
        };
    }

    /// <inheritdoc />
    public Script Render(ResourceChange change)
    {
        ArgumentNullException.ThrowIfNull(change);
        var path = PathOf(change.Resource);
        return change.Operation == ResourceOperation.Delete
            ? Relief(path)
            : new Script(
                $$"""
                path={{Script.Quote(path)}}
                size={{SizeOf(change.Resource).ToString(CultureInfo.InvariantCulture)}}
                parent={{Script.Quote(PathRules.Parent(path))}}
                if [ -e "$path" ] && [ ! -f "$path" ] || [ -L "$path" ]; then echo "$path is not a file; move it away" >&2; exit 1; fi
                rm -f -- "$path.new"
                set -- $(df -B1 --output=size,avail -- "$parent" | tail -n 1)
                room=$(($2 + $(stat -c %b -- "$path" 2>/dev/null || echo 0) * 512))
                if [ "$room" -lt $((size + $1 / 10)) ]; then
                    echo "$parent has $(($2 >> 20)) MiB free: the ballast of $((size >> 20)) MiB is made when $(((size + $1 / 10) >> 20)) MiB are free; make room first" >&2
                    exit 1
                fi
                rm -f -- "$path"
                umask 077
                fallocate -l "$size" -- "$path.new" || { rm -f -- "$path.new"; exit 1; }
                sync -- "$path.new"
                mv -f -- "$path.new" "$path"
                """
            );
    }

    private static string PathOf(Resource resource) => resource.Spec.String("path");

    private static long SizeOf(Resource resource) => resource.Spec.Integer("size") ?? 0;

    private static SortedMap<AttributeValue> Values(string path, long size) =>
        SortedMap.Of<AttributeValue>(("path", new(path)), ("size", new(size.ToString(CultureInfo.InvariantCulture))));
}
