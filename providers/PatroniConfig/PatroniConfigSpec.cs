using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.PatroniConfig;

/// <summary>The dynamic configuration of a cluster as declared.</summary>
/// <param name="Settings">The values by flat key.</param>
/// <param name="Connection">How the cluster is reached.</param>
/// <param name="GateTimeout">How long to wait for members to take a value.</param>
internal sealed record PatroniConfigSpec(IReadOnlyDictionary<string, string> Settings, ClusterConnection Connection, TimeSpan GateTimeout)
{
    /// <summary>The attribute of the values.</summary>
    public const string SettingsKey = "settings";

    /// <summary>The attribute of the volume.</summary>
    public const string VolumeKey = "volume_path";

    /// <summary>The attribute of how many members have it.</summary>
    public const string VolumeMembersKey = "volume_members";

    /// <summary>Where each member has the volume that a part is of; null where none is said.</summary>
    public string? VolumePath { get; init; }

    /// <summary>How many members have it; null where that is not known.</summary>
    public long? VolumeMembers { get; init; }

    public static PatroniConfigSpec Of(Resource resource) =>
        new(resource.Spec.Map(SettingsKey), ClusterConnection.Of(resource), ClusterDefaults.GateTimeoutOf(resource))
        {
            VolumePath = resource.Spec.OptionalString(VolumeKey),
            VolumeMembers = resource.Spec.Integer(VolumeMembersKey),
        };
}
