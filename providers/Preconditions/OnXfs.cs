using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.Preconditions;

/// <summary>A path lies on XFS.</summary>
internal sealed class OnXfs : PreconditionCheck
{
    public override string Kind => "xfs";

    public override string Description => "A path, or its nearest directory that exists, is on XFS.";

    public override string Example => "xfs: { level: error, path: /opt/data }";

    public override ImmutableArray<SectionKey> Keys =>
        [new("path", ValueForm.Word, "The path.") { Required = true, Example = "/opt/data" }];

    public override IEnumerable<DeclaredPrecondition> Read(SectionReader settings, HostTable hosts, Findings findings) =>
        ReadPath(settings, findings, required: true) is { } path
            ? [new DeclaredPrecondition(AttributeSet.Empty.With("path", path), settings.Map)]
            : [];

    public override Read Read(Precondition precondition) => Space(precondition);

    public override Finding? Evaluate(Precondition precondition, Snapshot snapshot)
    {
        var path = precondition.Settings.String("path");
        const string Remedy = "mkfs.xfs DEVICE and mount it at the path or above; or declare a 'volume' resource, which does both";
        return snapshot.Get(Space(precondition)) switch
        {
            null => new Finding($"{path} is not on XFS", $"there is no {path}", Remedy),
            { FileSystem: "xfs" } => null,
            var space => new Finding($"{path} is not on XFS", $"it is on {space.FileSystem}", Remedy),
        };
    }

    private static DiskSpaceRead Space(Precondition precondition) => new(precondition.Settings.String("path"));
}
