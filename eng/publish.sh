#!/usr/bin/env bash
# Publishes kbr with Native AOT to artifacts/publish/kbr/release_linux-x64; any warning fails it. Takes more options of dotnet publish.
# RID=linux-arm64 compiles it for arm64, to release_linux-arm64.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
command -v clang >/dev/null && [ -e /usr/include/zlib.h ] || { apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq clang zlib1g-dev >/dev/null; }
rid=${RID:-linux-x64}
if [[ $rid == linux-arm64 && $(uname -m) != aarch64 ]] && ! command -v aarch64-linux-gnu-gcc >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends gcc-aarch64-linux-gnu libc6-dev-arm64-cross >/dev/null
fi
dotnet publish src/kbr -c Release -r "$rid" --nologo -v quiet "$@"
touch "artifacts/publish/kbr/release_$rid/kbr"
