#!/usr/bin/env bash
# Tries the policy of disruption (ClusterPolicy) on a million generated clusters and changes, with a member that fails between two steps; fails when a step endangers the cluster.
# The unit tests run a slice of it.
#   eng/policy-sweep.sh
#   STATES=5000000 eng/policy-sweep.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
KBR_POLICY_STATES=${STATES:-1000000} dotnet test tests/unit -c Release --nologo --filter FullyQualifiedName~ClusterPolicyTests --logger 'console;verbosity=normal' "$@"
