using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.Directory;

/// <summary>The canonical form of a managed path, so that one place has one name.</summary>
internal static class PathRules
{
    /// <summary>The folder above.</summary>
    public static string Parent(string path)
    {
        var slash = path.LastIndexOf('/');
        return slash <= 0 ? "/" : path[..slash];
    }

    /// <summary>A path as /proc/self/mountinfo shows it.</summary>
    public static string InMountinfo(string path) =>
        path.Replace("\\", @"\134", StringComparison.Ordinal)
            .Replace(" ", @"\040", StringComparison.Ordinal)
            .Replace("\t", @"\011", StringComparison.Ordinal)
            .Replace("\n", @"\012", StringComparison.Ordinal);

    /// <summary>The problem of the path in that attribute.</summary>
    public static IEnumerable<Diagnostic> Check(Resource resource, string attribute)
    {
        var path = resource.Spec.OptionalString(attribute);
        if (path is null)
        {
            yield break;
        }

        var plain = path.Length > 1 && path[0] == '/' && path.Split('/').Skip(1).All(part => part is not ("" or "." or ".."));
        if (!plain)
        {
            yield return Diagnostic.Error(
                $"'{path}' is not a plain absolute path",
                resource.Location,
                remedy: $"write {attribute} from / down, without '.', '..', doubled or trailing slashes",
                host: resource.Address.Host,
                address: resource.Address.ToString()
            );
        }
    }
}
