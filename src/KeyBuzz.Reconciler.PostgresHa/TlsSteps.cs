using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Certificate;

namespace KeyBuzz.Reconciler.PostgresHa;

/// <summary>The order in which TLS is turned on and off without a refused connection: first everything accepts both, then everything uses
/// TLS, then what is without it is refused.</summary>
internal static class TlsSteps
{
    // The lines of kbr's own patroni.yml and pgbouncer.ini that verify the server, so that one without TLS is refused.
    private const string Required =
        $"^ *sslrootcert: '{PatroniFile.Directory}/{TlsSettings.AuthorityFileName}'"
        + $"|^server_tls_ca_file = {PgBouncerFiles.Folder}/{TlsSettings.AuthorityFileName}";

    /// <summary>Shell that refuses to skip a step, run on the host with the new file in <c>$file</c>; empty where nothing can be
    /// skipped. Without TLS it is there too: the key may have been removed while it was required.</summary>
    /// <param name="topology">The cluster.</param>
    /// <param name="name">The name of the file that is replaced.</param>
    /// <param name="offered">What the file has where its service offers TLS.</param>
    public static string Check(PostgresTopology topology, string name, string offered) =>
        topology.Tls switch
        {
            { HopsRequired: true } =>
                $"old=\"$(dirname \"$file\")\"/{name}; [ ! -e \"$old\" ] || grep -qF {Script.Quote(offered)} \"$old\" || "
                    + "{ echo 'TLS is not offered here yet, so it cannot be required: apply tls: offered first' >&2; exit 1; }; "
                    + $"without=$({TlsRead.RenderWithout(topology.Members.Select(member => member.Address), topology.Ports.Postgres)}); "
                    + "[ -z \"$without\" ] || { echo \"PostgreSQL does not offer TLS yet on \"$without': apply tls: offered first' >&2; "
                    + "exit 1; }; ",
            null => $"! grep -qE {Script.Quote(Required)} \"$(dirname \"$file\")\"/{name} 2>/dev/null || "
                + "{ echo 'TLS is required here, so it cannot be turned off at once: apply tls: offered first' >&2; exit 1; }; ",
            _ => "",
        };

    /// <summary>Makes PostgreSQL load its certificate, on the host; nothing where it does not run.</summary>
    /// <param name="dataDirectory">PostgreSQL's data directory.</param>
    public static string ReloadPostgres(string dataDirectory) =>
        $"docker exec {PostgresTopology.PatroniContainer} sh -c "
        + Script.Quote(
            $"pid=$(head -n 1 {Script.Quote(dataDirectory + "/postmaster.pid")} 2>/dev/null) || exit 0; "
                + "kill -HUP \"$pid\" 2>/dev/null || exit 0"
        );
}
