using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.Supervision;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.Container;

/// <summary>A container of Docker Engine, compared field by field with the answer of the engine's API.</summary>
public sealed class ContainerProvider : IHostResourceProvider, IReplaceable
{
    internal const string Running = "running";
    internal const string Leftover = "leftover";
    internal const string Privileged = "privileged";

    /// <inheritdoc />
    public ResourceSchema Schema { get; } =
        new(
            "container",
            "A container of Docker Engine.",
            [
                new("container_name", AttributeKind.String, "Its name; default: the resource's name.") { Effect = ChangeEffect.Replace },
                new(
                    "image",
                    AttributeKind.String,
                    "The image, by tag and digest, or by the tag of an image resource loaded from an archive."
                )
                {
                    Required = true,
                    Effect = ChangeEffect.Replace,
                },
                new("command", AttributeKind.StringList, "The command; default: the image's.") { Effect = ChangeEffect.Replace },
                new("entrypoint", AttributeKind.StringList, "The entry point; default: the image's.") { Effect = ChangeEffect.Replace },
                new("environment", AttributeKind.StringMap, "Variables besides the image's; docker inspect shows them, so no secrets.")
                {
                    Effect = ChangeEffect.Replace,
                },
                new("mounts", AttributeKind.StringList, "Directories of the host: source:target, or source:target:ro.")
                {
                    Effect = ChangeEffect.Replace,
                },
                new("network", AttributeKind.String, "The network it joins.") { Default = "host", Effect = ChangeEffect.Replace },
                new("user", AttributeKind.String, "The user it runs as; default: the image's.") { Effect = ChangeEffect.Replace },
                new("hostname", AttributeKind.String, "Its host name; default: chosen by Docker.") { Effect = ChangeEffect.Replace },
                new("shm_size", AttributeKind.Size, "The size of /dev/shm.") { Default = 64L << 20, Effect = ChangeEffect.Replace },
                new("stop_timeout", AttributeKind.Integer, "Seconds it is given to stop before it is killed.")
                {
                    Default = 60L,
                    Minimum = 1,
                    Effect = ChangeEffect.Replace,
                },
                new("restart", AttributeKind.String, "Docker's restart policy; 'no' when a unit supervises the container.")
                {
                    Default = "no",
                    Choices = ["no", "always", "unless-stopped", "on-failure"],
                },
                new("supervised_by", AttributeKind.String, "The systemd unit that starts and stops it, for example patroni.service."),
                new("labels", AttributeKind.StringMap, "Labels besides the image's.") { Effect = ChangeEffect.Replace },
                new("ulimits", AttributeKind.StringMap, "Limits by name, soft:hard or one number for both.")
                {
                    Effect = ChangeEffect.Replace,
                },
                new("cap_add", AttributeKind.StringList, "Capabilities besides Docker's defaults; with cap_drop: [ALL], the only ones.")
                {
                    Effect = ChangeEffect.Replace,
                },
                new("cap_drop", AttributeKind.StringList, "Default capabilities of Docker to drop; ALL drops every one.")
                {
                    Effect = ChangeEffect.Replace,
                },
                new("security_opt", AttributeKind.StringList, "Security options, for example no-new-privileges.")
                {
                    Effect = ChangeEffect.Replace,
                },
                new("log_driver", AttributeKind.String, "The log driver; local keeps a bounded, rotated log.")
                {
                    Default = "local",
                    Effect = ChangeEffect.Replace,
                },
                new("log_options", AttributeKind.StringMap, "Options of the log driver, for example max-size.")
                {
                    Effect = ChangeEffect.Replace,
                },
                new(
                    "ports",
                    AttributeKind.StringList,
                    "What it listens on in the host's network, for example tcp/5432; checked against other containers of the host."
                ),
                new(
                    "validate",
                    AttributeKind.String,
                    "A shell command that must succeed before the container is created and the previous one is stopped."
                ),
                new("read_only", AttributeKind.Boolean, "Whether its root file system is read-only.")
                {
                    Default = false,
                    Effect = ChangeEffect.Replace,
                },
                new("tmpfs", AttributeKind.StringList, "In-memory file systems (tmpfs): path or path:options.")
                {
                    Effect = ChangeEffect.Replace,
                },
            ]
        )
        {
            // A unit that is attached to the container may end it when it ends.
            Computed = new Dictionary<string, ChangeEffect>
            {
                [Privileged] = ChangeEffect.Replace,
                [ForeignUnits.Attribute] = ChangeEffect.Disruptive,
            },
        };

    /// <inheritdoc />
    public bool HoldsData(Resource resource) => false;

    /// <inheritdoc />
    public IEnumerable<Diagnostic> Validate(Resource resource) =>
        ContainerSpec
            .Problems(resource)
            .Select(problem => Diagnostic.Error(problem, resource.Location, address: resource.Address.ToString()));

    /// <inheritdoc />
    public ResourceLinks Links(Resource resource)
    {
        var spec = ContainerSpec.Of(resource);
        ImmutableArray<string> name = ["container:" + spec.Name];
        ImmutableArray<string> sources = [.. spec.Mounts.Select(mount => mount.Source)];
        return new ResourceLinks(name, [$"image:{spec.Image}", .. sources.Distinct().Select(source => "path:" + source)])
        {
            Names = name,
            Ports = [.. resource.Spec.List("ports")],

            // Its process may read them at once, so mounted directories are filled before it starts.
            UsedDirectories = sources,
        };
    }

    /// <inheritdoc />
    public IEnumerable<Read> Reads(Resource resource)
    {
        var spec = ContainerSpec.Of(resource);
        yield return new ContainerRead(spec.Name);
        yield return new ContainerRead(spec.FormerName);
        yield return new ImageRead(spec.Image);
        if (spec.SupervisedBy is not null)
        {
            yield return new ServicesRead();
        }
    }

    /// <inheritdoc />
    public SortedMap<AttributeValue> Desired(Resource resource) => ContainerComparison.Desired(ContainerSpec.Of(resource));

    /// <inheritdoc />
    public Observation Observe(Resource resource, Snapshot snapshot)
    {
        var spec = ContainerSpec.Of(resource);
        var container = snapshot.Get(new ContainerRead(spec.Name));
        var former = snapshot.Get(new ContainerRead(spec.FormerName));
        var units = spec.SupervisedBy is { } own ? ForeignUnits.Of(snapshot.Get(new ServicesRead()), spec.Name, own) : null;
        return container.Status switch
        {
            // Once kbr manages the container, another unit that starts it at times, such as a backup's, is no conflict.
            200 when units?.Problem(spec.Name) is { } problem && !ContainerComparison.IsManaged(container.Json) => new Observation.Unknown(
                problem
            ),
            200 => new Observation.Present(
                ContainerComparison.Observed(spec, container.Json, snapshot.Get(new ImageRead(spec.Image)), former.Status == 200, units)
            )
            {
                Note = units?.Note,
            },
            404 => new Observation.Absent(
                Join(
                    former.Status == 200 ? $"a replacement was interrupted: the previous container is kept as {spec.FormerName}" : null,
                    units?.Note
                )
            )
            {
                Foreign = units is { Replaceable.IsEmpty: false }
                    ? Comparable.None.Add(ForeignUnits.Attribute, new(units.Value))
                    : Comparable.None,
            },
            0 => new Observation.Unknown("Docker Engine does not answer on this host"),
            var status => new Observation.Unknown($"Docker Engine answers {status} to the query for the container {spec.Name}"),
        };
    }

    /// <inheritdoc />
    public Script Render(ResourceChange change)
    {
        var script = new ContainerScript(
            ContainerSpec.Of(change.Resource),
            change.Found.GetValueOrDefault(ForeignUnits.Attribute, ForeignUnits.None),
            change.Adopt
        );
        var text = change.Operation switch
        {
            ResourceOperation.Delete => script.Delete(),
            ResourceOperation.Update => script.Update(change.Changed),
            ResourceOperation.Create => script.Put(takeOver: change.Adopt, replaces: false),
            _ => script.Put(takeOver: true, replaces: true),
        };
        return new Script(text) { Deadline = TimeSpan.FromSeconds(180) + (2 * script.StopTimeout) };
    }

    private static string? Join(string? first, string? second) =>
        first is null ? second
        : second is null ? first
        : $"{first}; {second}";
}
