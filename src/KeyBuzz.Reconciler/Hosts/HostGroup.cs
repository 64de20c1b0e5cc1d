using System.Collections.Immutable;

namespace KeyBuzz.Reconciler.Hosts;

/// <summary>Hosts that run one thing together, such as the members of a database cluster. A resource of the whole is placed on the
/// group, as in <c>database.app@cluster-1</c>. It is read from every member, and its record is kept on every member.</summary>
/// <param name="Name">The group's name; no host has it.</param>
/// <param name="Members">The names of its hosts, in the order of the file.</param>
public sealed record HostGroup(string Name, ImmutableArray<string> Members);
