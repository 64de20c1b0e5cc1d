using System.Collections.Immutable;

namespace KeyBuzz.Reconciler.Resources;

/// <summary>What a host really holds for a resource.</summary>
public abstract record Observation
{
    private Observation() { }

    /// <summary>Of a volume: whether what lies under it can be told. One that is unknown itself does not stand in the way of
    /// asking.</summary>
    public bool ShowsContent => this is Present { IsMounted: true } or Unknown;

    /// <summary>It is not there.</summary>
    /// <param name="Note">Something the plan should say, or null; for example what a device already holds.</param>
    public sealed record Absent(string? Note = null) : Observation
    {
        /// <summary>Of a volume: whether its device holds nothing at all, so that whatever once lay under it is gone.</summary>
        public bool IsBlank { get; init; }

        /// <summary>Attributes that have a value although it is not there, and that somebody else made so: such as whoever would make it
        /// again.</summary>
        public ImmutableSortedDictionary<string, AttributeValue> Foreign { get; init; } =
            ImmutableSortedDictionary<string, AttributeValue>.Empty;
    }

    /// <summary>It is there, with these values under the same names as the desired ones.</summary>
    /// <param name="Attributes">The values, in canonical form.</param>
    public sealed record Present(ImmutableSortedDictionary<string, AttributeValue> Attributes) : Observation
    {
        /// <summary>Something the plan should say, or null; for example what else is there and is kept.</summary>
        public string? Note { get; init; }

        /// <summary>Of a volume: whether it is mounted.</summary>
        public bool IsMounted { get; init; }

        /// <summary>Whether it is known to be kbr's own although no record says so; for example a role that was made when the cluster was
        /// initialised, or a group that makes nothing by itself.</summary>
        public bool IsManaged { get; init; }

        /// <summary>What the operator should be warned of, by host; for example a host that is to become a member.</summary>
        public ImmutableSortedDictionary<string, string> Warnings { get; init; } = ImmutableSortedDictionary<string, string>.Empty;

        /// <summary>Of a group: who takes part in it now and is none of its members in the configuration.</summary>
        public ImmutableArray<Outsider> Outsiders { get; init; } = [];

        /// <summary>What somebody else set on it. Plan, drift and status tell of it alike, and an apply leaves it.</summary>
        public ImmutableArray<ForeignSetting> Foreign { get; init; } = [];

        /// <summary>What the plan may say of how things are at this moment, such as who leads; null for nothing. It is never
        /// compared.</summary>
        public GroupOutlook? Outlook { get; init; }
    }

    /// <summary>It cannot be told: the host, the volume under it or the tool to ask is not there.</summary>
    /// <param name="Reason">Why, for the operator.</param>
    public sealed record Unknown(string Reason) : Observation
    {
        /// <summary>Set where what is there is another thing than the configuration means, such as another cluster: what to do. Then
        /// nothing at all is planned.</summary>
        public string? Remedy { get; init; }

        /// <summary>The evidence for that; null for none.</summary>
        public string? Detail { get; init; }
    }
}

/// <summary>Something that somebody else set on a resource, and that the configuration does not declare.</summary>
/// <param name="Name">What was set.</param>
/// <param name="Value">Its value, and what became of it.</param>
/// <param name="Remedy">What the operator may do about it.</param>
/// <param name="IsTrouble">Whether the resource is not well because of it, as where something waits for a restart: that is drift.</param>
public sealed record ForeignSetting(string Name, string Value, string Remedy, bool IsTrouble)
{
    /// <summary>What it is and what it became, in one line.</summary>
    public string Shown => $"{Name}: {Value}";
}

/// <summary>Somebody who takes part in a group and is none of its members in the configuration.</summary>
/// <param name="Name">By what name the group knows it, such as its address.</param>
/// <param name="Host">The host of the configuration that it is, or null.</param>
public sealed record Outsider(string Name, string? Host);

/// <summary>How a group is at this moment, as its provider sees it: shown, but never compared and never recorded.</summary>
public abstract record GroupOutlook;
