namespace KeyBuzz.Reconciler.Hosts;

/// <summary>The answers of one host to one set of reads.</summary>
public sealed class Snapshot
{
    private readonly IReadOnlyDictionary<Read, object?> _answers;

    /// <summary>Takes the answers.</summary>
    public Snapshot(IReadOnlyDictionary<Read, object?> answers) => _answers = answers;

    /// <summary>The answer to a read that was asked. Throws <see cref="KeyNotFoundException"/> when it was not.</summary>
    public T Get<T>(Read<T> read) =>
        _answers.TryGetValue(read, out var answer) ? (T)answer! : throw new KeyNotFoundException($"not read: {read}");

    /// <summary>Whether that read was asked.</summary>
    public bool Has(Read read) => _answers.ContainsKey(read);

    /// <summary>These answers and, over them, those of another snapshot.</summary>
    public Snapshot With(Snapshot newer)
    {
        var answers = new Dictionary<Read, object?>(_answers);
        foreach (var (read, answer) in newer._answers)
        {
            answers[read] = answer;
        }

        return new Snapshot(answers);
    }

    /// <summary>These answers but for that to one read.</summary>
    public Snapshot Without(Read read)
    {
        var answers = new Dictionary<Read, object?>(_answers);
        answers.Remove(read);
        return new Snapshot(answers);
    }

    /// <summary>No answers.</summary>
    public static Snapshot Empty { get; } = new(new Dictionary<Read, object?>());
}
