using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.PostgresHa;

/// <summary>kbr after an upgrade, beside the records that an earlier version left on the hosts. The files in Records/versions are what
/// each version wrote, and never change; a release adds one with
/// <see cref="The_records_of_this_version_are_read_as_they_are_written"/>.</summary>
internal sealed class UpgradeTests : BlueprintFixture
{
    private static readonly Fingerprint s_fingerprint = new("a key");

    private static readonly ProviderRegistry s_providers = new(RealProviders)
    {
        FormerPolicyTypes = KeyBuzz.Reconciler.Providers.Registration.FormerPolicyTypes,
    };

    private static string VersionsFolder => Path.Combine(FolderOfThisFile(), "../Records/versions");

    private static IEnumerable<string> Versions =>
        Directory.GetFiles(VersionsFolder, "*.jsonl").Select(file => Path.GetFileNameWithoutExtension(file));

    [TestCaseSource(nameof(Versions))]
    public void Records_of_an_earlier_version_are_read_whole(string version)
    {
        var lines = System.IO.File.ReadAllLines(Path.Combine(VersionsFolder, version + ".jsonl"));
        var records = lines.Select(line => RecordJson.Read(line, "keybuzz-pg", s_providers)).OfType<ResourceRecord>().ToList();
        Assert.Multiple(() =>
        {
            Assert.That(records, Has.Count.GreaterThan(50));
            Assert.That(records.Select(record => record.Address.Type).Distinct().Count(), Is.GreaterThanOrEqualTo(10));
            Assert.That(records.Sum(record => record.Fingerprints.Count), Is.GreaterThan(200));
            foreach (var record in records)
            {
                var again = RecordJson.Read(RecordJson.Write(record, "keybuzz-pg"), "keybuzz-pg", s_providers);
                Assert.That(again?.Fingerprints, Is.EqualTo(record.Fingerprints), record.Address.ToString());
                Assert.That(MissingIn(record), Is.Null, record.Address.ToString());
            }
        });
    }

    [TestCaseSource(nameof(Versions))]
    public void With_the_same_file_an_upgrade_creates_replaces_and_deletes_nothing(string version)
    {
        var records = System
            .IO.File.ReadAllLines(Path.Combine(VersionsFolder, version + ".jsonl"))
            .Select(line => RecordJson.Read(line, "keybuzz-pg", s_providers))
            .OfType<ResourceRecord>()
            .ToDictionary(record => record.Address);
        var cluster = Load(Every);
        var plan = Plan(cluster, records, declared => new Observation.Present(Desired(declared)));
        Assert.Multiple(() =>
        {
            Assert.That(plan.Errors, Is.Empty);
            Assert.That(
                plan.Effective.Where(change => change.Action is not (ResourceAction.Update or ResourceAction.Adopt))
                    .Select(change => change.Address),
                Is.Empty,
                "a resource that got another name needs a rule that moves its record"
            );
        });
    }

    // With KBR_WRITE_RECORDS set it writes the file of this version, once for each release.
    [Test]
    public void The_records_of_this_version_are_read_as_they_are_written()
    {
        var plan = Plan(Load(Every), ImmutableDictionary<Address, ResourceRecord>.Empty, _ => new Observation.Absent());
        var records = plan.Changes.Select(change => change.Record).OfType<ResourceRecord>().ToList();
        var lines = records.Select(record => RecordJson.Write(record, "keybuzz-pg")).ToList();
        Assert.That(
            lines.Select(line => RecordJson.Read(line, "keybuzz-pg", s_providers)?.Address),
            Is.EqualTo(records.Select(record => record.Address))
        );
        Assert.That(lines, Has.Count.GreaterThan(50));
        if (System.Environment.GetEnvironmentVariable("KBR_WRITE_RECORDS") is { Length: > 0 })
        {
            Directory.CreateDirectory(VersionsFolder);
            System.IO.File.WriteAllLines(Path.Combine(VersionsFolder, VersionOf(Cli.JsonSchemas.Root) + ".jsonl"), lines);
        }
    }

    // The raw resources of every other type stand beside the section.
    private static string Every =>
        Minimal + "  extensions: [vector]\nresources:\n  - { type: directory, name: spare, host: db, path: /srv/spare }\n";

    private static Plan Plan(
        KeyBuzz.Reconciler.Configuration.Cluster cluster,
        IReadOnlyDictionary<Address, ResourceRecord> records,
        Func<IDeclared, Observation> observe
    ) =>
        new Planner(s_providers, s_fingerprint).Plan(
            new PlanInput(
                cluster.Graph,
                records,
                cluster.Resources.Concat<IDeclared>(cluster.Policies).ToDictionary(declared => declared.Address, observe),
                ImmutableSortedDictionary<string, string>.Empty,
                new PlanOptions()
            )
        );

    private static SortedMap<AttributeValue> Desired(IDeclared declared) =>
        declared is GroupPolicy policy ? policy.Rules.Desired(policy) : s_providers.Get(declared.Address.Type).Desired((Resource)declared);

    private static string? MissingIn(ResourceRecord record) =>
        s_providers.Get(record.Address.Type).Schema.Attributes.FirstOrDefault(one => one.Required && !record.Spec.Has(one.Name))?.Name;

    private static string VersionOf(string root) =>
        System.IO.File.ReadAllText(Path.Combine(root, "Directory.Build.props")).Split("<Version>")[1].Split('<')[0];

    private static string FolderOfThisFile([CallerFilePath] string file = "") => Path.GetDirectoryName(file)!;
}
