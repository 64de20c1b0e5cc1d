using System.Globalization;

namespace KeyBuzz.Reconciler.Hosts;

/// <summary>Whether a TCP port of another host answers, refuses or stays silent, tried from this host for two seconds.</summary>
public sealed record PortRead(string Address, int Port) : Read<PortState>
{
    /// <summary>How it is asked and answered.</summary>
    public static ReadKind Kind { get; } = ReadKind.Of<PortRead>(null, Parse, Start);

    // One process tries one after the other, which is all where each answers. Those that it does not come to, since one stays silent, are
    // tried at once, in a process each. The time runs from when they have begun: on a busy host a process takes long to start.
    private static string Start(ProbeText script, IReadOnlyList<PortRead> reads)
    {
        var tries = string.Concat(reads.Index().Select(one => $"\"$1\" {one.Index} {Script.Quote(one.Item.Address)} {one.Item.Port}\n"));
        return script.RunBeside(
            $$"""
            timeout 20 bash -s <<'{{script.Nonce}}_ports' 2>/dev/null
            port() { if { : >"/dev/tcp/$2/$3"; } 2>&1; then echo "$1 answered"; else echo "$1 failed"; fi; }
            late() { case $said in *$'\n'"$1 "*) ;; *) port "$@" & tried="$tried $!" ;; esac; }
            each() {
            {{tries}}:
            }
            within() { { sleep "$1"; kill $tried; } >/dev/null 2>&1 & wait $tried; kill $!; }
            first() { each port & tried=$!; within 1; }
            said=$'\n'$(first)
            printf '%s\n' "$said"
            tried=
            each late
            [ -z "$tried" ] || within 2
            {{script.Nonce}}_ports
            end ports $?
            """
        );
    }

    private static void Parse(ProbeAnswer answer, IReadOnlyList<PortRead> reads)
    {
        var lines = answer.Part("ports").Lines;
        var answered = lines.ToHashSet(StringComparer.Ordinal);
        foreach (var (number, read) in reads.Index())
        {
            // bash names the connection that it reports.
            var refused = $"/dev/tcp/{read.Address}/{read.Port}: Connection refused";
            answer.Set(
                read,
                answered.Contains(string.Create(CultureInfo.InvariantCulture, $"{number} answered")) ? PortState.Answered
                    : Array.Exists(lines, line => line.EndsWith(refused, StringComparison.Ordinal)) ? PortState.Refused
                    : PortState.Silent
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
