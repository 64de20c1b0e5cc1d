using System.Collections.Immutable;

namespace KeyBuzz.Reconciler.Hosts;

/// <summary>How the reads of one kind are asked and answered. A kind asks all its reads at once, since processes are what a probe
/// costs.</summary>
public sealed class ReadKind
{
    private readonly Action<ProbeText, ReadGroups> _start;
    private readonly Action<ProbeText, ReadGroups> _render;
    private readonly Action<ProbeAnswer, ReadGroups> _parse;

    private ReadKind(
        ImmutableArray<Type> types,
        Action<ProbeText, ReadGroups> start,
        Action<ProbeText, ReadGroups> render,
        Action<ProbeAnswer, ReadGroups> parse
    )
    {
        Types = types;
        _start = start;
        _render = render;
        _parse = parse;
    }

    /// <summary>The types of its reads.</summary>
    public ImmutableArray<Type> Types { get; }

    /// <summary>A kind of one type of read.</summary>
    /// <param name="render">Writes the shell that answers the reads: it only reads, and ends each part by <c>end LABEL STATUS</c>.</param>
    /// <param name="parse">Gives each read its answer, even if the host printed none.</param>
    /// <param name="start">Writes the shell that runs while all others are answered; null for none.</param>
    public static ReadKind Of<TRead>(
        Action<ProbeText, IReadOnlyList<TRead>> render,
        Action<ProbeAnswer, IReadOnlyList<TRead>> parse,
        Action<ProbeText, IReadOnlyList<TRead>>? start = null
    )
        where TRead : Read => Of([typeof(TRead)], render, parse, start);

    /// <summary>A kind of several types of read that share a process; they are numbered in the order of their types.</summary>
    public static ReadKind Of<TRead>(
        ImmutableArray<Type> types,
        Action<ProbeText, IReadOnlyList<TRead>> render,
        Action<ProbeAnswer, IReadOnlyList<TRead>> parse,
        Action<ProbeText, IReadOnlyList<TRead>>? start = null
    )
        where TRead : Read
    {
        return new ReadKind(
            types,
            (script, groups) => IfAsked(groups, reads => start?.Invoke(script, reads)),
            (script, groups) => IfAsked(groups, reads => render(script, reads)),
            (answer, groups) => IfAsked(groups, reads => parse(answer, reads))
        );

        void IfAsked(ReadGroups groups, Action<IReadOnlyList<TRead>> then)
        {
            IReadOnlyList<TRead> reads = [.. types.SelectMany(groups.Of).Cast<TRead>()];
            if (reads.Count > 0)
            {
                then(reads);
            }
        }
    }

    internal void Start(ProbeText script, ReadGroups reads) => _start(script, reads);

    internal void Render(ProbeText script, ReadGroups reads) => _render(script, reads);

    internal void Parse(ProbeAnswer answer, ReadGroups reads) => _parse(answer, reads);
}

/// <summary>Distinct reads by type, each type in the order asked: rendering and parsing number them alike.</summary>
internal sealed class ReadGroups(IEnumerable<Read> reads)
{
    private readonly ILookup<Type, Read> _byType = reads.Distinct().ToLookup(read => read.GetType());

    public IEnumerable<Type> Types => _byType.Select(group => group.Key);

    public IEnumerable<Read> Of(Type type) => _byType[type];
}
