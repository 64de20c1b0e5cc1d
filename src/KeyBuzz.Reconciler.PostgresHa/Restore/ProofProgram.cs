using System.Globalization;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa.Sections;
using KeyBuzz.Reconciler.Providers.Backup.Restore;

namespace KeyBuzz.Reconciler.PostgresHa.Restore;

/// <summary>The program of a member that proves the backups by itself, with the scripts of <see cref="ProofRun"/>.</summary>
internal static class ProofProgram
{
    /// <summary>The name of its timer and service, and of their resource.</summary>
    public const string Unit = "kbr-proof";

    /// <summary>The name of its file.</summary>
    public const string FileName = "kbr-proof.sh";

    /// <summary>What it printed last, on each member.</summary>
    public const string Log = "/run/kbr/kbr-proof.log";

    // Has a space, so that it stands in quotes wherever it is quoted.
    private const string Time = "@TIME @";
    private const string Id = ProofScripts.ByTimer;
    private static readonly RestoreTarget s_target = new(RestoreTargetKind.Time, Time);

    /// <summary>The service. It is ended after half a day.</summary>
    public static string Service(PostgresTopology topology) =>
        $"""
            # Written by kbr; a change by hand is drift.
            [Unit]
            Description=Proof of the backups of {topology.Scope}, where this member is the replica whose turn it is
            After=docker.service {PostgresTopology.PatroniContainer}.service

            [Service]
            Type=oneshot
            TimeoutStartSec=12h
            ExecStart=/bin/sh -c 'umask 077; mkdir -p /run/kbr; exec /bin/sh {topology.Directories.Configuration}/{FileName} >{Log} 2>&1'
            ExecStopPost=-/bin/cat {Log}

            """;

    /// <summary>The program of a member.</summary>
    public static string Render(PostgresTopology topology, Host member)
    {
        var scripts = new ProofScripts(topology, Id, ProofRun.Limits);
        var cluster = new RestoreScripts(topology, "");
        var data = topology.Directories.DataDirectory;
        var helper =
            $"docker exec {PostgresTopology.PatroniContainer} python3 {PatroniFile.Directory}/{BackupSection.Tool.ProofProgramName}";
        return $$$"""
            #!/bin/sh
            # Written by kbr; a change by hand is drift.
            # Restores to a random second of the window in a container of its own, compares and checks what comes out, removes it, and records the result where kbr status reads it.
            # Exit status 0: proven, or not this member's turn; 2: not proven; 3: not tried.
            set -u
            took=0
            rows=
            point=latest

            is_there() {
            sh -eu <<'KBR_END'
            {{{scripts.IsThere().Text}}}
            KBR_END
            }
            plain() { printf '%s' "$1" | tr '\n\t\r' '   ' | tr -d '\000-\037' | cut -c1-400 | sed 's/\\/\\\\/g; s/"/\\"/g'; }
            record() {
                umask 077
                mkdir -p /var/log/kbr
                {
                    printf '{"format":1,"at":"%s","target":"%s","milliseconds":%s' "$(date -u +%Y-%m-%dT%H:%M:%S.0000000+00:00)" "$point" "$((took * 1000))"
                    [ -z "$1" ] || printf ',"failure":"%s"' "$(plain "$1")"
                    [ -z "$rows" ] || printf ',"ledger_rows":%s' "$rows"
                    printf '}\n'
                } >{{{ProofRecord.PathOf(topology.Scope)}}}.new
                sync {{{ProofRecord.PathOf(topology.Scope)}}}.new
                mv -f {{{ProofRecord.PathOf(topology.Scope)}}}.new {{{ProofRecord.PathOf(topology.Scope)}}}
            }
            fails() {
                # Another one, started by hand, or a stop of this one, has removed it: that proves nothing, and refutes nothing.
                if [ -n "$rising" ] && ! is_there; then echo 'it was removed meanwhile'; exit 3; fi
                echo "not proven: $(plain "$1")"
                record "$1"
                exit 2
            }
            clear() {
            sh -eu <<'KBR_END'
            {{{scripts.Clear().Text}}}
            KBR_END
            }
            remove() {
            sh -eu <<'KBR_END'
            {{{scripts.Remove().Text}}}
            KBR_END
            }
            yield() {
            sh -eu <<'KBR_END'
            {{{scripts.Yield().Text}}}
            KBR_END
            }
            at_time() { sed "s/{{{Time}}}/$point/g" | sh -eu; }
            start() {
            at_time <<'KBR_END'
            {{{scripts.Start(s_target).Text}}}
            KBR_END
            }
            look() {
            sh -eu <<'KBR_END'
            {{{scripts.Server.Look().Text}}}
            KBR_END
            }
            has_ledger() {
            sh -eu <<'KBR_END'
            {{{cluster.Ask(ProofRun.LedgerDatabase, LedgerRows.IsThere).Text}}}
            KBR_END
            }
            expected() {
            at_time <<'KBR_END'
            {{{cluster.Ask(ProofRun.LedgerDatabase, LedgerRows.QueryAt(Time)).Text}}}
            KBR_END
            }
            found() {
            sh -eu <<'KBR_END'
            {{{scripts.Server.Query(LedgerRows.Query, ProofRun.LedgerDatabase).Text}}}
            KBR_END
            }
            identifier() {
            sh -eu <<'KBR_END'
            {{{scripts.Server.Query("SELECT system_identifier FROM pg_control_system()").Text}}}
            KBR_END
            }
            own_identifier() {
            sh -eu <<'KBR_END'
            {{{cluster.Ask("postgres", "SELECT system_identifier FROM pg_control_system()").Text}}}
            KBR_END
            }
            promote() {
            sh -eu <<'KBR_END'
            {{{scripts.Server.Promote().Text}}}
            KBR_END
            }
            check_relations() {
            sh -eu <<'KBR_END'
            {{{scripts.CheckRelations().Text}}}
            KBR_END
            }
            check_pages() {
            sh -eu <<'KBR_END'
            {{{scripts.CheckPages().Text}}}
            KBR_END
            }
            # The answer, and how many lines of its log say that recovery stopped at its target.
            until_there() {
                while :; do
                    seen=$(look) || seen=
                    state=$(printf '%s\n' "$seen" | sed -n 1p)
                    answer=$(printf '%s\n' "$seen" | sed -n 2p)
                    stopped=$(printf '%s\n' "$seen" | sed -n 4p)
                    case $state in running\ *\ {{{Id}}}) ;; *) fails "the restore ended: $(printf '%s\n' "$seen" | sed -n 3p)";; esac
                    [ "$answer" != 'f primary' ] || return 0
                    if [ "$answer" = 't paused' ]; then
                        [ "$1" != any ] || [ "${stopped:-0}" = 0 ] || return 0
                        [ "${stopped:-0}" != 0 ] || fails 'the restored database pauses before its target'
                    fi
                    sleep 2
                done
            }

            rising=
            turn=$({{{helper}}} member) || { echo "not tried: $turn"; exit 3; }
            if [ "$turn" != {{{Script.Quote(member.Name)}}} ]; then echo "$turn proves it"; exit 0; fi
            said=$(yield 2>&1) || { echo "not tried: $said"; exit 3; }
            lsn=$(sh -eu <<'KBR_END'
            {{{cluster.Ask("postgres", "SELECT pg_last_wal_replay_lsn()").Text}}}
            KBR_END
            ) || { echo 'not tried: the member does not answer'; exit 3; }
            target=$({{{helper}}} target "$lsn")
            case $? in
            0) ;;
            2) fails "$target" ;;
            *) echo "not tried: $target"; exit 3 ;;
            esac
            second=${target% *}
            # The database may have been bigger then.
            needed=$(du -sB1 {{{data}}} | cut -f1)
            [ "$needed" -ge "${target#* }" ] || needed=${target#* }
            needed=$(( needed + {{{RestoreRoom.Spare.ToString(CultureInfo.InvariantCulture)}}} ))
            free=$(df -B1 --output=avail {{{topology.Directories.Data}}} | tail -n 1)
            if [ "$free" -lt "$needed" ]; then echo "not tried: $needed bytes are needed, and $free are free"; exit 3; fi
            point=$(date -u -d "@$second" '+%Y-%m-%d %H:%M:%S.000000+00')
            # Only a member that says so has no ledger.
            ledger=
            case $(has_ledger) in
            f) ;;
            t)
                ledger=$(expected) || ledger=
                if [ -z "$ledger" ]; then echo 'not tried: the ledger of the member cannot be read'; exit 3; fi
                ;;
            *) echo 'not tried: the member does not say whether it has a ledger'; exit 3 ;;
            esac
            own=$(own_identifier) && [ -n "$own" ] || { echo 'not tried: the member does not say its system identifier'; exit 3; }
            said=$(clear 2>&1) || { echo "not tried: $said"; exit 3; }
            trap remove EXIT
            trap 'exit 143' TERM INT
            begun=$(date +%s)
            echo "restoring $point"
            start || { said=$(yield 2>&1) || { echo "not tried: $said"; exit 3; }; fails 'the restore could not be started'; }
            rising=yes
            until_there any
            took=$(( $(date +%s) - begun ))
            there=$(identifier) || fails 'the restored database does not answer'
            [ "$there" = "$own" ] || fails "it is another database: its system identifier is $there, the cluster's $own"
            if [ -n "$ledger" ]; then
                # Before its first row there was no table.
                there=$(found) || case $ledger in 0\|*) there='0|0|' ;; *) fails 'the ledger is missing in it' ;; esac
                rows=${there%%|*}
                printf '%s\n' "$ledger" | grep -qxF -e "$there" ||
                    fails "the ledger is another one: it has $there, and the cluster had $(printf '%s\n' "$ledger" | tail -n 1) (rows, last number, hash)"
            fi
            promote >/dev/null || fails 'the restored database takes no writes'
            until_there primary
            echo 'checking every table and index'
            said=$(check_relations 2>&1) || fails "$said"
            echo "checking every page's checksum"
            said=$(check_pages 2>&1) || fails "$said"
            record ''
            echo "proven: $point, ${took} s${rows:+, $rows rows of the ledger}"

            """;
    }
}
