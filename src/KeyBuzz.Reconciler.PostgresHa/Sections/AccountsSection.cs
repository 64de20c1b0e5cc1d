using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;

namespace KeyBuzz.Reconciler.PostgresHa.Sections;

/// <summary>Reads users, databases and extensions.</summary>
internal sealed class AccountsSection(SectionReader section, BlueprintContext context, SectionValues values)
{
    private readonly Findings _findings = context.Findings;

    /// <summary>A name by itself, or { name, password }.</summary>
    public PostgresUser User(string key, CredentialNeeded name, string password)
    {
        var fallback = context.Secrets.Plain(name.Name) ?? name.Value!;
        if (section.Find(key) is not YamlMapping map)
        {
            var word = section.Word(key, "a user's name, or { name, password }");
            return new PostgresUser(
                values.Name(word, word?.Value ?? fallback, word?.At ?? section.At, "user"),
                values.Password(password, word?.At ?? section.At)
            )
            {
                Secret = password,
            };
        }

        // The superuser and the replication user are the cluster's own: it changes their passwords by itself.
        var own = new SectionReader(map, $"'{key}'", _findings).Allow(
            key == "application" ? PostgresSchema.Application : PostgresSchema.Login
        );
        var given = own.Word("name", "a user's name");
        return new PostgresUser(
            values.Name(given, given?.Value ?? fallback, own.Place("name"), "user"),
            own.Find("password") is null ? values.Password(password, own.At) : values.SecretOf(own, "password")
        )
        {
            Secret = SectionValues.SecretNameOf(own, "password") ?? password,
        };
    }

    /// <summary>A user that only the credentials file names.</summary>
    public PostgresUser Credentials(CredentialNeeded name, string password) =>
        new(values.PlainName(context.Secrets.Plain(name.Name) ?? name.Value!, section.At), values.Password(password, section.At));

    /// <summary>The second of two logins in turn, or null.</summary>
    public (PostgresUser User, SourceLocation At)? RotateWith(SectionReader? own, PostgresUser first)
    {
        const string key = "rotate_with";
        if (own?.Find(key) is null)
        {
            return null;
        }

        var second = own.Section(key).Allow(PostgresSchema.RequiredLogin);
        if (second.Word("name", "the name of a second login", required: true) is not { } word)
        {
            return null;
        }

        var user = new PostgresUser(values.Name(word, word.Value, word.At, "user"), values.SecretOf(second, "password"))
        {
            Secret = SectionValues.SecretNameOf(second, "password") ?? "",
            Pooled = first.Pooled,
            ActsAs = first.Name,
        };

        // Stand-ins for secrets that are not needed are all the same.
        if (
            context.Secrets.Has(user.Secret)
            && context.Secrets.Has(first.Secret)
            && user.Password.Reveal() is { Length: > 0 } password
            && password == first.Password.Reveal()
        )
        {
            _findings.Error(
                $"'{user.Name}' and '{first.Name}' have the same password",
                second.Place("password"),
                "the unused login could not be changed on its own",
                "give each its own secret"
            );
        }

        return (user, word.At);
    }

    /// <summary>The users beside the known ones, with the second login of the application.</summary>
    public ImmutableArray<PostgresUser> Users(
        ImmutableArray<string>.Builder dropped,
        PostgresUser[] known,
        (PostgresUser User, SourceLocation At)? ofApplication
    )
    {
        var users = ImmutableArray.CreateBuilder<PostgresUser>();
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (var user in known.Where(user => !names.Add(user.Name)))
        {
            _findings.Error(
                $"the user '{user.Name}' is assigned to two roles",
                section.At,
                "superuser, replication and application need separate users",
                "give each another name"
            );
        }

        foreach (var own in values.Items("users", "a user"))
        {
            var isDropped = own.Boolean("drop") == true;
            own.Allow(isDropped ? PostgresSchema.DroppedUser : PostgresSchema.User);
            var word = own.Word("name", "a user's name", required: true);
            if (isDropped && word is not null && names.Add(values.Name(word, word.Value, word.At, "user")))
            {
                dropped.Add(word.Value);
            }
            else if (word is not null && names.Add(values.Name(word, word.Value, word.At, "user")))
            {
                users.Add(
                    new PostgresUser(word.Value, values.SecretOf(own, "password"))
                    {
                        Pooled = own.Boolean("pooled") ?? true,
                        Secret = SectionValues.SecretNameOf(own, "password") ?? "",
                    }
                );
                Second(RotateWith(own, users[^1]));
            }
            else if (word is not null)
            {
                _findings.Error($"the user '{word.Value}' is already declared", word.At, null, "remove one of them");
            }
        }

        Second(ofApplication);
        return users.ToImmutable();

        void Second((PostgresUser User, SourceLocation At)? login)
        {
            if (login is var (user, at) && names.Add(user.Name))
            {
                users.Add(user);
            }
            else if (login is { } twice)
            {
                _findings.Error(
                    $"the user '{twice.User.Name}' is already declared",
                    twice.At,
                    "a second login is a separate role",
                    "give it another name"
                );
            }
        }
    }

    /// <summary>The databases, the application's first.</summary>
    public ImmutableArray<PostgresDatabase> Databases(string owner)
    {
        var databases = ImmutableArray.CreateBuilder<PostgresDatabase>();
        var word = section.Word("database", "the application's database");
        var first = values.Name(
            word,
            word?.Value ?? context.Secrets.Plain(PostgresCredentials.Database.Name) ?? PostgresCredentials.Database.Value!,
            section.Place("database"),
            "database"
        );
        Pooled(null, first, section.Place("database"));
        databases.Add(new PostgresDatabase(first, owner));
        foreach (var own in values.Items("databases", "a database"))
        {
            own.Allow(PostgresSchema.Database);
            if (own.Word("name", "a database's name", required: true) is not { } name)
            {
                continue;
            }

            if (databases.Any(database => database.Name == name.Value))
            {
                _findings.Error($"the database '{name.Value}' is already declared", name.At, null, "remove one of them");
                continue;
            }

            databases.Add(
                new PostgresDatabase(values.Name(name, name.Value, name.At, "database"), own.Word("owner", "a user's name")?.Value ?? owner)
                {
                    Pooled = Pooled(own, name.Value, name.At),
                }
            );
        }

        return databases.ToImmutable();
    }

    /// <summary>The extensions.</summary>
    public ImmutableArray<PostgresExtension> Extensions(ImmutableArray<PostgresDatabase> databases)
    {
        var extensions = ImmutableArray.CreateBuilder<PostgresExtension>();
        foreach (var own in values.Items("extensions", "an extension"))
        {
            own.Allow(PostgresSchema.Extension);
            var name = own.Word("name", "an extension's name", required: true);
            var database = own.Word("database", "a database's name");
            if (database is not null && !databases.Any(one => one.Name == database.Value))
            {
                _findings.Unknown(
                    $"there is no database '{database.Value}'",
                    database.At,
                    database.Value,
                    databases.Select(one => one.Name),
                    "databases are"
                );
            }

            if (name is null)
            {
                continue;
            }

            if (!name.Value.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '_' or '-'))
            {
                _findings.Error($"'{name.Value}' cannot be the name of an extension", name.At, "letters, digits, '_' and '-' only");
            }

            var extension = new PostgresExtension(
                name.Value,
                database?.Value ?? databases[0].Name,
                own.Word("version", "a version")?.Value
            );
            if (extensions.Any(one => one.Name == extension.Name && one.Database == extension.Database))
            {
                _findings.Error(
                    $"the extension '{extension.Name}' is already declared in {extension.Database}",
                    name.At,
                    null,
                    "remove one of them"
                );
                continue;
            }

            extensions.Add(extension);
        }

        return extensions.ToImmutable();
    }

    // PgBouncer's file has no quotes for the name of a database.
    private bool Pooled(SectionReader? own, string name, SourceLocation at)
    {
        if (own?.Boolean("pooled") == false)
        {
            return false;
        }

        if (name.Length > 0 && !name.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '_' or '-' or '.'))
        {
            _findings.Error(
                $"PgBouncer cannot take a database called '{name}'",
                at,
                "its file allows ASCII letters, digits, '_', '-' and '.' for a database",
                own is null
                    ? "give the application's database another name"
                    : "give it another name, or write pooled: false: it is then not available through PgBouncer"
            );
        }

        return true;
    }
}
