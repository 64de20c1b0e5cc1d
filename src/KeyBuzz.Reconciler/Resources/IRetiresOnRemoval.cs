namespace KeyBuzz.Reconciler.Resources;

/// <summary>A stateful type that is retired when it leaves the configuration: the provider's Delete runs with DeleteData false, and the
/// data stays. A destroy, which removes its group, does not retire it.</summary>
public interface IRetiresOnRemoval
{
    /// <summary>The plan's note about it; null when it is already retired.</summary>
    string? Retirement(Resource resource, Observation.Present observed);
}
