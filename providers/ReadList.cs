using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Backup;
using KeyBuzz.Reconciler.Providers.Certificate;
using KeyBuzz.Reconciler.Providers.ConsensusStore;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.Http;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Providers.SqlProxies;
using KeyBuzz.Reconciler.Providers.Supervision;
using KeyBuzz.Reconciler.Records;

namespace KeyBuzz.Reconciler.Providers;

/// <summary>Every kind of read, a line each, in the order in which a host answers them. A read that is not in it cannot be
/// asked.</summary>
public static class ReadList
{
    /// <summary>The one script that asks them.</summary>
    public static ProbeScript Probe { get; } =
        new([
            StatRead.Kind,
            FileRead.Kind,
            MountsRead.Kind,
            BlockDeviceRead.Kind,
            DisksRead.Kind,
            DiskSpaceRead.Kind,
            DockerRead.Kind,
            UnitRead.Kind,
            ServicesRead.Kind,
            ClockRead.Kind,
            CommandsRead.Kind,
            LockRead.Kind,
            RecordsRead.Kind,
            HistoryRead.Kind,
            HttpRead.Kind,
            TlsRead.Kind,
            TlsLoginRead.Kind,
            ContainerExec.Of([
                .. ConsensusStores.Known.ReadKinds,
                BackupTools.Default.ReadKind,
                RepositoryDirectoryRead.Kind,
                HaproxyCheckRead.Kind,
                PoolerRead.Kind,
                SqlRead.Kind,
            ]),
            PortRead.Kind,
        ]);
}
