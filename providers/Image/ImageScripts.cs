namespace KeyBuzz.Reconciler.Providers.Image;

/// <summary>The shell of <see cref="ImageProvider"/>.</summary>
internal static class ImageScripts
{
    // What is there already is not fetched again, so a lost tag is put back without a registry.
    public const string Pull = """
        docker image inspect --format '{{.Id}}' "$pinned" >/dev/null 2>&1 || docker pull -q "$pinned" >/dev/null
        docker tag "$pinned" "$tag"

        """;

    public const string Load = """
        docker load -q -i "$archive" >/dev/null
        docker image inspect --format '{{.Id}}' "$tag" >/dev/null 2>&1 || fail "the archive does not hold $tag; 'docker save' it by that name"

        """;

    // Only the names kbr gave are taken away; the layers go with the last name.
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
