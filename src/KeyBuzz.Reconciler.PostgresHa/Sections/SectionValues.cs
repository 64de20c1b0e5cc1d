using System.Text;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Providers.Image;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.PostgresHa.Sections;

/// <summary>Reads the values that several parts of the <c>postgres</c> section have: images, lists, names and passwords.</summary>
internal sealed class SectionValues(SectionReader section, BlueprintContext context)
{
    // NAMEDATALEN - 1: PostgreSQL silently cuts longer ones.
    private const int LongestName = 63;

    private readonly Findings _findings = context.Findings;
    private readonly Lazy<(string Server, PostgresUser User)?> _login = new(() => RegistryLogin(section, context));

    /// <summary>The image of a part: of a registry, pinned by its digest, or from an archive; null where it is neither.</summary>
    public ServiceImage? Image(SectionReader own)
    {
        if (own.Find("image") is YamlMapping map)
        {
            return ArchivedImage(new SectionReader(map, "'image'", _findings));
        }

        if (own.Word("image", "an image, as REPOSITORY:TAG@sha256:DIGEST or { archive: FILE }", required: true) is not { } word)
        {
            return null;
        }

        if (!ImageReference.TryParse(word.Value, out var repository, out var tag, out var digest))
        {
            _findings.Error($"'{word.Value}' is not an image reference", word.At, null, "write REPOSITORY:TAG@sha256:DIGEST");
        }
        else if (tag is null or "latest")
        {
            _findings.Error(
                $"image '{word.Value}' has no fixed tag",
                word.At,
                "'latest', the default tag, changes over time",
                "give the tag of a version, and @sha256:DIGEST"
            );
        }
        else if (digest is null)
        {
            _findings.Error(
                $"image '{word.Value}' is not pinned by digest",
                word.At,
                "a tag can be moved to another image",
                "add @sha256:DIGEST, as 'docker image inspect' shows it under RepoDigests"
            );
        }
        else
        {
            // The password goes to no other registry than its own.
            var login = _login.Value is { } known && known.Server == ImageReference.LoginServerOf(repository) ? known.User : null;
            return new ServiceImage(word.Value) { Login = login };
        }

        return null;
    }

    /// <summary>A login over HTTP of a part; null where there is none.</summary>
    public PostgresUser? WebLogin(SectionReader part, string key)
    {
        if (part.Find(key) is null)
        {
            return null;
        }

        var own = part.Section(key).Allow(PostgresSchema.RequiredLogin);
        var name = own.Word("name", "a user's name", required: true);
        if (
            name is not null
            && !(
                name.Value.Length is > 0 and <= 63
                && name.Value.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '-' or '_' or '.')
            )
        )
        {
            _findings.Error($"'{name.Value}' cannot be the name of a login", name.At, "letters, digits, '-', '_' and '.' only");
        }

        return new PostgresUser(name?.Value ?? "", SecretOf(own, "password"));
    }

    private static (string Server, PostgresUser User)? RegistryLogin(SectionReader section, BlueprintContext context)
    {
        if (section.Find(PostgresSchema.RegistryKey) is null)
        {
            return null;
        }

        var own = section.Section(PostgresSchema.RegistryKey).Allow(PostgresSchema.RegistryLogin);
        var server = own.Word("server", "the registry, as the images name it", required: true);
        var name = own.Word("name", "the registry's user", required: true);
        return (server?.Value ?? "", new PostgresUser(name?.Value ?? "", new SectionValues(section, context).SecretOf(own, "password")));
    }

    // Named and identified in cluster.yaml, or else by what the archive says.
    private ServiceImage? ArchivedImage(SectionReader own)
    {
        own.Allow(PostgresSchema.ArchivedImage);
        var archive = own.Word("archive", "a file of docker save", required: true);
        var name = own.Word("name", "the image's REPOSITORY:TAG");
        var id = own.Word("id", "the image's id, sha256:…");
        if (archive is null)
        {
            return null;
        }

        if (name is null != id is null)
        {
            _findings.Error(
                $"'image' has {(id is null ? "a name without an id" : "an id without a name")}",
                own.At,
                "together they say which image the archive holds",
                "give both, or neither: kbr then reads them from the archive"
            );
            return null;
        }

        if (name is null || id is null)
        {
            return ReadArchive(archive);
        }

        if (!ImageArchive.IsId(id.Value))
        {
            _findings.Error($"'{id.Value}' is not an image's id", id.At, null, "write sha256: and 64 hexadecimal digits");
        }
        else if (!ImageReference.TryParse(name.Value, out _, out var tag, out var digest) || tag is null or "latest" || digest is not null)
        {
            _findings.Error($"'{name.Value}' is not an image's name with a fixed tag", name.At, null, "write REPOSITORY:TAG");
        }
        else
        {
            return new ServiceImage(ImageArchive.ReferenceOf(name.Value, id.Value)) { Archive = archive.Value, Id = id.Value };
        }

        return null;
    }

    private ServiceImage? ReadArchive(YamlScalar archive)
    {
        try
        {
            var found = ImageArchive.Read(Path.Combine(context.Directory, archive.Value));
            return new ServiceImage(found.Reference) { Archive = archive.Value, Id = found.Id };
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            _findings.Error(
                $"the archive '{archive.Value}' cannot be read",
                archive.At,
                exception.Message,
                "make it with 'kbr images build', or with 'docker save -o FILE REPOSITORY:TAG'"
            );
        }
        catch (InvalidDataException exception)
        {
            _findings.Error(
                $"the archive '{archive.Value}' cannot be used",
                archive.At,
                exception.Message,
                "make it with 'docker save -o FILE REPOSITORY:TAG'; or give 'name' and 'id' of its image"
            );
        }

        return null;
    }

    /// <summary>The maps of a list; a word stands for a map with that name.</summary>
    public IEnumerable<SectionReader> Items(string key, string what)
    {
        switch (section.Find(key))
        {
            case null:
                yield break;
            case YamlSequence list:
                foreach (var item in list.Items)
                {
                    if (item is YamlScalar { IsNull: false } word)
                    {
                        yield return new SectionReader(
                            new YamlMapping(word.At, [(word with { Value = "name" }, word)]),
                            $"{what} '{word.Value}'",
                            _findings
                        );
                    }
                    else if (SectionReader.Of(item, what, _findings) is { } own)
                    {
                        yield return own;
                    }
                }

                break;
            case var other:
                _findings.Error($"'{key}' must be a list, not {other.Kind}", other.At);
                break;
        }
    }

    /// <summary>A name that PostgreSQL allows in double quotes, without those that have another meaning for it or for PgBouncer.</summary>
    public string Name(YamlScalar? word, string name, SourceLocation at, string what)
    {
        if (NameProblem(name, what) is { } problem)
        {
            _findings.Error(
                $"'{name}' cannot be the name of a {what}",
                at,
                problem,
                word is null ? "give the name here, or another value in the credentials file" : null
            );
        }

        return name;
    }

    private static string? NameProblem(string name, string what) =>
        name.Length == 0 ? "a name may not be empty"
        : Encoding.UTF8.GetByteCount(name) > LongestName ? $"PostgreSQL allows at most {LongestName} bytes"
        : name.Any(char.IsControl) ? "PgBouncer's files are line-based, so a name cannot have control characters"
        : name == "pgbouncer" ? "PgBouncer reserves this name for its console"
        : what == "database"
            ? name is "template0" or "template1" ? "every PostgreSQL cluster already has this database"
                : null
        : name.StartsWith("pg_", StringComparison.Ordinal) ? "PostgreSQL reserves names that begin with 'pg_'"
        : name is "public" or "none" ? "PostgreSQL reserves this word"
        : name[0] == '/' ? "pg_hba.conf reads it as a regular expression"
        : null;

    /// <summary>The name of a user of PgBouncer's console or of Patroni's REST API: part of a list there, or of a header.</summary>
    public string PlainName(string name, SourceLocation at)
    {
        if (
            name.Length is 0 or > LongestName
            || name == "pgbouncer"
            || !name.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '_' or '-' or '.')
        )
        {
            _findings.Error(
                $"'{name}' cannot be the name of a user",
                at,
                "ASCII letters, digits, '_', '-' and '.' only",
                "give another value in the credentials file"
            );
        }

        return name;
    }

    /// <summary>A password that is given as <c>${secret.NAME}</c>.</summary>
    public SecretText SecretOf(SectionReader own, string key)
    {
        if (own.Word(key, "a password, as ${secret.NAME}", required: true) is not { } word)
        {
            return SecretText.Plain("");
        }

        if (!word.Value.StartsWith("${secret.", StringComparison.Ordinal) || !word.Value.EndsWith('}'))
        {
            // The value may be a password, so it is not shown.
            _findings.Error(
                $"'{key}' must be ${{secret.NAME}}",
                word.At with
                {
                    LineText = "",
                },
                "secrets belong in the credentials file or the environment, never in cluster.yaml",
                "kbr init --credentials generates it"
            );
            return SecretText.Plain("");
        }

        return Password(word.Value[9..^1], word.At);
    }

    /// <summary>The name in <c>${secret.NAME}</c>; null for anything else.</summary>
    public static string? SecretNameOf(SectionReader own, string key) =>
        own.Find(key) is YamlScalar { Value: ['$', '{', 's', 'e', 'c', 'r', 'e', 't', '.', .. var name, '}'] } ? name : null;

    /// <summary>The password of that name in the credentials file, used at a place in cluster.yaml.</summary>
    public SecretText Password(string name, SourceLocation at)
    {
        context.Secrets.Require(name, at, _findings);
        var value = context.Secrets.Use(name, at, _findings);
        if (value?.Any(char.IsControl) == true)
        {
            _findings.Error(
                $"secret {name} holds a control character",
                at,
                "configuration files are line-based",
                "choose a password without it"
            );
        }

        return new SecretText([new SecretText.Part(value ?? "", true)]);
    }
}
