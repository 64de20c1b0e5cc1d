namespace KeyBuzz.Reconciler.Providers.Image;

/// <summary>The shell of <see cref="ImageProvider"/>.</summary>
internal static class ImageScripts
{
    // An image that exists is not pulled again, so a lost tag is restored without a registry.
    public const string Pull = """
        docker image inspect --format '{{.Id}}' "$pinned" >/dev/null 2>&1 || docker pull -q "$pinned" >/dev/null
        docker tag "$pinned" "$tag"

        """;

    // Docker's client writes the login to a file: in memory, of root's alone, and gone after the pull. One that a killed pull has left is
    // removed by the next.
    public const string PullWithLogin = """
        if ! docker image inspect --format '{{.Id}}' "$pinned" >/dev/null 2>&1; then
            (
                umask 077
                mkdir -p /run/kbr
                for left in /run/kbr/registry.*; do
                    [ ! -d "$left" ] || [ -d "/proc/${left##*.}" ] || rm -rf -- "$left"
                done
                login=/run/kbr/registry.$$
                trap 'rm -rf -- "$login"' EXIT
                trap 'exit 143' HUP INT TERM
                mkdir -p "$login"
                said=$(printf '%s' "$password" | docker --config "$login" login -u "$user" --password-stdin ${registry:+"$registry"} 2>&1 >/dev/null) ||
                    fail "the registry ${registry:-of Docker} refuses the login of $user: $said"
                docker --config "$login" pull -q "$pinned" >/dev/null
            )
        fi

        """;

    public const string Load = """
        loaded=$(docker load -q -i "$archive")
        if [ -n "$id" ]; then
            docker image inspect --format '{{.Id}}' "$id" >/dev/null 2>&1 || fail "the archive does not hold the image $id; it holds: $loaded"
            docker tag "$id" "$tag"
            # Its name in the archive may be that of another build next time.
            printf '%s\n' "$loaded" | sed -n 's/^Loaded image: //p' | while IFS= read -r name; do
                case $name in "$tag" | "$familiar") continue ;; esac
                if [ "$(docker image inspect --format '{{.Id}}' "$name" 2>/dev/null)" = "$id" ]; then
                    docker image rm "$name" >/dev/null
                fi
            done
        fi
        docker image inspect --format '{{.Id}}' "$tag" >/dev/null 2>&1 || fail "the archive does not contain $tag; run 'docker save' with that name"

        """;

    // Only names that kbr gave are removed; the layers go with the last name.
    public const string Delete = """
        docker version --format '{{.Server.Version}}' >/dev/null
        if id=$(docker image inspect --format '{{.Id}}' "$pinned" 2>/dev/null); then
            for container in $(docker ps -aq --no-trunc); do
                # A container that went away meanwhile uses nothing.
                used=$(docker container inspect --format '{{.Image}} {{.Name}}' "$container" 2>/dev/null) || continue
                if [ "${used%% *}" = "$id" ]; then
                    fail "the image $pinned is in use by container ${used#* /}: remove that container first"
                fi
            done
            if [ "$(docker image inspect --format '{{.Id}}' "$tag" 2>/dev/null || :)" = "$id" ]; then
                docker image rm "$tag" >/dev/null
            fi
            if docker image inspect --format '{{.Id}}' "$pinned" >/dev/null 2>&1; then
                docker image rm "$pinned" >/dev/null
            fi
        fi

        """;
}
