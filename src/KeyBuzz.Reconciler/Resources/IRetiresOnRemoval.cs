namespace KeyBuzz.Reconciler.Resources;

/// <summary>A type that holds data, and is put out of use when it leaves the configuration: the provider's Delete then runs with DeleteData
/// false, and what holds data stays. A destroy, which takes down what it lives in, does not put it out of use.</summary>
public interface IRetiresOnRemoval
{
    /// <summary>What the plan says is done; null when it is out of use already.</summary>
    string? Retirement(Resource resource, Observation.Present observed);
}
