using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Docker;

namespace KeyBuzz.Reconciler.Providers.SqlProxies;

/// <summary>What a server says of a login with TLS through an address: whether it is a replica, whether it is read-only, its own address
/// and that of the client, with a tab between them.</summary>
/// <param name="Login">How to log in.</param>
/// <param name="Address">The address.</param>
/// <param name="Port">The port.</param>
public sealed record TlsLoginRead(TlsLogin Login, string Address, int Port) : Read<ToolAnswer>
{
    /// <summary>The question.</summary>
    public const string Query =
        "SELECT pg_is_in_recovery()::text, current_setting('transaction_read_only'), "
        + "coalesce(host(inet_server_addr()), ''), coalesce(host(inet_client_addr()), '')";

    /// <summary>How it is asked and answered.</summary>
    public static ReadKind Kind { get; } = ReadKind.Of<TlsLoginRead>(Render, Parse);

    /// <summary>The four values; null for no answer.</summary>
    public static string[]? Values(ToolAnswer answer)
    {
        ArgumentNullException.ThrowIfNull(answer);
        return answer.ExitCode == 0 && answer.Output.TrimEnd().Split('\t') is { Length: 4 } values ? values : null;
    }

    private static void Render(ProbeText script, IReadOnlyList<TlsLoginRead> reads)
    {
        foreach (var (number, read) in reads.Index())
        {
            script.Append(read.Login.Render(read.Address, read.Port, "kbr", Query, script.Nonce + "_pw") + $"end l{number} $?\n");
        }
    }

    private static void Parse(ProbeAnswer answer, IReadOnlyList<TlsLoginRead> reads)
    {
        foreach (var (number, read) in reads.Index())
        {
            answer.Set(read, ToolAnswer.Of(answer.Part($"l{number}")));
        }
    }
}
