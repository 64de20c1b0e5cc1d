using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Processes;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.SystemdUnit;

/// <summary>A systemd unit: its file, whether it starts at boot, whether it runs, and whether it runs with the file as it is.</summary>
public sealed class SystemdUnitProvider : IHostResourceProvider
{
    internal const string Loaded = "loaded";
    internal const string DropIns = "drop_ins";
    internal const string Fragment = "fragment";

    private readonly string _markers;

    /// <summary>Makes the provider.</summary>
    /// <param name="markers">The directory on the hosts where it is noted what units have loaded.</param>
    public SystemdUnitProvider(string markers = LoadedMarker.DefaultDirectory) => _markers = markers;

    /// <inheritdoc />
    public ResourceSchema Schema { get; } =
        new(
            "systemd_unit",
            "A systemd unit, its file under /etc/systemd/system, and its state.",
            [
                new("unit", AttributeKind.String, "Its name, for example patroni.service; the resource's name with .service when left out.")
                {
                    Effect = ChangeEffect.Replace,
                },
                new("content", AttributeKind.Text, "The unit file; without it only the state of an existing unit is managed.")
                {
                    Effect = ChangeEffect.Disruptive,
                },
                new("enabled", AttributeKind.Boolean, "Whether it starts at boot.") { Default = true },
                new("active", AttributeKind.Boolean, "Whether it runs.") { Default = true, Effect = ChangeEffect.Disruptive },
                new("container", AttributeKind.String, "The container it supervises."),
                new(DropIns, AttributeKind.StringList, "Allowed drop-ins; any other drop-in of this unit is renamed to PATH.before-kbr.")
                {
                    Effect = ChangeEffect.Disruptive,
                },
            ]
        )
        {
            Computed = new Dictionary<string, ChangeEffect> { [Loaded] = ChangeEffect.Disruptive, [Fragment] = ChangeEffect.Disruptive },
        };

    /// <summary>A unit without content is not kbr's own: when it goes from the configuration it stays on the host.</summary>
    public bool HoldsData(Resource resource) => UnitSpec.Of(resource).Content is null;

    /// <inheritdoc />
    public IEnumerable<Diagnostic> Validate(Resource resource)
    {
        var spec = UnitSpec.Of(resource);
        var unit = spec.Name;
        if (
            !unit.Contains('.', StringComparison.Ordinal)
            || !unit.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is ':' or '-' or '_' or '.' or '\\' or '@')
        )
        {
            yield return Error(resource, $"'{unit}' is not a unit name with its suffix, as in patroni.service");
        }

        foreach (var path in spec.DropIns.Where(path => !spec.Definition.CanHave(path)))
        {
            yield return Error(
                resource,
                $"drop_ins '{path}' is not the path of a drop-in of {unit}",
                $"give it as in {UnitDefinition.Directory}{unit}.d/limits.conf"
            );
        }

        if (spec.Content is not { } content)
        {
            if (resource.Spec.Has(DropIns))
            {
                yield return Error(
                    resource,
                    "drop_ins needs content",
                    "drop-ins are compared only for units that kbr writes; remove drop_ins"
                );
            }

            yield break;
        }

        if (content.HasSecret)
        {
            yield return Error(
                resource,
                "a unit file is readable by everyone and must not hold secrets",
                "put the secret in a config_file with mode 0600 and name that file in the unit"
            );
        }

        if (spec.Enabled && !Lines(content.Reveal()).Contains("[Install]"))
        {
            yield return Error(
                resource,
                $"{unit} is enabled, but its content has no [Install] section",
                "add [Install] with WantedBy=multi-user.target, or write enabled: false"
            );
        }
    }

    /// <inheritdoc />
    public ResourceLinks Links(Resource resource)
    {
        var spec = UnitSpec.Of(resource);
        var needs = ImmutableArray.CreateBuilder<string>();
        const string Mounts = "RequiresMountsFor=";
        if (spec.Content is { } content)
        {
            needs.AddRange(
                Lines(content.Reveal())
                    .Where(line => line.StartsWith(Mounts, StringComparison.Ordinal))
                    .SelectMany(line => line[Mounts.Length..].Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries))
                    .Where(path => path.StartsWith('/'))
                    .Select(path => "path:" + path)
                    .Distinct()
            );
        }

        if (spec.Container is { } container)
        {
            needs.Add("container:" + container);
        }

        return new ResourceLinks(["unit:" + spec.Name], needs.ToImmutable()) { ManagedPaths = spec.Content is null ? [] : [spec.Path] };
    }

    /// <inheritdoc />
    public IEnumerable<Read> Reads(Resource resource)
    {
        var spec = UnitSpec.Of(resource);
        yield return new UnitRead(spec.Name);
        if (spec.Content is not null)
        {
            yield return new StatRead(spec.Path);
            yield return new FileRead(spec.Path);
            yield return Marker(resource).Read;
        }
    }

    /// <inheritdoc />
    public SortedMap<AttributeValue> Desired(Resource resource)
    {
        var spec = UnitSpec.Of(resource);
        var values = Comparable.None.Add("enabled", AttributeValue.Of(spec.Enabled)).Add("active", AttributeValue.Of(spec.Active));
        return spec.Content is { } content
            ? values
                .Add("content", AttributeValue.OfText(content))
                .Add("owner", new("root:root"))
                .Add("mode", new("0644"))
                .Add(Loaded, new(LoadedMarker.Current))
                .Add(DropIns, Paths(spec.DropIns))
                .Add(Fragment, new(spec.Path))
            : values;
    }

    /// <inheritdoc />
    public Observation Observe(Resource resource, Snapshot snapshot)
    {
        var spec = UnitSpec.Of(resource);
        var unit = snapshot.Get(new UnitRead(spec.Name));
        if (unit.Properties.Count == 0)
        {
            return new Observation.Unknown("systemd does not answer on this host");
        }

        var values = Comparable.None.Add("enabled", new(Enabled(unit, spec.Content))).Add("active", new(Active(unit["ActiveState"])));
        if (spec.Content is not { } wanted)
        {
            return unit["LoadState"] == "not-found" ? new Observation.Absent() : new Observation.Present(values);
        }

        var path = spec.Path;
        var definition = spec.Definition;
        var remedy = definition.Remedy(unit);
        if (snapshot.Get(new StatRead(path)) is not { } stat)
        {
            return new Observation.Absent(remedy);
        }

        values = values
            .Add(DropIns, Paths(definition.AllowedDropIns.Concat(definition.ForeignDropIns(unit))))
            .Add(Fragment, new(definition.Fragment(unit)));
        if (stat.Kind == "symbolic link" && definition.Fragment(unit) == UnitDefinition.Masked)
        {
            // There is no content, owner or mode to differ: that it is masked says it all.
            return new Observation.Present(
                values
                    .Add("content", AttributeValue.OfText(wanted))
                    .Add("owner", new("root:root"))
                    .Add("mode", new("0644"))
                    .Add(Loaded, new(LoadedMarker.Current))
            )
            {
                Note = remedy,
            };
        }

        if (!stat.Kind.StartsWith("regular", StringComparison.Ordinal) || snapshot.Get(new FileRead(path)) is not { } content)
        {
            return new Observation.Unknown($"{path} is a {stat.Kind}, not a readable unit file");
        }

        return new Observation.Present(
            values
                .Add("content", AttributeValue.OfText(content.Text))
                .Add("owner", new($"{stat.User}:{stat.Group}"))
                .Add("mode", AttributeValue.OfWord(stat.Mode))
                .Add(Loaded, new(JudgeLoaded()))
        )
        {
            Note = remedy,
        };

        string JudgeLoaded()
        {
            // Another content is going to be replaced and loaded anyway: that is one difference, not two.
            if (content.Text != wanted.Reveal())
            {
                return LoadedMarker.Current;
            }

            return unit["NeedDaemonReload"] == "yes"
                ? LoadedMarker.Stale
                : Marker(resource).Judge(ProcessReference.OfUnit(unit), stat, content, snapshot);
        }
    }

    /// <inheritdoc />
    public Script Render(ResourceChange change) => new UnitScripts(UnitSpec.Of(change.Resource), Marker(change.Resource)).Render(change);

    // A unit may start with several others, and be enabled for some of them only.
    private static string Enabled(UnitState unit, SecretText? content)
    {
        var state = Enabled(unit["UnitFileState"]);
        var missing =
            state != "true" || content is null
                ? []
                : Installed(content.Reveal()).Where(target => !unit.StartedWith.Contains(target)).ToList();
        return missing.Count == 0 ? state : $"not with {string.Join(" and ", missing)}";
    }

    // Only systemd can expand specifiers such as %i.
    private static IEnumerable<string> Installed(string content) =>
        Lines(content)
            .Where(line =>
                line.StartsWith("WantedBy=", StringComparison.Ordinal) || line.StartsWith("RequiredBy=", StringComparison.Ordinal)
            )
            .SelectMany(line =>
                line[(line.IndexOf('=', StringComparison.Ordinal) + 1)..].Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)
            )
            .Where(name => !name.Contains('%', StringComparison.Ordinal));

    private static string Enabled(string state) =>
        state switch
        {
            "enabled" or "alias" => "true",
            // Gone after a reboot, or never started: neither of the two supported states.
            "enabled-runtime" or "masked" or "masked-runtime" => state,
            _ => "false",
        };

    private static string Active(string state) =>
        state switch
        {
            "active" or "reloading" => "true",
            "inactive" => "false",
            _ => state,
        };

    private static IEnumerable<string> Lines(string text) => text.Split('\n').Select(line => line.Trim());

    private static AttributeValue Paths(IEnumerable<string> paths) =>
        new(string.Join('\n', paths.Distinct().Order(StringComparer.Ordinal)));

    private LoadedMarker Marker(Resource resource) => LoadedMarker.Of(resource.Address, _markers);

    private static Diagnostic Error(Resource resource, string summary, string? remedy = null) =>
        Diagnostic.Error(summary, resource.Location, remedy: remedy, address: resource.Address.ToString());
}
