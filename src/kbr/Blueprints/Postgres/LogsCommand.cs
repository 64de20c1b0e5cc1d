using System.Collections.Immutable;
using System.CommandLine;
using System.Globalization;
using System.Text.RegularExpressions;
using System.Threading.Channels;
using KeyBuzz.Reconciler.Cli.Commands;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.Providers.ConsensusStore;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Surveying;

namespace KeyBuzz.Reconciler.Cli.Blueprints.Postgres;

/// <summary><c>kbr logs</c>: what a service says on its hosts. Changes nothing, and needs no secrets.</summary>
internal static class LogsCommand
{
    private static readonly Regex s_duration = new(@"^(\d{1,9})([smhd])$");

    private const int Preset = 100;

    // How often it is asked whether somebody reads what is followed.
    private static readonly TimeSpan s_look = TimeSpan.FromSeconds(1);

    // Of what is not yet printed, or not yet merged.
    private const long MostWaiting = 64 * 1024 * 1024;

    private static readonly ImmutableSortedDictionary<string, LoggingService> s_services = new Dictionary<string, LoggingService>
    {
        ["haproxy"] = new(PostgresTopology.HaproxyContainer, topology => topology.Proxies),
        ["patroni"] = new(PostgresTopology.PatroniContainer, topology => topology.Members),
        ["pgbouncer"] = new(PostgresTopology.PgBouncerContainer, topology => topology.Proxies),
        ["postgres"] = new(PostgresTopology.PatroniContainer, topology => topology.Members),
    }.ToImmutableSortedDictionary(StringComparer.Ordinal);

    public static Command Create(SessionContext context)
    {
        ImmutableSortedSet<string> names =
        [
            .. s_services.Keys,
            .. ConsensusStores.Known.All.Select(store => store.Service).OfType<string>(),
        ];
        var service = new Argument<string>("SERVICE") { Description = $"One of {string.Join(", ", names)}; with @HOST on that host only." };
        service.CompletionSources.Add(_ => names.Select(name => new System.CommandLine.Completions.CompletionItem(name)));
        service.HelpName = "SERVICE[@HOST]";
        var follow = new Option<bool>("--follow", "-f") { Description = "Go on with what is said from now on, until Ctrl-C." };
        var since = new Option<string>("--since") { Description = "Only what was said since then: 90s, 15m, 1h, 2d, or a time." };
        var last = new Option<int?>("--lines", "-n")
        {
            Description = $"Only the last lines of each host; default {Preset}, with --since all.",
        };
        last.Validators.Add(result =>
        {
            if (result.Tokens.Count == 1 && !int.TryParse(result.Tokens[0].Value, NumberStyles.None, CultureInfo.InvariantCulture, out _))
            {
                result.AddError($"--lines must be a whole number of at least 0, not '{result.Tokens[0].Value}'");
            }
        });
        var command = new Command("logs", "Show what a service says on its hosts, in the order of time. Changes nothing.")
        {
            service,
            follow,
            since,
            last,
        }.With(context.Options.Hosts);
        command.SetAction(parsed => context.RunAsync(parsed, async (terminal, stop, _) =>
            {
                var json = parsed.Read(context.Options.Json);
                var (word, from) = (parsed.Read(service)!, parsed.Read(since));
                var (lines, follows) = (parsed.Read(last), parsed.Read(follow));
                var cluster = context.Load(parsed, terminal, secretsOptional: true);
                await using var fleet = context.OpenFleet(parsed, cluster);
                var topology = cluster.Model<PostgresTopology>()
                    ?? throw new DiagnosticException(Diagnostic.Error($"{cluster.File} has no 'postgres' section, so there are no logs"));
                var (name, container, hosts) = Chosen(topology, word);
                var log = new ContainerLog(container)
                {
                    Since = from is null ? null : SinceOf(from),
                    Last = lines ?? (from is null ? Preset : null),
                    Follow = follows,
                };
                var width = hosts.Length > 1 ? hosts.Max(host => host.Name.Length) : 0;
                // Ctrl-C is how it ends.
                terminal.IsAsking = true;
                // Nobody reads any more where the output is gone.
                using var end = CancellationTokenSource.CreateLinkedTokenSource(stop);
                await using var reader = follows ? context.Time.CreateTimer(_ => EndWithoutReader(), null, s_look, s_look) : null;
                var errors = await RunAsync(fleet, hosts, log, Print, end.Token).ConfigureAwait(false);
                if (!follows)
                {
                    // What was printed is not the whole.
                    stop.ThrowIfCancellationRequested();
                }

                CommandContext.Show(terminal, errors, json && !errors.IsEmpty);
                return errors.IsEmpty ? ExitCode.Done : ExitCode.Error;

                void EndWithoutReader()
                {
                    if (terminal.HasNoReader)
                    {
                        end.Cancel();
                    }
                }

                void Print(LogLine line)
                {
                    terminal.Line(
                        json ? Document(name, line)
                        : width > 0 ? $"{line.Host.PadRight(width)} | {line.Text}"
                        : line.Text
                    );
                    if (terminal.OutputTrouble is not null)
                    {
                        end.Cancel();
                    }
                }
            }));
        return command;
    }

    // Every host that can be read is shown, and every other named.
    private static async Task<ImmutableArray<Diagnostic>> RunAsync(
        Fleet fleet,
        ImmutableArray<Host> hosts,
        ContainerLog log,
        Action<LogLine> print,
        CancellationToken stop
    )
    {
        var found = await fleet.ReadAsync(hosts, _ => [new ContainerRead(log.Container)], stop).ConfigureAwait(false);
        var lines = Channel.CreateUnbounded<LogLine>(new UnboundedChannelOptions { SingleReader = true });
        var waiting = 0L;
        using var flood = new CancellationTokenSource();
        using var end = CancellationTokenSource.CreateLinkedTokenSource(stop, flood.Token);
        var running = Task.WhenAll(
            hosts.Select(async host =>
                found[host.Name].Error is { } error
                    ? Diagnostic.Error($"{host.Name}: {error}", host: host.Name)
                    : await OfHostAsync(fleet.Connections[host.Name], log, Take, end.Token).ConfigureAwait(false)
            )
        );
        _ = running.ContinueWith(_ => lines.Writer.TryComplete(), TaskScheduler.Default);
        var kept = hosts.ToDictionary(host => host.Name, _ => new List<LogLine>(), StringComparer.Ordinal);
        await foreach (var line in lines.Reader.ReadAllAsync(CancellationToken.None).ConfigureAwait(false))
        {
            if (log.Follow)
            {
                Interlocked.Add(ref waiting, -SizeOf(line));
                print(line);
            }
            else
            {
                kept[line.Host].Add(line);
            }
        }

        var errors = (await running.ConfigureAwait(false)).OfType<Diagnostic>();
        foreach (var line in LogLine.Merge(hosts.Select(host => kept[host.Name])))
        {
            print(line);
        }

        return flood.IsCancellationRequested
            ? [Diagnostic.Error($"the logs have more than {MostWaiting >> 20} MiB", remedy: "ask for less with --since and -n")]
            : [.. errors];

        void Take(LogLine line)
        {
            if (Interlocked.Add(ref waiting, SizeOf(line)) > MostWaiting)
            {
                flood.Cancel();
            }
            else
            {
                lines.Writer.TryWrite(line);
            }
        }

        static long SizeOf(LogLine line) => line.Text.Length + 64;
    }

    private static async Task<Diagnostic?> OfHostAsync(
        IHostConnection connection,
        ContainerLog log,
        Action<LogLine> take,
        CancellationToken cancellationToken
    )
    {
        var host = connection.Host.Name;
        var said = "";
        try
        {
            var result = await connection.StreamAsync(log, Take, cancellationToken).ConfigureAwait(false);
            return result.ExitCode == 0
                ? null
                : Diagnostic.Error(
                    $"{host}: the log of {log.Container} cannot be read: {(result.Error.Trim() is { Length: > 0 } error ? error : said)}",
                    remedy: "kbr status tells what runs there",
                    host: host
                );
        }
        catch (HostException exception)
        {
            return Diagnostic.Error($"{host}: {exception.Message}", remedy: exception.Remedy, host: host);
        }

        void Take(string text)
        {
            // Docker's own words have no time.
            var line = LogLine.Read(host, text);
            said = line.Time is null ? text : said;
            take(line);
        }
    }

    private static (string Name, string Container, ImmutableArray<Host> Hosts) Chosen(PostgresTopology topology, string word)
    {
        var at = word.IndexOf('@', StringComparison.Ordinal);
        var name = at < 0 ? word : word[..at];
        // A store that runs inside of Patroni has no log of its own.
        var store = topology.Store.Kind.Service;
        if (!s_services.TryGetValue(name, out var service))
        {
            service =
                name == store
                    ? new LoggingService(store, members => members.Members)
                    : throw new DiagnosticException(
                        Diagnostic.Error(
                            $"there is no service '{name}'",
                            remedy: $"services are {string.Join(", ", store is null ? s_services.Keys : s_services.Keys.Append(store))}"
                        )
                    );
        }

        var hosts = service.Hosts(topology);
        if (at >= 0)
        {
            var host = word[(at + 1)..];
            hosts = hosts.FirstOrDefault(one => one.Name == host) is { } only
                ? [only]
                : throw new DiagnosticException(
                    Diagnostic.Error(
                        $"{name} does not run on '{host}'",
                        remedy: $"it runs on {string.Join(", ", hosts.Select(one => one.Name))}"
                    )
                );
        }

        return (name, service.Container, hosts);
    }

    // Docker knows no days.
    private static string SinceOf(string word)
    {
        if (
            s_duration.Match(word) is { Success: true } match
            && long.TryParse(match.Groups[1].Value, CultureInfo.InvariantCulture, out var count)
        )
        {
            return match.Groups[2].Value == "d" && count < 100_000 ? string.Create(CultureInfo.InvariantCulture, $"{count * 24}h") : word;
        }

        return DateTimeOffset.TryParse(word, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var time)
            ? time.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture)
            : throw new DiagnosticException(
                Diagnostic.Error($"--since '{word}' is no time", remedy: "write 90s, 15m, 1h, 2d, or a time such as 2026-11-28T17:00:00Z")
            );
    }

    private static string Document(string service, LogLine line) => JsonView.Document("log_line", json =>
        {
            json.WriteString("service", service);
            json.WriteString("host", line.Host);
            json.WriteString("time", line.Time?.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ss.ffffffZ", CultureInfo.InvariantCulture));
            json.WriteString("text", line.Text);
        });

    // No value: its dictionary is that of every class.
    private sealed record LoggingService(string Container, Func<PostgresTopology, ImmutableArray<Host>> Hosts);
}
