namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary>kbr graph and kbr check as a user runs them.</summary>
[TestFixture]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed class GraphAndCheckTests : LocalCluster
{
    private const string More = "  - { type: directory, name: inner, host: db-1, path: FOLDER/spare/inner, after: config_file.app }";

    [Test]
    public void The_graph_is_drawn_from_the_file_alone()
    {
        WriteCluster(more: More, port: 1);
        Directory.Delete(Path.Combine(Folder, "credentials"), recursive: true);
        Assert.That(
            Done("graph"),
            Is.EqualTo(
                $$"""
                digraph "{{Name}}" {
                  rankdir = "RL"
                  node [shape = "box", fontname = "sans-serif"]
                  label = "solid arrow: requires; dashed arrow: comes after; ellipse: health of a group"
                  fontname = "sans-serif"
                  subgraph cluster_0 {
                    label = "db-1"
                    "config_file.app@db-1" [label = "config_file.app"]
                    "directory.spare@db-1" [label = "directory.spare"]
                    "directory.inner@db-1" [label = "directory.inner"]
                  }
                  "directory.inner@db-1" -> "directory.spare@db-1"
                  "directory.inner@db-1" -> "config_file.app@db-1" [style = "dashed"]
                }

                """
            )
        );
        Assert.That(Done("graph", "--target", "directory.*"), Does.Not.Contain("config_file"));
        var inner = Document("graph").GetProperty("resources")[2];
        Assert.That(
            (
                inner.GetProperty("address").GetString(),
                inner.GetProperty("requires")[0].GetString(),
                inner.GetProperty("after")[0].GetString()
            ),
            Is.EqualTo(("directory.inner@db-1", "directory.spare@db-1", "config_file.app@db-1"))
        );
    }

    [Test]
    public void Preconditions_are_checked_and_nothing_else()
    {
        Preconditions("disk: { level: error, path: /, free: 1MiB }");
        Assert.That(Kbr("check"), Is.EqualTo((0, "db-1\n  ok    disk /\nCheck: 1 hold, 0 do not, 0 warnings\n", "")));
        Preconditions("disk: { level: error, path: /, free: 900TiB }");
        var (exit, output, _) = Kbr("check");
        Assert.That(exit, Is.EqualTo(2), output);
        Assert.That(
            output,
            Does.Match(
                @"^db-1\n  WRONG disk /\n        too little disk space at /: .* free of .*, wanted 900 TiB\n        → free or add disk space: du .*\nCheck: 0 hold, 1 do not, 0 warnings\n$"
            )
        );
        Assert.That(Document("check").GetProperty("verdict").GetString(), Is.EqualTo("not_ok"));
        Preconditions("disk: { level: warn, path: /, free: 900TiB }");
        Assert.That(Kbr("check").Exit, Is.Zero, "a warning refuses nothing");

        WriteCluster(port: Ssh.SshServer.FreePort());
        (exit, output, _) = Kbr("check");
        Assert.That(exit, Is.EqualTo(1), output);
        Assert.That(output, Does.StartWith("db-1\n  ?     ").And.EndWith("1 host could not be read\n"));
        Assert.That(Directory.Exists($"/var/lib/kbr/{Name}"), Is.False);
    }

    [Test]
    public void A_target_that_matches_no_host_is_an_error_with_its_name()
    {
        Preconditions("disk: { level: error, path: /, free: 1MiB }");
        Assert.That(Done("check", "--target", "*@db-1"), Does.StartWith("db-1\n"));
        const string Remedy = "\n  → write *@HOST, or *@GROUP for the members of a group\n";
        Assert.That(Refused("check", "--target", "*@db-9"), Is.EqualTo("Error: no host matches '*@db-9'" + Remedy));
        Assert.That(
            Refused("check", "--target", "db-1"),
            Is.EqualTo("Error: no host matches 'db-1@*'" + Remedy),
            "a resource of that name, on any host"
        );
        Assert.That(Refused("check", "--ports", "--target", "*@db-9"), Does.StartWith("Error: no host matches '*@db-9'\n"));
    }

    [Test]
    public void A_missing_command_of_a_host_is_named_with_its_package()
    {
        WriteCluster();
        var yaml = File.ReadAllText(Path.Combine(Folder, "cluster.yaml"));
        Write(
            "cluster.yaml",
            yaml.Replace("tools: off", "tools: { level: error, commands: [sh, no-such-command] }", StringComparison.Ordinal)
        );
        var (exit, output, _) = Kbr("check");
        Assert.That(exit, Is.EqualTo(2), output);
        Assert.That(
            output,
            Does.Contain("  ok    tools\n  WRONG tools sh no-such-command\n        the command no-such-command is not installed: ")
                .And.Contain("→ install the package with no-such-command")
        );
    }

    [Test]
    public void The_ports_need_no_host_and_no_secrets()
    {
        WriteCluster(port: 1);
        Directory.Delete(Path.Combine(Folder, "credentials"), recursive: true);
        Assert.That(Done("check", "--ports"), Does.StartWith("Incoming from  to    port   for\noperator       db-1  1/tcp  SSH: kbr"));
        Assert.That(
            Done("check", "--ports", "--format", "nft", "--operator", "192.0.2.0/24"),
            Does.Contain("    ip saddr { 192.0.2.0/24 } tcp dport 1 accept comment")
        );
        Assert.That(
            Done("check", "--ports", "--format", "nft", "--operator", "192.0.2.7", "--operator", "198.51.100.0/24"),
            Does.Contain("    ip saddr { 192.0.2.7, 198.51.100.0/24 } tcp dport 1 accept comment")
        );
        Assert.That(Refused("check", "--format", "nft"), Does.Contain("--format needs --ports"));
        Assert.That(Refused("check", "--operator", "192.0.2.7"), Does.Contain("--operator needs --ports"));
        Assert.That(Refused("check", "--ports", "--operator", "here"), Does.Contain("--operator cannot be 'here'"));
    }

    private void Preconditions(string what)
    {
        WriteCluster();
        var yaml = File.ReadAllText(Path.Combine(Folder, "cluster.yaml"));
        Write("cluster.yaml", yaml.Replace("clock: off }", $"clock: off, {what} }}", StringComparison.Ordinal));
    }
}
