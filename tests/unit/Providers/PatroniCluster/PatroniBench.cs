using System.Collections.Immutable;
using System.Globalization;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers;
using KeyBuzz.Reconciler.Providers.ConsensusStore.Raft;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.Http;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Ssh;
using Npgsql;

namespace KeyBuzz.Reconciler.Tests.Providers.PatroniCluster;

/// <summary>A real PostgreSQL cluster under Patroni with RAFT: three containers of the lab's image on this machine's Docker Engine, each a
/// member and its own host.</summary>
internal sealed class PatroniBench : IGroupAccess, IAsyncDisposable
{
    /// <summary>What resources call the container; each member's own is put in its place.</summary>
    public const string Container = "kbr-member";

    public const string Superuser = "kb_admin";
    public const string SuperuserPassword = "super'\\secret; $x";
    public const string RestPassword = "rest:secret";
    public const string RaftPassword = "raft-secret";

    private readonly string _name = "kbr-test-" + Path.GetRandomFileName()[..8].ToLowerInvariant();
    private readonly string _folder;
    private readonly Dictionary<(string Host, int Port), int> _ports = [];
    private readonly HttpClient _http = new() { Timeout = TimeSpan.FromSeconds(5) };

    private PatroniBench()
    {
        _folder = System.IO.Directory.CreateTempSubdirectory("kbr-patroni-").FullName;
        Members =
        [
            .. Enumerable
                .Range(1, 3)
                .Select(number => $"m{number}")
                .Select(name => new Host(name, "db", MachineOf(name), new SshEndpoint(name, 22, "root", false))),
        ];
    }

    public ImmutableArray<Host> Members { get; }

    public TimeProvider Time => TimeProvider.System;

    /// <summary>Members that cannot be reached, as with a host that is down.</summary>
    public HashSet<string> Unreachable { get; } = new(StringComparer.Ordinal);

    /// <summary>Every script that was run, as it was sent.</summary>
    public List<string> Scripts { get; } = [];

    public static async Task<PatroniBench> StartAsync()
    {
        ProviderBench.OnlyAsRootWith("docker");
        var bench = new PatroniBench();
        try
        {
            var image = await ImageAsync();
            ProviderBench.Output($"docker network create {bench._name}");
            foreach (var member in bench.Members)
            {
                bench.WriteFile(member);
                ProviderBench.Output(
                    $"docker run -d --name {member.Address} --hostname {member.Address} --network {bench._name} "
                        + $"--shm-size 128m --mount type=bind,source={bench._folder}/{member.Name},target=/etc/patroni "
                        + $"-p 127.0.0.1::5432 -p 127.0.0.1::8008 {image}"
                );
            }

            foreach (var (member, port) in bench.Members.SelectMany(member => new[] { (member, 5432), (member, 8008) }))
            {
                var published = ProviderBench.Output($"docker port {member.Address} {port}/tcp | head -n 1");
                bench._ports[(member.Name, port)] = int.Parse(published[(published.LastIndexOf(':') + 1)..], CultureInfo.InvariantCulture);
            }

            return bench;
        }
        catch
        {
            await bench.DisposeAsync();
            throw;
        }
    }

    /// <summary>The connection attributes of every resource of this cluster.</summary>
    public static (string Name, object Value)[] Connection { get; } =
    [("container", Container), ("connect_as", Superuser), ("connect_password", Secret(SuperuserPassword))];

    public static (string Name, object Value)[] Rest { get; } =
    [.. Connection, ("rest_user", "kbr"), ("rest_password", Secret(RestPassword))];

    public static SecretText Secret(string value) => new([new SecretText.Part(value, true)]);

    public string MachineOf(string member) => $"{_name}-{member}";

    /// <summary>Reads what the provider asks, from every member that can be reached, and lets it judge.</summary>
    public async Task<Observation> ObserveAsync(IGroupResourceProvider provider, Resource resource) =>
        provider.Observe(resource, await ReadAsync([.. provider.Reads(resource)]));

    /// <summary>The same of the policy.</summary>
    public async Task<Observation> ObserveAsync(GroupPolicy policy) =>
        policy.Rules.Observe(policy, await ReadAsync([.. policy.Rules.Reads(policy)]));

    private async Task<Dictionary<string, Snapshot>> ReadAsync(Read[] reads)
    {
        var reached = Members.Where(member => !Unreachable.Contains(member.Name)).ToList();
        var snapshots = await Task.WhenAll(reached.Select(member => ReadAsync(member.Name, reads, CancellationToken.None)));
        return reached.Zip(snapshots).ToDictionary(pair => pair.First.Name, pair => pair.Second);
    }

    /// <summary>Runs one SQL command on a member by the local socket; answers what psql prints.</summary>
    public string Sql(string member, string sql, string database = "postgres") =>
        ProviderBench.Output(
            $"docker exec -i {MachineOf(member)} psql -X -A -t -q -v ON_ERROR_STOP=1 -U {Superuser} -d "
                + $"{Script.Quote(database)} <<'SQL'\n{sql}\nSQL"
        );

    public Task<Snapshot> ReadAsync(string host, IReadOnlyCollection<Read> reads, CancellationToken cancellationToken)
    {
        Check(host);
        return Task.Run(
            () => new Snapshot(reads.Distinct().ToImmutableDictionary(read => read, read => Answer(host, read))),
            cancellationToken
        );
    }

    public Task<ScriptResult> RunAsync(string host, Script script, CancellationToken cancellationToken)
    {
        Check(host);
        Scripts.Add(script.Text);
        return Task.Run(
            () => ProviderBench.Shell("set -eu\n" + script.Text.Replace(Container, MachineOf(host), StringComparison.Ordinal)),
            cancellationToken
        );
    }

    public Task<ITunnel> OpenTunnelAsync(string host, string address, int port, CancellationToken cancellationToken)
    {
        Check(host);
        return Task.FromResult<ITunnel>(new Tunnel(_ports[(host, port)]));
    }

    /// <summary>The member that answers as the leader, waited for.</summary>
    public async Task<string> LeaderAsync()
    {
        for (var tries = 0; tries < 300; tries++)
        {
            if (Members.FirstOrDefault(member => Get(member.Name, 8008, "/primary").Status == 200) is { } leader)
            {
                return leader.Name;
            }

            await Task.Delay(200);
        }

        Assert.Fail("no primary");
        return "";
    }

    public ValueTask DisposeAsync()
    {
        _http.Dispose();
        ProviderBench.Shell(
            string.Concat(Members.Select(member => $"docker rm -f -v {member.Address}\n")) + $"docker network rm {_name}\n"
        );
        System.IO.Directory.Delete(_folder, recursive: true);
        return ValueTask.CompletedTask;
    }

    private void Check(string host)
    {
        if (Unreachable.Contains(host))
        {
            throw new HostException(host, "it could not be reached");
        }
    }

    // The lab may still be making the image.
    private static async Task<string> ImageAsync()
    {
        for (var tries = 0; tries < 600; tries++)
        {
            var image = ProviderBench.Shell("docker images --format '{{.Repository}}:{{.Tag}}' kbr-lab/patroni").Output.Split('\n')[0];
            if (image.Length > 0)
            {
                return image;
            }

            await Task.Delay(500);
        }

        Assert.Fail("no image kbr-lab/patroni on this machine: lab/up makes it");
        return "";
    }

    private HttpAnswer Get(string host, int port, string path)
    {
        try
        {
            using var response = _http.Send(new HttpRequestMessage(HttpMethod.Get, $"http://127.0.0.1:{_ports[(host, port)]}{path}"));
            using var reader = new StreamReader(response.Content.ReadAsStream());
            return new HttpAnswer((int)response.StatusCode, reader.ReadToEnd());
        }
        catch (Exception exception) when (exception is HttpRequestException or IOException or TaskCanceledException)
        {
            return new HttpAnswer(0, "");
        }
    }

    // By the port, which costs less than a program in the container. How a host itself asks is tested on the lab.
    private SqlAnswer Query(string host, SqlRead sql)
    {
        var settings = new NpgsqlConnectionStringBuilder
        {
            Host = "127.0.0.1",
            Port = _ports[(host, 5432)],
            Username = sql.User,
            Password = SuperuserPassword,
            Database = sql.Database,
            Options = "-c default_transaction_read_only=on",
            Pooling = false,
        };
        try
        {
            using var connection = new NpgsqlConnection(settings.ConnectionString);
            connection.Open();
            using var command = connection.CreateCommand();
            command.CommandText = $"SELECT coalesce(json_agg(r), '[]'::json)::text FROM (\n{sql.Query}\n) r";
            return new SqlAnswer((string)command.ExecuteScalar()!, "");
        }
        catch (Exception exception) when (exception is NpgsqlException or IOException or TimeoutException)
        {
            return new SqlAnswer(null, exception.Message);
        }
    }

    private object? Answer(string host, Read read)
    {
        var machine = MachineOf(host);
        switch (read)
        {
            case HttpRead http:
                return Get(host, http.Port, http.Path);
            case SqlRead sql:
                return Query(host, sql);
            case ContainerRead:
                var inspected = ProviderBench.Shell($"docker inspect --format '{{{{json .}}}}' {machine}");
                return inspected.ExitCode == 0 ? new DockerAnswer(200, inspected.Output) : new DockerAnswer(404, "{}");
            case RaftRead:
                Read raft = new RaftRead(machine);
                var script = ReadList.Probe.Render([raft], "nonce");
                Scripts.Add(script);
                return ReadList
                    .Probe.Parse([raft], "nonce", System.Text.Encoding.UTF8.GetBytes(ProviderBench.Shell(script).Output))
                    .Get(new RaftRead(machine));
            case FileRead file when file.Path.StartsWith("/var/lib/kbr/", StringComparison.Ordinal):
                return null;
            case ClockRead:
                return new ClockState(true, "test", DateTimeOffset.UtcNow);
            case StatRead stat:
                return ProviderBench.Shell($"docker exec {machine} test -e {Script.Quote(stat.Path)}").ExitCode == 0
                    ? new FileStat("regular file", 999, 999, "postgres", "postgres", "0600", default)
                    : null;
            case PortRead port:
                return ProviderBench
                    .Shell($"docker exec {machine} timeout 2 bash -c ': </dev/tcp/{port.Address}/{port.Port}'")
                    .ExitCode switch
                {
                    0 => PortState.Answered,
                    124 => PortState.Silent,
                    _ => PortState.Refused,
                };
            default:
                throw new NotSupportedException(read.ToString());
        }
    }

    private void WriteFile(Host member)
    {
        var partners = string.Concat(Members.Where(other => other.Name != member.Name).Select(other => $"\n    - {other.Address}:7000"));
        var bootstrap =
            member.Name != "m1"
                ? ""
                : """

                    bootstrap:
                      dcs:
                        ttl: 20
                        loop_wait: 2
                        retry_timeout: 5
                        maximum_lag_on_failover: 1048576
                        postgresql:
                          use_pg_rewind: true
                          use_slots: true
                          parameters:
                            max_connections: 60
                            shared_buffers: 32MB
                            work_mem: 4MB
                            log_statement: all
                            log_min_duration_statement: 0
                      initdb:
                        - encoding: UTF8
                        - data-checksums

                    """;
        var text = $"""
            scope: bench
            name: {member.Name}
            restapi:
              listen: 0.0.0.0:8008
              connect_address: {member.Address}:8008
              authentication:
                username: kbr
                password: '{RestPassword}'
            raft:
              data_dir: /var/lib/postgresql/raft
              self_addr: {member.Address}:7000
              partner_addrs:{partners}
              password: '{RaftPassword}'
            {bootstrap}
            postgresql:
              listen: 0.0.0.0:5432
              connect_address: {member.Address}:5432
              data_dir: /var/lib/postgresql/data
              pgpass: /tmp/pgpass
              use_unix_socket: true
              authentication:
                superuser:
                  username: {Superuser}
                  password: '{SuperuserPassword.Replace("'", "''", StringComparison.Ordinal)}'
                replication:
                  username: kb_repl
                  password: repl-secret
              parameters:
                unix_socket_directories: /var/run/postgresql
              pg_hba:
                - local all all peer map=kbr
                - host replication kb_repl all scram-sha-256
                - host all all all scram-sha-256
              pg_ident:
                - kbr postgres {Superuser}

            """;
        System.IO.Directory.CreateDirectory($"{_folder}/{member.Name}");
        File.WriteAllText($"{_folder}/{member.Name}/patroni.yml", text);
        ProviderBench.Output(
            $"chown -R 999:999 {_folder}/{member.Name} && chmod 755 {_folder} {_folder}/{member.Name} && chmod "
                + $"600 {_folder}/{member.Name}/patroni.yml"
        );
    }

    private sealed class Tunnel(int port) : ITunnel
    {
        public int Port => port;

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
