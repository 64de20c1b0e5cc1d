#!/usr/bin/env bash
# Runs everything from a fresh clone on a bare Debian machine: format, build, unit and property tests, Native AOT publish, the lab and its tests.
# Its last line counts the real results: N passed, N failed, N skipped.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
results=$PWD/artifacts/test-results
rm -rf "$results"
mkdir -p "$results"
begun=$SECONDS
step() { printf '[%4d s] %s\n' $((SECONDS - begun)) "$*"; }
failed() { step "FAILED: $*"; tail -n 60 "$results/$1.log" 2>/dev/null; echo "0 passed, 1 failed, 0 skipped"; exit 1; }

step "installing what the tests need"
missing=()
for package in openssh-server openssh-client curl xfsprogs clang zlib1g-dev python3 procps; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing+=("$package")
done
if ((${#missing[@]})); then
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >"$results/packages.log" 2>&1 || failed packages
fi
command -v dotnet >/dev/null || { step "the .NET SDK of global.json is needed on PATH"; echo "0 passed, 1 failed, 0 skipped"; exit 1; }

# The lab comes up beside the build; both together are quicker than one after the other even on two cores.
lab/up >"$results/lab.log" 2>&1 &
lab=$!

step "restore, build, format"
dotnet restore KeyBuzz.Reconciler.sln --locked-mode >"$results/restore.log" 2>&1 || failed restore
dotnet build KeyBuzz.Reconciler.sln -c Release --no-restore --nologo >"$results/build.log" 2>&1 || failed build
dotnet format KeyBuzz.Reconciler.sln --no-restore --verify-no-changes >"$results/format.log" 2>&1 || failed format

# The image scripts are tested on the Docker Engine that the lab starts.
until docker info >/dev/null 2>&1 || ! kill -0 $lab 2>/dev/null; do sleep 1; done
step "unit and property tests"
dotnet test tests/unit -c Release --no-build --nologo --logger "trx;LogFileName=$results/unit.trx" >"$results/unit.log" 2>&1 || tail -n 60 "$results/unit.log"

step "Native AOT publish, no warning allowed"
eng/publish.sh >"$results/publish.log" 2>&1 || failed publish
if grep -E 'warning (IL|CS|CA)' "$results/publish.log"; then failed publish; fi
artifacts/publish/kbr/release_linux-x64/kbr --version >/dev/null || failed publish

step "waiting for the lab"
wait $lab || failed lab
tail -n 1 "$results/lab.log"

step "lab tests"
dotnet test tests/lab -c Release --no-build --nologo --logger "trx;LogFileName=$results/lab.trx" >"$results/labtests.log" 2>&1 || tail -n 120 "$results/labtests.log"

step "done"
eng/count-results.py "$results/unit.trx" "$results/lab.trx"
