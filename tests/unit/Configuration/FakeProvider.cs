using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Image;
using KeyBuzz.Reconciler.Providers.Preconditions;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Ssh;

namespace KeyBuzz.Reconciler.Tests.Configuration;

/// <summary>A resource type that is described and linked, and never read or changed: all the loader needs.</summary>
internal sealed class FakeProvider(ResourceSchema schema) : IHostResourceProvider
{
    public ResourceSchema Schema => schema;

    public Func<Resource, ResourceLinks> Linked { get; init; } = _ => ResourceLinks.None;

    public Func<Resource, IEnumerable<Diagnostic>> Checked { get; init; } = _ => [];

    public bool HoldsData(Resource resource) => false;

    public IEnumerable<Diagnostic> Validate(Resource resource) => Checked(resource);

    public ResourceLinks Links(Resource resource) => Linked(resource);

    public IEnumerable<Read> Reads(Resource resource) => [];

    public SortedMap<AttributeValue> Desired(Resource resource) => Comparable.None;

    public Observation Observe(Resource resource, Snapshot snapshot) => new Observation.Absent();

    public Script Render(ResourceChange change) => new("");

    public static ClusterSyntax Syntax => new(All, new PreconditionChecks().Kinds, new SshSection(), []);

    public static readonly IResourceProvider[] All =
    [
        new FakeProvider(
            new(
                "directory",
                "A directory.",
                [
                    new("path", AttributeKind.Path, "Where.") { Required = true },
                    new("owner", AttributeKind.String, "Who.") { Default = "root" },
                    new("mode", AttributeKind.Mode, "Permissions.") { Default = "0755" },
                ]
            )
        )
        {
            Linked = resource =>
                ResourceLinks.None with
                {
                    Provides = [$"path:{resource.Spec.String("path")}"],
                    ManagedPaths = [resource.Spec.String("path")],
                },
        },
        new FakeProvider(
            new(
                "config_file",
                "A file.",
                [
                    new("path", AttributeKind.Path, "Where.") { Required = true },
                    new("content", AttributeKind.Text, "What.") { Required = true, MayHoldSecret = true },
                ]
            )
        )
        {
            Linked = resource =>
                ResourceLinks.None with
                {
                    Provides = [$"path:{resource.Spec.String("path")}"],
                    ManagedPaths = [resource.Spec.String("path")],
                    ReplacedFiles = [resource.Spec.String("path")],
                },
        },
        new FakeProvider(
            new(
                "volume",
                "A file system.",
                [
                    new("device", AttributeKind.Path, "Which device.") { Required = true },
                    new("path", AttributeKind.Path, "Where.") { Required = true },
                ]
            )
        ),
        new FakeProvider(
            new(
                "container",
                "A container.",
                [
                    new("image", AttributeKind.String, "Which image.") { Required = true },
                    new("command", AttributeKind.StringList, "What it runs."),
                    new("environment", AttributeKind.StringMap, "Its variables."),
                    new("mounts", AttributeKind.StringList, "Directories."),
                    new("memory", AttributeKind.Size, "At most."),
                    new("replicas", AttributeKind.Integer, "How many.") { Minimum = 1, Default = 1 },
                    new("privileged", AttributeKind.Boolean, "All may."),
                    new("restart", AttributeKind.String, "When.") { Choices = ["no", "always", "on-failure"], Default = "no" },
                    new("port", AttributeKind.Integer, "Where it listens."),
                    new("login", AttributeKind.String, "A line with a password.") { MayHoldSecret = true },
                ]
            )
        )
        {
            Checked = resource =>
                ImageReference.Problem(resource.Spec.String("image")) is { } problem
                    ? [Diagnostic.Error($"'image': {problem}", resource.Location)]
                    : [],
            Linked = resource =>
                ResourceLinks.None with
                {
                    Ports = resource.Spec.Integer("port") is { } port ? [$"tcp/{port}"] : [],
                    Needs = [.. resource.Spec.List("mounts").Select(mount => "path:" + mount.Split(':')[0])],
                    UsedDirectories = [.. resource.Spec.List("mounts").Select(mount => mount.Split(':')[0])],
                },
        },
    ];
}
