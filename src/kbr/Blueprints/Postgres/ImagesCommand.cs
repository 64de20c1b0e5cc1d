using System.Collections.Immutable;
using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using KeyBuzz.Reconciler.Cli.Commands;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.Providers.Image;

namespace KeyBuzz.Reconciler.Cli.Blueprints.Postgres;

/// <summary><c>kbr images build</c>: builds the images of the services without a registry, and keeps them as archives beside
/// cluster.yaml.</summary>
internal static class ImagesCommand
{
    // The end of what docker says is where the error stands.
    private const int LinesOfError = 12;

    public static Command Create(SessionContext context) =>
        new("images", "Build the images of PostgreSQL, HAProxy and PgBouncer.") { Build(context) };

    private static Command Build(SessionContext context)
    {
        var services = new Argument<string[]>("service")
        {
            Description = $"Which: {string.Join(", ", ImageBuild.Services)}; default: the first {ImageBuild.Usual.Length}.",
            Arity = ArgumentArity.ZeroOrMore,
        };
        services.AcceptOnlyFromAmong([.. ImageBuild.Services]);
        var on = new Option<string?>("--on")
        {
            Description = "A host of the file that builds with its Docker Engine; default: this machine.",
        };
        var basis = new Option<string>("--base")
        {
            Description = "The image that they are made from: Debian 13 (trixie).",
            DefaultValueFactory = _ => ImageBuild.DefaultBase,
        };
        var version = OptionReading.WholeNumber(
            "--postgres",
            "PostgreSQL's major version; default: that of the cluster file. 17 comes from Debian, others from apt.postgresql.org.",
            least: 13,
            preset: null
        );
        var folder = new Option<string>("--out")
        {
            Description = "The folder of the archives, from that of the cluster file.",
            HelpName = ValueNames.Folder,
            DefaultValueFactory = _ => "images",
        };
        var command = new Command(
            "build",
            "Build images, and save them as archives that cluster.yaml can name. Needs no registry of yours."
        )
        {
            services,
            on,
            basis,
            version,
            folder,
        }.With(context.Options.Cluster);
        command.SetAction(parsed => context.RunAsync(parsed, async (terminal, stop, _) =>
            {
                var json = parsed.Read(context.Options.Json);
                var directory = Path.GetDirectoryName(Path.GetFullPath(parsed.Read(context.Options.File)!))!;
                var place = parsed.Read(folder)!;
                var chosen = parsed.Read(services) is { Length: > 0 } named ? named.Distinct() : ImageBuild.Usual;
                var major = parsed.GetResult(version) is null
                    ? PostgresBlueprint.DeclaredVersion(parsed.Read(context.Options.File)!)
                    : parsed.Read(version);
                var builds = chosen.Select(service => new ImageBuild(service, parsed.Read(basis)!, major)).ToList();
                List<BuiltImage> built = [];
                await using var builder = await BuilderAsync(context, parsed, parsed.Read(on), stop).ConfigureAwait(false);
                Directory.CreateDirectory(Path.Combine(directory, place));
                foreach (var build in builds)
                {
                    if (!json)
                    {
                        terminal.Line($"{build.Service}: building {build.Name} {builder.Place} …");
                    }

                    var archive = Path.Combine(place, build.Service + ".tar");
                    var from = await BuildAsync(builder, build, Path.Combine(directory, archive), stop).ConfigureAwait(false);
                    var image = ImageArchive.Read(Path.Combine(directory, archive));
                    built.Add(new BuiltImage(build.Service, archive, image, from));
                    if (!json)
                    {
                        var size = new FileInfo(Path.Combine(directory, archive)).Length;
                        terminal.Line(
                            $"{build.Service}: {archive}, {(size / 1e6).ToString("0", CultureInfo.InvariantCulture)} MB, from {from}",
                            Terminal.Tone.Added
                        );
                    }
                }

                Show(terminal, built, json);
                return ExitCode.Done;
            }));
        return command;
    }

    private static async Task<string> BuildAsync(IBuilder builder, ImageBuild build, string archive, CancellationToken cancellationToken)
    {
        var result = await builder.RunAsync(build.Script, archive, cancellationToken).ConfigureAwait(false);
        return result.ExitCode == 0
            ? result.Output.TrimEnd('\n').Split('\n')[^1]
            : throw new DiagnosticException(
                Diagnostic.Error(
                    $"{build.Name} could not be built {builder.Place}",
                    detail: string.Join('\n', result.Error.TrimEnd('\n').Split('\n').TakeLast(LinesOfError)),
                    remedy: "the build needs Docker Engine and the packages of Debian; behind a proxy set http_proxy and https_proxy there"
                )
            );
    }

    private static void Show(Terminal terminal, List<BuiltImage> built, bool json)
    {
        if (json)
        {
            terminal.Line(JsonView.Document("images", document =>
                {
                    document.WriteStartArray("images");
                    foreach (var image in built)
                    {
                        document.WriteStartObject();
                        document.WriteString("service", image.Service);
                        document.WriteString("archive", image.Archive);
                        document.WriteString("name", image.Image.Name);
                        document.WriteString("id", image.Image.Id);
                        document.WriteString("base", image.Base);
                        document.WriteEndObject();
                    }

                    document.WriteEndArray();
                }));
            return;
        }

        terminal.Line();
        terminal.Line("In cluster.yaml, under postgres:");
        foreach (var image in built)
        {
            var value = $"{{ archive: {image.Archive}, name: '{image.Image.Name}', id: '{image.Image.Id}' }}";
            terminal.Line(
                image.Service switch
                {
                    "patroni" => $"  image: {value}",
                    "keepalived" => $"  virtual_ip: {{ image: {value} }}",
                    "etcd" => $"  store: {{ etcd: {{ image: {value} }} }}",
                    "monitoring" => $"  monitoring: {{ image: {value} }}",
                    var service => $"  {service}: {{ image: {value} }}",
                }
            );
        }
    }

    private static async Task<IBuilder> BuilderAsync(
        SessionContext context,
        ParseResult parsed,
        string? on,
        CancellationToken cancellationToken
    )
    {
        if (on is null)
        {
            return new ThisMachine(context.Time);
        }

        var cluster = context.LoadHosts(parsed);
        var host = cluster.Hosts.FirstOrDefault(one => one.Name == on)
            ?? throw new DiagnosticException(Diagnostic.Error($"{cluster.File} has no host '{on}'"));
        return await RemoteHost.OpenAsync(context, cluster, host, cancellationToken).ConfigureAwait(false);
    }

    private sealed record BuiltImage(string Service, string Archive, ImageArchive Image, string Base);

    // Runs a build where Docker Engine is, and brings its archive to a path of this machine.
    private interface IBuilder : IAsyncDisposable
    {
        string Place { get; }

        Task<ScriptResult> RunAsync(Script script, string archive, CancellationToken cancellationToken);
    }

    private sealed class ThisMachine(TimeProvider time) : IBuilder
    {
        public string Place => "on this machine";

        public async Task<ScriptResult> RunAsync(Script script, string archive, CancellationToken cancellationToken)
        {
            var part = archive + ".part";
            using var process = Process.Start(
                new ProcessStartInfo("sh", ["-eu", "-s"])
                {
                    RedirectStandardInput = true,
                    RedirectStandardOutput = true,
                    RedirectStandardError = true,
                }
            )!;
            using var deadline = new CancellationTokenSource(script.Deadline, time);
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, deadline.Token);
            try
            {
                var output = process.StandardOutput.ReadToEndAsync(limit.Token);
                var error = process.StandardError.ReadToEndAsync(limit.Token);
                var text = new StringBuilder().Append($"{ImageBuild.Archive}={Script.Quote(part)}\n").Append(script.Text);
                await process.StandardInput.WriteAsync(text, limit.Token).ConfigureAwait(false);
                process.StandardInput.Close();
                await process.WaitForExitAsync(limit.Token).ConfigureAwait(false);
                var result = new ScriptResult(process.ExitCode, await output.ConfigureAwait(false), await error.ConfigureAwait(false));
                if (result.ExitCode == 0)
                {
                    File.Move(part, archive, overwrite: true);
                }

                return result;
            }
            finally
            {
                if (!process.HasExited)
                {
                    process.Kill(entireProcessTree: true);
                }

                File.Delete(part);
            }
        }

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }

    private sealed class RemoteHost(Surveying.Fleet fleet, IHostWriter writer, string name) : IBuilder
    {
        public string Place => "on " + name;

        public static async Task<RemoteHost> OpenAsync(
            SessionContext context,
            Configuration.Cluster cluster,
            Host host,
            CancellationToken cancellationToken
        )
        {
            var fleet = context.OpenFleet(cluster);
            try
            {
                var answers = await fleet.ReadAsync([host], _ => [new LockRead()], cancellationToken).ConfigureAwait(false);
                if (answers[host.Name].Error is { } error)
                {
                    throw new HostException(host.Name, error);
                }

                var holder = Session.HolderOf("images build", context.Time);
                return new RemoteHost(
                    fleet,
                    await fleet.OpenWriterAsync(host.Name, holder, parallelism: 1, cancellationToken).ConfigureAwait(false),
                    host.Name
                );
            }
            catch
            {
                await fleet.DisposeAsync().ConfigureAwait(false);
                throw;
            }
        }

        public Task<ScriptResult> RunAsync(Script script, string archive, CancellationToken cancellationToken) =>
            writer.RunAsync(
                script with
                {
                    Downloads = ImmutableSortedDictionary<string, string>.Empty.Add(ImageBuild.Archive, archive),
                },
                cancellationToken
            );

        public async ValueTask DisposeAsync()
        {
            await writer.DisposeAsync().ConfigureAwait(false);
            await fleet.DisposeAsync().ConfigureAwait(false);
        }
    }
}
