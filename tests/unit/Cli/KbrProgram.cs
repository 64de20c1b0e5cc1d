namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary>The program under test.</summary>
internal static class KbrProgram
{
    /// <summary>What was built with these tests; or what KBR_TOOL names, as eng/test.sh does the Native AOT build, which is what users run
    /// and starts ten times as fast.</summary>
    public static string Path { get; } =
        Environment.GetEnvironmentVariable("KBR_TOOL") is { Length: > 0 } tool
            ? tool
            : System.IO.Path.Combine(AppContext.BaseDirectory, "kbr");
}
