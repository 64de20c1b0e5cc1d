namespace KeyBuzz.Reconciler.Providers.Volume;

/// <summary>The shell of <see cref="VolumeProvider"/>. Two things make an interruption harmless. A mark under /var/lib/kbr tells the next
/// plan that a volume was being made or wiped. A stamp on the device itself, in a block that mkfs leaves free, is there from just before
/// mkfs until it has ended: a device with the stamp was empty when kbr began and has never been mounted since, so it alone may be formatted
/// again.</summary>
internal static class VolumeScripts
{
    public const string Common = """
        set -f
        fail() { printf '%s\n' "$*" >&2; exit 1; }

        [ -b "$device" ] || fail "there is no block device $device on this host"
        node=$(readlink -f -- "$device")
        number=$((0x$(stat -c %t -- "$node"))):$((0x$(stat -c %T -- "$node")))

        # The device number of what is seen at the mount point; nothing when nothing is mounted there.
        mounted_here() {
            here=
            while read -r _ _ mounted_number _ mounted_at _; do
                if [ "$mounted_at" = "$mount_point" ]; then here=$mounted_number; fi
            done </proc/self/mountinfo
            printf '%s' "$here"
        }

        # Refuses a device that any process, in whatever mount namespace, still has mounted.
        not_in_use() {
            set +f
            # A process may end while it is looked at.
            info=$(grep -lFs -- " $number " /proc/[0-9]*/mountinfo | head -n 1)
            if [ -n "$info" ]; then
                process=${info#/proc/}
                process=${process%/mountinfo}
                fail "$device is still mounted in the view of process $process ($(cat "/proc/$process/comm" 2>/dev/null || echo gone)): stop it first"
            fi
            for holder in "/sys/dev/block/$number/holders"/*; do
                [ ! -e "$holder" ] || fail "$device is in use by ${holder##*/}"
            done
            set -f
        }

        tag() { blkid -p -o value -s "$1" -- "$node" || :; }

        stamp="kbr is at work on this device: $label"
        stamped() { [ "$(dd if="$node" bs=4096 skip=255 count=1 2>/dev/null | tr -d '\000')" = "$stamp" ]; }
        set_stamp() { printf '%s' "$stamp" | dd of="$node" bs=4096 seek=255 count=1 conv=notrunc,sync,fsync iflag=fullblock 2>/dev/null; }
        clear_stamp() { dd if=/dev/zero of="$node" bs=4096 seek=255 count=1 conv=notrunc,fsync 2>/dev/null; }

        set_mark() {
            [ -d "$state" ] || mkdir -p -m 0700 -- "$state"
            printf '%s %s\n' "$1" "$device" >"$mark.new"
            sync -- "$mark.new"
            mv -f -- "$mark.new" "$mark"
            sync -- "$state"
        }
        clear_mark() {
            if [ -e "$mark" ]; then rm -f -- "$mark"; sync -- "$state"; fi
        }

        # Empty: the first MiB can be read, is all zero, and blkid knows nothing anywhere on it.
        is_empty() {
            dd if="$node" of=/dev/null bs=1048576 count=1 2>/dev/null || fail "$device cannot be read"
            [ "$(dd if="$node" bs=1048576 count=1 2>/dev/null | tr -d '\000' | wc -c)" -eq 0 ] || return 1
            known=0
            blkid -p -- "$node" >/dev/null 2>&1 || known=$?
            [ "$known" -eq 2 ]
        }

        # Prints fstab with $1 in place of the lines for the mount point (or at the end); every other line stays byte for byte.
        fstab_with() {
            line_of_ours=$1
            if [ -e "$fstab" ]; then
                while IFS= read -r line || [ -n "$line" ]; do
                    if is_for_mount_point "$line"; then
                        if [ -n "$line_of_ours" ]; then printf '%s\n' "$line_of_ours"; line_of_ours=; fi
                    else
                        printf '%s\n' "$line"
                    fi
                done <"$fstab"
            fi
            if [ -n "$line_of_ours" ]; then printf '%s\n' "$line_of_ours"; fi
        }
        is_for_mount_point() {
            unset IFS
            set -- $1
            case ${1-} in ''|'#'*) return 1 ;; esac
            [ "${2-}" = "$mount_point" ]
        }
        is_foreign_line() {
            unset IFS
            set -- $1
            case ,${4-}, in *,x-kbr.volume=*) return 1 ;; esac
        }

        # Written beside and renamed, keeping owner and mode.
        write_fstab() {
            target=$(readlink -f -- "$fstab")
            if [ -e "$target" ]; then cp -p -- "$target" "$target.kbr"; else : >"$target.kbr"; chmod 0644 "$target.kbr"; fi
            fstab_with "$1" >"$target.kbr"
            if [ -e "$target" ] && [ "$(cat -- "$target"; echo .)" = "$(cat -- "$target.kbr"; echo .)" ]; then
                rm -f -- "$target.kbr"
                return
            fi
            sync -- "$target.kbr"
            mv -f -- "$target.kbr" "$target"
            sync -- "$(dirname -- "$target")"
            if [ -d /run/systemd/system ]; then
                # systemd unmounts what is bound to a device it has not seen yet, so udev gets to name it first.
                if command -v udevadm >/dev/null 2>&1; then udevadm settle --timeout=10 || :; fi
                systemctl daemon-reload
            fi
        }

        """;

    public const string Ensure = """
        here=$(mounted_here)
        if [ -n "$here" ] && [ "$here" != "$number" ]; then
            fail "another device ($here) is mounted at $mount_point"
        fi
        if [ "$creating" = yes ] && [ "$adopt" = no ] && [ -e "$fstab" ]; then
            while IFS= read -r line || [ -n "$line" ]; do
                if is_for_mount_point "$line" && is_foreign_line "$line"; then
                    fail "$fstab already has a line for $mount_point that kbr did not write: $line"
                fi
            done <"$fstab"
        fi

        if [ -z "$here" ]; then
            [ -d "$parent" ] || fail "$parent does not exist, and kbr creates no undeclared directories: declare it, or mount its volume"
            [ "$(readlink -f -- "$mount_point")" = "$mount_point" ] || fail "a symbolic link leads to $mount_point: name the real path, $(readlink -f -- "$mount_point")"
            if [ -d "$mount_point" ]; then
                entries=$(ls -A -- "$mount_point" | wc -l)
                [ "$entries" -eq 0 ] || fail "$mount_point is not empty ($entries entries), and mounting over it would hide them: move them away first"
            fi

            if stamped; then
                not_in_use
                set_mark creating
                mkfs.xfs -q -K -f -L "$label" "$node"
                sync -- "$node"
                clear_stamp
            elif [ "$(tag TYPE)" = xfs ]; then
                # Never formatted, whoever made it; only mounted when it is ours or was given to us.
                found=$(tag LABEL)
                if [ "$found" != "$label" ] && [ "$adopt" = no ]; then
                    fail "$device has an xfs file system that kbr did not create for this volume (label '$found'): name another device, or adopt it with --adopt"
                fi
                if [ "$creating" = yes ]; then set_mark creating; fi
            elif is_empty; then
                not_in_use
                set_mark creating
                set_stamp
                mkfs.xfs -q -K -L "$label" "$node"
                sync -- "$node"
                clear_stamp
            else
                fail "$device is not empty ($(blkid -p -- "$node" 2>/dev/null || echo 'data of an unknown kind')); kbr formats only an empty device"
            fi

            # Mode 0000 keeps everybody but root from writing below while nothing is mounted, and tells kbr later that it made the directory.
            if [ ! -e "$mount_point" ] && [ ! -L "$mount_point" ]; then mkdir -m 0000 -- "$mount_point"; fi
            [ -d "$mount_point" ] || fail "the mount point $mount_point is not a directory"
            mount -t xfs -o "$options" -- "$node" "$mount_point"
        else
            [ "$(tag TYPE)" = xfs ] || fail "$device is mounted at $mount_point but does not hold xfs"
            if [ -n "$remount" ]; then mount -o "remount,$remount" -- "$node" "$mount_point"; fi
        fi

        if [ "$(tag LABEL)" != "$label" ]; then
            xfs_io -x -c "label -s $label" "$mount_point" >/dev/null
            sync -f -- "$mount_point"
        fi
        uuid=$(tag UUID)
        [ -n "$uuid" ] || fail "blkid tells no UUID of the file system on $device"
        write_fstab "UUID=$uuid $fields"
        here=$(mounted_here)
        [ "$here" = "$number" ] || fail "$mount_point is no longer mounted: check 'journalctl -b'"
        clear_mark

        """;

    public const string Release = """
        here=$(mounted_here)
        wiping=no
        if [ -e "$mark" ] && read -r word _ <"$mark" && [ "$word" = wiping ]; then wiping=yes; fi
        if [ -n "$here" ] && [ "$here" != "$number" ]; then
            fail "another device ($here) is mounted at $mount_point; kbr does not change it"
        fi

        # What is on the device is judged before anything is changed.
        if [ "$delete_data" = yes ] && [ "$wiping" = no ] && ! stamped && ! is_empty && [ "$(tag LABEL)" != "$label" ]; then
            fail "$device has content that kbr did not create ($(blkid -p -- "$node" 2>/dev/null || echo 'data of an unknown kind')); it is not deleted"
        fi

        if [ -n "$here" ]; then
            if ! message=$(umount -- "$mount_point" 2>&1); then
                set +f
                users=
                for process in $(find /proc/[0-9]*/cwd /proc/[0-9]*/root /proc/[0-9]*/exe /proc/[0-9]*/fd -maxdepth 1 \( -lname "$mount_point" -o -lname "$mount_point/*" \) 2>/dev/null | cut -d/ -f3 | sort -un); do
                    users="$users $process ($(cat "/proc/$process/comm" 2>/dev/null || echo gone))"
                done
                fail "$mount_point cannot be unmounted: ${message}; used by${users:- no process that can be seen here: look for containers or mounts below it}"
            fi
        fi
        if [ -d "$mount_point" ] && [ "$(stat -c '%a %u' -- "$mount_point")" = '0 0' ]; then
            rmdir -- "$mount_point" || fail "$mount_point is not empty although nothing is mounted there: move its content away"
            sync -- "$parent"
        fi

        if [ "$delete_data" = yes ] && [ "$wiping" = no ] && ! is_empty; then
            not_in_use
            set_mark wiping
            wiping=yes
        fi
        write_fstab ''
        if [ "$wiping" = yes ]; then
            # The stamp goes last but for the mark: until then the next run, or a new apply, may finish the work.
            not_in_use
            set_stamp
            wipefs -a -q -- "$node"
            size=$(blockdev --getsize64 "$node")
            dd if=/dev/zero of="$node" bs=4096 seek=$((size / 4096 - 256)) count=256 conv=notrunc,fsync 2>/dev/null
            dd if=/dev/zero of="$node" bs=4096 count=255 conv=notrunc,fsync 2>/dev/null
            clear_stamp
        fi
        clear_mark

        """;
}
