namespace KeyBuzz.Reconciler.Resources;

/// <summary>Told by the change or the roll-out of a group what it does at the moment, for the operator who watches.</summary>
public interface IStepReport
{
    /// <summary>A step begins. The same step again, such as a switchover that is tried again, is still the one step.</summary>
    void Begins(RolloutStep step);

    /// <summary>Nothing is done until this holds.</summary>
    /// <param name="condition">The awaited condition, for the operator.</param>
    void Awaits(string condition);
}

/// <summary>A report that nobody reads.</summary>
public sealed class NoStepReport : IStepReport
{
    private NoStepReport() { }

    /// <summary>The only one.</summary>
    public static NoStepReport Instance { get; } = new();

    /// <inheritdoc />
    public void Begins(RolloutStep step) { }

    /// <inheritdoc />
    public void Awaits(string condition) { }
}
