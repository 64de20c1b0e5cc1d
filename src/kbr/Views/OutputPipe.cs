using System.Runtime.InteropServices;

namespace KeyBuzz.Reconciler.Cli.Views;

/// <summary>The standard output as a pipe. The runtime's console passes over EPIPE, so that a command that goes on would never learn that
/// its reader is gone.</summary>
internal static class OutputPipe
{
    private const int StandardOutput = 1;
    private const short Error = 0x8; // POLLERR: the last reader has closed its end

    /// <summary>Whether nobody reads the standard output any more.</summary>
    public static bool HasNoReader()
    {
        var output = new Descriptor { File = StandardOutput };
        return Poll(ref output, 1, 0) > 0 && (output.Found & Error) != 0;
    }

    [DllImport("libc.so.6", EntryPoint = "poll")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Poll(ref Descriptor descriptors, nuint count, int timeoutMilliseconds);

    // struct pollfd of poll(2).
    [StructLayout(LayoutKind.Sequential)]
    private struct Descriptor
    {
        public int File;
        public short Asked;
        public short Found;
    }
}
