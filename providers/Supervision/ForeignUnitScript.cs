using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Providers.Supervision;

/// <summary>The shell that sets foreign units aside and brings them back.</summary>
/// <remarks>A unit that is set aside loses its file and its start at boot; its process continues, and is not started again. Service
/// continues until the caller stops it.</remarks>
internal static class ForeignUnitScript
{
    /// <summary>The script, in the directory that keeps a unit, that brings it back.</summary>
    public const string Restore = "restore";

    private const string Directory = "/etc/systemd/system/";
    private const string Suffix = ".before-kbr";

    /// <summary>The directory that keeps a unit which was set aside.</summary>
    public static string KeptAs(string unit) => Directory + unit + Suffix;

    /// <summary>Defines <c>set_units_aside</c>, which takes the units away and keeps them, <c>end_units</c>, which tells systemd that what
    /// they ran has ended, and <c>restore_units</c>, which brings back those that this run has set aside.</summary>
    /// <param name="units">The units, one on each line; empty for none.</param>
    /// <param name="container">The container that they start.</param>
    public static string Render(string units, string container)
    {
        var lines = $$"""
            foreign={{Script.Quote(units.Replace('\n', ' '))}}
            kept_units=
            # Copied first and taken away then: cut off in between, the next run finds the unit and its copy.
            set_unit_aside() {
                fragment=$(systemctl show -p FragmentPath --value -- "$1")
                state=$(systemctl show -p UnitFileState --value -- "$1")
                begun=
                case $(systemctl show -p ActiveState --value -- "$1") in active | activating | reloading) begun=yes ;; esac
                own={{Directory}}$1
                kept=$own{{Suffix}}
                # Its file is gone already, and what it began runs on.
                if [ -z "$fragment" ]; then
                    if [ -e "$kept" ]; then kept_units="$kept_units $kept"; fi
                    return 0
                fi
                if [ "$fragment" != "$own" ] && [ ! -L "$own" ]; then own=; fi
                if [ ! -e "$kept" ] || { [ -n "$own" ] && ! cmp -s -- "$own" "$kept/$1"; }; then
                    number=1
                    while [ -e "$kept" ]; do
                        number=$((number + 1))
                        kept={{Directory}}$1{{Suffix}}.$number
                    done
                    rm -rf -- "{{Directory}}.kbr-$1"
                    mkdir -m 0755 -- "{{Directory}}.kbr-$1"
                    if [ -n "$own" ]; then cp -a -- "$own" "{{Directory}}.kbr-$1/"; fi
                    if [ -n "$own" ] && [ -d "$own.d" ]; then cp -a -- "$own.d" "{{Directory}}.kbr-$1/"; fi
                    {
                        echo '#!/bin/sh'
                        echo "# Restores $1 as it was when kbr set it aside: ${state:-not enabled}. Remove kbr's replacement first."
                        echo 'set -eu'
                        echo "unit='$1' container='{{container}}'"
                        cat <<'END_OF_RESTORE'
            if [ -n "$(docker container ls -aq --filter "name=^$container\$" --filter label=kbr.address)" ]; then
                echo "the container $container is kbr's: stop its unit and remove the container first" >&2
                exit 1
            fi
            kept=$(dirname -- "$0")
            if [ -e "$kept/$unit" ]; then cp -a -- "$kept/$unit" /etc/systemd/system/; else systemctl unmask -- "$unit"; fi
            if [ -d "$kept/$unit.d" ]; then cp -a -- "$kept/$unit.d" /etc/systemd/system/; fi
            systemctl daemon-reload
            END_OF_RESTORE
                        case $state in enabled | linked) echo 'systemctl enable -- "$unit"' ;; esac
                        if [ -n "$begun" ]; then echo 'systemctl start -- "$unit"'; fi
                    } >"{{Directory}}.kbr-$1/{{Restore}}"
                    chmod 0755 -- "{{Directory}}.kbr-$1/{{Restore}}"
                    sync -- "{{Directory}}.kbr-$1/{{Restore}}"
                    mv -T -- "{{Directory}}.kbr-$1" "$kept"
                fi
                systemctl disable --quiet -- "$1" 2>/dev/null || :
                if [ -n "$own" ]; then
                    rm -f -- "$own"
                    rm -rf -- "$own.d"
                else
                    systemctl mask --quiet -- "$1"
                fi
                systemctl daemon-reload
                kept_units="$kept_units $kept"
            }
            set_units_aside() { for each in $foreign; do set_unit_aside "$each"; done; }
            end_units() {
                for each in $foreign; do
                    systemctl stop -- "$each" 2>/dev/null || :
                    systemctl reset-failed -- "$each" 2>/dev/null || :
                done
            }
            restore_units() {
                for each in $kept_units; do
                    if sh "$each/{{Restore}}" >&2; then echo "${each##*/} is back" >&2; fi
                done
            }

            """;
        return units.Length == 0 ? "set_units_aside() { :; }\nend_units() { :; }\nrestore_units() { :; }\nkept_units=\n" : lines;
    }
}
