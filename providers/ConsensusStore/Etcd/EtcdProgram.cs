using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Providers.ConsensusStore.Etcd;

/// <summary>The shell programs that run inside etcd's container. Passwords stay in the container: each program reads them from its
/// files.</summary>
internal static class EtcdProgram
{
    /// <summary>The file with the password of etcd's user root.</summary>
    public const string RootPasswordFile = "root-password";

    /// <summary>The file with the password of Patroni's user.</summary>
    public const string PasswordFile = "password";

    /// <summary>The file that says who Patroni's user is, and which prefix is its own.</summary>
    public const string AccessFile = "access";

    /// <summary>The file with the members of a new cluster, <c>name=url,…</c>.</summary>
    public const string MembersFile = "members";

    /// <summary>The file with the addresses of the other members for clients.</summary>
    public const string OthersFile = "others";

    /// <summary>The file with <see cref="Start"/>.</summary>
    public const string StartFile = "start";

    /// <summary>The empty file in the data directory by which a member starts a new cluster.</summary>
    public const string Mark = "kbr-first-start";

    /// <summary>The empty file in the data directory by which an operator lets a member go on as the only one, once.</summary>
    public const string Alone = "kbr-go-on-alone";

    /// <summary>etcd's write-ahead log below its data directory. A member that has one is a member of a cluster: etcd makes its database
    /// before it founds or joins one, and moves this directory into place with the first file in it.</summary>
    public const string WalDirectory = "member/wal";

    /// <summary>The files of the write-ahead log below the data directory, for a shell: etcd itself looks for these.</summary>
    public const string WalFiles = WalDirectory + "/*.wal";

    /// <summary>What a member without a write-ahead log had, below the data directory: the first one stays.</summary>
    public const string Aside = "member.without-wal";

    /// <summary>Where the container has the files.</summary>
    public const string Directory = "/etc/" + EtcdStore.ServiceName;

    private const string AsRoot = $"""
        ETCDCTL_USER=root ETCDCTL_COMMAND_TIMEOUT=10s
        ETCDCTL_PASSWORD=$(cat {Directory}/{RootPasswordFile})
        export ETCDCTL_USER ETCDCTL_COMMAND_TIMEOUT ETCDCTL_PASSWORD
        """;

    /// <summary>Starts etcd. A member without data never starts a cluster of its own, unless kbr has marked it: that would forget what the
    /// others hold. It joins the members that run, in place of the member that it was, as a learner: one that counts for no majority until
    /// it has all data.</summary>
    public const string Start = $$"""
        # Written by kbr; a change by hand is drift. Starts etcd; a member without data joins the members that run.
        set -eu
        umask 077
        others() { ETCDCTL_ENDPOINTS=$(cat {{Directory}}/{{OthersFile}}) etcdctl "$@"; }
        # A member without a write-ahead log has founded or joined no cluster: it was cut off before.
        if ls "$ETCD_DATA_DIR"/{{WalFiles}} >/dev/null 2>&1; then has_wal=1; else has_wal=; fi
        if [ -z "$has_wal" ]; then
            [ ! -d "$ETCD_DATA_DIR/member" ] || [ -e "$ETCD_DATA_DIR/{{Aside}}" ] ||
                mv "$ETCD_DATA_DIR/member" "$ETCD_DATA_DIR/{{Aside}}"
            rm -rf "$ETCD_DATA_DIR/member" "$ETCD_DATA_DIR/{{Alone}}"
        fi
        if [ -n "$has_wal" ]; then
            rm -f "$ETCD_DATA_DIR/{{Mark}}"
            # Without its log etcd would found a cluster of its own.
            export ETCD_INITIAL_CLUSTER_STATE=existing
            if [ -e "$ETCD_DATA_DIR/{{Alone}}" ]; then
                rm "$ETCD_DATA_DIR/{{Alone}}"
                export ETCD_FORCE_NEW_CLUSTER=true
            fi
        elif [ -e "$ETCD_DATA_DIR/{{Mark}}" ]; then
            ETCD_INITIAL_CLUSTER=$(cat {{Directory}}/{{MembersFile}})
            ETCD_INITIAL_CLUSTER_STATE=new
            export ETCD_INITIAL_CLUSTER ETCD_INITIAL_CLUSTER_STATE
        else
            {{AsRoot}}
            all=$(others member list)
            own=$(printf '%s\n' "$all" | grep -F ", $ETCD_INITIAL_ADVERTISE_PEER_URLS, ") || own=
            case $own in
            *', unstarted, '*) ;;
            *)
                [ -z "$own" ] || others member remove "${own%%,*}"
                others member add "$ETCD_NAME" --learner --peer-urls="$ETCD_INITIAL_ADVERTISE_PEER_URLS"
                ;;
            esac
            all=$(others member list)
            ETCD_INITIAL_CLUSTER=$(printf '%s\n' "$all" | while IFS=, read -r _ _ name peer _; do
                name=${name# } peer=${peer# }
                [ "$peer" != "$ETCD_INITIAL_ADVERTISE_PEER_URLS" ] || name=$ETCD_NAME
                [ -z "$name" ] || printf '%s=%s,' "$name" "$peer"
            done)
            ETCD_INITIAL_CLUSTER=${ETCD_INITIAL_CLUSTER%,}
            ETCD_INITIAL_CLUSTER_STATE=existing
            export ETCD_INITIAL_CLUSTER ETCD_INITIAL_CLUSTER_STATE
            unset ETCDCTL_USER ETCDCTL_PASSWORD ETCDCTL_COMMAND_TIMEOUT
        fi
        exec etcd

        """;

    /// <summary>The quota, the members, and the status of each that answers, as JSON, a line each.</summary>
    public const string Status = """
        echo "quota ${ETCD_QUOTA_BACKEND_BYTES:-0}"
        etcdctl --command-timeout=2s member list -w json 2>/dev/null
        etcdctl --command-timeout=2s endpoint status --cluster -w json 2>/dev/null ||
            etcdctl --command-timeout=2s endpoint status -w json 2>&1
        """;

    /// <summary>Whether authentication is on, and whether Patroni's user can log in and read its prefix.</summary>
    public const string Access = $$"""
        case $(etcdctl --command-timeout=2s auth status 2>/dev/null) in
        *'Status: true'*) echo 'authentication on' ;;
        *'Status: false'*) echo 'authentication off' ;;
        esac
        . {{Directory}}/{{AccessFile}}
        ETCDCTL_USER=$user ETCDCTL_PASSWORD=$(cat {{Directory}}/{{PasswordFile}}) \
            etcdctl --command-timeout=3s get --limit=1 --keys-only --prefix "$prefix" >/dev/null 2>&1 && echo 'login works'
        """;

    /// <summary>Turns authentication on, with Patroni's user limited to its prefix. A password that works is not set again, since that ends
    /// the sessions of its user.</summary>
    public const string Limit = $$"""
        set -eu
        umask 077
        {{AsRoot}}
        . {{Directory}}/{{AccessFile}}
        has() { etcdctl "$1" list 2>/dev/null | grep -qxF -- "$2"; }
        works() {
            ETCDCTL_USER=$user ETCDCTL_PASSWORD=$(cat {{Directory}}/{{PasswordFile}}) \
                etcdctl get --limit=1 --keys-only --prefix "$prefix" >/dev/null 2>&1
        }
        case $(etcdctl auth status) in *'Status: true'*) on=1 ;; *) on= ;; esac
        [ -n "$on" ] || has user root || etcdctl user add root --interactive=false <{{Directory}}/{{RootPasswordFile}}
        [ -n "$on" ] || etcdctl user grant-role root root
        has role "$user" || etcdctl role add "$user"
        etcdctl role grant-permission "$user" readwrite --prefix=true "$prefix"
        has user "$user" || etcdctl user add "$user" --interactive=false <{{Directory}}/{{PasswordFile}}
        etcdctl user grant-role "$user" "$user"
        [ -n "$on" ] || etcdctl auth enable
        works || etcdctl user passwd "$user" --interactive=false <{{Directory}}/{{PasswordFile}}
        works
        """;

    /// <summary>Removes everything below Patroni's prefix.</summary>
    public const string Clear = $"""
        set -eu
        {AsRoot}
        . {Directory}/{AccessFile}
        etcdctl del --prefix "$prefix"
        """;

    /// <summary>Runs a program in the container of a host.</summary>
    public static Script OnHost(string program) =>
        new($"timeout 60 docker exec -i {EtcdStore.ServiceName} sh -s 2>&1 <<'KBR_ETCD_END'\n{program}\nKBR_ETCD_END\n");

    /// <summary>A change of etcd by an administrator, such as <c>member remove ID</c>.</summary>
    public static string Change(string words) =>
        $"""
            set -eu
            {AsRoot}
            etcdctl {words}
            """;
}
