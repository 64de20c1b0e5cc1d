namespace KeyBuzz.Reconciler.Hosts;

/// <summary>A question to a host. It changes nothing: only the kinds that a <see cref="ProbeScript"/> was given turn reads into shell, and
/// they stand in one list.</summary>
public abstract record Read;

/// <summary>A question with an answer of type <typeparamref name="T"/>.</summary>
public abstract record Read<T> : Read;
