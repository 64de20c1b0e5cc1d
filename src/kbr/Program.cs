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
services.AddSingleton<CommandContext>();
await using var container = services.BuildServiceProvider();
var context = container.GetRequiredService<CommandContext>();

var root = new RootCommand("kbr, the KeyBuzz Reconciler: says what differs on your hosts, and makes it so.")
{
    ValidateCommand.Create(context),
    PlanCommand.Create(context),
    ApplyCommand.CreateApply(context),
    ApplyCommand.CreateDestroy(context),
    StatusCommand.Create(context),
    SwitchoverCommand.Create(context),
    DrillCommand.Create(context),
    InitCommand.Create(context),
    VersionCommand.Create(context),
};
foreach (var option in context.Options.All)
{
    root.Options.Add(option);
}

// Signals are the commands' own matter: what runs on a host is finished first.
return await root.Parse(args).InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = null });
