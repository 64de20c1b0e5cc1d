using System.Collections.Concurrent;

namespace KeyBuzz.Reconciler.Records;

/// <summary>The texts of the records of all hosts, each kept once: what a role does is the same on each of its hosts. Safe for several
/// threads.</summary>
public sealed class TextPool
{
    private readonly ConcurrentDictionary<string, string> _texts = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, string>.AlternateLookup<ReadOnlySpan<char>> _byLetters;

    /// <summary>Makes an empty one.</summary>
    public TextPool() => _byLetters = _texts.GetAlternateLookup<ReadOnlySpan<char>>();

    /// <summary>The text that is kept in place of an equal one.</summary>
    public string Of(ReadOnlySpan<char> text)
    {
        if (_byLetters.TryGetValue(text, out var kept))
        {
            return kept;
        }

        var made = text.ToString();
        return _texts.GetOrAdd(made, made);
    }
}
