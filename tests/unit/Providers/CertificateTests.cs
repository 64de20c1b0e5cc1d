using System.Text;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Certificate;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.Providers;

/// <summary>OpenSSL takes the certificates that kbr issues. Each way in which a file can differ from the declared certificate is a
/// difference of its own.</summary>
[TestFixture]
public sealed class CertificateTests
{
    private static readonly DateTimeOffset Noon = new(2026, 11, 23, 12, 0, 0, TimeSpan.Zero);
    private static readonly string Ours = CertificateAuthority.Create("kbr pg", Noon);
    private static readonly string Theirs = CertificateAuthority.Create("kbr pg", Noon);

    private static readonly string s_user = ProviderBench.Output("id -un");
    private static readonly string s_group = ProviderBench.Output("id -gn");

    private string _directory = null!;
    private Clock _time = null!;
    private CertificateProvider _provider = null!;

    [SetUp]
    public void SetUp()
    {
        _directory = Directory.CreateTempSubdirectory("kbr-certificate-").FullName;
        _time = new Clock { Now = Noon };
        _provider = new CertificateProvider(_time, _directory + "/run");
    }

    [TearDown]
    public void TearDown() => Directory.Delete(_directory, recursive: true);

    private string File => _directory + "/server.pem";

    private Resource Declared(params (string Name, object Value)[] more) =>
        ProviderBench.Resource(
            _provider,
            "patroni",
            [
                ("path", File),
                ("authority", Secret(Ours)),
                ("subject", "db-1"),
                ("names", (IReadOnlyList<string>)["db-1", "10.0.0.1", "2001:db8:0::1"]),
                ("validity", 86400L),
                ("renew_before", 28800L),
                ("owner", s_user),
                ("group", s_group),
                .. more,
            ]
        );

    private static SecretText Secret(string text) => new([new SecretText.Part(text, true)]);

    private string Issued(params (string Name, object Value)[] more)
    {
        var result = ProviderBench.Run(_provider.Render(ResourceOperation.Create, Declared(more)));
        Assert.That(result.ExitCode, Is.Zero, result.Error);
        return System.IO.File.ReadAllText(File);
    }

    private Observation.Present Observed(string content, string mode = "0600", Resource? resource = null) =>
        (Observation.Present)
            _provider.Observe(
                resource ?? Declared(),
                ProviderBench.Snapshot(
                    (new StatRead(File), new FileStat("regular file", 0, 0, s_user, s_group, mode, Noon)),
                    (new FileRead(File), new FileContent(Encoding.UTF8.GetBytes(content)))
                )
            );

    private string[] Differences(string content, string mode = "0600", Resource? resource = null) =>
        [
            .. Observed(content, mode, resource)
                .Attributes.Where(pair => _provider.Desired(resource ?? Declared())[pair.Key].Value != pair.Value.Value)
                .Select(pair => $"{pair.Key}: {pair.Value.Value.Replace('\n', ' ')}"),
        ];

    [Test]
    public void An_issued_certificate_is_as_declared_and_nobody_else_can_read_its_key()
    {
        var text = Issued();

        Assert.That(Differences(text), Is.Empty);
        Assert.That(Observed(text).IsManaged, Is.True);
        Assert.That(ProviderBench.Output($"stat -c %a {File}"), Is.EqualTo("600"));
        Assert.That(Observed(text).Attributes["names"].Value, Is.EqualTo("10.0.0.1\n2001:db8::1\ndb-1"));
    }

    [Test]
    public void OpenSSL_verifies_it_for_its_names_and_for_no_other()
    {
        Issued();
        System.IO.File.WriteAllText(_directory + "/ca.crt", CertificateAuthority.Read(Ours, out _)!.Certificate.Pem);
        var verify =
            $"openssl verify -x509_strict -purpose sslserver -attime {Noon.AddHours(1).ToUnixTimeSeconds()} -CAfile {_directory}/ca.crt";

        Assert.Multiple(() =>
        {
            Assert.That(ProviderBench.Output($"{verify} -verify_hostname db-1 {File}"), Does.EndWith("OK"));
            Assert.That(ProviderBench.Output($"{verify} -verify_ip 10.0.0.1 {File}"), Does.EndWith("OK"));
            Assert.That(ProviderBench.Output($"{verify} -verify_ip 2001:db8::1 {File}"), Does.EndWith("OK"));
            Assert.That(ProviderBench.Shell($"{verify} -verify_ip 10.0.0.2 {File}").ExitCode, Is.Not.Zero);
            Assert.That(
                ProviderBench.Output($"openssl x509 -in {File} -noout -pubkey | sha256sum"),
                Is.EqualTo(ProviderBench.Output($"openssl pkey -in {File} -pubout | sha256sum"))
            );
        });
    }

    [Test]
    public void OpenSSL_s_own_authority_and_certificates_are_read_too()
    {
        ProviderBench.Output(
            $"""
            cd {_directory}
            openssl ecparam -name prime256v1 -genkey -noout -out ca.key
            openssl req -x509 -new -key ca.key -subj '/O=Acme/CN=Acme CA' -days 3650 -out ca.crt
            openssl req -x509 -newkey rsa:2048 -nodes -keyout rsa.key -subj /CN=db-1 -days 30 -out rsa.crt 2>/dev/null
            """
        );
        var pem = System.IO.File.ReadAllText(_directory + "/ca.crt") + System.IO.File.ReadAllText(_directory + "/ca.key");
        var authority = CertificateAuthority.Read(pem, out var problem);

        Assert.That(problem, Is.Empty);
        Assert.That(authority!.Shown, Does.StartWith("Acme CA (key "));
        var resource = Declared(("authority", Secret(pem)));
        var text = Issued(("authority", Secret(pem)));
        Assert.That(Differences(text, resource: resource), Is.Empty);
        Assert.That(ProviderBench.Output($"openssl verify -no_check_time -CAfile {_directory}/ca.crt {File}"), Does.EndWith("OK"));
        var rsa = System.IO.File.ReadAllText(_directory + "/rsa.crt") + System.IO.File.ReadAllText(_directory + "/rsa.key");
        Assert.That(Differences(rsa), Has.Some.StartsWith("key: RSA"));
        Assert.That(CertificateAuthority.Read(rsa, out var why), Is.Null);
        Assert.That(why, Does.Contain("ECDSA"));
    }

    [Test]
    public void A_name_with_a_line_feed_does_not_read_as_two_names()
    {
        var authority = CertificateAuthority.Read(CertificateAuthority.Create("CA", Noon), out _)!;

        var read = X509Certificate.Find(authority.Issue("db\n1", ["db-1\n10.0.0.1"], Noon, TimeSpan.FromDays(1)))!;

        Assert.That(read.Names, Is.EqualTo(new[] { "db-1\uFFFD10.0.0.1" }));
        Assert.That(read.Subject, Is.EqualTo("db\uFFFD1"));
    }

    [Test]
    public void Each_difference_is_named()
    {
        var text = Issued();
        var key = text[text.IndexOf("-----BEGIN PRIVATE", StringComparison.Ordinal)..];
        Assert.Multiple(() =>
        {
            Assert.That(Differences(text, mode: "0644"), Is.EqualTo(new[] { "mode: 0644" }));
            Assert.That(Differences(""), Has.Some.EqualTo("subject: (the file has no certificate)"));
            Assert.That(
                Differences(text.Replace(key, "", StringComparison.Ordinal)),
                Is.EqualTo(new[] { "key: ECDSA P-256, and the file has no private key" })
            );
            Assert.That(Differences(text[..^key.Length] + Other()), Is.EqualTo(new[] { "key: ECDSA P-256, of another private key" }));
            Assert.That(
                Differences(Issued(("names", (IReadOnlyList<string>)["db-2"]), ("subject", "db-2"))),
                Is.EqualTo(new[] { "names: db-2", "subject: db-2" })
            );
            Assert.That(Differences(Issued(("validity", 172_800L))), Is.EqualTo(new[] { "validity: 172800" }));
        });

        string Other() => Issued() is var other ? other[other.IndexOf("-----BEGIN PRIVATE", StringComparison.Ordinal)..] : "";
    }

    [Test]
    public void One_of_an_authority_of_the_same_name_is_foreign()
    {
        var text = Issued(("authority", Secret(Theirs)));

        Assert.That(Differences(text), Is.EqualTo(new[] { "issuer: " + CertificateAuthority.Read(Theirs, out _)!.Shown }));
        Assert.That(Observed(text).IsManaged, Is.False);
    }

    [Test]
    public void One_with_a_wrong_signature_is_named_although_it_says_the_right_issuer()
    {
        var text = Issued();
        var encoded = X509Certificate.Find(text)!.Encoded.ToArray();
        encoded[^1] ^= 1;
        var forged = X509Certificate.Read(encoded)!.Pem + text[text.IndexOf("-----BEGIN PRIVATE", StringComparison.Ordinal)..];

        Assert.That(Differences(forged), Has.Some.Contains("with a wrong signature"));
    }

    // Valid for a day from five minutes before noon, and renewed in its last eight hours.
    [TestCase(15.9, "")]
    [TestCase(15.95, "renewal: due: it expires at 2026-11-24 11:55:00 UTC")]
    [TestCase(24.0, "renewal: expired at 2026-11-24 11:55:00 UTC")]
    [TestCase(-1.0, "renewal: not valid before 2026-11-23 11:55:00 UTC")]
    public void Its_end_is_a_difference_from_the_renewal_window_on(double hours, string expected)
    {
        var text = Issued();
        _time.Now = Noon.AddHours(hours);

        Assert.That(Differences(text), expected.Length == 0 ? Is.Empty : Is.EqualTo(new[] { expected }));
    }

    [Test]
    public void A_renewal_is_another_key_and_loaded_by_the_running_process_without_a_restart()
    {
        var reload = ("reload", (object)$"echo reloaded >>{_directory}/reloads");
        var process = ("loaded_by", (object)"unit:dbus.service");
        var first = Issued();
        _time.Now = Noon.AddHours(20);
        var script = _provider.Render(ResourceOperation.Update, Declared(reload, process), changed: "renewal");
        var fake = "systemctl() { case \"$3\" in *) echo active ;; esac; }\n";
        var result = ProviderBench.Run(new Script(fake + script.Text));

        Assert.That(result.ExitCode, Is.Zero, result.Error);
        var second = System.IO.File.ReadAllText(File);
        Assert.That(Differences(second), Is.Empty);
        Assert.That(X509Certificate.Find(second)!.PublicKey.Span.SequenceEqual(X509Certificate.Find(first)!.PublicKey.Span), Is.False);
        Assert.That(System.IO.File.ReadAllText(_directory + "/reloads"), Is.EqualTo("reloaded\n"));
    }

    [Test]
    public void What_is_only_not_loaded_yet_is_loaded_and_not_issued_anew()
    {
        var text = Issued();
        var script = _provider.Render(
            ResourceOperation.Update,
            Declared(("reload", "true"), ("loaded_by", "container:none")),
            changed: "loaded"
        );

        Assert.That(ProviderBench.Run(script).ExitCode, Is.Zero);
        Assert.That(System.IO.File.ReadAllText(File), Is.EqualTo(text));
    }

    [Test]
    public void Without_the_secret_of_the_authority_all_but_the_signature_is_compared()
    {
        var text = Issued();
        var resource = Declared(("authority", Secret("no-value-known")));

        Assert.That(Differences(text, resource: resource), Has.Length.EqualTo(1).And.Some.StartsWith("issuer: kbr pg (key "));
        Assert.That(
            Assert.Throws<ChangeFailedException>(() => _provider.Render(ResourceOperation.Create, resource))!.Message,
            Does.Contain("kbr validate")
        );
    }

    [Test]
    public void No_attribute_shows_a_key()
    {
        var text = Issued();
        var shown = string.Concat(Observed(text).Attributes.Concat(_provider.Desired(Declared())).Select(pair => pair.Value.Value));

        Assert.That(shown, Does.Not.Contain("PRIVATE KEY-----").And.Not.Contains(Ours[..40]));
    }

    [TestCase("mode", "0644", "lets everyone on the host use a private key")]
    [TestCase("renew_before", 86400L, "not shorter than validity")]
    [TestCase("renew_before", 86100L, "not shorter than validity")]
    [TestCase("validity", 4_000_000_000L, "at most 3155760000 seconds")]
    [TestCase("validity", long.MaxValue, "at most 3155760000 seconds")]
    [TestCase("subject", "", "1 to 64 letters")]
    [TestCase("loaded_by", "container:app", "go together")]
    public void A_wrong_declaration_is_refused(string name, object value, string expected) =>
        Assert.That(_provider.Validate(Declared((name, value))).Select(finding => finding.Summary), Has.One.Contains(expected));

    [Test]
    public void One_that_is_renewed_as_early_as_it_may_is_not_due_when_it_is_issued()
    {
        var resource = Declared(("renew_before", 86099L));

        Assert.That(_provider.Validate(resource), Is.Empty);
        Assert.That(Differences(Issued(("renew_before", 86099L)), resource: resource), Is.Empty);
    }

    [TestCase(0, null)]
    [TestCase(3648, null)]
    [TestCase(3649.5, "Warning: the authority {0} ends at 2036-11-20 11:55:00 UTC")]
    [TestCase(3650, "Error: the authority {0} expired at 2036-11-20 11:55:00 UTC")]
    public void An_authority_issues_nothing_after_its_end_and_has_a_warning_shortly_before(double days, string? expected)
    {
        _time.Now = Noon.AddDays(days);
        var finding = CertificateProvider.EndOfAuthority(Declared(), _time.Now);

        Assert.That(
            finding is null ? null : $"{finding.Severity}: {finding.Summary}",
            Is.EqualTo(expected?.Replace("{0}", CertificateAuthority.Read(Ours, out _)!.Shown, StringComparison.Ordinal))
        );
        if (expected?.StartsWith("Error", StringComparison.Ordinal) == true)
        {
            var refused = Assert.Throws<ChangeFailedException>(() => _provider.Render(ResourceOperation.Create, Declared()))!.Message;
            Assert.That(refused, Does.Contain("expired at 2036-11-20 11:55:00 UTC").And.Contain("docs/tls.md"));
        }
        else
        {
            Assert.DoesNotThrow(() => _provider.Render(ResourceOperation.Create, Declared()));
        }

        Assert.That(CertificateProvider.EndOfAuthority(Declared(("authority", Secret("no-value-known"))), _time.Now), Is.Null);
    }

    [Test]
    public void Every_certificate_of_a_PEM_file_is_read_or_none()
    {
        var (one, two) = (
            CertificateAuthority.Read(Ours, out _)!.Certificate.Pem,
            CertificateAuthority.Read(Theirs, out _)!.Certificate.Pem
        );

        Assert.That(X509Certificate.FindAll($"a comment\n{one}{two}{one}").Select(found => found.Pem), Is.EqualTo(new[] { one, two }));
        Assert.That(X509Certificate.FindAll(one + two.Replace("MII", "M!I", StringComparison.Ordinal)), Is.Empty);
        Assert.That(X509Certificate.FindAll(one + two.Replace("MII", "MIJ", StringComparison.Ordinal)), Is.Empty);
        Assert.That(X509Certificate.FindAll("nothing"), Is.Empty);
    }

    [Test]
    public void A_name_that_no_client_can_connect_to_is_refused() =>
        Assert.That(
            _provider
                .Validate(Declared(("names", (IReadOnlyList<string>)["db 1", "-a", "a..b", "db-1.example.com", "::1"])))
                .Select(finding => finding.Summary),
            Is.EqualTo(new[] { "db 1", "-a", "a..b" }.Select(name => $"'{name}' is neither a host name nor an address"))
        );

    [TestCase("")]
    [TestCase("bm90IGFuIGF1dGhvcml0eQ==")]
    [TestCase("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")]
    public void What_is_no_authority_is_refused_without_showing_it(string text)
    {
        Assert.That(CertificateAuthority.Read(text, out var problem), Is.Null);
        Assert.That(problem, Is.Not.Empty);
        Assert.That(text.Length == 0 || !problem.Contains(text, StringComparison.Ordinal), Is.True);
    }

    // A damaged file is a difference, and no exception.
    [Test]
    public void Damaged_certificates_are_read_without_an_exception()
    {
        var encoded = X509Certificate.Find(Issued())!.Encoded.ToArray();
        for (var place = 0; place < encoded.Length; place++)
        {
            var damaged = encoded.ToArray();
            damaged[place] ^= (byte)(1 << (place % 8));
            Assert.DoesNotThrow(() =>
            {
                if (X509Certificate.Read(damaged) is { } read)
                {
                    Differences(read.Pem);
                }
            });
            Assert.DoesNotThrow(() => X509Certificate.Read(encoded[..place]));
        }
    }

    private sealed class Clock : TimeProvider
    {
        public DateTimeOffset Now { get; set; }

        public override DateTimeOffset GetUtcNow() => Now;
    }
}
