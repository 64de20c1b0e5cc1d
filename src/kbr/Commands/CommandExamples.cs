using System.Collections.Frozen;
using System.Collections.Immutable;
using System.CommandLine;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary>An example of a command.</summary>
/// <param name="Line">The command line, as it is typed.</param>
/// <param name="Does">What it does, in a few words.</param>
internal sealed record CommandExample(string Line, string Does);

/// <summary>The examples of all commands: the help and the manual pages show them, and a test parses each with the real parser.</summary>
internal static class CommandExamples
{
    private static readonly Dictionary<string, ImmutableArray<CommandExample>> s_all = new Dictionary<
        string,
        ImmutableArray<CommandExample>
    >(StringComparer.Ordinal)
    {
        ["kbr"] =
        [
            new("kbr plan", "show what would change; changes nothing"),
            new("kbr apply", "show it, ask, and change it"),
            new("kbr status", "tell whether the cluster is healthy"),
        ],
        ["kbr validate"] = [new("kbr validate -c staging.yaml", "check another file than cluster.yaml")],
        ["kbr plan"] =
        [
            new("kbr plan --target '*@db-slave-01'", "plan one host only"),
            new("kbr plan --out next.plan", "save the plan for a review"),
            new("kbr plan --what-if", "show the worst single failure at each step of a roll-out"),
            new("kbr plan --format markdown", "a comment for a pull request; html makes one page"),
            new("kbr plan --json --detailed-exitcode", "for programs: JSON, and exit 2 when there are changes"),
        ],
        ["kbr show"] =
        [
            new("kbr show next.plan", "read a saved plan"),
            new("kbr show next.plan --format html", "the same as a page for a browser"),
        ],
        ["kbr apply"] =
        [
            new("kbr apply", "show the plan, ask, apply it"),
            new("kbr apply next.plan", "apply exactly a saved plan"),
            new("kbr apply --replace container.haproxy@haproxy-01", "make one container anew, although nothing differs"),
            new("kbr apply --within 'Sun 02:00-04:00 Europe/Paris'", "leave what disrupts a service for the maintenance window"),
            new("kbr apply --refuse-risk", "apply only when no single failure at a step may lose acknowledged rows"),
            new("kbr apply --lock-timeout 5m", "wait for another run to release its locks"),
            new("kbr apply --auto-approve --target 'config_file.*'", "apply the changes of all configuration files without asking"),
        ],
        ["kbr destroy"] =
        [
            new("kbr destroy", "remove what kbr created; data stays"),
            new("kbr destroy --delete-data --confirm keybuzz-pg", "delete the data of the cluster keybuzz-pg, too"),
        ],
        ["kbr import"] = [new("kbr import 'container.*'", "record the existing containers, unchanged")],
        ["kbr drift"] =
        [
            new("kbr drift", "show what changed on the hosts since the last apply"),
            new("kbr drift --format junit --out drift.xml", "write a report for CI"),
        ],
        ["kbr state"] = [new("kbr state list", "list the records of all hosts")],
        ["kbr state list"] = [new("kbr state list '*@db-slave-01'", "list the records of one host")],
        ["kbr state show"] = [new("kbr state show container.patroni@db-slave-01", "show one record")],
        ["kbr state pull"] = [new("kbr state pull", "update the local copy of the records")],
        ["kbr state rm"] = [new("kbr state rm directory.spare@db-slave-01", "stop managing a directory; it stays")],
        ["kbr state mv"] = [new("kbr state mv directory.spare@db-slave-01 directory.archive@db-slave-01", "rename a record")],
        ["kbr history"] = [new("kbr history -n 5", "the last five applies, by the hosts' own account")],
        ["kbr status"] =
        [
            new("kbr status --json", "for programs: JSON; exit 2 when not healthy"),
            new("kbr status --watch 10", "measure every 10 s, until Ctrl-C"),
            new("kbr status --format prometheus --out kbr-status.prom", "write metrics for node_exporter"),
        ],
        ["kbr check"] =
        [
            new("kbr check --target '*@db-slave-01'", "check the preconditions of one host"),
            new("kbr check --ports", "list the connections that firewalls must let through"),
            new("kbr check --ports --format nft --target '*@db-slave-01'", "print one host's ruleset for nftables"),
        ],
        ["kbr graph"] =
        [
            new("kbr graph --target 'container.*'", "the containers and their dependencies, for Graphviz"),
            new("kbr graph --format svg", "a picture with the hosts as columns"),
        ],
        ["kbr switchover"] = [new("kbr switchover --to db-slave-01", "make db-slave-01 the primary")],
        ["kbr restart"] = [new("kbr restart --all", "restart every member, one at a time")],
        ["kbr fence"] = [new("kbr fence db-slave-01 --reason 'disk errors'", "take db-slave-01 out of service, and say why")],
        ["kbr unfence"] = [new("kbr unfence db-slave-01", "bring db-slave-01 back, and wait until it streams")],
        ["kbr relief"] = [new("kbr relief db-slave-01", "give the ballast of a full volume back")],
        ["kbr drill"] = [new("kbr drill --kind kill --svg gap.svg", "kill the primary, measure the gap, draw it")],
        ["kbr restore"] =
        [
            new("kbr restore --to '2026-11-28 21:10:00+01'", "restore the database of that moment beside the present one"),
            new("kbr restore", "let it take over, or go on after an interruption"),
            new("kbr restore --to latest --lost db-slave-02", "its host is gone for good: the others are restored without it"),
            new("kbr restore --to latest --confirm keybuzz-pg --open", "after all hosts were lost: everything that was archived"),
        ],
        ["kbr restore look"] = [new("kbr restore look -- -c 'SELECT count(*) FROM orders'", "ask the restored database")],
        ["kbr restore undo"] = [new("kbr restore undo", "give it up, or go back to the former database")],
        ["kbr restore confirm"] = [new("kbr restore confirm", "remove the former database")],
        ["kbr recover"] =
        [
            new("kbr recover --lost db-slave-01 --lost db-slave-02", "both are gone for good: the third goes on, after a question"),
            new("kbr recover", "all answer, and find no quorum: the furthest goes on"),
        ],
        ["kbr recover confirm"] = [new("kbr recover confirm", "remove the old data of members that were lost and came back")],
        ["kbr backup"] = [new("kbr backup --full", "take a full backup now")],
        ["kbr backups"] = [new("kbr backups", "list the backups, and to which second a restore can go")],
        ["kbr backups prove"] = [new("kbr backups prove", "restore to a random second, check it, and remove it again")],
        ["kbr backups check"] = [new("kbr backups check", "read all backups and WAL, and tell what is damaged or missing")],
        ["kbr renew"] = [new("kbr renew", "renew the certificates that are due"), new("kbr renew --all", "renew every certificate now")],
        ["kbr unlock"] =
        [
            new("kbr unlock", "show the holder of each host's lock"),
            new("kbr unlock --end db-slave-01", "end the shell that holds the lock of db-slave-01"),
        ],
        ["kbr init"] =
        [
            new("kbr init --members db-1,db-2,db-3 --proxies lb-1,lb-2", "write a first cluster.yaml for these hosts"),
            new("kbr init --from servers.tsv", "take the hosts from an inventory"),
            new("kbr init --credentials", "generate the missing passwords"),
        ],
        ["kbr connect"] =
        [
            new("kbr connect", "open psql on the primary, as the application"),
            new("kbr connect --as kb_admin -- -c 'SELECT version()'", "run one statement as the superuser"),
            new("kbr connect --print", "print the connection strings for applications"),
            new("kbr connect --ca", "print the certificate that applications verify the servers by"),
        ],
        ["kbr check tls"] = [new("kbr check tls", "show protocol, cipher and certificate of each port")],
        ["kbr members"] = [new("kbr members", "list the members with their role, lag and version")],
        ["kbr logs"] =
        [
            new("kbr logs patroni -f", "follow the database on all members"),
            new("kbr logs haproxy@haproxy-01 --since 1h", "one host, the last hour"),
        ],
        ["kbr monitoring"] = [new("kbr monitoring render --out prometheus", "write what to scrape, the alert rules and dashboards")],
        ["kbr monitoring render"] =
        [
            new("kbr monitoring render --out prometheus", "write what to scrape, the alert rules and dashboards"),
            new("kbr monitoring render --out prometheus --runbooks https://wiki/kbr#", "with links to your own pages"),
        ],
        ["kbr images"] = [new("kbr images build", "build the images of the services, and save them as archives")],
        ["kbr images build"] =
        [
            new("kbr images build", "build the images here, with the PostgreSQL of cluster.yaml"),
            new("kbr images build patroni --on db-slave-01", "build one image with the Docker Engine of a host"),
        ],
        ["kbr explain"] =
        [
            new("kbr explain", "list the sections and the resource types"),
            new("kbr explain postgres.haproxy.read_port", "explain one key"),
            new("kbr explain container", "explain a resource type"),
        ],
        ["kbr schema"] = [new("kbr schema", "print the JSON Schema, for the completion and the checks of an editor")],
        ["kbr fmt"] = [new("kbr fmt", "format cluster.yaml"), new("kbr fmt --check --diff", "for CI: show what would change, and exit 3")],
        ["kbr completion"] =
        [
            new("kbr completion bash", "print the script; load it with: source <(kbr completion bash)"),
            new("kbr completion fish", "for ~/.config/fish/completions/kbr.fish"),
        ],
        ["kbr man"] =
        [
            new("kbr man plan", "print the manual page of plan; read it with: kbr man plan | man -l -"),
            new("kbr man --out man1", "write every page to the folder man1"),
        ],
        ["kbr version"] = [new("kbr version --json", "the version, for programs")],
    };

    /// <summary>The commands that have examples, by their words.</summary>
    public static IEnumerable<string> Commands => s_all.Keys;

    /// <summary>The examples of a command.</summary>
    public static ImmutableArray<CommandExample> Of(Command command) => s_all.GetValueOrDefault(CommandTree.Path(command), []);
}
