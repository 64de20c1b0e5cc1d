using System.Text;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.ConfigFile;
using KeyBuzz.Reconciler.Providers.Processes;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.SystemdUnit;

/// <summary>The shell that changes a unit.</summary>
/// <param name="spec">The unit as declared.</param>
/// <param name="marker">The file that records what the unit was started with.</param>
internal sealed class UnitScripts(UnitSpec spec, LoadedMarker marker)
{
    /// <summary>The script that makes the change.</summary>
    public Script Render(ResourceChange change)
    {
        var body = new StringBuilder("(\n").Append(
            $"""
            unit={Script.Quote(spec.Name)}
            property() (systemctl show -p "$1" --value -- "$unit")

            """
        );
        body.Append(change.Operation == ResourceOperation.Delete ? RenderDelete() : RenderPut(change));
        // A stop waits for the unit's own stop timeout.
        return new Script(body.Append(")\n").ToString()) { Deadline = TimeSpan.FromMinutes(5) };
    }

    private string RenderPut(ResourceChange change)
    {
        var anew = change.Operation != ResourceOperation.Update;
        var content = spec.Content;
        var body = new StringBuilder();
        var overlaid = change.Changed.Contains(SystemdUnitProvider.DropIns) || change.Changed.Contains(SystemdUnitProvider.Fragment);
        var rewritten =
            content is not null && (anew || change.Changed.Contains("content") || change.Changed.Contains(SystemdUnitProvider.Fragment));
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
            body.Append(new FileSwap(spec.Path).RenderStart());
            // A reload of systemd loads drop-ins that it had not seen.
            if (anew || overlaid || rewritten || change.Changed.Contains(SystemdUnitProvider.Loaded))
            {
                body.Append(RenderSetAside());
            }
        }

        if (rewritten)
        {
            body.Append(RenderFile(content!));
        }
        else if (change.Changed.Contains("owner") || change.Changed.Contains("mode"))
        {
            body.Append("chown -- root:root \"$path\"\nchmod -- 0644 \"$path\"\n");
        }

        if (!rewritten && (overlaid || change.Changed.Contains(SystemdUnitProvider.Loaded)))
        {
            body.Append("systemctl daemon-reload\n");
        }

        if (anew || rewritten || change.Changed.Contains("enabled"))
        {
            // reenable, because what [Install] says may have changed.
            body.Append(
                spec.Enabled
                    ? "case $(property UnitFileState) in masked*) systemctl unmask --quiet -- \"$unit\" ;; esac\nsystemctl "
                        + "reenable --quiet -- \"$unit\"\n"
                    : "systemctl disable --quiet -- \"$unit\"\n"
            );
        }

        var state = anew || change.Changed.Contains("active");
        if (!spec.Active)
        {
            body.Append(state ? RenderStop : "");
        }
        else if (state || rewritten || overlaid || change.Changed.Contains(SystemdUnitProvider.Loaded))
        {
            body.Append(RenderRun(state || rewritten));
        }

        return body.ToString();
    }

    // A process started with a file that is set aside uses it until a restart. The file is dated first, so that a run which is cut off in
    // between leaves a unit that is seen to be older than its file. A drop-in that came after the start is no reason to restart.
    private string RenderSetAside()
    {
        var allowed = string.Concat(spec.DropIns.Select(path => $"        {Script.Quote(path)}) return 0 ;;\n"));
        return $$"""
            set_aside() {
                if [ ! -e "$1" ] && [ ! -L "$1" ]; then return 0; fi
                case $1 in
            {{allowed}}    esac
                since=$(systemctl show --timestamp=us+utc -p ActiveEnterTimestamp --value -- "$unit")
                if [ -f "$path" ] && [ ! -L "$path" ] && [ -n "$since" ] && [ "$(date -d "${since#* }" +%s)" -ge "$(stat -c %Z -- "$1")" ]; then
                    {{marker.RenderRemove().TrimEnd()}}
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
    private string RenderFile(SecretText content) =>
        $$"""
            former=
            if [ -f "$path" ] && [ ! -L "$path" ]; then
                former=$(mktemp -- "$dir/.kbr.$unit.XXXXXX")
                cp -p -- "$path" "$former"
            fi
            (
            {{new FileSwap(spec.Path).RenderWrite(content.Reveal(), "root", "root", "0644", check: null)}})
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
    private string RenderRun(bool start)
    {
        var hasContent = spec.Content is not null;
        var process = new ProcessReference(false, spec.Name);
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

    private string RenderDelete()
    {
        if (spec.Content is null)
        {
            return ":\n";
        }

        return new FileSwap(spec.Path).RenderStart()
            + $$"""
                if [ "$(property LoadState)" != not-found ]; then systemctl stop -- "$unit"; fi
                if [ -e "$path" ]; then systemctl disable --quiet -- "$unit"; fi
                rm -f -- "$path"
                systemctl daemon-reload
                systemctl reset-failed -- "$unit" 2>/dev/null || :
                {{marker.RenderRemove()}}
                """;
    }
}
