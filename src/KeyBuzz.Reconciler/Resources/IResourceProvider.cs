using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Resources;

/// <summary>A resource type: how it is described, read, compared and changed. A provider holds no state and does no I/O: it says what to
/// read and what to run; the engine does both.</summary>
public interface IResourceProvider
{
    /// <summary>The one description of the type.</summary>
    ResourceSchema Schema { get; }

    /// <summary>Whether the resource holds data: then destroy forgets it unless deleting data was asked for and confirmed.</summary>
    bool HoldsData(Resource resource);

    /// <summary>Checks what the schema alone cannot say, over one resource.</summary>
    IEnumerable<Diagnostic> Validate(Resource resource);

    /// <summary>The offers and needs of the resource, as tokens; the graph makes a <c>requires</c> edge from each need to the resource on
    /// the same host that offers it. A need of a path is met by the nearest offered ancestor.</summary>
    ResourceLinks Links(Resource resource);

    /// <summary>The reads that <see cref="Observe"/> wants.</summary>
    IEnumerable<Read> Reads(Resource resource);

    /// <summary>The desired values, compared by name with those of <see cref="Observe"/>.</summary>
    SortedMap<AttributeValue> Desired(Resource resource);
}

/// <summary>A type whose resources are each on one host.</summary>
public interface IHostResourceProvider : IResourceProvider
{
    /// <summary>Observes the resource in the snapshot.</summary>
    Observation Observe(Resource resource, Snapshot snapshot);

    /// <summary>The idempotent script that makes the change. It runs under <c>set -eu</c> as root; what it prints to stderr before failing
    /// is shown to the operator.</summary>
    Script Render(ResourceChange change);
}

/// <summary>A type whose resources belong to a <see cref="HostGroup"/> as a whole, such as a role or an extension of a database cluster.
/// <see cref="IResourceProvider.Reads"/> is asked on every member.</summary>
public interface IGroupResourceProvider : IResourceProvider
{
    /// <summary>Observes the resource in the members' answers.</summary>
    /// <param name="resource">The resource.</param>
    /// <param name="members">The members' answers by host name; a member that could not be read is missing.</param>
    Observation Observe(Resource resource, IReadOnlyDictionary<string, Snapshot> members);

    /// <summary>Makes the change, idempotently, and returns when it has taken effect. Throws <see cref="ChangeFailedException"/> with what
    /// to tell the operator.</summary>
    Task ChangeAsync(ResourceChange change, IGroupAccess group, CancellationToken cancellationToken);
}

/// <summary>A type of which some resources have nothing of their own to remove, such as the configuration of a cluster, or the roles
/// created with it. On removal or destroy such a resource is only forgotten.</summary>
public interface IForgottenOnRemoval
{
    /// <summary>Whether that resource is only forgotten.</summary>
    bool IsForgotten(Resource resource);
}

/// <summary>A type of a group whose change has a part without disruption that the group may need to become healthy, so that its gates can
/// open. That part goes first in an apply.</summary>
public interface IChangesAhead
{
    /// <summary>Makes that part, idempotently, where the group needs it; the rest of the change comes in its turn. Throws
    /// <see cref="ChangeFailedException"/> with what to tell the operator.</summary>
    Task ChangeAheadAsync(ResourceChange change, IGroupAccess group, CancellationToken cancellationToken);
}

/// <summary>A type of a group whose change disrupts a service by some of its attributes only. While no step may disrupt one, such as
/// outside a maintenance window, the others are changed. Pure.</summary>
public interface IChangesInPart
{
    /// <summary>The part of a change that disrupts nobody: a resource with the applied values and those of the changed ones. Null where
    /// there is none.</summary>
    /// <param name="change">The whole change.</param>
    /// <param name="applied">What was last applied.</param>
    /// <param name="outlook">The momentary state of the resource; null for none.</param>
    ResourceChange? WithoutDisruption(ResourceChange change, AttributeSet applied, GroupOutlook? outlook);
}

/// <summary>A change could not be made; the message is for the operator and names what was found and what to do.</summary>
public class ChangeFailedException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>A change stopped before a step that may not disrupt a service now: the rest of it is left for later.</summary>
public sealed class ChangeHeldException(string message) : ChangeFailedException(message);

/// <summary>The access of a group's change: its members, whose locks are held.</summary>
public interface IGroupAccess
{
    /// <summary>The members, in the order of the file.</summary>
    ImmutableArray<Host> Members { get; }

    /// <summary>The clock of this run.</summary>
    TimeProvider Time { get; }

    /// <summary>Receives what is done and awaited at the moment.</summary>
    IStepReport Report => NoStepReport.Instance;

    /// <summary>Why no step may begin now that disrupts a service, such as outside a maintenance window; null where it may. Asked before
    /// each such step.</summary>
    string? ClosedBecause => null;

    /// <summary>Reads from a member.</summary>
    Task<Snapshot> ReadAsync(string host, IReadOnlyCollection<Read> reads, CancellationToken cancellationToken);

    /// <summary>Runs a script on a member.</summary>
    Task<ScriptResult> RunAsync(string host, Script script, CancellationToken cancellationToken);

    /// <summary>Opens a tunnel to a port that a member can reach.</summary>
    Task<ITunnel> OpenTunnelAsync(string host, string address, int port, CancellationToken cancellationToken);
}

/// <summary>The offers and needs of a resource; tokens such as <c>path:/opt/data</c> or
/// <c>unit:NAME</c>.</summary>
/// <param name="Provides">What it offers.</param>
/// <param name="Needs">What it cannot be without.</param>
public sealed record ResourceLinks(ImmutableArray<string> Provides, ImmutableArray<string> Needs)
{
    /// <summary>Nothing either way.</summary>
    public static readonly ResourceLinks None = new([], []);

    /// <summary>Ports it will listen on (<c>tcp/5432</c>); two resources of one host with the same port are refused.</summary>
    public ImmutableArray<string> Ports { get; init; } = [];

    /// <summary>Those of its offers that name an object of the host without a path of its own.</summary>
    public ImmutableArray<string> Names { get; init; } = [];

    /// <summary>Files that are replaced by renaming: a program that holds such a file itself keeps the old one.</summary>
    public ImmutableArray<string> ReplacedFiles { get; init; } = [];

    /// <summary>For a volume: the mount point. Resources below it are unknown while it is not mounted.</summary>
    public string? MountPoint { get; init; }

    /// <summary>Paths that the resource manages, for the check that two do not manage the same.</summary>
    public ImmutableArray<string> ManagedPaths { get; init; } = [];

    /// <summary>Directories whose content it uses from its start on: resources that manage a path below one of them come first.</summary>
    public ImmutableArray<string> UsedDirectories { get; init; } = [];
}

/// <summary>The operation on a resource.</summary>
public enum ResourceOperation
{
    /// <summary>Make it.</summary>
    Create,

    /// <summary>Change the attributes named.</summary>
    Update,

    /// <summary>Take it down and make it anew.</summary>
    Replace,

    /// <summary>Remove it.</summary>
    Delete,
}

/// <summary>A change as a provider sees it.</summary>
/// <param name="Operation">What to do.</param>
/// <param name="Resource">The resource as desired; for a delete, as last recorded.</param>
/// <param name="Changed">The attributes that differ; for create, replace and delete, all.</param>
public sealed record ResourceChange(ResourceOperation Operation, Resource Resource, ImmutableSortedSet<string> Changed)
{
    /// <summary>Whether the operator asked for data to be deleted and confirmed it.</summary>
    public bool DeleteData { get; init; }

    /// <summary>Of the attributes that differ, the values that the plan found and showed.</summary>
    public ImmutableSortedDictionary<string, string> Found { get; init; } = ImmutableSortedDictionary<string, string>.Empty;

    /// <summary>Whether kbr adopts a resource that it did not create: named with <c>--adopt</c>, or recorded by an import.</summary>
    public bool Adopt { get; init; }

    /// <summary>Whether a later change of the same run replaces the process that loads the resource: it loads it then, so the old process
    /// may refuse it.</summary>
    public bool ProcessIsReplaced { get; init; }
}
