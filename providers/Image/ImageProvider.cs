using System.Collections.Immutable;
using System.Text.Json;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.Image;

/// <summary>A container image in the host's Docker Engine: pulled by digest, or loaded from an archive on the operator's machine.</summary>
public sealed class ImageProvider : IHostResourceProvider, IReachesOut
{
    /// <summary>The attribute of the registry's user.</summary>
    public const string UserKey = "registry_user";

    /// <summary>The attribute of its password.</summary>
    public const string PasswordKey = "registry_password";

    private static readonly TimeSpan TransferDeadline = TimeSpan.FromMinutes(15);

    /// <inheritdoc />
    public ResourceSchema Schema { get; } =
        new(
            "image",
            "A container image, pulled by digest or loaded from an archive.",
            [
                new("reference", AttributeKind.String, "NAME:TAG@sha256:DIGEST to pull; NAME:TAG with an archive.") { Required = true },
                new(
                    "archive",
                    AttributeKind.String,
                    "A file of 'docker save' on the operator's machine; uploaded and loaded instead of pulling."
                ),
                new("image_id", AttributeKind.String, "The id (sha256:...) the image must have."),
                new(UserKey, AttributeKind.String, "The user that logs in to the registry for a pull; default: no login."),
                new(PasswordKey, AttributeKind.String, "Its password, from the secrets; no file on the host keeps it.")
                {
                    MayHoldSecret = true,
                },
                new("labels", AttributeKind.StringMap, "Labels the image must have; with an archive they identify the build."),
            ]
        );

    /// <inheritdoc />
    public bool HoldsData(Resource resource) => false;

    /// <inheritdoc />
    public IEnumerable<Diagnostic> Validate(Resource resource)
    {
        if (resource.Spec.OptionalString("reference") is not { } text)
        {
            yield break;
        }

        if (!ImageReference.TryParse(text, out _, out var tag, out var digest))
        {
            yield return Problem(resource, $"'{text}' is not an image reference", "write NAME:TAG@sha256:DIGEST");
            yield break;
        }

        if (tag is null or "latest")
        {
            yield return Problem(resource, $"'{text}' has no fixed tag", "give the tag of a version; 'latest' changes over time");
        }

        if (resource.Spec.Has(UserKey) != resource.Spec.Has(PasswordKey))
        {
            yield return Problem(
                resource,
                $"{(resource.Spec.Has(UserKey) ? PasswordKey : UserKey)} is missing",
                $"give both {UserKey} and {PasswordKey}, or neither"
            );
        }
        else if (resource.Spec.Text(PasswordKey) is { HasSecret: false } or null && resource.Spec.Has(PasswordKey))
        {
            yield return Problem(
                resource,
                $"{PasswordKey} must be ${{secret.NAME}}",
                "put the password into the credentials file or the environment"
            );
        }
        else if (resource.Spec.Has(UserKey) && resource.Spec.Has("archive"))
        {
            yield return Problem(
                resource,
                "a login for an image from an archive",
                $"remove {UserKey} and {PasswordKey}: nothing is pulled"
            );
        }

        if (resource.Spec.Has("archive"))
        {
            if (digest is not null)
            {
                yield return Problem(
                    resource,
                    $"'{text}' has a digest, but an image from an archive has none",
                    "write NAME:TAG, and labels or image_id to identify the image"
                );
            }

            if (resource.Spec.Map("labels").Count == 0 && !resource.Spec.Has("image_id"))
            {
                yield return Problem(
                    resource,
                    "the build in the archive cannot be identified",
                    "give labels of the image, or its image_id"
                );
            }
        }
        else if (digest is null)
        {
            yield return Problem(
                resource,
                $"'{text}' is not pinned by digest",
                "add '@sha256:...', as 'docker image inspect' shows it under RepoDigests; or name an archive to load"
            );
        }
    }

    /// <inheritdoc />
    public ResourceLinks Links(Resource resource) => new([$"image:{ImageSpec.Of(resource).Reference}"], []);

    /// <inheritdoc />
    public IEnumerable<Traffic> Outgoing(Resource resource, Host host)
    {
        var spec = ImageSpec.Of(resource);
        if (spec.Archive is not null)
        {
            yield break;
        }

        var (registry, port) = ImageReference.RegistryOf(spec.Repository);
        yield return new Traffic(Traffic.Tcp, port, "images", [TrafficEnd.Of(host)], [new TrafficEnd(registry, "")]);
    }

    /// <inheritdoc />
    public IEnumerable<Read> Reads(Resource resource) => [ImageSpec.Of(resource).Read];

    /// <inheritdoc />
    public SortedMap<AttributeValue> Desired(Resource resource)
    {
        var spec = ImageSpec.Of(resource);
        var desired = Comparable.None.Add("tag", new(spec.Tagged));
        if (spec.Digest is { } digest)
        {
            desired = desired.Add("digest", new(digest));
        }

        if (spec.Id is { } id)
        {
            desired = desired.Add("image_id", new(id));
        }

        foreach (var (name, value) in spec.Labels)
        {
            desired = desired.Add($"label.{name}", new(value));
        }

        return desired;
    }

    /// <inheritdoc />
    public Observation Observe(Resource resource, Snapshot snapshot)
    {
        var spec = ImageSpec.Of(resource);
        var answer = snapshot.Get(spec.Read);
        switch (answer.Status)
        {
            case 0:
                return new Observation.Unknown("Docker Engine does not answer; look at 'systemctl status docker'");
            case 404:
                return new Observation.Absent();
            case 200:
                break;
            default:
                return new Observation.Unknown($"Docker Engine answered {answer.Status} for the image: {answer.Json.Trim()}");
        }

        using var document = JsonDocument.Parse(answer.Json);
        var image = document.RootElement;
        var wanted = spec.Tagged;
        var present = Comparable.None;

        // Docker Engine shortens the names of its default registry, so the tag is compared in that form.
        var tagged = Strings(image, "RepoTags").Any(tag => tag == spec.FamiliarTag || tag == wanted);
        present = present.Add("tag", new(tagged ? wanted : "(none)"));
        if (spec.Digest is { } digest)
        {
            var found = Strings(image, "RepoDigests").Select(entry => entry[(entry.IndexOf('@', StringComparison.Ordinal) + 1)..]).ToList();
            present = present.Add("digest", new(found.Contains(digest) ? digest : found.FirstOrDefault() ?? "(none)"));
        }

        if (spec.Id is not null)
        {
            present = present.Add("image_id", new(image.TryGetProperty("Id", out var id) ? id.GetString() ?? "" : ""));
        }

        foreach (var name in spec.Labels.Keys)
        {
            present = present.Add($"label.{name}", new(Label(image, name) ?? "(none)"));
        }

        return new Observation.Present(present);
    }

    /// <inheritdoc />
    public Script Render(ResourceChange change)
    {
        var spec = ImageSpec.Of(change.Resource);
        var head = $"""
            tag={Script.Quote(spec.Tagged)}
            familiar={Script.Quote(spec.FamiliarTag)}
            pinned={Script.Quote(spec.Pinned)}
            id={Script.Quote(spec.Id ?? "")}
            fail() {"{"} printf '%s\n' "$*" >&2; exit 1; {"}"}

            """;
        if (change.Operation == ResourceOperation.Delete)
        {
            return new Script(head + ImageScripts.Delete);
        }

        return spec.Archive is { } archive
            ? new Script(head + ImageScripts.Load)
            {
                Deadline = TransferDeadline,
                Uploads = ImmutableSortedDictionary<string, string>.Empty.Add("archive", archive),
                ReadsGzip = true,
            }
            : new Script(head + (spec.Login is { } login ? LogIn(spec, login) : "") + ImageScripts.Pull) { Deadline = TransferDeadline };
    }

    private static string LogIn(ImageSpec spec, RegistryLogin login) =>
        $"""
            registry={Script.Quote(ImageReference.LoginServerOf(spec.Repository))}
            user={Script.Quote(login.User)}
            password={Script.Quote(login.Password.Reveal())}

            """ + ImageScripts.PullWithLogin;

    private static IEnumerable<string> Strings(JsonElement element, string name) =>
        element.TryGetProperty(name, out var list) && list.ValueKind == JsonValueKind.Array
            ? list.EnumerateArray().Select(item => item.GetString() ?? "")
            : [];

    private static string? Label(JsonElement image, string name) =>
        image.TryGetProperty("Config", out var config)
        && config.ValueKind == JsonValueKind.Object
        && config.TryGetProperty("Labels", out var labels)
        && labels.ValueKind == JsonValueKind.Object
        && labels.TryGetProperty(name, out var value)
            ? value.GetString()
            : null;

    private static Diagnostic Problem(Resource resource, string summary, string remedy) =>
        Diagnostic.Error(summary, resource.Location, remedy: remedy, host: resource.Address.Host, address: resource.Address.ToString());
}
