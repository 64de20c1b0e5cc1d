using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Providers.Preconditions;

namespace KeyBuzz.Reconciler.Tests.Configuration;

/// <summary>A folder of its own for each test, with a cluster.yaml and credentials in it.</summary>
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
internal abstract class LoaderFixture : IDisposable
{
    protected const string Header = """
        version: 1
        cluster: lab
        hosts:
          db-1: { role: db, address: 10.0.0.1 }
          db-2: { role: db, address: 10.0.0.2 }
          lb-1: { role: lb, address: 10.0.0.9 }

        """;

    protected string Folder { get; } = Directory.CreateTempSubdirectory("kbr-loader-").FullName;

    protected Dictionary<string, string> Environment { get; } = new() { [Secrets.KeyName] = "a key of the tests" };

    protected string File => Path.Combine(Folder, "cluster.yaml");

    protected string Put(string name, string text)
    {
        var path = Path.Combine(Folder, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        System.IO.File.WriteAllText(path, text);
        if (!OperatingSystem.IsWindows())
        {
            System.IO.File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        }

        return path;
    }

    protected Cluster Load(string yaml)
    {
        Put("cluster.yaml", yaml);
        return ClusterLoader.Load(File, FakeProvider.Syntax, Environment);
    }

    /// <summary>Every error as <c>line:column: summary [detail] (remedy)</c>.</summary>
    protected IReadOnlyList<string> Errors(string yaml) =>
        Shown(Failure(yaml).Diagnostics.Where(finding => finding.Severity == Severity.Error));

    protected DiagnosticException Failure(string yaml) => Assert.Throws<DiagnosticException>(() => Load(yaml))!;

    protected string OnlyError(string yaml)
    {
        var errors = Errors(yaml);
        Assert.That(errors, Has.Count.EqualTo(1), string.Join('\n', errors));
        return errors[0];
    }

    protected string[] Shown(IEnumerable<Diagnostic> findings) =>
        [
            .. findings.Select(finding =>
                $"{finding.Location?.ToString().Replace(File + ":", "", StringComparison.Ordinal)}: {finding.Summary}"
                + (finding.Detail is null ? "" : $" [{finding.Detail}]")
                + (finding.Remedy is null ? "" : $" ({finding.Remedy})")
            ),
        ];

    /// <summary>The header and one resource on db-1 with these lines.</summary>
    protected static string Resource(params string[] lines) => Header + "resources:\n  - " + string.Join("\n    ", lines) + "\n";

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}
