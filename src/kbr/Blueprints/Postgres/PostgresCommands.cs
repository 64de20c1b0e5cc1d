using System.CommandLine;
using KeyBuzz.Reconciler.Cli.Commands;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa;
using Microsoft.Extensions.DependencyInjection;

namespace KeyBuzz.Reconciler.Cli.Blueprints.Postgres;

/// <summary>The commands of the <c>postgres</c> section.</summary>
internal sealed class PostgresCommands : IBlueprintCommands
{
    /// <summary>Registers the blueprint and its commands.</summary>
    public static void AddTo(IServiceCollection services)
    {
        services.AddSingleton<IBlueprint>(all => new PostgresBlueprint(all.GetRequiredService<TimeProvider>()));
        services.AddSingleton<IBlueprintCommands>(_ => new PostgresCommands());
    }

    /// <inheritdoc />
    public IEnumerable<IHealthCheck> HealthChecks(Cluster cluster) =>
        cluster.Model<PostgresTopology>() is { } topology ? [new PostgresHealth(cluster, topology)] : [];

    /// <inheritdoc />
    public IEnumerable<Command> Commands(SessionContext context) =>
        [
            MembersCommand.Create(context),
            LogsCommand.Create(context),
            ConnectCommand.Create(context),
            SwitchoverCommand.Create(context),
            RestartCommand.Create(context),
            FenceCommand.Create(context),
            FenceCommand.CreateUndo(context),
            ReliefCommand.Create(context),
            DrillCommand.Create(context),
            RestoreCommand.Create(context),
            RecoverCommand.Create(context),
            BackupCommand.Create(context),
            BackupsCommand.Create(context),
            MonitoringCommand.Create(context),
            ImagesCommand.Create(context),
        ];

    /// <inheritdoc />
    public IEnumerable<Command> Checks(SessionContext context) => [CheckTlsCommand.Create(context)];

    /// <inheritdoc />
    public IClusterInit Init { get; } = new PostgresInit();

    /// <inheritdoc />
    public IEnumerable<Traffic> Traffic(Cluster cluster) =>
        cluster.Model<PostgresTopology>() is { } topology ? PostgresTraffic.Of(topology) : [];

    /// <inheritdoc />
    public IEnumerable<string> Facts(Cluster cluster)
    {
        if (cluster.Model<PostgresTopology>() is not { Times: var times } topology)
        {
            return [];
        }

        return
        [
            .. ConnectionString.Of(topology, topology.Application).Select(one => $"Applications connect, {one.Name}: {one.Text}"),
            .. OpenAccess.Of(topology),
            .. UnlimitedSlots.Of(topology),
            $"When the primary fails, writes stop for at most {times.WorstCase.TotalSeconds} s "
                + $"(dynamic: ttl {times.Ttl}, loop_wait {times.LoopWait}, retry_timeout {times.RetryTimeout})",
        ];
    }
}
