using System.Runtime.CompilerServices;
using System.Text.Json;
using NJsonSchema;

namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary>The schemas of docs/schema.</summary>
internal static class JsonSchemas
{
    public static readonly string Root = FindRoot();

    private static readonly Dictionary<string, JsonSchema> s_schemas = Directory
        .GetFiles(Path.Combine(Root, "docs/schema"), "*.json")
        .ToDictionary(
            file => Path.GetFileNameWithoutExtension(file),
            file => JsonSchema.FromJsonAsync(File.ReadAllText(file)).GetAwaiter().GetResult(),
            StringComparer.Ordinal
        );

    public static IReadOnlyCollection<string> Kinds => s_schemas.Keys;

    /// <summary>What is wrong with a document by the schema of its kind; empty when nothing is.</summary>
    public static string[] Problems(string document)
    {
        using var parsed = JsonDocument.Parse(document);
        var kind = parsed.RootElement.GetProperty("kind").GetString()!;
        return s_schemas.TryGetValue(kind, out var schema)
            ? [.. schema.Validate(document).Select(problem => problem.ToString())]
            : [$"there is no docs/schema/{kind}.json"];
    }

    // By the place of this file: what is built may lie elsewhere.
    private static string FindRoot([CallerFilePath] string file = "") =>
        Path.GetFullPath(Path.Combine(Path.GetDirectoryName(file)!, "../../.."));
}
