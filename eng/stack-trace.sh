#!/usr/bin/env bash
# Names the methods of a stack trace that a compiled kbr printed: reads the report from its input, and writes it with the method, the file
# and the line instead of each address. SYMBOLS is kbr.dbg of the same program, also as eng/package.sh packs it (.gz). Needs binutils.
#   eng/stack-trace.sh SYMBOLS < REPORT
set -euo pipefail
symbols=${1:?"eng/stack-trace.sh SYMBOLS < REPORT"}
[[ -r $symbols ]] || { echo "$symbols: no such file" >&2; exit 1; }
report=$(mktemp)
unpacked=$(mktemp)
trap 'rm -f "$report" "$unpacked"' EXIT
if [[ $symbols == *.gz ]]; then
    gunzip -c "$symbols" >"$unpacked"
    symbols=$unpacked
fi
case $(readelf -h "$symbols" 2>/dev/null | sed -n 's/ *Machine: *//p') in
    AArch64) tool=aarch64-linux-gnu-addr2line ;;
    *) tool=addr2line ;;
esac
cat >"$report"
mapfile -t addresses < <(grep -o 'kbr!<BaseAddress>+0x[0-9a-f]*' "$report" | sed 's/.*+//' | sort -u)
((${#addresses[@]})) || { echo "the report has no address" >&2; exit 1; }
"$tool" -e "$symbols" -f "${addresses[@]}" | paste - - | paste <(printf '%s\n' "${addresses[@]}") - \
    | awk -F '\t' '
        NR == FNR { name[$1] = $2 " (" $3 ")"; next }
        {
            at = index($0, "kbr!<BaseAddress>+")
            print at ? substr($0, 1, at - 1) name[substr($0, at + 18)] : $0
        }' - "$report"
