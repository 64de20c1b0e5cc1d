using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Providers.Certificate;

namespace KeyBuzz.Reconciler.Cli.Commands;

/// <summary>The ends of the authorities that sign a cluster's certificates.</summary>
internal static class AuthorityEnds
{
    /// <summary>An error for each authority that has expired, and a warning for each that ends before what it issues now.</summary>
    /// <param name="cluster">The cluster file.</param>
    /// <param name="now">The time.</param>
    public static IEnumerable<Diagnostic> Of(Cluster cluster, DateTimeOffset now) =>
        cluster
            .Resources.Where(resource => resource.Address.Type == CertificateProvider.Type)
            .Select(resource => CertificateProvider.EndOfAuthority(resource, now))
            .OfType<Diagnostic>()
            .DistinctBy(finding => finding.Summary);
}
