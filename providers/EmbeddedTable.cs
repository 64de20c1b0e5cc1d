using System.IO.Compression;
using System.Text;

namespace KeyBuzz.Reconciler.Providers;

/// <summary>A table of this assembly, which the build has compressed.</summary>
internal static class EmbeddedTable
{
    /// <summary>Reads it, by the name of its file.</summary>
    public static StreamReader Open(string file) =>
        new(
            new GZipStream(typeof(EmbeddedTable).Assembly.GetManifestResourceStream(file + ".gz")!, CompressionMode.Decompress),
            Encoding.UTF8
        );
}
