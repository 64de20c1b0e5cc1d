using System.Collections.Immutable;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.PostgresHa.Sections;

/// <summary>Reads the <c>haproxy</c> part.</summary>
internal sealed class HaproxySection(SectionReader section, SectionValues values)
{
    // HAProxy's further timeouts of sessions over TCP: the key here, and HAProxy's name.
    private static readonly (string Key, string Name)[] s_timeouts =
    [
        ("queue_timeout", "queue"),
        ("tunnel_timeout", "tunnel"),
        ("client_fin_timeout", "client-fin"),
        ("server_fin_timeout", "server-fin"),
    ];

    /// <summary>The settings; null without a usable image.</summary>
    public HaproxySettings? Read(LoadBalancer? balancer)
    {
        var own = section.Section("haproxy").Allow(PostgresSchema.Haproxy);
        var shortest = TimeSpan.FromMilliseconds(50);
        var settings = new HaproxySettings(
            ServiceImage.None,
            own.Integer("uid", 99, 1),
            own.Integer("gid", 99, 1),
            own.Port("port") ?? balancer?.Port ?? LoadBalancer.DefaultPort,
            own.Port("pooled_port") ?? balancer?.PooledPort ?? LoadBalancer.DefaultPooledPort,
            own.Port("stats_port") ?? 8404,
            own.Port("read_port"),
            own.Size("read_max_lag", 1L << 20),
            own.Integer("max_connections", 2000, 10),
            own.Duration("inter", TimeSpan.FromMilliseconds(500), shortest),
            own.Duration("fastinter", TimeSpan.FromMilliseconds(250), shortest),
            own.Duration("downinter", TimeSpan.FromMilliseconds(500), shortest),
            own.Integer("fall", 2, 1),
            own.Integer("rise", 1, 1),
            own.Duration("connect_timeout", TimeSpan.FromSeconds(1), shortest),
            own.Duration("check_timeout", TimeSpan.FromSeconds(2), shortest),
            own.Integer("retries", 1),
            own.Duration("idle_timeout", TimeSpan.FromHours(24), TimeSpan.FromMinutes(1))
        )
        {
            StatisticsLogin = values.WebLogin(own, "stats_login"),
            Metrics = own.Boolean("metrics") ?? false,
            EndsSessions = own.Choice("on_marked_down", true, ("shutdown-sessions", true), ("none", false)),
            EndsReads = own.Choice("read_on_marked_down", true, ("shutdown-sessions", true), ("none", false)),
            ClientTimeout = Given("client_timeout"),
            ServerTimeout = Given("server_timeout"),
            Timeouts = Timeouts(),
        };
        return values.Image(own) is { } image ? settings with { Image = image } : null;

        SortedMap<TimeSpan> Timeouts()
        {
            var given = new SortedMap<TimeSpan>.Builder(s_timeouts.Length);
            foreach (var (key, name) in s_timeouts)
            {
                if (Given(key) is { } time)
                {
                    given.Add(name, time);
                }
            }

            return given.ToMap();
        }

        TimeSpan? Given(string key) => own.Find(key) is null ? null : own.Duration(key, TimeSpan.FromHours(24), TimeSpan.FromSeconds(1));
    }
}
