using System.Globalization;

namespace KeyBuzz.Reconciler.Bench;

/// <summary>The cluster that the planner is measured on: applications of two directories, two files and a container.</summary>
internal static class BenchCluster
{
    public const string Name = "bench";

    private const int Hosts = 100;
    private const int Roles = 10;
    private const int PerApplication = 5;

    /// <summary>The environment that its secrets come from.</summary>
    public static readonly IReadOnlyDictionary<string, string> Environment = new Dictionary<string, string>(StringComparer.Ordinal)
    {
        ["HOME"] = "/root",
        ["KBR_KEY"] = "0123456789abcdef0123456789abcdef",
        ["APP_PASSWORD"] = "bench-password",
    };

    /// <summary>Writes a cluster.yaml.</summary>
    /// <param name="file">The file.</param>
    /// <param name="resources">How many resources it stands for.</param>
    /// <param name="byRole">Whether an entry stands for a resource on each host of a role; else every resource has an entry of its
    /// own.</param>
    public static void Write(string file, int resources, bool byRole)
    {
        using var text = new StreamWriter(file) { NewLine = "\n" };
        text.WriteLine($"version: 1\ncluster: {Name}\nhosts:");
        for (var host = 0; host < Hosts; host++)
        {
            text.WriteLine($"  {HostName(host)}: {{role: {Role(host)}, address: 10.1.{host / 200}.{(host % 200) + 1}}}");
        }

        text.WriteLine("resources:");
        var each = byRole ? Hosts / Roles : 1;
        for (var number = 0; number * PerApplication * each < resources; number++)
        {
            Application(text, number, byRole ? Role(number) : HostName(number % Hosts));
        }
    }

    private static string HostName(int host) => string.Create(CultureInfo.InvariantCulture, $"host-{host:D3}");

    private static string Role(int number) => string.Create(CultureInfo.InvariantCulture, $"role-{number % Roles}");

    private static void Application(TextWriter text, int number, string place)
    {
        var name = string.Create(CultureInfo.InvariantCulture, $"app-{number:D6}");
        text.WriteLine(
            $$"""
              - type: directory
                name: {{name}}
                host: {{place}}
                path: /srv/{{name}}
                mode: "0750"
              - type: directory
                name: {{name}}-data
                host: {{place}}
                path: /srv/{{name}}/data
                owner: "999"
                group: "999"
                data: true
              - type: config_file
                name: {{name}}-conf
                host: {{place}}
                path: /srv/{{name}}/app.conf
                content: |
                  # Managed by kbr.
                  listen = ${host.address}:8080
                  name = {{name}}
                  data = /data
                  log_level = info
              - type: config_file
                name: {{name}}-env
                host: {{place}}
                path: /srv/{{name}}/app.env
                mode: "0600"
                content: |
                  APP_PASSWORD=${secret.APP_PASSWORD}
              - type: container
                name: {{name}}
                host: {{place}}
                image: {{BenchHosts.Image}}
                environment: {APP: {{name}}}
                mounts: ["/srv/{{name}}:/etc/app:ro", "/srv/{{name}}/data:/data"]
                user: "999"
                stop_timeout: 30
                requires: config_file.{{name}}-env
            """
        );
    }
}
