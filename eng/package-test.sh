#!/usr/bin/env bash
# Installs every package of artifacts/packages into an empty place, and runs it there without .NET. Needs eng/package.sh before it, root, and
# Docker Engine. The commands of docs/install.md run as that page has them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
packages=$PWD/artifacts/packages
version=$(sed -n 's:.*<Version>\(.*\)</Version>.*:\1:p' Directory.Build.props)
work=$(mktemp -d)
loads=
trap 'put_image_back; rm -rf "$work"' EXIT
failed() { echo "FAILED: $*" >&2; exit 1; }

# The commands under a heading of docs/install.md, without their comments.
commands() { # HEADING
    local found
    found=$(sed -n "/^$1\$/,/^## /s/^    //p" docs/install.md | sed 's/  *#.*//')
    [[ $found == *kbr* ]] || failed "docs/install.md has no commands under '$1'"
    printf 'set -e\n%s\n' "$found"
}

cat >"$work/cluster.yaml" <<'YAML'
version: 1
cluster: packaged
hosts: { db-1: { role: db, address: 192.0.2.1 } }
resources: [{ type: config_file, name: app, host: db-1, path: /srv/app.conf, mode: "0600", content: "${secret.APP}" }]
YAML

# Docker as it was before the test loaded its image: the tag names the image that it named, or none.
put_image_back() {
    local now
    [[ -n $loads ]] || return 0
    loads=
    now=$(docker image inspect -f '{{.Id}}' "kbr:$version" 2>/dev/null || true)
    [[ $now != "$before" ]] || return 0
    [[ -z $now ]] || docker rmi "kbr:$version" >/dev/null
    [[ -z $before ]] || docker tag "$before" "kbr:$version"
}

# What users do first, in an environment without .NET: the version, a file with its secrets, a completion, a page, the schema.
runs() { # PROGRAM...
    local output
    cd "$work"
    for words in version 'validate -c cluster.yaml' 'explain container.image' 'completion bash' 'man plan' schema; do
        # shellcheck disable=SC2086
        output=$(env -i PATH=/usr/bin:/bin HOME="$work" KBR_KEY=the-key-of-the-test APP=the-secret-of-the-test "$@" $words 2>&1) || failed "$* $words: $output"
        case $words in
            version) [[ $output == "kbr $version"* ]] || failed "$* version: $output" ;;
            validate*) [[ $output == "cluster.yaml is valid: 1 hosts, 1 resources" ]] || failed "$* validate: $output" ;;
        esac
    done
    cd - >/dev/null
}

(cd "$packages" && sha256sum --quiet -c SHA256SUMS) || failed "a checksum is wrong"
[[ $(wc -l <"$packages/SHA256SUMS") -eq $(find "$packages" -type f ! -name SHA256SUMS | wc -l) ]] || failed "a file has no checksum"
eng/packaging/sbom.py --check "$packages/kbr_$version.cdx.json" || failed "the SBOM is not valid"

# The .deb, installed by dpkg into a root of its own.
root=$work/root
mkdir -p "$root/var/lib/dpkg/info" "$root/var/lib/dpkg/updates"
: >"$root/var/lib/dpkg/status"
dpkg --root="$root" --force-depends --force-not-root --log="$work/dpkg.log" -i "$packages/kbr_${version}_amd64.deb" >"$work/deb.log" 2>&1 \
    || failed "dpkg -i: $(cat "$work/deb.log")"
[[ $(dpkg-query --admindir="$root/var/lib/dpkg" -W -f '${Status} ${Version}' kbr) == "install ok installed $version" ]] || failed "kbr is not installed"
runs "$root/usr/bin/kbr"
for file in man/man1/kbr.1.gz man/man1/kbr-state-show.1.gz bash-completion/completions/kbr doc/kbr/copyright doc/kbr/changelog.gz doc/kbr/sbom.cdx.json; do
    [[ -s $root/usr/share/$file ]] || failed "the .deb has no $file"
done
(cd "$root" && md5sum --quiet -c "$root/var/lib/dpkg/info/kbr.md5sums") || failed "md5sums of the .deb"
# kbr needs libssl, which it loads by itself.
depends=$(dpkg-deb -f "$packages/kbr_${version}_amd64.deb" Depends)
[[ $depends == *'libssl3t64 | libssl3'* ]] || failed "the .deb does not depend on libssl: $depends"
dpkg --root="$root" --force-not-root --log="$work/dpkg.log" -r kbr >/dev/null
[[ ! -e $root/usr/bin/kbr ]] || failed "dpkg -r left the program"

# That for arm64, by an emulator of that processor. It loads no libssl there, so nothing is hashed.
root=$work/arm64
dpkg-deb -x "$packages/kbr_${version}_arm64.deb" "$root"
[[ $(dpkg-deb -f "$packages/kbr_${version}_arm64.deb" Architecture) == arm64 ]] || failed "the architecture of the .deb for arm64"
mkdir "$work/arm64-plain"
tar -xzf "$packages/kbr_${version}_linux-arm64.tar.gz" -C "$work/arm64-plain" --strip-components=1
cmp "$root/usr/bin/kbr" "$work/arm64-plain/bin/kbr" || failed "the packages for arm64 have two programs"
command -v qemu-aarch64-static >/dev/null || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends qemu-user-static >/dev/null; }
for words in version 'explain container.image' 'completion bash' schema; do
    # shellcheck disable=SC2086
    output=$(env -i PATH=/usr/bin:/bin HOME="$work" qemu-aarch64-static -L /usr/aarch64-linux-gnu "$root/usr/bin/kbr" $words 2>&1) || failed "arm64 $words: $output"
    [[ $words != version || $output == "kbr $version"*"on linux-arm64"* ]] || failed "arm64 version: $output"
done

# The program, installed as the page says below a /usr/local of its own, where the packages are.
unpacked=$(commands '## Program')
mkdir "$work/local" "$work/unpacked"
ln -s "$packages/kbr_${version}_linux-x64.tar.gz" "$work/unpacked"
unshare -m sh -ec 'mount --bind "$1" /usr/local && mkdir -p /usr/local/bin /usr/local/share && cd "$2" && eval "$3"' sh "$work/local" "$work/unpacked" "$unpacked"
runs "$work/local/bin/kbr"
[[ -s $work/local/share/man/man1/kbr.1.gz ]] || failed "the archive has no page"

# A stack trace of the program names methods and lines with the symbols beside it.
gunzip -c "$packages/kbr_${version}_linux-x64.dbg.gz" >"$work/kbr.dbg"
address=$(nm "$work/kbr.dbg" | sed -n 's/^0*\([0-9a-f]*\) [tT] .*CommandContext__RefuseForeign$/\1/p')
[[ $address ]] || failed "the symbols have no CommandContext.RefuseForeign"
output=$(printf '%s\n' 'Error: internal error: x' "   at kbr!<BaseAddress>+0x$address" '  and more' \
    | eng/stack-trace.sh "$packages/kbr_${version}_linux-x64.dbg.gz") \
    || failed "eng/stack-trace.sh: $output"
[[ $output == *$'x\n   at '*CommandContext__RefuseForeign*/CommandContext.cs:[0-9]*$'\n  and more' ]] \
    || failed "eng/stack-trace.sh: $output"

# The image has everything the program loads: it runs in it alone, as the image's user.
mkdir -p "$work/image" "$work/layer"
tar -xzf "$packages/kbr_${version}_image_linux-x64.tar.gz" -C "$work/image"
tar -xf "$work/image/layer.tar" -C "$work/layer"
cp "$work/cluster.yaml" "$work/layer/work/cluster.yaml"
grep -q '"User": "65532:65532"' "$work"/image/*.json || failed "the image runs as root"
output=$(env -i KBR_KEY=the-key-of-the-test APP=the-secret-of-the-test /usr/sbin/chroot --userspec=65532:65532 "$work/layer" /usr/bin/kbr validate -c /work/cluster.yaml 2>&1) \
    || failed "in the image: $output"
[[ $output == *"is valid: 1 hosts, 1 resources"* ]] || failed "in the image: $output"

# And in Docker, as the page says: it finds cluster.yaml and the key, and nobody who answers.
docker info >/dev/null 2>&1 || timeout 300 sh -c 'until docker info >/dev/null 2>&1; do sleep 1; done' || failed "Docker Engine does not answer"
mkdir -p "$work/docker/home/.ssh" "$work/docker/credentials"
(umask 077 && echo KBR_KEY=the-key-of-the-test >"$work/docker/credentials/postgres.env")
ssh-keygen -q -t ed25519 -N '' -f "$work/docker/home/.ssh/id_ed25519"
: >"$work/docker/home/.ssh/known_hosts"
cat >"$work/docker/cluster.yaml" <<'YAML'
version: 1
cluster: packaged
hosts: { db-1: { role: db, address: 127.0.0.1, ssh: { port: 1 } } }
resources: [{ type: directory, name: app, host: db-1, path: /srv/app }]
YAML
mapfile -t lines < <(commands '## Container image' | tail -n +2)
((${#lines[@]} == 2)) || failed "docs/install.md: ${#lines[@]} commands for the image"
ln -s "$packages/kbr_${version}_image_linux-x64.tar.gz" "$work/docker"
before=$(docker image inspect -f '{{.Id}}' "kbr:$version" 2>/dev/null || true)
loads=yes
output=$(cd "$work/docker" && HOME=$work/docker/home && eval "${lines[0]}") || failed "${lines[0]}: $output"
[[ $output == *"Loaded image: kbr:$version"* ]] || failed "${lines[0]}: $output"
output=$(cd "$work/docker" && HOME=$work/docker/home && eval "${lines[1]}" 2>&1) && failed "${lines[1]}: $output"
put_image_back
[[ $(docker image inspect -f '{{.Id}}' "kbr:$version" 2>/dev/null || true) == "$before" ]] || failed "the tag kbr:$version is not as it was"
[[ $output == *"db-1: 127.0.0.1:1 refuses connections"* ]] || failed "${lines[1]}: $output"

# The dotnet tool, from the folder: on this platform the compiled program, elsewhere the one that .NET runs.
tool_install() { # FOLDER
    DOTNET_CLI_HOME=$work/home NUGET_PACKAGES=$work/nuget DOTNET_NOLOGO=1 dotnet tool install kbr --tool-path "$1" --version "$version" \
        --source "$packages" --no-http-cache >"$work/tool.log" 2>&1 || failed "dotnet tool install: $(cat "$work/tool.log")"
}
tool_install "$work/tool"
runs "$work/tool/kbr"
mkdir "$work/any"
python3 -m zipfile -e "$packages/kbr.any.$version.nupkg" "$work/any"
[[ $(dotnet "$work/any/tools/net10.0/any/kbr.dll" --version) == "$version" ]] || failed "the tool for other platforms"
echo "the packages of kbr $version are installed and run"
