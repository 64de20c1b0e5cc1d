using System.Collections.Immutable;
using System.Globalization;
using System.Net;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.ConfigFile;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.Certificate;

/// <summary>A certificate as declared.</summary>
/// <param name="File">Its file, whose content is made when it is issued.</param>
/// <param name="Subject">Its common name.</param>
/// <param name="Names">The host names and addresses that it is for, sorted, each in its one form.</param>
/// <param name="Validity">How long it is valid.</param>
/// <param name="RenewBefore">How long before its end it is renewed.</param>
internal sealed record CertificateSpec(
    ConfigFileSpec File,
    string Subject,
    ImmutableArray<string> Names,
    TimeSpan Validity,
    TimeSpan RenewBefore
)
{
    /// <summary>The value of the attribute <c>renewal</c> of one that is valid for longer than the renewal window.</summary>
    public const string NotDue = "not due";

    public static CertificateSpec Of(Resource resource)
    {
        var spec = resource.Spec;
        var names = spec.List("names")
            .Select(name => IPAddress.TryParse(name, out var address) ? address.ToString() : name)
            .Distinct(StringComparer.Ordinal)
            .ToArray();
        Array.Sort(names, StringComparer.Ordinal);
        return new CertificateSpec(
            ConfigFileSpec.Of(resource),
            spec.String("subject"),
            [.. names],
            TimeSpan.FromSeconds(spec.Integer("validity") ?? 0),
            TimeSpan.FromSeconds(spec.Integer("renew_before") ?? 0)
        );
    }

    /// <summary>The declared values, which are compared with <see cref="Found"/>.</summary>
    /// <param name="authority">The authority; null where its secret is not known.</param>
    public SortedMap<AttributeValue> Desired(CertificateAuthority? authority) =>
        Attributes(Subject, Names, CertificateAuthority.KeyKind, authority?.Shown ?? "", Validity, NotDue);

    /// <summary>What a file holds.</summary>
    /// <param name="text">Its content.</param>
    /// <param name="authority">The authority; null where its secret is not known.</param>
    /// <param name="now">The time.</param>
    public SortedMap<AttributeValue> Found(string text, CertificateAuthority? authority, DateTimeOffset now)
    {
        if (X509Certificate.Find(text) is not { } certificate)
        {
            return Attributes("(the file has no certificate)", [], "", "", default, NotDue);
        }

        var key = CertificateAuthority.KeyIn(text) switch
        {
            null => $"{certificate.KeyKind}, and the file has no private key",
            var found when !CertificateAuthority.IsKeyOf(found, certificate) => $"{certificate.KeyKind}, of another private key",
            _ => certificate.KeyKind,
        };
        var issuer = CertificateAuthority.Shows(certificate.Issuer, certificate.AuthorityKeyIdentifier);
        if (authority is not null && issuer == authority.Shown && !certificate.IsSignedBy(authority.Certificate))
        {
            issuer += ", with a wrong signature";
        }

        return Attributes(
            certificate.Subject,
            certificate.Names,
            key,
            issuer,
            certificate.NotAfter - certificate.NotBefore,
            Renewal(certificate, now)
        );
    }

    private string Renewal(X509Certificate certificate, DateTimeOffset now) =>
        now >= certificate.NotAfter ? $"expired at {Shown(certificate.NotAfter)}"
        : now < certificate.NotBefore ? $"not valid before {Shown(certificate.NotBefore)}"
        : now >= certificate.NotAfter - RenewBefore ? $"due: it expires at {Shown(certificate.NotAfter)}"
        : NotDue;

    /// <summary>A time as the plan shows it.</summary>
    public static string Shown(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-dd HH:mm:ss 'UTC'", CultureInfo.InvariantCulture);

    private static SortedMap<AttributeValue> Attributes(
        string subject,
        ImmutableArray<string> names,
        string key,
        string issuer,
        TimeSpan validity,
        string renewal
    ) =>
        SortedMap.Of<AttributeValue>(
            ("subject", new(subject)),
            ("names", new(string.Join('\n', names))),
            ("key", new(key)),
            (CertificateProvider.Issuer, new(issuer)),
            ("validity", new(((long)validity.TotalSeconds).ToString(CultureInfo.InvariantCulture))),
            (CertificateProvider.Renewal, new(renewal))
        );
}
