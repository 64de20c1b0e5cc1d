#!/usr/bin/env bash
# The soak: writes numbered rows through both front ends of the cluster on the lab of KBR_LAB, while a sequence of applies and faults runs that follows from a seed, and judges the history:
# every acknowledged row there, never two members that acknowledge at one time, the gap of each event. The cluster is installed where it is not yet.
#   eng/soak.sh [--minutes N] [--seed S] [--events N] [--kinds KIND …] [--asynchronous]
# Reports (JSON, a table in Markdown, the history) go to artifacts/soak. Exit 0 passed, 1 failed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
folder=lab/${KBR_LAB:-}
folder=${folder%/}
lab/up
[[ -e $folder/credentials/ha.env ]] || ./kbr init --credentials -c "$folder/cluster-ha.yaml"
dotnet build eng/soak -c Release --nologo -v quiet
./kbr version >/dev/null   # builds it where that is needed

# Another image for the members to change to: the lab's own with one more label.
tagged=$(sed -n 's/^KBR_PATRONI_TAG=//p' "$folder/.state/images.env")
inside=${tagged%%/*}
outside=127.0.${inside#10.}; outside=${outside/.0.5:/.5:}
other=$outside/kbr/patroni:soak
base=$(docker images --filter 'reference=kbr-lab/patroni' --format '{{.Repository}}:{{.Tag}}' | head -n 1)
printf 'FROM %s\nLABEL kbr.soak=1\n' "$base" | docker build -q -t "$other" - >/dev/null
digest=$(docker push "$other" | sed -n 's/.* digest: \(sha256:[0-9a-f]*\) .*/\1/p')
[[ $digest ]] || { echo "the second image could not be pushed to $outside" >&2; exit 1; }

exec artifacts/bin/KeyBuzz.Reconciler.Soak/release/KeyBuzz.Reconciler.Soak --file "$folder/cluster-ha.yaml" --image "$inside/kbr/patroni:soak@$digest" "$@"
