using System.Globalization;
using KeyBuzz.Reconciler.Diagnostics;

namespace KeyBuzz.Reconciler.Cli.Steps;

/// <summary>When, seen from one remote step, kbr is to be killed.</summary>
public enum KillMoment
{
    /// <summary>Before it is begun.</summary>
    Before,

    /// <summary>Some time after it was begun, whether it has ended by then or not.</summary>
    During,

    /// <summary>After it was answered, before kbr goes on.</summary>
    After,
}

/// <summary>The remote step at which this run ends itself as <c>kill -9</c> would. For tests of what an interruption leaves behind
/// (eng/kill-sweep.sh); it does nothing to a host.</summary>
/// <param name="Moment">When.</param>
/// <param name="Step">The number of the step, from 1.</param>
/// <param name="Wait">How long after the beginning, for <see cref="KillMoment.During"/>.</param>
public sealed record KillPoint(KillMoment Moment, int Step, TimeSpan Wait)
{
    /// <summary>The environment variable that names it.</summary>
    public const string Variable = "KBR_KILL";

    /// <summary>Reads <c>before:STEP</c>, <c>after:STEP</c> or <c>during:STEP:MILLISECONDS</c>; null for nothing. Throws
    /// <see cref="DiagnosticException"/>.</summary>
    public static KillPoint? Parse(string? text)
    {
        if (string.IsNullOrEmpty(text))
        {
            return null;
        }

        return text.Split(':') switch
        {
            ["before", var step] when Number(step) is > 0 and var number => new KillPoint(KillMoment.Before, number, TimeSpan.Zero),
            ["after", var step] when Number(step) is > 0 and var number => new KillPoint(KillMoment.After, number, TimeSpan.Zero),
            ["during", var step, var wait] when Number(step) is > 0 and var number && Number(wait) is >= 0 and var milliseconds =>
                new KillPoint(KillMoment.During, number, TimeSpan.FromMilliseconds(milliseconds)),
            _ => throw new DiagnosticException(
                Diagnostic.Error(
                    $"{Variable} is not before:STEP, after:STEP or during:STEP:MILLISECONDS",
                    remedy: "it is for tests that kill kbr; unset it"
                )
            ),
        };
    }

    private static int Number(string text) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : -1;
}
