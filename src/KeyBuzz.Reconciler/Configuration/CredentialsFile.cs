using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Configuration;

/// <summary>A file of secrets: lines <c>NAME=value</c> as a shell reads them, with <c>export</c>, quotes and comments.</summary>
public sealed class CredentialsFile
{
    private CredentialsFile(ImmutableSortedDictionary<string, string> values, ImmutableArray<Diagnostic> findings) =>
        (Values, Findings) = (values, findings);

    /// <summary>The values by name; of a name that is given twice the last counts, as in a shell.</summary>
    public ImmutableSortedDictionary<string, string> Values { get; }

    /// <summary>Lines that cannot be read, and warnings. They never show a value.</summary>
    public ImmutableArray<Diagnostic> Findings { get; }

    /// <summary>Reads a file. Throws <see cref="DiagnosticException"/> when it cannot be read at all.</summary>
    /// <param name="path">The file.</param>
    /// <param name="shownAs">Its name as the operator knows it.</param>
    public static CredentialsFile Read(string path, string shownAs)
    {
        var source = SourceText.Read(path, shownAs, hidden: true);
        var findings = new Findings();
        if (PrivateFile.Problem(path) is { } problem)
        {
            findings.Error(
                $"the credentials file {shownAs} {problem}",
                new SourceLocation(shownAs, 1, 1, ""),
                null,
                PrivateFile.Remedy(shownAs)
            );
        }

        return Parse(source, findings);
    }

    /// <summary>Reads the text of such a file.</summary>
    /// <param name="text">The text.</param>
    /// <param name="shownAs">The name of the file as the operator knows it.</param>
    public static CredentialsFile Parse(string text, string shownAs) => Parse(SourceText.Of(text, shownAs, hidden: true), new Findings());

    /// <summary>Appends the names that have no value yet, each with a new random one. Every byte that is there stays; the file is replaced
    /// at once or not at all. Returns the names appended.</summary>
    public static IReadOnlyList<string> Initialize(string path, IReadOnlyList<string> names) => AppendMissing(path, names, NewSecret);

    /// <summary>Appends what is needed and has no value yet: secrets with a new random one, the others with their own. Returns the names
    /// appended.</summary>
    public static IReadOnlyList<string> Initialize(CredentialsNeeded needed) =>
        AppendMissing(needed.Path, needed.Names, name => needed.Values.GetValueOrDefault(name) ?? NewSecret());

    /// <summary>Appends the names that have no value yet, each with a value of the generator. Returns the names appended.</summary>
    public static IReadOnlyList<string> AppendMissing(string path, IReadOnlyList<string> names, Func<string> generator) =>
        AppendMissing(path, names, _ => generator());

    /// <summary>Gives a name a new random value, in place of the lines that it has. Every other line stays; the file is replaced at once or
    /// not at all. Throws <see cref="DiagnosticException"/>.</summary>
    public static void Renew(string path, string name)
    {
        try
        {
            var target = Path.GetFullPath(
                File.Exists(path) && File.ResolveLinkTarget(path, returnFinalTarget: true) is { } end ? end.FullName : path
            );
            var kept = new StringBuilder();
            foreach (var line in File.ReadAllLines(target))
            {
                var bare = line.TrimStart();
                bare = bare.StartsWith("export ", StringComparison.Ordinal) ? bare[7..].TrimStart() : bare;
                if (!bare.StartsWith(name + "=", StringComparison.Ordinal))
                {
                    kept.Append(line).Append('\n');
                }
            }

            WriteBeside(target, Encoding.UTF8.GetBytes(kept.ToString()), Encoding.UTF8.GetBytes($"{name}={NewSecret()}\n"));
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new DiagnosticException(Diagnostic.Error($"{path} cannot be written", null, exception.Message));
        }
    }

    private static string[] AppendMissing(string path, IReadOnlyList<string> names, Func<string, string> generator)
    {
        foreach (var name in names)
        {
            if (!ValueSyntax.IsVariableName(name))
            {
                throw new ArgumentException($"'{name}' cannot be the name of a secret", nameof(names));
            }
        }

        try
        {
            // A link stays a link: what it points to is replaced.
            var target = Path.GetFullPath(
                File.Exists(path) && File.ResolveLinkTarget(path, returnFinalTarget: true) is { } end ? end.FullName : path
            );
            byte[] existing = [];
            var known = ImmutableSortedDictionary<string, string>.Empty;
            if (File.Exists(target))
            {
                var read = Read(target, path);
                var broken = read.Findings.Where(finding => finding.Severity == Severity.Error).ToArray();
                if (broken.Length > 0)
                {
                    throw new DiagnosticException(broken);
                }

                known = read.Values;
                existing = File.ReadAllBytes(target);
            }

            var missing = names.Distinct().Where(name => !known.TryGetValue(name, out var value) || value.Length == 0).ToArray();
            if (missing.Length > 0)
            {
                WriteBeside(target, existing, Lines(existing, missing, generator));
            }

            return missing;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new DiagnosticException(Diagnostic.Error($"{path} cannot be written", null, exception.Message));
        }
    }

    private static string NewSecret() =>
        Convert.ToBase64String(RandomNumberGenerator.GetBytes(32)).TrimEnd('=').Replace('+', '-').Replace('/', '_');

    private static byte[] Lines(byte[] existing, string[] names, Func<string, string> generator)
    {
        var lineEnd = existing.AsSpan().IndexOf("\r\n"u8) >= 0 ? "\r\n" : "\n";
        var lines = new StringBuilder(existing.Length > 0 && existing[^1] != '\n' ? lineEnd : "");
        foreach (var name in names)
        {
            lines.Append(name).Append('=').Append(generator(name)).Append(lineEnd);
        }

        return Encoding.UTF8.GetBytes(lines.ToString());
    }

    private static void WriteBeside(string target, byte[] existing, byte[] appended)
    {
        const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        var directory = Path.GetDirectoryName(target)!;
        if (OperatingSystem.IsWindows())
        {
            Directory.CreateDirectory(directory);
        }
        else
        {
            Directory.CreateDirectory(directory, OwnerOnly | UnixFileMode.UserExecute);
        }

        LocalFile.Replace(
            target,
            stream =>
            {
                stream.Write(existing);
                stream.Write(appended);
            },
            OwnerOnly
        );
    }

    private static CredentialsFile Parse(SourceText source, Findings findings)
    {
        var values = ImmutableSortedDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        var number = 0;
        foreach (var raw in source.Text.ReplaceLineEndings("\n").Split('\n'))
        {
            number++;
            var line = raw.TrimStart();
            if (line.Length == 0 || line[0] == '#')
            {
                continue;
            }

            if (line.StartsWith("export ", StringComparison.Ordinal) || line.StartsWith("export\t", StringComparison.Ordinal))
            {
                line = line[7..].TrimStart();
            }

            // The line itself is never shown: it holds a secret, perhaps in the wrong place.
            var at = new SourceLocation(source.File, number, raw.Length - line.Length + 1, "");
            var equals = line.IndexOf('=', StringComparison.Ordinal);
            if (equals < 0 || !ValueSyntax.IsVariableName(line[..equals]))
            {
                findings.Error(
                    "not a line NAME=value",
                    at,
                    "the line is not shown because it may hold a secret",
                    "write NAME=value without spaces around '='"
                );
                continue;
            }

            var name = line[..equals];
            var problem = Unquote(line.AsSpan(equals + 1), out var value, out var expands);
            if (problem is not null)
            {
                findings.Error($"the value of {name} cannot be read: {problem}", at, null, "put the value in single quotes");
                continue;
            }

            if (expands)
            {
                findings.Warning(
                    $"the value of {name} holds a '$' or '`' that a shell would expand; kbr takes it literally",
                    at,
                    null,
                    "put the value in single quotes"
                );
            }

            if (values.TryGetValue(name, out var earlier) && earlier.Length > 0 && earlier != value)
            {
                findings.Warning($"{name} is given twice; the last value counts", at, null, "keep one of them");
            }

            values[name] = value;
        }

        return new CredentialsFile(values.ToImmutable(), [.. findings.All]);
    }

    private static string? Unquote(ReadOnlySpan<char> text, out string value, out bool expands)
    {
        var result = new StringBuilder();
        var quote = '\0';
        value = "";
        expands = false;
        for (var i = 0; i < text.Length; i++)
        {
            var letter = text[i];
            if (quote == '\'')
            {
                if (letter == '\'')
                {
                    quote = '\0';
                    continue;
                }
            }
            else if (letter == '\\' && (quote == '\0' || (i + 1 < text.Length && text[i + 1] is '"' or '\\' or '$' or '`')))
            {
                if (++i == text.Length)
                {
                    return "it ends in a backslash";
                }

                letter = text[i];
            }
            else if (letter == quote)
            {
                quote = '\0';
                continue;
            }
            else if (quote == '\0' && letter is '"' or '\'')
            {
                quote = letter;
                continue;
            }
            else if (quote == '\0' && letter is ' ' or '\t')
            {
                var rest = text[i..].Trim();
                if (!rest.IsEmpty && rest[0] != '#')
                {
                    return "it holds a space outside quotes";
                }

                break;
            }
            else if (quote == '\0' && letter is ';' or '&' or '|' or '<' or '>' or '(' or ')')
            {
                return "it has a shell character (one of ; & | < > ( and )) outside quotes";
            }
            else
            {
                expands |= letter is '$' or '`';
            }

            result.Append(letter);
        }

        value = result.ToString();
        return quote == '\0' ? null : "its quote is not closed";
    }
}
