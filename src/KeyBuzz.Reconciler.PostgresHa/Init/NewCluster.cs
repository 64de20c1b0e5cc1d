using System.Collections.Immutable;
using System.Globalization;
using System.Net;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.PostgresHa.Init;

/// <summary>A value of a new cluster file.</summary>
/// <param name="Text">The value; null for one that the operator has to write.</param>
/// <param name="Note">Where it comes from, or what belongs there; empty for nothing to say.</param>
public sealed record NewValue(string? Text, string Note = "");

/// <summary>A host of a new cluster file.</summary>
/// <param name="Inventory">As the inventory names it.</param>
/// <param name="Address">Its private address.</param>
/// <param name="Device">The device of its volume; null for a proxy.</param>
public sealed record NewHost(InventoryHost Inventory, NewValue Address, NewValue? Device)
{
    /// <summary>The name.</summary>
    public string Name => Inventory.Name;

    /// <summary>Where it is logged in at, if that is not the private address.</summary>
    public string? SshHost { get; init; }
}

/// <summary>The address that the proxies of a new cluster file hold.</summary>
/// <param name="Address">The address.</param>
/// <param name="Interface">The proxies' interface that it is on.</param>
public sealed record NewVirtualAddress(string Address, NewValue Interface);

/// <summary>The choices of the operator.</summary>
public sealed record InitChoices
{
    /// <summary>The cluster's name; null to take one that fits.</summary>
    public string? Name { get; init; }

    /// <summary>PostgreSQL's major version; null for that of the cluster that is there, or the default.</summary>
    public int? Version { get; init; }

    /// <summary>The load balancer's address; null for none.</summary>
    public string? LoadBalancer { get; init; }

    /// <summary>The address that the proxies hold, as ADDRESS or ADDRESS/INTERFACE; null for none.</summary>
    public string? VirtualIp { get; init; }

    /// <summary>keepalived's image; null to leave a placeholder.</summary>
    public string? KeepalivedImage { get; init; }

    /// <summary>The image of the members; null to leave a placeholder.</summary>
    public string? Image { get; init; }

    /// <summary>HAProxy's image; null to leave a placeholder.</summary>
    public string? HaproxyImage { get; init; }

    /// <summary>PgBouncer's image; null to leave a placeholder.</summary>
    public string? PgBouncerImage { get; init; }
}

/// <summary>A new cluster file, before it is text.</summary>
/// <param name="Name">The cluster's name.</param>
/// <param name="Members">The hosts with PostgreSQL.</param>
/// <param name="Proxies">The hosts with HAProxy and PgBouncer.</param>
/// <param name="Choices">The choices of the operator.</param>
public sealed record NewCluster(string Name, ImmutableArray<NewHost> Members, ImmutableArray<NewHost> Proxies, InitChoices Choices)
{
    /// <summary>PostgreSQL's major version.</summary>
    public int Version { get; init; } = PostgresSection.DefaultVersion;

    /// <summary>The address that the proxies hold; null for none.</summary>
    public NewVirtualAddress? VirtualAddress { get; init; }

    /// <summary>The cluster that is there already; null for none.</summary>
    public FoundPatroni? Found { get; init; }

    /// <summary>Where the volume is mounted, if not at the usual place.</summary>
    public string? MountPoint { get; init; }

    /// <summary>What the hosts said that the operator should know.</summary>
    public ImmutableArray<string> Notes { get; init; } = [];

    /// <summary>Makes it of the hosts, what they know, and the operator's choices. Pure.</summary>
    /// <param name="selection">The hosts.</param>
    /// <param name="facts">What each knows; none of one that was not asked.</param>
    /// <param name="troubles">Why a host was not asked.</param>
    /// <param name="choices">The choices.</param>
    /// <param name="findings">Where to note what is wrong.</param>
    public static NewCluster Of(
        InitSelection selection,
        IReadOnlyDictionary<string, HostFacts> facts,
        IReadOnlyDictionary<string, string> troubles,
        InitChoices choices,
        Findings findings
    )
    {
        ArgumentNullException.ThrowIfNull(selection);
        ArgumentNullException.ThrowIfNull(facts);
        ArgumentNullException.ThrowIfNull(troubles);
        ArgumentNullException.ThrowIfNull(choices);
        ArgumentNullException.ThrowIfNull(findings);
        NewHost Host(InventoryHost host, bool isMember)
        {
            var known = facts.GetValueOrDefault(host.Name);
            var trouble = troubles.GetValueOrDefault(host.Name, "");
            var (address, ssh) = AddressOf(host, known, trouble);
            return new NewHost(host, address, isMember ? DeviceOf(known, trouble) : null) { SshHost = ssh };
        }

        var found = FoundOn(selection, facts, findings, out var notes);
        var points = selection
            .Members.Select(host => facts.GetValueOrDefault(host.Name)?.Volume?.MountPoint)
            .OfType<string>()
            .Distinct()
            .ToList();
        if (points.Count > 1)
        {
            findings.Error(
                $"the volumes are mounted at {string.Join(" and ", points)}",
                null,
                "one cluster file has one mount point",
                "mount them alike"
            );
        }

        if (choices.LoadBalancer is { } balancer && NetworkAddress.Problem(balancer) is { } problem)
        {
            findings.Error($"bad address '{balancer}' of the load balancer", null, problem);
        }

        if (found?.Version is { } running && choices.Version is { } version && running != version)
        {
            findings.Error($"PostgreSQL {running} runs already, not {version}", null, null, "leave out --postgres");
        }

        var name = choices.Name ?? (found?.Scope is { } scope && ValueSyntax.IsLabel(scope) ? scope : selection.Name);
        CheckName(name, selection, findings);
        var made = new NewCluster(
            name,
            [.. selection.Members.Select(host => Host(host, true))],
            [.. selection.Proxies.Select(host => Host(host, false))],
            choices
        )
        {
            Version = found?.Version ?? choices.Version ?? PostgresSection.DefaultVersion,
            Found = found,
            VirtualAddress = choices.VirtualIp is null ? null : VirtualAddressOf(choices.VirtualIp, selection.Proxies, facts, findings),
            MountPoint = points is [var point] && point != ClusterFile.MountPoint ? point : null,
            Notes = notes,
        };
        foreach (
            var same in made
                .Members.Concat(made.Proxies)
                .Where(host => host.Address.Text is not null)
                .GroupBy(host => NetworkAddress.Canonical(host.Address.Text!))
                .Where(group => group.Count() > 1)
        )
        {
            findings.Error(
                $"{string.Join(" and ", same.Select(host => host.Name))} have the same private address {same.Key}",
                same.Last().Inventory.At,
                null,
                "name each host once"
            );
        }

        if (
            choices.LoadBalancer is { } shared
            && made.Members.Concat(made.Proxies).FirstOrDefault(host => host.Address.Text == shared) is { } host
        )
        {
            findings.Error(
                $"the load balancer has the address of {host.Name}",
                null,
                null,
                "give the address of the load balancer itself, or none: applications then name every proxy"
            );
        }

        if (
            made.VirtualAddress is { } held
            && made.Members.Concat(made.Proxies).FirstOrDefault(host => host.Address.Text == held.Address) is { } owner
        )
        {
            findings.Error(
                $"the virtual address is the own address of {owner.Name}",
                null,
                "it could not move to another proxy",
                "give an address of the hosts' network that nobody has"
            );
        }

        return made;
    }

    // The interface that was given, or the one by which every proxy that answered reaches the address.
    private static NewVirtualAddress VirtualAddressOf(
        string text,
        ImmutableArray<InventoryHost> proxies,
        IReadOnlyDictionary<string, HostFacts> facts,
        Findings findings
    )
    {
        var (address, named) = text.Split('/', 2) is [var before, var behind] ? (before, behind) : (text, null);
        if (PostgresHa.VirtualAddress.ProblemOfAddress(address) is { } problem)
        {
            findings.Error($"bad address '{address}' of --virtual-ip", null, problem);
        }

        if (named is not null)
        {
            if (PostgresHa.VirtualAddress.ProblemOfInterface(named) is { } wrong)
            {
                findings.Error($"'{named}' of --virtual-ip is no interface", null, wrong);
            }

            return new NewVirtualAddress(address, new NewValue(named));
        }

        var known = proxies
            .Where(proxy => facts.ContainsKey(proxy.Name))
            .GroupBy(proxy => facts[proxy.Name].InterfaceTo(address) ?? "", proxy => proxy.Name)
            .ToList();
        var networks = string.Join(
            "; ",
            known.Select(same => $"{(same.Key.Length == 0 ? "none" : same.Key)} on {string.Join(", ", same)}")
        );
        return new NewVirtualAddress(
            address,
            known switch
            {
                [] => new NewValue(null, "write the proxies' interface of that network, as ip -brief address shows it"),
                [{ Key.Length: > 0 } same] => new NewValue(same.Key),
                [_] => new NewValue(
                    null,
                    $"no proxy has an interface on the network of {address}: write another address, or the interface"
                ),
                _ => new NewValue(null, $"the proxies reach {address} by different interfaces ({networks}): it needs one of the same name"),
            }
        );
    }

    private static void CheckName(string name, InitSelection selection, Findings findings)
    {
        if (!ValueSyntax.IsLabel(name) || name == "all")
        {
            findings.Error(
                $"'{name}' cannot be the name of a cluster",
                null,
                "lower-case letters, digits and inner '-' only",
                "pass --name"
            );
        }
        else if (selection.All.Any(host => host.Name == name || host.Name == name + "-proxies"))
        {
            findings.Error($"'{name}' cannot be the name of the cluster: a host has it", null, null, "pass --name");
        }
    }

    private static FoundPatroni? FoundOn(
        InitSelection selection,
        IReadOnlyDictionary<string, HostFacts> facts,
        Findings findings,
        out ImmutableArray<string> notes
    )
    {
        notes = [];
        var running = selection
            .Members.Select(host => (host.Name, facts.GetValueOrDefault(host.Name)?.Patroni))
            .Where(host => host.Item2 is not null)
            .ToList();
        if (running.Count == 0)
        {
            return null;
        }

        Same("scopes", patroni => patroni.Scope);
        Same("namespaces", patroni => patroni.Namespace);
        var found = new FoundPatroni(
            running.Select(host => host.Item2!.Scope).FirstOrDefault(scope => scope is not null),
            running.Select(host => host.Item2!.Namespace).FirstOrDefault(name => name is not null)
        )
        {
            Version = running.Select(host => host.Item2!.Version).FirstOrDefault(version => version is not null),
            IsInContainer = running.TrueForAll(host => host.Item2!.IsInContainer),
        };
        notes =
        [
            $"Patroni runs on {string.Join(", ", running.Select(host => host.Name))} already, with scope {found.Scope ?? "unknown"} and "
                + $"namespace {found.Namespace ?? "unknown"}: the file adopts it. Follow docs/adopting.md before the first apply.",
            .. found.IsInContainer
                ? ImmutableArray<string>.Empty
                : ["It does not run in the container patroni, so kbr cannot adopt it as it is (docs/adopting.md)."],
        ];
        return found;

        void Same(string what, Func<FoundPatroni, string?> key)
        {
            var different = running.Where(host => key(host.Item2!) is not null).GroupBy(host => key(host.Item2!)).ToList();
            if (different.Count > 1)
            {
                findings.Error(
                    $"the members have different {what}: "
                        + string.Join("; ", different.Select(same => $"{same.Key} on {string.Join(", ", same.Select(host => host.Name))}")),
                    null,
                    "they are not one cluster",
                    "name the members of one cluster"
                );
            }
        }
    }

    // A private address that was given is taken; of one that was not, the host's only one.
    private static (NewValue Address, string? SshHost) AddressOf(InventoryHost host, HostFacts? facts, string trouble)
    {
        var given = host.Address;
        if (given is not null && (facts is null || facts.PrivateAddresses.Length != 1 || facts.PrivateAddresses.Contains(given)))
        {
            return (new NewValue(given), host.SshHost);
        }

        if (given is not null && IPAddress.TryParse(given, out var address) && HostFacts.IsPrivate(address))
        {
            return (new NewValue(given), host.SshHost);
        }

        var ssh = host.SshHost ?? given;
        var because = trouble.Length == 0 ? "" : trouble + ": ";
        return facts switch
        {
            null => (new NewValue(null, $"{because}write the private address of {host.Name}"), ssh),
            { PrivateAddresses: [var only] } => (new NewValue(only), ssh == only ? null : ssh),
            { PrivateAddresses: [] } => (
                new NewValue(null, $"{host.Name} has no private IPv4 address: write the one that its peers use"),
                ssh
            ),
            { PrivateAddresses: var several } => (
                new NewValue(null, $"{host.Name} has {string.Join(" and ", several)}: write one of them"),
                ssh
            ),
        };
    }

    private static NewValue DeviceOf(HostFacts? facts, string trouble) =>
        facts switch
        {
            null => new NewValue(
                null,
                $"{(trouble.Length == 0 ? "" : trouble + ": ")}name its empty volume, as ls -l /dev/disk/by-id there shows it"
            ),
            { Volume: { } volume } => new NewValue(volume.Device, $"mounted at {volume.MountPoint}"),
            { EmptyDisks: [var only] } => new NewValue(HostFacts.StableName(only), $"empty, {Size(only.SizeBytes)}"),
            { EmptyDisks: [] } => new NewValue(null, "no empty disk was found: attach one, and name it as ls -l /dev/disk/by-id shows it"),
            { EmptyDisks: var several } => new NewValue(
                null,
                $"several are empty, write one: {string.Join(", ", several.Select(disk => $"{HostFacts.StableName(disk)} ({Size(disk.SizeBytes)})"))}"
            ),
        };

    private static string Size(long bytes) =>
        bytes >= 1L << 30
            ? string.Create(CultureInfo.InvariantCulture, $"{bytes / (double)(1L << 30):0.#} GiB")
            : string.Create(CultureInfo.InvariantCulture, $"{bytes / (double)(1L << 20):0.#} MiB");
}
