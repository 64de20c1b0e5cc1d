using System.Text;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.ConfigFile;
using KeyBuzz.Reconciler.Providers.SystemdUnit;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.SystemdTimer;

/// <summary>The shell that changes a timer.</summary>
internal static class TimerScripts
{
    /// <summary>The script that makes the change. A service that runs goes on.</summary>
    public static Script Render(TimerSpec spec, ResourceChange change)
    {
        var head = $$"""
            timer={{Script.Quote(spec.TimerUnit.Unit)}}
            service={{Script.Quote(spec.ServiceUnit.Unit)}}

            """;
        return new Script(head + (change.Operation == ResourceOperation.Delete ? RenderDelete(spec) : RenderPut(spec, change)));
    }

    private static string RenderPut(TimerSpec spec, ResourceChange change)
    {
        var body = new StringBuilder();
        foreach (var time in spec.Schedule)
        {
            // Another one is ignored by systemd where one of several is right.
            body.Append(
                $$"""
                if command -v systemd-analyze >/dev/null && ! said=$(systemd-analyze calendar -- {{Script.Quote(time)}} 2>&1); then
                    printf '%s\n' "systemd does not understand the schedule:" "$said" >&2
                    exit 1
                fi

                """
            );
        }

        body.Append(RenderSetAside);
        body.Append(RenderFile(spec.ServiceUnit, spec.Service.Reveal())).Append(RenderFile(spec.TimerUnit, spec.Timer));
        body.Append(
            """
            systemctl daemon-reload
            for unit in "$service" "$timer"; do
                case $(systemctl show -p LoadState --value -- "$unit") in
                bad-setting | error)
                    echo "systemd cannot load $unit: $(systemctl show -p LoadError --value -- "$unit")" >&2
                    exit 1
                    ;;
                esac
            done

            """
        );
        if (!spec.Enabled)
        {
            return body.Append("systemctl disable --quiet --now -- \"$timer\"\n").ToString();
        }

        body.Append("systemctl reenable --quiet -- \"$timer\"\n");
        // With the time of its last run under another schedule it would make up for a run that was never due.
        if (change.Operation != ResourceOperation.Update || change.Changed.Contains(SystemdTimerProvider.Timer))
        {
            body.Append("systemctl stop -- \"$timer\"\nsystemctl clean --what=state -- \"$timer\" 2>/dev/null || :\n");
        }

        return body.Append("systemctl start -- \"$timer\"\n").ToString();
    }

    private static string RenderFile(UnitDefinition unit, string content) =>
        $"(\n{new FileSwap(unit.Path).RenderStart()}{new FileSwap(unit.Path).RenderWrite(content, "root", "root", "0644", check: null)})\n";

    private static string RenderSetAside =>
        $$"""
            set_aside() {
                if [ ! -e "$1" ] && [ ! -L "$1" ]; then return 0; fi
                kept=$1{{UnitDefinition.AsideSuffix}}
                number=1
                while [ -e "$kept" ] || [ -L "$kept" ]; do
                    number=$((number + 1))
                    kept=$1{{UnitDefinition.AsideSuffix}}.$number
                done
                mv -T -- "$1" "$kept"
            }
            for unit in "$timer" "$service"; do
                if [ "$(readlink -- "{{UnitDefinition.Directory}}$unit")" = /dev/null ]; then rm -f -- "{{UnitDefinition.Directory}}$unit"; fi
                for each in /etc/systemd/system.control /run/systemd/system.control /run/systemd/transient /run/systemd/generator.early; do
                    set_aside "$each/$unit"
                done
                for each in /etc/systemd/system /etc/systemd/system.control /run/systemd/system /run/systemd/system.control; do
                    for file in "$each/$unit.d"/*.conf; do set_aside "$file"; done
                done
            done

            """;

    private static string RenderDelete(TimerSpec spec) =>
        $$"""
            if [ -e {{Script.Quote(spec.TimerUnit.Path)}} ]; then
                systemctl disable --quiet --now -- "$timer"
                systemctl clean --what=state -- "$timer" 2>/dev/null || :
            fi
            rm -f -- {{Script.Quote(spec.TimerUnit.Path)}} {{Script.Quote(spec.ServiceUnit.Path)}}
            systemctl daemon-reload
            systemctl reset-failed -- "$timer" 2>/dev/null || :
            systemctl reset-failed -- "$service" 2>/dev/null || :

            """;
}
