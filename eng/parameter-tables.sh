#!/bin/bash
# Writes providers/PatroniConfig/parameters-VERSION.tsv from a real server: what PostgreSQL of that version says of its
# own parameters. One parameter a line: name, vartype, unit, context, min, max, enum values as pg_settings shows them.
# Parameters that cannot be set (context internal) are in it, so that they can be refused by name.
#
#   eng/parameter-tables.sh IMAGE BIN_DIR
#   eng/parameter-tables.sh kbr-lab/patroni:TAG /usr/lib/postgresql/17/bin
set -euo pipefail
cd "$(dirname "$0")/.."
image=$1 bin=$2
rows=$(docker run --rm -i --network none --user postgres --entrypoint sh "$image" -s "$bin" <<'SCRIPT'
set -e
bin=$1
data=/tmp/parameter-tables
"$bin/initdb" -D "$data" --no-sync -U postgres >/dev/null
cat <<'SQL' | "$bin/postgres" --single -D "$data" postgres >/dev/null
COPY (SELECT 'version', current_setting('server_version_num')::int / 10000, current_setting('server_version')) TO '/tmp/version'
COPY (SELECT name, vartype, coalesce(unit, '-'), context, coalesce(min_val, '-'), coalesce(max_val, '-'), coalesce(array_to_string(enumvals, ','), '-') FROM pg_settings WHERE name NOT LIKE '%.%' ORDER BY lower(name)) TO '/tmp/rows'
SQL
cat /tmp/version /tmp/rows
SCRIPT
)
version=$(head -1 <<<"$rows" | cut -f2)
full=$(head -1 <<<"$rows" | cut -f3)
to=providers/PatroniConfig/parameters-$version.tsv
{
    echo "# Made by eng/parameter-tables.sh from pg_settings of PostgreSQL $full."
    echo "# name vartype unit context min max enumvals"
    tail -n +2 <<<"$rows"
} >"$to"
echo "$to: $(tail -n +3 "$to" | wc -l) parameters"
