using System.Globalization;

namespace KeyBuzz.Reconciler.Hosts;

/// <summary>Whether a TCP port of another host answers, refuses or stays silent, tried from this host for at most two seconds.</summary>
public sealed record PortRead(string Address, int Port) : Read<PortState>
{
    /// <summary>How it is asked and answered.</summary>
    public static ReadKind Kind { get; } = ReadKind.Of<PortRead>(Collect, Parse, Start);

    // Ports may each take two seconds to stay silent: they are tried while the rest is read, and their lines wait in a pipe.
    private static void Start(ProbeText script, IReadOnlyList<PortRead> reads)
    {
        script
            .Append($"timeout 2 bash -s <<'{script.Nonce}_ports' 2>/dev/null | {{\n")
            .Append(
                "port() { if m=$({ : >\"/dev/tcp/$2/$3\"; } 2>&1); then echo \"$1 answered\"; else case $m in "
                    + "*'onnection refused'*) echo \"$1 refused\";; esac; fi; }\n"
            );
        foreach (var (number, read) in reads.Index())
        {
            script.Append($"port {number} {Script.Quote(read.Address)} {read.Port} &\n");
        }

        script.Append($"wait\n{script.Nonce}_ports\nexec 4<&0 </dev/null\n");
    }

    private static void Collect(ProbeText script, IReadOnlyList<PortRead> reads) => script.Append("cat <&4; end ports $?\n}\n");

    private static void Parse(ProbeAnswer answer, IReadOnlyList<PortRead> reads)
    {
        var states = answer
            .Part("ports")
            .Lines.Select(line => line.Split(' '))
            .Where(words => words.Length == 2)
            .ToDictionary(words => words[0], words => words[1], StringComparer.Ordinal);
        foreach (var (number, read) in reads.Index())
        {
            answer.Set(
                read,
                states.GetValueOrDefault(number.ToString(CultureInfo.InvariantCulture)) switch
                {
                    "answered" => PortState.Answered,
                    "refused" => PortState.Refused,
                    _ => PortState.Silent,
                }
            );
        }
    }
}

/// <summary>The answer of a port.</summary>
public enum PortState
{
    /// <summary>It accepted a connection.</summary>
    Answered,

    /// <summary>The host refused the connection: reachable, without a listener.</summary>
    Refused,

    /// <summary>No answer in time: filtered, or the host is down.</summary>
    Silent,
}
