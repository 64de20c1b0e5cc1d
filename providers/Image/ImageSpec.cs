using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.Image;

/// <summary>An image as declared.</summary>
/// <param name="Reference">As written.</param>
/// <param name="Repository">With its registry.</param>
/// <param name="Tag">The tag, or null.</param>
/// <param name="Digest">The digest, or null for an image from an archive.</param>
/// <param name="Archive">The file on the operator's machine that it is loaded from; null for one that is pulled.</param>
/// <param name="Id">The id it must have, or null.</param>
/// <param name="Labels">The labels it must have.</param>
internal sealed record ImageSpec(
    string Reference,
    string Repository,
    string? Tag,
    string? Digest,
    string? Archive,
    string? Id,
    IReadOnlyDictionary<string, string> Labels
)
{
    /// <summary>The login to its registry; null for none.</summary>
    public RegistryLogin? Login { get; init; }

    /// <exception cref="InvalidOperationException">The reference is none, which <see cref="ImageProvider.Validate"/> refuses.</exception>
    public static ImageSpec Of(Resource resource)
    {
        var spec = resource.Spec;
        var reference = spec.String("reference");
        return ImageReference.TryParse(reference, out var repository, out var tag, out var digest)
            ? new ImageSpec(
                reference,
                repository,
                tag,
                digest,
                spec.OptionalString("archive"),
                spec.OptionalString("image_id"),
                spec.Map("labels")
            )
            {
                Login =
                    spec.OptionalString(ImageProvider.UserKey) is { } user && spec.Text(ImageProvider.PasswordKey) is { } password
                        ? new RegistryLogin(user, password)
                        : null,
            }
            : throw new InvalidOperationException($"{resource.Address}: not an image reference");
    }

    /// <summary>Repository and tag.</summary>
    public string Tagged => $"{Repository}:{Tag}";

    /// <summary>The same as Docker Engine shows it.</summary>
    public string FamiliarTag => $"{ImageReference.Familiar(Repository)}:{Tag}";

    /// <summary>By digest where there is one: the tag may have moved to another image.</summary>
    public string Pinned => Digest is null ? Tagged : $"{Repository}@{Digest}";

    public ImageRead Read => new(Pinned);
}

/// <summary>A login to a registry.</summary>
/// <param name="User">The user.</param>
/// <param name="Password">The password.</param>
internal sealed record RegistryLogin(string User, SecretText Password);
