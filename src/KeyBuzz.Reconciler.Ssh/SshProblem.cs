namespace KeyBuzz.Reconciler.Ssh;

/// <summary>Why one connection, to a host or to a jump host before it, cannot be made; whose it is, its caller knows.</summary>
internal sealed class SshProblem(string message, string? remedy, Exception? inner = null) : Exception(message, inner)
{
    public string? Remedy => remedy;
}
