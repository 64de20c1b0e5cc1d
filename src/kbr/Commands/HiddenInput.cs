using System.ComponentModel;
using System.Diagnostics;
using System.Text;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary>A line that is typed at the terminal of standard input and not shown there. The echo is off from before the question until the
/// answer is complete: between two keys, as when a passphrase is pasted, it would else be on.</summary>
internal sealed class HiddenInput : IDisposable
{
    private const int Longest = 1024;

    private static readonly string s_terminal = $"/proc/{Environment.ProcessId}/fd/0";

    // Not Console, which would write what is typed itself.
    private readonly FileStream _typed = new(s_terminal, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0);

    private HiddenInput() => AppDomain.CurrentDomain.ProcessExit += Show;

    /// <summary>Turns the echo off; null where that cannot be done.</summary>
    public static HiddenInput? Begin() => Stty("-echo") ? new HiddenInput() : null;

    /// <summary>The typed line, without its end; null when there is none.</summary>
    public string? ReadLine()
    {
        var line = new List<byte>();
        var buffer = new byte[Longest];
        while (line.Count <= Longest)
        {
            var count = _typed.Read(buffer);
            if (count == 0)
            {
                return null;
            }

            line.AddRange(buffer.AsSpan(0, count));
            if (line[^1] == '\n')
            {
                return Encoding.UTF8.GetString([.. line]).TrimEnd('\n', '\r');
            }
        }

        return null;
    }

    /// <inheritdoc />
    public void Dispose()
    {
        AppDomain.CurrentDomain.ProcessExit -= Show;
        _typed.Dispose();
        Stty("echo");
    }

    // Also when kbr is interrupted while it waits for the line.
    private static void Show(object? sender, EventArgs arguments) => Stty("echo");

    // With its own streams redirected the child is none that uses the terminal, so .NET leaves the terminal's settings alone.
    private static bool Stty(string setting)
    {
        try
        {
            using var stty = Process.Start(
                new ProcessStartInfo("stty", ["-F", s_terminal, setting])
                {
                    RedirectStandardInput = true,
                    RedirectStandardOutput = true,
                    RedirectStandardError = true,
                }
            )!;
            stty.WaitForExit();
            return stty.ExitCode == 0;
        }
        catch (Win32Exception)
        {
            return false;
        }
    }
}
