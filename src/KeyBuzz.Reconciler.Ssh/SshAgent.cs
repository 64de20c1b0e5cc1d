using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Net.Sockets;

namespace KeyBuzz.Reconciler.Ssh;

/// <summary>An ssh-agent behind a socket of this machine: one connection a question, each with a deadline.</summary>
internal sealed class SshAgent(string path, TimeProvider time)
{
    private static readonly TimeSpan ListDeadline = TimeSpan.FromSeconds(5);

    // An agent may ask its user first (ssh-add -c), or wait for a touch.
    private static readonly TimeSpan SignDeadline = TimeSpan.FromSeconds(60);

    /// <summary>Its keys.</summary>
    /// <exception cref="SshProblem">It does not answer, or not as an agent.</exception>
    public Task<ImmutableArray<AgentKey>> ListAsync() =>
        AskAsync(AgentMessages.ListRequest, ListDeadline, answer => AgentMessages.ReadKeys(answer));

    /// <summary>A signature, as SSH writes it.</summary>
    /// <exception cref="SshProblem">It does not answer, or refuses.</exception>
    public Task<byte[]> SignAsync(ImmutableArray<byte> key, byte[] data, uint flags) =>
        AskAsync(AgentMessages.SignRequest(key.AsSpan(), data, flags), SignDeadline, answer => AgentMessages.ReadSignature(answer));

    private async Task<T> AskAsync<T>(byte[] question, TimeSpan limit, Func<byte[], T> read)
    {
        using var deadline = new CancellationTokenSource(limit, time);
        try
        {
            using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), deadline.Token).ConfigureAwait(false);
            for (var sent = 0; sent < question.Length; )
            {
                sent += await socket.SendAsync(question.AsMemory(sent), deadline.Token).ConfigureAwait(false);
            }

            var head = new byte[4];
            await FillAsync(socket, head, deadline.Token).ConfigureAwait(false);
            var length = BinaryPrimitives.ReadUInt32BigEndian(head);
            if (length is 0 or > AgentMessages.Largest)
            {
                throw new InvalidDataException("its answer is no answer of an agent");
            }

            var answer = new byte[length];
            await FillAsync(socket, answer, deadline.Token).ConfigureAwait(false);
            return read(answer);
        }
        catch (OperationCanceledException e)
        {
            throw new SshProblem(
                $"the ssh-agent at {path} did not answer within {limit.TotalSeconds:0} s",
                "try: ssh-add -l; or unset SSH_AUTH_SOCK, or set IdentityAgent none in ssh's configuration",
                e
            );
        }
        catch (Exception e) when (e is SocketException or InvalidDataException or ArgumentException)
        {
            throw new SshProblem($"the ssh-agent at {path} cannot be used: {e.Message}", "try: ssh-add -l", e);
        }
    }

    private static async Task FillAsync(Socket socket, byte[] buffer, CancellationToken cancellationToken)
    {
        for (var have = 0; have < buffer.Length; )
        {
            var count = await socket.ReceiveAsync(buffer.AsMemory(have), cancellationToken).ConfigureAwait(false);
            have += count > 0 ? count : throw new InvalidDataException("its answer is cut off");
        }
    }
}
