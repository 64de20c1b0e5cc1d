namespace KeyBuzz.Reconciler.Ssh;

/// <summary>What connections may need of the operator.</summary>
public sealed class SshPrompts
{
    /// <summary>The passphrase of private keys from the environment; null for none.</summary>
    public string? Passphrase { get; init; }

    /// <summary>Asks for the passphrase of a private key; null when there is nobody to ask. The second argument says that the last answer
    /// was wrong.</summary>
    public Func<string, bool, string?> AskPassphrase { get; init; } = (_, _) => null;

    /// <summary>Receives what cannot be honoured, each once.</summary>
    public Action<string> Warn { get; init; } = _ => { };
}
