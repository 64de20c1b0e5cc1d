using System.Collections.Immutable;
using System.Text.Json.Nodes;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Providers;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Tests.Cli;
using KeyBuzz.Reconciler.Tests.PostgresHa;

namespace KeyBuzz.Reconciler.Tests.Records;

/// <summary>Records of other versions, and the operator's copy.</summary>
[TestFixture]
public sealed class RecordFormatTests
{
    private static readonly ProviderRegistry Providers = new([new Planning.FakeProvider()]);
    private static readonly Fingerprint Fingerprints = new("a key");
    private static readonly Address Thing = new("thing", "one", "host-1");
    private static readonly ResourceRecord Record = new(
        Thing,
        true,
        false,
        SortedMap<string>
            .Empty.Add("value", "=4")
            .Add("text", Fingerprints.Of(Thing, "text", new AttributeValue("a secret"), secret: true))
            .Add("other", Fingerprints.Of(Thing, "other", new AttributeValue("x"), secret: true)),
        AttributeSet.Empty.With("value", "4"),
        [],
        false
    );

    [Test]
    public void An_old_record_goes_through_every_step_to_the_current_version()
    {
        // Two later versions: in the second "created" is told by "origin", in the third "host" is there, too.
        var format = new RecordFormat(
            3,
            ImmutableDictionary<int, Func<JsonObject, ProviderRegistry, JsonObject?>>
                .Empty.Add(1, (record, _) =>
                {
                    record["origin"] = record["created"]!.GetValue<bool>() ? "made" : "found";
                    record.Remove("created");
                    return record;
                })
                .Add(2, (record, _) =>
                {
                    record["host"] = record["address"]!.GetValue<string>().Split('@')[1];
                    return record;
                })
        );
        var first = RecordJson.Write(Record, "lab").Replace("\"format_version\":2", "\"format_version\":1", StringComparison.Ordinal);
        var brought = JsonNode.Parse(format.Bring(first, Providers)!)!;
        Assert.That(
            (
                brought["format_version"]!.GetValue<int>(),
                brought["origin"]!.GetValue<string>(),
                brought["host"]!.GetValue<string>(),
                brought["created"]
            ),
            Is.EqualTo((3, "made", "host-1", (JsonNode?)null))
        );
        Assert.That(
            Assert.Throws<FormatException>(() => format.Bring("""{"format_version":0}""", Providers))!.Message,
            Is.EqualTo("it has format version 0, which this kbr no longer reads: apply once with the kbr that wrote it, or one in between")
        );
    }

    [Test]
    public void Intended_attributes_are_in_the_record_and_a_record_without_them_stays_unchanged()
    {
        var text = RecordJson.Write(Record with { Intended = ["kind", "value"] }, "lab");

        Assert.That(RecordJson.Read(text, "lab", Providers)!.Intended, Is.EqualTo(new[] { "kind", "value" }));
        Assert.That(RecordJson.Write(Record, "lab"), Does.Not.Contain("intended"), "an older kbr reads and writes it as before");
    }

    [Test]
    public void A_record_of_an_older_version_is_read_as_one_of_the_current()
    {
        var format = new RecordFormat(
            2,
            ImmutableDictionary<int, Func<JsonObject, ProviderRegistry, JsonObject?>>.Empty.Add(1, (record, _) =>
            {
                record["created"] = true;
                return record;
            })
        );
        var old = RecordJson
            .Write(Record, "lab")
            .Replace("\"format_version\":2", "\"format_version\":1", StringComparison.Ordinal)
            .Replace("\"created\":true,", "", StringComparison.Ordinal);
        Assert.That(RecordJson.Write(RecordJson.Read(old, "lab", Providers, format)!, "lab"), Is.EqualTo(RecordJson.Write(Record, "lab")));
    }

    [TestCase("""{"format_version":3,"cluster":"lab"}""", "it has format version 3; this kbr reads up to 2: use a newer kbr")]
    [TestCase("""{"format_version":1,"cluster":"other"}""", "it is of the cluster 'other', not 'lab'")]
    [TestCase("""{"cluster":"lab"}""", "it is damaged: it has no format version")]
    [TestCase("""{"format_version":1,"clus""", "it is damaged: ")]
    [TestCase("[]", "it is damaged: ")]
    [TestCase("""{"format_version":1,"cluster":"lab","address":"gone.x@h"}""", "it is of the unknown type 'gone'")]
    public void An_unusable_record_is_refused_with_the_reason(string text, string reason) =>
        Assert.That(Assert.Throws<FormatException>(() => RecordJson.Read(text, "lab", Providers))!.Message, Does.StartWith(reason));

    [TestCase("\"created\":true", "\"created\":true,\"created\":true", "it is damaged: it says 'created' twice")]
    [TestCase("\"address\":", "\"address\":\"thing.two@host-1\",\"address\":", "it is damaged: it says 'address' twice")]
    [TestCase("\"value\":\"=4\"", "\"value\":\"=4\",\"value\":\"=4\"", "it is damaged: there are two values of the name 'value'")]
    [TestCase("\"value\":\"4\"", "\"value\":\"4\",\"value\":\"5\"", "it is damaged: there are two values of the name 'value'")]
    [TestCase("\"value\":\"4\"", "\"value\":null", "it is damaged: String was expected, and Null is there")]
    [TestCase("\"created\":true,", "", "it is damaged: it has no 'created'")]
    [TestCase("\"created\":true", "\"created\":\"yes\"", "it is damaged: ")]
    [TestCase("\"requires\":[]", "\"requires\":[\"x\"]", "one of its dependencies is not an address")]
    [TestCase("\"value\":\"4\"}}", "\"value\":\"4\"}}{}", "it is damaged: ")]
    public void A_damaged_record_is_refused_with_the_reason(string was, string becomes, string reason)
    {
        var text = RecordJson.Write(Record, "lab");
        Assert.That(text, Does.Contain(was));
        Assert.That(
            Assert
                .Throws<FormatException>(() => RecordJson.Read(text.Replace(was, becomes, StringComparison.Ordinal), "lab", Providers))!
                .Message,
            Does.StartWith(reason)
        );
    }

    [Test]
    public void A_record_says_the_same_in_another_order_and_with_more_than_this_program_knows()
    {
        var text = RecordJson.Write(Record with { Group = "all", Serial = 3, Intended = ["kind"] }, "lab");
        var turned = new JsonObject { ["later"] = new JsonObject { ["x"] = new JsonArray(1, 2) } };
        foreach (var (name, value) in JsonNode.Parse(text)!.AsObject().Reverse())
        {
            turned[name] = value is JsonObject map
                ? new JsonObject(map.Reverse().Select(pair => KeyValuePair.Create(pair.Key, pair.Value?.DeepClone())))
                : value?.DeepClone();
        }

        Assert.That(RecordJson.Write(RecordJson.Read(turned.ToJsonString(), "lab", Providers)!, "lab"), Is.EqualTo(text));
    }

    [Test]
    public void Under_a_new_address_fingerprints_of_secrets_are_renewed_if_proved_and_else_dropped()
    {
        var to = new Address("thing", "two", "host-1");
        var desired = Comparable.None.Add("text", new AttributeValue("a secret")).Add("other", new AttributeValue("changed since"));
        var renamed = Record.Rename(to, desired, Fingerprints);
        Assert.Multiple(() =>
        {
            Assert.That((renamed.Address, renamed.RenamedFrom, renamed.Created), Is.EqualTo((to, (Address?)Thing, true)));
            Assert.That(renamed.Fingerprints.Keys, Is.EqualTo(new[] { "text", "value" }));
            Assert.That(Fingerprints.Matches(renamed.Fingerprints["text"], to, "text", new AttributeValue("a secret")), Is.True);
        });
    }

    // The file is what a kbr of version 1 wrote for the section of BlueprintFixture.
    [Test]
    public void Records_of_version_1_are_understood_and_those_of_policies_say_nothing()
    {
        var lines = File.ReadAllLines(Path.Combine(JsonSchemas.Root, "tests/unit/Records/version-1.jsonl"));
        var providers = new ProviderRegistry(RealCluster.Types) { FormerPolicyTypes = Registration.FormerPolicyTypes };
        using var fixture = new RealCluster();
        var cluster = fixture.Load();
        ResourceRecord?[] read = [.. lines.Select(line => RecordJson.Read(line, cluster.Name, providers))];

        Assert.That(
            lines.Where((_, number) => read[number] is null).Select(line => JsonNode.Parse(line)!["address"]!.GetValue<string>()),
            Is.EqualTo(new[] { "patroni_cluster.keybuzz-pg@keybuzz-pg", "sql_proxies.keybuzz-pg@keybuzz-pg-proxies" })
        );
        Assert.That(lines, Has.Some.Contains("\"requires\":[\"patroni_cluster.keybuzz-pg@keybuzz-pg\""), "others required them");
        var records = read.OfType<ResourceRecord>().ToImmutableDictionary(record => record.Address);
        var plan = new Planner(providers, new Fingerprint(cluster.Secrets.Find(Secrets.KeyName)!)).Plan(
            new PlanInput(
                cluster.Graph,
                records,
                cluster
                    .Resources.ToImmutableDictionary(one => one.Address, one => Found(providers.Get(one.Address.Type).Desired(one)))
                    .AddRange(cluster.Policies.Select(one => KeyValuePair.Create(one.Address, Found(one.Rules.Desired(one))))),
                ImmutableSortedDictionary<string, string>.Empty,
                new PlanOptions { Targets = [new AddressPattern("*@db-master-01"), new AddressPattern("*@keybuzz-pg*")] }
            )
        );
        Assert.That(plan.HasErrors, Is.False);
        Assert.That(plan.Changes, Has.Length.EqualTo(records.Count));
        Assert.That(plan.Effective.Select(change => $"{change.Action} {change.Address}"), Is.Empty, "not even a record is written again");
        Assert.That(plan.BroughtToHealth, Is.Empty);

        static Observation Found(SortedMap<AttributeValue> values) => new Observation.Present(values) { IsMounted = true };
    }

    [Test]
    public void The_copy_keeps_its_lineage_and_the_resources_of_unread_hosts()
    {
        var path = Path.Combine(Directory.CreateTempSubdirectory("kbr-state-").FullName, "state", "lab.json");
        Assert.That(
            StateFile.Read(path, "lab", Providers),
            Is.EqualTo(new StateCopy(0, [], []))
                .Using<StateCopy>((one, other) => one.Serial == other.Serial && one.Records.IsEmpty && one.Diagnostics.IsEmpty)
        );
        var elsewhere = Record with { Address = Thing with { Host = "host-2" } };
        Assert.That(StateFile.Write(path, "lab", [Record, elsewhere]), Is.EqualTo(1));
        Assert.That(StateFile.Write(path, "lab", [Record, elsewhere]), Is.EqualTo(2));
        var copy = StateFile.Read(path, "lab", Providers);
        Assert.Multiple(() =>
        {
            Assert.That(
                copy.Records.Select(record => RecordJson.Write(record, "lab")),
                Is.EqualTo(new[] { RecordJson.Write(Record, "lab"), RecordJson.Write(elsewhere, "lab") })
            );
            Assert.That(
                copy.Unread([], Providers, new HashSet<string> { "host-1" }).Select(record => record.Address.Host),
                Is.EqualTo(new[] { "host-2" })
            );
            Assert.That(copy.Held("host-2"), Is.EqualTo("when it was last read, it held thing.one (from the operator's copy, serial 2)"));
            Assert.That(copy.Held("host-3"), Is.Null);
        });

        var text = File.ReadAllText(path);
        File.WriteAllText(
            path,
            text.Replace("\"format_version\": 1,\n  \"cluster\"", "\"format_version\": 2,\n  \"cluster\"", StringComparison.Ordinal)
        );
        Assert.That(
            Assert.Throws<DiagnosticException>(() => StateFile.Read(path, "lab", Providers))!.Message,
            Does.Contain("has format version 2; this kbr reads up to 1")
        );
        Assert.That(
            Assert
                .Throws<DiagnosticException>(() =>
                {
                    File.WriteAllText(path, text);
                    StateFile.Read(path, "other", Providers);
                })!
                .Message,
            Does.Contain("is of the cluster 'lab', not of 'other'")
        );
        File.WriteAllText(path, text[..20]);
        Assert.That(StateFile.Read(path, "lab", Providers).Diagnostics.Single().Summary, Does.EndWith("lab.json cannot be used"));
    }

    private sealed class RealCluster : BlueprintFixture
    {
        public static IReadOnlyCollection<IResourceProvider> Types => RealProviders;

        public Cluster Load() => Load(Minimal);
    }
}
