using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.Hosts;

/// <summary>What the answers of all hosts become together; hosts that answer nothing, because it is about what is made of the answers.</summary>
public sealed class SurveyTests
{
    [Test]
    public async Task An_answer_that_is_not_understood_is_an_error_of_its_resource_and_all_others_are_observed()
    {
        // The one provider of these fakes throws when it is to observe, the other finds nothing there.
        var providers = new ProviderRegistry([new Planning.FakeProvider(), .. Configuration.FakeProvider.All]);
        Host[] hosts = [HostNamed("db-1"), HostNamed("db-2")];
        Resource[] resources = [new(new("thing", "odd", "db-1"), AttributeSet.Empty), new(new("directory", "a", "db-1"), Path("/a")), new(new("directory", "b", "db-2"), Path("/b"))];
        var cluster = new Cluster(
            "lab", "cluster.yaml", "/", [.. hosts], new SshSettings("", "", default, false, default), [], [.. resources], new Secrets(ImmutableSortedDictionary<string, string>.Empty), []);
        await using var fleet = new FleetReader(cluster, providers, new NoChecks(), new NothingRead(), 4);

        var survey = await fleet.SurveyAsync(hosts, checkPreconditions: false, CancellationToken.None);

        Assert.That(survey.HostErrors, Is.Empty);
        Assert.That(
            resources.Select(resource => survey.Observations[resource.Address]),
            Is.EqualTo(new Observation[]
            {
                new Observation.Unknown("internal error: what was read of it was not understood: the planner does not observe"), new Observation.Absent(), new Observation.Absent(),
            }));
        Assert.That(survey.Observe(resources[0]), Is.InstanceOf<Observation.Unknown>());
    }

    private static Host HostNamed(string name) => new(name, "db", "127.0.0.1", new SshEndpoint("127.0.0.1", 22, "root", Sudo: false));

    private static AttributeSet Path(string path) => new(ImmutableDictionary<string, object>.Empty.Add("path", path));

    private sealed class NoChecks : IPreconditionChecks
    {
        public IReadOnlyList<string> Kinds => [];

        public IEnumerable<Read> Reads(Precondition precondition) => [];

        public Diagnostic? Evaluate(Precondition precondition, Snapshot snapshot) => null;
    }

    private sealed class NothingRead : IReaderSource, IHostReader
    {
        public int ScriptCount => 0;

        public Task<IHostReader> OpenAsync(Host host, CancellationToken cancellationToken) => Task.FromResult<IHostReader>(this);

        public Task<Snapshot> ReadAsync(IReadOnlyCollection<Read> reads, CancellationToken cancellationToken) =>
            Task.FromResult(new Snapshot(reads.OfType<RecordsRead>().ToImmutableDictionary(Read (read) => read, object? (_) => Array.Empty<string>())));

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
