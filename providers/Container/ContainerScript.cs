using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Supervision;

namespace KeyBuzz.Reconciler.Providers.Container;

/// <summary>Renders the shell that makes, changes and removes a container.</summary>
/// <param name="spec">The container as wanted.</param>
/// <param name="foreignUnits">The units that start the container and are not kbr's, one on each line; empty for none.</param>
/// <param name="adopts">Whether the container existed before kbr: then it is kept. A container that replaced kbr's own is drift, and
/// removed.</param>
internal sealed class ContainerScript(ContainerSpec spec, string foreignUnits, bool adopts)
{
    private const string KeptSuffix = ".before-kbr";

    private const int Starts = 5;

    // No such folder: root's own configuration of the client may name proxies, which create would add to the environment.
    private const string NoConfiguration = "/run/kbr/no-docker-configuration";

    /// <summary>How long the container may take to stop.</summary>
    public TimeSpan StopTimeout => TimeSpan.FromSeconds(spec.StopTimeout);

    /// <summary>Makes the container in place of whatever has its name. The old one is kept, renamed and stopped, until the new one has
    /// settled, and comes back when it does not.</summary>
    /// <param name="takeOver">Whether a container of that name which this resource did not make may be taken down.</param>
    /// <param name="replaces">Whether there was a container when the change was planned.</param>
    public string Put(bool takeOver, bool replaces)
    {
        var script = new StringBuilder("(\n").Append(RenderFunctions());
        script.Append(
            $$"""
            if ! docker image inspect {{Quote(spec.Image)}} >/dev/null 2>&1; then
                echo "the image {{spec.Image}} is not on this host: add an image resource for it" >&2
                exit 1
            fi

            """
        );
        if (spec.Validate is not null)
        {
            script.Append(
                CultureInfo.InvariantCulture,
                $"said=$(sh -c {Quote(spec.Validate)} 2>&1 </dev/null) || {{ echo \"the container {spec.Name} is not "
                    + $"made: ${{said:-its validate command failed}}\" >&2; exit 1; }}\n"
            );
        }

        foreach (var mount in spec.Mounts)
        {
            script.Append(
                $$"""
                source={{Quote(mount.Source)}}
                if [ -e "$source" ] && [ ! -d "$source" ]; then
                    echo "the mount source $source is not a directory: a container that mounts a single file keeps the old one after a replacement; mount its directory" >&2
                    exit 1
                fi
                if [ ! -d "$source" ]; then
                    echo "the mount source $source does not exist: add a directory resource for it" >&2
                    exit 1
                fi

                """
            );
        }

        script.Append(
            $$$"""
            ran=
            if exists "$name" && runs "$name"; then ran=yes; fi
            set_units_aside
            find_supervisor
            if exists "$former"; then
                # A replacement was interrupted: what has the name now is its unproven new container.
                if [ -z "$supervised" ] || systemctl is-enabled --quiet -- "$unit"; then ran=yes; fi
                if exists "$name"; then
                    stop "$name"
                    docker rm -f -- "$name" >/dev/null
                fi
            elif exists "$name"; then
            {{{(takeOver ? "" : RenderOwnership())}}}
                if supervisor_active; then ran=yes; fi
                stop "$name"
                # One that was made to be removed when it stops is gone; whoever made it is kept instead.
                if exists "$name"; then docker rename "$name" "$former"; fi
            {{{(
                // It was taken away since, as by a move of all members to another consensus store: the unit starts the new one.
                replaces ? "elif [ -n \"$supervised\" ] && systemctl is-enabled --quiet -- \"$unit\"; then\n    ran=yes" : ""
            )}}}
            fi
            end_units
            fail() {
                set +e
                echo "$1" >&2
                if exists "$name"; then
                    quote_last_words
                    stop "$name"
                    docker rm -f -- "$name" >/dev/null
                fi
                if exists "$former"; then
                    docker rename "$former" "$name"
                    if [ -n "$ran" ] && start && settled; then
                        echo "the previous container runs again" >&2
                    else
                        echo "the previous container has its name again and is stopped" >&2
                    fi
                fi
                restore_units
                exit 1
            }
            {{{RenderCreate()}}} >/dev/null || fail "the container $name could not be created"

            """
        );
        // The unit starts its container by itself; here only when it had it running before.
        script.Append(
            spec.SupervisedBy is null
                ? "if start && settled; then :; else fail \"the container $name did not stay up\"; fi\n"
                : "if [ -n \"$ran\" ] && [ -n \"$supervised\" ]; then\n    if start && settled; then :; else fail "
                    + "\"the container $name did not stay up\"; fi\nfi\n"
        );
        script.Append("drop_former\n)\n");
        return script.ToString();
    }

    /// <summary>Changes what can be changed where it is.</summary>
    public string Update(ImmutableSortedSet<string> changed)
    {
        var script = new StringBuilder("(\n").Append(RenderFunctions());
        if (changed.Contains(ForeignUnits.Attribute))
        {
            // Its end may be the container's, whose own unit starts it again then.
            script.Append("set_units_aside\nend_units\n");
        }

        if (changed.Contains("restart"))
        {
            script.Append(CultureInfo.InvariantCulture, $"docker update --restart {Quote(spec.Restart)} \"$name\" >/dev/null\n");
        }

        if (changed.Contains(ContainerProvider.Running))
        {
            script.Append(
                """
                if [ "$(state "$name")" = paused ]; then docker unpause "$name" >/dev/null; fi
                if start && settled; then :; else
                    echo "the container $name did not stay up" >&2
                    quote_last_words
                    exit 1
                fi

                """
            );
        }

        if (changed.Contains(ContainerProvider.Leftover))
        {
            script
                .Append(
                    spec.SupervisedBy is null
                        ? "settled || { echo \"the container $name does not stay up, so the previous one is kept as $former\" "
                            + ">&2; exit 1; }\n"
                        : ""
                )
                .Append("drop_former\n");
        }

        return script.Append(")\n").ToString();
    }

    /// <summary>Stops and removes the container and the leftovers of an interrupted replacement.</summary>
    public string Delete() =>
        "(\n"
        + RenderFunctions()
        + """
            for each in "$name" "$former"; do
                if exists "$each"; then
                    stop "$each"
                    docker rm -f -- "$each" >/dev/null
                fi
            done
            )

            """;

    private string RenderFunctions() =>
        $$$"""
            name={{{Quote(spec.Name)}}}
            former={{{Quote(spec.FormerName)}}}
            unit={{{Quote(spec.SupervisedBy ?? "")}}}
            find_supervisor() {
                supervised=
                if [ -n "$unit" ] && [ "$(systemctl show -p LoadState --value -- "$unit")" = loaded ]; then supervised=yes; fi
            }
            find_supervisor
            {{{ForeignUnitScript.Render(foreignUnits, spec.Name)}}}
            # From the list, so that an engine that fails is not taken for a container that is missing.
            exists() {
                found=$(docker container ls -a --format '{{.Names}}') || exit 1
                case "
            $found
            " in
                *"
            $1
            "*) return 0 ;;
                esac
                return 1
            }
            state() (docker container inspect -f '{{.State.Status}}' "$1")
            runs() { case $(state "$1") in running | paused | restarting) return 0 ;; *) return 1 ;; esac; }
            supervisor_active() {
                [ -n "$supervised" ] || return 1
                case $(systemctl show -p ActiveState --value -- "$unit") in inactive | failed) return 1 ;; *) return 0 ;; esac
            }
            # Through the unit first, which would start it again.
            stop() {
                goes=
                if runs "$1"; then goes=$(docker container inspect -f '{{.HostConfig.AutoRemove}}' "$1"); fi
                if supervisor_active; then systemctl stop -- "$unit"; fi
                if runs "$1"; then docker stop -t {{{spec.StopTimeout}}} "$1" >/dev/null || if exists "$1"; then exit 1; fi; fi
                # The engine removes it by itself, a moment after it has stopped.
                if [ "$goes" = true ]; then
                    end=$(($(date +%s) + 30))
                    while exists "$1" && [ "$(date +%s)" -lt "$end" ]; do sleep 0.2; done
                    if exists "$1"; then docker rm -f -- "$1" >/dev/null; fi
                fi
            }
            # Why the engine could not start it, and the end of its log, each where there is one.
            quote_last_words() {
                words=$(docker container inspect -f '{{.State.Error}}' "$name") || words=
                if [ -n "$words" ]; then printf '%s\n' "$words" >&2; fi
                words=$(docker logs --tail 20 -- "$name" 2>&1) || words=
                if [ -n "$words" ]; then printf 'its log ends with:\n%s\n' "$words" >&2; else echo "its log is empty" >&2; fi
            }
            # What kbr made is removed, and what was put in its place; what was there before kbr is kept, stopped, under another name.
            drop_former() {
                if exists "$former"; then
                    if {{{(
                adopts ? "false" : "true"
            )}}} || [ -n "$(docker container inspect -f '{{index .Config.Labels "{{{ContainerComparison.AddressLabel}}}"}}' "$former")" ]; then
                        docker rm -f -- "$former" >/dev/null
                    else
                        kept=$name{{{KeptSuffix}}}
                        number=1
                        while exists "$kept"; do
                            number=$((number + 1))
                            kept=$name{{{KeptSuffix}}}.$number
                        done
                        if runs "$former"; then docker stop -t {{{spec.StopTimeout}}} "$former" >/dev/null; fi
                        docker update --restart no "$former" >/dev/null
                        docker rename "$former" "$kept"
                    fi
                fi
            }
            start() {
                if [ -n "$supervised" ]; then
                    systemctl reset-failed -- "$unit" 2>/dev/null || :
                    systemctl start -- "$unit" >&2
                else
                    docker start "$name" >/dev/null
                fi
            }
            # Runs, is healthy where the image has a check, and stays so in one and the same run for a second.
            settled() {
                end=$(($(date +%s) + 60))
                seen=
                times=0
                began=
                ended=0
                while [ "$(date +%s)" -lt "$end" ]; do
                    now=$(docker container inspect -f '{{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}} {{.State.StartedAt}}' "$name") || return 1
                    case $now in
                    "running none "* | "running healthy "*)
                        if [ "$now" = "$seen" ]; then times=$((times + 1)); else seen=$now times=0; fi
                        if [ "$times" -ge 5 ]; then return 0; fi
                        ;;
                    "exited "* | "dead "*)
                        # With nobody to start it again there is nothing to wait for.
                        if [ -z "$supervised" ] && [ {{{Quote(spec.Restart)}}} = no ]; then return 1; fi
                        # Each time it was started is one: what has ended so often does not stay.
                        if [ "${now##* }" != "$began" ]; then began=${now##* } ended=$((ended + 1)); fi
                        if [ "$ended" -ge {{{Starts}}} ]; then return 1; fi
                        seen=
                        ;;
                    *) seen= ;;
                    esac
                    sleep 0.2
                done
                return 1
            }

            """;

    private string RenderOwnership() =>
        $$$"""
                if [ "$(docker container inspect -f '{{index .Config.Labels "{{{ContainerComparison.AddressLabel}}}"}}' "$name")" != {{{Quote(
                spec.Address.ToString()
            )}}} ]; then
                    echo "the container $name exists and was not created by this resource; adopt it with --adopt {{{spec.Address}}}" >&2
                    exit 1
                fi
            """;

    private string RenderCreate()
    {
        var words = new List<string>
        {
            "--name",
            spec.Name,
            "--label",
            $"{ContainerComparison.AddressLabel}={spec.Address}",
            "--pull",
            "never",
            "--network",
            spec.Network,
        };
        Add("--restart", spec.Restart);
        Add("--stop-timeout", spec.StopTimeout.ToString(CultureInfo.InvariantCulture));
        Add("--shm-size", spec.ShmSize.ToString(CultureInfo.InvariantCulture));
        Add("--log-driver", spec.LogDriver);
        AddPairs("--log-opt", spec.LogOptions);
        AddPairs("--label", spec.Labels);
        AddPairs("--env", spec.Environment);
        AddPairs("--ulimit", spec.Ulimits);
        foreach (var capability in spec.CapAdd)
        {
            Add("--cap-add", capability);
        }

        foreach (var capability in spec.CapDrop)
        {
            Add("--cap-drop", capability);
        }

        foreach (var option in spec.SecurityOpt)
        {
            Add("--security-opt", option);
        }

        foreach (var mount in spec.Mounts)
        {
            // Unlike -v it fails on a missing source, where -v would make an empty directory on the wrong disk.
            Add("--mount", $"type=bind,source={mount.Source},target={mount.Target}{(mount.ReadOnly ? ",readonly" : "")}");
        }

        foreach (var entry in spec.Tmpfs)
        {
            Add("--tmpfs", entry.TrimEnd(':'));
        }

        if (spec.User is not null)
        {
            Add("--user", spec.User);
        }

        if (spec.Hostname is not null)
        {
            Add("--hostname", spec.Hostname);
        }

        if (spec.ReadOnly)
        {
            words.Add("--read-only");
        }

        if (spec.Entrypoint is { } entrypoint)
        {
            Add("--entrypoint", entrypoint[0]);
        }

        words.Add("--");
        words.Add(spec.Image);
        words.AddRange(spec.Entrypoint?.Skip(1) ?? []);
        words.AddRange(spec.Command ?? []);
        return $"docker --config {NoConfiguration} create " + string.Join(' ', words.Select(Quote));

        void Add(string option, string value)
        {
            words.Add(option);
            words.Add(value);
        }

        void AddPairs(string option, IReadOnlyDictionary<string, string> pairs)
        {
            foreach (var (key, value) in pairs.OrderBy(pair => pair.Key, StringComparer.Ordinal))
            {
                Add(option, $"{key}={value}");
            }
        }
    }

    private static string Quote(string word) => Script.Quote(word);
}
