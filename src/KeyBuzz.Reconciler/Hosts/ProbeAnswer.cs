using System.Collections.Immutable;
using System.Globalization;
using System.Text;

namespace KeyBuzz.Reconciler.Hosts;

/// <summary>The output of a probe, split into its parts, and the answers in them.</summary>
public sealed class ProbeAnswer
{
    private readonly Dictionary<string, ProbePart> _parts = new(StringComparer.Ordinal);
    private readonly Dictionary<Read, object?> _answers = [];

    internal ProbeAnswer(string nonce, ReadOnlyMemory<byte> output)
    {
        Nonce = nonce;
        var marker = Encoding.ASCII.GetBytes($"\n{nonce} ");
        while (true)
        {
            var at = output.Span.IndexOf(marker);
            if (at < 0)
            {
                break;
            }

            var rest = output[(at + marker.Length)..];
            var end = rest.Span.IndexOf((byte)'\n');
            if (end < 0)
            {
                break;
            }

            var words = Encoding.ASCII.GetString(rest.Span[..end]).Split(' ');
            _parts[words[0]] = new ProbePart(words.Length > 1 ? words[1] : "", output[..at]);
            output = rest[(end + 1)..];
        }

        if (!_parts.ContainsKey("end"))
        {
            throw new InvalidDataException("the host's answer was cut off");
        }
    }

    /// <summary>The word that no content of a host contains.</summary>
    public string Nonce { get; }

    /// <summary>The part of that label; an empty one when the host did not print it.</summary>
    public ProbePart Part(string label) => _parts.GetValueOrDefault(label, ProbePart.None);

    /// <summary>Answers a read.</summary>
    public void Set<T>(Read<T> read, T answer) => _answers[read] = answer;

    /// <summary>Answers reads that have a part each: a letter, and the read's number.</summary>
    public void Each<T>(IReadOnlyList<Read<T>> reads, string letter, Func<ProbePart, T> parse)
    {
        ArgumentNullException.ThrowIfNull(parse);
        foreach (var (number, read) in reads.Index())
        {
            Set(read, parse(Part(letter + number.ToString(CultureInfo.InvariantCulture))));
        }
    }

    internal Snapshot ToSnapshot() => new(_answers);
}

/// <summary>A part of an answer.</summary>
/// <param name="Status">Its status, such as an exit status; empty when the host did not print it.</param>
/// <param name="Payload">The bytes before that.</param>
public readonly record struct ProbePart(string Status, ReadOnlyMemory<byte> Payload)
{
    // A shell adds the signal's number to it (sh(1)).
    private const int EndedBySignal = 128;

    /// <summary>A part that was not printed.</summary>
    public static readonly ProbePart None = new("", default);

    /// <summary>The part of a program of the host itself. Of one that was killed, as it is without memory, nothing is known: what it did
    /// not print may be there.</summary>
    /// <exception cref="InvalidDataException">It was.</exception>
    public ProbePart Whole() =>
        Number(Status) <= EndedBySignal
            ? this
            : throw new InvalidDataException($"a program that answers kbr was killed (status {Status}): has the host memory left?");

    /// <summary>The bytes as UTF-8.</summary>
    public string Text => Encoding.UTF8.GetString(Payload.Span);

    /// <summary>The lines that are not empty.</summary>
    public string[] Lines => Text.Split('\n', StringSplitOptions.RemoveEmptyEntries);

    /// <summary>A whole number in an answer; -1 for other text.</summary>
    public static int Number(string text) => int.TryParse(text, CultureInfo.InvariantCulture, out var number) ? number : -1;

    /// <summary>Seconds since 1970 with a fraction; 1970 for other text.</summary>
    public static DateTimeOffset Time(string seconds) =>
        decimal.TryParse(seconds, CultureInfo.InvariantCulture, out var value)
            ? DateTimeOffset.UnixEpoch.AddTicks((long)(value * TimeSpan.TicksPerSecond))
            : DateTimeOffset.UnixEpoch;
}
