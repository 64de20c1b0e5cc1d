using System.CommandLine;
using KeyBuzz.Reconciler.Cli.Blueprints;
using KeyBuzz.Reconciler.Cli.Commands;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Surveying;

namespace KeyBuzz.Reconciler.Tests.Blueprints.Web;

/// <summary>What the <c>web</c> section adds to the command line: a checklist of the pages, and <c>kbr page</c>.</summary>
internal sealed class WebCommands : IBlueprintCommands
{
    public IEnumerable<IHealthCheck> HealthChecks(Cluster cluster) => cluster.Model<WebSite>() is { } site ? [new WebHealth(site)] : [];

    public IEnumerable<Command> Commands(SessionContext context)
    {
        var host = new Option<string>("--host") { Description = "Only this host." };
        var command = new Command("page", "Print the page of each host.") { host }.With(context.Options.Hosts);
        command.SetAction(parsed => context.RunAsync(parsed, async (terminal, stop, _) =>
            {
                var only = parsed.Read(host);
                await using var session = context.Open(parsed, terminal);
                var site = session.Cluster.Model<WebSite>()
                    ?? throw new DiagnosticException(Diagnostic.Error($"{session.Cluster.File} has no 'web' section"));
                var pages = await session
                    .Fleet.ReadAsync(site.Hosts.Where(one => only is null || one.Name == only), _ => [new FileRead(site.Page)], stop)
                    .ConfigureAwait(false);
                foreach (var (name, (snapshot, error)) in pages)
                {
                    terminal.Line($"{name}: {snapshot?.Get(new FileRead(site.Page))?.Text.TrimEnd('\n') ?? error ?? "no page"}");
                }

                return ExitCode.Done;
            }));
        return [command];
    }

    public IEnumerable<string> Facts(Cluster cluster) =>
        cluster.Model<WebSite>() is { } site ? [$"The page is {site.Page} on {site.Hosts.Length} host"] : [];

    private sealed class WebHealth(WebSite site) : IHealthCheck
    {
        public string Scope => "web";

        public TimeSpan GateTimeout => TimeSpan.FromSeconds(1);

        public TimeSpan SettleTime => TimeSpan.Zero;

        public IReadOnlyCollection<Read> Reads(Host host) => site.Hosts.Contains(host) ? [new FileRead(site.Page)] : [];

        public async Task<HealthReport> MeasureAsync(
            Fleet fleet,
            IReadOnlyCollection<Address>? touched,
            CancellationToken cancellationToken
        )
        {
            var answers = await fleet
                .ReadAsync(
                    site.Hosts.Where(host => touched?.Contains(new Address("config_file", "page", host.Name)) != false),
                    Reads,
                    cancellationToken
                )
                .ConfigureAwait(false);
            return new HealthReport([
                .. answers.Select(pair => new HealthItem(
                    $"page of {pair.Key}",
                    pair.Value.Snapshot is not { } snapshot ? HealthVerdict.Unknown
                        : snapshot.Get(new FileRead(site.Page))?.Text == site.Expected + "\n" ? HealthVerdict.Ok
                        : HealthVerdict.NotOk,
                    pair.Value.Error ?? site.Page
                )),
            ]);
        }
    }
}
