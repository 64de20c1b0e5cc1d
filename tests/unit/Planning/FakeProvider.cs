using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.Planning;

/// <summary>A resource type with one value in place, one that replaces, and a text; a fake because the planner's table is about any
/// type.</summary>
internal sealed class FakeProvider(string type = "thing", bool holdsData = false, params AttributeDefinition[] attributes)
    : IHostResourceProvider,
        IReplaceable
{
    public ResourceSchema Schema { get; } =
        new(
            type,
            "A thing.",
            [
                new AttributeDefinition("value", AttributeKind.String, "In place."),
                new AttributeDefinition("kind", AttributeKind.String, "Replaces.") { Effect = ChangeEffect.Replace },
                new AttributeDefinition("place", AttributeKind.Path, "Where it is."),
                new AttributeDefinition("made_with", AttributeKind.String, "Stays what it was.") { FixedBecause = "it was made with it" },
                new AttributeDefinition("text", AttributeKind.Text, "A text.") { MayHoldSecret = true },
                .. attributes,
            ]
        )
        {
            MadeAnewFor = type == "renewed" ? ImmutableHashSet.Create("value") : [],
        };

    public bool HoldsData(Resource resource) => holdsData;

    public IEnumerable<Diagnostic> Validate(Resource resource) => [];

    public ResourceLinks Links(Resource resource)
    {
        var path = resource.Spec.OptionalString("place") ?? (type == "entry" ? "/disk/entry" : "/" + type);
        return new ResourceLinks(["path:" + path], []) { ManagedPaths = [path], MountPoint = type == "disk" ? path : null };
    }

    public IEnumerable<Read> Reads(Resource resource) => [];

    public SortedMap<AttributeValue> Desired(Resource resource) =>
        SortedMap.Of<AttributeValue>(
            resource
                .Spec.Names.Where(name => name is not ("place" or "made_with"))
                .Select(name => KeyValuePair.Create(name, AttributeValue.Of(resource.Spec[name]!)))
        );

    public Observation Observe(Resource resource, Snapshot snapshot) => throw new NotSupportedException("the planner does not observe");

    public Script Render(ResourceChange change) => throw new NotSupportedException("the planner does not render");
}
