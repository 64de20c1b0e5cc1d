using KeyBuzz.Reconciler.Providers.Role;
using KeyBuzz.Reconciler.Providers.SqlProxies;
using Npgsql;

namespace KeyBuzz.Reconciler.PostgresHa;

/// <summary>Logs in as the application does, through a tunnel to one of the ways in.</summary>
internal static class ApplicationLogin
{
    /// <summary>The file in PgBouncer's container by which servers are verified.</summary>
    public const string AuthorityFile = $"{PgBouncerFiles.Folder}/{TlsSettings.AuthorityFileName}";

    /// <summary>The login with TLS, where servers refuse one without; null elsewhere.</summary>
    public static TlsLogin? WithTls(PostgresTopology topology) =>
        topology.Tls is not { ClientsRequired: true }
            ? null
            : new TlsLogin(
                PostgresTopology.PgBouncerContainer,
                AuthorityFile,
                topology.Application.Name,
                topology.Application.Password,
                topology.ApplicationDatabase.Name
            );

    /// <summary>The settings of such a login.</summary>
    /// <param name="topology">The cluster.</param>
    /// <param name="port">The tunnel's port on this machine.</param>
    /// <param name="name">The session's name in pg_stat_activity.</param>
    /// <param name="connectSeconds">How long the login may take.</param>
    /// <param name="commandSeconds">How long a statement may take.</param>
    public static NpgsqlConnectionStringBuilder Settings(
        PostgresTopology topology,
        int port,
        string name,
        int connectSeconds,
        int commandSeconds
    ) =>
        new()
        {
            Host = "127.0.0.1",
            Port = port,
            Username = topology.Application.Name,
            Password = SaslPrep.Prepare(topology.Application.Password.Reveal()),
            Database = topology.ApplicationDatabase.Name,
            SslMode = SslMode.Disable, // the way to the host is SSH
            Pooling = false,
            Timeout = connectSeconds,
            CommandTimeout = commandSeconds,
            ApplicationName = name,
        };
}
