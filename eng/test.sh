#!/usr/bin/env bash
# Runs everything from a fresh clone on a bare Debian machine: format, build, unit and property tests, Native AOT publish, the labs and their tests.
#   eng/test.sh            # half of the tests on a lab, which the commit names; on a slow machine one suite of an eighth
#   eng/test.sh --whole    # everything
#   eng/test.sh unit ha    # only these suites (unit, programs, lab, membership, ha, fresh-hosts, live), and only their labs
# KBR_SLICE="1 6" names the eighths (Ha.Slice1).
# Hosts that an earlier lab left are made anew. Its last line counts the real results: N passed, N failed, N skipped.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
results=$PWD/artifacts/test-results
rm -rf "$results"
mkdir -p "$results"
begun=$SECONDS
step() { printf '[%4d s] %s\n' $((SECONDS - begun)) "$*"; }
failed() { step "FAILED: $*"; tail -n 60 "$results/$1.log" 2>/dev/null; echo "0 passed, 1 failed, 0 skipped"; exit 1; }

# "live", "membership" and "fresh-hosts" are categories of the fixtures of tests/ha, and "programs" of those of tests/unit that nothing
# beside them disturbs. A suite begins with hosts that hold nothing, and so can have any lab.
declare -A project_of=([programs]=tests/unit [lab]=tests/lab [membership]=tests/ha [ha]=tests/ha [fresh-hosts]=tests/ha [live]=tests/ha)
declare -A filter_of=([unit]='TestCategory!=programs' [programs]='TestCategory=programs' [ha]='TestCategory!=live&TestCategory!=membership&TestCategory!=fresh-hosts' [live]='TestCategory=live' [membership]='TestCategory=membership' [fresh-hosts]='TestCategory=fresh-hosts')
# KBR_STORE=etcd has the cluster that the fixtures share use etcd, and leaves out the tests about RAFT itself.
[[ ${KBR_STORE-} =~ ^(raft|etcd)?$ ]] || { echo "no store '$KBR_STORE': raft, etcd" >&2; exit 2; }
if [[ ${KBR_STORE-} == etcd ]]; then
    for suite in ha live membership; do filter_of[$suite]="(${filter_of[$suite]})&TestCategory!=raft"; done
fi
# Two at a time, each lane with a lab of its own (lab/README.md; empty is the first lab), in this order: the long ones first, and
# membership last, since its lab has two hosts more from then on. One suite alone keeps 1.7 of two processors busy. With three
# lanes a roll-out took over four times as long as alone where processes are slow to start, and what applications and Patroni do
# meanwhile is paid for all that time. unit and programs need no lab, but its Docker Engine and its images.
suites=(live unit lab ha fresh-hosts membership programs)
labs=('' b)

# What costs most on the labs is to start programs. All fixtures on a lab take 53 minutes on a quick machine, and over 90, which is CI's
# limit, where a thousand programs take 4 to 5 s to start. So a commit runs half of the slices, and there one suite of one slice.
declare -A category_of=([live]=Live [membership]=Membership [fresh-hosts]=FreshHosts)
fixtures_of() { # SUITE: the files of its fixtures
    if [[ $1 == ha ]]; then grep -rLE 'Category\(Ha\.(Live|Membership|FreshHosts)\)' tests/ha --include='*Tests.cs'
    else grep -rl "Category(Ha.${category_of[$1]})" tests/ha --include='*Tests.cs'; fi
}
slices_of() { fixtures_of "$1" | xargs grep -ho 'Category(Ha\.Slice.' | grep -o '.$' | sort -u; } # SUITE
slices=()
if [[ ${1-} == --whole ]]; then
    shift
elif ((!$#)); then
    started=$EPOCHREALTIME
    for ((i = 0; i < 1000; i++)); do /bin/true; done
    took=$(((${EPOCHREALTIME//[!0-9]/} - ${started//[!0-9]/}) / 1000))
    named=$((0x$(git rev-parse --short=6 HEAD 2>/dev/null || echo 0)))
    if [[ ${KBR_SLICE-} ]]; then read -ra slices <<<"$KBR_SLICE"
    elif ((took > 2000)); then
        pieces=()
        for suite in live ha fresh-hosts membership; do for slice in $(slices_of "$suite"); do pieces+=("$suite $slice"); done; done
        read -r suite slice <<<"${pieces[named % ${#pieces[@]}]}"
        suites=(unit lab "$suite" programs) slices=("$slice")
    else for ((i = 1 + named % 2; i <= 8; i += 2)); do slices+=($i); done; fi
    for slice in "${slices[@]}"; do [[ $slice == [1-8] ]] || { echo "no slice '$slice': 1 to 8" >&2; exit 2; }; done
    step "1000 programs start in $took ms: ${suites[*]}, slices ${slices[*]} of 8 of the tests on a lab (all: eng/test.sh --whole)"
fi
is_left_out() { [[ " ${slices[*]} " != *" $1 "* ]]; } # SLICE
# A fixture without a slice is in all.
has_tests() { # SUITE
    local slice
    [[ ${category_of[$1]-} ]] || return 0
    for slice in $(slices_of "$1"); do is_left_out "$slice" || return 0; done
    return 1
}
if ((${#slices[@]})); then
    chosen=()
    for suite in "${suites[@]}"; do
        if has_tests "$suite"; then chosen+=("$suite"); fi
        [[ ${project_of[$suite]-} != tests/ha ]] || for slice in {1..8}; do
            if is_left_out "$slice"; then filter_of[$suite]="(${filter_of[$suite]})&TestCategory!=slice-$slice"; fi
        done
    done
    suites=("${chosen[@]}")
    # Two slices have the same part of tests/lab.
    for part in {1..4}; do
        if is_left_out "$part" && is_left_out $((part + 4)); then filter_of[lab]+="${filter_of[lab]+&}TestCategory!=part-$part"; fi
    done
fi
if (($#)); then
    for suite in "$@"; do [[ " ${suites[*]} " == *" $suite "* ]] || { echo "no suite '$suite': ${suites[*]}" >&2; exit 2; }; done
    chosen=()
    for suite in "${suites[@]}"; do if [[ " $* " == *" $suite "* ]]; then chosen+=("$suite"); fi; done
    suites=("${chosen[@]}")
    labs=("${labs[@]:0:${#suites[@]}}")
fi
for project in tests/*/*.csproj; do
    folder=$(dirname "$project")
    [[ $folder == tests/unit || " ${project_of[*]} " == *" $folder "* ]] || failed "$folder" "is in no suite: name one in eng/test.sh"
done

step "installing what the tests need"
missing=()
for package in openssh-server openssh-client openssl curl xfsprogs clang zlib1g-dev python3 xz-utils procps iproute2 nftables systemd jq; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing+=("$package")
done
if ((${#missing[@]})); then
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >"$results/packages.log" 2>&1 || failed packages
fi
command -v dotnet >/dev/null || failed "the .NET SDK of global.json is needed on PATH"
# Debian's own tools before others of their names: a python3 of pyenv takes ten times as long to start.
PATH=$(dirname "$(command -v dotnet)"):/usr/sbin:/usr/bin:/sbin:/bin:$PATH

bring_up() {
    local lab pid pids=() status=0
    for lab in "${labs[@]}"; do
        KBR_LAB=$lab timeout --kill-after=30 1200 lab/up --new >>"$results/up-lab$lab.log" 2>&1 & pids+=($!)
    done
    for pid in "${pids[@]}"; do wait "$pid" || status=1; done
    return $status
}
# The labs come up beside the build; both together are quicker than one after the other even on two cores.
bring_up &
coming_up=$!

step "restore, build"
dotnet restore KeyBuzz.Reconciler.sln --locked-mode >"$results/restore.log" 2>&1 || failed restore
dotnet build KeyBuzz.Reconciler.sln -c Release --no-restore --nologo >"$results/build.log" 2>&1 || failed build

# The same code is compiled for one platform; the analyzers have looked at it already.
step "Native AOT publish, no warning allowed"
eng/publish.sh --no-restore -p:RunAnalyzers=false >"$results/publish.log" 2>&1 || failed publish
if grep -E 'warning (IL|CS|CA)' "$results/publish.log"; then failed publish; fi
artifacts/publish/kbr/release_linux-x64/kbr --version >/dev/null || failed publish
export KBR_TOOL=$PWD/artifacts/publish/kbr/release_linux-x64/kbr   # the lab tests run what users run

# The packages are made of that same file, and installed while the labs come up.
{ eng/package.sh && eng/package-test.sh; } >"$results/packaging.log" 2>&1 &
packaging=$!

# Where this script runs in the background of another, a shell has SIGINT ignored, and what the tests start would keep to that.
run_tests() { # SUITE; --blame names the test during which a test host died
    local log=$results/tests-$1.log status
    timeout --kill-after=30 4200 env --default-signal=INT,HUP dotnet test "${project_of[$1]-tests/$1}" -c Release --no-build --nologo --blame --results-directory "$results/blame" ${filter_of[$1]+--filter "${filter_of[$1]}"} --logger "trx;LogFileName=$results/$1.trx" >"$log" 2>&1
    status=$?
    step "tests: $1: $(grep -E '^(Passed|Failed)! ' "$log" || echo "no results, dotnet test ended with status $status")"
    grep -A 1 '^The test running when the crash occurred' "$log"
    [[ -s $results/$1.trx ]] || tail -n 60 "$log"
    return $status
}

# The next suite that no lane has begun; fails when there is none.
next_suite() {
    local suite
    {
        flock 5
        read -r suite <"$results/not-begun" && sed -i 1d "$results/not-begun" && echo "$suite"
    } 5>"$results/not-begun.lock"
}

# A lane whose suites have passed leaves its lab's memory and processors to the other. Its first suite with a lab gets the hosts as
# lab/up has made them, and does not make them once more.
run_lane() { # LAB
    local suite passed=1 new=1
    while suite=$(next_suite); do
        KBR_LAB=$1 KBR_LAB_NEW=$new run_tests "$suite" || passed=0
        [[ $suite == @(unit|programs) ]] || new=0
    done
    ((passed)) || return 0
    KBR_LAB=$1 timeout --kill-after=30 300 lab/down >>"$results/down.log" 2>&1 || touch "$results/down.failed"
}

# Layout only, which needs no compilation: the build has checked the style of the code already. It is waited for at the end.
# The commands of CONTRIBUTING.md run on a copy that needs them.
check_format() {
    local folder commands
    folder=$(mktemp -d) || return
    cp -r .config .editorconfig .csharpierrc* "$folder"
    echo 'class  A{ }' >"$folder/A.cs"
    commands=$(sed -n '/^## Format$/,/^## /s/^    //p' CONTRIBUTING.md)
    [[ $commands == *csharpier* ]] && (cd "$folder" && bash -euc "$commands") && [[ $(<"$folder/A.cs") == 'class A { }' ]] || return
    rm -r "$folder"
    dotnet tool restore && dotnet csharpier check .
}
check_format >"$results/format.log" 2>&1 &
formatting=$!

step "waiting for the lab"
if ! wait $coming_up; then
    step "it did not come up; once more from nothing"
    for lab in "${labs[@]}"; do tail -n 25 "$results/up-lab$lab.log"; done
    for lab in "${labs[@]}"; do KBR_LAB=$lab timeout --kill-after=30 300 lab/down --all >>"$results/up-lab$lab.log" 2>&1; done
    if ! bring_up; then
        for lab in "${labs[@]}"; do tail -n 60 "$results/up-lab$lab.log"; done
        failed "lab/up"
    fi
fi
for lab in "${labs[@]}"; do tail -n 1 "$results/up-lab$lab.log"; done

step "tests, ${#labs[@]} suites at a time: ${suites[*]}"
printf '%s\n' "${suites[@]}" >"$results/not-begun"
running=()
for lab in "${labs[@]}"; do run_lane "$lab" & running+=($!); done
wait "${running[@]}"
[[ ! -e $results/down.failed ]] || failed down
wait $formatting || failed format
wait $packaging || failed packaging

step "done; all logs are in ${results#"$PWD"/}"
trx=("${suites[@]/#/$results/}")
eng/count-results.py "${trx[@]/%/.trx}"
