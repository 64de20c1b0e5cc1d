namespace KeyBuzz.Reconciler.Providers.Volume;

/// <summary>Lines of fstab(5). IsManaged carry the option <c>x-kbr.volume=NAME</c>, which mount(8) and systemd ignore.</summary>
internal static class Fstab
{
    private const string Owned = "x-kbr.volume=";

    internal sealed record Entry(string Source, string Target, string Type, string Options, string Rest)
    {
        public bool IsManaged => Options.Split(',').Any(option => option.StartsWith(Owned, StringComparison.Ordinal));
    }

    /// <summary>The line for the volume, from that source.</summary>
    public static string Line(string source, VolumeSpec volume)
    {
        var options = volume.MountOptions.Split(',', StringSplitOptions.RemoveEmptyEntries).ToList();
        if (!options.Contains("nofail"))
        {
            options.Add("nofail");
        }

        options.Add(Owned + volume.Name);
        return $"{source} {volume.MountPoint} {volume.FileSystem} {string.Join(',', options)} 0 0";
    }

    /// <summary>The entries for a mount point, in order.</summary>
    public static IReadOnlyList<Entry> LinesFor(string text, string mountPoint) =>
        [
            .. text.Split('\n')
                .Select(line => line.Split([' ', '\t', '\r'], StringSplitOptions.RemoveEmptyEntries))
                .Where(fields => fields.Length >= 2 && fields[0][0] != '#' && fields[1] == mountPoint)
                .Select(fields => new Entry(
                    fields[0],
                    fields[1],
                    Field(fields, 2, "auto"),
                    Field(fields, 3, "defaults"),
                    $"{Field(fields, 4, "0")} {Field(fields, 5, "0")}"
                )),
        ];

    /// <summary>The entries as they are compared; null when there is none. The file system's own UUID is left open: it is not known before
    /// it is made.</summary>
    public static string? Describe(IReadOnlyList<Entry> entries, string? uuid) =>
        entries.Count == 0
            ? null
            : string.Join(
                " ; ",
                entries.Select(entry =>
                    $"{(uuid is not null && entry.Source == $"UUID={uuid}" ? "UUID=(its own)" : entry.Source)} "
                    + $"{entry.Target} {entry.Type} {entry.Options} {entry.Rest}"
                )
            );

    private static string Field(string[] fields, int index, string absent) => fields.Length > index ? fields[index] : absent;
}
