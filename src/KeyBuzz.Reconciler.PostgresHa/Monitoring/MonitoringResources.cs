using System.Collections.Immutable;
using System.Globalization;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa.Sections;
using KeyBuzz.Reconciler.Providers.ConfigFile;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.PostgresHa.Monitoring;

/// <summary>The resources of the exporters. Nothing of the cluster depends on them, and they disrupt nothing, so they are in no
/// group.</summary>
internal sealed class MonitoringResources(
    PostgresTopology topology,
    MonitoringSettings settings,
    RoleVerifier verifier,
    ResourceFactory factory,
    SectionReader section
)
{
    /// <summary>The container of PostgreSQL's exporter.</summary>
    public const string PostgresExporter = "postgres-exporter";

    /// <summary>The container of PgBouncer's exporter.</summary>
    public const string PgBouncerExporter = "pgbouncer-exporter";

    /// <summary>The container of the host's exporter.</summary>
    public const string HostExporter = "node-exporter";

    /// <summary>The container of Prometheus.</summary>
    public const string Prometheus = "prometheus";

    /// <summary>The container of Alertmanager.</summary>
    public const string Alertmanager = "alertmanager";

    private const string AccessResource = "monitoring-login";
    private const string PasswordResource = "monitoring-password";

    // Of no user: packages of a distribution take numbers below 1000, people from there, and systemd up to 65519 (its "Users, Groups, UIDs
    // and GIDs"). Images without a distribution have it as "nonroot".
    private const string Uid = "65532";

    private static readonly TimeSpan s_stopTimeout = TimeSpan.FromSeconds(20);

    // Written by the operator's timer, with the figures of kbr status. It and the data stay when monitoring goes, and so are not in the
    // directory that goes then.
    private string Status => topology.BaseDirectory + "-monitoring-status";

    private string Data => topology.BaseDirectory + "-monitoring-data";

    private string Files => topology.BaseDirectory + "/monitoring";

    public IEnumerable<Resource> All()
    {
        var hosts = (settings.ExportsPostgres ? topology.Members : [])
            .Concat(settings.ExportsPgBouncer ? topology.Proxies : [])
            .Concat(settings.HostsOf(topology))
            .DistinctBy(host => host.Name);
        return hosts.SelectMany(OfHost);
    }

    private IEnumerable<Resource> OfHost(Host host)
    {
        var exportsPostgres = settings.ExportsPostgres && topology.Members.Contains(host);
        var exportsPgBouncer = settings.ExportsPgBouncer && topology.Proxies.Contains(host);
        if (!topology.Members.Contains(host) && !topology.Proxies.Contains(host))
        {
            yield return Directory(host, "base", topology.BaseDirectory, owner: null, mode: null);
        }

        yield return Directory(host, "monitoring", Files, Uid, "0700");
        yield return factory.Make("image", "monitoring", host.Name, At, settings.Image.Attributes);
        if (settings.Access is { } access)
        {
            yield return File(host, AccessResource, ExporterFiles.Access, ExporterFiles.AccessFile(access, verifier));
        }

        if (exportsPostgres || exportsPgBouncer)
        {
            yield return File(host, "exporter-logins", ExporterFiles.Logins, ExporterFiles.LoginsOn(topology, settings, host));
        }

        if (exportsPostgres)
        {
            yield return File(host, "exporter-queries", ExporterFiles.Queries, SecretText.Plain(ExporterFiles.QueriesText));
            foreach (
                var one in Service(
                    host,
                    PostgresExporter,
                    "exporter of PostgreSQL",
                    ExporterFiles.Postgres(settings, host),
                    settings.Ports.Postgres,
                    ["exporter-logins", "exporter-queries"],
                    // The queries are read at the start alone.
                    startedWith: ExporterFiles.QueriesText,
                    environment: [("DATA_SOURCE_NAME", ExporterFiles.PostgresSource(topology, settings)), PasswordFile]
                )
            )
            {
                yield return one;
            }
        }

        if (exportsPgBouncer)
        {
            foreach (
                var one in Service(
                    host,
                    PgBouncerExporter,
                    "exporter of PgBouncer",
                    ExporterFiles.PgBouncer(topology, settings, host),
                    settings.Ports.PgBouncer,
                    ["exporter-logins"],
                    environment: [PasswordFile]
                )
            )
            {
                // It does not stay without the PgBouncer that it asks.
                yield return one.Address.Type == "systemd_unit"
                    ? one with
                    {
                        After = [.. one.After, new Address("systemd_unit", PostgresTopology.PgBouncerContainer, host.Name)],
                    }
                    : one;
            }
        }

        var isServer = host.Name == settings.Server?.Name;
        if (isServer)
        {
            foreach (var one in Server(host))
            {
                yield return one;
            }
        }

        if (settings.HostsOf(topology).Contains(host))
        {
            foreach (
                var one in Service(
                    host,
                    HostExporter,
                    "exporter of the host, for",
                    ExporterFiles.OfHost(settings, host),
                    settings.Ports.Host,
                    [],
                    mounts: isServer ? [$"{Status}:{ExporterFiles.StatusDirectory}:ro"] : []
                )
            )
            {
                yield return one;
            }
        }
    }

    private IEnumerable<Resource> Server(Host server)
    {
        yield return Directory(server, "monitoring-status", Status, owner: null, mode: null, ("data", true));
        yield return Directory(server, "monitoring-data", Data, Uid, "0700", ("data", true));
        // What asks Prometheus and Alertmanager, as they ask the exporters.
        ImmutableArray<Address> image =
        [
            new("image", "monitoring", server.Name),
            .. settings.Access is null ? Array.Empty<Address>() : [new Address("config_file", PasswordResource, server.Name)],
        ];
        if (settings.Access is { } access)
        {
            yield return File(server, PasswordResource, PrometheusFiles.AccessPassword, access.Password);
        }

        var atPrometheus = ConfigText.Endpoint(server.Address, settings.Ports.Prometheus);
        var rules = Reloaded(
            "prometheus-alerts",
            PrometheusFiles.Alerts,
            PrometheusFiles.AlertFile(topology, PrometheusFiles.Runbooks),
            ServerFiles.Check(settings, $"{Uid}:{Uid}", "rules")
        );
        var scrapes = Reloaded("prometheus-scrapes", PrometheusFiles.Scrape, PrometheusFiles.ScrapeConfiguration(topology), null);
        yield return rules;
        yield return scrapes;
        var login = topology.Haproxy is { Metrics: true, StatisticsLogin: { } statistics }
            ? File(server, "haproxy-password", PrometheusFiles.HaproxyPassword, statistics.Password)
            : null;
        if (login is not null)
        {
            yield return login;
        }

        yield return Reloaded(
            Prometheus,
            ServerFiles.Prometheus,
            ServerFiles.PrometheusConfiguration(settings, server),
            ServerFiles.Check(settings, $"{Uid}:{Uid}", "config --syntax-only")
        ) with
        {
            Requires = [.. image, rules.Address, scrapes.Address, .. login is null ? Array.Empty<Address>() : [login.Address]],
        };
        List<string> ofAlertmanager = [Alertmanager];
        foreach (var (kind, url) in settings.Receivers)
        {
            ofAlertmanager.Add("alertmanager-" + kind);
            yield return File(server, ofAlertmanager[^1], ServerFiles.ReceiverFile(kind), url);
        }

        yield return File(
            server,
            Alertmanager,
            ServerFiles.Alertmanager,
            SecretText.Plain(ServerFiles.AlertmanagerConfiguration(settings)),
            ("reload", ServerFiles.Reload(Alertmanager)),
            ("loaded_by", "container:" + Alertmanager),
            (
                "reload_confirm",
                ServerFiles.Confirm(
                    Alertmanager,
                    ConfigText.Endpoint(server.Address, settings.Ports.Alertmanager),
                    $"{Files}/{ServerFiles.Alertmanager}",
                    AccessFrom
                )
            )
        ) with
        {
            // Alertmanager reads the file with a URL for each message.
            Requires = [.. image.Skip(1), .. ofAlertmanager.Skip(1).Select(name => new Address("config_file", name, server.Name))],
        };
        var ports = settings.Ports;
        foreach (
            var one in Serving(Prometheus, "Prometheus for", ServerFiles.PrometheusCommand(settings, server), ports.Prometheus)
                .Concat(Serving(Alertmanager, "Alertmanager for", ServerFiles.AlertmanagerCommand(settings, server), ports.Alertmanager))
        )
        {
            yield return one;
        }

        IEnumerable<Resource> Serving(string name, string description, IReadOnlyList<string> command, int port) =>
            Service(server, name, description, command, port, [name], mounts: [$"{Data}:{ServerFiles.Data}"]);

        Resource Reloaded(string name, string fileName, string content, string? check) =>
            File(
                server,
                name,
                fileName,
                SecretText.Plain(content),
                ("validate", check),
                ("reload", ServerFiles.Reload(Prometheus)),
                ("loaded_by", "container:" + Prometheus),
                ("reload_confirm", ServerFiles.Confirm(Prometheus, atPrometheus, $"{Files}/{fileName}", AccessFrom))
            ) with
            {
                Requires = image,
            };
    }

    private SourceLocation At => section.Place(MonitoringSection.Key);

    private (string Name, string PasswordFile)? AccessFrom =>
        settings.Access is { } access ? (access.Name, $"{Files}/{PrometheusFiles.AccessPassword}") : null;

    private static (string, string) PasswordFile => ("PGPASSFILE", $"{ExporterFiles.Directory}/{ExporterFiles.Logins}");

    private Resource Directory(
        Host host,
        string name,
        string path,
        string? owner,
        string? mode,
        params ReadOnlySpan<(string, object?)> more
    ) => factory.Make("directory", name, host.Name, At, [("path", path), ("owner", owner), ("group", owner), ("mode", mode), .. more]);

    private Resource File(Host host, string name, string fileName, SecretText content, params ReadOnlySpan<(string, object?)> more) =>
        factory.Make(
            "config_file",
            name,
            host.Name,
            At,
            [("path", $"{Files}/{fileName}"), ("content", content), ("owner", Uid), ("group", Uid), ("mode", "0600"), .. more]
        );

    private IEnumerable<Resource> Service(
        Host host,
        string name,
        string description,
        IReadOnlyList<string> command,
        int port,
        ImmutableArray<string> files,
        string? startedWith = null,
        ImmutableArray<(string, string)> environment = default,
        ImmutableArray<string> mounts = default
    )
    {
        var unit = name + ".service";
        yield return factory.Make(
            "container",
            name,
            host.Name,
            At,
            ("image", settings.Image.Reference),
            ("command", command),
            ("user", $"{Uid}:{Uid}"),
            ("environment", environment.IsDefault ? null : ResourceFactory.Map(environment)),
            ("mounts", ResourceFactory.List([$"{Files}:{ExporterFiles.Directory}:ro", .. mounts.IsDefault ? [] : mounts])),
            ("read_only", true),
            ("cap_drop", ResourceFactory.List("ALL")),
            ("security_opt", ResourceFactory.List("no-new-privileges")),
            ("ulimits", ResourceFactory.Map(("nofile", "4096:4096"))),
            ("stop_timeout", (long)s_stopTimeout.TotalSeconds),
            ("supervised_by", unit),
            ("ports", ResourceFactory.List($"tcp/{port.ToString(CultureInfo.InvariantCulture)}")),
            ("log_options", ResourceFactory.Map(("max-size", "10m"), ("max-file", "2"))),
            (
                "labels",
                startedWith is null ? null : ResourceFactory.Map(("kbr.start-settings", verifier.Fingerprint("monitoring", startedWith)))
            )
        ) with
        {
            Requires =
            [
                .. files
                    .Concat(settings.Access is null ? Array.Empty<string>() : [AccessResource])
                    .Select(file => new Address("config_file", file, host.Name)),
            ],
        };
        yield return factory.Make(
            "systemd_unit",
            name,
            host.Name,
            At,
            ("container", name),
            ("content", SecretText.Plain(ContainerUnit.Render($"{description} {topology.Scope}", name, s_stopTimeout, mountPoint: null)))
        );
    }
}
