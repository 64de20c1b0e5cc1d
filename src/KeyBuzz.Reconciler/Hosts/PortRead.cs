using System.Globalization;

namespace KeyBuzz.Reconciler.Hosts;

/// <summary>Whether a TCP port of another host answers, refuses or stays silent, tried from this host for at most two seconds.</summary>
public sealed record PortRead(string Address, int Port) : Read<PortState>
{
    /// <summary>How it is asked and answered.</summary>
    public static ReadKind Kind { get; } = ReadKind.Of<PortRead>(null, Parse, Start);

    // Ports may each take two seconds to stay silent.
    private static string Start(ProbeText script, IReadOnlyList<PortRead> reads)
    {
        var tries = string.Concat(reads.Index().Select(one => $"port {one.Index} {Script.Quote(one.Item.Address)} {one.Item.Port} &\n"));
        return script.RunBeside(
            $"""
            timeout 2 bash -s <<'{script.Nonce}_ports' 2>/dev/null
            port() {"{"} if m=$({"{"} : >"/dev/tcp/$2/$3"; {"}"} 2>&1); then echo "$1 answered"; else case $m in *'onnection refused'*) echo "$1 refused";; esac; fi; {"}"}
            {tries}wait
            {script.Nonce}_ports
            end ports $?
            """
        );
    }

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
