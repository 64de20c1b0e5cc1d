using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Resources;

/// <summary>The name of a resource: <c>type.name@host</c>, for example <c>directory.data@db-1</c>.</summary>
/// <remarks>It is one reference, and its hash is made once: a cluster has many, and they are looked up over and over.</remarks>
public readonly struct Address : IEquatable<Address>, IComparable<Address>
{
    private const int LongestName = 200;
    private const string LowerCaseAndDigits = "abcdefghijklmnopqrstuvwxyz0123456789";

    private static readonly SearchValues<char> s_notInNames = SearchValues.Create(ControlCharacters.All + "/\\");
    private static readonly SearchValues<char> s_inTypes = SearchValues.Create(LowerCaseAndDigits + "_");
    private static readonly SearchValues<char> s_inPlaces = SearchValues.Create(LowerCaseAndDigits + "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_.");

    private readonly Words? _words;

    /// <summary>Takes the words.</summary>
    /// <param name="type">The resource type, for example <c>directory</c>.</param>
    /// <param name="name">The operator's name for it.</param>
    /// <param name="host">The host it is on.</param>
    public Address(string type, string name, string host) => _words = new Words(type, name, host);

    /// <summary>The resource type, for example <c>directory</c>.</summary>
    public string Type
    {
        get => _words?.Type ?? "";
        init => _words = new Words(value, Name, Host);
    }

    /// <summary>The operator's name for it.</summary>
    public string Name
    {
        get => _words?.Name ?? "";
        init => _words = new Words(Type, value, Host);
    }

    /// <summary>The host it is on.</summary>
    public string Host
    {
        get => _words?.Host ?? "";
        init => _words = new Words(Type, Name, value);
    }

    /// <summary>Whether two are the same name.</summary>
    public static bool operator ==(Address one, Address other) => one.Equals(other);

    /// <summary>Whether two are different names.</summary>
    public static bool operator !=(Address one, Address other) => !one.Equals(other);

    /// <inheritdoc />
    public bool Equals(Address other) =>
        ReferenceEquals(_words, other._words)
        || (_words is { } one && other._words is { } another && one.Hash == another.Hash && one.Same(another));

    /// <inheritdoc />
    public override bool Equals(object? obj) => obj is Address other && Equals(other);

    /// <inheritdoc />
    public override int GetHashCode() => _words?.Hash ?? 0;

    /// <inheritdoc />
    public override string ToString() => $"{Type}.{Name}@{Host}";

    /// <summary>A name for the thing that is called so elsewhere, such as a database: letters, digits, <c>-</c>, <c>_</c> and <c>.</c>
    /// stand for themselves, and every other character for the bytes of its UTF-8 as <c>%20</c>. So an address can be read again, and
    /// written in a shell as it is.</summary>
    public static string NameOf(string called)
    {
        ArgumentNullException.ThrowIfNull(called);
        var name = new StringBuilder(called.Length);
        Span<byte> bytes = stackalloc byte[4];
        foreach (var letter in called.EnumerateRunes())
        {
            if (Rune.IsLetterOrDigit(letter) || letter.Value is '-' or '_' or '.')
            {
                name.Append(letter);
                continue;
            }

            foreach (var part in bytes[..letter.EncodeToUtf8(bytes)])
            {
                name.Append(CultureInfo.InvariantCulture, $"%{part:X2}");
            }
        }

        return name.ToString();
    }

    /// <summary>Reads <c>type.name@host</c>.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out Address address)
    {
        var isAddress = TrySplit(text, out var type, out var name, out var host);
        address = isAddress ? new Address(type.ToString(), name.ToString(), host.ToString()) : default;
        return isAddress;
    }

    /// <summary>The words of <c>type.name@host</c>.</summary>
    internal static bool TrySplit(
        ReadOnlySpan<char> text,
        out ReadOnlySpan<char> type,
        out ReadOnlySpan<char> name,
        out ReadOnlySpan<char> host
    )
    {
        type = name = host = [];
        var (dot, at) = (text.IndexOf('.'), text.LastIndexOf('@'));
        if (dot <= 0 || at <= dot + 1 || at == text.Length - 1)
        {
            return false;
        }

        type = text[..dot];
        name = text[(dot + 1)..at];
        host = text[(at + 1)..];
        return true;
    }

    /// <summary>Whether it could stand in cluster.yaml, or in what a blueprint makes of it: an address becomes the name of a file as
    /// root.</summary>
    public bool CanBeDeclared =>
        Name.Length is > 0 and <= LongestName
        && Name is not ("." or "..")
        && !Name.AsSpan().ContainsAny(s_notInNames)
        && !Type.AsSpan().ContainsAnyExcept(s_inTypes)
        && IsPlace(Host);

    /// <summary>Whether it can be the name of a host or of a group.</summary>
    public static bool IsPlace(string name) =>
        name is { Length: > 0 and <= LongestName } && name[0] is not ('.' or '-') && !name.AsSpan().ContainsAnyExcept(s_inPlaces);

    /// <inheritdoc />
    public int CompareTo(Address other)
    {
        if (ReferenceEquals(_words, other._words))
        {
            return 0;
        }

        var byHost = string.CompareOrdinal(Host, other.Host);
        if (byHost != 0)
        {
            return byHost;
        }

        var byType = string.CompareOrdinal(Type, other.Type);
        return byType != 0 ? byType : string.CompareOrdinal(Name, other.Name);
    }

    private sealed class Words(string type, string name, string host)
    {
        public readonly string Type = type;
        public readonly string Name = name;
        public readonly string Host = host;
        public readonly int Hash = HashCode.Combine(
            name.GetHashCode(StringComparison.Ordinal),
            host.GetHashCode(StringComparison.Ordinal),
            type.Length
        );

        public bool Same(Words other) => Name == other.Name && Host == other.Host && Type == other.Type;
    }
}

/// <summary>A glob over addresses: <c>*</c> stands for any run of characters, <c>?</c> for one; without <c>@</c> every host is
/// meant.</summary>
public sealed class AddressPattern
{
    private readonly string _glob;

    /// <summary>Takes a glob such as <c>*@db-1</c> or <c>directory.*</c>.</summary>
    public AddressPattern(string glob) => _glob = glob.Contains('@', StringComparison.Ordinal) ? glob : glob + "@*";

    /// <summary>Whether it says which hosts are meant; otherwise every host is.</summary>
    public bool NamesHosts => !_glob.EndsWith("@*", StringComparison.Ordinal);

    /// <summary>Whether the address is meant.</summary>
    public bool Matches(Address address) =>
        System.IO.Enumeration.FileSystemName.MatchesSimpleExpression(_glob, address.ToString(), ignoreCase: false);

    /// <summary>Whether an address on that host, or of that group, could be meant.</summary>
    public bool MatchesHost(string host) =>
        System.IO.Enumeration.FileSystemName.MatchesSimpleExpression(_glob.AsSpan(_glob.LastIndexOf('@') + 1), host, ignoreCase: false);

    /// <inheritdoc />
    public override string ToString() => _glob;
}
