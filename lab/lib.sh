# shellcheck shell=bash
# shellcheck disable=SC2034,SC2016,SC2120  # used by the scripts that read this; quoted for the shell over there
# What every lab script shares: the topology, the paths, and how hosts are made.
set -euo pipefail
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
# Debian's own docker client first: it is the one that fits the engine.
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH

START=${EPOCHREALTIME/./}
say() {
  local us=$((${EPOCHREALTIME/./} - START))
  printf '%6.1fs  %s\n' "$((us / 1000000)).$((us / 100000 % 10))" "$*"
}
die() { printf 'lab: %s\n' "$*" >&2; exit 1; }

# A lab beside the first one has a letter and, from it, addresses, loop devices, container names and folders of its own. Bases, images and what
# the registry holds are shared.
KBR_LAB=${KBR_LAB:-}
[[ $KBR_LAB == @(|[b-i]) ]] || die "KBR_LAB is '$KBR_LAB': it is a letter from b to i, or empty for the first lab"
NUMBER=$(($(printf %d "'${KBR_LAB:-a}") - 20))   # 77, for b 78
PREFIX=${KBR_LAB:+$KBR_LAB-}                     # of container names on this machine; inside, hosts have their plain names
SUFFIX=${KBR_LAB:+-$KBR_LAB}

LAB=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
HERE=$LAB${KBR_LAB:+/$KBR_LAB}                   # cluster files, and .state
CACHE=${KBR_LAB_DIR:-/var/tmp/kbr-lab}           # what all labs share
OWN=$CACHE${KBR_LAB:+/$KBR_LAB}                  # what is this lab's
STATE=$OWN/state                                 # .state of every checkout is a link to it
MIRROR=${KBR_LAB_MIRROR:-http://deb.debian.org/debian}
NPM=${KBR_LAB_NPM:-https://registry.npmjs.org}

NET=kbr$SUFFIX
PRIVATE=10.$NUMBER.0                             # the hosts' network
PUBLISHED=127.0.$NUMBER                          # the same last octets, on this machine's loopback
REGISTRY=$PRIVATE.5:5000
CGROUPS=kbr-lab$SUFFIX                           # above the cgroups of what runs in the hosts' own Docker

DB_HOSTS=(db-master-01 db-slave-01 db-slave-02)
LB_HOSTS=(haproxy-01 haproxy-02)
# Two database hosts more, from the first `KBR_LAB_SPARES=1 lab/up` until lab/down.
SPARE_HOSTS=(db-slave-03 db-slave-04)
SPARES=$OWN/spares
[[ -z ${KBR_LAB_SPARES:-} && ! -e $SPARES ]] || DB_HOSTS+=("${SPARE_HOSTS[@]}")
HOSTS=("${DB_HOSTS[@]}" "${LB_HOSTS[@]}")
INFRA=(kbr-registry kbr-time lb-haproxy kbr-jump kbr-s3)   # the last two only from lab/behind and lab/s3
declare -A OCTET=([db-master-01]=120 [db-slave-01]=121 [db-slave-02]=122 [db-slave-03]=123 [db-slave-04]=124 [haproxy-01]=11 [haproxy-02]=12)

# Pinned tags of what is pushed to the registry; `lab/up` warns when Debian has moved on.
declare -A TAG=([patroni]=17-4.0.7 [patroni16]=16.14-4.0.7 [haproxy]=3.0.11 [pgbouncer]=1.24.1 [keepalived]=2.3.3 [etcd]=3.5.16 [monitoring]=2.53.3)
SERVICES=(patroni patroni16 haproxy pgbouncer keepalived etcd monitoring)

role() { [[ $1 == db-* ]] && echo db || echo lb; }

# "name size loop" of each empty device of a host. The loop numbers are fixed, so that a stopped host
# finds its disks again after this machine was rebooted.
disks() {
  case $1 in
    db-master-01) echo "sdb 8G ${NUMBER}0"; echo "sdc 1G ${NUMBER}1" ;;
    db-slave-01)  echo "sdb 8G ${NUMBER}2"; echo "sdc 1G ${NUMBER}3" ;;
    db-slave-02)  echo "sdb 8G ${NUMBER}4"; echo "sdc 1G ${NUMBER}5" ;;
    db-slave-03)  echo "sdb 8G ${NUMBER}8" ;;
    db-slave-04)  echo "sdb 8G ${NUMBER}9" ;;
    haproxy-01)   echo "sdb 1G ${NUMBER}6" ;;
    haproxy-02)   echo "sdb 1G ${NUMBER}7" ;;
  esac
}

# Runs commands, says nothing unless they fail.
quietly() {
  local log=$1; shift
  mkdir -p "$OWN/log"
  if ! "$@" >"$OWN/log/$log.log" 2>&1; then
    printf 'lab: failed: %s\n' "$*" >&2
    tail -n 25 "$OWN/log/$log.log" >&2
    return 1
  fi
}

# Waits for every background job; fails when one failed.
join() {
  local pid failed=0
  for pid in "$@"; do wait "$pid" || failed=1; done
  return "$failed"
}

# Polls a command until it succeeds: wait_for SECONDS WHAT COMMAND...
wait_for() {
  local deadline=$((SECONDS + $1)) what=$2; shift 2
  until "$@" >/dev/null 2>&1; do
    (( SECONDS < deadline )) || die "gave up waiting for $what"
    sleep 0.2
  done
}

known_host() {
  [[ -n ${OCTET[${1:-}]:-} ]] || die "no such host: ${1:-(none)}; there are: ${HOSTS[*]}"
}

need_root() { (( EUID == 0 )) || die "must run as root"; }

# lock: nothing else may change the lab meanwhile. lock HOST...: nothing else may change these hosts, nor
# bring the lab up or down. Other labs may do as they like, but not take away what all share (see `alone`).
# Daemons must not inherit locks (7>&- 8>&- 9>&-). Lock files are never removed: somebody may be waiting for one.
lock() {
  local host fd
  mkdir -p "$OWN"
  exec 7>"$CACHE/lock.shared"
  take_lock -s 7
  exec 9>"$OWN/lock"
  if (( $# == 0 )); then take_lock -x 9; return; fi
  take_lock -s 9
  for host in $(printf '%s\n' "$@" | sort -u); do
    exec {fd}>"$OWN/lock.$host"
    take_lock -x "$fd"
  done
}
take_lock() {
  flock -n "$@" || { echo "lab: another lab command is running, waiting for it" >&2; flock "$@"; }
}
# For what all labs share: one makes it, the others find it made.
lock_making() { exec 8>"$CACHE/lock.making"; take_lock -x 8; }
unlock_making() { exec 8>&-; }
# Whether there is no other lab, nor any command of one running, once this lab's containers are gone: only then what all share may be taken
# away. Kept until the script ends. Where no Docker Engine answers, the mounts tell.
alone() {
  flock -n -x 7 || return 1
  [[ -z $(docker ps -aq --filter label=kbr.lab 2>/dev/null) ]] || return 1
  ! awk -v cache="$CACHE/" -v own="$OWN/docker/" \
    'index($2, cache) == 1 && substr($2, length(cache) + 1) ~ "^([b-i]/)?docker/" && index($2, own) != 1 { found = 1 } END { exit !found }' /proc/mounts
}

running() { [[ $(docker inspect -f '{{.State.Running}}' "$PREFIX$1" 2>/dev/null) == true ]]; }
exists()  { docker container inspect "$PREFIX$1" >/dev/null 2>&1; }

# How the hosts are reached, for ssh -F. The key exchange is the cheapest there is: a login takes 0.08 s of processor with it and
# 0.27 s with the usual one, thousands of times in a run of the tests.
ssh_hosts() {
  local host
  {
    for host in "${HOSTS[@]}"; do printf 'Host %s\n  HostName %s\n' "$host" "$PUBLISHED.${OCTET[$host]}"; done
    cat <<CFG
Host *
  User root
  KexAlgorithms ecdh-sha2-nistp256
  HostKeyAlgorithms ecdsa-sha2-nistp256
  IdentityFile $STATE/id_ed25519
  BatchMode yes
  IdentitiesOnly yes
  StrictHostKeyChecking yes
  UserKnownHostsFile $STATE/known_hosts
  GlobalKnownHostsFile /dev/null
  ConnectTimeout 5
  LogLevel ERROR
CFG
  } >"$STATE/ssh_hosts.part"
  mv "$STATE/ssh_hosts.part" "$STATE/ssh_hosts"
}
# at HOST COMMAND: over ssh, as root
at() { ssh -F "$STATE/ssh_hosts" -n "$1" "${@:2}"; }

# Up means: boot finished, sshd and the inner Docker Engine answer, the clock has been measured.
booted() {
  at "$1" 'case $(systemctl is-system-running) in running|degraded) ;; *) echo "systemd is still starting"; exit 1;; esac
    docker info >/dev/null 2>&1 || { echo "its Docker Engine is silent"; exit 1; }
    chronyc -n tracking | grep -q "Leap status *: Normal" || { echo "its clock is not measured yet (is kbr-time running?)"; exit 1; }'
}
# Beside a build and fourteen other hosts, 90 seconds have not been enough on two processors.
wait_booted() { # HOST [SECONDS]
  local deadline=$((SECONDS + ${2:-300})) missing
  until missing=$(booted "$1" 2>&1); do
    (( SECONDS < deadline )) || die "gave up waiting for $1 to boot: ${missing:-ssh is silent}"
    sleep 1
  done
}

# ---- bases and images ------------------------------------------------------------------------------------
# Everything is named by the hash of what it was made from, so a change makes it anew.
BASE_RECIPE='minbase 1'
base_tag() { echo "kbr-lab/base:$1-$(sha256sum <<<"$BASE_RECIPE $1" | cut -c1-12)"; }
has_image() { docker image inspect "$1" >/dev/null 2>&1; }

base() { # SUITE
  local tag tar; tag=$(base_tag "$1"); tar=$CACHE/${tag##*:}.tar
  has_image "$tag" && return 0
  if [[ ! -s $tar ]]; then
    rm -f "$tar".part
    # Without the locks: with them open mmdebstrap's own pipe gets a number of two digits, which its `sh -c "cat >&N"` does not understand.
    quietly "base-$1" mmdebstrap --variant=minbase --mode=root --quiet --format=tar \
      --aptopt='Acquire::Languages "none"' --dpkgopt=force-unsafe-io \
      --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
      --dpkgopt='path-exclude=/usr/share/locale/*' "$1" "$tar.part" "$MIRROR" 6>&- 7>&- 8>&- 9>&-
    mv "$tar.part" "$tar"
  fi
  docker import "$tar" "$tag" >/dev/null
  say "base $1"
}

# What an image is made from: a base, or another image.
from() {
  case $1 in
    host|tiny|registry|time) base_tag bookworm ;;
    patroni16) image_tag patroni ;;
    *) base_tag trixie ;;
  esac
}
# The services' images are those for real use.
image_folder() { if [[ -d $LAB/images/$1 ]]; then echo "$LAB/images/$1"; else echo "$LAB/../images/$1"; fi; }
image_tag() { # NAME [VERSION]
  local hash
  # Of the modes only what git keeps: a checkout's umask is nobody's business.
  hash=$(cd "$(image_folder "$1")" && { find . -type f \( -perm -u+x -printf '%P 755\n' -o -printf '%P 644\n' \) | sort; find . -type f | sort | xargs cat; from "$1"; } | sha256sum)
  echo "kbr-lab/$1:${2:+$2-}${hash:0:12}"
}
image() { # NAME [VERSION]
  local tag proxy=() name; tag=$(image_tag "$@")
  has_image "$tag" && return 0
  for name in http_proxy https_proxy no_proxy; do [[ -z ${!name:-} ]] || proxy+=(--build-arg "$name=${!name}"); done
  quietly "image-$1" env DOCKER_BUILDKIT=0 docker build -t "$tag" --build-arg "BASE=$(from "$1")" \
    --build-arg "NPM=$NPM" ${2:+--build-arg "VERSION=$2"} "${proxy[@]}" "$(image_folder "$1")"
  say "image $1 ${2:-}"
}

# ---- disks -------------------------------------------------------------------------------------------
# Whoever asks for any free loop device, as mount(8) does, may be given one that was just made or let go for a disk. So a disk is held from lab/up to lab/down: a reset empties it
# where it is, a missing one is an empty file. What has to let go takes the device again under the same lock (fd 6), under which all labs mount.

backing_file() { cat "/sys/block/loop$1/loop/backing_file" 2>/dev/null || true; }

detach_disk() { # LOOP
  local file; file=$(backing_file "$1")
  [[ -n $file ]] || return 0
  if [[ $file != "$OWN"/* ]]; then
    # Whoever has it gives it back sooner or later.
    wait_for 60 "/dev/loop$1, which holds $file and not a disk of this lab" loop_free "$1"
    return 0
  fi
  losetup -d "/dev/loop$1"
  wait_for 20 "/dev/loop$1 to be released" loop_free "$1"
}
loop_free() { [[ -z $(backing_file "$1") ]]; }

attach_disk() { # LOOP FILE
  [[ $(backing_file "$1") == "$2" ]] && return 0
  {
    flock 6
    detach_disk "$1"
    # LOOP_CTL_ADD makes a loop device of a given number; it fails when there is one already.
    [[ -d /sys/block/loop$1 ]] ||
      perl -e 'open my $c, "+<", "/dev/loop-control" or die "loop-control: $!"; ioctl $c, 0x4C80, $ARGV[0]+0' "$1"
    [[ -b /dev/loop$1 ]] || mknod "/dev/loop$1" b 7 "$1"
    wait_for 60 "/dev/loop$1, which another program has taken" losetup "/dev/loop$1" "$2"
  } 6>"$CACHE/lock.loops"
}

# Empty, as a new one. The device keeps its file, and what was on it is a hole in that.
fresh_disk() { # LOOP FILE SIZE
  if [[ $(backing_file "$1") != "$2" ]]; then
    rm -f "$2"
    truncate -s "$3" "$2"
    attach_disk "$1" "$2"
    return 0
  fi
  truncate -s "$3" "$2"
  losetup -c "/dev/loop$1"
  # It is refused while somebody has the device mounted, as the host that was just removed may for a moment.
  wait_for 20 "/dev/loop$1, which somebody has mounted" blkdiscard "/dev/loop$1"
}

# There, of size 0: a device that is missing.
missing_disk() { # LOOP
  : >"$OWN/disks/missing-$1"
  attach_disk "$1" "$OWN/disks/missing-$1"
}

remove_loop() { # LOOP
  detach_disk "$1"
  [[ ! -d /sys/block/loop$1 ]] ||
    perl -e 'open my $c, "+<", "/dev/loop-control" or exit; ioctl $c, 0x4C81, $ARGV[0]+0' "$1"
  rm -f "/dev/loop$1"
}

# ---- the store: an XFS file system whose files can be copied by reference ------------------------------

STORE=$CACHE/store

mount_store() {
  mountpoint -q "$STORE" && return 0
  mkdir -p "$STORE"
  {
    flock 6
    mountpoint -q "$STORE" && return 0
    if [[ ! -f $CACHE/store.img ]]; then
      rm -f "$CACHE/store.img.part"
      truncate -s 40G "$CACHE/store.img.part"
      mkfs.xfs -q -m reflink=1 "$CACHE/store.img.part"
      mv "$CACHE/store.img.part" "$CACHE/store.img"
    fi
    mount -o loop,noatime "$CACHE/store.img" "$STORE"
  } 6>"$CACHE/lock.loops"
}

unmount() { ! mountpoint -q "$1" || umount "$1" || umount -l "$1"; }

seed_file() { [[ -s $OWN/seed ]] || die "no seed: run lab/up"; echo "$STORE/${PREFIX}seed-$(<"$OWN/seed").img"; }

# /var/lib/docker of a host: a file system of its own, made by copying the seed's by reference.
# (Docker's overlay cannot lie on another overlay; and one host that fills its disk fills only its own.)
fresh_docker_root() { # HOST
  unmount "$OWN/docker/$1"
  mkdir -p "$OWN/docker/$1"
  # Another file each time: one that is still mounted in somebody's view would come back with all it holds.
  rm -f "$STORE/$PREFIX$1.img"
  cp --reflink=always "$(seed_file)" "$STORE/$PREFIX$1.img"
  mount_docker_root "$1"
}
mount_docker_root() { # HOST; the copies share one UUID
  mountpoint -q "$OWN/docker/$1" && return 0
  {
    flock 6
    mount -o loop,noatime,nouuid "$STORE/$PREFIX$1.img" "$OWN/docker/$1"
  } 6>"$CACHE/lock.loops"
}

# ---- hosts -------------------------------------------------------------------------------------------

# Flags of a container that runs systemd and Docker Engine. --privileged fails where CAP_SYS_RESOURCE is
# not in the bounding set. SYS_TIME and SYS_MODULE are dropped because clock and kernel are this machine's.
HOST_FLAGS=(
  --cap-add ALL --cap-drop SYS_RESOURCE --cap-drop SYS_TIME --cap-drop SYS_MODULE
  --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined
  --device-cgroup-rule='a *:* rwm' --cgroupns=host -v /sys/fs/cgroup:/sys/fs/cgroup:rw
  --tmpfs /run:exec --tmpfs /tmp:exec
)

# Inner containers' cgroups lie under one parent per host, so that they can be cleared away with it.
daemon_json() { # HOST
  cat <<JSON
{"storage-driver": "overlay2", "cgroup-parent": "/$CGROUPS/$1", "insecure-registries": ["$PRIVATE.0/24"],
 "log-opts": {"max-size": "10m", "max-file": "2"}}
JSON
}
clear_cgroups() { # HOST; a cgroup that still holds a process stays, which is right
  [[ -d /sys/fs/cgroup ]] || return 0
  find /sys/fs/cgroup -mindepth 2 -maxdepth 12 -depth -path "*/$CGROUPS/$1*" -type d -exec rmdir {} + 2>/dev/null || true
  find /sys/fs/cgroup -mindepth 1 -maxdepth 3 -name "$CGROUPS" -type d -exec rmdir {} + 2>/dev/null || true
}

# What makes a host this host, and stays when it is reset: ssh host keys and machine id.
identity() { # HOST
  local dir=$STATE/hosts/$1
  if [[ ! -f $dir/machine-id ]]; then
    rm -rf "$dir"; mkdir -p "$dir"
    ssh-keygen -q -t ed25519 -N '' -C "$1" -f "$dir/ssh_host_ed25519_key"
    ssh-keygen -q -t ecdsa -N '' -C "$1" -f "$dir/ssh_host_ecdsa_key"
    ssh-keygen -q -t rsa -b 2048 -N '' -C "$1" -f "$dir/ssh_host_rsa_key"
    tr -d - </proc/sys/kernel/random/uuid >"$dir/machine-id"
  fi
}

# The keys of all hosts, and of the jump host when there is one (lab/behind).
known_hosts() {
  local host octet
  {
    for host in "${HOSTS[@]}"; do
      octet=${OCTET[$host]}
      cut -d' ' -f1,2 "$STATE/hosts/$host"/ssh_host_*_key.pub | sed "s/^/$PUBLISHED.$octet,$PRIVATE.$octet,$host /"
    done
    [[ ! -f $STATE/hosts/jump/machine-id ]] ||
      cut -d' ' -f1,2 "$STATE/hosts/jump"/ssh_host_*_key.pub | sed "s/^/$PUBLISHED.6,$PRIVATE.6,jump /"
  } >"$STATE/known_hosts.part"
  mv "$STATE/known_hosts.part" "$STATE/known_hosts"
}

# The files a new host starts with, as a tar stream.
host_files() { # HOST
  local tree; tree=$(mktemp -d "$OWN/tree.XXXXXX")
  install -d "$tree"/etc/{ssh,docker,chrony} "$tree/home"
  install -d -m 0700 "$tree/root" "$tree/root/.ssh"
  install -d -m 0700 -o 1000 -g 1000 "$tree"/home/ops "$tree"/home/ops/.ssh
  install -m 0600 "$STATE/id_ed25519.pub" "$tree/root/.ssh/authorized_keys"
  install -m 0600 -o 1000 -g 1000 "$STATE/id_ed25519.pub" "$tree/home/ops/.ssh/authorized_keys"
  install -m 0600 "$STATE/hosts/$1"/ssh_host_*_key "$tree/etc/ssh/"
  install -m 0644 "$STATE/hosts/$1"/ssh_host_*_key.pub "$tree/etc/ssh/"
  install -m 0444 "$STATE/hosts/$1/machine-id" "$tree/etc/machine-id"
  daemon_json "$1" >"$tree/etc/docker/daemon.json"
  sed "s/10\.77\.0\./$PRIVATE./" "$LAB/images/host/chrony.conf" >"$tree/etc/chrony/chrony.conf"
  tar -C "$tree" -cf - etc root home
  rm -rf "$tree"
}

remove_host() { # HOST
  docker rm -f "$PREFIX$1" >/dev/null 2>&1 || true
  unmount "$OWN/docker/$1"
  clear_cgroups "$1"
}

detach_disks() { # HOST
  local _ loop; while read -r _ _ loop; do detach_disk "$loop"; done < <(disks "$1")
}

# All of this lab that Docker knows, and the disks of its hosts.
remove_containers() {
  local name pids=()
  for name in "${INFRA[@]}" kbr-seed; do ( docker rm -f "$PREFIX$name" >/dev/null 2>&1 || true ) & pids+=($!); done
  for name in "${HOSTS[@]}"; do ( remove_host "$name"; detach_disks "$name" ) & pids+=($!); done
  join "${pids[@]}"
  docker network rm "$NET" >/dev/null 2>&1 || true
}

# A new, empty machine: fresh system, seed images, empty disks.
create_host() { # HOST
  local name size loop devices=() host=$1 octet=${OCTET[$1]}
  remove_host "$host"
  mkdir -p "$OWN/disks"
  while read -r name size loop; do
    fresh_disk "$loop" "$OWN/disks/$host-$name.img" "$size"
    devices+=(--device "/dev/loop$loop:/dev/$name")
  done < <(disks "$host")
  fresh_docker_root "$host"
  identity "$host"
  docker create --name "$PREFIX$host" --hostname "$host" "${HOST_FLAGS[@]}" --shm-size 512m \
    --network "$NET" --network-alias "$host" --ip "$PRIVATE.$octet" -p "$PUBLISHED.$octet:22:22" \
    -v "$OWN/docker/$host:/var/lib/docker" \
    --label kbr.lab=host --label "kbr.lab.image=$(<"$OWN/host-image")" \
    "${devices[@]}" "$(<"$OWN/host-image")" >/dev/null
  host_files "$host" | docker cp - "$PREFIX$host:/"
  docker start "$PREFIX$host" >/dev/null
}

# A host that stopped, with its disks and its data as they were, but for devices that shall be missing.
start_host() { # HOST [DEVICE...]
  local name _ loop
  mount_store
  while read -r name _ loop; do
    if [[ " ${*:2} " == *" $name "* ]]; then missing_disk "$loop"
    else attach_disk "$loop" "$OWN/disks/$1-$name.img"
    fi
  done < <(disks "$1")
  mount_docker_root "$1"
  docker start "$PREFIX$1" >/dev/null
}

# ---- the load-balancer stand-in ------------------------------------------------------------------------

# Writes its configuration from $STATE/lb.env (lab/balancer) or lab/lb.env.
render_balancer() {
  local INTERVAL COUNT TARGETS="${LB_HOSTS[*]}" file=$LAB/lb.env port host
  [[ ! -f $STATE/lb.env ]] || file=$STATE/lb.env
  # shellcheck source=lb.env
  . "$file"
  mkdir -p "$STATE/lb"
  {
    cat <<CFG
# Health check every $INTERVAL, down after $COUNT failures
global
  log stdout format raw local0 info
defaults
  mode tcp
  log global
  timeout connect 2s
  timeout client 1h
  timeout server 1h
  timeout check 2s
  default-server inter $INTERVAL fall $COUNT rise 1 on-marked-down shutdown-sessions
CFG
    for port in 5432 6432; do
      printf 'listen l%s\n  bind *:%s\n' "$port" "$port"
      for host in $TARGETS; do echo "  server $host $PRIVATE.${OCTET[$host]}:$port check"; done
    done
  } >"$STATE/lb/haproxy.cfg.part"
  mv "$STATE/lb/haproxy.cfg.part" "$STATE/lb/haproxy.cfg"
}
