using System.Collections.Immutable;
using System.Text;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.PostgresHa.Status;
using KeyBuzz.Reconciler.Records;

namespace KeyBuzz.Reconciler.Cli.Blueprints.Postgres;

/// <summary>What this machine has seen of the members' volumes, <c>state/CLUSTER.volumes</c>. Its loss loses the trend of some hours; so no
/// command fails for it.</summary>
/// <param name="path">The file.</param>
internal sealed class VolumeHistoryFile(string path)
{
    /// <summary>Where it is: beside the operator's copy of the records.</summary>
    public static VolumeHistoryFile Of(string directory, string cluster) =>
        new(Path.ChangeExtension(StateFile.PathOf(directory, cluster), null) + ".volumes");

    /// <summary>Keeps what was seen, and returns all that is known.</summary>
    public VolumeHistory Keep(ImmutableArray<VolumeSample> seen)
    {
        var before = Read();
        var after = before.With(seen);
        if (ReferenceEquals(before, after))
        {
            return after;
        }

        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            LocalFile.Replace(path, file => file.Write(Encoding.UTF8.GetBytes(after.Text)));
            return after;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or DiagnosticException)
        {
            return after with { Problem = $"{path} cannot be written" };
        }
    }

    private VolumeHistory Read()
    {
        try
        {
            return VolumeHistory.Parse(File.ReadAllText(path));
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return VolumeHistory.None;
        }
    }
}
