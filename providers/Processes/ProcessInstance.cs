namespace KeyBuzz.Reconciler.Providers.Processes;

/// <summary>One run of a container or unit, from one start to its end.</summary>
/// <param name="Identity">Distinguishes it from earlier and later runs; without blanks.</param>
/// <param name="StartedAt">When it started.</param>
public sealed record ProcessInstance(string Identity, DateTimeOffset StartedAt);
