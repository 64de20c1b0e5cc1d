using System.Collections.Immutable;
using System.Globalization;
using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Cli.Blueprints.Postgres;

/// <summary>The build of a service's image from the Dockerfile that kbr brings, saved as an archive.</summary>
/// <param name="Service">The service, a folder of <c>images/</c>.</param>
/// <param name="Base">The image it is made from.</param>
/// <param name="PostgresVersion">PostgreSQL's major version.</param>
internal sealed record ImageBuild(string Service, string Base, int PostgresVersion)
{
    /// <summary>The shell variable that holds the path of the archive.</summary>
    public const string Archive = "archive";

    /// <summary>The base where none is named: what the Dockerfiles are written for.</summary>
    public const string DefaultBase = "debian:trixie-slim";

    // Templates of docker inspect.
    private const string PinnedFormat = "{{if .RepoDigests}}{{index .RepoDigests 0}}{{end}}";
    private const string IdFormat = "{{.Id}}";

    private const string End = "end_of_the_dockerfile";

    /// <summary>The services of every cluster, in the order of cluster.yaml.</summary>
    public static readonly ImmutableArray<string> Usual = ["patroni", "haproxy", "pgbouncer"];

    /// <summary>These, and those that only some clusters have.</summary>
    public static readonly ImmutableArray<string> Services = [.. Usual, "keepalived", "etcd", "monitoring"];

    /// <summary>The image's name. Builds under one name are told apart by their ids.</summary>
    public string Name =>
        Service == "patroni" ? $"kbr/patroni:{PostgresVersion.ToString(CultureInfo.InvariantCulture)}" : $"kbr/{Service}:trixie";

    /// <summary>The Dockerfile.</summary>
    public string Dockerfile
    {
        get
        {
            using var stream = typeof(ImageBuild).Assembly.GetManifestResourceStream($"images/{Service}/Dockerfile")!;
            using var reader = new StreamReader(stream);
            return reader.ReadToEnd();
        }
    }

    /// <summary>Builds the image, writes the archive, and prints the image's id and its base, by digest where a registry gave it one.
    /// Takes its packages through the proxies that the machine's environment names.</summary>
    public Script Script =>
        new(
            $$"""
            docker version >/dev/null || { echo "Docker Engine does not answer" >&2; exit 1; }
            base={{Hosts.Script.Quote(Base)}}
            docker image inspect "$base" >/dev/null 2>&1 || docker pull -q "$base" >/dev/null
            pinned=$(docker image inspect --format '{{PinnedFormat}}' "$base")
            set --
            for name in http_proxy https_proxy no_proxy; do
                if [ -n "$(printenv "$name")" ]; then set -- "$@" --build-arg "$name"; fi
            done
            folder=$(mktemp -d)
            trap 'rm -rf "$folder"' EXIT
            cat >"$folder/Dockerfile" <<'{{End}}'
            {{Dockerfile}}
            {{End}}
            docker build -t {{Name}} --build-arg BASE="${pinned:-$base}" --build-arg PG_MAJOR={{PostgresVersion}} "$@" "$folder" >&2
            (umask 077; docker save -o "${{Archive}}" {{Name}})
            docker image inspect --format '{{IdFormat}}' {{Name}}
            printf '%s\n' "${pinned:-$base}"

            """
        )
        {
            Deadline = TimeSpan.FromMinutes(30),
        };
}
