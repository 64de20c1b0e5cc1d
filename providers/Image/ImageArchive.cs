using System.Formats.Tar;
using System.Text.Json;

namespace KeyBuzz.Reconciler.Providers.Image;

/// <summary>An archive of <c>docker save</c> with one image.</summary>
/// <remarks>The format: <c>manifest.json</c> lists the images, each with its configuration file, whose name holds the id, and its tags
/// (moby/docker-image-spec, "Combined Image JSON + Filesystem Changeset Format").</remarks>
/// <param name="Name">The image's <c>REPOSITORY:TAG</c> in the archive.</param>
/// <param name="Id">Its id, <c>sha256:</c> and 64 hexadecimal digits: as <c>docker image inspect</c> shows it.</param>
public sealed record ImageArchive(string Name, string Id)
{
    private const string Manifest = "manifest.json";
    private const long LargestManifest = 1 << 20;
    private const int DigitsInName = 12;

    private static readonly byte[] s_gzip = [0x1f, 0x8b];

    /// <summary>Reads which image an archive holds. Only the headers and the manifest are read, not the layers.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="InvalidDataException">It is no archive with one image that has a tag.</exception>
    /// <exception cref="IOException">It cannot be read.</exception>
    public static ImageArchive Read(string path)
    {
        using var file = File.OpenRead(path);
        var head = new byte[s_gzip.Length];
        if (file.ReadAtLeast(head, head.Length, throwOnEndOfStream: false) == head.Length && head.AsSpan().SequenceEqual(s_gzip))
        {
            throw new InvalidDataException("it is compressed, so its image can only be known by unpacking it");
        }

        file.Position = 0;
        using var reader = new TarReader(file);
        while (reader.GetNextEntry() is { } entry)
        {
            if (entry.Name == Manifest && entry is { DataStream: { } data, Length: <= LargestManifest })
            {
                using var document = Parse(data);
                return Of(document.RootElement);
            }
        }

        throw new InvalidDataException($"it holds no {Manifest}: it is not an archive of docker save");
    }

    /// <summary>A name that no other image has: with another build in the archive it is another one, so containers of the former build are
    /// told from those of this one.</summary>
    public string Reference => ReferenceOf(Name, Id);

    /// <summary>The unique name of an image.</summary>
    /// <param name="name">Its <c>REPOSITORY:TAG</c>.</param>
    /// <param name="id">Its id.</param>
    public static string ReferenceOf(string name, string id) =>
        $"{name}-{id[(id.IndexOf(':', StringComparison.Ordinal) + 1)..][..DigitsInName]}";

    /// <summary>Whether this is an image's id.</summary>
    public static bool IsId(string text) =>
        text.StartsWith("sha256:", StringComparison.Ordinal) && text.Length == 71 && text.Skip(7).All(char.IsAsciiHexDigitLower);

    private static JsonDocument Parse(Stream data)
    {
        try
        {
            return JsonDocument.Parse(data);
        }
        catch (JsonException exception)
        {
            throw new InvalidDataException($"its {Manifest} cannot be read: {exception.Message}", exception);
        }
    }

    private static ImageArchive Of(JsonElement manifest)
    {
        if (manifest.ValueKind != JsonValueKind.Array || manifest.GetArrayLength() != 1)
        {
            throw new InvalidDataException("it must hold one image: save one image per archive");
        }

        var image = manifest[0];
        var config = Text(image, "Config") ?? "";
        var id = "sha256:" + Path.GetFileNameWithoutExtension(config);
        var name =
            image.ValueKind == JsonValueKind.Object
            && image.TryGetProperty("RepoTags", out var tags)
            && tags is { ValueKind: JsonValueKind.Array }
            && tags.GetArrayLength() > 0
            && tags[0].ValueKind == JsonValueKind.String
                ? tags[0].GetString()!
                : throw new InvalidDataException("its image has no name: run 'docker save' with REPOSITORY:TAG, not with an id");
        return !IsId(id) ? throw new InvalidDataException($"its image's configuration is '{config}', not one of docker save")
            : ImageReference.TryParse(name, out _, out var tag, out _) && tag is not (null or "latest") ? new ImageArchive(name, id)
            : throw new InvalidDataException($"its image is named '{name}': give it the tag of a version");
    }

    private static string? Text(JsonElement element, string name) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String
            ? value.GetString()
            : null;
}
