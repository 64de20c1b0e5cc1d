#!/usr/bin/env bash
# Sends nearly valid inputs, made from real ones by one seed, through all that kbr does with them before it changes anything; fails on any exception but the ordinary error, and where
# fewer than half of a kind pass parsing. The unit tests run a slice of it.
#   eng/fuzz.sh                      # 24 000 inputs
#   INPUTS=100000 SEED=7 eng/fuzz.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
KBR_FUZZ_INPUTS=${INPUTS:-24000} KBR_FUZZ_SEED=${SEED:-1} \
    dotnet test tests/unit -c Release --nologo --filter FullyQualifiedName~FuzzTests --logger 'console;verbosity=detailed' "$@" |
    tee /dev/stderr | awk '/^[A-Z].* inputs, .* passed parsing/ { n += $2; p += $2 * $4 / 100 } END { printf "%d inputs, %.0f %% passed parsing\n", n, n ? p * 100 / n : 0; exit n == 0 }'
