using System.Collections.Immutable;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Processes;
using KeyBuzz.Reconciler.Providers.SystemdUnit;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.SystemdTimer;

/// <summary>A systemd timer and the service that it starts: both files, and whether the timer runs. A run of the service is no difference:
/// it comes and goes.</summary>
public sealed class SystemdTimerProvider : IHostResourceProvider
{
    internal const string Timer = "timer";
    internal const string Service = "service";
    internal const string Overridden = "overridden";
    internal const string Loaded = "loaded";

    private const string Owner = "root:root";
    private const string Mode = "0644";

    /// <inheritdoc />
    public ResourceSchema Schema { get; } =
        new(
            "systemd_timer",
            "A systemd timer with the service that it starts, their files under /etc/systemd/system.",
            [
                new("unit", AttributeKind.String, "The name of both without a suffix; the resource's name when left out.")
                {
                    Effect = ChangeEffect.Replace,
                },
                new("schedule", AttributeKind.StringList, "When it elapses, as systemd.time(7) has it: Sun 01:00, daily.")
                {
                    Required = true,
                },
                new(Service, AttributeKind.Text, "The file of the service, of Type=oneshot as a rule.") { Required = true },
                new("enabled", AttributeKind.Boolean, "Whether the timer runs, also after a boot.") { Default = true },
            ]
        );

    /// <inheritdoc />
    public bool HoldsData(Resource resource) => false;

    /// <inheritdoc />
    public IEnumerable<Diagnostic> Validate(Resource resource)
    {
        var spec = TimerSpec.Of(resource);
        if (spec.Name.Length == 0 || !spec.Name.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '-' or '_' or '.'))
        {
            yield return Error(resource, $"'{spec.Name}' is not the name of a unit without its suffix");
        }

        if (spec.Schedule.IsEmpty)
        {
            yield return Error(resource, "'schedule' is empty", "write when it elapses, as in [daily]");
        }

        foreach (var time in spec.Schedule)
        {
            if (CalendarTime.Problem(time) is { } problem)
            {
                yield return Error(resource, $"schedule '{time}': {problem}", CalendarTime.Remedy);
            }
        }

        if (spec.Service.HasSecret)
        {
            yield return Error(
                resource,
                "a unit file is readable by everyone and must not hold secrets",
                "put the secret in a config_file with mode 0600 and name that file in the service"
            );
        }
    }

    /// <inheritdoc />
    public ResourceLinks Links(Resource resource)
    {
        var spec = TimerSpec.Of(resource);
        return new ResourceLinks([$"unit:{spec.TimerUnit.Unit}", $"unit:{spec.ServiceUnit.Unit}"], [])
        {
            ManagedPaths = [spec.TimerUnit.Path, spec.ServiceUnit.Path],
        };
    }

    /// <inheritdoc />
    public IEnumerable<Read> Reads(Resource resource)
    {
        var spec = TimerSpec.Of(resource);
        foreach (var unit in (UnitDefinition[])[spec.TimerUnit, spec.ServiceUnit])
        {
            yield return new UnitRead(unit.Unit);
            yield return new StatRead(unit.Path);
            yield return new FileRead(unit.Path);
        }
    }

    /// <inheritdoc />
    public SortedMap<AttributeValue> Desired(Resource resource)
    {
        var spec = TimerSpec.Of(resource);
        return Comparable
            .None.Add(Timer, AttributeValue.OfText(SecretText.Plain(spec.Timer)))
            .Add(Service, AttributeValue.OfText(spec.Service))
            .Add("owner", new(Owner))
            .Add("mode", new(Mode))
            .Add("enabled", AttributeValue.Of(spec.Enabled))
            .Add("active", AttributeValue.Of(spec.Enabled))
            .Add(Overridden, new(""))
            .Add(Loaded, new(LoadedMarker.Current));
    }

    /// <inheritdoc />
    public Observation Observe(Resource resource, Snapshot snapshot)
    {
        var spec = TimerSpec.Of(resource);
        UnitDefinition[] units = [spec.TimerUnit, spec.ServiceUnit];
        var states = units.Select(unit => snapshot.Get(new UnitRead(unit.Unit))).ToArray();
        var stats = units.Select(unit => snapshot.Get(new StatRead(unit.Path))).ToArray();
        if (states[0].Properties.Count == 0)
        {
            return new Observation.Unknown("systemd does not answer on this host");
        }

        if (stats[0] is not { } timer)
        {
            return new Observation.Absent();
        }

        // That it is masked says it all.
        var isMasked = timer.Kind == "symbolic link" && units[0].Fragment(states[0]) == UnitDefinition.Masked;
        var others = stats
            .OfType<FileStat>()
            .Where(stat => stat.Kind != "symbolic link" || !isMasked)
            .Select(stat => (Owner: $"{stat.User}:{stat.Group}", stat.Mode))
            .ToList();
        return new Observation.Present(
            Comparable
                .None.Add(Timer, AttributeValue.OfText(isMasked ? SecretText.Plain(spec.Timer) : Text(0)))
                .Add(Service, AttributeValue.OfText(Text(1)))
                .Add("owner", new(others.Select(one => one.Owner).FirstOrDefault(owner => owner != Owner) ?? Owner))
                .Add("mode", new(others.Select(one => one.Mode).FirstOrDefault(mode => mode != Mode) ?? Mode))
                .Add("enabled", AttributeValue.Of(states[0]["UnitFileState"] == "enabled"))
                .Add("active", AttributeValue.Of(states[0]["ActiveState"] == "active"))
                .Add(
                    Overridden,
                    new(string.Join('\n', units.Select((unit, at) => Overrides(unit, states[at])).Where(text => text.Length > 0)))
                )
                .Add(Loaded, new(states.Any(state => state["NeedDaemonReload"] == "yes") ? LoadedMarker.Stale : LoadedMarker.Current))
        )
        {
            Note = string.Join("; ", units.SelectMany((unit, at) => Aside(unit, states[at]))) is { Length: > 0 } note ? note : null,
        };

        SecretText Text(int at) => SecretText.Plain(snapshot.Get(new FileRead(units[at].Path))?.Text ?? "");
    }

    /// <inheritdoc />
    public Script Render(ResourceChange change) => TimerScripts.Render(TimerSpec.Of(change.Resource), change);

    // A unit whose file was not loaded yet has no fragment.
    private static string Overrides(UnitDefinition unit, UnitState state) =>
        string.Join(
            '\n',
            (
                (string[])[.. unit.Fragment(state) == unit.Path ? [] : new[] { unit.Fragment(state) }, .. unit.ForeignDropIns(state)]
            ).Distinct()
        );

    private static IEnumerable<string> Aside(UnitDefinition unit, UnitState state) =>
        unit.ForeignDropIns(state)
            .Concat(unit.Fragment(state) is var fragment && fragment != unit.Path && fragment != UnitDefinition.Masked ? [fragment] : [])
            .Select(path => $"apply renames {path} to {path}{UnitDefinition.AsideSuffix}");

    private static Diagnostic Error(Resource resource, string summary, string? remedy = null) =>
        Diagnostic.Error(summary, resource.Location, remedy: remedy, address: resource.Address.ToString());
}
