using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.Supervision;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.Container;

/// <summary>Converts a desired container and Docker's description of one into the same form.</summary>
/// <remarks>Docker merges the image's values into a container's. A value that the specification leaves to the image is read as empty while
/// the container has the image's own value, so that any other value shows.</remarks>
internal static class ContainerComparison
{
    /// <summary>The label that says which resource made a container.</summary>
    public const string AddressLabel = "kbr.address";

    // How many attributes are compared, beside the name of the host. They are added in the order of their names: the map is sorted then.
    private const int Count = 22;

    public static SortedMap<AttributeValue> Desired(ContainerSpec spec)
    {
        var values = new SortedMap<AttributeValue>.Builder(spec.Hostname is null ? Count : Count + 1);
        values.Add("cap_add", Sorted(spec.CapAdd, word => word));
        values.Add("cap_drop", Sorted(spec.CapDrop, word => word));
        values.Add("command", AttributeValue.Of(spec.Command ?? []));
        values.Add("entrypoint", AttributeValue.Of(spec.Entrypoint ?? []));
        values.Add("environment", AttributeValue.Of(spec.Environment));
        if (spec.SupervisedBy is not null)
        {
            values.Add(ForeignUnits.Attribute, AttributeValue.OfWord(ForeignUnits.None));
        }

        if (spec.Hostname is { } hostname)
        {
            values.Add("hostname", new(hostname));
        }

        values.Add("image", new(spec.Image));
        values.Add("labels", AttributeValue.Of(spec.Labels));
        values.Add(ContainerProvider.Leftover, AttributeValue.Of(false));
        values.Add("log_driver", AttributeValue.OfWord(spec.LogDriver));
        values.Add("log_options", AttributeValue.Of(spec.LogOptions));
        values.Add("mounts", Sorted(spec.Mounts.Select(mount => mount.ToString())));
        values.Add("network", AttributeValue.OfWord(spec.Network));
        values.Add(ContainerProvider.Privileged, AttributeValue.Of(false));
        values.Add("read_only", AttributeValue.Of(spec.ReadOnly));
        values.Add("restart", AttributeValue.OfWord(spec.Restart));
        if (spec.SupervisedBy is null)
        {
            values.Add(ContainerProvider.Running, AttributeValue.Of(true));
        }

        values.Add("security_opt", Sorted(spec.SecurityOpt, word => word));
        values.Add("shm_size", AttributeValue.Of(spec.ShmSize));
        values.Add("stop_timeout", AttributeValue.Of(spec.StopTimeout));
        values.Add("tmpfs", Sorted(spec.Tmpfs, entry => entry.TrimEnd(':')));
        values.Add("ulimits", AttributeValue.Of(spec.Ulimits));
        values.Add("user", AttributeValue.OfWord(spec.User ?? ""));
        return values.ToMap();
    }

    /// <summary>Whether kbr made the container.</summary>
    public static bool IsManaged(string containerJson)
    {
        using var document = JsonDocument.Parse(containerJson);
        return Map(document.RootElement.GetProperty("Config"), "Labels").ContainsKey(AddressLabel);
    }

    public static SortedMap<AttributeValue> Observed(
        ContainerSpec spec,
        string containerJson,
        DockerAnswer image,
        bool leftover,
        ForeignUnits? units
    )
    {
        using var containerDocument = JsonDocument.Parse(containerJson);
        using var imageDocument = image.Status == 200 ? JsonDocument.Parse(image.Json) : null;
        var container = containerDocument.RootElement;
        var config = container.GetProperty("Config");
        var host = container.GetProperty("HostConfig");

        // The image's own values are known only for a container of the desired image; a container of another image is replaced anyway.
        var there = imageDocument?.RootElement;
        var own = there is { } declared && HasImage(container, spec.Image, declared) ? Member(declared, "Config") : null;

        var entrypoint = List(config, "Entrypoint");
        var command = List(config, "Cmd");
        if (
            spec.Entrypoint is { } wanted
            && wanted.Length <= entrypoint.Length + command.Length
            && entrypoint.AddRange(command).Take(wanted.Length).SequenceEqual(wanted)
        )
        {
            // docker create takes one word as entry point and the rest as the command.
            (command, entrypoint) = ([.. entrypoint.AddRange(command).Skip(wanted.Length)], wanted);
        }
        else if (spec.Entrypoint is null && (own is null || entrypoint.SequenceEqual(List(own, "Entrypoint"))))
        {
            entrypoint = [];
        }

        // A new entry point makes Docker drop the image's command.
        if (spec.Command is null && (own is null || (spec.Entrypoint is null && command.SequenceEqual(List(own, "Cmd")))))
        {
            command = [];
        }

        var user = Text(config, "User");
        var values = new SortedMap<AttributeValue>.Builder(spec.Hostname is null ? Count : Count + 1);
        values.Add("cap_add", Sorted(List(host, "CapAdd"), ContainerSpec.Capability));
        values.Add("cap_drop", Sorted(List(host, "CapDrop"), ContainerSpec.Capability));
        values.Add("command", AttributeValue.Of(command));
        values.Add("entrypoint", AttributeValue.Of(entrypoint));
        values.Add(
            "environment",
            AttributeValue.Of(WithoutImages(Variables(config), own is null ? null : Variables(own.Value), spec.Environment))
        );
        if (spec.SupervisedBy is not null)
        {
            values.Add(ForeignUnits.Attribute, AttributeValue.OfWord(units?.Value ?? ForeignUnits.None));
        }

        if (spec.Hostname is not null)
        {
            values.Add("hostname", new(Text(config, "Hostname")));
        }

        values.Add("image", new(ImageName(spec, container, there)));
        values.Add(
            "labels",
            AttributeValue.Of(
                WithoutImages(
                    Map(config, "Labels").Where((name, _) => name != AddressLabel),
                    own is null ? null : Map(own.Value, "Labels"),
                    spec.Labels
                )
            )
        );
        values.Add(ContainerProvider.Leftover, AttributeValue.Of(leftover));
        values.Add("log_driver", AttributeValue.OfWord(Member(host, "LogConfig") is { } log ? Text(log, "Type") : ""));
        values.Add("log_options", AttributeValue.Of(LogOptions(spec, host)));
        values.Add("mounts", Sorted(Mounts(container, own)));
        values.Add("network", AttributeValue.OfWord(Text(host, "NetworkMode") is var network && network == "default" ? "bridge" : network));
        values.Add(ContainerProvider.Privileged, AttributeValue.Of(Boolean(host, "Privileged")));
        values.Add("read_only", AttributeValue.Of(Boolean(host, "ReadonlyRootfs")));
        values.Add(
            "restart",
            AttributeValue.OfWord(Member(host, "RestartPolicy") is { } policy && Text(policy, "Name") is { Length: > 0 } name ? name : "no")
        );
        if (spec.SupervisedBy is null)
        {
            values.Add(ContainerProvider.Running, AttributeValue.Of(Text(container.GetProperty("State"), "Status") == "running"));
        }

        values.Add("security_opt", Sorted(List(host, "SecurityOpt"), ContainerSpec.SecurityOption));
        values.Add("shm_size", AttributeValue.Of(Number(host, "ShmSize") ?? 0));
        values.Add("stop_timeout", AttributeValue.Of(Number(config, "StopTimeout") ?? 10));
        values.Add("tmpfs", Sorted(Map(host, "Tmpfs").Select(pair => pair.Value.Length == 0 ? pair.Key : $"{pair.Key}:{pair.Value}")));
        values.Add("ulimits", AttributeValue.Of(Ulimits(host)));
        values.Add("user", AttributeValue.OfWord(spec.User is null && (own is null || user == Text(own.Value, "User")) ? "" : user));
        return values.ToMap();
    }

    /// <summary>Whether a container has the image of a reference: by their ids where the host has the image, by its name where it has
    /// not.</summary>
    /// <param name="container">The container, as Docker Engine describes it.</param>
    /// <param name="reference">The image as cluster.yaml names it.</param>
    /// <param name="image">The same image as Docker Engine describes it; null where the host does not have it.</param>
    public static bool HasImage(JsonElement container, string reference, JsonElement? image) =>
        image is { } there
            ? Text(there, "Id") == Text(container, "Image")
            : Member(container, "Config") is { } config && Text(config, "Image") == reference;

    private static string ImageName(ContainerSpec spec, JsonElement container, JsonElement? image)
    {
        var name = Text(container.GetProperty("Config"), "Image");
        if (HasImage(container, spec.Image, image))
        {
            return spec.Image;
        }

        return name == spec.Image ? $"{name} (another image of that name: {Text(container, "Image")})" : name;
    }

    private static SortedMap<string> WithoutImages(
        SortedMap<string> values,
        SortedMap<string>? images,
        IReadOnlyDictionary<string, string> wanted
    ) =>
        values.Where(
            (name, value) => wanted.ContainsKey(name) || (images is not null && !(images.TryGetValue(name, out var own) && own == value))
        );

    private static SortedMap<string> Variables(JsonElement config) =>
        ByName(List(config, "Env").Select(line => line.Split('=', 2)).Select(pair => (pair[0], pair.Length > 1 ? pair[1] : "")));

    // Docker keeps what it was told twice; the last one counts.
    private static SortedMap<string> ByName(IEnumerable<(string Name, string Value)> pairs)
    {
        var values = SortedMap<string>.Empty;
        foreach (var (name, value) in pairs)
        {
            values = values.SetItem(name, value);
        }

        return values;
    }

    // A volume that only the image asked for belongs to the image.
    private static IEnumerable<string> Mounts(JsonElement container, JsonElement? image)
    {
        var declared =
            image is { } config && Member(config, "Volumes") is { ValueKind: JsonValueKind.Object } volumes
                ? volumes.EnumerateObject().Select(volume => volume.Name).ToHashSet(StringComparer.Ordinal)
                : [];
        foreach (var mount in Items(container, "Mounts"))
        {
            var target = Text(mount, "Destination");
            switch (Text(mount, "Type"))
            {
                case "bind":
                    yield return new BindMount(Text(mount, "Source"), target, !Boolean(mount, "RW")).ToString();
                    break;
                case "volume" when declared.Contains(target) || image is null:
                    break;
                case var kind:
                    yield return $"{kind} {Text(mount, "Name")}:{target}";
                    break;
            }
        }
    }

    private static SortedMap<string> Ulimits(JsonElement host) =>
        ByName(
            Items(host, "Ulimits")
                .Select(limit =>
                    (Text(limit, "Name"), string.Create(CultureInfo.InvariantCulture, $"{Number(limit, "Soft")}:{Number(limit, "Hard")}"))
                )
        );

    // The engine adds the options of its own configuration: only those asked for are compared.
    private static SortedMap<string> LogOptions(ContainerSpec spec, JsonElement host)
    {
        var options = Member(host, "LogConfig") is { } log ? Map(log, "Config") : SortedMap<string>.Empty;
        return options.Where((name, _) => spec.LogOptions.ContainsKey(name));
    }

    private static AttributeValue Sorted(ImmutableArray<string> words, Func<string, string> canonical) =>
        words.IsEmpty ? AttributeValue.OfWord("") : Sorted(words.Select(canonical));

    private static AttributeValue Sorted(IEnumerable<string> words)
    {
        var sorted = words.ToArray();
        Array.Sort(sorted, StringComparer.Ordinal);
        return AttributeValue.Of(sorted);
    }

    private static JsonElement? Member(JsonElement element, string name) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null
            ? value
            : null;

    private static string Text(JsonElement element, string name) => Member(element, name)?.GetString() ?? "";

    private static long? Number(JsonElement element, string name) => Member(element, name)?.GetInt64();

    private static bool Boolean(JsonElement element, string name) => Member(element, name)?.GetBoolean() ?? false;

    private static JsonElement.ArrayEnumerator Items(JsonElement element, string name) =>
        Member(element, name)?.EnumerateArray() ?? default;

    private static ImmutableArray<string> List(JsonElement? element, string name) =>
        element is { } parent && Member(parent, name) is { } list && list.GetArrayLength() > 0
            ? [.. list.EnumerateArray().Select(item => item.GetString() ?? "")]
            : [];

    private static SortedMap<string> Map(JsonElement element, string name) =>
        Member(element, name) is { } map
            ? SortedMap.Of<string>(map.EnumerateObject().Select(pair => KeyValuePair.Create(pair.Name, pair.Value.GetString() ?? "")))
            : SortedMap<string>.Empty;
}
