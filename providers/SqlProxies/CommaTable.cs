namespace KeyBuzz.Reconciler.Providers.SqlProxies;

/// <summary>CSV with a header, as HAProxy's statistics and psql write it; quoted fields may hold commas, quotes doubled.</summary>
public static class CommaTable
{
    /// <summary>The rows by column name; none when there is no header.</summary>
    public static IReadOnlyList<IReadOnlyDictionary<string, string>> Read(string text)
    {
        var lines = text.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.TrimEnd('\r')).ToList();
        if (lines.Count == 0)
        {
            return [];
        }

        var header = Fields(lines[0].TrimStart('#', ' '));
        return
        [
            .. lines
                .Skip(1)
                .Select(line =>
                {
                    var fields = Fields(line);
                    return header
                        .Index()
                        .Where(column => column.Item.Length > 0 && column.Index < fields.Count)
                        .DistinctBy(column => column.Item)
                        .ToDictionary(column => column.Item, column => fields[column.Index], StringComparer.Ordinal);
                }),
        ];
    }

    private static List<string> Fields(string line)
    {
        var fields = new List<string>();
        var field = new System.Text.StringBuilder();
        var quoted = false;
        for (var i = 0; i < line.Length; i++)
        {
            switch (line[i])
            {
                case '"' when quoted && i + 1 < line.Length && line[i + 1] == '"':
                    field.Append('"');
                    i++;
                    break;
                case '"':
                    quoted = !quoted;
                    break;
                case ',' when !quoted:
                    fields.Add(field.ToString());
                    field.Clear();
                    break;
                default:
                    field.Append(line[i]);
                    break;
            }
        }

        fields.Add(field.ToString());
        return fields;
    }
}
