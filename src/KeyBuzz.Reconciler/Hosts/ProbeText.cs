using System.Text;

namespace KeyBuzz.Reconciler.Hosts;

/// <summary>A probe while it is written.</summary>
/// <param name="nonce">A fresh random word of letters and digits.</param>
/// <param name="ownAddress">The host's own address in the cluster's network.</param>
public sealed class ProbeText(string nonce, string ownAddress)
{
    private readonly StringBuilder _text = new();

    /// <summary>The word that marks the end of a part, or of a here-document, and that no content of a host contains.</summary>
    public string Nonce => nonce;

    /// <summary>The host's own address in the cluster's network.</summary>
    public string OwnAddress => ownAddress;

    /// <summary>Writes shell.</summary>
    public ProbeText Append(string shell)
    {
        _text.Append(shell);
        return this;
    }

    /// <summary>Writes words, each after a space and in single quotes.</summary>
    public ProbeText AppendQuoted(IEnumerable<string> words)
    {
        foreach (var word in words)
        {
            _text.Append(' ').Append(Script.Quote(word));
        }

        return this;
    }

    /// <inheritdoc />
    public override string ToString() => _text.ToString();
}
