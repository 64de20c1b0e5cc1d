namespace KeyBuzz.Reconciler.Resources;

/// <summary>Something that the configuration declares with settings: a <see cref="Resource"/>, or the <see cref="GroupPolicy"/> of a
/// group.</summary>
public interface IDeclared
{
    /// <summary>Its name.</summary>
    Address Address { get; }

    /// <summary>Its settings.</summary>
    AttributeSet Spec { get; }
}
