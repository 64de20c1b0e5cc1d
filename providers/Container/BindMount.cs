using System.Diagnostics.CodeAnalysis;

namespace KeyBuzz.Reconciler.Providers.Container;

/// <summary>A directory of the host seen in a container.</summary>
/// <param name="Source">The path on the host.</param>
/// <param name="Target">The path in the container.</param>
/// <param name="ReadOnly">Whether the container may only read it.</param>
internal sealed record BindMount(string Source, string Target, bool ReadOnly)
{
    /// <summary>Reads <c>source:target[:ro]</c>.</summary>
    public static bool TryParse(string text, [NotNullWhen(true)] out BindMount? mount)
    {
        mount = text.Split(':') switch
        {
            [var source, var target] when IsPath(source) && IsPath(target) => new BindMount(Trim(source), Trim(target), false),
            [var source, var target, "ro"] when IsPath(source) && IsPath(target) => new BindMount(Trim(source), Trim(target), true),
            _ => null,
        };
        return mount is not null;
    }

    /// <inheritdoc />
    public override string ToString() => $"{Source}:{Target}{(ReadOnly ? ":ro" : "")}";

    // The value of --mount is CSV: a comma or a quote in a path would start another field.
    private static bool IsPath(string path) =>
        path.StartsWith('/') && !path.Split('/').Contains("..") && !path.Any(letter => letter is ',' or '"' || char.IsControl(letter));

    private static string Trim(string path) => path.Length > 1 ? path.TrimEnd('/') : path;
}
