using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Providers.Certificate;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.PostgresHa.Sections;

/// <summary>Reads <c>tls</c>: a mode by itself, or a map.</summary>
internal sealed class TlsSection(SectionReader section, BlueprintContext context)
{
    public const string Key = "tls";
    public const string HopsKey = "hops";
    public const string AuthorityKey = "authority";
    public const string TrustKey = "also_trust";
    public const string OffMode = "off";
    public const string OfferedMode = "offered";
    public const string RequiredMode = "required";

    private static readonly TimeSpan s_leastValidity = TimeSpan.FromMinutes(1);

    /// <summary>The settings; null where TLS is off.</summary>
    public TlsSettings? Read()
    {
        if (section.Find(Key) is null)
        {
            return null;
        }

        var own = section.Find(Key) is YamlMapping map
            ? new SectionReader(map, $"'{Key}'", context.Findings).Allow(PostgresSchema.Tls)
            : new SectionReader(new YamlMapping(section.Place(Key), []), $"'{Key}'", context.Findings);
        var mode = section.Find(Key) is YamlMapping ? Mode(own, "mode") : Mode(section, Key);
        var isRequired = mode == RequiredMode;
        var validity = own.Duration("validity", TimeSpan.FromDays(90), s_leastValidity);
        var renewBefore = own.Duration("renew_before", validity / 3, TimeSpan.FromSeconds(1));
        var left = CertificateAuthority.LeftWhenIssued(validity);
        if (renewBefore >= left)
        {
            own.Error(
                "'renew_before' is not shorter than 'validity'",
                own.Place("renew_before"),
                $"a new certificate has {(long)left.TotalSeconds} s left, so each apply would renew every one",
                "give a third of the validity, or leave it out"
            );
        }

        var hops = own.Choice(HopsKey, isRequired, ("preferred", false), ("required", true));
        if (isRequired && !hops)
        {
            own.Error(
                $"'{HopsKey}' cannot be 'preferred' where clients are required to use TLS",
                own.Place(HopsKey),
                "the cluster's own connections would be refused",
                $"remove '{HopsKey}', or write mode: {OfferedMode}"
            );
        }

        if (mode == OffMode)
        {
            context.Findings.Warning(
                "PostgreSQL and PgBouncer have no TLS",
                section.Place(Key),
                "who reads the network between clients and servers reads the data",
                $"write tls: {OfferedMode}"
            );
            return null;
        }

        return WithAuthority(own, new TlsSettings(hops, validity, renewBefore, SecretText.Plain(""), "") { ClientsRequired = isRequired });
    }

    /// <summary>Whether the section needs the authority that kbr makes.</summary>
    public static bool NeedsOwnAuthority(SectionReader section) =>
        section.Find(Key) switch
        {
            YamlScalar { Value: OfferedMode or RequiredMode } => true,
            YamlMapping map => map.Find("mode") is not YamlScalar { Value: OffMode } && map.Find(AuthorityKey) is null,
            _ => false,
        };

    private static string Mode(SectionReader own, string key) =>
        own.Choice(key, OfferedMode, (OffMode, OffMode), (OfferedMode, OfferedMode), (RequiredMode, RequiredMode));

    private TlsSettings WithAuthority(SectionReader own, TlsSettings settings)
    {
        var given = own.Find(AuthorityKey) is not null;
        var at = own.Place(AuthorityKey);
        var text = given ? Given(own) : context.Secrets.Use(PostgresCredentials.TlsAuthority, section.Place(Key), context.Findings);
        if (text is null)
        {
            return settings;
        }

        settings = settings with { Authority = new SecretText([new SecretText.Part(text, true)]) };
        if (CertificateAuthority.Read(text, out var problem) is { } authority)
        {
            var trusted = authority.Chain.Concat(Trusted(own)).Select(certificate => certificate.Pem).Distinct();
            return settings with { AuthorityCertificate = string.Concat(trusted), AuthorityEnd = authority.NotAfter };
        }

        // A stand-in for a secret that is not needed is none, either.
        if (given || context.Secrets.Has(PostgresCredentials.TlsAuthority))
        {
            own.Error(
                given ? $"'{AuthorityKey}' cannot sign certificates" : $"secret {PostgresCredentials.TlsAuthority} is not an authority",
                given ? at : section.Place(Key),
                problem,
                given
                    ? "give the PEM files of an ECDSA authority, the key without a passphrase"
                    : "restore it, or remove its line: kbr init --credentials then makes a new authority"
            );
        }

        return settings;
    }

    // Those of before and of later, while the authority is replaced. The first one signs.
    private List<X509Certificate> Trusted(SectionReader own)
    {
        List<X509Certificate> all = [];
        foreach (var word in own.Words(TrustKey, "a local file"))
        {
            if (Content(own, word) is not { } text)
            {
                continue;
            }

            var found = X509Certificate.FindAll(text);
            if (!found.IsEmpty && found.All(certificate => certificate.IsAuthority))
            {
                all.AddRange(found);
            }
            else
            {
                own.Error(
                    found.IsEmpty
                        ? $"the file '{word.Value}' has no certificate of an authority, or one that cannot be read"
                        : $"the file '{word.Value}' has a certificate that is no authority's",
                    word.At,
                    found.FirstOrDefault(certificate => !certificate.IsAuthority) is { } other ? $"it is that of '{other.Subject}'" : null,
                    "kbr connect --ca prints one"
                );
            }
        }

        return all;
    }

    private string? Given(SectionReader own)
    {
        var files = own.Section(AuthorityKey).Allow(PostgresSchema.TlsAuthority);
        var certificate = LocalFile(files, "certificate");
        var key = LocalFile(files, "key");
        return certificate is null || key is null ? null : certificate + "\n" + key;
    }

    private string? LocalFile(SectionReader files, string name)
    {
        if (files.Word(name, "a local file", required: true) is not { } word)
        {
            return null;
        }

        var path = Path.Combine(context.Directory, word.Value);
        if (name == "key" && PrivateFile.Problem(path) is { } open)
        {
            files.Error($"the file '{word.Value}' {open}", word.At, null, PrivateFile.Remedy(word.Value));
            return null;
        }

        return Content(files, word);
    }

    private string? Content(SectionReader files, YamlScalar word)
    {
        try
        {
            return File.ReadAllText(Path.Combine(context.Directory, word.Value));
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            files.Error($"the file '{word.Value}' cannot be read", word.At, exception.Message);
            return null;
        }
    }
}
