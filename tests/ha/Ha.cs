using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using KeyBuzz.Reconciler.LabTests;

namespace KeyBuzz.Reconciler.HaTests;

/// <summary>The cluster under test, as an operator sees it: kbr, and the hosts' own commands over ssh.</summary>
internal static class Ha
{
    /// <summary>The category of the fixtures that have a lab and a cluster of their own in eng/test.sh, beside the others: changes and
    /// faults while applications write.</summary>
    public const string Live = "live";

    /// <summary>The category of the fixtures about who takes part, with a cluster of their own, too: members are added, removed and
    /// lost.</summary>
    public const string Membership = "membership";

    /// <summary>The category of the fixtures that begin with hosts made anew, and so need no cluster that <see cref="HaSetUp"/> installs:
    /// their namespace is another one than its.</summary>
    public const string FreshHosts = "fresh-hosts";

    /// <summary>The categories of the fixtures of which <c>eng/test.sh</c> runs four, or one on a slow machine, for each commit, and
    /// <c>eng/test.sh --whole</c> all. A fixture depends on others of its slice only, and on <see cref="InstallTests"/>, which is in all;
    /// each begins with a healthy cluster and leaves one.</summary>
    public const string Slice1 = "slice-1";

    /// <inheritdoc cref="Slice1" />
    public const string Slice2 = "slice-2";

    /// <inheritdoc cref="Slice1" />
    public const string Slice3 = "slice-3";

    /// <inheritdoc cref="Slice1" />
    public const string Slice4 = "slice-4";

    /// <inheritdoc cref="Slice1" />
    public const string Slice5 = "slice-5";

    /// <inheritdoc cref="Slice1" />
    public const string Slice6 = "slice-6";

    /// <inheritdoc cref="Slice1" />
    public const string Slice7 = "slice-7";

    /// <inheritdoc cref="Slice1" />
    public const string Slice8 = "slice-8";

    /// <summary>The category of the tests about RAFT itself, which are left out where the cluster uses etcd.</summary>
    public const string OfRaft = "raft";

    /// <summary>Whether the shared cluster's consensus store is etcd (KBR_STORE=etcd) instead of RAFT.</summary>
    public static bool OnEtcd { get; } = Environment.GetEnvironmentVariable("KBR_STORE") == "etcd";

    /// <summary>The name of Patroni's file: each store has one of its own.</summary>
    public static string PatroniFile { get; } = OnEtcd ? "patroni-etcd.yml" : "patroni.yml";

    public const string Scope = "keybuzz-pg";
    public const string Superuser = "kb_admin";
    public const string Database = "keybuzz";
    public const string Application = "kb_app";
    public const string ApplicationPassword = "canary-app-Xw8rM2";

    public static readonly string[] Members = ["db-master-01", "db-slave-01", "db-slave-02"];
    public static readonly string[] Proxies = ["haproxy-01", "haproxy-02"];

    public const string CredentialsFile = "credentials/ha.env";

    // Every secret has a value of its own that can be looked for.
    private static readonly string s_secrets =
        string.Join(
            '\n',
            "POSTGRES_SUPERUSER=kb_admin",
            "POSTGRES_SUPERPASS=canary-super-Zq7xW4",
            "POSTGRES_REPL_USER=kb_repl",
            "POSTGRES_REPL_PASS=canary-repl-Kp3vT9",
            "POSTGRES_APP_USER=" + Application,
            "POSTGRES_APP_PASS=" + ApplicationPassword,
            "POSTGRES_DB=keybuzz",
            "PATRONI_CLUSTER_NAME=keybuzz-pg",
            "PATRONI_REST_USER=kbr_rest",
            "PATRONI_REST_PASS=canary-rest-Vb5nQ1",
            "PATRONI_RAFT_PASS=canary-raft-Hj6dL3",
            "PGBOUNCER_STATS_USER=kbr_stats",
            "PGBOUNCER_STATS_PASS=canary-stats-Yt4cF7",
            "KBR_KEY=canary-key-Ps2gB8"
        ) + "\n";

    /// <summary>An operator's folder for the cluster that the fixtures share, with the store that KBR_STORE names.</summary>
    public static Workspace OpenShared()
    {
        if (!OnEtcd)
        {
            return Open();
        }

        var workspace = Open(secrets => secrets + "PATRONI_ETCD_PASS=canary-etcd-Rm4kD8\nETCD_ROOT_PASS=canary-root-Bx9wT2\n");
        workspace.Yaml = workspace.Yaml.Replace(
            "  version: 17",
            $"  version: 17\n  store: {{ etcd: {{ image: '{Lab.Images()["ETCD"]}' }} }}",
            StringComparison.Ordinal
        );
        return workspace;
    }

    public static Workspace Open(Func<string, string> secrets = null) =>
        new("cluster-ha.yaml", CredentialsFile, secrets?.Invoke(s_secrets) ?? s_secrets);

    /// <summary>The credentials file of the cluster under test.</summary>
    public static string Credentials
    {
        get => File.ReadAllText(Path.Combine(HaSetUp.Workspace.Directory, CredentialsFile));
        set => File.WriteAllText(Path.Combine(HaSetUp.Workspace.Directory, CredentialsFile), value);
    }

    /// <summary>A value of the credentials file as it is now: tests that came before may have changed it.</summary>
    public static string Secret(string name) => Regex.Match(Credentials, $"(?m)^{name}=(.*)$").Groups[1].Value;

    /// <summary>The application's password as it is now; the first one on fresh hosts, where no fixture changes it.</summary>
    public static string CurrentPassword => HaSetUp.Workspace is null ? ApplicationPassword : Secret("POSTGRES_APP_PASS");

    /// <summary>The member that leads, by Patroni's own word on any member that answers.</summary>
    public static string Leader() =>
        Known().Where(one => one.Role == "leader").Select(one => one.Name).FirstOrDefault() ?? Lab.OnHost(Members[0], "false");

    // Who takes part and how, by Patroni's own word on the first member that answers.
    private static (string Name, string Role, string State)[] Known()
    {
        foreach (var member in Members)
        {
            var answer = Lab.RunOn(member, "curl -s -m 5 http://$(hostname):8008/cluster").Output;
            if (answer.StartsWith('{'))
            {
                using var document = JsonDocument.Parse(answer);
                var known = document
                    .RootElement.GetProperty("members")
                    .EnumerateArray()
                    .Select(one =>
                        (one.GetProperty("name").GetString()!, one.GetProperty("role").GetString()!, one.GetProperty("state").GetString()!)
                    )
                    .ToArray();
                if (known.Any(one => one.Item2 == "leader"))
                {
                    return known;
                }
            }
        }

        return [];
    }

    /// <summary>Runs SQL as the superuser inside a member's container.</summary>
    public static string Sql(string host, string sql, string database = Database, string superuser = Superuser) =>
        Lab.OnHost(host, Psql(sql, database, superuser)).Trim();

    /// <summary>What a member's PostgreSQL answers, or null where it does not.</summary>
    public static string? SqlIfAnswered(string host, string sql, string superuser = Superuser)
    {
        var outcome = Lab.RunOn(host, Psql(sql, Database, superuser));
        return outcome.ExitCode == 0 ? outcome.Output.Trim() : null;
    }

    /// <summary>Whether a member's PostgreSQL answers.</summary>
    public static bool Answers(string host) =>
        Lab.RunOn(host, $"docker exec patroni psql -X -A -t -U {Superuser} -d postgres -c 'SELECT 1'").ExitCode == 0;

    /// <summary>Patroni's dynamic configuration, as the first member that answers has it.</summary>
    public static string Configuration() =>
        Members
            .Select(member => Lab.RunOn(member, "curl -s -m 5 http://$(hostname):8008/config").Output)
            .FirstOrDefault(answer => answer.StartsWith('{'))
        ?? "";

    /// <summary>Changes it past kbr, as <c>patronictl edit-config</c> does.</summary>
    public static void Configure(string json) =>
        Lab.OnHost(
            Members[0],
            "docker exec -i patroni python3 - <<'P'\nimport yaml, base64, urllib.request as u\nrest = "
                + $"yaml.safe_load(open('/etc/patroni/{PatroniFile}'))['restapi']\nc = rest['authentication']\n"
                + $"r = u.Request('http://' + rest['connect_address'] + '/config', method='PATCH', data='''{json}'''.encode(),"
                + " headers={'Authorization': 'Basic ' + base64.b64encode((c['username'] + ':' + "
                + "c['password']).encode()).decode()})\nu.urlopen(r)\nP"
        );

    /// <summary>When a member's container and its PostgreSQL started: what a disturbance changes. One that was disturbed just before may
    /// still be starting.</summary>
    public static string Started(string host)
    {
        const string Asked =
            "docker inspect -f '{{.Id}} {{.State.StartedAt}}' patroni && docker exec patroni psql -X -A -t -U "
            + Superuser
            + " -d postgres -c 'SELECT pg_postmaster_start_time()'";
        var said = new Outcome(1, "", "");
        Lab.Until(() => (said = Lab.RunOn(host, Asked)).ExitCode == 0, TimeSpan.FromSeconds(60), () => $"PostgreSQL on {host}: {said.All}");
        return said.Output.Trim().Replace('\n', ' ');
    }

    /// <summary>The consensus store's term as a member sees it: it never goes back.</summary>
    public static long StoreTerm(string host) =>
        long.Parse(
            Lab.OnHost(
                host,
                OnEtcd
                    ? "docker exec etcd etcdctl endpoint status -w json | jq '.[0].Status.raftTerm'"
                    : "docker exec -i patroni python3 - <<'P'\nimport yaml\nfrom pysyncobj.utility import TcpUtility\nraft "
                        + "= yaml.safe_load(open('/etc/patroni/patroni.yml'))['raft']\n"
                        + "print(TcpUtility(raft['password'], 5).executeCommand(raft['self_addr'], ['status'])['raft_term'])\nP"
            ),
            CultureInfo.InvariantCulture
        );

    public static long Count(string host, string table) =>
        long.Parse(Sql(host, $"SELECT count(*) FROM {table}"), CultureInfo.InvariantCulture);

    /// <summary>Makes a table with rows on the leader, and waits until every member has them.</summary>
    public static void Write(string table, int rows)
    {
        Sql(Leader(), $"CREATE TABLE {table} (id int PRIMARY KEY); INSERT INTO {table} SELECT generate_series(1, {rows})");
        AllHave(table, rows);
    }

    public static void AllHave(string table, int rows)
    {
        foreach (var member in Members)
        {
            Lab.Until(() => Holds(member, table) == rows, TimeSpan.FromSeconds(60), $"{rows} rows of {table} on {member}");
        }
    }

    private static long Holds(string member, string table)
    {
        var outcome = Lab.RunOn(
            member,
            $"docker exec patroni psql -X -A -t -U {Superuser} -d {Database} -c 'SELECT count(*) FROM {table}'"
        );
        return outcome.ExitCode == 0 && long.TryParse(outcome.Output.Trim(), CultureInfo.InvariantCulture, out var rows) ? rows : -1;
    }

    /// <summary>Whether a member streams according to Patroni.</summary>
    public static bool IsStreaming(string member) => Known().Any(one => one.Name == member && one.State == "streaming");

    /// <summary>Asserts that every line of the checklist holds, at the latest once PgBouncer has forgotten a login that failed while the
    /// lead moved (15 s).</summary>
    public static void AssertHealthy(Workspace workspace) => UntilHealthy(workspace, TimeSpan.FromSeconds(60));

    /// <summary>Waits until the cluster is whole again without kbr's doing.</summary>
    public static void UntilHealthy(Workspace workspace, TimeSpan deadline)
    {
        // The whole checklist is much to ask for while hosts boot: nobody who can be asked for less says yet that it may hold.
        var last = "a replica does not stream according to Patroni";
        Lab.Until(
            () =>
            {
                var known = Known();
                if (
                    known.Length < Members.Length
                    || known.Count(one => one.Role == "leader") != 1
                    || known.Any(one => one.State is not ("running" or "streaming"))
                )
                {
                    return false;
                }

                var status = workspace.Kbr("status");
                last = status.All;
                return status.ExitCode == 0;
            },
            deadline,
            () => $"a healthy cluster: {last}"
        );
    }

    private static string Psql(string sql, string database, string superuser) =>
        $"docker exec -i patroni psql -X -q -A -t -v ON_ERROR_STOP=1 -U {superuser} -d {database} <<'END_OF_SQL'\n{sql};\nEND_OF_SQL";
}
