using System.Collections.Immutable;
using System.CommandLine;
using System.Globalization;
using KeyBuzz.Reconciler.Cli.Commands;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa.Init;

namespace KeyBuzz.Reconciler.Cli.Blueprints.Postgres;

/// <summary><c>kbr init</c> of a PostgreSQL cluster: the hosts from an inventory, the options or answers; and what they know.</summary>
internal sealed class PostgresInit : IClusterInit
{
    private readonly Option<string> _name = new("--name")
    {
        Description = "The cluster's name; default: that of a running Patroni, else pg (of servers.tsv: keybuzz-pg).",
    };
    private readonly Option<string> _members = new("--members")
    {
        Description = "The hosts with PostgreSQL: [user@]host[:port],…; with an Ansible inventory their group.",
    };
    private readonly Option<string> _proxies = new("--proxies") { Description = "The hosts with HAProxy and PgBouncer, in the same way." };
    private readonly Option<string> _balancer = new("--load-balancer")
    {
        Description = "The address of a load balancer in front of the proxies; default: none.",
    };
    private readonly Option<string> _virtualIp = new("--virtual-ip")
    {
        Description = "An address that the proxies hold instead of a load balancer, as ADDRESS or ADDRESS/INTERFACE.",
    };
    private readonly Option<int> _version = OptionReading.WholeNumber(
        "--postgres",
        "PostgreSQL's major version; default: that of a running cluster, else 16.",
        least: 13,
        preset: null
    );
    private readonly Option<string> _image = new("--image") { Description = "PostgreSQL's image, as REPOSITORY:TAG@sha256:DIGEST." };
    private readonly Option<string> _haproxy = new("--haproxy-image") { Description = "HAProxy's image." };
    private readonly Option<string> _pgbouncer = new("--pgbouncer-image") { Description = "PgBouncer's image." };
    private readonly Option<string> _keepalived = new("--keepalived-image") { Description = "keepalived's image, with --virtual-ip." };

    /// <inheritdoc />
    public IReadOnlyCollection<Option> Options =>
        [_name, _members, _proxies, _balancer, _virtualIp, _version, _image, _haproxy, _pgbouncer, _keepalived];

    /// <inheritdoc />
    public async Task<FirstFile> MakeAsync(InitRequest request, CancellationToken cancellationToken)
    {
        var findings = new Findings();
        var choices = new InitChoices
        {
            Name = request.Read(_name),
            LoadBalancer = request.Read(_balancer),
            VirtualIp = request.Read(_virtualIp),
            KeepalivedImage = request.Read(_keepalived),
            Version = request.Read(_version) is > 0 and var version ? version : null,
            Image = request.Read(_image),
            HaproxyImage = request.Read(_haproxy),
            PgBouncerImage = request.Read(_pgbouncer),
        };
        if (choices is { LoadBalancer: not null, VirtualIp: not null })
        {
            findings.Error("--virtual-ip beside --load-balancer", null, "applications connect to one of them", "leave one out");
            findings.ThrowIfErrors();
        }

        var (members, proxies) = (request.Read(_members), request.Read(_proxies));
        if (request.From is null && members is null && proxies is null)
        {
            (members, proxies, choices) = Ask(request, choices);
        }

        var selection = Select(request.From, members, proxies, findings).Check(findings);
        findings.ThrowIfErrors();
        var identity = selection.All.Select(host => host.IdentityFile).OfType<string>().FirstOrDefault();
        var (facts, troubles, unmet) = await LookAsync(request, selection, identity, cancellationToken).ConfigureAwait(false);
        var made = NewCluster.Of(selection, facts, troubles, choices, findings);
        findings.ThrowIfErrors();
        return new FirstFile(
            ClusterFile.Render(made, InitCommand.SchemaFile, identity),
            [.. selection.Notes, .. troubles.Select(pair => $"{pair.Key}: {pair.Value}."), .. unmet, .. made.Notes]
        )
        {
            Adopts = made.Found is not null,
            First = ImagesToBuild(choices),
        };
    }

    // The archives that the file names where no image was given.
    private static ImmutableArray<string> ImagesToBuild(InitChoices choices)
    {
        (string Service, string? Image)[] images =
        [
            ("patroni", choices.Image),
            ("haproxy", choices.HaproxyImage),
            ("pgbouncer", choices.PgBouncerImage),
            .. choices.VirtualIp is null ? [] : new[] { ("keepalived", choices.KeepalivedImage) },
        ];
        ImmutableArray<string> missing = [.. images.Where(one => one.Image is null).Select(one => one.Service)];
        return missing.IsEmpty ? [] : ["images", "build", .. missing.SequenceEqual(ImageBuild.Usual) ? [] : missing];
    }

    private static (string Members, string Proxies, InitChoices Choices) Ask(InitRequest request, InitChoices choices)
    {
        if (request.Ask is not { } ask)
        {
            throw new DiagnosticException(
                Diagnostic.Error(
                    "init needs to know the hosts, and there is no terminal to ask on",
                    remedy: "pass --from servers.tsv or --from inventory.ini, or --members a,b,c --proxies d,e; "
                        + "also --load-balancer, --name, --offline; or --credentials for the secrets of a file that is there"
                )
            );
        }

        var members = ask("Hosts with PostgreSQL, best three ([user@]host[:port], separated by commas)");
        var proxies = ask("Hosts with HAProxy and PgBouncer, best two");
        var balancer = choices.VirtualIp is not null
            ? ""
            : choices.LoadBalancer ?? ask("Address of a load balancer in front of these [none: applications name each of them]");
        var name = choices.Name ?? ask("Name of the cluster [that of a running Patroni, else pg]");
        return (
            members,
            proxies,
            choices with
            {
                LoadBalancer = balancer.Length == 0 ? null : balancer,
                Name = name.Length == 0 ? null : name,
            }
        );
    }

    private static InitSelection Select(string? from, string? members, string? proxies, Findings findings)
    {
        if (from is null)
        {
            return new InitSelection(HostList.Parse(members ?? "", "db", findings), HostList.Parse(proxies ?? "", "lb", findings), []);
        }

        // An inventory may hold passwords: of its lines none is shown.
        var text = SourceText.Read(from, from, hidden: true).Text;
        if (ServersTable.IsOne(text) || from.EndsWith(".tsv", StringComparison.OrdinalIgnoreCase))
        {
            if (members is not null || proxies is not null)
            {
                findings.Error($"{from} chooses the hosts by DOCKER_STACK", null, null, "leave out --from, or --members and --proxies");
            }

            return ServersTable.Select(text, from, findings);
        }

        var inventory = AnsibleInventory.IsYaml(text, from)
            ? AnsibleInventory.OfYaml(text, from, findings)
            : AnsibleInventory.OfIni(text, from, findings);
        findings.ThrowIfErrors();
        return inventory.Select(members, proxies, findings);
    }

    private static async Task<(
        ImmutableDictionary<string, HostFacts> Facts,
        ImmutableSortedDictionary<string, string> Troubles,
        ImmutableArray<string> Unmet
    )> LookAsync(InitRequest request, InitSelection selection, string? identity, CancellationToken cancellationToken)
    {
        var facts = ImmutableDictionary.CreateBuilder<string, HostFacts>(StringComparer.Ordinal);
        var troubles = ImmutableSortedDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        var unmet = ImmutableArray.CreateBuilder<string>();
        if (request.IsOffline)
        {
            return (facts.ToImmutable(), troubles.ToImmutable(), []);
        }

        var answers = await request
            .ReadAsync(
                selection.All.Select(host => new InitHost(host.Name, host.Address ?? host.SshHost!, Login(host))),
                identity is null ? [] : [("identity_file", identity)],
                HostFacts.Reads,
                cancellationToken
            )
            .ConfigureAwait(false);
        foreach (var host in selection.All)
        {
            var (snapshot, error) = answers[host.Name];
            if (snapshot is null)
            {
                troubles[host.Name] = $"it could not be read ({error})";
                continue;
            }

            facts[host.Name] = HostFacts.Of(snapshot);
            unmet.AddRange(
                request
                    .Unmet(host.Name, snapshot)
                    .Select(one => $"{host.Name}: {one.Summary}{(one.Remedy is null ? "" : $"; {one.Remedy}")}.")
            );
        }

        return (facts.ToImmutable(), troubles.ToImmutable(), unmet.ToImmutable());
    }

    private static List<(string Key, string Value)> Login(InventoryHost host)
    {
        var login = new List<(string, string)>();
        if (host.SshHost is { } target)
        {
            login.Add(("host", target));
        }

        if (host.Port is { } port)
        {
            login.Add(("port", port.ToString(CultureInfo.InvariantCulture)));
        }

        if (host.User is { } user)
        {
            login.Add(("user", user));
            login.Add(("sudo", "true"));
        }

        return login;
    }
}
