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
    // A stored size counts as the part from half of it, so that a volume may grow without a change, to a tenth more.
    private const double Least = 0.5;
    private const double Most = 1.1;

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
    /// <param name="volume">The size of the smallest volume in bytes; null where no member tells.</param>
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

    /// <summary>The size of the smallest volume, of the members that tell.</summary>
    internal static long? Smallest(string? path, IEnumerable<Snapshot> members) =>
        path is null
            ? null
            : members
                .Where(member => member.Has(new DiskSpaceRead(path)))
                .Select(member => member.Get(new DiskSpaceRead(path))?.SizeBytes)
                .Where(size => size > 0)
                .Min();

    /// <summary>The change with sizes in place of parts.</summary>
    internal static async Task<ResourceChange> ResolveAsync(ResourceChange change, IGroupAccess group, CancellationToken cancellationToken)
    {
        var spec = PatroniConfigSpec.Of(change.Resource);
        if (change.Operation == ResourceOperation.Delete || !IsIn(spec.Settings))
        {
            return change;
        }

        var path = spec.VolumePath ?? "/";
        var answers = await PatroniGroup.ReadAllAsync(group, [new DiskSpaceRead(path)], cancellationToken).ConfigureAwait(false);
        var size = Smallest(path, answers.Values)
            ?? throw new ChangeFailedException($"no member of {spec.Connection.Scope} tells the size of {path}");
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
                && megabytes * Megabyte >= size / 100.0 * percent * Least
                && megabytes * Megabyte <= size / 100.0 * percent * Most
            )
        );
}
