using System.Collections.Immutable;
using System.Text;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa.Monitoring;

namespace KeyBuzz.Reconciler.PostgresHa.Sections;

/// <summary>Reads the <c>monitoring</c> part.</summary>
internal sealed class MonitoringSection(SectionReader section, BlueprintContext context, SectionValues values)
{
    public const string Key = "monitoring";

    private const string Postgres = "postgres";
    private const string PgBouncer = "pgbouncer";
    private const string Node = "node";

    /// <summary>The names of the exporters.</summary>
    public static readonly ImmutableArray<string> Exporters = [Postgres, PgBouncer, Node];

    /// <summary>The settings; null where the section has none, or no usable image.</summary>
    /// <param name="login">The role of the exporters of PostgreSQL; asked for only where there is monitoring.</param>
    public MonitoringSettings? Read(Func<PostgresUser> login)
    {
        if (section.Find(Key) is null)
        {
            return null;
        }

        var own = section.Section(Key).Allow(PostgresSchema.Monitoring);
        var ports = own.Section("ports").Allow(PostgresSchema.MonitoringPorts);
        var chosen = own.Find("exporters") is null ? [Postgres, PgBouncer] : ReadExporters(own);
        var settings = new MonitoringSettings(
            ServiceImage.None,
            login(),
            new MonitoringPorts(
                ports.Port(Postgres) ?? 9187,
                ports.Port(PgBouncer) ?? 9127,
                ports.Port(Node) ?? 9100,
                ports.Port("prometheus") ?? 9090,
                ports.Port("alertmanager") ?? 9093
            )
        )
        {
            ExportsPostgres = chosen.Contains(Postgres),
            ExportsPgBouncer = chosen.Contains(PgBouncer),
            ExportsHosts = chosen.Contains(Node),
            Server = Server(own),
            Interval = own.Duration("interval", TimeSpan.FromSeconds(15), TimeSpan.FromSeconds(1)),
            // Prometheus takes 0 for no limit.
            Storage = own.Size("storage", 4L << 30, least: 256L << 20),
            MaxTransaction = own.Duration("max_transaction", TimeSpan.FromHours(1), TimeSpan.FromSeconds(1)),
            MaxIdleInTransaction = own.Duration("max_idle_in_transaction", TimeSpan.FromMinutes(5), TimeSpan.FromSeconds(1)),
            Receivers = Receivers(own),
            Access = Access(own),
        };
        return values.Image(own) is { } image ? settings with { Image = image } : null;
    }

    private string[] ReadExporters(SectionReader own)
    {
        var words = own.Words("exporters", "a list of exporters");
        foreach (var word in words.Where(word => !Exporters.Contains(word.Value)))
        {
            context.Findings.Unknown($"there is no exporter '{word.Value}'", word.At, word.Value, Exporters, "exporters are");
        }

        return [.. words.Select(word => word.Value)];
    }

    private Host? Server(SectionReader own)
    {
        if (own.Word("server", "a host") is not { } word)
        {
            return null;
        }

        var found = context.Hosts.All.FirstOrDefault(host => host.Name == word.Value);
        if (found is null)
        {
            context.Findings.Unknown(
                $"there is no host '{word.Value}' for Prometheus",
                word.At,
                word.Value,
                context.Hosts.All.Select(host => host.Name),
                "hosts are"
            );
        }

        return found;
    }

    private PostgresUser? Access(SectionReader own)
    {
        var login = values.WebLogin(own, "login");
        if (login is not null && Encoding.UTF8.GetByteCount(login.Password.Reveal()) > Bcrypt.LongestPassword)
        {
            context.Findings.Error(
                $"the password of monitoring.login is longer than {Bcrypt.LongestPassword} bytes",
                own.Place("login"),
                "bcrypt takes no notice of what is behind them"
            );
        }

        return login;
    }

    private ImmutableArray<(string, Resources.SecretText)> Receivers(SectionReader own)
    {
        var receivers = own.Section("receivers").Allow(PostgresSchema.Receivers);
        return
        [
            .. PostgresSchema
                .Receivers.Names.Where(kind => receivers.Find(kind) is not null)
                .Select(kind => (kind, values.SecretOf(receivers, kind))),
        ];
    }
}
