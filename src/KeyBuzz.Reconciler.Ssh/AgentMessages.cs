using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Text;

namespace KeyBuzz.Reconciler.Ssh;

/// <summary>A key that an agent holds.</summary>
/// <param name="Blob">The public key, or a certificate, as SSH writes it.</param>
/// <param name="Comment">The agent's word for it.</param>
public sealed record AgentKey(ImmutableArray<byte> Blob, string Comment);

/// <summary>The messages of the ssh-agent protocol (PROTOCOL.agent of OpenSSH): requests as bytes, answers as values.</summary>
public static class AgentMessages
{
    /// <summary>The largest message, as OpenSSH's.</summary>
    public const int Largest = 256 * 1024;

    private const int MostKeys = 256;
    private const byte ListAnswer = 12;
    private const byte SignAnswer = 14;
    private const byte Failure = 5;

    /// <summary>Asks for the keys.</summary>
    public static byte[] ListRequest => [0, 0, 0, 1, 11];

    /// <summary>Asks for a signature.</summary>
    /// <param name="key">The key.</param>
    /// <param name="data">What to sign.</param>
    /// <param name="flags">2 for rsa-sha2-256, 4 for rsa-sha2-512.</param>
    public static byte[] SignRequest(ReadOnlySpan<byte> key, ReadOnlySpan<byte> data, uint flags)
    {
        var message = new byte[4 + 1 + 4 + key.Length + 4 + data.Length + 4];
        var rest = message.AsSpan();
        BinaryPrimitives.WriteInt32BigEndian(rest, message.Length - 4);
        rest[4] = 13;
        rest = rest[5..];
        BinaryPrimitives.WriteInt32BigEndian(rest, key.Length);
        key.CopyTo(rest[4..]);
        rest = rest[(4 + key.Length)..];
        BinaryPrimitives.WriteInt32BigEndian(rest, data.Length);
        data.CopyTo(rest[4..]);
        BinaryPrimitives.WriteUInt32BigEndian(rest[(4 + data.Length)..], flags);
        return message;
    }

    /// <summary>The keys of an answer, without its length.</summary>
    /// <param name="answer">The answer.</param>
    /// <exception cref="InvalidDataException">It is no list of keys.</exception>
    public static ImmutableArray<AgentKey> ReadKeys(ReadOnlySpan<byte> answer)
    {
        var rest = Body(answer, ListAnswer);
        var count = Number(ref rest);
        if (count > MostKeys)
        {
            throw new InvalidDataException($"it holds {count} keys");
        }

        var keys = ImmutableArray.CreateBuilder<AgentKey>();
        for (var i = 0; i < count; i++)
        {
            var blob = Text(ref rest);
            keys.Add(new AgentKey([.. blob], Encoding.UTF8.GetString(Text(ref rest))));
        }

        return keys.ToImmutable();
    }

    /// <summary>The signature of an answer, without its length.</summary>
    /// <param name="answer">The answer.</param>
    /// <exception cref="InvalidDataException">It is no signature.</exception>
    public static byte[] ReadSignature(ReadOnlySpan<byte> answer)
    {
        var rest = Body(answer, SignAnswer);
        var signature = Text(ref rest);

        // Its form is its own length check: a name and a value.
        var inner = signature;
        return Text(ref inner).Length > 0 && Text(ref inner).Length > 0
            ? signature.ToArray()
            : throw new InvalidDataException("its signature is empty");
    }

    private static ReadOnlySpan<byte> Body(ReadOnlySpan<byte> answer, byte wanted) =>
        answer.Length > 0 && answer[0] == wanted ? answer[1..]
        : answer.Length > 0 && answer[0] == Failure ? throw new InvalidDataException("it refused")
        : throw new InvalidDataException("its answer is no answer of an agent");

    private static uint Number(ref ReadOnlySpan<byte> rest)
    {
        if (rest.Length < 4)
        {
            throw new InvalidDataException("its answer is cut off");
        }

        var number = BinaryPrimitives.ReadUInt32BigEndian(rest);
        rest = rest[4..];
        return number;
    }

    private static ReadOnlySpan<byte> Text(ref ReadOnlySpan<byte> rest)
    {
        var length = Number(ref rest);
        if (length > rest.Length)
        {
            throw new InvalidDataException("its answer is cut off");
        }

        var text = rest[..(int)length];
        rest = rest[(int)length..];
        return text;
    }
}
