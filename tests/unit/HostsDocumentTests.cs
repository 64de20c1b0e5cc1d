using System.Text.RegularExpressions;
using KeyBuzz.Reconciler.Providers.Preconditions;
using KeyBuzz.Reconciler.Tests.Blueprints;
using KeyBuzz.Reconciler.Tests.Cli;
using KeyBuzz.Reconciler.Tests.PostgresHa;

namespace KeyBuzz.Reconciler.Tests;

/// <summary>docs/hosts.md lists what kbr checks.</summary>
internal sealed partial class HostsDocumentTests : BlueprintFixture
{
    private static readonly string s_page = System.IO.File.ReadAllText(Path.Combine(JsonSchemas.Root, "docs/hosts.md"));

    [Test]
    public void The_conditions_of_the_page_are_those_that_kbr_checks() =>
        Assert.That(
            Row().Matches(Section("Conditions")).Select(row => (row.Groups[1].Value, row.Groups[2].Value.Split('|')[1].Trim(' ', '`'))),
            Is.EqualTo(new PreconditionChecks().Kinds.Select(kind => (kind.Kind, kind.Default.ToString().ToLowerInvariant())))
        );

    [Test]
    public void The_packages_of_the_page_are_those_that_kbr_asks_for() =>
        Assert.That(
            Row().Matches(Section("Packages")).Select(row => (row.Groups[1].Value, row.Groups[2].Value.Split('|')[0].Trim())),
            Is.EqualTo(HostTool.All.Select(tool => (tool.Command, tool.Package)))
        );

    [Test]
    public async Task The_ports_of_the_page_are_those_that_kbr_prints()
    {
        System.IO.File.WriteAllText(File, Filled(System.IO.File.ReadAllText(Path.Combine(JsonSchemas.Root, "cluster.yaml"))));
        var (exit, output, error) = await InProcess.RunAsync(_ => { }, Folder, "check", "--ports");
        Assert.That(exit, Is.Zero, error);
        Assert.That(Section("Ports"), Does.Contain($"```\n{output}```\n"), output);
    }

    private static string Section(string title)
    {
        var start = s_page.IndexOf($"\n## {title}\n", StringComparison.Ordinal);
        var end = s_page.IndexOf("\n## ", start + 1, StringComparison.Ordinal);
        return end < 0 ? s_page[start..] : s_page[start..end];
    }

    [GeneratedRegex(@"^\| `([^`]+)` \| (.*) \|$", RegexOptions.Multiline)]
    private static partial Regex Row();
}
