using System.Collections.Immutable;
using System.Globalization;
using KeyBuzz.Reconciler.Providers.Image;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.Container;

/// <summary>A container as wanted, typed and in canonical form.</summary>
internal sealed record ContainerSpec
{
    public required Address Address { get; init; }

    public required string Name { get; init; }

    public required string Image { get; init; }

    /// <summary>A shell command that must succeed before anything is touched. Null for none.</summary>
    public string? Validate { get; init; }

    /// <summary>Null for the image's own.</summary>
    public ImmutableArray<string>? Command { get; init; }

    /// <summary>Null for the image's own.</summary>
    public ImmutableArray<string>? Entrypoint { get; init; }

    public required IReadOnlyDictionary<string, string> Environment { get; init; }

    public required ImmutableArray<BindMount> Mounts { get; init; }

    public required string Network { get; init; }

    public string? User { get; init; }

    public string? Hostname { get; init; }

    public required long ShmSize { get; init; }

    public required long StopTimeout { get; init; }

    public required string Restart { get; init; }

    public string? SupervisedBy { get; init; }

    public required IReadOnlyDictionary<string, string> Labels { get; init; }

    public required IReadOnlyDictionary<string, string> Ulimits { get; init; }

    public required ImmutableArray<string> CapAdd { get; init; }

    public required ImmutableArray<string> CapDrop { get; init; }

    public required ImmutableArray<string> SecurityOpt { get; init; }

    public required string LogDriver { get; init; }

    public required IReadOnlyDictionary<string, string> LogOptions { get; init; }

    public required bool ReadOnly { get; init; }

    public required ImmutableArray<string> Tmpfs { get; init; }

    /// <summary>The name of the old container during a replacement.</summary>
    public string FormerName => Name + ".kbr-old";

    public static ContainerSpec Of(Resource resource)
    {
        var spec = resource.Spec;
        return new ContainerSpec
        {
            Address = resource.Address,
            Name = NameOf(resource),
            Image = spec.String("image"),
            Validate = spec.OptionalString("validate"),
            Command = spec.List("command") is { Count: > 0 } command ? [.. command] : null,
            Entrypoint = spec.List("entrypoint") is { Count: > 0 } entrypoint ? [.. entrypoint] : null,
            Environment = spec.Map("environment"),
            Mounts = [.. spec.List("mounts").Select(text => BindMount.TryParse(text, out var mount) ? mount : null).OfType<BindMount>()],
            Network =
                spec.OptionalString("network") is { } network && network != "default" ? network
                : spec.Has("network") ? "bridge"
                : "host",
            User = spec.OptionalString("user"),
            Hostname = spec.OptionalString("hostname"),
            ShmSize = spec.Integer("shm_size") ?? 64L << 20,
            StopTimeout = spec.Integer("stop_timeout") ?? 60,
            Restart = spec.OptionalString("restart") ?? "no",
            SupervisedBy = spec.OptionalString("supervised_by"),
            Labels = spec.Map("labels"),
            Ulimits = spec.Map("ulimits")
                .ToImmutableSortedDictionary(
                    pair => pair.Key,
                    pair => pair.Value.Contains(':', StringComparison.Ordinal) ? pair.Value : $"{pair.Value}:{pair.Value}",
                    StringComparer.Ordinal
                ),
            CapAdd = [.. spec.List("cap_add").Select(Capability).Order(StringComparer.Ordinal)],
            CapDrop = [.. spec.List("cap_drop").Select(Capability).Order(StringComparer.Ordinal)],
            SecurityOpt = [.. spec.List("security_opt").Select(SecurityOption).Order(StringComparer.Ordinal)],
            LogDriver = spec.OptionalString("log_driver") ?? "local",
            LogOptions = spec.Map("log_options"),
            ReadOnly = spec.Boolean("read_only"),
            Tmpfs = [.. spec.List("tmpfs")],
        };
    }

    /// <summary>Capabilities are written with and without their prefix, in any case.</summary>
    public static string Capability(string name)
    {
        var upper = name.ToUpperInvariant();
        return upper.StartsWith("CAP_", StringComparison.Ordinal) ? upper[4..] : upper;
    }

    /// <summary>Docker takes <c>no-new-privileges</c> with and without its value, and others after a colon or an equals sign.</summary>
    public static string SecurityOption(string option)
    {
        const string NoNewPrivileges = "no-new-privileges";
        var text = option.Replace(':', '=').ToLowerInvariant();
        return text is NoNewPrivileges or NoNewPrivileges + "=true" ? NoNewPrivileges : option;
    }

    public static IEnumerable<string> Problems(Resource resource)
    {
        var spec = resource.Spec;
        var name = NameOf(resource);
        if (
            name.Length < 2
            || !char.IsAsciiLetterOrDigit(name[0])
            || !name.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '_' or '.' or '-')
        )
        {
            yield return $"'{name}' is not a container name";
        }

        if (spec.OptionalString("image") is { } image && ImageReference.Problem(image) is { } problem)
        {
            yield return problem;
        }

        foreach (var mount in spec.List("mounts").Where(mount => !BindMount.TryParse(mount, out _)))
        {
            yield return $"mount '{mount}' is not source:target or source:target:ro with absolute paths of directories";
        }

        foreach (
            var twice in spec.List("mounts")
                .Where(mount => BindMount.TryParse(mount, out _))
                .GroupBy(mount => mount.Split(':')[1].TrimEnd('/'))
                .Where(group => group.Count() > 1)
        )
        {
            yield return $"two mounts have the target {twice.Key}";
        }

        if (spec.Has("supervised_by") && spec.OptionalString("restart") is { } restart && restart != "no")
        {
            yield return $"restart is '{restart}' but the unit {spec.String("supervised_by")} supervises the container: two "
                + $"supervisors would conflict, so restart must be 'no'";
        }

        foreach (var port in spec.List("ports").Where(port => !IsPort(port)))
        {
            yield return $"port '{port}' is not tcp/NUMBER or udp/NUMBER";
        }

        foreach (
            var capability in spec.List("cap_add")
                .Concat(spec.List("cap_drop"))
                .Where(capability => !Capability(capability).All(letter => char.IsAsciiLetterUpper(letter) || letter == '_'))
        )
        {
            yield return $"'{capability}' is not a capability such as NET_ADMIN, or ALL";
        }

        foreach (var both in spec.List("cap_add").Select(Capability).Intersect(spec.List("cap_drop").Select(Capability)))
        {
            yield return $"the capability {both} is in cap_add and in cap_drop";
        }

        foreach (
            var option in spec.List("security_opt")
                .Where(option => SecurityOption(option) != "no-new-privileges" && !option.Contains('=', StringComparison.Ordinal))
        )
        {
            yield return $"security_opt '{option}' is neither no-new-privileges nor NAME=VALUE";
        }

        foreach (var (limit, value) in spec.Map("ulimits"))
        {
            if (
                value.Split(':') is not ({ Length: 1 or 2 } numbers)
                || !numbers.All(number => long.TryParse(number, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out _))
            )
            {
                yield return $"ulimit {limit} '{value}' is not soft:hard";
            }
        }

        foreach (
            var key in spec.Map("environment")
                .Keys.Concat(spec.Map("labels").Keys)
                .Where(key => key.Length == 0 || key.Contains('=', StringComparison.Ordinal))
        )
        {
            yield return $"'{key}' cannot be the name of a variable or label";
        }
    }

    private static bool IsPort(string text) =>
        text.Split('/') is ["tcp" or "udp", var number]
        && ushort.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var port)
        && port > 0;

    private static string NameOf(Resource resource) => resource.Spec.OptionalString("container_name") ?? resource.Address.Name;
}
