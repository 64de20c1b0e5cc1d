using KeyBuzz.Reconciler.Cli.Commands;
using KeyBuzz.Reconciler.Tests.Cli;

namespace KeyBuzz.Reconciler.Tests.Blueprints.Web;

/// <summary>A second blueprint is this folder and its registration: <c>status</c>, the checklist after an apply, <c>validate</c> and a
/// command of its own work, and nothing else of kbr knows it.</summary>
[TestFixture, NonParallelizable]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed class WebBlueprintTests : LocalCluster
{
    private const string Section = "web: { role: db, page: FOLDER/index.html, text: hello }";

    [Test]
    public async Task Status_measures_its_checklist()
    {
        WriteCluster(top: Section);
        var before = await RunAsync("status");
        Assert.That(before.Exit, Is.EqualTo(ExitCode.Changes), before.Error);
        Assert.That(before.Output, Does.StartWith("web is not healthy.\n\nNOT OK   page of db-1  ").And.Contain("\n\nNext: kbr plan "));

        await RunAsync("apply", "--auto-approve");
        var after = await RunAsync("status");
        Assert.That(after.Exit, Is.EqualTo(ExitCode.Done), after.Output + after.Error);
        Assert.That(after.Output, Is.EqualTo($"web is healthy.\n\nok       page of db-1  {Folder}/host/index.html\n"));

        var document = (await RunAsync("status", "--json")).Output;
        Assert.That(JsonSchemas.Problems(document), Is.Empty, document);
    }

    [Test]
    public async Task An_apply_is_judged_by_its_checklist()
    {
        WriteCluster(top: Section);
        var good = await RunAsync("apply", "--auto-approve");
        Assert.That(good.Exit, Is.EqualTo(ExitCode.Done), good.Output + good.Error);
        Assert.That(good.Output, Does.Contain("Apply complete! Resources: 3 created,").And.Contain("\nweb is healthy."));

        WriteCluster(top: Section.Replace("hello", "hello, expect: goodbye", StringComparison.Ordinal));
        var bad = await RunAsync("apply", "--auto-approve");
        Assert.That(bad.Exit, Is.EqualTo(ExitCode.Error), "nothing to change, and not healthy");
        Assert.That(bad.Output, Does.Contain("web is not healthy."));

        WriteCluster(mode: "0640", top: Section.Replace("hello", "hey, expect: goodbye", StringComparison.Ordinal));
        var settled = await RunAsync("apply", "--auto-approve");
        Assert.That(settled.Exit, Is.EqualTo(ExitCode.Error));
        Assert.That(settled.Error, Does.Contain("Not settled yet (page of db-1); checking again for up to 1 s"));
    }

    [Test]
    public async Task Every_line_of_an_apply_in_JSON_is_a_document()
    {
        WriteCluster(top: Section);
        var first = await RunAsync("apply", "--auto-approve", "--json");
        var second = await RunAsync("apply", "--auto-approve", "--json");

        foreach (var line in (first.Output + second.Output).TrimEnd('\n').Split('\n'))
        {
            Assert.That(line, Is.Not.Empty);
            Assert.That(JsonSchemas.Problems(line), Is.Empty, line);
        }

        Assert.That(second.Output.Split('\n')[1], Does.Contain("\"kind\":\"status\""), "right after the empty plan");
    }

    [Test]
    public async Task An_apply_of_targets_is_judged_by_the_part_they_touched()
    {
        WriteCluster(top: Section);
        var other = await RunAsync("apply", "--auto-approve", "--target", "directory.spare@db-1");
        Assert.That(other.Exit, Is.EqualTo(ExitCode.Done), other.Output + other.Error);
        Assert.That(other.Output, Does.Contain("Apply complete! Resources: 1 created,").And.Not.Contain("healthy"));

        var part = await RunAsync("apply", "--auto-approve", "--target", "config_file.page@db-1");
        Assert.That(part.Exit, Is.EqualTo(ExitCode.Done), part.Output + part.Error);
        Assert.That(part.Output, Does.Contain("Checks of the changed resources").And.Contain("the changed part of web is healthy."));
    }

    [Test]
    public async Task Its_command_is_in_the_help_beside_the_others_and_runs()
    {
        WriteCluster(top: Section);
        await RunAsync("apply", "--auto-approve");

        Assert.That((await RunAsync("page")).Output, Is.EqualTo("db-1: hello\n"));
        Assert.That((await RunAsync("page", "--host", "db-2")).Output, Is.Empty);
        var help = (await RunAsync("--help")).Output;
        Assert.That(Commands(help), Does.Contain("page").And.Contain("switchover"));
        Assert.That(Commands(help).Except(["page"]), Is.EqualTo(Commands(Done("--help"))), "as without it");
        Assert.That((await RunAsync("validate")).Output, Does.Contain($"The page is {Folder}/host/index.html on 1 host"));
    }

    [Test]
    public async Task A_file_without_a_section_has_no_status_and_no_checklist()
    {
        var refused = await RunAsync("status");
        Assert.That(refused.Exit, Is.EqualTo(ExitCode.Error));
        Assert.That(refused.Error, Does.Contain("has no 'postgres' or 'web' section, so there is no status"));
        var applied = await RunAsync("apply", "--auto-approve");
        Assert.That(applied.Exit, Is.EqualTo(ExitCode.Done), applied.Error);
        Assert.That(applied.Output, Does.Not.Contain("healthy"));
    }

    // The names of the commands in a help text, in its order.
    private static IEnumerable<string> Commands(string help) =>
        help[help.IndexOf("Commands:", StringComparison.Ordinal)..help.IndexOf("Examples:", StringComparison.Ordinal)]
            .Split('\n')
            .Skip(1)
            .TakeWhile(line => line.Length > 0)
            .Where(line => line.Length > 2 && line[..2] == "  " && line[2] != ' ')
            .Select(line => line.Trim().Split(' ')[0]);

    // With the section's folder registered.
    private Task<(int Exit, string Output, string Error)> RunAsync(params string[] words) =>
        InProcess.RunAsync(WebBlueprint.AddTo, Folder, words);
}
