using System.Collections.Immutable;
using System.Text.Json;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.Role;

/// <summary>A role of a PostgreSQL cluster, with its password as a SCRAM verifier.</summary>
public sealed class RoleProvider : IGroupResourceProvider, IForgottenOnRemoval, IRetiresOnRemoval
{
    private const string Password = "password";
    private const string MemberOf = "member_of";
    private const string ConnectionLimit = "connection_limit";
    private const string SetRole = "set_role";
    private const string Absent = "absent";

    // dependent_objects_still_exist.
    private const string OwnsSomething = "2BP01";

    private static readonly PollPace s_pace = new(TimeSpan.FromMilliseconds(500), TimeSpan.FromSeconds(60)) { SparesSlowHosts = true };

    /// <inheritdoc />
    public ResourceSchema Schema { get; } =
        new(
            "role",
            "A role of a PostgreSQL cluster.",
            [
                new("role", AttributeKind.String, "Its name; default: the resource's name."),
                new(Password, AttributeKind.String, "Its password; the stored verifier must match it.") { MayHoldSecret = true },
                new("verifier", AttributeKind.String, "The SCRAM verifier that PostgreSQL stores; default: a new one with a random salt.")
                {
                    MayHoldSecret = true,
                },
                new(
                    "exact",
                    AttributeKind.Boolean,
                    "Whether PostgreSQL must store exactly that verifier, as PgBouncer needs, or any that matches the password."
                )
                {
                    Default = false,
                },
                new(RoleSpec.Login, AttributeKind.Boolean, "Whether it may log in.") { Default = true },
                new(RoleSpec.Superuser, AttributeKind.Boolean, "Whether it is a superuser.") { Default = false },
                new("replication", AttributeKind.Boolean, "Whether it may stream the write-ahead log.") { Default = false },
                new("createdb", AttributeKind.Boolean, "Whether it may create databases.") { Default = false },
                new("createrole", AttributeKind.Boolean, "Whether it may create roles.") { Default = false },
                new(ConnectionLimit, AttributeKind.Integer, "Its connection limit; -1 for none.")
                {
                    Default = RoleSpec.DefaultConnectionLimit,
                    Minimum = -1,
                },
                new(MemberOf, AttributeKind.StringList, "The roles it is a member of; not compared by default."),
                new(
                    SetRole,
                    AttributeKind.String,
                    "The role that its sessions act as (ALTER ROLE … SET role), so that objects they "
                        + "create belong to that role; it must be a member of it."
                ),
                new(
                    "bootstrap",
                    AttributeKind.Boolean,
                    "Whether Patroni creates it when initialising the cluster; it is then removed only with the cluster."
                )
                {
                    Default = false,
                },
                new(Absent, AttributeKind.Boolean, "Whether to drop it. PostgreSQL drops only a role that owns nothing.")
                {
                    Default = false,
                },
                .. ClusterConnection.Attributes,
            ]
        );

    /// <inheritdoc />
    public bool HoldsData(Resource resource) => true;

    /// <inheritdoc />
    public bool IsForgotten(Resource resource)
    {
        var spec = RoleSpec.Of(resource);
        return spec.IsBootstrap || spec.IsAbsent;
    }

    /// <inheritdoc />
    public string? Retirement(Resource resource, Observation.Present observed)
    {
        ArgumentNullException.ThrowIfNull(observed);
        return observed.Attributes.GetValueOrDefault(RoleSpec.Login)?.Value == AttributeValue.Of(true).Value
            ? "its login is revoked and its sessions end; the role and its objects stay (drop: true drops it)"
            : null;
    }

    /// <inheritdoc />
    public IEnumerable<Diagnostic> Validate(Resource resource)
    {
        var spec = RoleSpec.Of(resource);
        var name = spec.Name;
        var problem = SqlText.Problem(name)
            ?? (
                name.StartsWith("pg_", StringComparison.Ordinal) || name is "public" or "none"
                    ? $"PostgreSQL reserves the name '{name}'"
                    : null
            )
            ?? (spec.Password is { } password && password.Reveal().Length == 0 ? "a password may not be empty" : null)
            ?? (
                spec.Verifier is { IsKnown: true } verifier && !ScramVerifier.IsVerifier(verifier.Reveal())
                    ? "'verifier' is not a SCRAM-SHA-256 verifier"
                    : null
            )
            ?? (
                spec.Verifier is { IsKnown: true } other
                && spec.Password is { IsKnown: true } wanted
                && !ScramVerifier.Proves(other.Reveal(), wanted.Reveal())
                    ? "'verifier' does not match 'password'"
                    : null
            )
            // A record has a mask in its place.
            ?? (spec.IsExact && !resource.Spec.Has("verifier") ? "'exact' needs 'verifier'" : null)
            ?? (spec.IsAbsent && spec.IsBootstrap ? "a role that Patroni creates with the cluster cannot be dropped" : null)
            ?? (spec.MemberOf.Contains(name) ? "a role cannot be a member of itself" : null)
            ?? (
                spec.SetRole is { } acts && !spec.MemberOf.Contains(acts) ? $"'{SetRole}' is a role that '{name}' is not a member of" : null
            );
        if (problem is not null)
        {
            yield return Diagnostic.Error(problem, resource.Location, address: resource.Address.ToString());
        }
    }

    /// <inheritdoc />
    public ResourceLinks Links(Resource resource)
    {
        var spec = RoleSpec.Of(resource);
        return new ResourceLinks(["role:" + spec.Name], []);
    }

    /// <inheritdoc />
    public IEnumerable<Read> Reads(Resource resource)
    {
        var spec = RoleSpec.Of(resource);
        yield return spec.Connection.ContainerRead;
        yield return Query(spec);
    }

    /// <inheritdoc />
    public SortedMap<AttributeValue> Desired(Resource resource)
    {
        var spec = RoleSpec.Of(resource);
        if (spec.IsAbsent)
        {
            return Comparable.None.Add(Absent, AttributeValue.Of(true));
        }

        var desired = Comparable
            .None.Add(ConnectionLimit, AttributeValue.Of(spec.ConnectionLimit))
            .AddRange(spec.Compared.Select(option => KeyValuePair.Create(option.Name, AttributeValue.Of(option.IsOn))));
        if (!spec.MemberOf.IsEmpty)
        {
            IReadOnlyList<string> groups = [.. spec.MemberOf.Distinct().Order(StringComparer.Ordinal)];
            desired = desired.Add(MemberOf, AttributeValue.Of(groups));
        }

        if (spec.SetRole is { } acts)
        {
            desired = desired.Add(SetRole, new(acts));
        }

        return spec.DesiredSecret is { } secret ? desired.Add(Password, Secret(secret)) : desired;
    }

    /// <inheritdoc />
    public Observation Observe(Resource resource, IReadOnlyDictionary<string, Snapshot> members)
    {
        var spec = RoleSpec.Of(resource);
        var answer = LeaderAnswer.Of(spec.Connection, Query(spec), members);
        if (answer.Instead is { } instead)
        {
            return instead;
        }

        if (spec.IsAbsent)
        {
            // Nothing is adopted here: the role is declared absent, even if it was created by hand.
            var isThere = answer.Row.At("found") is not null;
            return new Observation.Present(Comparable.None.Add(Absent, AttributeValue.Of(!isThere)))
            {
                IsManaged = true,
                Note = isThere ? "the role is dropped; PostgreSQL refuses it while the role owns anything" : null,
            };
        }

        if (answer.Row.At("found") is not { } found)
        {
            return new Observation.Absent();
        }

        var stored = found.Text(Password) ?? "";
        var observed = Comparable
            .None.Add(ConnectionLimit, AttributeValue.Of(found.Number(ConnectionLimit) ?? RoleSpec.DefaultConnectionLimit))
            .AddRange(
                spec.Compared.Select(option => KeyValuePair.Create(option.Name, AttributeValue.Of(found.Boolean(option.Name) ?? false)))
            );
        if (found.Texts(MemberOf).ToList() is { Count: > 0 } groups)
        {
            observed = observed.Add(MemberOf, AttributeValue.Of((IReadOnlyList<string>)[.. groups.Order(StringComparer.Ordinal)]));
        }

        if (found.Text(SetRole) is { } acts)
        {
            observed = observed.Add(SetRole, new(acts));
        }

        if (spec.DesiredSecret is { } wanted)
        {
            observed = observed.Add(
                Password,
                spec.Accepts(stored) ? Secret(wanted)
                    : stored.Length == 0 ? new AttributeValue("")
                    : Secret(stored)
            );
        }

        return new Observation.Present(observed)
        {
            IsManaged = spec.IsBootstrap && spec.Password is { } known && ScramVerifier.Proves(stored, known.Reveal()),
        };
    }

    /// <inheritdoc />
    public async Task ChangeAsync(ResourceChange change, IGroupAccess group, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(change);
        ArgumentNullException.ThrowIfNull(group);
        var spec = RoleSpec.Of(change.Resource);
        if (change.Operation == ResourceOperation.Delete ? !change.DeleteData : spec.IsAbsent)
        {
            await RetireAsync(spec, group, cancellationToken).ConfigureAwait(false);
            if (!spec.IsAbsent)
            {
                return;
            }
        }

        try
        {
            await new LeaderSession(group, spec.Connection).RunAsync(Statements(change), cancellationToken).ConfigureAwait(false);
        }
        catch (ChangeFailedException exception) when (exception.Message.Contains(OwnsSomething, StringComparison.Ordinal))
        {
            throw new ChangeFailedException(
                $"{exception.Message}. Its login is revoked, but it is not dropped. In each database named there: "
                    + $"REASSIGN OWNED BY {SqlText.Identifier(spec.Name)} TO …; "
                    + $"DROP OWNED BY {SqlText.Identifier(spec.Name)}; then apply again",
                exception
            );
        }

        if (spec.IsAbsent)
        {
            return;
        }

        if (
            change.Operation != ResourceOperation.Delete
            && change.Changed.Contains(Password)
            && spec.MayLogIn
            && spec.Password is { } password
        )
        {
            await ProveAsync(spec.Connection with { Superuser = spec.Name, Password = password.Reveal() }, group, cancellationToken)
                .ConfigureAwait(false);
        }
    }

    // A member refuses new logins once it has replayed the change: only then are its sessions the last ones.
    private static async Task RetireAsync(RoleSpec spec, IGroupAccess group, CancellationToken cancellationToken)
    {
        var name = SqlText.Literal(spec.Name);
        var session = new LeaderSession(group, spec.Connection);
        await session
            .RunAsync(
                [
                    SqlStatement.RunWhere(
                        $"ALTER ROLE {SqlText.Identifier(spec.Name)} NOLOGIN",
                        $"EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {name} AND rolcanlogin)"
                    ),
                ],
                cancellationToken
            )
            .ConfigureAwait(false);
        var query = spec.Connection.Sql(
            $"SELECT {LeaderAnswer.InRecovery}, EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {name} AND rolcanlogin) AS open"
        );
        var open = group.Members.Select(member => member.Name).ToList();
        await Poll.UntilAsync(CloseAsync, members => members.Count == 0, s_pace, group.Time, cancellationToken).ConfigureAwait(false);
        if (open.Count > 0)
        {
            throw new ChangeFailedException(
                $"the login of {spec.Name} is revoked, but {string.Join(" and ", open)} did not confirm "
                    + $"it within {s_pace.Deadline.TotalSeconds:0} s; its sessions there may continue. Apply again once they answer"
            );
        }

        // Ends the sessions on the members that confirm the change, and answers the others.
        async Task<List<string>> CloseAsync()
        {
            var answers = await PatroniCluster.PatroniGroup.ReadAllAsync(group, [query], cancellationToken).ConfigureAwait(false);
            var closed = open.Where(member =>
                    answers.TryGetValue(member, out var answer)
                    && JsonAnswer.Rows(answer.Get(query).Json) is [var row, ..]
                    && row.Boolean("open") == false
                )
                .ToList();
            foreach (var member in closed)
            {
                await EndSessionsAsync(session, member, name, cancellationToken).ConfigureAwait(false);
                open.Remove(member);
            }

            return open;
        }
    }

    private static async Task EndSessionsAsync(LeaderSession session, string member, string name, CancellationToken cancellationToken)
    {
        try
        {
            await session
                .RunOnAsync(
                    member,
                    [
                        SqlStatement.Run(
                            $"SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE usename = {name} "
                                + $"AND pid <> pg_catalog.pg_backend_pid()"
                        ),
                    ],
                    cancellationToken
                )
                .ConfigureAwait(false);
        }
        catch (TransientFailureException exception)
        {
            throw new ChangeFailedException(
                $"{exception.Message}; the role's login is revoked, but its sessions there may continue",
                exception
            );
        }
    }

    // A new password is in force on a member once it has replayed the change: clients, above all other members, must find it there.
    private static async Task ProveAsync(ClusterConnection login, IGroupAccess group, CancellationToken cancellationToken)
    {
        var session = new LeaderSession(group, login);
        var open = group.Members.Select(member => member.Name).ToList();
        var last = await Poll.UntilAsync(LogInAsync, refused => refused.Count == 0, s_pace, group.Time, cancellationToken)
            .ConfigureAwait(false);
        if (last.Count > 0)
        {
            throw new ChangeFailedException(
                $"the password of {login.Superuser} was set, but after {s_pace.Deadline.TotalSeconds:0} s it does not log in to "
                    + $"{string.Join("; ", last.Select(pair => $"{pair.Key}: {pair.Value}"))}"
            );
        }

        async Task<Dictionary<string, string>> LogInAsync()
        {
            Dictionary<string, string> refused = new(StringComparer.Ordinal);
            foreach (var member in open)
            {
                // A member that does not answer is skipped, and replays the password when it returns.
                if (await session.LogInAsync(member, cancellationToken).ConfigureAwait(false) is { } refusal)
                {
                    refused[member] = refusal;
                }
            }

            open = [.. refused.Keys];
            return refused;
        }
    }

    internal static IReadOnlyList<SqlStatement> Statements(ResourceChange change)
    {
        var spec = RoleSpec.Of(change.Resource);
        var role = SqlText.Identifier(spec.Name);
        var exists = $"EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {SqlText.Literal(spec.Name)})";
        if (change.Operation == ResourceOperation.Delete || spec.IsAbsent)
        {
            return [SqlStatement.Run($"DROP ROLE IF EXISTS {role}")];
        }

        // Memberships may be given to NOLOGIN groups that are roles of kbr too: the graph has made those first.
        var list = string.Join(", ", spec.MemberOf.Select(SqlText.Literal));
        var memberships =
            !spec.MemberOf.IsEmpty || change.Changed.Contains(MemberOf)
                ? spec
                    .MemberOf.Select(parent => SqlStatement.Run($"GRANT {SqlText.Identifier(parent)} TO {role}"))
                    .Append(
                        new SqlStatement(
                            $"SELECT pg_catalog.format('REVOKE %I FROM %I GRANTED BY %I', g.rolname, m.rolname, r.rolname) FROM "
                                + $"pg_catalog.pg_auth_members a JOIN pg_catalog.pg_roles g ON g.oid = a.roleid"
                                + " JOIN pg_catalog.pg_roles m ON m.oid = a.member JOIN pg_catalog.pg_roles r ON r.oid = a.grantor"
                                + $" WHERE m.rolname = {SqlText.Literal(spec.Name)}"
                                + (list.Length == 0 ? "" : $" AND g.rolname NOT IN ({list})"),
                            IsGenerator: true
                        )
                    )
                : [];
        var options = string.Join(' ', spec.Compared.Select(option => option.Sql));
        var password =
            spec.DesiredSecret is not null && (change.Operation != ResourceOperation.Update || change.Changed.Contains(Password))
                ? " PASSWORD " + SqlText.Literal(spec.VerifierToSet())
                : "";
        return
        [
            SqlStatement.RunWhere($"CREATE ROLE {role} NOLOGIN", "NOT " + exists),
            SqlStatement.Run($"ALTER ROLE {role} {options} CONNECTION LIMIT {spec.ConnectionLimit}{password}"),
            .. memberships,
            .. ActsAs(change, spec, role),
        ];
    }

    private static IEnumerable<SqlStatement> ActsAs(ResourceChange change, RoleSpec spec, string role) =>
        spec.SetRole is { } acts ? [SqlStatement.Run($"ALTER ROLE {role} SET role = {SqlText.Literal(acts)}")]
        : change.Changed.Contains(SetRole) ? [SqlStatement.Run($"ALTER ROLE {role} RESET role")]
        : [];

    private static AttributeValue Secret(string value) =>
        AttributeValue.OfText(new SecretText([new SecretText.Part(value, true)])) with
        {
            IsText = false,
        };

    private static SqlRead Query(RoleSpec spec) =>
        spec.Connection.Sql(
            $"""
            SELECT {LeaderAnswer.InRecovery}, (SELECT row_to_json(r) FROM (
              SELECT rolcanlogin AS login, rolsuper AS superuser, rolreplication AS replication, rolcreatedb AS createdb, rolcreaterole AS createrole,
                     rolconnlimit AS connection_limit, rolpassword AS password,
                     ARRAY(SELECT DISTINCT g.rolname::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = a.oid) AS member_of,
                     (SELECT substr(s, 6) FROM pg_db_role_setting d, unnest(d.setconfig) s WHERE d.setrole = a.oid AND d.setdatabase = 0 AND s LIKE 'role=%') AS set_role
              FROM pg_authid a WHERE a.rolname = {SqlText.Literal(spec.Name)}) r) AS found
            """
        );
}
