using System.Collections.Immutable;

namespace KeyBuzz.Reconciler.Resources;

/// <summary>The actual state of a resource on its host, or of a group with a policy.</summary>
public abstract record Observation
{
    private Observation() { }

    /// <summary>Of a volume: whether what lies under it can be told. One that is unknown itself does not stand in the way of
    /// asking.</summary>
    public bool ShowsContent => this is Present { IsMounted: true } or Unknown;

    /// <summary>Of a group: members on which its policy has work before anything else changes
    /// (<see cref="IGroupPolicy.PrepareAsync"/>).</summary>
    public ImmutableSortedSet<string> Ahead { get; init; } = [];

    /// <summary>Of a group: members that an operator took out of service. Nothing on these hosts is changed, or counted as drift.</summary>
    public ImmutableSortedDictionary<string, HeldMember> Held { get; init; } = Nobody;

    /// <summary>No member at all.</summary>
    public static ImmutableSortedDictionary<string, HeldMember> Nobody { get; } =
        ImmutableSortedDictionary.Create<string, HeldMember>(StringComparer.Ordinal);

    /// <summary>It is not there.</summary>
    /// <param name="Note">Something the plan should say, or null; for example what a device already holds.</param>
    public sealed record Absent(string? Note = null) : Observation
    {
        /// <summary>Of a volume: whether its device holds nothing at all, so that whatever once lay under it is gone.</summary>
        public bool IsBlank { get; init; }

        /// <summary>Attributes with a value although the resource is absent, such as a foreign unit that would create it again.</summary>
        public SortedMap<AttributeValue> Foreign { get; init; } = SortedMap<AttributeValue>.Empty;
    }

    /// <summary>It is there, with these values under the same names as the desired ones.</summary>
    /// <param name="Attributes">The values, in canonical form.</param>
    public sealed record Present(SortedMap<AttributeValue> Attributes) : Observation
    {
        /// <summary>Something the plan should say, or null; for example what else is there and is kept.</summary>
        public string? Note { get; init; }

        /// <summary>Of a volume: whether it is mounted.</summary>
        public bool IsMounted { get; init; }

        /// <summary>Whether kbr manages it even without a record; for example a role created with the cluster.</summary>
        public bool IsManaged { get; init; }

        /// <summary>Warnings by host; for example about a host that becomes a member.</summary>
        public ImmutableSortedDictionary<string, string> Warnings { get; init; } = ImmutableSortedDictionary<string, string>.Empty;

        /// <summary>Of a group: participants that are not members in the configuration.</summary>
        public ImmutableArray<Outsider> Outsiders { get; init; } = [];

        /// <summary>Its undeclared settings. Plan, drift and status report them alike, and an apply keeps them.</summary>
        public ImmutableArray<ForeignSetting> Foreign { get; init; } = [];

        /// <summary>The momentary state for the plan's forecast, such as the primary; null for none. Never compared.</summary>
        public GroupOutlook? Outlook { get; init; }
    }

    /// <summary>It cannot be told: the host, the volume under it or the tool to ask is not there.</summary>
    /// <param name="Reason">Why, for the operator.</param>
    public sealed record Unknown(string Reason) : Observation
    {
        /// <summary>The remedy when the found object is not the declared one, such as another cluster. Nothing is planned then.</summary>
        public string? Remedy { get; init; }

        /// <summary>The evidence for that; null for none.</summary>
        public string? Detail { get; init; }

        /// <summary>Of a group: the setting of its policy that is at odds with it, where one is.</summary>
        public string? Setting { get; init; }
    }
}

/// <summary>A setting of a resource that the configuration does not declare.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Value">Its value, and its effect.</param>
/// <param name="Remedy">What the operator may do about it.</param>
/// <param name="IsTrouble">Whether it is a problem, such as a pending restart: that is drift.</param>
public sealed record ForeignSetting(string Name, string Value, string Remedy, bool IsTrouble)
{
    /// <summary>The name and the value, in one line.</summary>
    public string Shown => $"{Name}: {Value}";
}

/// <summary>A participant of a group that is not one of its members in the configuration.</summary>
/// <param name="Name">Its name in the group, such as its address.</param>
/// <param name="Host">The host of the configuration that it is, or null.</param>
public sealed record Outsider(string Name, string? Host);

/// <summary>A member that an operator took out of service.</summary>
/// <param name="Reason">What, since when, and why, as a sentence with its name.</param>
/// <param name="Remedy">What ends it.</param>
public sealed record HeldMember(string Reason, string Remedy);

/// <summary>How a group is at this moment, as its provider sees it: shown, but never compared and never recorded.</summary>
public abstract record GroupOutlook;
