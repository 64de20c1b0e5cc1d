using System.Collections.Immutable;
using System.Text;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.ConfigFile;
using KeyBuzz.Reconciler.Providers.Processes;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.SystemdUnit;

/// <summary>A systemd unit: its file, whether it starts at boot, whether it runs, and whether it runs with the file as it is.</summary>
public sealed class SystemdUnitProvider : IHostResourceProvider
{
    private const string Loaded = "loaded";
    private const string DropIns = "drop_ins";
    private const string Fragment = "fragment";

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
            Computed = ImmutableDictionary<string, ChangeEffect>
                .Empty.Add(Loaded, ChangeEffect.Disruptive)
                .Add(Fragment, ChangeEffect.Disruptive),
        };

    /// <summary>A unit without content is not kbr's own: when it goes from the configuration it stays on the host.</summary>
    public bool HoldsData(Resource resource) => Content(resource) is null;

    /// <inheritdoc />
    public IEnumerable<Diagnostic> Validate(Resource resource)
    {
        var unit = Unit(resource);
        if (
            !unit.Contains('.', StringComparison.Ordinal)
            || !unit.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is ':' or '-' or '_' or '.' or '\\' or '@')
        )
        {
            yield return Error(resource, $"'{unit}' is not a unit name with its suffix, as in patroni.service");
        }

        foreach (var path in resource.Spec.List(DropIns).Where(path => !Definition(resource).CanHave(path)))
        {
            yield return Error(
                resource,
                $"drop_ins '{path}' is not the path of a drop-in of {unit}",
                $"give it as in {UnitDefinition.Directory}{unit}.d/limits.conf"
            );
        }

        if (Content(resource) is not { } content)
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

        if (resource.Spec.Boolean("enabled") && !Lines(content.Reveal()).Contains("[Install]"))
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
        var needs = ImmutableArray.CreateBuilder<string>();
        const string Mounts = "RequiresMountsFor=";
        if (Content(resource) is { } content)
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

        if (resource.Spec.OptionalString("container") is { } container)
        {
            needs.Add("container:" + container);
        }

        return new ResourceLinks(["unit:" + Unit(resource)], needs.ToImmutable())
        {
            ManagedPaths = Content(resource) is null ? [] : [Path(resource)],
        };
    }

    /// <inheritdoc />
    public IEnumerable<Read> Reads(Resource resource)
    {
        yield return new UnitRead(Unit(resource));
        if (Content(resource) is not null)
        {
            yield return new StatRead(Path(resource));
            yield return new FileRead(Path(resource));
            yield return Marker(resource).Read;
        }
    }

    /// <inheritdoc />
    public ImmutableSortedDictionary<string, AttributeValue> Desired(Resource resource)
    {
        var values = Comparable
            .None.Add("enabled", AttributeValue.Of(resource.Spec.Boolean("enabled")))
            .Add("active", AttributeValue.Of(resource.Spec.Boolean("active")));
        return Content(resource) is { } content
            ? values
                .Add("content", AttributeValue.OfText(content))
                .Add("owner", new("root:root"))
                .Add("mode", new("0644"))
                .Add(Loaded, new(LoadedMarker.Current))
                .Add(DropIns, Paths(resource.Spec.List(DropIns)))
                .Add(Fragment, new(Path(resource)))
            : values;
    }

    /// <inheritdoc />
    public Observation Observe(Resource resource, Snapshot snapshot)
    {
        var unit = snapshot.Get(new UnitRead(Unit(resource)));
        if (unit.Properties.Count == 0)
        {
            return new Observation.Unknown("systemd does not answer on this host");
        }

        var values = Comparable.None.Add("enabled", new(Enabled(unit, Content(resource)))).Add("active", new(Active(unit["ActiveState"])));
        if (Content(resource) is not { } wanted)
        {
            return unit["LoadState"] == "not-found" ? new Observation.Absent() : new Observation.Present(values);
        }

        var path = Path(resource);
        var definition = Definition(resource);
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
                .Add("mode", new(stat.Mode))
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
    public Script Render(ResourceChange change)
    {
        var resource = change.Resource;
        var body = new StringBuilder("(\n").Append(
            $"""
            unit={Script.Quote(Unit(resource))}
            property() (systemctl show -p "$1" --value -- "$unit")

            """
        );
        body.Append(change.Operation == ResourceOperation.Delete ? RenderDelete(resource) : RenderPut(change));
        // A stop waits for the unit's own stop timeout.
        return new Script(body.Append(")\n").ToString()) { Deadline = TimeSpan.FromMinutes(5) };
    }

    private string RenderPut(ResourceChange change)
    {
        var resource = change.Resource;
        var anew = change.Operation != ResourceOperation.Update;
        var content = Content(resource);
        var body = new StringBuilder();
        var overlaid = change.Changed.Contains(DropIns) || change.Changed.Contains(Fragment);
        var rewritten = content is not null && (anew || change.Changed.Contains("content") || change.Changed.Contains(Fragment));
        if (content is null)
        {
            body.Append(
                """
                if [ "$(property LoadState)" = not-found ]; then
                    echo "the unit $unit does not exist on this host, and the configuration has no content for it" >&2
                    exit 1
                fi

                """
            );
        }
        else
        {
            body.Append(new FileSwap(Path(resource)).RenderStart());
            // A reload of systemd loads drop-ins that it had not seen.
            if (anew || overlaid || rewritten || change.Changed.Contains(Loaded))
            {
                body.Append(RenderSetAside(resource));
            }
        }

        if (rewritten)
        {
            body.Append(RenderFile(resource, content!));
        }
        else if (change.Changed.Contains("owner") || change.Changed.Contains("mode"))
        {
            body.Append("chown -- root:root \"$path\"\nchmod -- 0644 \"$path\"\n");
        }

        if (!rewritten && (overlaid || change.Changed.Contains(Loaded)))
        {
            body.Append("systemctl daemon-reload\n");
        }

        if (anew || rewritten || change.Changed.Contains("enabled"))
        {
            // reenable, because what [Install] says may have changed.
            body.Append(
                resource.Spec.Boolean("enabled")
                    ? "case $(property UnitFileState) in masked*) systemctl unmask --quiet -- \"$unit\" ;; esac\nsystemctl "
                        + "reenable --quiet -- \"$unit\"\n"
                    : "systemctl disable --quiet -- \"$unit\"\n"
            );
        }

        var state = anew || change.Changed.Contains("active");
        if (!resource.Spec.Boolean("active"))
        {
            body.Append(state ? RenderStop : "");
        }
        else if (state || rewritten || overlaid || change.Changed.Contains(Loaded))
        {
            body.Append(RenderRun(resource, content is not null, state || rewritten));
        }

        return body.ToString();
    }

    // A process started with a file that is set aside uses it until a restart. The file is dated first, so that a run which is cut off in
    // between leaves a unit that is seen to be older than its file. A drop-in that came after the start is no reason to restart.
    private string RenderSetAside(Resource resource)
    {
        var allowed = string.Concat(Definition(resource).AllowedDropIns.Select(path => $"        {Script.Quote(path)}) return 0 ;;\n"));
        return $$"""
            set_aside() {
                if [ ! -e "$1" ] && [ ! -L "$1" ]; then return 0; fi
                case $1 in
            {{allowed}}    esac
                since=$(systemctl show --timestamp=us+utc -p ActiveEnterTimestamp --value -- "$unit")
                if [ -f "$path" ] && [ ! -L "$path" ] && [ -n "$since" ] && [ "$(date -d "${since#* }" +%s)" -ge "$(stat -c %Z -- "$1")" ]; then
                    {{Marker(resource).RenderRemove().TrimEnd()}}
                    touch -- "$path"
                fi
                kept=$1{{UnitDefinition.AsideSuffix}}
                number=1
                while [ -e "$kept" ] || [ -L "$kept" ]; do
                    number=$((number + 1))
                    kept=$1{{UnitDefinition.AsideSuffix}}.$number
                done
                mv -T -- "$1" "$kept"
                sync -- "${kept%/*}"
            }
            if [ "$(readlink -- "$path")" = /dev/null ]; then rm -f -- "$path"; fi
            # These directories come before kbr's.
            for each in /etc/systemd/system.control /run/systemd/system.control /run/systemd/transient /run/systemd/generator.early; do
                set_aside "$each/$unit"
            done
            for each in /etc/systemd/system /etc/systemd/system.control /run/systemd/system /run/systemd/system.control /run/systemd/transient; do
                for file in "$each/$unit.d"/*.conf; do set_aside "$file"; done
            done

            """;
    }

    // A file that systemd cannot read is taken back, so that the unit that runs keeps a file it can be restarted from.
    private static string RenderFile(Resource resource, SecretText content) =>
        $$"""
            former=
            if [ -f "$path" ] && [ ! -L "$path" ]; then
                former=$(mktemp -- "$dir/.kbr.$unit.XXXXXX")
                cp -p -- "$path" "$former"
            fi
            (
            {{new FileSwap(Path(resource)).RenderWrite(content.Reveal(), "root", "root", "0644", check: null)}})
            systemctl daemon-reload
            case $(property LoadState) in
            bad-setting | error)
                echo "systemd cannot load $unit; its previous file was restored: $(property LoadError)" >&2
                if [ -n "$former" ]; then mv -T -- "$former" "$path"; else rm -f -- "$path"; fi
                systemctl daemon-reload
                exit 1
                ;;
            esac
            if [ -n "$former" ]; then rm -f -- "$former"; fi

            """;

    private const string RenderStop = """
        systemctl stop -- "$unit"
        systemctl reset-failed -- "$unit" 2>/dev/null || :

        """;

    // Restarts only what runs with an older file than the one in place; starts only where starting was asked for.
    private string RenderRun(Resource resource, bool hasContent, bool start)
    {
        var process = new ProcessReference(false, Unit(resource));
        var marker = Marker(resource);
        var body = new StringBuilder("instance=\nverb=\n").Append(process.RenderInstance());
        if (hasContent)
        {
            body.Append(
                $$"""
                sum=$(sha256sum < "$path")
                sum=${sum%% *}
                if [ -n "$instance" ] && [ "$(cat {{Script.Quote(marker.Path)}} 2>/dev/null)" != "$sum $instance" ]; then
                    since=$(systemctl show --timestamp=us+utc -p ActiveEnterTimestamp --value -- "$unit")
                    if [ "$(date -d "${since#* }" +%s%6N)" -lt "$(date -r "$path" +%s%6N)" ]; then verb=restart; fi
                fi

                """
            );
        }

        body.Append(start ? "if [ -z \"$instance\" ]; then verb=start; fi\n" : "");
        body.Append(
            """
            if [ -n "$verb" ]; then
                systemctl reset-failed -- "$unit" 2>/dev/null || :
                # It counts as started when it stays active, in one and the same run, for a second: a simple unit is active before its program has run at all.
                if systemctl "$verb" -- "$unit"; then
                    end=$(($(date +%s) + 30))
                    seen=
                    times=0
                    while [ "$times" -lt 6 ] && [ "$(date +%s)" -lt "$end" ]; do
                        now="$(property ActiveState) $(property InvocationID)"
                        case $now in
                        "active $seen") times=$((times + 1)) ;;
                        "active "*) seen=${now#* } times=0 ;;
                        activating* | reloading*) seen=- times=0 ;;
                        *) break ;;
                        esac
                        sleep 0.2
                    done
                else
                    times=0
                fi
                if [ "$times" -lt 6 ]; then
                    echo "$unit did not stay active after systemctl $verb" >&2
                    systemctl status --no-pager --full -n 20 -- "$unit" >&2 || :
                    exit 1
                fi
            fi

            """
        );
        if (hasContent)
        {
            body.Append("umask 077\n")
                .Append(process.RenderInstance())
                .Append("if [ -n \"$instance\" ]; then\n")
                .Append(marker.RenderWrite())
                .Append("fi\n");
        }

        return body.ToString();
    }

    private string RenderDelete(Resource resource)
    {
        if (Content(resource) is null)
        {
            return ":\n";
        }

        return new FileSwap(Path(resource)).RenderStart()
            + $$"""
                if [ "$(property LoadState)" != not-found ]; then systemctl stop -- "$unit"; fi
                if [ -e "$path" ]; then systemctl disable --quiet -- "$unit"; fi
                rm -f -- "$path"
                systemctl daemon-reload
                systemctl reset-failed -- "$unit" 2>/dev/null || :
                {{Marker(resource).RenderRemove()}}
                """;
    }

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

    private static string Unit(Resource resource) => resource.Spec.OptionalString("unit") ?? resource.Address.Name + ".service";

    private static string Path(Resource resource) => UnitDefinition.Directory + Unit(resource);

    private static UnitDefinition Definition(Resource resource) => new(Unit(resource), [.. resource.Spec.List(DropIns)]);

    private static AttributeValue Paths(IEnumerable<string> paths) =>
        new(string.Join('\n', paths.Distinct().Order(StringComparer.Ordinal)));

    private static SecretText? Content(Resource resource) => resource.Spec.Text("content");

    private LoadedMarker Marker(Resource resource) => LoadedMarker.Of(resource.Address, _markers);

    private static Diagnostic Error(Resource resource, string summary, string? remedy = null) =>
        Diagnostic.Error(summary, resource.Location, remedy: remedy, address: resource.Address.ToString());
}
