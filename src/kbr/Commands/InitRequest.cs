using System.CommandLine;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary>A host to log in to that no cluster file names yet.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Address">Its address, or a name that leads to it.</param>
/// <param name="Login">Its connection section in cluster.yaml, by key.</param>
internal sealed record InitHost(string Name, string Address, IReadOnlyCollection<(string Key, string Value)> Login);

/// <summary>The inputs of a first cluster file.</summary>
/// <param name="context">What reads hosts.</param>
/// <param name="parsed">The words of the command line.</param>
/// <param name="directory">The folder of the file.</param>
/// <param name="from">The inventory; null for none.</param>
/// <param name="offline">Whether no host is logged in to.</param>
/// <param name="ask">Asks the operator; null without a terminal.</param>
internal sealed class InitRequest(
    ReadOnlyContext context,
    ParseResult parsed,
    string directory,
    string? from,
    bool offline,
    Func<string, string>? ask
)
{
    private static readonly string[] s_preconditions = ["swap", "docker", "clock"];

    /// <summary>The inventory; null for none.</summary>
    public string? From => from;

    /// <summary>Whether no host is logged in to.</summary>
    public bool IsOffline => offline;

    /// <summary>The folder of the new file.</summary>
    public string Directory => directory;

    /// <summary>Asks the operator; null without a terminal.</summary>
    public Func<string, string>? Ask => ask;

    /// <summary>An option of the command.</summary>
    public T? Read<T>(Option<T> option) => parsed.Read(option);

    /// <summary>Logs in to the hosts, all in parallel, and reads: what each said, or why it could not be read.</summary>
    /// <param name="hosts">The hosts.</param>
    /// <param name="settings">The connection section of the file, by key.</param>
    /// <param name="reads">The reads.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public async Task<IReadOnlyDictionary<string, (Snapshot? Snapshot, string? Error)>> ReadAsync(
        IEnumerable<InitHost> hosts,
        IEnumerable<(string Key, string Value)> settings,
        IReadOnlyCollection<Read> reads,
        CancellationToken cancellationToken
    )
    {
        var (findings, connection) = (new Findings(), context.Syntax.Connection);
        var cluster = new Cluster(
            "init",
            "",
            directory,
            [
                .. hosts.Select(host => new Host(
                    host.Name,
                    "",
                    host.Address,
                    connection.ReadEndpoint(host.Name, host.Address, Section(host.Login, findings), findings)
                )),
            ],
            connection.ReadSettings(Section(settings, findings), directory, CommandContext.EnvironmentVariables(), findings),
            [],
            [],
            new Secrets(System.Collections.Immutable.ImmutableSortedDictionary<string, string>.Empty),
            []
        );
        findings.ThrowIfErrors();
        Read[] all = [.. reads, .. Preconditions("").SelectMany(context.Preconditions.Reads)];
        await using var fleet = context.Fleet(parsed, cluster);
        return await fleet.ReadAsync(cluster.Hosts, _ => all, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>The usual preconditions that a host does not meet.</summary>
    public IEnumerable<Diagnostic> Unmet(string host, Snapshot snapshot) =>
        Preconditions(host).Select(precondition => context.Preconditions.Evaluate(precondition, snapshot)).OfType<Diagnostic>();

    private static IEnumerable<Precondition> Preconditions(string host) =>
        s_preconditions.Select(kind => new Precondition(kind, PreconditionLevel.Error, host, AttributeSet.Empty, null));

    private static SectionReader Section(IEnumerable<(string Key, string Value)> entries, Findings findings)
    {
        var at = new SourceLocation("the new file", 1, 1, "");
        return new SectionReader(
            new YamlMapping(at, [.. entries.Select(entry => (Word(entry.Key, at), (YamlNode)Word(entry.Value, at)))]),
            "the connection",
            findings
        );

        static YamlScalar Word(string value, SourceLocation at) => new(at, value, IsPlain: false, 0, 0);
    }
}
