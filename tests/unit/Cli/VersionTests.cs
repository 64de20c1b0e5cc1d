using System.Diagnostics;
using System.Text.Json;

namespace KeyBuzz.Reconciler.Tests.Cli;

[TestFixture]
public sealed class VersionTests
{
    [Test]
    public void Version_needs_no_cluster_file_and_says_which_kbr_this_is()
    {
        using var json = JsonDocument.Parse(Kbr("version", "--json"));
        var version = json.RootElement.GetProperty("version").GetString();
        Assert.Multiple(() =>
        {
            Assert.That(version, Does.Match(@"^\d+\.\d+\.\d+$"));
            Assert.That(
                Kbr("version"),
                Is.EqualTo($"kbr {version}\non {System.Runtime.InteropServices.RuntimeInformation.RuntimeIdentifier}\n")
            );
            Assert.That(Kbr("--version").Trim(), Is.EqualTo(version));
        });
    }

    private static string Kbr(params string[] arguments)
    {
        using var process = new Process();
        process.StartInfo = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "kbr"), arguments)
        {
            RedirectStandardOutput = true,
            WorkingDirectory = Path.GetTempPath(),
        };
        process.Start();
        var output = process.StandardOutput.ReadToEnd();
        Assert.That(process.WaitForExit(TimeSpan.FromSeconds(60)) && process.ExitCode == 0, output);
        return output;
    }
}
