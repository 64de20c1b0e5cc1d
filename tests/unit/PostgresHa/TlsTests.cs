using System.Text;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.PostgresHa.Monitoring;
using KeyBuzz.Reconciler.PostgresHa.Status;
using KeyBuzz.Reconciler.Providers;
using KeyBuzz.Reconciler.Providers.Certificate;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Tests.Providers;

namespace KeyBuzz.Reconciler.Tests.PostgresHa;

/// <summary><c>tls</c> of a postgres section: certificates and settings of its services, in an order that refuses nobody.</summary>
internal sealed class TlsTests : BlueprintFixture
{
    private string Content(string yaml, string address) => Find(yaml, address).Spec.Text("content")!.Reveal();

    [Test]
    public void A_file_without_the_key_and_one_that_says_off_have_the_same_resources()
    {
        var without = Load(Minimal).Resources.ToDictionary(resource => resource.Address, Shown);
        var off = Load(With("tls: off")).Resources.ToDictionary(resource => resource.Address, Shown);

        Assert.That(off, Is.EqualTo(without));
        Assert.That(string.Concat(without.Values), Does.Not.Contain("tls").And.Not.Contain("ssl"));

        static string Shown(Resource resource) =>
            string.Join(
                '\n',
                resource
                    .Spec.Names.Where(name => name != "validate")
                    .Select(name => $"{name}: {AttributeValue.Of(resource.Spec[name]!).Value}")
            );
    }

    [Test]
    public void PostgreSQL_and_PgBouncer_offer_TLS_with_a_certificate_beside_their_configuration()
    {
        var yaml = With("tls: offered");
        var patroni = Content(yaml, "config_file.patroni@db-slave-01");
        var pgbouncer = Content(yaml, "config_file.pgbouncer@haproxy-01");
        var certificate = Find(yaml, "certificate.patroni@db-slave-01").Spec;

        Assert.Multiple(() =>
        {
            Assert.That(
                patroni,
                Does.Contain("    ssl: 'on'\n    ssl_cert_file: '/etc/patroni/server.pem'\n    ssl_key_file: '/etc/patroni/server.pem'\n")
            );
            Assert.That(patroni, Does.Contain("ssl_min_protocol_version: 'TLSv1.2'").And.Not.Contain("hostssl").And.Not.Contain("sslmode"));
            Assert.That(pgbouncer, Does.Contain("\nclient_tls_sslmode = prefer\nclient_tls_cert_file = /etc/pgbouncer/server.pem\n"));
            Assert.That(pgbouncer, Does.Not.Contain("server_tls"));
            Assert.That(certificate.String("path"), Is.EqualTo("/opt/keybuzz/patroni/server.pem"));
            Assert.That(
                certificate.List("names"),
                Is.EqualTo(new[] { "db-slave-01", "10.0.0.121", "10.0.0.10", "10.0.0.11", "10.0.0.12", "localhost", "127.0.0.1" })
            );
            Assert.That(
                Content(yaml, "config_file.pgbouncer-authority@haproxy-01"),
                Is.EqualTo(CertificateAuthority.Read(Authority, out _)!.Certificate.Pem)
            );
        });
    }

    [Test]
    public void A_service_gets_its_certificate_before_the_file_that_names_it()
    {
        var graph = Load(With("tls: offered")).Graph;

        Assert.That(
            graph.WithRequirements([new Address("config_file", "patroni", "db-slave-01")]),
            Does.Contain(new Address("certificate", "patroni", "db-slave-01"))
        );
        Assert.That(
            graph.WithRequirements([new Address("config_file", "pgbouncer", "haproxy-01")]),
            Does.Contain(new Address("certificate", "pgbouncer", "haproxy-01"))
        );
    }

    [Test]
    public void TLS_is_turned_on_without_another_container()
    {
        Assert.That(Containers(With("tls: { hops: required }")), Is.EqualTo(Containers(Minimal)));

        string[] Containers(string yaml) =>
            [
                .. Load(yaml)
                    .Resources.Where(resource => resource.Address.Type is "container" or "systemd_unit")
                    .SelectMany(resource =>
                        resource.Spec.Names.Select(name => $"{resource.Address} {name} {AttributeValue.Of(resource.Spec[name]!).Value}")
                    ),
            ];
    }

    [Test]
    public void Required_hops_are_verified_by_the_client_and_refused_without_TLS_by_the_server()
    {
        var yaml = With("tls: { mode: offered, hops: required }");
        var patroni = Content(yaml, "config_file.patroni@db-slave-01");
        var pgbouncer = Content(yaml, "config_file.pgbouncer@haproxy-01");

        Assert.Multiple(() =>
        {
            Assert.That(patroni.Split("      sslmode: verify-full\n      sslrootcert: '/etc/patroni/ca.crt'\n"), Has.Length.EqualTo(3));
            Assert.That(patroni, Does.Contain("- 'hostssl replication kb_repl 10.0.0.120/32 scram-sha-256'"));
            Assert.That(patroni, Does.Contain("- 'hostssl all kb_admin 10.0.0.120/32 scram-sha-256'"));
            Assert.That(patroni, Does.Contain("- 'host all all 10.0.0.11/32 scram-sha-256'"), "clients may still choose");
            Assert.That(patroni, Does.Not.Contain("hostnossl"));
            Assert.That(pgbouncer, Does.Contain("\nserver_tls_sslmode = verify-full\nserver_tls_ca_file = /etc/pgbouncer/ca.crt\n"));
        });
    }

    [TestCase("{ hops: required }", "10.9.0.0/16, 10.0.0.120/30", "10.0.0.120 10.0.0.121 10.0.0.122")]
    [TestCase("{ hops: required }", "10.9.0.0/16, 10.0.0.122/32, 2001:db8::/32", "10.0.0.122")]
    [TestCase("{ hops: required }", "10.9.0.0/16", "")]
    [TestCase("offered", "10.0.0.0/16", "")]
    [TestCase("required", "10.0.0.0/16", "")]
    public void Required_hops_are_not_left_open_by_a_network_that_members_are_in(string tls, string networks, string refused)
    {
        var rules = Content(With($"tls: {tls}", $"networks: [{networks}]"), "config_file.patroni@db-slave-01")
            .Split('\n')
            .Where(line => line.StartsWith("    - 'host", StringComparison.Ordinal))
            .Select(line => line.Trim(' ', '-', '\''))
            .ToList();
        string[] expected =
        [
            .. refused.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(one => $"hostnossl all all {one}/32 reject"),
        ];

        Assert.That(rules.Where(rule => rule.StartsWith("hostnossl", StringComparison.Ordinal)), Is.EqualTo(expected));
        if (expected.Length > 0)
        {
            var first = rules.FindIndex(rule => rule.StartsWith("host all all ", StringComparison.Ordinal) && !rule.Contains("127.0.0.1"));
            Assert.That(rules.IndexOf(expected[^1]), Is.LessThan(first), "the first line that fits decides");
        }
    }

    [TestCase("required")]
    [TestCase("{ mode: required }")]
    public void Required_clients_are_refused_without_TLS_by_both_servers_and_kbr_logs_in_with_it(string tls)
    {
        var yaml = With($"tls: {tls}", "networks: [10.9.0.0/16]");
        var patroni = Content(yaml, "config_file.patroni@db-slave-01");
        var pgbouncer = Content(yaml, "config_file.pgbouncer@haproxy-01");

        Assert.Multiple(() =>
        {
            Assert.That(patroni, Does.Contain("- 'hostssl all all 10.0.0.11/32 scram-sha-256'"));
            Assert.That(patroni, Does.Contain("- 'hostssl all all 10.9.0.0/16 scram-sha-256'"));
            Assert.That(
                patroni.Split('\n').Where(line => line.Contains("- 'host ", StringComparison.Ordinal)),
                Has.All.Matches<string>(line =>
                    line!.Contains(" 127.0.0.1/32 ", StringComparison.Ordinal) || line.Contains(" reject", StringComparison.Ordinal)
                ),
                "without TLS only on loopback, where kbr and the exporter log in"
            );
            Assert.That(patroni.Split("      sslmode: verify-full\n"), Has.Length.EqualTo(3), "the hops are required, too");
            Assert.That(pgbouncer, Does.Contain("\nclient_tls_sslmode = require\nclient_tls_cert_file = /etc/pgbouncer/server.pem\n"));
            Assert.That(
                pgbouncer,
                Does.Contain("\n; Clients without TLS are refused at their next login;"),
                "the plan of the change says so"
            );
            Assert.That(pgbouncer, Does.Contain("\nserver_tls_sslmode = verify-full\n"));
        });
        var policy = Load(yaml).Policies.Single(one => one.Spec.Has("pgbouncer_port")).Spec;
        Assert.That((policy.String("authority_file"), policy.Boolean("requires_tls")), Is.EqualTo(("/etc/pgbouncer/ca.crt", true)));
        policy = Load(With("tls: offered")).Policies.Single(one => one.Spec.Has("pgbouncer_port")).Spec;
        Assert.That((policy.String("authority_file"), policy.Boolean("requires_tls")), Is.EqualTo(("/etc/pgbouncer/ca.crt", false)));
        Assert.That(Load(Minimal).Policies.Single(one => one.Spec.Has("pgbouncer_port")).Spec.Has("authority_file"), Is.False);
    }

    [Test]
    public void Each_mode_says_what_it_leaves_open()
    {
        Assert.That(Open("tls: offered"), Has.One.Contains("(tls: { hops: required } verifies it)"));
        Assert.That(Open("tls: { hops: required }"), Has.One.Contains("(tls: required refuses them)"));
        Assert.That(Open("tls: required"), Has.None.Contains("tls"));

        string[] Open(string tls) => [.. OpenAccess.Of(Topology(With(tls)))];
    }

    [TestCase("tls: required", "", false)]
    [TestCase("tls: required", "  parameters:\n    ssl: 'on'\n", true)]
    [TestCase("tls: required", null, true)]
    [TestCase("tls: offered", "      sslrootcert: '/etc/patroni/ca.crt'\n  - 'hostssl all all 10.0.0.11/32 scram-sha-256'\n", true)]
    [TestCase("tls: { hops: required }", "", false)]
    [TestCase("tls: { hops: required }", "  parameters:\n    ssl: 'on'\n", true)]
    [TestCase("tls: { hops: required }", null, true)]
    [TestCase("tls: off", "      sslrootcert: '/etc/patroni/ca.crt'\n", false)]
    [TestCase("", "      sslrootcert: '/etc/patroni/ca.crt'\n", false)]
    [TestCase("tls: off", "    ssl: 'on'\n  - 'hostssl all all 10.0.0.9/32 scram-sha-256'\n", true)]
    [TestCase("", null, true)]
    [TestCase("tls: off", null, true)]
    [TestCase("tls: offered", "", true)]
    public void No_step_is_skipped(string tls, string? old, bool allowed)
    {
        // Its last part, the check of the image, needs Docker.
        var check = Find(With(tls), "config_file.patroni@db-slave-01").Spec.String("validate");
        var ours = check[..check.IndexOf("docker run", StringComparison.Ordinal)];
        if (old is not null)
        {
            System.IO.File.WriteAllText(Path.Combine(Folder, "patroni.yml"), old);
        }

        var result = ProviderBench.Shell($"file={Folder}/.kbr.patroni.yml.123456; {ours} exit 0");
        Assert.That(result.ExitCode == 0, Is.EqualTo(allowed), result.Error);
        Assert.That(allowed || result.Error.Contains("apply tls: offered first", StringComparison.Ordinal), Is.True, result.Error);
    }

    [TestCase("server_tls_ca_file = /etc/pgbouncer/ca.crt\n", false)]
    [TestCase("server_tls_sslmode = verify-full\nserver_tls_ca_file = /etc/ssl/own.crt\n", true)]
    public void PgBouncer_s_key_is_not_removed_while_it_verifies_servers(string old, bool allowed)
    {
        var check = Find(Minimal, "config_file.pgbouncer@haproxy-01").Spec.String("validate");
        var ours = check[..check.IndexOf("docker run", StringComparison.Ordinal)];
        System.IO.File.WriteAllText(Path.Combine(Folder, "pgbouncer.ini"), old);

        var result = ProviderBench.Shell($"file={Folder}/.kbr.pgbouncer.ini.123456; {ours} exit 0");

        Assert.That(result.ExitCode == 0, Is.EqualTo(allowed), result.Error);
    }

    [Test]
    public void A_file_that_says_off_has_a_warning_and_one_without_the_key_has_none()
    {
        Assert.That(Load(With("tls: off")).Warnings.Select(one => one.Summary), Has.One.EqualTo("PostgreSQL and PgBouncer have no TLS"));
        Assert.That(Load(Minimal).Warnings.Select(one => one.Summary), Has.None.Contains("TLS"));
        Assert.That(Load(With("tls: offered")).Warnings.Select(one => one.Summary), Has.None.Contains("TLS"));
    }

    [Test]
    public void What_kbr_sets_is_refused_beside_tls_and_taken_without()
    {
        const string Parameters = "parameters: { SSL: on, ssl_ciphers: HIGH }";
        Assert.That(Errors(With("tls: offered", Parameters)), Has.Length.EqualTo(2).And.All.Contains("kbr sets TLS"));
        Assert.DoesNotThrow(() => Load(With(Parameters)));
        Assert.That(
            OnlyError(
                With("tls: offered")
                    .Replace(
                        "max_db_connections: 40",
                        "max_db_connections: 40, settings: { client_tls_sslmode: allow }",
                        StringComparison.Ordinal
                    )
            ),
            Does.Contain("'client_tls_sslmode' is not set in pgbouncer.settings")
        );
    }

    // db-master-01 leads; each host has the certificate that its resource issues now, but for the one that is damaged.
    [TestCase(
        "offered",
        1,
        "",
        StatusVerdict.Ok,
        "UTC (patroni on db-master-01); 1 of 2 replicas stream with TLS; RAFT and Patroni's REST API"
    )]
    [TestCase("{ hops: required }", 1, "", StatusVerdict.NotOk, "1 replicas stream without TLS; first expiry ")]
    [TestCase("{ hops: required }", 2, "", StatusVerdict.Ok, "2 of 2 replicas stream with TLS")]
    [TestCase("offered", 2, "haproxy-02", StatusVerdict.NotOk, "pgbouncer on haproxy-02 has no certificate")]
    [TestCase("offered", 2, "another", StatusVerdict.NotOk, "patroni on db-master-01 serves another certificate than its file: kbr apply")]
    [TestCase("offered", 2, "none", StatusVerdict.NotOk, "patroni on db-master-01 serves no TLS; first expiry ")]
    [TestCase("{ validity: 1h }", 2, "expired", StatusVerdict.NotOk, "the certificate of patroni on db-master-01 has expired: kbr apply")]
    [TestCase("offered", 2, "authority", StatusVerdict.NotOk, "the authority has expired, and who verifies it refuses every server")]
    public void Status_says_the_first_expiry_and_what_is_without_TLS(
        string tls,
        int encrypted,
        string damaged,
        StatusVerdict verdict,
        string said
    )
    {
        const string Nonce = "0123456789abcdef0123456789abcdef";
        Environment["TLS_AUTHORITY"] = damaged == "authority" ? Expired : Authority;
        var cluster = Load(With($"tls: {tls}"));
        var topology = cluster.Model<PostgresTopology>()!;
        var reads = new StatusReads(topology, Find(cluster, "patroni_config.keybuzz-pg@keybuzz-pg"));
        var now = TimeProvider.System.GetUtcNow();
        var authority = CertificateAuthority.Read(Environment["TLS_AUTHORITY"], out _)!;
        var hosts = topology
            .Members.Concat(topology.Proxies)
            .ToDictionary(
                host => host.Name,
                host =>
                {
                    var nothing = ReadList.Probe.Parse([.. reads.For(host)], Nonce, Encoding.UTF8.GetBytes($"\n{Nonce} end 0\n"));
                    var text =
                        host.Name == damaged
                            ? "nothing"
                            : authority.Issue(
                                host.Name,
                                [host.Name],
                                now,
                                host.Name == "db-master-01" ? topology.Tls!.Validity / 2 : topology.Tls!.Validity
                            );
                    var answers = new List<(Read, object?)> { (reads.Certificate(host), new FileContent(Encoding.UTF8.GetBytes(text))) };
                    if (host == topology.Members[0])
                    {
                        answers.Add((reads.EncryptedStreams, new SqlAnswer($"[{{\"streams\": 2, \"encrypted\": {encrypted}}}]", "")));
                        var other = X509Certificate.Find(authority.Issue("other", ["other"], now, topology.Tls!.Validity))!.Encoded;
                        answers.Add(
                            (
                                reads.Served(host),
                                damaged switch
                                {
                                    "another" => new ServedTls("TLSv1.2", "", other),
                                    "none" => ServedTls.Without,
                                    _ => new ServedTls("TLSv1.2", "", X509Certificate.Find(text)!.Encoded),
                                }
                            )
                        );
                        answers.Add((new ClockRead(), new ClockState(true, "chrony", damaged == "expired" ? now.AddMinutes(40) : now)));
                    }

                    return ((Snapshot?)nothing.With(ProviderBench.Snapshot([.. answers])), (string?)null);
                }
            );

        var status = new StatusJudgement(topology, reads, hosts, []).Judge();
        var item = status.Items.Single(line => line.Name == "tls");

        Assert.That(item.Verdict, Is.EqualTo(verdict), item.Measured);
        Assert.That(item.Measured, Does.Contain(said));
        Assert.That(
            status
                .Measures.Where(measure =>
                    measure.Name == "certificate_end_timestamp_seconds" && measure.Labels.Contains(("service", "authority"))
                )
                .Select(measure => measure.Value),
            Is.EqualTo(new[] { authority.NotAfter.ToUnixTimeSeconds() })
        );
    }

    // A day ago, after ten years.
    private static string Expired => CertificateAuthority.Create("kbr keybuzz-pg", TimeProvider.System.GetUtcNow().AddDays(-3651));

    [Test]
    public void A_port_whose_authority_has_expired_is_named()
    {
        Environment["TLS_AUTHORITY"] = Expired;
        var now = TimeProvider.System.GetUtcNow();
        var settings = Topology(With("tls: offered")).Tls!;
        var issued = CertificateAuthority.Read(Expired, out _)!.Issue("db-1", ["10.0.0.120"], now, TimeSpan.FromDays(1));
        var port = new TlsPort("lb", "PostgreSQL", "10.0.0.120", 5432, ServedTls.None, X509Certificate.Find(issued), null);

        Assert.That(port.Problem(settings, now), Is.EqualTo("of an authority that has expired"));
    }

    [Test]
    public void Alerts_watch_the_certificates_and_the_authority_by_one_measure()
    {
        var rules = AlertRules.Of(Topology(With("tls: offered"))).SelectMany(group => group.Rules).ToList();

        Assert.That(
            rules.Single(rule => rule.Name == "KbrCertificateExpires").Expression,
            Is.EqualTo("kbr_status_certificate_end_timestamp_seconds{scope=\"keybuzz-pg\",service!=\"authority\"} - time() < 1296000")
        );
        Assert.That(
            rules.Single(rule => rule.Name == "KbrAuthorityExpires").Expression,
            Is.EqualTo("kbr_status_certificate_end_timestamp_seconds{scope=\"keybuzz-pg\",service=\"authority\"} - time() < 7776000")
        );
    }

    [TestCase("tls: requird", "'tls' cannot be 'requird'")]
    [TestCase("tls: { mode: required, hops: preferred }", "'hops' cannot be 'preferred' where clients are required to use TLS")]
    [TestCase("tls: { mode: on }", "'mode' cannot be 'on'")]
    [TestCase("tls: { validity: 10s }", "'validity' must be a time")]
    [TestCase("tls: { validity: 1h, renew_before: 1h }", "'renew_before' is not shorter than 'validity'")]
    [TestCase("tls: { validity: 1h, renew_before: 55m }", "a new certificate has 3300 s left, so each apply would renew every one")]
    [TestCase("tls: { validity: 10m, renew_before: 9m }", "a new certificate has 540 s left")]
    [TestCase("tls: { authority: { certificate: no.crt, key: no.key } }", "the file 'no.crt' cannot be read")]
    [TestCase("tls: { mod: off }", "'mod'")]
    public void A_wrong_section_is_refused(string line, string expected) => Assert.That(Errors(With(line)), Has.Some.Contains(expected));

    [Test]
    public void A_certificate_is_not_due_when_it_is_issued() =>
        Assert.DoesNotThrow(() =>
        {
            Load(With("tls: { validity: 1h, renew_before: 3299s }"));
            Load(With("tls: { validity: 10m, renew_before: 539s }"));
        });

    [Test]
    public void A_missing_or_damaged_authority_is_an_error_with_its_remedy()
    {
        Environment["TLS_AUTHORITY"] = "canary-of-no-authority";
        Assert.That(
            OnlyError(With("tls: offered")),
            Does.Contain("is not an authority").And.Contain("kbr init --credentials").And.Not.Contain("canary-of")
        );
        Environment.Remove("TLS_AUTHORITY");
        Assert.That(OnlyError(With("tls: offered")), Does.Contain("TLS_AUTHORITY has no value"));
        Assert.DoesNotThrow(() => Load(With("tls: off")));
    }

    [Test]
    public void While_an_authority_is_replaced_both_are_trusted_and_the_first_one_signs()
    {
        var next = CertificateAuthority.Read(CertificateAuthority.Create("next", TimeProvider.System.GetUtcNow()), out _)!.Certificate.Pem;
        System.IO.File.WriteAllText(Path.Combine(Folder, "next.crt"), next);
        System.IO.File.WriteAllText(Path.Combine(Folder, "none.crt"), "nothing");
        var yaml = With("tls: { also_trust: [next.crt] }");
        var own = CertificateAuthority.Read(Authority, out _)!.Certificate.Pem;

        Assert.That(Content(yaml, "config_file.patroni-authority@db-slave-01"), Is.EqualTo(own + next));
        Assert.That(Content(yaml, "config_file.pgbouncer-authority@haproxy-01"), Is.EqualTo(own + next));
        Assert.That(Find(yaml, "certificate.patroni@db-slave-01").Spec.Text("authority")!.Reveal(), Is.EqualTo(Authority));
        Assert.That(OnlyError(With("tls: { also_trust: none.crt }")), Does.Contain("has no certificate of an authority"));
    }

    [Test]
    public void Every_authority_of_a_file_is_trusted_and_a_file_with_another_certificate_is_refused()
    {
        var (next, last) = (Other("next"), Other("last"));
        var leaf = CertificateAuthority
            .Read(Authority, out _)!
            .Issue("db-1", ["db-1"], TimeProvider.System.GetUtcNow(), TimeSpan.FromDays(1));
        System.IO.File.WriteAllText(Path.Combine(Folder, "both.crt"), next + last);
        System.IO.File.WriteAllText(Path.Combine(Folder, "leaf.crt"), next + leaf);
        System.IO.File.WriteAllText(Path.Combine(Folder, "damaged.crt"), next + last.Replace("MII", "MIJ", StringComparison.Ordinal));
        var own = CertificateAuthority.Read(Authority, out _)!.Certificate.Pem;

        Assert.That(Topology(With("tls: { also_trust: both.crt }")).Tls!.AuthorityCertificate, Is.EqualTo(own + next + last));
        Assert.That(OnlyError(With("tls: { also_trust: leaf.crt }")), Does.Contain("is no authority's [it is that of 'db-1']"));
        Assert.That(OnlyError(With("tls: { also_trust: damaged.crt }")), Does.Contain("or one that cannot be read"));

        static string Other(string name) =>
            CertificateAuthority.Read(CertificateAuthority.Create(name, TimeProvider.System.GetUtcNow()), out _)!.Certificate.Pem;
    }

    [Test]
    public void The_authorities_behind_an_authority_of_files_are_trusted_and_the_first_one_signs()
    {
        ProviderBench.Output(
            $"""
            cd {Folder}
            openssl ecparam -name prime256v1 -genkey -noout -out root.key
            openssl req -x509 -new -key root.key -subj '/CN=Acme root' -days 20 -out root.crt
            openssl ecparam -name prime256v1 -genkey -noout -out ca.key
            openssl req -new -key ca.key -subj '/CN=Acme CA' -out ca.csr
            printf 'basicConstraints=critical,CA:TRUE\nsubjectKeyIdentifier=hash\n' >ca.ext
            openssl x509 -req -in ca.csr -CA root.crt -CAkey root.key -set_serial 7 -days 30 -extfile ca.ext -out ca.crt 2>/dev/null
            cat ca.crt root.crt >chain.pem
            cat root.crt ca.crt >reversed.pem
            openssl req -x509 -newkey rsa:2048 -nodes -keyout rsa.key -subj '/CN=RSA root' -days 10 -out rsa.crt 2>/dev/null
            openssl x509 -req -in ca.csr -CA rsa.crt -CAkey rsa.key -set_serial 8 -days 30 -extfile ca.ext -out by-rsa.crt 2>/dev/null
            openssl req -x509 -newkey rsa:2048 -nodes -keyout other.key -subj '/CN=Other root' -days 1 -out other.crt 2>/dev/null
            cat by-rsa.crt other.crt rsa.crt >rsa.pem
            chmod 0600 ca.key
            """
        );
        Environment.Remove("TLS_AUTHORITY");
        var cluster = Load(With("tls: { authority: { certificate: chain.pem, key: ca.key } }"));
        var tls = cluster.Model<PostgresTopology>()!.Tls!;
        var issued = CertificateAuthority.Read(tls.Authority.Reveal(), out _)!;

        Assert.That(
            X509Certificate.FindAll(tls.AuthorityCertificate).Select(one => one.Subject),
            Is.EqualTo(new[] { "Acme CA", "Acme root" })
        );
        Assert.That(tls.AuthorityEnd, Is.EqualTo(X509Certificate.FindAll(tls.AuthorityCertificate)[1].NotAfter), "the root ends first");
        Assert.That(
            Topology(With("tls: { authority: { certificate: rsa.pem, key: ca.key } }")).Tls!.AuthorityEnd,
            Is.EqualTo(X509Certificate.Find(System.IO.File.ReadAllText(Path.Combine(Folder, "rsa.crt")))!.NotAfter),
            "its root ends first, and another one that ends before it does not count"
        );
        System.IO.File.WriteAllText(
            Path.Combine(Folder, "server.pem"),
            issued.Issue("db-1", ["db-1"], TimeProvider.System.GetUtcNow(), TimeSpan.FromDays(1))
        );
        System.IO.File.WriteAllText(Path.Combine(Folder, "trusted.crt"), tls.AuthorityCertificate);
        Assert.That(ProviderBench.Output($"openssl verify -CAfile {Folder}/trusted.crt {Folder}/server.pem"), Does.EndWith("OK"));
        Assert.That(
            OnlyError(With("tls: { authority: { certificate: reversed.pem, key: ca.key } }")),
            Does.Contain("its key is not the ECDSA key of its first certificate")
        );
    }

    [Test]
    public void An_authority_of_files_needs_a_private_key_that_is_closed()
    {
        var pem = ProviderBench.Output(
            $"cd {Folder} && openssl ecparam -name prime256v1 -genkey -noout -out ca.key && "
                + "openssl req -x509 -new -key ca.key -subj '/CN=Acme CA' -days 30 -out ca.crt && chmod 0600 ca.key && cat ca.crt"
        );
        Environment.Remove("TLS_AUTHORITY");
        var yaml = With("tls: { authority: { certificate: ca.crt, key: ca.key } }");

        Assert.That(Topology(yaml).Tls!.AuthorityCertificate.ReplaceLineEndings("\n").Trim(), Is.EqualTo(pem));
        ProviderBench.Output($"chmod 0644 {Folder}/ca.key");
        Assert.That(OnlyError(yaml), Does.Contain("others can read it").And.Contain("chmod 0600 ca.key"));
    }
}
