using System.Buffers;
using System.Diagnostics.CodeAnalysis;

namespace KeyBuzz.Reconciler.Providers.Container;

/// <summary>A directory of the host seen in a container.</summary>
/// <param name="Source">The path on the host.</param>
/// <param name="Target">The path in the container.</param>
/// <param name="ReadOnly">Whether the container may only read it.</param>
internal sealed record BindMount(string Source, string Target, bool ReadOnly)
{
    // The value of --mount is CSV: a comma or a quote in a path would start another field.
    private static readonly SearchValues<char> s_unusable = SearchValues.Create(
        ",\"" + string.Concat(Enumerable.Range(0, 0xA0).Select(code => (char)code).Where(char.IsControl))
    );

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

    private static bool IsPath(string path) => path.StartsWith('/') && !IsRelative(path) && !path.AsSpan().ContainsAny(s_unusable);

    private static bool IsRelative(string path) => path.Contains("/..", StringComparison.Ordinal) && path.Split('/').Contains("..");

    private static string Trim(string path) => path.Length > 1 ? path.TrimEnd('/') : path;
}
