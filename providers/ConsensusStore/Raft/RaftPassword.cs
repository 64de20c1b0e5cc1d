using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.ConsensusStore.Raft;

/// <summary>RAFT's password, which Patroni takes only at its start: members with different ones cannot communicate. Pure.</summary>
internal static class RaftPassword
{
    /// <summary>The key of the section that turns it off, and the attribute of the desired mark.</summary>
    public const string Key = "raft_password";

    /// <summary>The name in the credentials file.</summary>
    public const string Credential = "PATRONI_RAFT_PASS";

    /// <summary>The label of a member's container with the fingerprint of the password that it was started with.</summary>
    public const string Label = "kbr.raft-password";

    /// <summary>The mark of a cluster without a RAFT password.</summary>
    public const string None = "none";

    /// <summary>Whether a member was started with the desired password. Null if neither its container nor the member reports it, as
    /// for a container from before that label.</summary>
    public static bool? IsDesired(IDeclared resource, Snapshot member, RaftRead read) =>
        resource.Spec.OptionalString(Key) is not { } wanted ? null
        : Mark(resource, member) is { } found ? found == wanted
        : member.Has(read) && RaftStatus.Parse(member.Get(read), out _)?.HasPassword is { } has && (!has || wanted == None)
            ? has == (wanted != None)
        : null;

    /// <summary>Whether a running member's container has no such label, for example one that kbr did not create.</summary>
    public static bool IsUnmarked(IDeclared resource, Snapshot member) =>
        resource.Spec.Has(Key) && ClusterConnection.Of(resource).Runs(member) == true && Mark(resource, member) is null;

    private static string? Mark(IDeclared resource, Snapshot member) =>
        JsonAnswer.Parse(member.Get(ClusterConnection.Of(resource).ContainerRead).Json)?.At("Config", "Labels")?.Text(Label);
}
