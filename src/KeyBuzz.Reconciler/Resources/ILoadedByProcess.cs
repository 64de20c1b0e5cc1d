namespace KeyBuzz.Reconciler.Resources;

/// <summary>A type whose resources a running process loads, at its start and on request.</summary>
public interface ILoadedByProcess
{
    /// <summary>The attribute that compares what the process has loaded.</summary>
    string LoadedAttribute { get; }

    /// <summary>The process as the token that its own resource provides, such as <c>unit:NAME</c>; null for none.</summary>
    string? ProcessOf(Resource resource);
}
