using System.Collections.Immutable;
using System.Globalization;
using KeyBuzz.Reconciler.Providers.Image;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.Container;

/// <summary>A container as wanted, typed and in canonical form. Each value is made when it is asked for: most questions are about a few
/// of them.</summary>
internal sealed class ContainerSpec
{
    private readonly Resource _resource;
    private readonly AttributeSet _spec;

    private ContainerSpec(Resource resource)
    {
        _resource = resource;
        _spec = resource.Spec;
    }

    public Address Address => _resource.Address;

    public string Name => NameOf(_resource);

    public string Image => _spec.String("image");

    /// <summary>A shell command that must succeed before anything is touched. Null for none.</summary>
    public string? Validate => _spec.OptionalString("validate");

    /// <summary>Null for the image's own.</summary>
    public ImmutableArray<string>? Command => _spec.List("command") is { Count: > 0 } command ? [.. command] : null;

    /// <summary>Null for the image's own.</summary>
    public ImmutableArray<string>? Entrypoint => _spec.List("entrypoint") is { Count: > 0 } entrypoint ? [.. entrypoint] : null;

    public IReadOnlyDictionary<string, string> Environment => _spec.Map("environment");

    public ImmutableArray<BindMount> Mounts =>
        [.. _spec.List("mounts").Select(text => BindMount.TryParse(text, out var mount) ? mount : null).OfType<BindMount>()];

    public string Network =>
        _spec.OptionalString("network") is { } network && network != "default" ? network
        : _spec.Has("network") ? "bridge"
        : "host";

    public string? User => _spec.OptionalString("user");

    public string? Hostname => _spec.OptionalString("hostname");

    public long ShmSize => _spec.Integer("shm_size") ?? 64L << 20;

    public long StopTimeout => _spec.Integer("stop_timeout") ?? 60;

    public string Restart => _spec.OptionalString("restart") ?? "no";

    public string? SupervisedBy => _spec.OptionalString("supervised_by");

    public IReadOnlyDictionary<string, string> Labels => _spec.Map("labels");

    public IReadOnlyDictionary<string, string> Ulimits =>
        _spec.Map("ulimits") is { Count: > 0 } limits
            ? SortedMap.Of<string>(
                limits.Select(pair =>
                    KeyValuePair.Create(
                        pair.Key,
                        pair.Value.Contains(':', StringComparison.Ordinal) ? pair.Value : $"{pair.Value}:{pair.Value}"
                    )
                )
            )
            : SortedMap<string>.Empty;

    public ImmutableArray<string> CapAdd => Sorted("cap_add", Capability);

    public ImmutableArray<string> CapDrop => Sorted("cap_drop", Capability);

    public ImmutableArray<string> SecurityOpt => Sorted("security_opt", SecurityOption);

    public string LogDriver => _spec.OptionalString("log_driver") ?? "local";

    public IReadOnlyDictionary<string, string> LogOptions => _spec.Map("log_options");

    public bool ReadOnly => _spec.Boolean("read_only");

    public ImmutableArray<string> Tmpfs => [.. _spec.List("tmpfs")];

    /// <summary>The name of the old container during a replacement.</summary>
    public string FormerName => FormerOf(Name);

    /// <summary>The name that the former container of a name has while it is replaced.</summary>
    public static string FormerOf(string name) => name + ".kbr-old";

    public static ContainerSpec Of(Resource resource) => new(resource);

    private ImmutableArray<string> Sorted(string attribute, Func<string, string> canonical) =>
        _spec.List(attribute) is { Count: > 0 } words ? [.. words.Select(canonical).Order(StringComparer.Ordinal)] : [];

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

        foreach (var option in spec.List("security_opt").Where(IsShownDifferently))
        {
            yield return $"security_opt '{option}': Docker Engine shows it in another form, so every apply would replace the "
                + "container; remove it, or use seccomp=unconfined or seccomp=builtin";
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

    // The client sends the content of a profile in place of its path, and lists of paths in place of systempaths.
    private static bool IsShownDifferently(string option) =>
        option.StartsWith("systempaths=", StringComparison.Ordinal)
        || (option.StartsWith("seccomp=", StringComparison.Ordinal) && option is not ("seccomp=unconfined" or "seccomp=builtin"));

    private static bool IsPort(string text) =>
        text.Split('/') is ["tcp" or "udp", var number]
        && ushort.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var port)
        && port > 0;

    private static string NameOf(Resource resource) => resource.Spec.OptionalString("container_name") ?? resource.Address.Name;
}
