using System.Collections.Immutable;
using System.Globalization;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.PatroniConfig;

/// <summary>Limits of WAL as a part of the smallest member's volume, such as <c>30%</c>. What is declared and compared is the part; its
/// size is computed where it is stored, and a stored size that is near enough counts as that part.</summary>
public static class VolumeShare
{
    // Less than between two parts that can be declared: another part is always another size.
    private const double Tolerance = 0.005;

    private const int LargestPart = 90;
    private const long Megabyte = 1 << 20;

    /// <summary>The parameters that take one.</summary>
    public static ImmutableArray<string> Parameters { get; } = ["max_slot_wal_keep_size", "max_wal_size"];

    /// <summary>The per cent in the value of a parameter; null where it is none, or the parameter takes none.</summary>
    public static int? PercentOf(string parameter, string value)
    {
        ArgumentNullException.ThrowIfNull(value);
        return
            Parameters.Contains(parameter)
            && value.EndsWith('%')
            && int.TryParse(value.AsSpan(0, value.Length - 1).TrimEnd(), NumberStyles.None, CultureInfo.InvariantCulture, out var percent)
            && percent is > 0 and <= LargestPart
            ? percent
            : null;
    }

    /// <summary>The same by flat key of the dynamic configuration.</summary>
    public static int? PercentOfKey(string key, string value) =>
        DynamicSettings.ParameterOf(key) is { } name ? PercentOf(name, value) : null;

    /// <summary>Whether some value is one.</summary>
    internal static bool IsIn(IReadOnlyDictionary<string, string> settings) =>
        settings.Any(pair => PercentOfKey(pair.Key, pair.Value) is not null);

    /// <summary>The values with sizes: a stored one that is near enough stays. Without the size of any volume a stored one counts, too, and
    /// where nothing is stored the value stays a part.</summary>
    /// <param name="wanted">What is declared.</param>
    /// <param name="stored">What is stored.</param>
    /// <param name="volume">The size of the smallest volume in bytes; null where a member does not tell.</param>
    internal static IReadOnlyDictionary<string, string> Resolve(
        IReadOnlyDictionary<string, string> wanted,
        IReadOnlyDictionary<string, string> stored,
        long? volume
    ) =>
        !IsIn(wanted)
            ? wanted
            : wanted.ToImmutableSortedDictionary(
                pair => pair.Key,
                pair =>
                    PercentOfKey(pair.Key, pair.Value) is not { } percent ? pair.Value
                    : IsNear(stored.GetValueOrDefault(pair.Key), percent, volume) ? stored[pair.Key]
                    : volume is { } size ? Size(percent, size)
                    : pair.Value,
                StringComparer.Ordinal
            );

    /// <summary>What tells the size of a volume: that something is mounted there, and how large it is.</summary>
    internal static IEnumerable<Read> Reads(string path) => [new DiskSpaceRead(path), new MountsRead()];

    /// <summary>The size of the smallest volume; null while one of the members does not tell, because its own may be that one.</summary>
    /// <param name="path">Where the volumes are mounted.</param>
    /// <param name="expected">How many members there are; null where that is not known.</param>
    /// <param name="members">Their answers.</param>
    internal static long? Smallest(string? path, long? expected, IReadOnlyCollection<Snapshot> members)
    {
        if (path is null || members.Count == 0 || members.Count < expected)
        {
            return null;
        }

        var sizes = members.Select(member => SizeOf(path, member)).ToList();
        return sizes.TrueForAll(size => size > 0) ? sizes.Min() : null;
    }

    // Of a directory where nothing is mounted it would be the size of the root file system.
    private static long? SizeOf(string path, Snapshot member) =>
        member.Has(new DiskSpaceRead(path)) && member.Get(new MountsRead()).Any(mount => mount.MountPoint == path)
            ? member.Get(new DiskSpaceRead(path))?.SizeBytes
            : null;

    /// <summary>The change with sizes in place of parts.</summary>
    internal static async Task<ResourceChange> ResolveAsync(ResourceChange change, IGroupAccess group, CancellationToken cancellationToken)
    {
        var spec = PatroniConfigSpec.Of(change.Resource);
        if (change.Operation == ResourceOperation.Delete || !IsIn(spec.Settings))
        {
            return change;
        }

        var path = spec.VolumePath ?? "/";
        var answers = await PatroniGroup.ReadAllAsync(group, [.. Reads(path)], cancellationToken).ConfigureAwait(false);
        var size = Smallest(path, group.Members.Length, [.. answers.Values])
            ?? throw new ChangeFailedException(
                $"{string.Join(", ", group.Members.Select(member => member.Name).Where(name => !answers.TryGetValue(name, out var told) || SizeOf(path, told) is null))}"
                    + $": the size of the volume at {path} is not known, and so neither is its part; mount it, or write a size in place of "
                    + "the per cent"
            );
        var resolved = Resolve(spec.Settings, ImmutableDictionary<string, string>.Empty, size);
        return change with
        {
            Resource = change.Resource with
            {
                Spec = change.Resource.Spec.With(
                    PatroniConfigSpec.SettingsKey,
                    resolved.ToImmutableSortedDictionary(pair => pair.Key, pair => pair.Value, StringComparer.Ordinal)
                ),
            },
        };
    }

    private static string Size(int percent, long volume) =>
        string.Create(CultureInfo.InvariantCulture, $"{Math.Max(1, (long)((Int128)volume * percent / 100 / Megabyte))}MB");

    private static bool IsNear(string? stored, int percent, long? volume) =>
        stored is not null
        && (
            volume is not { } size
            || (
                ParameterValue.Number(stored, "MB") is { } megabytes
                && megabytes * Megabyte >= (size / 100.0 * percent * (1 - Tolerance)) - Megabyte
                && megabytes * Megabyte <= size / 100.0 * percent * (1 + Tolerance)
            )
        );
}
