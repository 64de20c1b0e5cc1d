using KeyBuzz.Reconciler.Providers.Certificate;

namespace KeyBuzz.Reconciler.Tests.Cli;

/// <summary>kbr renew as a user or a timer runs it: certificates on a host with a real sshd.</summary>
[TestFixture]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed class RenewTests : LocalCluster
{
    private const int Hour = 3600;

    private static readonly string s_authority = CertificateAuthority.Create("kbr unit", TimeProvider.System.GetUtcNow());

    private string Web => $"{Folder}/host/web.pem";

    private string Mail => $"{Folder}/host/mail.pem";

    [SetUp]
    public void Apply()
    {
        Secrets($"APP_PASS={Password}\nKBR_KEY=canary-of-the-key\n");
        Declare(1, 1);
        Done("apply", "--auto-approve");
    }

    [Test]
    public void Only_what_is_due_is_renewed_and_a_second_run_does_nothing()
    {
        var (web, mail) = (Content(Web), Content(Mail));
        Declare(2, 1, workers: "8");
        Directory.Delete($"{Folder}/host/spare");

        var output = Done("renew");

        Assert.That(output, Does.Contain("certificate.web@db-1").And.Contain("Renewed or loaded: 1 of 2 certificates."));
        Assert.That(Content(Web), Is.Not.EqualTo(web));
        Assert.That(X509Certificate.Find(Content(Web))!.Subject, Is.EqualTo("web"));
        Assert.That(Content(Mail), Is.EqualTo(mail), "not due");
        Assert.That(Content(ConfigFile), Does.Contain("workers = 4"), "an edit of cluster.yaml waits for an apply");
        Assert.That(Directory.Exists($"{Folder}/host/spare"), Is.False, "and so does drift");

        web = Content(Web);
        Assert.That(Done("renew"), Is.EqualTo("None of 2 certificates is due.\n"));
        Assert.That(Document("renew").GetProperty("kind").GetString(), Is.EqualTo("plan"));
        Assert.That(Content(Web), Is.EqualTo(web));
    }

    [Test]
    public void A_certificate_that_differs_otherwise_is_named_and_left()
    {
        var (web, mail) = (Content(Web), Content(Mail));
        Declare(1, 1, mailSubject: "other");

        var output = Done("renew");

        Assert.That(output, Does.Contain("certificate.mail@db-1 differs otherwise, and was left as it is (subject): kbr plan shows it"));
        Assert.That(output, Does.Contain("None of 2 certificates is due."));
        Assert.That((Content(Web), Content(Mail)), Is.EqualTo((web, mail)));
    }

    [Test]
    public void With_all_every_certificate_is_renewed()
    {
        var (web, mail) = (Content(Web), Content(Mail));

        Assert.That(Done("renew", "--all"), Does.Contain("Renewed or loaded: 2 of 2 certificates."));

        Assert.That(Content(Web), Is.Not.EqualTo(web));
        Assert.That(Content(Mail), Is.Not.EqualTo(mail));
        Assert.That(Done("renew"), Is.EqualTo("None of 2 certificates is due.\n"));
    }

    [Test]
    public void A_certificate_of_another_authority_than_this_machine_s_is_not_renewed()
    {
        var (web, mail) = (Content(Web), Content(Mail));
        Secrets("KBR_KEY=canary-of-the-key\n", CertificateAuthority.Create("kbr unit", TimeProvider.System.GetUtcNow()));

        var output = Done("renew");
        Assert.That(
            output,
            Does.Contain("certificate.web@db-1 was issued by another authority than this machine's, and was left as it is")
        );
        Assert.That(output, Does.Contain("give this machine the new one; otherwise run kbr apply"));

        Declare(2, 1);
        var error = Refused("renew");
        Assert.That(error, Does.Contain("certificates of another authority than this machine's were not renewed"));
        Assert.That(error, Does.Contain("certificate.web@db-1: kbr unit (key ").And.Not.Contain("certificate.mail@db-1: "));
        Assert.That(Refused("renew", "--all"), Does.Contain("certificate.mail@db-1: kbr unit (key "));
        Assert.That(Kbr("renew", "--json").Exit, Is.EqualTo(1));
        Assert.That((Content(Web), Content(Mail)), Is.EqualTo((web, mail)));

        Secrets("KBR_KEY=canary-of-the-key\n");
        Assert.That(Done("renew"), Does.Contain("Renewed or loaded: 1 of 2 certificates."));
    }

    [Test]
    public void An_authority_that_has_expired_is_an_error_of_renew_and_validate_and_of_no_other_command()
    {
        var now = TimeProvider.System.GetUtcNow();
        Secrets($"APP_PASS={Password}\nKBR_KEY=canary-of-the-key\n", CertificateAuthority.Create("old", now.AddDays(-3651)));

        Assert.That(Refused("renew"), Does.Contain("the authority old (key ").And.Contain(" expired at ").And.Contain("docs/tls.md"));
        Assert.That(Refused("validate").Split("expired at"), Has.Length.EqualTo(2), "two certificates have one authority");
        Assert.That(Kbr("state", "list").Exit, Is.Zero);

        Secrets($"APP_PASS={Password}\nKBR_KEY=canary-of-the-key\n", CertificateAuthority.Create("old", now.AddDays(-3650).AddMinutes(30)));
        var (exit, _, warning) = Kbr("validate");
        Assert.That(exit, Is.Zero, warning);
        Assert.That(warning.Split("Warning: the authority old (key "), Has.Length.EqualTo(2), warning);
    }

    [Test]
    public void Of_two_authorities_one_that_has_expired_does_not_hold_up_the_certificates_of_the_other()
    {
        var (now, web, mail) = (TimeProvider.System.GetUtcNow(), Content(Web), Content(Mail));
        Secrets($"KBR_KEY=canary-of-the-key\nOLD_AUTHORITY={CertificateAuthority.Create("old", now.AddDays(-3651))}\n");
        Declare(2, 1, mailAuthority: "OLD_AUTHORITY");

        var (exit, output, error) = Kbr("renew");
        Assert.That(exit, Is.EqualTo(1), output);
        Assert.That(output, Does.Contain("Renewed or loaded: 1 of 2 certificates."));
        Assert.That(error, Does.Contain("the authority old (key ").And.Contain(" expired at "));
        Assert.That(Content(Web), Is.Not.EqualTo(web));
        Assert.That(Content(Mail), Is.EqualTo(mail));
    }

    [Test]
    public void Of_the_secrets_it_needs_the_authority_and_the_key_only()
    {
        Secrets("KBR_KEY=canary-of-the-key\n");
        Declare(2, 2);
        var web = Content(Web);

        Assert.That(Done("renew"), Does.Contain("Renewed or loaded: 2 of 2 certificates."));
        Assert.That(Content(Web), Is.Not.EqualTo(web));

        Secrets($"APP_PASS={Password}\n");
        Assert.That(Refused("renew"), Does.Contain("secret KBR_KEY has no value").And.Contain("and no other secret"));
        Write("credentials/postgres.env", "KBR_KEY=canary-of-the-key\n");
        Assert.That(Refused("renew"), Does.Contain("the authority of certificate.web@db-1 cannot sign").And.Contain("and no other secret"));
    }

    [Test]
    public void An_interrupted_renewal_is_finished_by_the_next()
    {
        // Killed at one remote step after another, as by kill -9, until one run comes to its end.
        for (var (step, exit) = (1, -1); exit != 0; step += 2)
        {
            Assert.That(step, Is.LessThan(40), "the steps of a renewal");
            Declare(1 + step, 1 + step);
            var (web, mail) = (Content(Web), Content(Mail));
            exit = Killed(step);

            var (next, output, error) = Kbr("renew");

            Assert.That(next, Is.Zero, $"after step {step}: {output}{error}");
            Assert.That(Content(Web), Is.Not.EqualTo(web), $"after step {step}");
            Assert.That(Content(Mail), Is.Not.EqualTo(mail), $"after step {step}");
            Assert.That(Done("renew"), Is.EqualTo("None of 2 certificates is due.\n"), $"after step {step}");
        }

        Assert.That(Done("plan"), Does.Contain("No changes."));
    }

    [Test]
    public void Without_certificates_there_is_nothing_to_renew()
    {
        WriteCluster();
        Done("apply", "--auto-approve");

        Assert.That(Done("renew"), Is.EqualTo("There are no certificates to renew.\n"));
    }

    private int Killed(int step)
    {
        using var process = new System.Diagnostics.Process();
        process.StartInfo = new(KbrProgram.Path, ["renew"])
        {
            WorkingDirectory = Folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        process.StartInfo.Environment["KBR_KILL"] = $"after:{step}";
        process.Start();
        var error = process.StandardError.ReadToEndAsync();
        process.StandardOutput.ReadToEnd();
        _ = error.Result;
        process.WaitForExit();
        return process.ExitCode;
    }

    private static string Content(string path) => File.ReadAllText(path);

    private void Secrets(string others, string? authority = null) =>
        Write("credentials/postgres.env", $"{others}TLS_AUTHORITY={authority ?? s_authority}\n");

    // Each is valid for so many hours; one that was issued for fewer is due.
    private void Declare(int web, int mail, string workers = "4", string mailSubject = "mail", string mailAuthority = "TLS_AUTHORITY") =>
        WriteCluster(
            workers: workers,
            more: $$"""
              - { type: certificate, name: web, host: db-1, path: FOLDER/web.pem, authority: "${secret.TLS_AUTHORITY}",
                  subject: web, names: [web], validity: {{web * Hour}}, renew_before: {{(web - 1) * Hour + 60}} }
              - { type: certificate, name: mail, host: db-1, path: FOLDER/mail.pem, authority: "${secret.{{mailAuthority}}}",
                  subject: {{mailSubject}}, names: [mail], validity: {{mail * Hour}}, renew_before: {{(mail - 1) * Hour + 60}} }
            """
        );
}
