using System.Diagnostics;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary>Records say what is removed as root: what somebody else may have written there is not believed.</summary>
[TestFixture]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed class RecordTrustTests : LocalCluster
{
    private const string Spare = "directory.spare@db-1";

    [Test]
    public void A_record_that_names_a_path_of_the_system_deletes_nothing()
    {
        Done("apply", "--auto-approve");
        var victim = $"/usr/lib/kbr-victim-{Name}";
        File.WriteAllText(victim, "");
        try
        {
            // As in the report: under another address, so that nothing in cluster.yaml stands for it.
            var planted = File.ReadAllText($"{Records}/config_file.app@db-1.json")
                .Replace("config_file.app@db-1", "config_file.old@db-1", StringComparison.Ordinal)
                .Replace(ConfigFile, victim, StringComparison.Ordinal);
            Plant("config_file.old@db-1", planted);
            Assert.That(
                Refused("apply", "--auto-approve"),
                Does.Contain($"{Records}/config_file.old@db-1.json cannot be used: its path is {victim}, which kbr may not change")
            );
            Assert.That(Refused("destroy", "--auto-approve"), Does.Contain("cannot be used"));
            Assert.That(File.Exists(victim), Is.True);

            // What kbr may remove it shows before it does.
            Plant("config_file.old@db-1", planted.Replace(victim, Folder + "/host/other.conf", StringComparison.Ordinal));
            File.WriteAllText(Folder + "/host/other.conf", "");
            Assert.That(Done("plan"), Does.Contain($"- config_file.old@db-1  {Folder}/host/other.conf  removed from the configuration\n"));
            Assert.That(
                Document("plan").GetProperty("changes")[0].GetProperty("place").GetString(),
                Is.EqualTo(Folder + "/host/other.conf")
            );
        }
        finally
        {
            File.Delete(victim);
        }
    }

    [Test]
    public void A_damaged_record_is_named_and_is_not_none()
    {
        Done("apply", "--auto-approve");
        var whole = File.ReadAllText($"{Records}/{Spare}.json");
        Plant(Spare, "");
        Assert.That(Refused("plan"), Does.Contain($"the record {Records}/{Spare}.json cannot be used: it is damaged"));
        Plant(Spare, whole);
        File.Move($"{Records}/{Spare}.json", $"{Records}/directory.other@db-1.json");
        Assert.That(Refused("plan"), Does.Contain($"it is the record of {Spare}, whose file is {Records}/{Spare}.json"));
        File.Move($"{Records}/directory.other@db-1.json", $"{Records}/{Spare}.json");
        Assert.That(
            Refused("state", "mv", Spare, "directory.../../x@db-1", "--auto-approve"),
            Does.StartWith("Error: 'directory.../../x@db-1' is not an address\n")
        );
        Assert.That(Done("plan", "--detailed-exitcode"), Does.StartWith("No changes. "));
    }

    [Test]
    public void Records_that_another_user_could_write_are_not_trusted_and_an_open_directory_is_corrected()
    {
        Done("apply", "--auto-approve");
        const UnixFileMode Everybody = (UnixFileMode)0x1ff;
        Directory.Move(Records, Records + ".away");
        File.CreateSymbolicLink(Records, Records + ".away");
        Assert.That(Refused("plan"), Does.Contain($"{Records} is a symbolic link and not a directory: its records are not trusted"));
        File.Delete(Records);
        Directory.Move(Records + ".away", Records);

        Shell($"chown 12345 {Records}");
        Assert.That(Refused("plan"), Does.Contain($"{Records} belongs to uid 12345 and not to root"));
        Shell($"chown 0 {Records}; chown 12345 {Records}/{Spare}.json");
        Assert.That(Refused("apply", "--auto-approve"), Does.Contain($"{Records}/{Spare}.json belongs to uid 12345 and not to root"));
        Shell($"chown 0 {Records}/{Spare}.json; chmod 0666 {Records}/{Spare}.json");
        Assert.That(Refused("plan"), Does.Contain("has mode 0666, others can write it"));

        Shell($"chmod 0600 {Records}/{Spare}.json");
        File.SetUnixFileMode(Records, Everybody);
        var (exit, _, warned) = Kbr("plan");
        Assert.That(exit, Is.Zero, warned);
        Assert.That(warned, Does.StartWith($"Warning: db-1: {Records} has mode 0777 and not 0700\n"));
        Done("apply", "--auto-approve");
        Assert.That(File.GetUnixFileMode(Records), Is.EqualTo(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute));
        Assert.That(Kbr("plan").Error, Is.Empty);
    }

    [Test]
    public void A_record_that_cannot_be_written_names_its_file()
    {
        var record = new ResourceRecord(
            new Address("directory", "spare", "db-1"),
            true,
            false,
            SortedMap<string>.Empty,
            AttributeSet.Empty.With("path", "/opt/x"),
            [],
            false
        );
        var said = Shell($"trap '' XFSZ; ulimit -f 0; set -eu\n{RecordScript.Write(record, Name)}");
        Assert.That(said, Does.Contain($"the record {Records}/{Spare}.json cannot be written; is its file system full? df -h {Records}"));
        Assert.That(Directory.GetFiles(Records), Is.Empty, "nothing half-written stays");
    }

    private void Plant(string address, string text) => Write($"{Records}/{address}.json", text);

    private static string Shell(string script)
    {
        using var process = Process.Start(new ProcessStartInfo("sh", ["-c", script]) { RedirectStandardError = true })!;
        var said = process.StandardError.ReadToEnd();
        process.WaitForExit();
        return said;
    }
}
