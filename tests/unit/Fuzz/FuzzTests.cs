using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Graph;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.Providers;
using KeyBuzz.Reconciler.Providers.ConsensusStore.Raft;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.Http;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Providers.Preconditions;
using KeyBuzz.Reconciler.Providers.SqlProxies;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Ssh;
using KeyBuzz.Reconciler.Surveying;
using KeyBuzz.Reconciler.Tests.PostgresHa;

namespace KeyBuzz.Reconciler.Tests.Fuzz;

/// <summary>Inputs that are nearly valid, made from real ones, through all that kbr does with them before it changes anything: the ordinary
/// error is a diagnostic, and there is no other. The slice here is made from one seed; <c>eng/fuzz.sh</c> runs the whole (KBR_FUZZ_INPUTS,
/// KBR_FUZZ_SEED).</summary>
[TestFixture]
internal sealed class FuzzTests : BlueprintFixture
{
    private const string HostKey = "AAAAC3NzaC1lZDI1NTE5AAAAIGXNdMnYJCLWDfPc0ZK4qBFJKzuRr9zKNXgFvOCDzsQs";
    private static readonly byte[] s_planKey = SavedPlan.KeyOf("a key");

    private static readonly int s_inputs = int.Parse(
        System.Environment.GetEnvironmentVariable("KBR_FUZZ_INPUTS") ?? "2000",
        CultureInfo.InvariantCulture
    );
    private static readonly int s_seed = int.Parse(
        System.Environment.GetEnvironmentVariable("KBR_FUZZ_SEED") ?? "1",
        CultureInfo.InvariantCulture
    );

    // Of a hundred inputs; what takes longest is tried least.
    private static class Share
    {
        public const int Postgres = 8;
        public const int Resources = 18;
        public const int Credentials = 23;
        public const int KnownHosts = 23;
        public const int SavedPlans = 19;
        public const int Records = 3;
        public const int Answers = 3;
    }

    public FuzzTests() => Environment["APP_PASS"] = "canary-of-the-resources";

    [Test]
    public void Cluster_files_with_a_postgres_section_are_planned_or_explained() =>
        Try(
            Share.Postgres,
            dice => YamlMutation.Of(dice, dice.Any([Root, Whole])),
            text =>
            {
                var cluster = Load(text);
                Use(cluster, new ProviderRegistry(RealProviders));
                return true;
            }
        );

    [Test]
    public void Cluster_files_with_resources_of_every_type_are_planned_or_explained() =>
        Try(
            Share.Resources,
            dice => YamlMutation.Of(dice, EveryAttribute),
            text =>
            {
                Use(Load(text), new ProviderRegistry(RealProviders));
                return true;
            }
        );

    [Test]
    public void Credentials_files_are_read_and_added_to_or_explained()
    {
        var path = Path.Combine(Folder, "fuzz.env");
        Try(
            Share.Credentials,
            dice => LineMutation.Of(dice, Credentials, '='),
            text =>
            {
                System.IO.File.WriteAllText(path, text);
                if (!OperatingSystem.IsWindows())
                {
                    System.IO.File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
                }

                var read = CredentialsFile.Read(path, "fuzz.env");
                CredentialsFile.AppendMissing(path, ["POSTGRES_APP_PASS", "KBR_KEY", "NEW_ONE"], () => "made");
                var again = CredentialsFile.Read(path, "fuzz.env");
                Assert.That(
                    read.Values.All(pair => pair.Value.Length == 0 || again.Values[pair.Key] == pair.Value),
                    "what was there stays, and what was empty is filled"
                );
                return true;
            }
        );
    }

    [Test]
    public void Known_hosts_are_read_and_unreadable_lines_are_skipped() =>
        Try(
            Share.KnownHosts,
            dice => LineMutation.Of(dice, KnownHostsFile, ' '),
            text =>
            {
                var known = KnownHosts.Parse(text);
                var verdicts = new[] { "db-1", "10.0.0.1", "db-2" }
                    .Select(name => known.Check(name, 22, Convert.FromBase64String(HostKey)))
                    .ToList();
                return verdicts.Contains(HostKeyVerdict.Known) && known.KeyTypes("db-1", 22).Count >= 0;
            }
        );

    [Test]
    public void Saved_plans_are_read_or_explained()
    {
        var cluster = Load(EveryAttribute);
        var providers = new ProviderRegistry(RealProviders);
        var (input, plan) = PlanOf(
            cluster,
            providers,
            new PlanOptions { Targets = [new AddressPattern("*@db-1")], Adopt = [new AddressPattern("container.*")] }
        );
        var basis = PlanBasis.Of(input, plan, providers, s_planKey, [new("cluster.yaml", "text")], [new("db-1", "10.0.0.1")]);
        var saved = new SavedPlan(
            "lab",
            "1.0",
            DateTimeOffset.UnixEpoch,
            input.Options,
            true,
            basis,
            """{"format_version":1,"kind":"plan","changes":[]}""",
            ["db-1", "  + a"]
        );
        var line = Encoding.UTF8.GetString(saved.Write(s_planKey)).Split('\n')[0];
        Try(
            Share.SavedPlans,
            dice => JsonMutation.Of(dice, line) + "\nhmac-sha256:00\n",
            text =>
            {
                // Without the key, as kbr show reads it: what is authenticated cannot be changed.
                var read = SavedPlan.Read(Encoding.UTF8.GetBytes(text), "f.plan", "lab", key: null);
                read.Basis.Changes(basis, _ => null);
                Assert.That(read.Write(s_planKey), Is.Not.Empty);
                return true;
            }
        );
    }

    [Test]
    public void Records_are_compared_planned_and_taken_down_or_explained()
    {
        var (cluster, providers, recorded) = Recorded();
        Try(
            Share.Records,
            dice =>
            {
                var host = dice.Any(recorded.Keys.ToList());
                var which = dice.Below(recorded[host].Length);
                return $"{host}\n{which}\n{JsonMutation.Of(dice, recorded[host][which])}";
            },
            text =>
            {
                var parts = text.Split('\n', 3);
                var which = int.Parse(parts[1], CultureInfo.InvariantCulture);
                var changed = recorded.ToDictionary(
                    pair => pair.Key,
                    pair =>
                        pair.Key == parts[0] ? [.. pair.Value.Select((record, index) => index == which ? parts[2] : record)] : pair.Value
                );
                var survey = Surveyed(cluster, providers, changed, (_, answer) => answer);
                return survey.HostErrors.IsEmpty ? true : throw new DiagnosticException(Diagnostic.Error(survey.HostErrors.Values.First()));
            }
        );
    }

    // What a record shares with cluster.yaml is compared as it is read, and not made: nothing else may count as equal.
    [Test]
    public void A_record_says_the_same_beside_the_resources_that_it_may_share_values_with_as_alone()
    {
        var (cluster, providers, recorded) = Recorded();
        var known = cluster
            .Resources.ToLookup(resource => resource.Address.Host)
            .ToDictionary(
                host => host.Key,
                host => new KnownResources(
                    host.Select(resource => new KnownResource(resource, cluster.Graph.Find(resource.Address)?.Requires ?? [])),
                    new TextPool()
                )
            );
        var (read, refused) = (0, 0);
        for (var number = 0; number < s_inputs; number++)
        {
            var dice = new Dice(unchecked((s_seed * 7919) + number));
            var host = dice.Any(known.Keys.Where(recorded.ContainsKey).ToList());
            var text = dice.Any(recorded[host]);
            text = dice.OneIn(20) ? text : JsonMutation.Of(dice, text);

            var alone = Said(text, null);

            Assert.That(Said(text, known[host]), Is.EqualTo(alone), text);
            _ = alone.StartsWith('{') ? read++ : refused++;
        }

        Assert.That(Math.Min(read, refused), Is.GreaterThan(s_inputs / 20), $"{read} read, {refused} refused");

        string Said(string text, KnownResources? beside)
        {
            try
            {
                return RecordJson.Read(text, cluster.Name, providers, known: beside) is { } record
                    ? RecordJson.Write(record, cluster.Name)
                    : "obsolete";
            }
            catch (FormatException exception)
            {
                return exception.Message;
            }
        }
    }

    [Test]
    public void Answers_of_hosts_are_observed_and_unreadable_ones_are_unknown()
    {
        var (cluster, providers, recorded) = Recorded();
        var understood = Surveyed(cluster, providers, recorded, (_, answer) => answer)
            .Observations.Values.Count(observation => observation is Observation.Unknown);
        Try(
            Share.Answers,
            dice => dice.Below(int.MaxValue).ToString(CultureInfo.InvariantCulture),
            text =>
            {
                // One kind of answer is another one, on every host.
                var number = int.Parse(text, CultureInfo.InvariantCulture);
                var kinds = new[]
                {
                    typeof(ContainerRead),
                    typeof(ImageRead),
                    typeof(HttpRead),
                    typeof(SqlRead),
                    typeof(RaftRead),
                    typeof(PoolerRead),
                    typeof(UnitRead),
                    typeof(FileRead),
                };
                var kind = kinds[number % kinds.Length];
                var survey = Surveyed(cluster, providers, recorded, (read, answer) => read.GetType() != kind ? answer
                    : answer.TrimStart() is ['{' or '[', ..] ? JsonMutation.Of(new Dice(number), answer)
                    : LineMutation.Of(new Dice(number), answer, kind == typeof(PoolerRead) ? ',' : '='));
                return survey.Observations.Values.Count(observation => observation is Observation.Unknown) <= understood;
            }
        );
    }

    [Test]
    public void The_bytes_of_an_answer_are_read_or_known_to_be_broken_off()
    {
        var (cluster, providers, recorded) = Recorded();
        var fleet = Fleet(cluster, providers, recorded, (_, answer) => answer);
        IReadOnlyCollection<Read> reads =
        [
            .. fleet.ProbeReads(cluster.Hosts[0].Name, checkPreconditions: true).Where(read => read is not (PortRead or ClockRead)),
        ];
        var answer = Providers.ProviderBench.Shell(ReadList.Probe.Render(reads, "fuzznonce")).Output;
        Try(
            Share.Answers,
            dice => LineMutation.Of(dice, answer, dice.Any([' ', '\t'])),
            text =>
            {
                try
                {
                    var snapshot = ReadList.Probe.Parse(reads, "fuzznonce", Encoding.UTF8.GetBytes(text));
                    foreach (var resource in cluster.Resources.Where(resource => resource.Address.Host == cluster.Hosts[0].Name))
                    {
                        ((IHostResourceProvider)providers.Get(resource.Address.Type)).Observe(resource, snapshot);
                    }

                    return true;
                }
                catch (InvalidDataException)
                {
                    return false; // SshReader names the host then
                }
            }
        );
    }

    private static string Root { get; } = Filled(System.IO.File.ReadAllText(Path.Combine(RepositoryRoot(), "cluster.yaml")));

    private static string Credentials =>
        string.Join(
            '\n',
            "# of the operator",
            "POSTGRES_SUPERUSER=kb_admin",
            "POSTGRES_SUPERPASS='se cret'",
            "POSTGRES_REPL_USER=kb_repl",
            "POSTGRES_REPL_PASS=\"a\\\"b\"",
            "export POSTGRES_APP_PASS=Zq7xW4",
            "",
            "POSTGRES_DB=keybuzz",
            "KBR_KEY=Ps2gB8",
            ""
        );

    private static string KnownHostsFile =>
        string.Join(
            '\n',
            $"db-1,10.0.0.1 ssh-ed25519 {HostKey} a comment",
            $"[db-1]:2222 ssh-ed25519 {HostKey}",
            $"10.0.0.* ssh-ed25519 {HostKey}",
            "# nothing",
            $"@revoked bad-1 ssh-ed25519 {HostKey}",
            $"@cert-authority *.example.com ssh-ed25519 {HostKey}",
            $"|1|AQIDBAUGBwgJCgsMDQ4PEBESExQ=|AQIDBAUGBwgJCgsMDQ4PEBESExQ= ssh-ed25519 {HostKey}",
            ""
        );

    private static string Whole =>
        Minimal
        + """
              dynamic: { ttl: 30, loop_wait: 10, retry_timeout: 10 }
              parameters: { max_connections: 100, work_mem: 8MB, log_min_duration_statement: 250ms }
              extensions: [vector, { name: pg_trgm, database: keybuzz }]
              synchronous: true
              health: { max_lag: 1MiB, gate_timeout: 90s }

            """;

    private static string EveryAttribute { get; } =
        """
            version: 1
            cluster: lab
            hosts:
              db-1: { role: db, address: 10.0.0.1 }
              db-2: { role: db, address: 10.0.0.2 }
              haproxy-01: { role: lb, address: 10.0.0.8 }
              haproxy-02: { role: lb, address: 10.0.0.9 }
            preconditions: { disk: { level: error, path: /var/lib, free: 1GiB }, swap: warn }

            """
        + System.Text.RegularExpressions.Regex.Replace(
            System.IO.File.ReadAllText(Path.Combine(RepositoryRoot(), "tests/lab/every-attribute.yaml")),
            @"\{TINY_(\d)(_ID)?\}",
            match =>
                match.Groups[2].Success
                    ? "sha256:" + new string('a', 64)
                    : $"registry.example.com/kbr/tiny:{match.Groups[1].Value}@sha256:{new string('b', 64)}"
        );

    private (Cluster Cluster, ProviderRegistry Providers, Dictionary<string, string[]> Records) Recorded()
    {
        var cluster = Load(Root);
        var providers = new ProviderRegistry(RealProviders);
        var (_, plan) = PlanOf(cluster, providers, new PlanOptions());
        var records = plan
            .Changes.Select(change => change.Record)
            .OfType<ResourceRecord>()
            .SelectMany(record =>
                (
                    providers.Get(record.Address.Type) is IGroupResourceProvider
                        ? cluster.HostsOf(record.Address.Host)
                        : [record.Address.Host]
                ).Select(host => (host, text: RecordJson.Write(record with { Serial = 1 }, cluster.Name)))
            );
        return (
            cluster,
            providers,
            records.GroupBy(pair => pair.host).ToDictionary(group => group.Key, group => group.Select(pair => pair.text).ToArray())
        );
    }

    // All that reads do with a cluster whose hosts hold nothing yet.
    private static void Use(Cluster cluster, ProviderRegistry providers)
    {
        var (_, plan) = PlanOf(cluster, providers, new PlanOptions());
        Show(plan);
        foreach (var change in plan.Changes.Where(change => providers.Get(change.Address.Type) is IHostResourceProvider))
        {
            ((IHostResourceProvider)providers.Get(change.Address.Type)).Render(
                new ResourceChange(ResourceOperation.Create, change.Resource, [.. change.Differences.Select(difference => difference.Name)])
            );
        }

        foreach (var change in plan.Changes.Where(change => change.Record is not null))
        {
            RecordJson.Read(RecordJson.Write(change.Record!, cluster.Name), cluster.Name, providers);
        }

        foreach (var host in cluster.Hosts)
        {
            ReadList.Probe.Render(
                [
                    .. cluster
                        .Resources.Where(resource => resource.Address.Host == host.Name)
                        .SelectMany(resource => providers.Get(resource.Address.Type).Reads(resource))
                        .Distinct(),
                ],
                "nonce"
            );
        }
    }

    private static (PlanInput Input, Plan Plan) PlanOf(Cluster cluster, ProviderRegistry providers, PlanOptions options)
    {
        var graph = ResourceGraph.Build(cluster.Resources, providers, cluster.Policies);
        var absent = cluster.Resources.ToImmutableDictionary(resource => resource.Address, _ => (Observation)new Observation.Absent());
        var input = new PlanInput(
            graph,
            ImmutableDictionary<Address, ResourceRecord>.Empty,
            absent,
            ImmutableSortedDictionary<string, string>.Empty,
            options
        )
        {
            Moved = cluster.Moved,
        };
        return (input, new Planner(providers, new Fingerprint("a key")).Plan(input));
    }

    // Reads all hosts as plan, destroy and drift do, and plans and compares what they say.
    private static Survey Surveyed(
        Cluster cluster,
        ProviderRegistry providers,
        Dictionary<string, string[]> records,
        Func<Read, string, string> change
    )
    {
        var fleet = Fleet(cluster, providers, records, change);
        var graph = ResourceGraph.Build(cluster.Resources, providers);
        var survey = fleet.SurveyAsync(cluster.Hosts, checkPreconditions: false, CancellationToken.None).GetAwaiter().GetResult();
        Assert.That(
            survey.Observations.Values.OfType<Observation.Unknown>().Select(unknown => unknown.Reason),
            Has.None.StartWith("internal error")
        );
        var finder = new DriftFinder(providers, graph, "a key");
        var applied = fleet
            .SurveyAppliedAsync(cluster.Hosts, finder.Applied, finder.Applied, CancellationToken.None)
            .GetAwaiter()
            .GetResult();
        Assert.That(
            applied.Observations.Values.OfType<Observation.Unknown>().Select(unknown => unknown.Reason),
            Has.None.StartWith("internal error")
        );
        var drift = finder.Find(
            new DriftInput(applied.Records, applied.Observe, applied.HostErrors, [.. cluster.Hosts.Select(host => host.Name)], [], [])
            {
                ObserveGroup = applied.ObserveGroup,
            }
        );
        DriftView.Text(DriftReport.Of(drift, cluster.Name, cluster.File, DateTimeOffset.UnixEpoch, cluster.Secrets.Mask));
        foreach (
            var (from, options) in new[]
            {
                (survey, new PlanOptions()),
                (applied, new PlanOptions { Destroy = true, DeleteData = true }),
                (applied, new PlanOptions { Destroy = true }),
            }
        )
        {
            try
            {
                Show(
                    new Planner(providers, new Fingerprint("a key")).Plan(
                        new PlanInput(graph, from.Records, from.Observations, from.HostErrors, options)
                    )
                );
            }
            catch (DiagnosticException)
            {
                // Nothing is planned at all, and it is said why.
            }
        }

        return survey;
    }

    private static void Show(Plan plan)
    {
        using var text = new StringWriter();
        PlanView.Show(new Terminal(text, text, color: true), plan);
    }

    private static FleetReader Fleet(
        Cluster cluster,
        ProviderRegistry providers,
        Dictionary<string, string[]> records,
        Func<Read, string, string> change
    ) => new(cluster, providers, new PreconditionChecks(), new Source(records, change), parallelism: 1);

    private static void Try(int share, Func<Dice, string> input, Func<string, bool> passes)
    {
        var inputs = Math.Max(20, s_inputs * share / 100);
        var passed = 0;
        var faults = new List<string>();
        var refusals = new List<string>();
        for (var i = 0; i < inputs && faults.Count < 5; i++)
        {
            var text = input(new Dice(unchecked((s_seed * 1_000_003) + i)));
            try
            {
                passed += passes(text) ? 1 : 0;
            }
            catch (DiagnosticException exception)
            {
                refusals.Add(Kind(exception.Diagnostics[0]));
            }
            catch (Exception exception)
            {
                faults.Add($"input {i} of seed {s_seed}: {exception}\n{(text.Length > 6000 ? text[..6000] : text)}\n");
            }
        }

        TestContext.Out.WriteLine(
            $"{TestContext.CurrentContext.Test.MethodName}: {inputs} inputs, {passed * 100 / inputs} % passed parsing"
        );
        foreach (var refusal in refusals.GroupBy(one => one).OrderByDescending(group => group.Count()).Take(5))
        {
            TestContext.Out.WriteLine($"    {refusal.Count()} refused: {refusal.Key}");
        }

        Assert.That(faults, Is.Empty);
        Assert.That(passed * 2, Is.GreaterThan(inputs), "most of the inputs have to pass, or they test the parser alone");
    }

    // What is in quotes is of the input.
    private static string Kind(Diagnostic diagnostic) =>
        System.Text.RegularExpressions.Regex.Replace(diagnostic.Summary, "'[^']*'|[0-9]+", "…");

    private static string RepositoryRoot([System.Runtime.CompilerServices.CallerFilePath] string file = "") =>
        Path.GetFullPath(Path.Combine(Path.GetDirectoryName(file)!, "../../.."));

    // Hosts that answer every read at once.
    private sealed class Source(Dictionary<string, string[]> records, Func<Read, string, string> change) : IReaderSource
    {
        public Task<IHostReader> OpenAsync(Host host, CancellationToken cancellationToken) =>
            Task.FromResult<IHostReader>(new Reader(records.GetValueOrDefault(host.Name, []), change));

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }

    private sealed class Reader(string[] records, Func<Read, string, string> change) : IHostReader
    {
        public int ScriptCount => 1;

        public Task<Snapshot> ReadAsync(IReadOnlyCollection<Read> reads, CancellationToken cancellationToken) =>
            Task.FromResult(HostAnswers.Of(reads, records, change));
    }
}
