using System.Collections.Immutable;

namespace KeyBuzz.Reconciler.Hosts;

/// <summary>Turns <see cref="Read"/>s into one read-only POSIX shell script and its answer into a <see cref="Snapshot"/>. Nothing else
/// makes shell out of reads, so a reader cannot write.</summary>
/// <remarks>Every part ends with a line <c>NONCE LABEL STATUS</c>. The nonce is fresh and random, so no file can forge one, and payloads
/// pass as they are, binary included. Reads of a kind share a process where a tool allows it: forks are what a probe costs.</remarks>
public sealed class ProbeScript
{
    private readonly ImmutableArray<ReadKind> _kinds;

    /// <summary>Takes every kind of read that may be asked, in the order in which a host answers them.</summary>
    public ProbeScript(ImmutableArray<ReadKind> kinds)
    {
        _kinds = kinds;
        Types = kinds.SelectMany(kind => kind.Types).ToImmutableHashSet();
    }

    /// <summary>The types of the reads that may be asked.</summary>
    public ImmutableHashSet<Type> Types { get; }

    /// <summary>The script that answers the reads. Throws <see cref="ArgumentException"/> for a read of no known kind.</summary>
    /// <param name="reads">The reads.</param>
    /// <param name="nonce">A fresh random word of letters and digits.</param>
    /// <param name="ownAddress">The host's own address in the cluster's network.</param>
    public string Render(IReadOnlyCollection<Read> reads, string nonce, string ownAddress = "127.0.0.1")
    {
        var groups = Group(reads);
        var script = new ProbeText(nonce, ownAddress)
            .Append("LC_ALL=C; export LC_ALL; PATH=/usr/sbin:/usr/bin:/sbin:/bin; export PATH\n")
            .Append($"n={nonce}\n")
            .Append("end() { printf '\\n%s %s %s\\n' \"$n\" \"$1\" \"$2\"; }\n");
        var collecting = _kinds.Select(kind => kind.Start(script, groups)).ToList();
        foreach (var (kind, collect) in _kinds.Zip(collecting))
        {
            kind.Render(script, groups);
            script.Append(collect);
        }

        return script.EndBeside().Append("end end 0\n").ToString();
    }

    /// <summary>The answers. Throws <see cref="InvalidDataException"/> when the output is not whole.</summary>
    /// <param name="reads">The reads as given to <see cref="Render"/>.</param>
    /// <param name="nonce">The nonce as given to <see cref="Render"/>.</param>
    /// <param name="output">What the script printed.</param>
    public Snapshot Parse(IReadOnlyCollection<Read> reads, string nonce, ReadOnlyMemory<byte> output)
    {
        var groups = Group(reads);
        var answer = new ProbeAnswer(nonce, output);
        foreach (var kind in _kinds)
        {
            kind.Parse(answer, groups);
        }

        return answer.ToSnapshot();
    }

    private ReadGroups Group(IReadOnlyCollection<Read> reads)
    {
        var groups = new ReadGroups(reads);
        return groups.Types.FirstOrDefault(type => !Types.Contains(type)) is { } unknown
            ? throw new ArgumentException($"{unknown.Name} is not in the list of reads", nameof(reads))
            : groups;
    }
}
