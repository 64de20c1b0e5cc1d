using KeyBuzz.Reconciler.Providers.Image;

namespace KeyBuzz.Reconciler.PostgresHa;

/// <summary>The image of a service.</summary>
/// <param name="Reference">The name that containers use: with its digest from a registry, unique from an archive.</param>
public sealed record ServiceImage(string Reference)
{
    /// <summary>None was given.</summary>
    public static readonly ServiceImage None = new("");

    /// <summary>The file of <c>docker save</c> that it is loaded from, relative to the folder of cluster.yaml; null from a
    /// registry.</summary>
    public string? Archive { get; init; }

    /// <summary>Its id (<c>sha256:…</c>), by which an image from an archive is known; null from a registry.</summary>
    public string? Id { get; init; }

    /// <summary>The login to its registry; null for none.</summary>
    public PostgresUser? Login { get; init; }

    /// <summary>The attributes of the <c>image</c> resource that brings it to a host.</summary>
    internal (string, object?)[] Attributes =>
        [
            ("reference", Reference),
            ("archive", Archive),
            ("image_id", Id),
            (ImageProvider.UserKey, Login?.Name),
            (ImageProvider.PasswordKey, Login?.Password),
        ];
}
