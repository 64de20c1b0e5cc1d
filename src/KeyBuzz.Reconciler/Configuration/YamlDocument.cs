using KeyBuzz.Reconciler.Diagnostics;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace KeyBuzz.Reconciler.Configuration;

/// <summary>A piece of a YAML document and its place.</summary>
public abstract record YamlNode(SourceLocation At)
{
    /// <summary>What it is, for "must be …, not …".</summary>
    public abstract string Kind { get; }
}

/// <summary>A scalar as written.</summary>
public sealed record YamlScalar(SourceLocation At, string Value, bool IsPlain, int Start, int End) : YamlNode(At)
{
    public bool IsNull => IsPlain && Value is "" or "~" or "null";

    public override string Kind => IsNull ? "nothing" : $"'{(Value.Length > 60 ? Value[..60] + "…" : Value).ReplaceLineEndings(" ")}'";
}

/// <summary>A list.</summary>
public sealed record YamlSequence(SourceLocation At, List<YamlNode> Items) : YamlNode(At)
{
    public override string Kind => "a list";
}

/// <summary>A map, in the order of the file; of a key that is there twice the first counts.</summary>
public sealed record YamlMapping(SourceLocation At, List<(YamlScalar Key, YamlNode Value)> Entries) : YamlNode(At)
{
    public override string Kind => "a map";

    public YamlNode? Find(string key)
    {
        foreach (var entry in Entries)
        {
            if (entry.Key.Value == key)
            {
                return entry.Value;
            }
        }

        return null;
    }
}

/// <summary>Reads a YAML document with the low-level parser into nodes that know their places.</summary>
public static class YamlDocument
{
    private const int MaximumDepth = 32;

    /// <summary>The root of the only document; syntax errors are thrown, duplicate keys are noted.</summary>
    public static YamlNode Parse(SourceText source, Findings findings)
    {
        try
        {
            return Build(new Parser(new StringReader(source.Text)), source, findings);
        }
        catch (YamlException exception)
        {
            throw new DiagnosticException(Explain(exception, source));
        }
        catch (Exception exception)
            when (exception
                    is InvalidOperationException
                        or ArgumentException
                        or IndexOutOfRangeException
                        or FormatException
                        or OverflowException
            )
        {
            // The parser's own slips on broken input: no place to show, but no stack trace either.
            throw new DiagnosticException(Diagnostic.Error($"{source.File} is not valid YAML", source.At(1, 1), exception.Message));
        }
    }

    // A stack of open nodes instead of recursion: depth is the file's choice, the call stack is ours.
    private static YamlNode Build(Parser parser, SourceText source, Findings findings)
    {
        YamlNode? root = null;
        var open = new Stack<YamlNode>();
        var keys = new Stack<YamlScalar?>();
        var documents = 0;
        while (parser.MoveNext())
        {
            var current = parser.Current!;
            var at = source.At(current.Start.Line, current.Start.Column);
            switch (current)
            {
                case DocumentStart when ++documents > 1:
                    throw Refuse(
                        "a second document starts here",
                        at,
                        "kbr reads one document; remove the line '---' or put it into a file of its own"
                    );
                case AnchorAlias:
                    throw Refuse(
                        "aliases are not supported",
                        at,
                        "write the value out; 'host: all', a role or a list places one resource on several hosts"
                    );
                case NodeEvent node:
                    Check(node, at);
                    YamlNode made = node switch
                    {
                        Scalar scalar => new YamlScalar(
                            at,
                            scalar.Value,
                            scalar.Style == ScalarStyle.Plain,
                            (int)scalar.Start.Index,
                            (int)scalar.End.Index
                        ),
                        SequenceStart => new YamlSequence(at, []),
                        _ => new YamlMapping(at, []),
                    };
                    if (open.Count == 0)
                    {
                        root ??= made;
                    }
                    else
                    {
                        Attach(open.Peek(), keys, made, findings);
                    }

                    if (made is not YamlScalar)
                    {
                        if (open.Count >= MaximumDepth)
                        {
                            throw Refuse("nested too deeply", at, null);
                        }

                        open.Push(made);
                        keys.Push(null);
                    }

                    break;
                case SequenceEnd or MappingEnd:
                    open.Pop();
                    keys.Pop();
                    break;
            }
        }

        return root is null or YamlScalar { IsNull: true }
            ? throw new DiagnosticException(
                Diagnostic.Error($"{source.File} is empty", source.At(1, 1), null, "remove it, and kbr init writes a first one")
            )
            : root;
    }

    private static void Attach(YamlNode parent, Stack<YamlScalar?> keys, YamlNode child, Findings findings)
    {
        if (parent is YamlSequence sequence)
        {
            sequence.Items.Add(child);
            return;
        }

        var mapping = (YamlMapping)parent;
        var key = keys.Pop();
        if (key is null)
        {
            keys.Push(child as YamlScalar ?? throw Refuse($"a key must be a word, not {child.Kind}", child.At, null));
            return;
        }

        keys.Push(null);
        var first = mapping.Entries.Find(entry => entry.Key.Value == key.Value).Key;
        if (first is not null)
        {
            findings.Error($"duplicate key '{key.Value}'", key.At, $"first given in line {first.At.Line}", "keep one of them");
        }

        mapping.Entries.Add((key, child));
    }

    private static void Check(NodeEvent node, SourceLocation at)
    {
        if (!node.Anchor.IsEmpty)
        {
            throw Refuse(
                "anchors are not supported",
                at,
                "write the value out; 'host: all', a role or a list places one resource on several hosts"
            );
        }

        if (!node.Tag.IsEmpty)
        {
            throw Refuse($"tags such as '{node.Tag.Value}' are not supported", at, "remove the tag");
        }

        if (node is Scalar { IsKey: true, Value: "<<", Style: ScalarStyle.Plain })
        {
            throw Refuse("merge keys ('<<') are not supported", at, "write the values out");
        }
    }

    private static Diagnostic Explain(YamlException exception, SourceText source)
    {
        var line = exception.Start.Line;
        var message = exception.InnerException?.Message ?? exception.Message;
        // When it speaks of a tab, the parser names the start of what it was reading; otherwise it stumbles over a tab where it is or just
        // before.
        var last = message.Contains(" tab", StringComparison.Ordinal) ? source.LineCount : exception.End.Line;
        for (var candidate = Math.Max(1, line - 1); candidate <= last; candidate++)
        {
            var text = source.Line(candidate);
            var tab = text.IndexOf('\t', StringComparison.Ordinal);
            if (tab >= 0 && tab < text.Length - text.TrimStart().Length)
            {
                return Diagnostic.Error("a tab is used for indentation", source.At(candidate, tab + 1), null, "indent with spaces");
            }
        }

        return Diagnostic.Error($"not valid YAML: {message.TrimEnd('.')}", source.At(line, exception.Start.Column));
    }

    private static DiagnosticException Refuse(string summary, SourceLocation at, string? remedy) =>
        new(Diagnostic.Error(summary, at, null, remedy));
}
