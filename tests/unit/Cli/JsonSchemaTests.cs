using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using KeyBuzz.Reconciler.Cli.Blueprints.Postgres;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.PostgresHa.Recovery;
using KeyBuzz.Reconciler.PostgresHa.Status;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Providers.PatroniConfig;

namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary>What kbr writes with --json is what docs/schema says.</summary>
[TestFixture]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed partial class JsonSchemaTests : LocalCluster
{
    private readonly HashSet<string> _seen = [];

    [Test]
    public void The_JSON_of_every_command_is_valid()
    {
        Check("version");
        Check("explain");
        Check("explain", "container.image");
        Check("fmt", "--diff");
        Check("init", "--credentials");
        Check("validate");
        Check("graph");
        Check("check");
        Check("check", "--ports");
        Check("plan", "--out", "f.plan");
        Check("show", "f.plan");
        Check("apply", "f.plan");
        Check("state", "list");
        Check("state", "pull");
        Check("drift");
        Check("unlock");
        Check("history");
        WriteCluster(
            spare: "extra",
            workers: "5",
            top: "moved: [{ from: directory.spare, to: directory.extra }]",
            more: "  - { type: directory, name: new, host: db-1, path: FOLDER/new }"
        );
        File.SetUnixFileMode(ConfigFile, UnixFileMode.UserRead);
        Check("drift");
        Check("plan");
        Check("apply", "--auto-approve");
        Check("state", "rm", "directory.new@db-1", "--auto-approve");
        Write("host/new/file", "in the way\n");
        Write(
            "cluster.yaml",
            File.ReadAllText(Path.Combine(Folder, "cluster.yaml")).Replace("/new }", "/new/file }", StringComparison.Ordinal)
        );
        Check("apply", "--auto-approve");
        WriteCluster(port: Ssh.SshServer.FreePort());
        Check("plan");
        Check("check");
        Check("state", "list");
        Check("unlock");
        WriteCluster();
        Check("destroy", "--auto-approve");
        Check("apply");
        Assert.That(
            _seen,
            Is.EquivalentTo(
                JsonSchemas.Kinds.Except([
                    "status",
                    "switchover",
                    "restart",
                    "fence",
                    "relief",
                    "monitoring_render",
                    "restore",
                    "recover",
                    "drill",
                    "connect",
                    "images",
                    "members",
                    "check_tls",
                    "log_line",
                    "backup",
                    "backups",
                    "backups_check",
                    "backups_prove",
                ])
            ),
            "those of a PostgreSQL cluster have tests of their own"
        );
    }

    [Test]
    public void A_document_that_lacks_something_or_has_another_type_is_not_valid()
    {
        Done("apply", "--auto-approve");
        File.SetUnixFileMode(ConfigFile, UnixFileMode.UserRead);
        foreach (
            var text in new[]
            {
                Kbr("plan", "--json").Output,
                Kbr("drift", "--json").Output,
                Kbr("state", "list", "--json").Output,
                Kbr("unlock", "--json").Output,
            }
        )
        {
            Assert.That(JsonSchemas.Problems(text), Is.Empty);
            foreach (var key in JsonNode.Parse(text)!.AsObject().Select(pair => pair.Key))
            {
                var without = JsonNode.Parse(text)!.AsObject();
                without.Remove(key);
                if (key != "kind")
                {
                    Assert.That(JsonSchemas.Problems(without.ToJsonString()), Is.Not.Empty, $"without {key}");
                    without[key] = false;
                    Assert.That(JsonSchemas.Problems(without.ToJsonString()), Is.Not.Empty, $"{key} of another type");
                }
            }
        }
    }

    [Test]
    public void A_status_is_valid()
    {
        var status = new ClusterStatus(
            [
                new StatusItem("members", StatusVerdict.Ok, "3 of 3"),
                new StatusItem("leader", StatusVerdict.NotOk, "none"),
                new StatusItem("raft", StatusVerdict.Unknown, "not asked"),
            ],
            new StatusConclusion(StatusVerdict.NotOk, "no primary", 0, 3, ["db-3"], [new("db-3 unreachable")])
        );
        var document = StatusView.Document("lab", "pg", PostgresHealth.ReportOf(status), "kbr plan");
        Assert.That(JsonSchemas.Problems(document), Is.Empty);
        Assert.That(
            JsonNode.Parse(document)!["conclusion"]!.AsObject().Select(pair => pair.Key),
            Is.SupersetOf(new[] { "writes", "writes_note", "serving", "members" }),
            "always of a PostgreSQL cluster"
        );
    }

    [Test]
    public void A_restart_is_valid()
    {
        var waiting = System.Collections.Immutable.ImmutableSortedDictionary<
            string,
            System.Collections.Immutable.ImmutableSortedSet<string>
        >.Empty.Add("db-2", ["max_connections"]);
        Assert.That(
            JsonSchemas.Problems(
                RestartView.Document("pg", new RestartPlan(waiting, ["db-2"], false, null), ["db-2"], TimeSpan.FromSeconds(7))
            ),
            Is.Empty
        );
    }

    [Test]
    public void A_fence_is_valid() =>
        Assert.Multiple(() =>
        {
            var mark = new FenceMark(new DateTimeOffset(2026, 11, 29, 21, 10, 0, TimeSpan.Zero), "root@install-01", "disk errors");
            Assert.That(JsonSchemas.Problems(FenceView.Document("pg", "db-1", mark, "db-2", TimeSpan.FromSeconds(7))), Is.Empty);
            Assert.That(JsonSchemas.Problems(FenceView.Document("pg", "db-1", null, null, TimeSpan.FromSeconds(7))), Is.Empty);
        });

    [Test]
    public void A_recovery_is_valid()
    {
        var survivor = new RecoveryMember("db-1") { Data = new SurvivorData("7", 3, 0x3000148) { IsExact = true } };
        Assert.That(
            JsonSchemas.Problems(RecoverView.Document("pg", new RecoveryChoice(survivor, [survivor], ["db-2", "db-3"]), ["all"])),
            Is.Empty
        );
    }

    [Test]
    public void Every_kind_has_a_schema_and_is_in_the_documentation()
    {
        var kinds = Directory
            .GetFiles(Path.Combine(JsonSchemas.Root, "src/kbr"), "*.cs", SearchOption.AllDirectories)
            .SelectMany(file => KindPattern().Matches(File.ReadAllText(file)).Select(match => match.Groups[1].Value))
            .Append("saved_plan")
            .Distinct();
        Assert.That(JsonSchemas.Kinds, Is.EquivalentTo(kinds));
        var documentation = File.ReadAllText(Path.Combine(JsonSchemas.Root, "docs/json.md"));
        Assert.That(JsonSchemas.Kinds.Where(kind => !documentation.Contains($"| `{kind}` |", StringComparison.Ordinal)), Is.Empty);
    }

    private void Check(params string[] arguments)
    {
        var (_, output, error) = Kbr([.. arguments, "--json"]);
        var lines = output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.That(lines, Is.Not.Empty, $"{string.Join(' ', arguments)}: {error}");
        foreach (var line in lines)
        {
            Assert.That(JsonSchemas.Problems(line), Is.Empty, $"{string.Join(' ', arguments)}: {line}");
            _seen.Add(JsonNode.Parse(line)!["kind"]!.GetValue<string>());
        }
    }

    [GeneratedRegex("""(?:JsonView\.|\b)Document\("([a-z_]+)",""")]
    private static partial Regex KindPattern();
}
