using System.Globalization;
using System.Text;
using System.Text.Json;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Providers.PostgreSql;

/// <summary>A small JSON document of kbr on a host, such as how far a restore is.</summary>
internal static class HostDocument
{
    private const string NameFormat = "yyyyMMdd'T'HHmmss'Z'";

    /// <summary>The JSON of an object with its format.</summary>
    /// <param name="format">The format.</param>
    /// <param name="members">Writes its other members.</param>
    public static string Json(int format, Action<Utf8JsonWriter> members)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream))
        {
            json.WriteStartObject();
            json.WriteNumber("format", format);
            members(json);
            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(stream.ToArray());
    }

    /// <summary>Shell that writes it: beside, synced, renamed.</summary>
    /// <param name="path">Its file; the folder is made.</param>
    /// <param name="json">Its JSON.</param>
    public static string Write(string path, string json)
    {
        var (file, folder) = (Script.Quote(path), Script.Quote(path[..path.LastIndexOf('/')]));
        return $"umask 077; mkdir -p {folder}; printf '%s\\n' {Script.Quote(json)} > {file}.new; "
            + $"sync {file}.new; mv -f {file}.new {file}\n";
    }

    /// <summary>The name of what begins then.</summary>
    public static string NameOf(DateTimeOffset time) => time.UtcDateTime.ToString(NameFormat, CultureInfo.InvariantCulture);

    /// <summary>The time that is a name.</summary>
    public static DateTimeOffset TimeOf(string name) =>
        DateTimeOffset.ParseExact(name, NameFormat, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal);

    /// <summary>Whether a word is such a name.</summary>
    public static bool IsName(string word) =>
        DateTimeOffset.TryParseExact(word, NameFormat, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out _);
}
