using System.Collections.Frozen;
using System.Collections.Immutable;
using System.CommandLine;
using System.CommandLine.Help;
using KeyBuzz.Reconciler.Cli.Blueprints;
using KeyBuzz.Reconciler.Cli.Blueprints.Postgres;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Ssh;
using Microsoft.Extensions.DependencyInjection;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary>All commands of kbr, and what they are made of.</summary>
public static class KbrCommandLine
{
    private static readonly FrozenSet<string> s_terraform = FrozenSet.ToFrozenSet(
        [
            "-auto-approve",
            "-destroy",
            "-detailed-exitcode",
            "-json",
            "-lock-timeout",
            "-no-color",
            "-out",
            "-parallelism",
            "-replace",
            "-target",
        ],
        StringComparer.Ordinal
    );

    /// <summary>Registers what the commands need.</summary>
    /// <param name="more">Registers further blueprints; null for none.</param>
    public static ServiceProvider Services(Action<IServiceCollection>? more = null)
    {
        var services = new ServiceCollection();
        Registration.AddProviders(services);
        PostgresCommands.AddTo(services);
        more?.Invoke(services);
        services.AddSingleton<IConnectionSection>(_ => new SshSection());
        services.AddSingleton<CommonOptions>();
        services.AddSingleton(provider => new ProviderRegistry(provider.GetServices<IResourceProvider>())
        {
            FormerPolicyTypes = Registration.FormerPolicyTypes,
        });
        services.AddSingleton(TimeProvider.System);
        services.AddSingleton(_ => OperatorPrompts.Create());
        services.AddSingleton<Func<IConnectionSettings, IHostConnector>>(provider =>
            settings => new SshConnector(
                (SshSettings)settings,
                ReadList.Probe,
                provider.GetRequiredService<TimeProvider>(),
                provider.GetRequiredService<SshPrompts>()
            )
        );
        services.AddSingleton<Func<IConnectionSettings, IReaderSource>>(provider =>
            settings => new HostConnections(provider.GetRequiredService<Func<IConnectionSettings, IHostConnector>>()(settings))
        );
        services.AddSingleton<Func<IConnectionSettings, IHostRoutes>>(provider =>
            settings => (IHostRoutes)provider.GetRequiredService<Func<IConnectionSettings, IHostConnector>>()(settings)
        );
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
        ImmutableArray<IBlueprintCommands> blueprints = [.. services.GetServices<IBlueprintCommands>()];
        var check = CheckCommand.Create(reading, blueprints, services.GetRequiredService<Func<IConnectionSettings, IHostRoutes>>());
        foreach (var own in blueprints.SelectMany(blueprint => blueprint.Checks(session)))
        {
            check.Add(own);
        }

        var root = new RootCommand("kbr, the KeyBuzz Reconciler: compares your hosts with cluster.yaml, and applies the difference.")
        {
            ValidateCommand.Create(context, blueprints),
            PlanCommand.Create(session),
            ShowCommand.Create(context),
            ApplyCommand.CreateApply(session),
            ApplyCommand.CreateDestroy(session),
            ApplyCommand.CreateImport(session),
            DriftCommand.Create(reading),
            StateCommand.Create(reading, session),
            HistoryCommand.Create(reading),
            StatusCommand.Create(session),
            check,
            GraphCommand.Create(context),
        };
        Command[] rest =
        [
            .. blueprints.SelectMany(blueprint => blueprint.Commands(session)),
            RenewCommand.Create(session),
            UnlockCommand.Create(session),
            InitCommand.Create(reading, [.. blueprints.Select(blueprint => blueprint.Init).OfType<IClusterInit>()]),
            FmtCommand.Create(context),
            ExplainCommand.Create(context),
            SchemaCommand.Create(context),
            CompletionCommand.Create(context),
            ManCommand.Create(context),
            VersionCommand.Create(context),
        ];
        foreach (var command in rest)
        {
            root.Add(command);
        }

        // They may stand before the command, too, if it takes them.
        root.With(context.Options.All);
        root.SetAction(Help);
        root.Options.OfType<HelpOption>().Single().Action = new HelpWithExamples();
        SuggestAction.AddTo(root, new ClusterNames(context));
        return root;
    }

    /// <summary>Runs a command line: the command's exit code, or 1 with the mistakes of the line.</summary>
    /// <param name="root">The commands.</param>
    /// <param name="words">What stands after <c>kbr</c>.</param>
    public static Task<int> RunAsync(RootCommand root, IEnumerable<string> words)
    {
        ArgumentNullException.ThrowIfNull(root);
        var parsed = root.Parse(Spelled(words));
        // Commands handle signals themselves: running changes finish first.
        return UsageError.IsIn(parsed)
            ? Task.FromResult(UsageError.Show(parsed))
            : parsed.InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = null, EnableDefaultExceptionHandler = false });
    }

    /// <summary>The output of a command that only groups others.</summary>
    internal static int Help(ParseResult parsed) => new HelpWithExamples().Invoke(parsed);

    /// <summary>The words as the parser knows them: <c>-out</c> and other options that Terraform has, with one dash, are those with two.
    /// What follows <c>--</c> is for another program.</summary>
    /// <param name="words">What stands after <c>kbr</c>.</param>
    public static string[] Spelled(IEnumerable<string> words)
    {
        var own = true;
        return
        [
            .. words.Select(word =>
            {
                own &= word != "--";
                return own && s_terraform.Contains(word.Split('=')[0]) ? "-" + word : word;
            }),
        ];
    }
}
