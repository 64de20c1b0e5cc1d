using System.Globalization;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.ConfigFile;

namespace KeyBuzz.Reconciler.PostgresHa.Monitoring;

/// <summary>What Prometheus and Alertmanager are started with; the jobs and the alerts are <see cref="PrometheusFiles"/>. Pure.</summary>
internal static class ServerFiles
{
    /// <summary>The name of Prometheus' configuration.</summary>
    public const string Prometheus = "prometheus.yml";

    /// <summary>The name of Alertmanager's configuration.</summary>
    public const string Alertmanager = "alertmanager.yml";

    /// <summary>The directory of what both keep, in their containers.</summary>
    public const string Data = "/data";

    /// <summary>The command of Prometheus.</summary>
    public static IReadOnlyList<string> PrometheusCommand(MonitoringSettings settings, Host server) =>
        ResourceFactory.List([
            "prometheus",
            $"--config.file={ExporterFiles.Directory}/{Prometheus}",
            $"--storage.tsdb.path={Data}/prometheus",
            "--storage.tsdb.retention.time=1y",
            string.Create(CultureInfo.InvariantCulture, $"--storage.tsdb.retention.size={settings.Storage}B"),
            "--web.listen-address=" + ConfigText.Endpoint(server.Address, settings.Ports.Prometheus),
            .. ExporterFiles.AccessOption(settings),
            "--log.level=warn",
        ]);

    /// <summary>The command of Alertmanager, which is alone.</summary>
    public static IReadOnlyList<string> AlertmanagerCommand(MonitoringSettings settings, Host server) =>
        ResourceFactory.List([
            "prometheus-alertmanager",
            $"--config.file={ExporterFiles.Directory}/{Alertmanager}",
            $"--storage.path={Data}/alertmanager",
            "--web.listen-address=" + ConfigText.Endpoint(server.Address, settings.Ports.Alertmanager),
            .. ExporterFiles.AccessOption(settings),
            "--cluster.listen-address=",
            "--log.level=warn",
        ]);

    /// <summary>Prometheus' configuration.</summary>
    public static string PrometheusConfiguration(MonitoringSettings settings, Host server) =>
        string.Create(
            CultureInfo.InvariantCulture,
            $"""
            # Written by kbr; a change by hand is drift.
            global:
              scrape_interval: {(long)settings.Interval.TotalSeconds}s
              scrape_timeout: {Math.Min(10, (long)settings.Interval.TotalSeconds)}s
              evaluation_interval: {(long)settings.Interval.TotalSeconds}s
            rule_files: [{PrometheusFiles.Alerts}]
            scrape_config_files: [{PrometheusFiles.Scrape}]
            alerting:
              alertmanagers:
                - static_configs:
                    - targets: ['{ConfigText.Endpoint(server.Address, settings.Ports.Alertmanager)}']

            """
        ) + (settings.Access is { } access ? $"      basic_auth: {PrometheusFiles.AccessOf(access)}\n" : "");

    /// <summary>The name of the file with a receiver's URL.</summary>
    public static string ReceiverFile(string kind) => kind + ".url";

    /// <summary>Alertmanager's configuration: all alerts go to each receiver, together with those of the same cluster.</summary>
    public static string AlertmanagerConfiguration(MonitoringSettings settings) =>
        $"""
            # Written by kbr; a change by hand is drift.
            route: {Brace("receiver: team, group_by: [cluster], group_wait: 10s, group_interval: 1m, repeat_interval: 12h")}
            receivers:
              - name: team{string.Concat(
                settings.Receivers.Select(one =>
                    one.Kind == "slack"
                        ? $"\n    slack_configs: [{Brace($"api_url_file: {In(one.Kind)}, send_resolved: true")}]"
                        : $"\n    {one.Kind}_configs: [{Brace($"url_file: {In(one.Kind)}, send_resolved: true")}]"
                )
            )}

            """;

    /// <summary>The check of a new file by promtool, in a container of its own.</summary>
    public static string Check(MonitoringSettings settings, string user, string what) =>
        $"docker run --rm --pull never --network none {HostResources.Confined} --user {user} "
        + $"--mount type=bind,source=\"$(dirname \"$file\")\",target=/check,readonly "
        + $"--entrypoint promtool {settings.Image.Reference} check {what} \"/check/$(basename \"$file\")\"";

    /// <summary>The reload of either, run on the host.</summary>
    public static string Reload(string container) => $"docker kill -s HUP {container} >/dev/null";

    /// <summary>Succeeds once the process has taken its files after a file was written.</summary>
    /// <param name="product">The process.</param>
    /// <param name="endpoint">Where it listens.</param>
    /// <param name="path">The file.</param>
    /// <param name="access">The login that it asks for, and the file with the password, which is on no command line.</param>
    public static string Confirm(string product, string endpoint, string path, (string Name, string PasswordFile)? access) =>
        (
            access is { } login
                ? $"m=$(printf 'user = \"%s:%s\"\\n' {login.Name} \"$(sed 's/[\\\\\"]/\\\\&/g' {login.PasswordFile})\" | curl -K - "
                : "m=$(curl "
        )
        + $"-fsS --max-time 5 http://{endpoint}/metrics) && printf '%s\\n' \"$m\" | "
        + $"grep -qx '{product}_config_last_reload_successful 1' && t=$(printf '%s\\n' \"$m\" | "
        + $"sed -n 's/^{product}_config_last_reload_success_timestamp_seconds //p') && "
        + $"[ \"$(printf %.0f \"$t\")\" -ge \"$(stat -c %Y {path})\" ]";

    private static string In(string kind) => $"{ExporterFiles.Directory}/{ReceiverFile(kind)}";

    private static string Brace(string text) => "{ " + text + " }";
}
