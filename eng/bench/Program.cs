using System.Collections.Immutable;
using System.Globalization;
using KeyBuzz.Reconciler.Bench;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Graph;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Providers;
using KeyBuzz.Reconciler.Providers.Preconditions;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Ssh;
using KeyBuzz.Reconciler.Surveying;
using Microsoft.Extensions.DependencyInjection;

// What eng/bench.sh --planner measures, each in a process of its own:
//   write FILE RESOURCES by-role|one-by-one   writes a cluster.yaml
//   record FILE                               plans it for hosts that hold nothing, and writes the records that an apply would write
//   plan FILE                                 plans it for hosts that hold all of it; prints the CPU seconds of each part as JSON
//   graph FILE                                prints the CPU seconds of the graph, which is a part of loading
switch (args)
{
    case ["write", var file, var resources, "by-role" or "one-by-one"]:
        BenchCluster.Write(file, int.Parse(resources, CultureInfo.InvariantCulture), args[3] == "by-role");
        return 0;
    case ["record", var file]:
        return await RecordAsync(file);
    case ["plan", var file]:
        return await PlanAsync(file);
    case ["graph", var file]:
        Graph(Load(file));
        return 0;
    default:
        await Console.Error.WriteLineAsync("write FILE RESOURCES by-role|one-by-one, record FILE, plan FILE, or graph FILE");
        return 1;
}

static async Task<int> RecordAsync(string file)
{
    var cluster = Load(file);
    await using var hosts = new BenchHosts(cluster, null);
    var plan = await new BenchRun(cluster).PlanAsync(hosts, _ => { });
    if (plan.HasErrors || plan.Count(ResourceAction.Create) != cluster.Resources.Length)
    {
        return Fail(plan, "not everything would be created");
    }

    var folder = RecordsOf(file);
    Directory.CreateDirectory(folder);
    foreach (var host in plan.Changes.ToLookup(change => change.Address.Host))
    {
        BenchHosts.Write(folder, host.Key, host.Select(change => change.Record! with { AppliedAt = DateTimeOffset.UnixEpoch }));
    }

    return 0;
}

static async Task<int> PlanAsync(string file)
{
    var parts = new List<(string Name, TimeSpan Spent)>();
    var before = TimeSpan.Zero;
    void Ended(string part)
    {
        var now = Environment.CpuUsage.TotalTime;
        parts.Add((part, now - before));
        before = now;
    }

    Ended("start");
    var cluster = Load(file);
    Ended("load");
    await using var hosts = new BenchHosts(cluster, RecordsOf(file));
    var plan = await new BenchRun(cluster).PlanAsync(hosts, Ended);
    if (plan.HasErrors || plan.Count(ResourceAction.NoOp) != cluster.Resources.Length)
    {
        return Fail(plan, "the plan is not empty");
    }

    var figures = parts
        .Select(part => part.Name == "survey" ? (part.Name, Spent: part.Spent - hosts.Spent) : part)
        .Append(("answers", hosts.Spent))
        .Select(part => string.Create(CultureInfo.InvariantCulture, $"\"{part.Item1}\": {part.Item2.TotalSeconds:F3}"));
    var pauses = string.Create(CultureInfo.InvariantCulture, $"{GC.GetTotalPauseDuration().TotalSeconds:F3}");
    Console.WriteLine(
        $"{{\"resources\": {cluster.Resources.Length}, {string.Join(", ", figures)}, \"pauses\": {pauses}, "
            + $"\"collections\": [{string.Join(", ", Enumerable.Range(0, 3).Select(GC.CollectionCount))}]}}"
    );
    return 0;
}

static void Graph(Cluster cluster)
{
    var begun = Environment.CpuUsage.TotalTime;
    _ = ResourceGraph.Build(cluster.Resources, BenchRun.Providers, cluster.Policies);
    Console.WriteLine((Environment.CpuUsage.TotalTime - begun).TotalSeconds.ToString("F3", CultureInfo.InvariantCulture));
}

static Cluster Load(string file) =>
    ClusterLoader.Load(
        file,
        new ClusterSyntax(BenchRun.Providers.All, new PreconditionChecks().Kinds, new SshSection(), []),
        BenchCluster.Environment
    );

static string RecordsOf(string file) => file + ".records";

static int Fail(Plan plan, string what)
{
    Console.Error.WriteLine($"{what}: {plan.Changes.Length} changes, {plan.Blocked.Length} blocked");
    foreach (var change in plan.Changes.Where(change => change.Action != ResourceAction.NoOp).Take(3))
    {
        Console.Error.WriteLine(
            $"{change.Address}: {change.Action}, {change.Cause}: {string.Join(", ", change.Differences.Select(one => one.Name))}"
        );
    }

    foreach (var diagnostic in plan.Diagnostics.Take(3))
    {
        Console.Error.WriteLine(diagnostic.Summary);
    }

    return 1;
}

/// <summary>A plan as kbr makes it: graph, survey, planner.</summary>
internal sealed class BenchRun(Cluster cluster)
{
    private static readonly ServiceProvider s_services = Services();

    public static ProviderRegistry Providers { get; } = new(s_services.GetServices<IResourceProvider>());

    /// <summary>Plans; says after each part what it was.</summary>
    public async Task<Plan> PlanAsync(BenchHosts hosts, Action<string> ended)
    {
        await using var fleet = new FleetReader(cluster, Providers, s_services.GetRequiredService<IPreconditionChecks>(), hosts, 1);
        var survey = await fleet.SurveyAsync(cluster.Hosts, checkPreconditions: false, CancellationToken.None);
        ended("survey");
        var planner = new Planner(Providers, new Fingerprint(cluster.Secrets.Find(Secrets.KeyName)!));
        var plan = planner.Plan(new PlanInput(cluster.Graph, survey.Records, survey.Observations, survey.HostErrors, new PlanOptions()));
        ended("plan");
        return plan;
    }

    private static ServiceProvider Services()
    {
        var services = new ServiceCollection();
        services.AddSingleton(TimeProvider.System);
        Registration.AddProviders(services);
        return services.BuildServiceProvider();
    }
}
