namespace KeyBuzz.Reconciler.Providers.Directory;

/// <summary>The shell of <see cref="DirectoryProvider"/>.</summary>
internal static class DirectoryScripts
{
    /// <summary>The suffix of a directory that was set aside; a number follows if that name exists.</summary>
    public const string AsideSuffix = ".before-kbr";

    // mode has four digits; with a fifth one, chmod also clears the set-id bits of a directory.
    public const string Start = """
        fail() { printf '%s\n' "$*" >&2; exit 1; }
        # What is kept needs its room beside what is made anew.
        make_room() {
            needed=$(du -sk --one-file-system -- "$1" | cut -f1)
            free=$(df -k --output=avail -- "$1" | tail -n 1 | tr -d ' ')
            [ "$free" -gt $((needed + needed / 10)) ] || fail "$1 uses $needed KiB, which are kept and copied again, but only $free KiB are free: free disk space first"
        }
        name_aside() {
            aside=$path.before-kbr
            number=1
            while [ -e "$aside" ]; do
                number=$((number + 1))
                aside=$path.before-kbr.$number
            done
        }
        stop_user() {
            set_units_aside
            if [ -n "$unit" ] && systemctl is-active --quiet -- "$unit"; then systemctl stop -- "$unit"; fi
            if [ -n "$container" ] && [ "$(docker container inspect -f '{{.State.Running}}' "$container" 2>/dev/null)" = true ]; then docker stop -t "$stop_timeout" "$container" >/dev/null; fi
            end_units
        }

        """;

    // Made beside and renamed: a run that was cut off leaves either nothing at the path or the finished directory.
    public const string Create = """
        [ -d "$parent" ] || fail "$parent does not exist, and kbr creates no undeclared directories: declare it, or mount its volume"
        if [ -d "$path" ] && [ ! -L "$path" ]; then
            chown -- "$owner" "$path"
            chmod -- "0$mode" "$path"
        else
            { [ ! -e "$path" ] && [ ! -L "$path" ]; } || fail "$path exists and is not a directory"
            if [ -d "$fresh" ]; then rmdir -- "$fresh"; fi
            mkdir -m 0700 -- "$fresh"
            chown -- "$owner" "$fresh"
            chmod -- "0$mode" "$fresh"
            mv -T -- "$fresh" "$path"
        fi
        sync -- "$path" "$parent"

        """;

    // Interrupted between the two renames, the path is missing: the next run creates it, and the old directory already has its new name.
    public const string SetAside = """
        if [ -e "$path/$unwanted" ]; then
            while read -r _ _ _ _ mounted _; do
                case $mounted in
                    "$mounted_path" | "$mounted_path"/*) fail "a file system is mounted at $mounted: it cannot be renamed" ;;
                esac
            done </proc/self/mountinfo
            make_room "$path"
            name_aside
            stop_user
            if [ -d "$fresh" ]; then rmdir -- "$fresh"; fi
            mkdir -m 0700 -- "$fresh"
            chown -- "$owner" "$fresh"
            chmod -- "0$mode" "$fresh"
            mv -T -- "$path" "$aside"
            mv -T -- "$fresh" "$path"
            sync -- "$path" "$parent"
        fi

        """;

    // The entry goes last, so that a run that was cut off is known by it and goes on; then the whole appears under its name by one rename.
    public const string SetRootAside = """
        if [ -n "$root" ] && { [ -e "$root/$unwanted" ] || [ -d "$root/.kbr-aside" ]; }; then
            while read -r _ _ _ _ mounted _; do
                case $mounted in
                    "$mounted_root"/*) fail "a file system is mounted at $mounted: the content of $root cannot be moved" ;;
                esac
            done </proc/self/mountinfo
            if [ ! -d "$root/.kbr-aside" ]; then make_room "$root"; fi
            name_aside
            stop_user
            if [ ! -d "$root/.kbr-aside" ]; then mkdir -m 0700 -- "$root/.kbr-aside"; fi
            chown -- "$owner" "$root/.kbr-aside"
            for entry in "$root"/* "$root"/.[!.]* "$root"/..?*; do
                name=${entry##*/}
                case $name in
                    lost+found | .kbr-* | *.before-kbr | *.before-kbr.* | "$unwanted") continue ;;
                esac
                case $keeps in
                    *" $name "*) continue ;;
                esac
                if [ -e "$entry" ] || [ -L "$entry" ]; then mv -T -- "$entry" "$root/.kbr-aside/$name"; fi
            done
            if [ -e "$root/$unwanted" ]; then mv -T -- "$root/$unwanted" "$root/.kbr-aside/$unwanted"; fi
            mv -T -- "$root/.kbr-aside" "$aside"
            sync -- "$root" "$aside"
        fi

        """;

    public const string Update = """
        { [ -d "$path" ] && [ ! -L "$path" ]; } || fail "$path is no longer a directory"
        chown -- "$owner" "$path"
        chmod -- "0$mode" "$path"
        sync -- "$path"

        """;

    public const string Delete = """
        if [ -d "$fresh" ]; then rmdir -- "$fresh"; fi
        if [ "$delete_data" = yes ] && [ -n "$before_delete" ]; then sh -c "$before_delete"; fi
        if [ -e "$path" ] || [ -L "$path" ]; then
            { [ -d "$path" ] && [ ! -L "$path" ]; } || fail "$path is no longer a directory; kbr does not change it"
            while read -r _ _ _ _ mounted _; do
                case $mounted in
                    "$mounted_path") fail "a file system is mounted at $path: unmount it first" ;;
                    "$mounted_path"/*) fail "a file system is mounted at $mounted, below $path: unmount it first" ;;
                esac
            done </proc/self/mountinfo
            if [ "$delete_data" = yes ]; then
                rm -rf --one-file-system -- "$path"
            elif ! rmdir -- "$path" 2>/dev/null; then
                set -- "$(ls -A -- "$path" | wc -l)"
                [ "$1" -gt 0 ] || rmdir -- "$path"
                fail "$path is not empty ($1 entries that kbr did not create): move or delete them, then run again"
            fi
            sync -- "$parent"
        fi

        """;
}
