using System.Collections.Immutable;
using System.Text;
using System.Text.Json;

namespace KeyBuzz.Reconciler.Records;

/// <summary>Values by the names of a JSON object. Names that come in the order of the table are found at once: each search begins after the
/// name that was found last.</summary>
/// <typeparam name="T">What a name stands for.</typeparam>
internal sealed class NameTable<T>
{
    private readonly ImmutableArray<(byte[] Name, T Value)> _names;

    /// <summary>Takes the names, each once, in the order in which they most often come.</summary>
    public NameTable(IEnumerable<(string Name, T Value)> names) =>
        _names = [.. names.Select(pair => (Encoding.UTF8.GetBytes(pair.Name), pair.Value))];

    /// <summary>The value of the name that a reader stands at, or the default of its type.</summary>
    /// <param name="reader">The reader.</param>
    /// <param name="place">Where to begin, 0 for an object's first name; afterwards, where the next name is expected.</param>
    public T? Find(ref readonly Utf8JsonReader reader, ref int place)
    {
        for (var tried = 0; tried < _names.Length; tried++, place++)
        {
            if (place >= _names.Length)
            {
                place = 0;
            }

            var (name, value) = _names[place];
            if (reader.ValueTextEquals(name))
            {
                place++;
                return value;
            }
        }

        return default;
    }
}
