using System.Text.Json.Nodes;
using KeyBuzz.Reconciler.Cli.Commands;
using KeyBuzz.Reconciler.Tests.Cli;

namespace KeyBuzz.Reconciler.Tests.Blueprints.Pool;

/// <summary>The policy of a group from plan to destroy, over a real sshd: it gates the apply, and is no resource.</summary>
[TestFixture, NonParallelizable]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed class GroupPolicyTests : LocalCluster
{
    private const string Section = "pool: { role: db, page: FOLDER/pool.html, text: hello }";

    private string Mark => $"{Folder}/host/pool.html.served";

    [SetUp]
    public void WritePool() => WriteCluster(top: Section);

    [Test]
    public async Task A_new_group_is_brought_to_health_and_leaves_no_record()
    {
        var plan = await RunAsync("plan", "--detailed-exitcode");
        Assert.That(plan.Exit, Is.EqualTo(ExitCode.Changes), plan.Error);
        Assert.That(
            plan.Output,
            Does.Contain("\npool: 1 restart, pages flicker\n  one page at a time\n  1. restart db-1\n")
                .And.Contain("\n  ~ bring the group to health  new\n      pages: all served\n")
                .And.EndWith(" to delete; 1 group to bring to health\n")
        );
        Assert.That(plan.Output, Does.Not.Contain("group.pool"), "it is no line of a resource");

        var applied = await RunAsync("apply", "--auto-approve");
        Assert.That(applied.Exit, Is.EqualTo(ExitCode.Done), applied.Output + applied.Error);
        Assert.That(
            applied.Output,
            Does.Contain("pool: bringing the group to health …")
                .And.Contain("pool: done in ")
                .And.Contain("0 deleted. 1 group brought to health.")
        );
        Assert.That(applied.Output, Does.Contain("\npool 1 of 1: starting db-1\n"));
        Assert.That(File.ReadAllText(Mark), Is.EqualTo("served\n"));
        Assert.That(Directory.GetFiles(Records).Select(Path.GetFileName), Has.Some.StartWith("config_file.page").And.None.Contains("pool"));
        Assert.That((await RunAsync("state", "list")).Output, Does.Contain("config_file.page@db-1").And.Not.Contain("pool"));
        Assert.That(
            (await RunAsync("plan")).Output,
            Is.EqualTo("No changes. The hosts match cluster.yaml.\n"),
            "a healthy group is not shown"
        );
    }

    [Test]
    public async Task An_unhealthy_group_is_drift_and_the_next_apply_brings_it_to_health()
    {
        await RunAsync("apply", "--auto-approve");
        File.WriteAllText(Mark, "broken\n");

        var drift = await RunAsync("drift");
        Assert.That(drift.Exit, Is.EqualTo(ExitCode.Changes), drift.Error);
        Assert.That(drift.Output, Does.Contain("group.pool@pool").And.Contain("not served by db-1"));
        Assert.That(JsonSchemas.Problems((await RunAsync("drift", "--json")).Output), Is.Empty);

        var plan = await RunAsync("plan", "--json", "--detailed-exitcode");
        Assert.That(plan.Exit, Is.EqualTo(ExitCode.Changes));
        Assert.That(JsonSchemas.Problems(plan.Output), Is.Empty);
        var document = JsonNode.Parse(plan.Output)!;
        Assert.That(document["changes"]!.AsArray(), Is.Empty);
        Assert.That(document["summary"]!["bring_to_health"]!.GetValue<int>(), Is.EqualTo(1));
        var group = document["groups"]![0]!;
        Assert.That(
            (group["group"]!.GetValue<string>(), group["constraint"]!.GetValue<string>(), group["health"]!["cause"]!.GetValue<string>()),
            Is.EqualTo(("pool", "one page at a time", "drift"))
        );
        Assert.That(group["health"]!["differences"]![0]!["before"]!.GetValue<string>(), Is.EqualTo("not served by db-1"));

        var applied = await RunAsync("apply", "--auto-approve", "--json", "--target", "group.pool");
        Assert.That(applied.Exit, Is.EqualTo(ExitCode.Done), applied.Output + applied.Error);
        foreach (var line in applied.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            Assert.That(JsonSchemas.Problems(line), Is.Empty, line);
        }

        Assert.That(File.ReadAllText(Mark), Is.EqualTo("served\n"));
        Assert.That((await RunAsync("drift")).Exit, Is.EqualTo(ExitCode.Done));
    }

    [Test]
    public async Task A_group_that_cannot_be_brought_to_health_fails_the_apply()
    {
        await RunAsync("apply", "--auto-approve");
        File.Delete(Mark);
        Directory.CreateDirectory(Mark);

        var applied = await RunAsync("apply", "--auto-approve");
        Assert.That(applied.Exit, Is.EqualTo(ExitCode.Error));
        Assert.That(applied.Output, Does.Contain("\n  failed     pool: db-1 does not serve: ").And.Contain("1 failed"));
    }

    [TestCase(2, ExitCode.Done, "pool: done in ")]
    [TestCase(20, ExitCode.Error, "pool: it was brought to health, but it differs: pages is not served by db-1 and not all served")]
    public async Task Members_that_go_on_by_themselves_have_the_gates_time(int seconds, int exit, string said)
    {
        await RunAsync("apply", "--auto-approve");
        File.Delete(Mark);
        File.WriteAllText($"{Folder}/host/pool.html.later", $"{seconds}\n");

        var applied = await RunAsync("apply", "--auto-approve");

        Assert.That(applied.Exit, Is.EqualTo(exit), applied.Output + applied.Error);
        Assert.That(applied.Output, Does.Contain(said));
    }

    [Test]
    public async Task Work_ahead_is_done_before_any_change_and_whatever_fails_it_changes_nothing()
    {
        await RunAsync("apply", "--auto-approve");
        var page = $"{Folder}/host/pool.html";
        File.WriteAllText(page + ".ahead", "stuck\n");
        WriteCluster(top: Section.Replace("hello", "bye", StringComparison.Ordinal));

        var targeted = await RunAsync("plan", "--target", "config_file.page@db-1");
        Assert.That(targeted.Exit, Is.EqualTo(ExitCode.Error));
        Assert.That(targeted.Error, Does.Contain("db-1 must be prepared before anything of pool changes; nothing is planned"));

        var failed = await RunAsync("apply", "--auto-approve");
        Assert.That(failed.Exit, Is.EqualTo(ExitCode.Error), failed.Output);
        Assert.That(failed.Error, Does.Contain("db-1 could not be prepared; no resource was changed").And.Contain("db-1 keeps its mark"));
        Assert.That(File.ReadAllText(page), Is.EqualTo("hello\n"));

        File.WriteAllText(page + ".ahead", "");
        var applied = await RunAsync("apply", "--auto-approve");
        Assert.That(applied.Exit, Is.EqualTo(ExitCode.Done), applied.Output + applied.Error);
        Assert.That((File.ReadAllText(page + ".found"), File.ReadAllText(page)), Is.EqualTo(("hello\n", "bye\n")));
    }

    [Test]
    public async Task What_a_change_makes_ahead_comes_before_every_gate_and_its_failure_stops_that_change_alone()
    {
        var page = $"{Folder}/host/pool.html";
        void Declare(string text, string setting) =>
            WriteCluster(top: Section.Replace("hello }", $"{text}, setting: {setting} }}", StringComparison.Ordinal));
        string Order()
        {
            var order = File.ReadAllText(page + ".order");
            File.Delete(page + ".order");
            return order;
        }

        Declare("hello", "one");
        var made = await RunAsync("apply", "--auto-approve");
        Assert.That(made.Exit, Is.EqualTo(ExitCode.Done), made.Output + made.Error);
        Assert.That(Order(), Is.EqualTo("turn\nchange one\n"), "nothing of one that is made goes ahead");

        Declare("bye", "two");
        var changed = await RunAsync("apply", "--auto-approve", "--replace", "config_file.page@db-1");
        Assert.That(changed.Exit, Is.EqualTo(ExitCode.Done), changed.Output + changed.Error);
        Assert.That(Order(), Is.EqualTo("ahead two\nturn\nchange two\n"));

        File.WriteAllText(page + ".refuses", "");
        Declare("again", "three");
        var failed = await RunAsync("apply", "--auto-approve", "--replace", "config_file.page@db-1");
        Assert.That(failed.Exit, Is.EqualTo(ExitCode.Error), failed.Output);
        Assert.That(failed.Output, Does.Contain("\n  failed     pool_setting.motd@pool: db-1 refuses the value"));
        Assert.That(Order(), Is.EqualTo("turn\n"), "it is not tried again in its turn");
        Assert.That((File.ReadAllText(page), File.ReadAllText(page + ".setting")), Is.EqualTo(("again\n", "two\n")));
    }

    [Test]
    public async Task A_saved_plan_is_out_of_date_once_the_health_of_a_group_is_another()
    {
        await RunAsync("apply", "--auto-approve");
        var file = $"{Folder}/f.plan";
        Assert.That((await RunAsync("plan", "--out", file)).Exit, Is.EqualTo(ExitCode.Done));
        File.WriteAllText(Mark, "broken\n");

        var refused = await RunAsync("apply", file);
        Assert.That(refused.Exit, Is.EqualTo(ExitCode.Error));
        Assert.That(
            refused.Error,
            Does.Contain("is out of date; nothing was changed").And.Contain("group.pool@pool: pages was changed on pool")
        );

        Assert.That((await RunAsync("plan", "--out", file)).Exit, Is.EqualTo(ExitCode.Done));
        var applied = await RunAsync("apply", file);
        Assert.That(applied.Exit, Is.EqualTo(ExitCode.Done), applied.Output + applied.Error);
        Assert.That(File.ReadAllText(Mark), Is.EqualTo("served\n"));
    }

    [Test]
    public async Task Outside_of_the_maintenance_window_all_but_the_disruptive_steps_is_applied()
    {
        await RunAsync("apply", "--auto-approve");
        var page = $"{Folder}/host/pool.html";
        File.WriteAllText(page, "drifted\n");
        var hour = TimeProvider.System.GetUtcNow().Hour;
        var closed = $"{(hour + 12) % 24:00}:00-{(hour + 13) % 24:00}:00 UTC";
        WriteCluster(
            top: Section,
            workers: "8",
            more: "  - { type: directory, name: next, host: db-1, path: FOLDER/next, requires: [config_file.page] }"
        );
        string[] replace = ["--replace", "config_file.page@db-1", "--within"];

        var plan = await RunAsync(["plan", "--detailed-exitcode", .. replace, closed]);
        Assert.That(plan.Exit, Is.EqualTo(ExitCode.Changes), plan.Error);
        Assert.That(
            plan.Output,
            Does.Contain($"Within the maintenance window {closed}: closed, opens ")
                .And.Contain("\n  1. restart db-1  # waits for the maintenance window\n")
        );

        var applied = await RunAsync(["apply", "--auto-approve", .. replace, closed]);
        Assert.That(applied.Exit, Is.EqualTo(ExitCode.Changes), applied.Output + applied.Error);
        Assert.That(
            applied.Output,
            Does.Contain($"\n  left       config_file.page@db-1: outside the maintenance window {closed}, which opens ")
                .And.Contain(" 1 left for the maintenance window.\n")
                .And.Not.Contain("skipped")
        );
        Assert.That(File.ReadAllText(page), Is.EqualTo("drifted\n"), "it waits");
        Assert.That(File.ReadAllText(ConfigFile), Does.Contain("workers = 8"));
        Assert.That(Directory.Exists($"{Folder}/host/next"), Is.True, "what it requires exists");

        var later = await RunAsync(["apply", "--auto-approve", .. replace, "00:00-24:00 UTC"]);
        Assert.That(later.Exit, Is.EqualTo(ExitCode.Done), later.Output + later.Error);
        Assert.That(File.ReadAllText(page), Is.EqualTo("hello\n"));
        Assert.That((await RunAsync("plan", "--detailed-exitcode")).Exit, Is.EqualTo(ExitCode.Done));
    }

    [Test]
    public async Task Of_a_change_that_waits_for_the_window_the_part_that_disrupts_nobody_is_made_and_recorded()
    {
        var page = $"{Folder}/host/pool.html";
        void Declare(string setting, string boot) =>
            WriteCluster(top: Section.Replace("hello }", $"hello, setting: {setting}, boot: {boot} }}", StringComparison.Ordinal));
        (string Value, string Boot) Found() => (File.ReadAllText(page + ".setting").Trim(), File.ReadAllText(page + ".boot").Trim());
        Declare("one", "first");
        Assert.That((await RunAsync("apply", "--auto-approve")).Exit, Is.EqualTo(ExitCode.Done));
        var hour = TimeProvider.System.GetUtcNow().Hour;
        var closed = $"{(hour + 12) % 24:00}:00-{(hour + 13) % 24:00}:00 UTC";

        Declare("two", "second");
        var applied = await RunAsync("apply", "--auto-approve", "--within", closed);
        Assert.That(applied.Exit, Is.EqualTo(ExitCode.Changes), applied.Output + applied.Error);
        Assert.That(
            applied.Output,
            Does.Match($"left       pool_setting.motd@pool: outside the maintenance window {closed}, .*; without it, now: value")
        );
        Assert.That(Found(), Is.EqualTo(("two", "first")));
        var drift = await RunAsync("drift");
        Assert.That(drift.Exit, Is.EqualTo(ExitCode.Done), drift.Output + drift.Error);
        Assert.That((await RunAsync("plan")).Output, Does.Contain("first → second").And.Not.Contain("one → two"));

        Declare("two", "third");
        var nothing = await RunAsync("apply", "--auto-approve", "--within", closed);
        Assert.That(
            (nothing.Exit, nothing.Output.Contains("without it, now", StringComparison.Ordinal)),
            Is.EqualTo((ExitCode.Changes, false))
        );

        File.WriteAllText(page + ".breaks", "");
        Declare("three", "third");
        var broken = await RunAsync("apply", "--auto-approve", "--within", closed);
        Assert.That(broken.Exit, Is.EqualTo(ExitCode.Changes), broken.Output + broken.Error);
        Assert.That(broken.Output, Does.Contain("; value cannot be changed now: db-1 refuses the value"));
        File.Delete(page + ".breaks");

        var later = await RunAsync("apply", "--auto-approve", "--within", "00:00-24:00 UTC");
        Assert.That(later.Exit, Is.EqualTo(ExitCode.Done), later.Output + later.Error);
        Assert.That(Found(), Is.EqualTo(("three", "third")));
        Assert.That((await RunAsync("plan", "--detailed-exitcode")).Exit, Is.EqualTo(ExitCode.Done));
    }

    [Test]
    public async Task A_target_that_disrupts_a_member_takes_the_locks_of_the_hosts_beside_its_group_too()
    {
        // The host beside is this machine again: its lock is taken already.
        WriteCluster(top: Section.Replace("hello }", "hello, beside: lb-1 }", StringComparison.Ordinal));
        var yaml = File.ReadAllText(Path.Combine(Folder, "cluster.yaml"));
        Write(
            "cluster.yaml",
            yaml.Replace(
                "hosts:\n",
                $"hosts:\n  lb-1: {{ role: lb, address: 127.0.0.2, ssh: {{ host: 127.0.0.1, port: {Server.RelayPort} }} }}\n",
                StringComparison.Ordinal
            )
        );

        var beside = await RunAsync("apply", "--auto-approve", "--target", "directory.spare@db-1");
        Assert.That(beside.Exit, Is.EqualTo(ExitCode.Done), beside.Output + beside.Error);
        Directory.Move(Records, Records + "-of-db-1");

        var refused = await RunAsync("apply", "--auto-approve", "--target", "config_file.page@db-1");
        Assert.That(refused.Exit, Is.EqualTo(ExitCode.Error), refused.Output);
        Assert.That(refused.Error, Does.Contain("lb-1: another apply is running on this host"));
    }

    [Test]
    public async Task A_target_names_a_resource_of_a_group_that_left_the_configuration()
    {
        WriteCluster(top: Section.Replace("hello }", "hello, setting: one }", StringComparison.Ordinal));
        Assert.That((await RunAsync("apply", "--auto-approve")).Exit, Is.EqualTo(ExitCode.Done));
        WriteCluster(top: Section);

        var plan = await RunAsync("plan", "--target", "pool_setting.motd@pool");

        Assert.That(plan.Exit, Is.EqualTo(ExitCode.Done), plan.Error);
        Assert.That(plan.Output, Does.Contain("- pool_setting.motd@pool"));
    }

    [Test]
    public async Task The_graph_has_a_group_beside_the_resources_and_a_destroy_has_nothing_to_do_for_it()
    {
        var graph = (await RunAsync("graph", "--json")).Output;
        Assert.That(JsonSchemas.Problems(graph), Is.Empty);
        var document = JsonNode.Parse(graph)!;
        Assert.That(
            document["groups"]![0]!["after"]!.AsArray().Select(one => one!.GetValue<string>()),
            Is.EqualTo(new[] { "config_file.page@db-1" })
        );
        Assert.That(document["resources"]!.AsArray().Select(one => one!["address"]!.GetValue<string>()), Has.None.Contains("pool"));
        Assert.That((await RunAsync("graph")).Output, Does.Contain("\"group.pool@pool\" -> \"config_file.page@db-1\""));

        await RunAsync("apply", "--auto-approve");
        var destroyed = await RunAsync("destroy", "--auto-approve", "--json");
        Assert.That(destroyed.Exit, Is.EqualTo(ExitCode.Done), destroyed.Output + destroyed.Error);
        var first = JsonNode.Parse(destroyed.Output.Split('\n')[0])!;
        Assert.That(first["summary"]!["bring_to_health"]!.GetValue<int>(), Is.Zero);
        Assert.That(first["changes"]!.AsArray().Select(one => one!["address"]!.GetValue<string>()), Has.None.Contains("pool"));
        Assert.That(Directory.Exists(Records), Is.False);
    }

    private Task<(int Exit, string Output, string Error)> RunAsync(params string[] words) =>
        InProcess.RunAsync(PoolBlueprint.AddTo, Folder, words);
}
