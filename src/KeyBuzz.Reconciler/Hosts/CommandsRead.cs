using System.Collections.Immutable;
using System.Globalization;

namespace KeyBuzz.Reconciler.Hosts;

/// <summary>Which of these commands the host has. Answer: those that are there.</summary>
/// <param name="Names">The commands, with a space between two.</param>
public sealed record CommandsRead(string Names) : Read<CommandsFound>
{
    /// <summary>How it is asked and answered.</summary>
    public static ReadKind Kind { get; } = ReadKind.Of<CommandsRead>(Render, Parse);

    // The shell looks for them itself: no process is started.
    private static void Render(ProbeText script, IReadOnlyList<CommandsRead> reads)
    {
        script.Append("commands() { k=$1; shift; for c; do command -v \"$c\" >/dev/null 2>&1 && echo \"$c\"; done; end \"k$k\" 0; }\n");
        foreach (var (number, read) in reads.Index())
        {
            script
                .Append(string.Create(CultureInfo.InvariantCulture, $"commands {number}"))
                .AppendQuoted(read.Names.Split(' ', StringSplitOptions.RemoveEmptyEntries))
                .Append("\n");
        }
    }

    private static void Parse(ProbeAnswer answer, IReadOnlyList<CommandsRead> reads) =>
        answer.Each(reads, "k", part => new CommandsFound([.. part.Lines]));
}

/// <summary>The commands that a host has.</summary>
/// <param name="Names">Their names, of those that were asked for.</param>
public sealed record CommandsFound(ImmutableArray<string> Names);
