#!/usr/bin/env bash
# Publishes kbr with Native AOT to artifacts/publish/kbr/release_linux-x64; any warning fails it. Takes more options of dotnet publish.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
command -v clang >/dev/null && [ -e /usr/include/zlib.h ] || { apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq clang zlib1g-dev >/dev/null; }
dotnet publish src/kbr -c Release -r linux-x64 --nologo -v quiet "$@"
touch artifacts/publish/kbr/release_linux-x64/kbr
