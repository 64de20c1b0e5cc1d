using System.Collections.Concurrent;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.Applying;

/// <summary>What a roll-out reports, a line each.</summary>
internal sealed class StepLog : IStepReport
{
    private readonly ConcurrentQueue<string> _lines = new();

    public IEnumerable<string> Lines => _lines;

    public void Begins(RolloutStep step) => _lines.Enqueue($"{step.Kind} {string.Join(' ', step.Hosts)}");

    public void Awaits(string condition) => _lines.Enqueue($"wait {condition}");
}
