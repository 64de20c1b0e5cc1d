using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;
using KeyBuzz.Reconciler.Records;
using Renci.SshNet;
using Renci.SshNet.Common;

namespace KeyBuzz.Reconciler.Ssh;

/// <summary>The private keys of this run: each file is read once, and its passphrase asked for once, when a server would take the
/// key.</summary>
internal sealed class PrivateKeys(SshPrompts prompts)
{
    private const int MostTries = 3;
    private const string Putty = "PuTTY-User-Key-File-";
    private readonly ConcurrentDictionary<string, Lazy<PrivateKey>> _keys = new(StringComparer.Ordinal);
    private readonly Lock _asking = new();
    private readonly List<string> _accepted = [];

    /// <summary>The key of a file.</summary>
    /// <exception cref="SshProblem">It cannot be used.</exception>
    public PrivateKey Open(string path) => _keys.GetOrAdd(path, _ => new Lazy<PrivateKey>(() => Read(path))).Value;

    private PrivateKey Read(string path)
    {
        try
        {
            if (PrivateFile.Problem(path) is { } problem)
            {
                throw new SshProblem($"the private key {path} {problem}", PrivateFile.Remedy(path));
            }

            var text = File.ReadAllText(path);
            if (text.Contains(Putty, StringComparison.Ordinal))
            {
                throw new SshProblem(
                    $"the private key {path} is in PuTTY's format, which kbr and OpenSSH do not read",
                    $"convert it: puttygen {path} -O private-openssh -o {path}.openssh"
                );
            }

            return EncryptedPkcs8.Parse(text) is not null ? Locked(path) : new PrivateKey(Parsed(text));
        }
        catch (CipherNotSupportedException e)
        {
            throw new SshProblem(
                $"the private key {path} is encrypted in a way that kbr does not read ({e.Message})",
                $"encrypt it anew: ssh-keygen -p -f {path}; or add it to an agent: ssh-add {path}",
                e
            );
        }
        catch (SshPassPhraseNullOrEmptyException)
        {
            return Locked(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SshProblem(
                $"the private key {path} cannot be read: {e.Message}",
                "set ssh.identity_file to a private key that you can read",
                e
            );
        }
        catch (Exception e) when (e is not SshProblem and not OutOfMemoryException)
        {
            throw new SshProblem($"{path} is not a private key that can be used: {e.Message}", "make one with ssh-keygen -t ed25519", e);
        }
    }

    private PrivateKey Locked(string path) => new(PublicKeyFile.Of(path), () => Unlock(path));

    // One question at a time; what opened one key is tried on the next.
    private PrivateKeyFile Unlock(string path)
    {
        lock (_asking)
        {
            foreach (var known in _accepted)
            {
                if (TryOpen(path, known) is { } key)
                {
                    return key;
                }
            }

            var wrong = false;
            if (prompts.Passphrase is { Length: > 0 } given)
            {
                if (Remembered(path, given) is { } key)
                {
                    return key;
                }

                wrong = true;
            }

            for (var i = 0; i < MostTries; i++)
            {
                if (prompts.AskPassphrase(path, i > 0) is not { } answer)
                {
                    throw i > 0 ? Wrong(path, "the passphrase was wrong")
                    : wrong ? Wrong(path, $"{SshConnector.PassphraseVariable} is not its passphrase")
                    : new SshProblem(
                        $"the private key {path} has a passphrase, and there is no terminal to ask for it",
                        $"add it to an agent: ssh-add {path}; or set {SshConnector.PassphraseVariable}"
                    );
                }

                if (Remembered(path, answer) is { } key)
                {
                    return key;
                }
            }

            throw Wrong(path, "the passphrase was wrong");
        }
    }

    private static SshProblem Wrong(string path, string why) =>
        new($"the private key {path} stays locked: {why}", $"try: ssh-keygen -y -f {path}; or add it to an agent: ssh-add {path}");

    private PrivateKeyFile? Remembered(string path, string passphrase)
    {
        var key = TryOpen(path, passphrase);
        if (key is not null)
        {
            _accepted.Add(passphrase);
        }

        return key;
    }

    private static PrivateKeyFile? TryOpen(string path, string passphrase)
    {
        try
        {
            var text = File.ReadAllText(path);
            return EncryptedPkcs8.Parse(text) is { } encrypted ? Parsed(encrypted.Decrypt(passphrase), null) : Parsed(text, passphrase);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // With a wrong passphrase the library reads noise, and any parser may stumble over it.
            return null;
        }
    }

    // The library gets the text that was looked at, and not the file a second time.
    private static PrivateKeyFile Parsed(string text, string? passphrase = null)
    {
        KeyDerivation.Check(text);
        return Parsed(Encoding.UTF8.GetBytes(text), passphrase);
    }

    private static PrivateKeyFile Parsed(byte[] text, string? passphrase)
    {
        try
        {
            using var stream = new MemoryStream(text);
            return new PrivateKeyFile(stream, passphrase);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(text);
        }
    }
}

/// <summary>A private key; one with a passphrase is unlocked when it is to sign, once.</summary>
internal sealed class PrivateKey
{
    private readonly Lazy<PrivateKeyFile> _file;
    private readonly ImmutableArray<byte> _public;

    public PrivateKey(PrivateKeyFile file)
    {
        _file = new Lazy<PrivateKeyFile>(file);
        _public = [.. file.HostKeyAlgorithms.Last().Data];
    }

    public PrivateKey(ImmutableArray<byte> publicKey, Func<PrivateKeyFile> unlock)
    {
        _file = new Lazy<PrivateKeyFile>(unlock);
        _public = publicKey;
        IsLocked = true;
    }

    /// <summary>Whether it has a passphrase.</summary>
    public bool IsLocked { get; }

    /// <summary>The public key; one that no file shows is had by unlocking.</summary>
    public ImmutableArray<byte> Public => _public.Length > 0 ? _public : [.. _file.Value.HostKeyAlgorithms.Last().Data];

    /// <summary>Signs with an algorithm such as <c>rsa-sha2-512</c>.</summary>
    public byte[] Sign(string algorithm, byte[] data)
    {
        var file = _file.Value;

        // Several connections share it.
        lock (_file)
        {
            return file.HostKeyAlgorithms.First(each => each.Name == algorithm).Sign(data);
        }
    }
}
