using System.Buffers;
using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using System.Text.Json;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Records;

/// <summary>How an apply ended, in the history.</summary>
public enum HistoryResult
{
    /// <summary>Every approved change was made.</summary>
    Done,

    /// <summary>Some were made.</summary>
    Partly,

    /// <summary>None was made.</summary>
    Failed,
}

/// <summary>One apply, destroy or import in the history of a host. Its texts are free of secrets.</summary>
/// <param name="Id">A random word that is the same on every host.</param>
/// <param name="Begun">When its changes began, UTC.</param>
/// <param name="Ended">When they ended, UTC.</param>
/// <param name="Command">The command.</param>
/// <param name="User">The operator's login name.</param>
/// <param name="Machine">The operator's machine.</param>
/// <param name="Version">The version of kbr.</param>
/// <param name="Result">How it ended.</param>
public sealed record HistoryEntry(
    string Id,
    DateTimeOffset Begun,
    DateTimeOffset Ended,
    string Command,
    string User,
    string Machine,
    string Version,
    HistoryResult Result
)
{
    /// <summary>The version of the format.</summary>
    public const int FormatVersion = 1;

    /// <summary>The most changes that are listed; all are counted.</summary>
    public const int MostListed = 40;

    private const int LongestWord = 300;

    /// <summary>The hosts that it touched.</summary>
    public ImmutableArray<string> Hosts { get; init; } = [];

    /// <summary>How many changes were made.</summary>
    public int DoneCount { get; init; }

    /// <summary>How many failed.</summary>
    public int FailedCount { get; init; }

    /// <summary>How many were skipped.</summary>
    public int SkippedCount { get; init; }

    /// <summary>The changes that were made, each as <c>create directory.data@db-1</c>; the first ones.</summary>
    public ImmutableArray<string> Done { get; init; } = [];

    /// <summary>The changes that failed, each as <c>directory.data@db-1: reason</c>; the first ones.</summary>
    public ImmutableArray<string> Failed { get; init; } = [];

    /// <summary>A text as an entry can have it: in one line, and not too long.</summary>
    public static string Word(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var word = string.Concat(text.Select(c => char.IsControl(c) ? ' ' : c)).Trim();
        return word.Length > LongestWord ? word[..(LongestWord - 1)] + "…" : word;
    }

    /// <summary>The properties of the JSON object, without the braces: on the host the hash of the line before it goes first.</summary>
    public string Properties()
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteNumber("format_version", FormatVersion);
            WriteTo(json);
            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(buffer.WrittenSpan[1..^1]);
    }

    /// <summary>Writes the properties into the object that is open.</summary>
    public void WriteTo(Utf8JsonWriter json)
    {
        ArgumentNullException.ThrowIfNull(json);
        json.WriteString("id", Id);
        json.WriteString("begun", Time(Begun));
        json.WriteString("ended", Time(Ended));
        json.WriteString("command", Command);
        json.WriteString("user", User);
        json.WriteString("machine", Machine);
        json.WriteString("kbr_version", Version);
        json.WriteString("result", Result.ToString().ToLowerInvariant());
        WriteList("hosts", Hosts);
        json.WriteNumber("done", DoneCount);
        json.WriteNumber("failed", FailedCount);
        json.WriteNumber("skipped", SkippedCount);
        WriteList("changes", Done);
        WriteList("failures", Failed);

        static string Time(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture);

        void WriteList(string name, ImmutableArray<string> words)
        {
            json.WriteStartArray(name);
            foreach (var word in words)
            {
                json.WriteStringValue(word);
            }

            json.WriteEndArray();
        }
    }

    /// <summary>Reads an entry of a host, which may hold anything; null, and why, when it is none that kbr could have written.</summary>
    public static HistoryEntry? Read(JsonElement json, out string problem)
    {
        problem = "";
        try
        {
            if (json.GetProperty("format_version").GetInt32() is var version && version != FormatVersion)
            {
                problem = $"has format version {version}, and this kbr reads version {FormatVersion}";
                return null;
            }

            var entry = new HistoryEntry(
                Text(json, "id"),
                json.GetProperty("begun").GetDateTimeOffset(),
                json.GetProperty("ended").GetDateTimeOffset(),
                Text(json, "command"),
                Text(json, "user"),
                Text(json, "machine"),
                Text(json, "kbr_version"),
                Enum.TryParse<HistoryResult>(Text(json, "result"), ignoreCase: true, out var result) ? result : throw new FormatException()
            )
            {
                Hosts = List(json, "hosts", int.MaxValue),
                DoneCount = Count(json, "done"),
                FailedCount = Count(json, "failed"),
                SkippedCount = Count(json, "skipped"),
                Done = List(json, "changes", MostListed),
                Failed = List(json, "failures", MostListed),
            };
            if (
                entry.Id.Length == 32
                && entry.Id.All(char.IsAsciiHexDigitLower)
                && entry.Hosts.All(Address.IsPlace)
                && new[] { entry.Command, entry.User, entry.Machine, entry.Version }.Concat(entry.Done).Concat(entry.Failed).All(IsWord)
            )
            {
                return entry;
            }
        }
        catch (Exception exception)
            when (exception is JsonException or KeyNotFoundException or InvalidOperationException or FormatException or OverflowException)
        {
            // Nothing that kbr wrote.
        }

        problem = "is no entry that kbr writes";
        return null;
    }

    private static bool IsWord(string text) => text.Length <= LongestWord && !ControlCharacters.AreIn(text);

    private static string Text(JsonElement json, string name) => json.GetProperty(name).GetString() ?? throw new FormatException();

    private static int Count(JsonElement json, string name) =>
        json.GetProperty(name).GetInt32() is >= 0 and var count ? count : throw new FormatException();

    private static ImmutableArray<string> List(JsonElement json, string name, int most) =>
        json.GetProperty(name).GetArrayLength() <= most
            ? [.. json.GetProperty(name).EnumerateArray().Select(word => word.GetString() ?? throw new FormatException())]
            : throw new FormatException();
}
