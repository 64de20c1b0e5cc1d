using System.Collections.Immutable;
using System.Text;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.ConsensusStore.Raft;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.Http;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Providers.SqlProxies;
using KeyBuzz.Reconciler.Providers.Supervision;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.Fuzz;

/// <summary>What a host answers that serves, one answer for each kind of read; the texts are those of real programs.</summary>
internal static class HostAnswers
{
    private const string Patroni = """
        {"state": "running", "postmaster_start_time": "2026-11-28 04:02:57.462869+00:00", "role": "primary", "server_version": 160014, "xlog": {"location": 89047280}, "timeline": 1,
         "replication": [{"usename": "kb_repl", "application_name": "db-slave-01", "client_addr": "10.0.0.121", "state": "streaming", "sync_state": "async", "sync_priority": 0}], "dcs_last_seen": 1795840292,
         "tags": {"kbr_file": "821c281b2ff1c6c6ae83722edca63800"}, "database_system_identifier": "7713067946617991201", "patroni": {"version": "4.0.7", "scope": "keybuzz-pg", "name": "db-master-01"}}
        """;

    private const string PatroniMembers = """
        {"members": [{"name": "db-master-01", "role": "leader", "state": "running", "api_url": "http://10.0.0.120:8008/patroni", "host": "10.0.0.120", "port": 5432, "timeline": 1},
         {"name": "db-slave-01", "role": "replica", "state": "streaming", "api_url": "http://10.0.0.121:8008/patroni", "host": "10.0.0.121", "port": 5432, "timeline": 1, "lag": 0}], "scope": "keybuzz-pg"}
        """;

    private const string PatroniConfig = """
        {"loop_wait": 5, "maximum_lag_on_failover": 1048576, "retry_timeout": 5, "synchronous_mode": false, "ttl": 20, "pause": false,
         "postgresql": {"use_pg_rewind": true, "use_slots": true, "parameters": {"hot_standby": "on", "max_connections": 100, "wal_level": "replica", "shared_buffers": "64MB"}}}
        """;

    private const string Container = """
        {"Id": "cd05ca40712c", "Created": "2026-11-28T04:02:38.816102428Z", "Path": "patroni", "Args": ["/etc/patroni/patroni.yml"],
         "State": {"Status": "running", "Running": true, "Pid": 997, "ExitCode": 0, "Error": "", "StartedAt": "2026-11-28T04:02:45.082589486Z", "FinishedAt": "0001-01-01T00:00:00Z"},
         "Image": "sha256:61f643adf2d5b4e991684217a3973a8c95e260763901d242903dc815173ae780", "Name": "/patroni", "RestartCount": 0,
         "HostConfig": {"Binds": null, "LogConfig": {"Type": "local", "Config": {"max-file": "5", "max-size": "20m"}}, "NetworkMode": "host", "PortBindings": {},
          "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}, "CapAdd": null, "CapDrop": null, "ReadonlyRootfs": false, "SecurityOpt": null, "ShmSize": 268435456, "Memory": 0, "Ulimits": null,
          "Mounts": [{"Type": "bind", "Source": "/opt/keybuzz/patroni", "Target": "/etc/patroni", "ReadOnly": true}]},
         "Mounts": [{"Type": "bind", "Source": "/opt/keybuzz/patroni", "Destination": "/etc/patroni", "Mode": "", "RW": false, "Propagation": "rprivate"}],
         "Config": {"Hostname": "db-master-01", "User": "999:999", "Env": ["PYTHONPATH=/etc/patroni", "LANG=C.UTF-8"], "Cmd": ["patroni", "/etc/patroni/patroni.yml"],
          "Image": "registry.example.com/kbr/patroni:16@sha256:58977991ae8e093d2c9034816802ecbce2692c7759e7cfeb71b5ea371fe4a870", "Entrypoint": null,
          "Labels": {"kbr.address": "container.patroni@db-master-01"}, "StopSignal": "SIGTERM", "StopTimeout": 60}}
        """;

    private const string Image = """
        {"Id": "sha256:61f643adf2d5b4e991684217a3973a8c95e260763901d242903dc815173ae780", "RepoTags": ["registry.example.com/kbr/patroni:16"],
         "RepoDigests": ["registry.example.com/kbr/patroni@sha256:58977991ae8e093d2c9034816802ecbce2692c7759e7cfeb71b5ea371fe4a870"], "Architecture": "amd64", "Os": "linux",
         "Config": {"User": "postgres", "Env": ["LANG=C.UTF-8"], "Cmd": ["patroni"], "Labels": {"kbr.test": "1"}}}
        """;

    private const string Rows = """
        [{"name": "max_connections", "setting": "100", "unit": null, "vartype": "integer", "context": "postmaster", "source": "configuration file", "pending_restart": false, "version": "0.8.0", "extname": "vector",
          "rolname": "kb_app", "rolcanlogin": true, "rolsuper": false, "rolpassword": "SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2FsdA==$c3RvcmVka2V5c3RvcmVka2V5c3RvcmVka2V5c3Q=:c2VydmVya2V5c2VydmVya2V5c2VydmVya2V5c2U=",
          "datname": "keybuzz", "owner": "kb_app", "encoding": "UTF8", "is_in_recovery": false, "in_recovery": false, "slot_name": "db_slave_01", "active": true, "state": "streaming", "lag": 0}]
        """;

    private const string Raft = """
        {"version": "0.3.14", "revision": "deadbeef", "self": "10.0.0.120:7000", "state": 2, "leader": "10.0.0.120:7000", "has_quorum": true, "partner_nodes_count": 2,
         "partner_node_status_server_10.0.0.121:7000": 2, "partner_node_status_server_10.0.0.122:7000": 2, "raft_term": 1, "log_len": 120, "kbr_password": true}
        """;

    private const string Pools =
        "database,user,cl_active,cl_waiting,sv_active,sv_idle,sv_used,pool_mode\nkeybuzz,kb_app,1,0,1,2,0,transaction\n";
    private const string PoolerConfig = "key,value,default,changeable\npool_mode,transaction,session,yes\nmax_client_conn,500,100,yes\n";

    /// <summary>Answers every read; a text goes through <paramref name="change"/> first.</summary>
    /// <param name="reads">The reads.</param>
    /// <param name="records">The records of the host.</param>
    /// <param name="change">Changes a JSON document or a table.</param>
    public static Snapshot Of(IEnumerable<Read> reads, IReadOnlyList<string> records, Func<Read, string, string> change) =>
        new(reads.Distinct().ToImmutableDictionary(read => read, read => Answer(read, records, text => change(read, text))));

    private static object? Answer(Read read, IReadOnlyList<string> records, Func<string, string> change) =>
        read switch
        {
            StatRead stat => new FileStat(
                stat.Path.Contains('.', StringComparison.Ordinal) ? "regular file" : "directory",
                999,
                999,
                "postgres",
                "postgres",
                "700",
                DateTimeOffset.UnixEpoch
            ),
            FileRead => new FileContent(System.Text.Encoding.UTF8.GetBytes(change("scope: keybuzz-pg\nUUID=(a) /opt xfs noatime 0 0\n"))),
            MountsRead => (IReadOnlyList<MountEntry>)
                [
                    new MountEntry("/", "/dev/sda1", "8:1", "ext4", "rw"),
                    new MountEntry("/opt/keybuzz/postgres", "/dev/sdb", "8:16", "xfs", "rw,noatime"),
                ],
            BlockDeviceRead => new BlockDeviceState(
                true,
                "8:16",
                new Dictionary<string, string>
                {
                    ["TYPE"] = "xfs",
                    ["LABEL"] = "kbr-a942b37c",
                    ["UUID"] = "1-2",
                },
                false,
                8L << 30
            ),
            DiskSpaceRead => new DiskSpace(8L << 30, 6L << 30, "xfs"),
            ContainerRead => new DockerAnswer(200, change(Container)),
            ImageRead => new DockerAnswer(200, change(Image)),
            UnitRead unit => new UnitState(
                change(
                        $"Id={unit.Name}\nLoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\nNeedDaemonReload=no\nMainPID=997\n"
                            + $"ActiveEnterTimestamp=Sat 2026-11-28 04:02:45.123456 "
                            + $"UTC\nInvocationID=0a1b\nFragmentPath=/etc/systemd/system/{unit.Name}\nResult=success\nType=simple"
                    )
                    .Split('\n')
                    .Select(line => line.Split('=', 2))
                    .Where(pair => pair.Length == 2)
                    .GroupBy(pair => pair[0])
                    .ToDictionary(group => group.Key, group => group.First()[1])
            ),
            PortRead => PortState.Answered,
            LockRead => new LockState([], null),
            ClockRead => new ClockState(true, "chrony", DateTimeOffset.UnixEpoch),
            HttpRead http => new HttpAnswer(
                200,
                change(
                    http.Path.Contains("config", StringComparison.Ordinal) ? PatroniConfig
                    : http.Path.Contains("cluster", StringComparison.Ordinal) ? PatroniMembers
                    : Patroni
                )
            ),
            SqlRead => new SqlAnswer(change(Rows), ""),
            HaproxyCheckRead => new ToolAnswer(0, "Configuration file is valid\n"),
            PoolerRead pooler => new ToolAnswer(0, change(pooler.Table == PoolerTable.Pools ? Pools : PoolerConfig)),
            RaftRead => new ToolAnswer(0, change(Raft)),
            RecordsRead folder => new RecordsFolder(
                [],
                [
                    .. records.Select(text => new RecordFile(
                        new RecordPath(PathOf(text, folder.Cluster), "regular file", 0, "0600"),
                        Encoding.UTF8.GetBytes(text)
                    )),
                ]
            ),
            ServicesRead => (IReadOnlyList<ServiceState>)[],
            HistoryRead => new HistoryFile([], change("{}\n")),
            _ => throw new NotSupportedException($"no answer to {read}"),
        };

    // A record that names no address any more is where one of that name would be.
    private static string PathOf(string text, string cluster)
    {
        var match = System.Text.RegularExpressions.Regex.Match(text, "\"address\":\\s*\"([^\"]*)\"");
        return Address.TryParse(match.Groups[1].Value, out var address)
            ? RecordScript.PathOf(address, cluster)
            : $"{RecordScript.Directory(cluster)}/unreadable.json";
    }
}
