using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Applying;

/// <summary>Numbers the steps of one roll-out for the operator who watches.</summary>
/// <param name="address">The group, or the resource whose change it is.</param>
/// <param name="forecast">How many steps the plan has forecast; 0 when unknown.</param>
/// <param name="progress">Receives them.</param>
internal sealed class StepReport(Address address, int forecast, IApplyProgress progress) : IStepReport
{
    private readonly Lock _gate = new();
    private RolloutStep? _step;
    private int _number;

    public void Begins(RolloutStep step)
    {
        lock (_gate)
        {
            if (_step is { } current && current.Kind == step.Kind && current.Hosts.AsSpan().SequenceEqual(step.Hosts.AsSpan()))
            {
                return;
            }

            _step = step;
            _number++;
            progress.RolloutStepBegan(new RolloutPosition(address, _number, Math.Max(forecast, _number), step));
        }
    }

    public void Awaits(string condition) => progress.Waiting(address, condition);
}
