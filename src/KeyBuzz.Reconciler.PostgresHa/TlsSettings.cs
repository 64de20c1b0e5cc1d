using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.PostgresHa;

/// <summary>How the cluster speaks TLS.</summary>
/// <param name="HopsRequired">Whether the connections between the cluster's own parts are refused without TLS, and verified.</param>
/// <param name="Validity">How long a certificate is valid.</param>
/// <param name="RenewBefore">How long before its end it is renewed.</param>
/// <param name="Authority">The authority with its private key.</param>
/// <param name="AuthorityCertificate">The trusted certificates as PEM, that of the authority first; empty where its secret is not
/// known.</param>
public sealed record TlsSettings(
    bool HopsRequired,
    TimeSpan Validity,
    TimeSpan RenewBefore,
    SecretText Authority,
    string AuthorityCertificate
)
{
    /// <summary>Whether clients without TLS are refused, too.</summary>
    public bool ClientsRequired { get; init; }

    /// <summary>The time until which the authority is trusted; null where its secret is not known.</summary>
    public DateTimeOffset? AuthorityEnd { get; init; }

    /// <summary>The name of the resources of type <c>certificate</c>: that of the service.</summary>
    public const string ResourceType = "certificate";

    /// <summary>The file with certificate and private key, beside the service's configuration.</summary>
    public const string FileName = "server.pem";

    /// <summary>The file with the authority's certificate, beside the service's configuration.</summary>
    public const string AuthorityFileName = "ca.crt";

    /// <summary>The service that the end of the authority is measured under.</summary>
    public const string AuthorityService = "authority";

    /// <summary>The name under which a client keeps the authority's certificate.</summary>
    public static string ClientFileOf(string scope) => $"{scope}-ca.crt";

    /// <summary>The names of a service's certificate: its host's name and address, and all that clients reach it by.</summary>
    /// <param name="topology">The cluster.</param>
    /// <param name="host">The host of the service.</param>
    public static ImmutableArray<string> NamesOf(PostgresTopology topology, Host host)
    {
        ArgumentNullException.ThrowIfNull(topology);
        ArgumentNullException.ThrowIfNull(host);
        // HAProxy passes connections through as they are, so what is behind it is reached by its address.
        return
        [
            .. new[] { host.Name, host.Address }
                .Concat(topology.Entry.Addresses)
                .Concat(topology.Proxies.Select(proxy => proxy.Address))
                .Distinct(),
        ];
    }
}
