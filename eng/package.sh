#!/usr/bin/env bash
# Packages kbr into artifacts/packages: the program in a .tar.gz and a .deb, for linux-x64 and for linux-arm64, a dotnet tool, a container image
# (linux-x64), the symbols of both programs, an SBOM, and SHA256SUMS. Publishes first, unless artifacts/publish has a kbr that is newer than the sources.
# The same commit and the same kbr make the same bytes (SOURCE_DATE_EPOCH; the time of the commit when it is not set).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
limit=20000000 # bytes of the program
out=$PWD/artifacts/packages
kbr=$PWD/artifacts/publish/kbr/release_linux-x64/kbr # what runs here, and makes the pages
version=$(sed -n 's:.*<Version>\(.*\)</Version>.*:\1:p' Directory.Build.props)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH LC_ALL=C TZ=UTC
umask 022

program() { echo "$PWD/artifacts/publish/kbr/release_$1/kbr"; } # RID
for rid in linux-x64 linux-arm64; do
    made=$(program "$rid")
    if [[ ! -x $made ]] || [[ -n $(find src providers images Directory.*.props -newer "$made" -type f ! -name '*.md' ! -name '*.py' ! -name '*.tar' -print -quit) ]]; then
        RID=$rid eng/publish.sh
    fi
    size=$(stat -c %s "$made")
    ((size <= limit)) || { echo "kbr for $rid has $size bytes, and may have $limit" >&2; exit 1; }
done
[[ $("$kbr" --version) == "$version" ]] || { echo "$kbr is not version $version" >&2; exit 1; }

rm -rf "$out"
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What every package has besides the program; all of it is made by the program itself.
share=$work/share
mkdir -p "$share"/{man/man1,bash-completion/completions,zsh/vendor-completions,fish/vendor_completions.d,doc/kbr/examples}
"$kbr" man --out "$share/man/man1"
gzip -9n "$share"/man/man1/*.1
"$kbr" completion bash >"$share/bash-completion/completions/kbr"
"$kbr" completion zsh >"$share/zsh/vendor-completions/_kbr"
"$kbr" completion fish >"$share/fish/vendor_completions.d/kbr.fish"
"$kbr" schema >"$share/doc/kbr/cluster.schema.json"
gzip -9nc CHANGELOG.md >"$share/doc/kbr/changelog.gz"
cp eng/packaging/copyright "$share/doc/kbr/copyright"
cp cluster.yaml "$share/doc/kbr/examples/cluster.yaml"
eng/packaging/sbom.py "$version" "$kbr" >"$out/kbr_$version.cdx.json"
eng/packaging/sbom.py --check "$out/kbr_$version.cdx.json"
cp "$out/kbr_$version.cdx.json" "$share/doc/kbr/sbom.cdx.json"

# Everything gets the modes and the time of the commit.
normal() { # FOLDER
    find "$1" -type d -exec chmod 755 {} + -o -type f -perm -100 -exec chmod 755 {} + -o -type f -exec chmod 644 {} +
    find "$1" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
}

# The program with its pages and completions: to unpack below /usr/local, and as a .deb. libssl is loaded at run time, so no tool finds it: a
# connection fails without it.
both() { # RID ARCHITECTURE-OF-DEBIAN
    local made glibc plain=$work/kbr-$version-$1 deb=$work/deb-$2
    made=$(program "$1")
    mkdir -p "$plain/bin" "$deb/DEBIAN" "$deb/usr/bin"
    install -m 755 "$made" "$plain/bin/kbr"
    cp -r "$share" "$plain/share"
    normal "$plain"
    tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner --format=gnu -c "$(basename "$plain")" | gzip -9n >"$out/kbr_${version}_$1.tar.gz"

    gzip -6nc "$made.dbg" >"$out/kbr_${version}_$1.dbg.gz"

    install -m 755 "$made" "$deb/usr/bin/kbr"
    cp -r "$share" "$deb/usr/share"
    glibc=$(grep -ao 'GLIBC_2\.[0-9]*' "$made" | sort -uV | tail -n 1)
    cat >"$deb/DEBIAN/control" <<CONTROL
Package: kbr
Version: $version
Architecture: $2
Maintainer: KeyBuzz <root@localhost>
Installed-Size: $(du -sk --apparent-size "$deb/usr" | cut -f 1)
Depends: libc6 (>= ${glibc#GLIBC_}), libssl3t64 | libssl3
Suggests: openssh-client, bash-completion
Section: admin
Priority: optional
Description: declarative reconciler for PostgreSQL HA over SSH
 kbr compares hosts with a cluster.yaml and applies the difference in dependency
 order: a PostgreSQL cluster with Patroni, HAProxy and PgBouncer. There is no
 agent on the hosts, and no state server.
 .
 No licence has been chosen; see the copyright file.
CONTROL
    (cd "$deb" && find usr -type f -print0 | sort -z | xargs -0 md5sum) >"$deb/DEBIAN/md5sums"
    normal "$deb"
    dpkg-deb --root-owner-group -Zxz --build "$deb" "$out/kbr_${version}_$2.deb" >/dev/null
}
both linux-x64 amd64
both linux-arm64 arm64

# The image: the program, what it loads, and nothing else; no shell.
image=$work/image
mkdir -p "$image"/{usr/bin,etc/ssl/certs,work,tmp}
install -m 755 "$kbr" "$image/usr/bin/kbr"
libraries() { # FILE...: what they load, and what that loads
    ldd "$@" | grep -v ':$' | grep -o '/[^ :]*\.so[^ )]*' | sort -u
}
ssl=$(ldconfig -p | sed -n 's:.*x86-64.* => \(/.*/lib\(ssl\|crypto\)\.so\.3\)$:\1:p' | sort -u)
[[ -n $ssl ]] || { echo "libssl.so.3 is not installed" >&2; exit 1; }
# shellcheck disable=SC2086
for library in $(libraries "$kbr" $ssl) $ssl; do
    mkdir -p "$image$(dirname "$library")"
    cp -L "$library" "$image$library"
done
[[ ! -e /etc/ssl/certs/ca-certificates.crt ]] || cp -L /etc/ssl/certs/ca-certificates.crt "$image/etc/ssl/certs/"
echo 'kbr:x:65532:65532:kbr:/work:/usr/sbin/nologin' >"$image/etc/passwd"
echo 'kbr:x:65532:' >"$image/etc/group"
normal "$image"
chmod 1777 "$image/tmp"
eng/packaging/image.py "$image" "kbr:$version" "$work/image.tar"
gzip -9nc "$work/image.tar" >"$out/kbr_${version}_image_linux-x64.tar.gz"

# The dotnet tool: a package that points to the platform's own, the file of Native AOT, and one for every other platform with .NET.
[[ -e artifacts/bin/kbr/release/kbr.dll ]] || dotnet build src/kbr -c Release -p:RunAnalyzers=false --nologo -v quiet
eng/packaging/nupkg.py "$version" "$kbr" artifacts/bin/kbr/release "$out"

(cd "$out" && find . -type f ! -name SHA256SUMS -printf '%P\n' | sort | xargs sha256sum >SHA256SUMS)
ls -l "$out"
