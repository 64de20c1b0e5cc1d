using System.Collections.Immutable;
using System.Security.Cryptography;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.Role;

/// <summary>A yes-or-no attribute of a role.</summary>
/// <param name="Name">The attribute.</param>
/// <param name="IsOn">Whether the role has it.</param>
/// <param name="On">The word of ALTER ROLE that grants it.</param>
internal sealed record RoleOption(string Name, bool IsOn, string On)
{
    /// <summary>The word of ALTER ROLE that sets it as declared.</summary>
    public string Sql => IsOn ? On : "NO" + On;
}

/// <summary>A role as declared.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Password">Its password, or null.</param>
/// <param name="Verifier">The SCRAM verifier that PostgreSQL is given, or null.</param>
/// <param name="IsExact">Whether PostgreSQL must hold that very verifier.</param>
/// <param name="IsBootstrap">Whether Patroni creates it with the cluster.</param>
/// <param name="IsAbsent">Whether it is dropped.</param>
/// <param name="Options">All of its yes-or-no attributes.</param>
/// <param name="ConnectionLimit">How many connections it may have; -1 for any number.</param>
/// <param name="MemberOf">The roles it is a member of, as declared.</param>
/// <param name="SetRole">The role that its sessions act as, or null.</param>
/// <param name="Connection">How the cluster is asked.</param>
internal sealed record RoleSpec(
    string Name,
    SecretText? Password,
    SecretText? Verifier,
    bool IsExact,
    bool IsBootstrap,
    bool IsAbsent,
    ImmutableArray<RoleOption> Options,
    long ConnectionLimit,
    ImmutableArray<string> MemberOf,
    string? SetRole,
    ClusterConnection Connection
)
{
    public const long DefaultConnectionLimit = -1;
    public const string Login = "login";
    public const string Superuser = "superuser";

    public static RoleSpec Of(Resource resource)
    {
        var spec = resource.Spec;
        return new RoleSpec(
            spec.OptionalString("role") ?? resource.Address.Name,
            spec.Text("password"),
            spec.Text("verifier"),
            spec.Boolean("exact"),
            spec.Boolean("bootstrap"),
            spec.Boolean("absent"),
            [
                Option(Login, "LOGIN"),
                Option(Superuser, "SUPERUSER"),
                Option("replication", "REPLICATION"),
                Option("createdb", "CREATEDB"),
                Option("createrole", "CREATEROLE"),
            ],
            spec.Integer("connection_limit") ?? DefaultConnectionLimit,
            [.. spec.List("member_of")],
            spec.OptionalString("set_role"),
            ClusterConnection.Of(resource)
        );

        RoleOption Option(string name, string word) => new(name, spec.Boolean(name), word);
    }

    /// <summary>Whether it may log in.</summary>
    public bool MayLogIn => Options.Any(option => option is { Name: Login, IsOn: true });

    /// <summary>The options that are compared: a superuser may do all that the others would allow, and PostgreSQL gives them to the first
    /// one by itself.</summary>
    public IEnumerable<RoleOption> Compared =>
        Options.Any(option => option is { Name: Superuser, IsOn: true })
            ? Options.Where(option => option.Name is Login or Superuser)
            : Options;

    /// <summary>What the stored verifier is compared with. Where only the password is given, it stands for any verifier that proves the
    /// password. Null where neither is given.</summary>
    public string? DesiredSecret => (Verifier ?? Password)?.Reveal();

    /// <summary>Whether the verifier that PostgreSQL holds is as declared.</summary>
    public bool Accepts(string stored) =>
        Verifier?.Reveal() == stored || (!IsExact && Password is { } password && ScramVerifier.Proves(stored, password.Reveal()));

    /// <summary>The verifier to give to PostgreSQL: a new salt where only the password is given.</summary>
    public string VerifierToSet() =>
        Verifier?.Reveal() ?? ScramVerifier.Make(Password!.Reveal(), RandomNumberGenerator.GetBytes(ScramVerifier.SaltLength));
}
