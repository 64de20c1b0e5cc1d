using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;

namespace KeyBuzz.Reconciler.Resources;

/// <summary>The policy of a <see cref="Hosts.HostGroup"/>: when its members are healthy together, and in which order they may be disrupted.
/// It makes nothing on a host, so it is no <see cref="Resource"/>: it has no record, and there is nothing to create, adopt or
/// delete.</summary>
/// <param name="Group">The group.</param>
/// <param name="Rules">What the policy asks, judges and does.</param>
/// <param name="Spec">Its settings.</param>
/// <param name="Location">Where cluster.yaml says it.</param>
public sealed record GroupPolicy(string Group, IGroupPolicy Rules, AttributeSet Spec, SourceLocation? Location = null) : IDeclared
{
    /// <summary>The type in the address of a group. No resource type has this name.</summary>
    public const string Type = "group";

    /// <inheritdoc />
    public Address Address => AddressOf(Group);

    /// <summary>Resources and groups that come first. The resources that run the group's members do anyway.</summary>
    public ImmutableArray<Address> After { get; init; } = [];

    /// <summary>The places in cluster.yaml of settings that have one of their own, by the setting's name.</summary>
    public IReadOnlyDictionary<string, SourceLocation>? Places { get; init; }

    /// <summary>Hosts of other groups that the policy also works on while it changes its own, so that their locks are taken as well. What
    /// it does there ends with the run.</summary>
    public ImmutableArray<string> Beside { get; init; } = [];

    /// <summary>Resources removed first when they left the configuration; only an order.</summary>
    public ImmutableArray<Address> AfterRemovalOf { get; init; } = [];

    /// <summary>The address of a group, for example <c>group.pg@pg</c>.</summary>
    public static Address AddressOf(string group) => new(Type, group, group);
}
