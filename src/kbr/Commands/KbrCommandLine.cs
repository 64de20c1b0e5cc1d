using System.CommandLine;
using System.CommandLine.Help;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.Providers;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Ssh;
using Microsoft.Extensions.DependencyInjection;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary>All commands of kbr, and what they are made of.</summary>
public static class KbrCommandLine
{
    /// <summary>Registers what the commands need.</summary>
    public static ServiceProvider Services()
    {
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
        return services.BuildServiceProvider();
    }

    /// <summary>The commands.</summary>
    public static RootCommand Create(ServiceProvider services)
    {
        ArgumentNullException.ThrowIfNull(services);
        var context = services.GetRequiredService<CommandContext>();
        var session = services.GetRequiredService<SessionContext>();
        var reading = services.GetRequiredService<ReadOnlyContext>();
        var root = new RootCommand("kbr, the KeyBuzz Reconciler: compares your hosts with cluster.yaml, and applies the difference.")
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

        // They may stand before the command, too, if it takes them.
        root.With(context.Options.All);
        root.SetAction(Help);
        return root;
    }

    /// <summary>The output of a command that only groups others.</summary>
    internal static int Help(ParseResult parsed) => new HelpAction().Invoke(parsed);

    /// <summary>The words as the parser knows them: <c>-out</c>, as Terraform has it, is <c>--out</c>.</summary>
    /// <param name="words">What stands after <c>kbr</c>.</param>
    public static string[] Spelled(IEnumerable<string> words) =>
        [.. words.Select(word => word == "-out" || word.StartsWith("-out=", StringComparison.Ordinal) ? "-" + word : word)];
}
