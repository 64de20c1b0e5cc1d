using System.Collections.Immutable;
using System.Text;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Bench;

/// <summary>Answers in place of hosts, in the values that a probe's answer is parsed into: either nothing was applied yet, or
/// everything is as desired and recorded.</summary>
/// <param name="cluster">What the hosts hold.</param>
/// <param name="records">The folder with the records of each host; null where nothing was applied yet.</param>
internal sealed class BenchHosts(Cluster cluster, string? records) : IReaderSource
{
    public const string Image = "registry.example/app:1@sha256:00000000000000000000000000000000000000000000000000000000000000aa";

    private static readonly DockerAnswer s_missing = new(404, "{}");
    private static readonly DockerAnswer s_image = new(200, """{"Id":"sha256:1111","Config":{"Env":["PATH=/usr/bin"],"Cmd":["app"]}}""");
    private static readonly DateTimeOffset s_modified = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    private readonly ILookup<string, Resource> _resources = cluster.Resources.ToLookup(resource => resource.Address.Host);

    /// <summary>The CPU time that the answers took to make.</summary>
    public TimeSpan Spent { get; private set; }

    /// <summary>Writes the records of a host, each with the name of its file, one a line.</summary>
    public static void Write(string folder, string host, IEnumerable<ResourceRecord> records) =>
        File.WriteAllLines(
            Path.Combine(folder, host),
            records.Select(record =>
                $"{RecordScript.PathOf(record.Address, BenchCluster.Name)}\t{RecordJson.Write(record, BenchCluster.Name)}"
            )
        );

    /// <inheritdoc />
    public Task<IHostReader> OpenAsync(Host host, CancellationToken cancellationToken) =>
        Task.FromResult<IHostReader>(new Reader(this, host));

    /// <inheritdoc />
    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private sealed class Reader(BenchHosts hosts, Host host) : IHostReader
    {
        public int ScriptCount => 0;

        public Task<Snapshot> ReadAsync(IReadOnlyCollection<Read> reads, CancellationToken cancellationToken)
        {
            var begun = Environment.CpuUsage.TotalTime;
            var answers = new Dictionary<Read, object?>();
            var paths = new Dictionary<string, Resource>(StringComparer.Ordinal);
            var containers = new Dictionary<string, Resource>(StringComparer.Ordinal);
            if (hosts.Records is not null)
            {
                foreach (var resource in hosts._resources[host.Name])
                {
                    _ = resource.Spec.OptionalString("path") is { } path
                        ? paths.TryAdd(path, resource)
                        : containers.TryAdd(resource.Address.Name, resource);
                }
            }

            foreach (var read in reads)
            {
                answers[read] = read switch
                {
                    StatRead stat => paths.TryGetValue(stat.Path, out var resource) ? Stat(resource) : null,
                    FileRead file => paths.TryGetValue(file.Path, out var resource) ? Content(resource) : null,
                    ContainerRead container => containers.TryGetValue(container.Name, out var resource) ? Container(resource) : s_missing,
                    ImageRead => s_image,
                    RecordsRead => Folder(),
                    _ => throw new InvalidOperationException($"no answer to {read}"),
                };
            }

            hosts.Spent += Environment.CpuUsage.TotalTime - begun;
            return Task.FromResult(new Snapshot(answers));
        }

        private RecordsFolder Folder()
        {
            if (hosts.Records is not { } folder)
            {
                return RecordsFolder.None;
            }

            var directory = RecordScript.Directory(BenchCluster.Name);
            var files = ImmutableArray.CreateBuilder<RecordFile>();
            ReadOnlyMemory<byte> all = File.ReadAllBytes(Path.Combine(folder, host.Name));
            while (all.Span.IndexOf((byte)'\n') is >= 0 and var end)
            {
                var tab = all.Span.IndexOf((byte)'\t');
                var path = new RecordPath(Encoding.UTF8.GetString(all.Span[..tab]), "regular file", 0, "0600");
                files.Add(new RecordFile(path, all[(tab + 1)..end]));
                all = all[(end + 1)..];
            }

            return new RecordsFolder([new RecordPath(directory, "directory", 0, RecordsTrust.DirectoryMode)], files.ToImmutable());
        }
    }

    private string? Records { get; } = records;

    private static FileStat Stat(Resource resource)
    {
        var (kind, spec) = (resource.Address.Type == "directory" ? "directory" : "regular file", resource.Spec);
        return spec.String("owner") == "root"
            ? new FileStat(kind, 0, 0, "root", "root", spec.String("mode"), s_modified)
            : new FileStat(kind, 999, 999, "app", "app", spec.String("mode"), s_modified);
    }

    private static FileContent? Content(Resource resource) =>
        resource.Spec.Text("content") is { } content ? new FileContent(Encoding.UTF8.GetBytes(content.Reveal())) : null;

    // As Docker Engine describes it, without what kbr does not look at.
    private static DockerAnswer Container(Resource resource)
    {
        var name = resource.Address.Name;
        return new DockerAnswer(
            200,
            $$$"""
            {"Id":"c0ffee","Image":"sha256:1111","State":{"Status":"running","Running":true},
            "Config":{"Image":"{{{Image}}}","Hostname":"{{{resource.Address.Host}}}","User":"999","Env":["APP={{{name}}}","PATH=/usr/bin"],
            "Cmd":["app"],"StopTimeout":30,"Labels":{"kbr.address":"{{{resource.Address}}}"}},
            "HostConfig":{"NetworkMode":"host","ShmSize":67108864,"RestartPolicy":{"Name":"no"},"Privileged":false,
            "LogConfig":{"Type":"local","Config":{}},"ReadonlyRootfs":false},
            "Mounts":[{"Type":"bind","Source":"/srv/{{{name}}}","Destination":"/etc/app","RW":false},
            {"Type":"bind","Source":"/srv/{{{name}}}/data","Destination":"/data","RW":true}]}
            """
        );
    }
}
