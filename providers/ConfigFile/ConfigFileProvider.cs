using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Directory;
using KeyBuzz.Reconciler.Providers.Processes;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.ConfigFile;

/// <summary>A file with its content, owner and mode, and whether the process that uses it has loaded it.</summary>
public sealed class ConfigFileProvider : IHostResourceProvider, IReplaceable, ILoadedByProcess
{
    private const string Loaded = "loaded";

    private readonly string _markers;

    /// <summary>Makes the provider.</summary>
    /// <param name="markers">The directory on the hosts where it is noted what processes have loaded.</param>
    public ConfigFileProvider(string markers = LoadedMarker.DefaultDirectory) => _markers = markers;

    /// <inheritdoc />
    public ResourceSchema Schema { get; } =
        new(
            "config_file",
            "A file with its content, owner and mode; replaced atomically, never written in place.",
            [
                new("path", AttributeKind.Path, "Where the file is.") { Required = true, Effect = ChangeEffect.Replace },
                new("content", AttributeKind.Text, "Its content; content_file reads it from a local file.")
                {
                    Required = true,
                    MayHoldSecret = true,
                },
                new("owner", AttributeKind.String, "User name or number that owns it.") { Default = ConfigFileSpec.DefaultPrincipal },
                new("group", AttributeKind.String, "Group name or number that owns it.") { Default = ConfigFileSpec.DefaultPrincipal },
                new("mode", AttributeKind.Mode, "Its permissions.") { Default = ConfigFileSpec.DefaultMode },
                new(
                    "validate",
                    AttributeKind.String,
                    "A shell command that must accept the new file, whose path is in $file, before it replaces the old one."
                ),
                new("reload", AttributeKind.String, "A shell command that makes the running process load the new file."),
                new(
                    "reload_confirm",
                    AttributeKind.String,
                    "A shell command that succeeds once the process has loaded it; tried until confirm_timeout."
                ),
                new("confirm_input", AttributeKind.Text, "The standard input of reload_confirm, such as a password; empty by default.")
                {
                    MayHoldSecret = true,
                },
                new("confirm_timeout", AttributeKind.Integer, "Seconds during which reload_confirm is retried.")
                {
                    Default = ConfigFileSpec.DefaultConfirmTimeout,
                    Minimum = 1,
                },
                new("loaded_by", AttributeKind.String, "The process that loads it: container:NAME or unit:NAME.service."),
            ]
        );

    /// <inheritdoc />
    public string LoadedAttribute => Loaded;

    /// <inheritdoc />
    public string? ProcessOf(Resource resource) => resource.Spec.OptionalString("loaded_by");

    /// <inheritdoc />
    public bool HoldsData(Resource resource) => false;

    /// <inheritdoc />
    public IEnumerable<Diagnostic> Validate(Resource resource)
    {
        var spec = resource.Spec;
        var loadedBy = spec.OptionalString("loaded_by");
        if (loadedBy is not null && !ProcessReference.TryParse(loadedBy, out _))
        {
            yield return Error(resource, $"loaded_by '{loadedBy}' is neither container:NAME nor unit:NAME.service");
        }

        if (spec.Has("reload") != (loadedBy is not null))
        {
            yield return Error(
                resource,
                "reload and loaded_by go together",
                "loaded_by names the process that loads the file, reload the command that makes it load again; give both or neither"
            );
        }

        if (spec.Has("reload_confirm") && !spec.Has("reload"))
        {
            yield return Error(resource, "reload_confirm needs reload");
        }

        if (spec.Has("confirm_input") && !spec.Has("reload_confirm"))
        {
            yield return Error(resource, "confirm_input needs reload_confirm");
        }

        // Root may always read it; other users need the owner or the group.
        if (
            spec.Text("content") is { HasSecret: true }
            && spec.OptionalString("mode") is { Length: > 0 } mode
            && mode[^1] is not ('0' or '1')
        )
        {
            yield return Error(
                resource,
                $"mode {mode} lets everyone on the host {(mode[^1] is '2' or '3' ? "change" : "read")} a file that holds a secret",
                "give mode 0600, or 0640 and the group that reads it"
            );
        }

        if (spec.OptionalString("path") is { } path && (path.EndsWith('/') || path.Any(char.IsControl)))
        {
            yield return Error(resource, $"path '{path}' does not name a file");
        }
    }

    /// <inheritdoc />
    public ResourceLinks Links(Resource resource)
    {
        var path = resource.Spec.String("path");
        return new ResourceLinks([$"file:{path}"], [$"path:{PathRules.Parent(path)}"]) { ManagedPaths = [path], ReplacedFiles = [path] };
    }

    /// <inheritdoc />
    public IEnumerable<Read> Reads(Resource resource)
    {
        var spec = ConfigFileSpec.Of(resource);
        yield return new StatRead(spec.Path);
        yield return new FileRead(spec.Path);
        if (spec.LoadedBy is { } process)
        {
            yield return process.Read;
            yield return Marker(resource).Read;
        }
    }

    /// <inheritdoc />
    public SortedMap<AttributeValue> Desired(Resource resource)
    {
        var spec = ConfigFileSpec.Of(resource);
        var values = SortedMap.Of<AttributeValue>(
            ("content", AttributeValue.OfText(spec.Content)),
            ("group", AttributeValue.OfWord(spec.Group)),
            ("mode", new(spec.Mode)),
            ("owner", AttributeValue.OfWord(spec.Owner))
        );
        return spec.LoadedBy is null ? values : values.Add(Loaded, new(LoadedMarker.Current));
    }

    /// <inheritdoc />
    public Observation Observe(Resource resource, Snapshot snapshot)
    {
        var spec = ConfigFileSpec.Of(resource);
        if (snapshot.Get(new StatRead(spec.Path)) is not { } stat)
        {
            return new Observation.Absent();
        }

        // stat calls an empty one "regular empty file".
        if (!stat.Kind.StartsWith("regular", StringComparison.Ordinal))
        {
            return new Observation.Unknown($"{spec.Path} is a {stat.Kind}, not a regular file");
        }

        if (snapshot.Get(new FileRead(spec.Path)) is not { } content)
        {
            return new Observation.Unknown($"{spec.Path} cannot be read, or is larger than 8 MiB");
        }

        var wanted = spec.Content.Reveal();
        var text = content.TextBeside(wanted);
        var values = SortedMap.Of<AttributeValue>(
            ("content", AttributeValue.OfText(text)),
            ("group", AttributeValue.OfWord(stat.GroupBeside(spec.Group))),
            ("mode", AttributeValue.OfWord(stat.Mode)),
            ("owner", AttributeValue.OfWord(stat.OwnerBeside(spec.Owner)))
        );
        if (spec.LoadedBy is not { } process)
        {
            return new Observation.Present(values);
        }

        if (!process.TryFind(snapshot, out var instance, out var reason))
        {
            return new Observation.Unknown(reason);
        }

        // Another content is going to be replaced and then loaded anyway: that is one difference, not two.
        var loaded = text == wanted ? Marker(resource).Judge(instance, stat, content, snapshot) : LoadedMarker.Current;
        return new Observation.Present(values.Add(Loaded, new(loaded)));
    }

    /// <inheritdoc />
    public Script Render(ResourceChange change)
    {
        var spec = ConfigFileSpec.Of(change.Resource);
        var marker = Marker(change.Resource);
        var swap = new FileSwap(spec.Path);
        var body = new StringBuilder("(\n").Append(swap.RenderStart());
        if (change.Operation == ResourceOperation.Delete)
        {
            return new Script(body.Append("rm -f -- \"$path\"\n").Append(marker.RenderRemove()).Append(")\n").ToString());
        }

        var anew = change.Operation != ResourceOperation.Update || change.Changed.Contains("content");
        if (anew)
        {
            body.Append(swap.RenderWrite(spec.Content.Reveal(), spec.Owner, spec.Group, spec.Mode, spec.Validate));
        }
        else if (change.Changed.Contains("owner") || change.Changed.Contains("group") || change.Changed.Contains("mode"))
        {
            // chown drops set-id bits, so the mode is set after it either way.
            body.Append(CultureInfo.InvariantCulture, $"chown -- {Script.Quote(spec.Principal)} \"$path\"\n");
            body.Append(CultureInfo.InvariantCulture, $"chmod -- {spec.Mode} \"$path\"\n");
        }

        if (spec.LoadedBy is { } process && (anew || change.Changed.Contains(Loaded)))
        {
            body.Append(RenderReload(spec, process, marker, refused: change.ProcessIsReplaced ? 0 : 1));
        }

        var script = new Script(body.Append(")\n").ToString());
        return script with { Deadline = script.Deadline + TimeSpan.FromSeconds(spec.ConfirmTimeout) };
    }

    /// <summary>Shell that makes the process load the file of <c>$path</c>, and notes it. A process that refuses the file has no note of
    /// it. Where the process is replaced next, that is no failure.</summary>
    internal static string RenderReload(ConfigFileSpec spec, ProcessReference process, LoadedMarker marker, int refused) =>
        $$"""
            umask 077
            {{process.RenderInstance()}}
            if [ -n "$instance" ]; then
                sum=$(sha256sum < "$path")
                sum=${sum%% *}
                if ! sh -c {{Script.Quote(spec.Reload ?? "")}} </dev/null >&2; then
                    echo "$path is written, but {{process}} did not load it" >&2
                    exit {{refused}}
                fi
            {{(
                spec.ReloadConfirm is { } confirm
                    ? RenderConfirm(confirm, spec.ConfirmInput.Reveal(), spec.ConfirmTimeout, process, refused)
                    : ""
            )}}
            {{marker.RenderWrite()}}
            fi

            """;

    // The input travels as base64 in a here-document, as the content does: it is on no command line.
    private static string RenderConfirm(string command, string input, long seconds, ProcessReference process, int refused) =>
        $$"""
            confirm() {
                base64 -d <<'KBR_INPUT' | timeout 20 sh -c {{Script.Quote(command)}} 2>&1
            {{Convert.ToBase64String(Encoding.UTF8.GetBytes(input), Base64FormattingOptions.InsertLineBreaks).Replace(
                "\r",
                "",
                StringComparison.Ordinal
            )}}
            KBR_INPUT
            }
            end=$(($(date +%s) + {{seconds}}))
            until said=$(confirm); do
                if [ "$(date +%s)" -ge "$end" ]; then
                    echo "$path is written, but {{process}} did not confirm within {{seconds}} s that it loaded it: $said" >&2
                    exit {{refused}}
                fi
                sleep 0.2
            done
            """;

    private LoadedMarker Marker(Resource resource) => LoadedMarker.Of(resource.Address, _markers);

    private static Diagnostic Error(Resource resource, string summary, string? remedy = null) =>
        Diagnostic.Error(summary, resource.Location, remedy: remedy, address: resource.Address.ToString());
}
