using KeyBuzz.Reconciler.Applying;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Providers.Role;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.PatroniCluster;

/// <summary>The password that replicas log in to the leader with. A member that is started takes it from its file, which has the new one by
/// then; so PostgreSQL has to have it first.</summary>
internal static class ReplicationPassword
{
    private const string Role = "replication_role";
    private const string Password = "replication_password";
    private const string Verifier = "replication_verifier";

    /// <summary>The attributes of the cluster that say it.</summary>
    public static IReadOnlyList<AttributeDefinition> Attributes { get; } =
    [
        new(
            Role,
            AttributeKind.String,
            "The role that replicas stream as; with the next two keys its password is set before a member that uses it starts."
        ),
        new(Password, AttributeKind.String, "Its password.") { MayHoldSecret = true },
        new(Verifier, AttributeKind.String, "The SCRAM verifier that PostgreSQL stores.") { MayHoldSecret = true },
    ];

    /// <summary>Sets it where PostgreSQL has another one. Answers why that cannot be done yet, or null.</summary>
    /// <param name="cluster">The resource that stands for the cluster.</param>
    /// <param name="leader">Who leads.</param>
    /// <param name="access">The members.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public static async Task<RolloutTurn.Wait?> SetAsync(
        IDeclared cluster,
        string leader,
        IGroupAccess access,
        CancellationToken cancellationToken
    )
    {
        var spec = cluster.Spec;
        if (spec.OptionalString(Role) is not { } role || spec.Text(Password) is not { } password || spec.Text(Verifier) is not { } verifier)
        {
            return null;
        }

        var connection = ClusterConnection.Of(cluster);
        var read = connection.Sql(
            $"SELECT {LeaderAnswer.InRecovery}, rolpassword AS stored FROM pg_authid WHERE rolname = {SqlText.Literal(role)}"
        );
        var answer = (await access.ReadAsync(leader, [read], cancellationToken).ConfigureAwait(false)).Get(read);
        if (JsonAnswer.Rows(answer.Json) is not [var row, ..] || ScramVerifier.Proves(row.Text("stored"), password.Reveal()))
        {
            return null;
        }

        try
        {
            await new LeaderSession(access, connection)
                .RunOnAsync(
                    leader,
                    [SqlStatement.Run($"ALTER ROLE {SqlText.Identifier(role)} PASSWORD {SqlText.Literal(verifier.Reveal())}")],
                    cancellationToken
                )
                .ConfigureAwait(false);
            return null;
        }
        catch (TransientFailureException exception)
        {
            return new RolloutTurn.Wait(exception.Message);
        }
    }
}
