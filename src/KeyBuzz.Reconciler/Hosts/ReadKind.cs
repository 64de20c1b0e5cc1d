using System.Collections.Immutable;

namespace KeyBuzz.Reconciler.Hosts;

/// <summary>How the reads of one kind are asked and answered. A kind asks all its reads at once, since processes are what a probe
/// costs.</summary>
public sealed class ReadKind
{
    private readonly Func<ProbeText, ReadGroups, string> _start;
    private readonly Action<ProbeText, ReadGroups> _render;
    private readonly Action<ProbeAnswer, ReadGroups> _parse;

    private ReadKind(
        ImmutableArray<Type> types,
        Func<ProbeText, ReadGroups, string> start,
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
    /// <param name="render">Writes the shell that answers the reads: it only reads, and ends each part by <c>end LABEL STATUS</c>; null if
    /// all of it runs beside the others.</param>
    /// <param name="parse">Gives each read its answer, even if the host printed none.</param>
    /// <param name="start">Starts the commands that run while all others are answered, and returns the shell that prints their output;
    /// null for none.</param>
    public static ReadKind Of<TRead>(
        Action<ProbeText, IReadOnlyList<TRead>>? render,
        Action<ProbeAnswer, IReadOnlyList<TRead>> parse,
        Func<ProbeText, IReadOnlyList<TRead>, string>? start = null
    )
        where TRead : Read => Of([typeof(TRead)], render, parse, start);

    /// <summary>A kind of several types of read that share a process; they are numbered in the order of their types.</summary>
    public static ReadKind Of<TRead>(
        ImmutableArray<Type> types,
        Action<ProbeText, IReadOnlyList<TRead>>? render,
        Action<ProbeAnswer, IReadOnlyList<TRead>> parse,
        Func<ProbeText, IReadOnlyList<TRead>, string>? start = null
    )
        where TRead : Read
    {
        return new ReadKind(
            types,
            (script, groups) => Asked(groups) is { Count: > 0 } reads && start is not null ? start(script, reads) : "",
            (script, groups) => IfAsked(groups, reads => render?.Invoke(script, reads)),
            (answer, groups) => IfAsked(groups, reads => parse(answer, reads))
        );

        IReadOnlyList<TRead> Asked(ReadGroups groups) => [.. types.SelectMany(groups.Of).Cast<TRead>()];

        void IfAsked(ReadGroups groups, Action<IReadOnlyList<TRead>> then)
        {
            if (Asked(groups) is { Count: > 0 } reads)
            {
                then(reads);
            }
        }
    }

    internal string Start(ProbeText script, ReadGroups reads) => _start(script, reads);

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
