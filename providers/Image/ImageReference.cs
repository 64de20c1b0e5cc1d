using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace KeyBuzz.Reconciler.Providers.Image;

/// <summary>The name of a container image: <c>[registry/]repository[:tag][@digest]</c>.</summary>
public static class ImageReference
{
    /// <summary>Takes a reference apart.</summary>
    public static bool TryParse(string text, [NotNullWhen(true)] out string? repository, out string? tag, out string? digest)
    {
        (repository, tag, digest) = (null, null, null);
        var rest = text;
        var at = rest.IndexOf('@', StringComparison.Ordinal);
        if (at >= 0)
        {
            digest = rest[(at + 1)..];
            rest = rest[..at];
            if (!IsDigest(digest))
            {
                return false;
            }
        }

        // A colon after the last slash starts the tag; one before it is the registry's port.
        var colon = rest.LastIndexOf(':');
        if (colon > rest.LastIndexOf('/'))
        {
            tag = rest[(colon + 1)..];
            rest = rest[..colon];
            if (!IsTag(tag))
            {
                return false;
            }
        }

        if (!IsRepository(rest))
        {
            return false;
        }

        repository = rest;
        return true;
    }

    /// <summary>The host and port of the registry that a repository is in.</summary>
    public static (string Host, int Port) RegistryOf(string repository)
    {
        ArgumentNullException.ThrowIfNull(repository);
        var first = repository.Split('/')[0];
        if (!IsRegistry(first, repository))
        {
            return ("docker.io", 443);
        }

        var colon = first.LastIndexOf(':');
        return colon > 0 && int.TryParse(first[(colon + 1)..], CultureInfo.InvariantCulture, out var port)
            ? (first[..colon], port)
            : (first, 443);
    }

    /// <summary>The registry of a repository as <c>docker login</c> takes it; empty for its default one.</summary>
    public static string LoginServerOf(string repository)
    {
        ArgumentNullException.ThrowIfNull(repository);
        return IsRegistry(repository.Split('/')[0], repository) ? repository.Split('/')[0] : "";
    }

    /// <summary>A repository as Docker Engine shows it: without its default registry, and without the folder of the official images
    /// there.</summary>
    public static string Familiar(string repository)
    {
        ArgumentNullException.ThrowIfNull(repository);
        string[] parts = repository.Split('/');
        if (IsRegistry(parts[0], repository))
        {
            if (parts[0] is not ("docker.io" or "index.docker.io"))
            {
                return repository;
            }

            parts = parts[1..];
        }

        return parts is ["library", var official] ? official : string.Join('/', parts);
    }

    // Docker Engine takes the first part for a registry if it has a dot, a port, or is localhost.
    private static bool IsRegistry(string first, string repository) =>
        first != repository
        && (first.Contains('.', StringComparison.Ordinal) || first.Contains(':', StringComparison.Ordinal) || first == "localhost");

    /// <summary>Why a reference may not be used, or null: it must say which image is meant, today and tomorrow.</summary>
    public static string? Problem(string text)
    {
        if (!TryParse(text, out _, out var tag, out var digest))
        {
            return $"'{text}' is not an image reference; write repository:tag, best with @sha256:digest";
        }

        return digest is not null
            ? null
            : tag switch
            {
                null => $"image '{text}' has no tag, so it means 'latest', which changes over time; give a tag, best with @sha256:digest",
                "latest" => $"image '{text}' is 'latest', which changes over time; give a version's tag, best with @sha256:digest",
                _ => null,
            };
    }

    private static bool IsDigest(string text) =>
        text.StartsWith("sha256:", StringComparison.Ordinal)
        && text.Length == 71
        && text.Skip(7).All(letter => char.IsAsciiHexDigitLower(letter));

    private static bool IsTag(string text) =>
        text.Length is > 0 and <= 128
        && text[0] is not ('.' or '-')
        && text.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '_' or '.' or '-');

    private static bool IsRepository(string text)
    {
        var parts = text.Split('/');
        var first = parts.Length > 1 && IsRegistry(parts[0]) ? 1 : 0;
        return text.Length <= 255 && parts.Skip(first).All(IsComponent);
    }

    // As Docker tells a registry from a first folder: it has a dot or a port, or is localhost.
    private static bool IsRegistry(string text)
    {
        var colon = text.LastIndexOf(':');
        var name = colon < 0 ? text : text[..colon];
        return (text == "localhost" || text.Contains('.', StringComparison.Ordinal) || colon >= 0)
            && name.Length > 0
            && name.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '.' or '-')
            && (colon < 0 || (ushort.TryParse(text.AsSpan(colon + 1), out var port) && port > 0));
    }

    private static bool IsComponent(string text) =>
        text.Length > 0
        && char.IsAsciiLetterOrDigit(text[0])
        && char.IsAsciiLetterOrDigit(text[^1])
        && text.All(letter => char.IsAsciiLetterLower(letter) || char.IsAsciiDigit(letter) || letter is '.' or '_' or '-');
}
