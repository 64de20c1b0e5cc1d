using System.CommandLine;
using KeyBuzz.Reconciler.Cli.Commands;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.Providers;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Ssh;
using Microsoft.Extensions.DependencyInjection;

var services = new ServiceCollection();
Registration.AddProviders(services);
services.AddSingleton<IBlueprint>(_ => new PostgresBlueprint());
services.AddSingleton<CommonOptions>();
services.AddSingleton(provider => new ProviderRegistry(provider.GetServices<IResourceProvider>()));
services.AddSingleton<Func<SshSettings, IHostConnector>>(_ => settings => new SshConnector(settings));
services.AddSingleton<Func<SshSettings, IReaderSource>>(_ => settings => new HostConnections(new SshConnector(settings)));
services.AddSingleton<CommandContext>();
services.AddSingleton<SessionContext>();
services.AddSingleton<ReadOnlyContext>();
await using var container = services.BuildServiceProvider();
var context = container.GetRequiredService<CommandContext>();
var session = container.GetRequiredService<SessionContext>();
var reading = container.GetRequiredService<ReadOnlyContext>();

var root = new RootCommand("kbr, the KeyBuzz Reconciler: says what differs on your hosts, and makes it so.")
{
    ValidateCommand.Create(context),
    PlanCommand.Create(session),
    ShowCommand.Create(context),
    ApplyCommand.CreateApply(session),
    ApplyCommand.CreateDestroy(session),
    ApplyCommand.CreateImport(session),
    DriftCommand.Create(reading),
    StateCommand.Create(reading, session),
    StatusCommand.Create(session),
    CheckCommand.Create(reading),
    GraphCommand.Create(context),
    SwitchoverCommand.Create(session),
    RestartCommand.Create(session),
    DrillCommand.Create(session),
    UnlockCommand.Create(session),
    InitCommand.Create(context),
    VersionCommand.Create(context),
};
foreach (var option in context.Options.All)
{
    root.Options.Add(option);
}

// Signals are the commands' own matter: what runs on a host is finished first.
return await root.Parse(args).InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = null });
