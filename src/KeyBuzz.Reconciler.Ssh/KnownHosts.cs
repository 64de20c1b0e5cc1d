using System.Buffers.Binary;
using System.Globalization;
using System.IO.Enumeration;
using System.Security.Cryptography;
using System.Text;

namespace KeyBuzz.Reconciler.Ssh;

/// <summary>The verdict of known_hosts on a host's key.</summary>
public enum HostKeyVerdict
{
    /// <summary>The key is listed for the host.</summary>
    Known,

    /// <summary>No key is listed for the host.</summary>
    Unknown,

    /// <summary>Other keys are listed for the host, but not this one.</summary>
    Changed,

    /// <summary>The key is listed as revoked.</summary>
    Revoked,

    /// <summary>Only a certificate authority is listed for the host, and it has not signed the key.</summary>
    AuthorityOnly,
}

/// <summary>An OpenSSH known_hosts file: plain and hashed names, <c>[host]:port</c>, wildcards, negation, <c>@revoked</c>,
/// <c>@cert-authority</c>.</summary>
public sealed class KnownHosts
{
    private static readonly Lock Writing = new();

    private readonly List<Entry> _entries = [];

    private KnownHosts() { }

    /// <summary>Reads files; one that does not exist is empty.</summary>
    public static KnownHosts Load(params IReadOnlyCollection<string> paths)
    {
        ArgumentNullException.ThrowIfNull(paths);
        var known = new KnownHosts();
        foreach (var path in paths.Where(File.Exists))
        {
            known.Add(path, File.ReadAllText(path));
        }

        return known;
    }

    /// <summary>Reads the text of a file. Lines that are not understood are left out, as ssh does.</summary>
    public static KnownHosts Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var known = new KnownHosts();
        known.Add("", text);
        return known;
    }

    private void Add(string file, string text)
    {
        foreach (var line in text.Split('\n'))
        {
            var words = line.Split([' ', '\t', '\r'], StringSplitOptions.RemoveEmptyEntries);
            var first = words.Length > 0 && words[0].StartsWith('@') ? 1 : 0;
            if (words.Length < first + 3 || words[0].StartsWith('#'))
            {
                continue;
            }

            var key = new byte[words[first + 2].Length];
            if (Convert.TryFromBase64String(words[first + 2], key, out var length))
            {
                _entries.Add(new Entry(file, first == 1 ? words[0] : "", words[first], words[first + 1], key[..length]));
            }
        }
    }

    /// <summary>The verdict on this key for this host.</summary>
    public HostKeyVerdict Check(string hostname, int port, ReadOnlySpan<byte> key) => Check(Name(hostname, port), key);

    /// <summary>The verdict on this key for a host, as <see cref="Name"/> or an alias names it.</summary>
    public HostKeyVerdict Check(string name, ReadOnlySpan<byte> key)
    {
        var known = false;
        var others = false;
        var authority = false;
        foreach (var entry in _entries)
        {
            if (!entry.Names(name))
            {
                continue;
            }

            var same = entry.Key.AsSpan().SequenceEqual(key);
            switch (entry.Marker)
            {
                case "@revoked" when same:
                    return HostKeyVerdict.Revoked;
                case "":
                    known |= same;
                    others = true;
                    break;
                case "@cert-authority":
                    authority = true;
                    break;
                default:
                    break;
            }
        }

        return known ? HostKeyVerdict.Known
            : others ? HostKeyVerdict.Changed
            : authority ? HostKeyVerdict.AuthorityOnly
            : HostKeyVerdict.Unknown;
    }

    /// <summary>Whether a certificate authority may vouch for a host.</summary>
    public bool HasAuthority(string name) => _entries.Exists(entry => entry.Marker == "@cert-authority" && entry.Names(name));

    /// <summary>Whether this is a certificate authority of the host.</summary>
    public bool IsAuthority(string name, ReadOnlySpan<byte> key)
    {
        foreach (var entry in _entries)
        {
            if (entry.Marker == "@cert-authority" && entry.Key.AsSpan().SequenceEqual(key) && entry.Names(name))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Whether the key is revoked for the host.</summary>
    public bool IsRevoked(string name, ReadOnlySpan<byte> key)
    {
        foreach (var entry in _entries)
        {
            if (entry.Marker == "@revoked" && entry.Key.AsSpan().SequenceEqual(key) && entry.Names(name))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>The first file with a key of the host; null for none.</summary>
    public string? FileOf(string name) => _entries.Find(entry => entry.Marker.Length == 0 && entry.Names(name))?.File;

    /// <summary>The types of the keys listed for a host, in the order of the file; the connection has to ask for one of them.</summary>
    public IReadOnlyList<string> KeyTypes(string hostname, int port) => KeyTypes(Name(hostname, port));

    /// <inheritdoc cref="KeyTypes(string, int)" />
    public IReadOnlyList<string> KeyTypes(string name) =>
        [
            .. _entries
                .Where(entry => entry.Marker.Length == 0 && entry.Names(name))
                .Select(entry => entry.Type)
                .Distinct(StringComparer.Ordinal),
        ];

    /// <summary>Appends a key to a file, which is made when it does not exist.</summary>
    public static void Add(string path, string hostname, int port, ReadOnlySpan<byte> key) => Add(path, Name(hostname, port), key);

    /// <summary>The line of a key, without its end.</summary>
    public static string Line(string name, ReadOnlySpan<byte> key) => $"{name} {TypeOf(key)} {Convert.ToBase64String(key)}";

    /// <summary>A name as OpenSSH hides it with <c>HashKnownHosts</c>.</summary>
    public static string Hashed(string name)
    {
        var salt = RandomNumberGenerator.GetBytes(20);
#pragma warning disable CA5350 // The file format's choice.
        return $"|1|{Convert.ToBase64String(salt)}|{Convert.ToBase64String(HMACSHA1.HashData(salt, Encoding.UTF8.GetBytes(name)))}";
#pragma warning restore CA5350
    }

    /// <summary>Appends a key to a file, which is made when it does not exist.</summary>
    public static void Add(string path, string name, ReadOnlySpan<byte> key)
    {
        var line = Line(name, key) + "\n";
        lock (Writing)
        {
            if (Path.GetDirectoryName(Path.GetFullPath(path)) is { } directory && !Directory.Exists(directory))
            {
                _ = OperatingSystem.IsWindows()
                    ? Directory.CreateDirectory(directory)
                    : Directory.CreateDirectory(directory, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            }

            using var file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.ReadWrite);
            if (file.Length > 0)
            {
                file.Seek(-1, SeekOrigin.End);
                if (file.ReadByte() != '\n')
                {
                    line = "\n" + line;
                }
            }

            file.Write(Encoding.UTF8.GetBytes(line));
        }
    }

    /// <summary>The fingerprint as ssh-keygen prints it.</summary>
    public static string Fingerprint(ReadOnlySpan<byte> key) => "SHA256:" + Convert.ToBase64String(SHA256.HashData(key)).TrimEnd('=');

    /// <summary>The type that a public key says it is, for example <c>ssh-ed25519</c>.</summary>
    public static string TypeOf(ReadOnlySpan<byte> key)
    {
        if (key.Length < 4 || BinaryPrimitives.ReadUInt32BigEndian(key) is var length && length > key.Length - 4)
        {
            return "unknown";
        }

        return Encoding.ASCII.GetString(key.Slice(4, (int)length));
    }

    /// <summary>How known_hosts names a host: with its port where that is not 22.</summary>
    public static string Name(string hostname, int port) =>
        port == 22 ? hostname.ToLowerInvariant() : string.Create(CultureInfo.InvariantCulture, $"[{hostname.ToLowerInvariant()}]:{port}");

    private sealed record Entry(string File, string Marker, string Patterns, string Type, byte[] Key)
    {
        public bool Names(string name)
        {
            if (Patterns.StartsWith("|1|", StringComparison.Ordinal))
            {
                return IsHashOf(name);
            }

            var matched = false;
            foreach (var pattern in Patterns.Split(','))
            {
                var negated = pattern.StartsWith('!');
                var glob = negated ? pattern[1..] : pattern;
                if (FileSystemName.MatchesSimpleExpression(glob.Replace("\\", "\\\\", StringComparison.Ordinal), name, ignoreCase: true))
                {
                    if (negated)
                    {
                        return false;
                    }

                    matched = true;
                }
            }

            return matched;
        }

        // |1|salt|hash: HMAC-SHA1 of the name under the salt is what OpenSSH writes; it hides names and guards nothing.
        private bool IsHashOf(string name)
        {
            var parts = Patterns.Split('|');
            var salt = new byte[64];
            var hash = new byte[64];
            if (
                parts.Length != 4
                || !Convert.TryFromBase64String(parts[2], salt, out var saltLength)
                || !Convert.TryFromBase64String(parts[3], hash, out var hashLength)
            )
            {
                return false;
            }

#pragma warning disable CA5350 // The file format's choice, see above.
            return HMACSHA1
                .HashData(salt.AsSpan(0, saltLength), Encoding.UTF8.GetBytes(name))
                .AsSpan()
                .SequenceEqual(hash.AsSpan(0, hashLength));
#pragma warning restore CA5350
        }
    }
}
