using System.Text;

namespace KeyBuzz.Reconciler.Hosts;

/// <summary>A probe while it is written.</summary>
/// <param name="nonce">A fresh random word of letters and digits.</param>
/// <param name="ownAddress">The host's own address in the cluster's network.</param>
public sealed class ProbeText(string nonce, string ownAddress)
{
    // A shell knows descriptors of one digit; 0 to 2 are taken.
    private const int FirstDescriptor = 3;
    private const int LastDescriptor = 9;

    private readonly StringBuilder _text = new();
    private int _beside;

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

    /// <summary>How many more commands can run beside the rest.</summary>
    public int FreeBeside => LastDescriptor - FirstDescriptor + 1 - _beside;

    /// <summary>Writes a command that runs while the rest of the probe is answered; what it prints waits in a pipe.</summary>
    /// <returns>The shell that prints it.</returns>
    public string RunBeside(string command)
    {
        var descriptor = FirstDescriptor + _beside++;
        Append($"{{ {command.TrimEnd('\n')}\n}} | {{\nexec {descriptor}<&0 </dev/null\n");
        return $"cat <&{descriptor}\n";
    }

    /// <summary>Writes the end of all that runs beside the rest.</summary>
    public ProbeText EndBeside() => Append(string.Concat(Enumerable.Repeat("}\n", _beside)));

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
