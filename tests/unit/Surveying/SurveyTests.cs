using System.Collections.Immutable;
using System.Text;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Graph;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Ssh;
using KeyBuzz.Reconciler.Surveying;

namespace KeyBuzz.Reconciler.Tests.Surveying;

/// <summary>What the answers and records of all hosts become together.</summary>
[TestFixture]
public sealed class SurveyTests
{
    private static readonly Address s_thing = new("thing", "one", "original");
    private static readonly Address s_inhabitant = new("inhabitant", "app", "pg");
    private static readonly ProviderRegistry s_providers = new([new Thing(), new Inhabitant()]);

    [Test]
    public async Task A_clones_records_of_another_host_do_not_count_and_the_clone_is_refused([Values] bool cloneFirst)
    {
        string[] order = cloneFirst ? ["clone", "original"] : ["original", "clone"];
        var removed = Record(s_thing with { Name = "removed" }, created: true);
        await using var fleet = Fleet(
            new()
            {
                ["clone"] = [Record(s_thing, created: true), removed, Record(s_inhabitant, serial: 1)],
                ["original"] = [Record(s_thing, created: false), Record(s_inhabitant, serial: 2)],
            }
        );

        var survey = await fleet.SurveyAsync(Hosts(order), checkPreconditions: false, CancellationToken.None);
        var found = await fleet.ReadRecordsAsync(Hosts("clone", "original"), CancellationToken.None);

        const string said =
            "/var/lib/kbr/lab/records holds 2 records of original, such as thing.one@original; if clone was "
            + "cloned from original, move that directory away on clone; ";
        Assert.Multiple(() =>
        {
            Assert.That(survey.HostErrors.Keys, Is.EqualTo(new[] { "clone" }));
            Assert.That(survey.HostErrors["clone"], Does.StartWith(said));
            Assert.That(
                survey.Records.Keys,
                Is.EquivalentTo(new[] { s_thing, s_inhabitant }),
                "what was removed on the original does not come back"
            );
            Assert.That(survey.Records[s_thing].Created, Is.False, "that of the host it speaks of");
            Assert.That(survey.Records[s_inhabitant].Serial, Is.EqualTo(2));
            Assert.That(found.Diagnostics.Single().Summary, Does.StartWith("clone: " + said));
            Assert.That(
                found.ByAddress().Select(one => (one.Record.Address.Name, one.Record.Created, string.Join(' ', one.Hosts))),
                Is.EqualTo(new[] { ("one", false, "clone original"), ("removed", true, "clone"), ("app", true, "clone original") }),
                "kbr state can name them, and takes the right one for the newest"
            );
        });
    }

    [Test]
    public async Task Of_a_groups_records_the_newest_counts_and_of_two_that_are_as_new_the_same_every_time([Values] bool turned)
    {
        string[] order = turned ? ["b", "a", "c"] : ["c", "a", "b"];
        await using var newest = Fleet(
            new()
            {
                ["a"] = [Record(s_inhabitant, serial: 3)],
                ["b"] = [Record(s_inhabitant, serial: 4, created: false)],
                ["c"] = [Record(s_inhabitant, serial: 1)],
            }
        );
        await using var tie = Fleet(
            new()
            {
                ["a"] = [Record(s_inhabitant, serial: 4)],
                ["b"] = [Record(s_inhabitant, serial: 4, created: false)],
                ["c"] = [Record(s_inhabitant, serial: 4, created: false)],
            }
        );

        var one = await newest.SurveyAsync(Hosts(order), checkPreconditions: false, CancellationToken.None);
        var other = await tie.SurveyAsync(Hosts(order), checkPreconditions: false, CancellationToken.None);

        Assert.That((one.Records[s_inhabitant].Serial, one.Records[s_inhabitant].Created), Is.EqualTo((4L, false)));
        Assert.That(other.Records[s_inhabitant].Created, Is.True);
        Assert.That(one.HostErrors.Concat(other.HostErrors), Is.Empty, "a group's records lie on every member");
    }

    [TestCase(false, "inhabitant.app@pg 2")]
    [TestCase(true, "thing.runs@c 0", "inhabitant.app@pg 7", "inhabitant.gone@pg 9")]
    public async Task A_groups_records_on_a_host_that_left_it_do_not_count_and_are_obsolete(bool isLeaving, params string[] counted)
    {
        var gone = Record(s_inhabitant with { Name = "gone" }, serial: 9);
        var runs = Record(new Address("thing", "runs", "c")) with { Group = "pg" };
        ResourceRecord[] stale = [gone, Record(s_inhabitant, serial: 7)];
        await using var fleet = Fleet(
            new()
            {
                ["a"] = [Record(s_inhabitant, serial: 2)],
                ["b"] = [Record(s_inhabitant, serial: 1)],
                ["c"] = [.. stale, .. isLeaving ? [runs] : (ResourceRecord[])[]],
            },
            new HostGroup("pg", ["a", "b"])
        );

        var survey = await fleet.SurveyAsync(Hosts("a", "b", "c"), checkPreconditions: false, CancellationToken.None);

        Assert.That(
            survey.Records.Values.OrderBy(record => record.Address).Select(record => $"{record.Address} {record.Serial}"),
            Is.EqualTo(counted)
        );
        Assert.That(survey.HostErrors, Is.Empty);
        Assert.That(
            survey.ObsoleteRecords.SelectMany(pair => pair.Value.Select(path => (pair.Key, path))),
            isLeaving ? Is.Empty : Is.EquivalentTo(stale.Select(record => ("c", RecordScript.PathOf(record.Address, "lab"))))
        );
    }

    [Test]
    public async Task A_groups_records_count_wherever_they_are_while_no_member_has_any()
    {
        await using var fleet = Fleet(new() { ["a"] = [], ["c"] = [Record(s_inhabitant, serial: 7)] }, new HostGroup("pg", ["a"]));

        var survey = await fleet.SurveyAsync(Hosts("a", "c"), checkPreconditions: false, CancellationToken.None);

        Assert.That(survey.Records.Keys, Is.EqualTo(new[] { s_inhabitant }), "every member is new");
        Assert.That(survey.ObsoleteRecords, Is.Empty);
    }

    [Test]
    public async Task Records_that_require_each_other_make_their_host_an_error_and_no_other()
    {
        Address one = new("thing", "one", "a"),
            two = new("thing", "two", "a"),
            third = new("thing", "third", "a");
        await using var fleet = Fleet(
            new()
            {
                ["a"] =
                [
                    Record(one) with
                    {
                        Requires = [two],
                    },
                    Record(two) with
                    {
                        Requires = [one],
                    },
                    Record(third) with
                    {
                        Requires = [one],
                    },
                ],
                ["b"] = [Record(one with { Host = "b" })],
            }
        );

        var survey = await fleet.SurveyAsync(Hosts("a", "b"), checkPreconditions: false, CancellationToken.None);

        Assert.That(survey.HostErrors.Keys, Is.EqualTo(new[] { "a" }));
        Assert.That(
            survey.HostErrors["a"],
            Is.EqualTo(
                "its records require each other in a cycle: thing.one@a → thing.two@a → thing.one@a; "
                    + "kbr state rm 'thing.one@a' removes one of them, and its resource stays"
            )
        );
    }

    [Test]
    public async Task An_answer_that_is_not_understood_is_an_error_of_its_resource_and_all_others_are_observed()
    {
        // The one provider of these fakes throws when it is to observe, the other finds nothing there.
        var providers = new ProviderRegistry([new Planning.FakeProvider(), .. Configuration.FakeProvider.All]);
        var hosts = Hosts("db-1", "db-2");
        Resource[] resources =
        [
            new(new("thing", "odd", "db-1"), AttributeSet.Empty),
            new(new("directory", "a", "db-1"), Path("/a")),
            new(new("directory", "b", "db-2"), Path("/b")),
        ];
        var cluster = new Cluster(
            "lab",
            "cluster.yaml",
            "/",
            hosts,
            new SshSettings("", "", default, false, default),
            [],
            [.. resources],
            new Secrets(ImmutableSortedDictionary<string, string>.Empty),
            []
        )
        {
            Graph = ResourceGraph.Build(resources, providers),
        };
        await using var fleet = new FleetReader(
            cluster,
            providers,
            new NoChecks(),
            new Source(new() { ["db-1"] = [], ["db-2"] = [] }),
            parallelism: 4
        );

        var survey = await fleet.SurveyAsync(hosts, checkPreconditions: false, CancellationToken.None);

        Assert.That(survey.HostErrors, Is.Empty);
        Assert.That(
            resources.Select(resource => survey.Observations[resource.Address]),
            Is.EqualTo(
                new Observation[]
                {
                    new Observation.Unknown("internal error while observing it: the planner does not observe"),
                    new Observation.Absent(),
                    new Observation.Absent(),
                }
            )
        );
        var applied = await fleet.SurveyAppliedAsync(hosts, record => record.ToResource(), (policy, _) => policy, CancellationToken.None);
        Assert.That(applied.Observe(resources[0]), Is.InstanceOf<Observation.Unknown>());
    }

    [Test]
    public async Task Findings_of_several_hosts_about_another_are_merged_and_dropped_if_that_host_is_unreadable()
    {
        var hosts = Hosts("a", "b", "c", "off");
        Precondition[] ports =
        [
            .. from host in (string[])["a", "b", "c"] from peer in (string[])["off", "c"] where host != peer select Port(host, peer),
        ];
        var cluster = new Cluster(
            "lab",
            "cluster.yaml",
            "/",
            hosts,
            new SshSettings("", "", default, false, default),
            [.. ports],
            [],
            new Secrets(ImmutableSortedDictionary<string, string>.Empty),
            []
        );
        await using var fleet = new FleetReader(
            cluster,
            s_providers,
            new AllSilent(),
            new Source(
                new()
                {
                    ["a"] = [],
                    ["b"] = [],
                    ["c"] = [],
                }
            ),
            parallelism: 4
        );

        var survey = await fleet.SurveyAsync(hosts, checkPreconditions: true, CancellationToken.None);

        Assert.That(survey.Unreachable, Is.EqualTo(new[] { "off" }));
        Assert.That(
            survey.Diagnostics.Select(one => $"{one.Summary}; {one.Detail}"),
            Is.EqualTo(new[] { "a: silent: c; no answer; 1 more like it about c: kbr check shows all" })
        );

        static Precondition Port(string host, string peer) =>
            new("ports", PreconditionLevel.Warn, host, AttributeSet.Empty.With("peer", peer), null);
    }

    // Every port is silent to everybody.
    private sealed class AllSilent : IPreconditionChecks
    {
        public IReadOnlyList<IPreconditionKind> Kinds => [];

        public IEnumerable<Read> Reads(Precondition precondition) => [];

        public Diagnostic? Evaluate(Precondition precondition, Snapshot snapshot)
        {
            var peer = precondition.Settings.String("peer");
            return Diagnostic.Warning($"{precondition.Host}: silent: {peer}", detail: "no answer", host: precondition.Host) with
            {
                Peer = peer,
            };
        }
    }

    private static AttributeSet Path(string path) => new(ImmutableDictionary<string, object>.Empty.Add("path", path));

    private static ResourceRecord Record(Address address, long serial = 0, bool created = true) =>
        new(address, created, Pending: false, SortedMap<string>.Empty, AttributeSet.Empty, [], PreventDestroy: false) { Serial = serial };

    private static ImmutableArray<Host> Hosts(params string[] names) =>
        [.. names.Select(name => new Host(name, "db", "127.0.0.1", new SshEndpoint("127.0.0.1", 22, "root", Sudo: false)))];

    // One at a time, so that the order is that of the hosts.
    private static FleetReader Fleet(Dictionary<string, ResourceRecord[]> records, params HostGroup[] groups)
    {
        var secrets = new Secrets(ImmutableSortedDictionary<string, string>.Empty);
        var cluster = new Cluster(
            "lab",
            "cluster.yaml",
            "/",
            Hosts([.. records.Keys]),
            new SshSettings("", "", default, false, default),
            [],
            [],
            secrets,
            []
        )
        {
            Groups = [.. groups],
        };
        return new FleetReader(cluster, s_providers, new NoChecks(), new Source(records), parallelism: 1);
    }

    // Hosts that hold nothing but records; a fake because which records count is decided by what is read, not by how.
    private sealed class Source(Dictionary<string, ResourceRecord[]> records) : IReaderSource
    {
        public Task<IHostReader> OpenAsync(Host host, CancellationToken cancellationToken) =>
            records.TryGetValue(host.Name, out var held)
                ? Task.FromResult<IHostReader>(new Reader(held))
                : throw new HostException(host.Name, "no route");

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }

    private sealed class Reader(ResourceRecord[] records) : IHostReader
    {
        public int ScriptCount => 1;

        public Task<Snapshot> ReadAsync(IReadOnlyCollection<Read> reads, CancellationToken cancellationToken) =>
            Task.FromResult(
                new Snapshot(
                    ImmutableDictionary<Read, object?>.Empty.Add(
                        new RecordsRead("lab"),
                        new RecordsFolder(
                            [],
                            [
                                .. records.Select(record => new RecordFile(
                                    new RecordPath(RecordScript.PathOf(record.Address, "lab"), "regular file", 0, "0600"),
                                    Encoding.UTF8.GetBytes(RecordJson.Write(record, "lab"))
                                )),
                            ]
                        )
                    )
                )
            );
    }

    private sealed class NoChecks : IPreconditionChecks
    {
        public IReadOnlyList<IPreconditionKind> Kinds => [];

        public IEnumerable<Read> Reads(Precondition precondition) => [];

        public Diagnostic? Evaluate(Precondition precondition, Snapshot snapshot) => null;
    }

    private abstract class Nothing(string type) : IResourceProvider
    {
        public ResourceSchema Schema { get; } = new(type, "Nothing that could be read.", []);

        public bool HoldsData(Resource resource) => false;

        public IEnumerable<Diagnostic> Validate(Resource resource) => [];

        public ResourceLinks Links(Resource resource) => ResourceLinks.None;

        public IEnumerable<Read> Reads(Resource resource) => [];

        public SortedMap<AttributeValue> Desired(Resource resource) => Comparable.None;
    }

    private sealed class Thing() : Nothing("thing"), IHostResourceProvider
    {
        public Observation Observe(Resource resource, Snapshot snapshot) => new Observation.Absent();

        public Script Render(ResourceChange change) => throw new NotSupportedException("a survey does not render");
    }

    private sealed class Inhabitant() : Nothing("inhabitant"), IGroupResourceProvider
    {
        public Observation Observe(Resource resource, IReadOnlyDictionary<string, Snapshot> members) => new Observation.Absent();

        public Task ChangeAsync(ResourceChange change, IGroupAccess group, CancellationToken cancellationToken) =>
            throw new NotSupportedException("a survey does not change");
    }
}
