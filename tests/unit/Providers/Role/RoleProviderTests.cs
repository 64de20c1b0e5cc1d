using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Providers.Role;
using KeyBuzz.Reconciler.Resources;
using static KeyBuzz.Reconciler.Tests.Providers.PostgreSql.GroupAnswers;

namespace KeyBuzz.Reconciler.Tests.Providers.Role;

[TestFixture]
internal sealed class RoleProviderTests
{
    private static readonly string s_verifier = ScramVerifier.Make("secret", [1, 2, 3]);
    private static readonly string s_otherSalt = ScramVerifier.Make("secret", [4, 5, 6], 8192);
    private static readonly string s_otherPassword = ScramVerifier.Make("other", [1, 2, 3]);

    private readonly RoleProvider _provider = new();

    // What is wanted: password, verifier, exact; what is stored; whether that will do.
    private static IEnumerable<TestCaseData> Passwords()
    {
        yield return Case("the verifier wanted", true, true, true, s_verifier, true);
        yield return Case("another verifier of the password, where that will do", true, true, false, s_otherSalt, true);
        yield return Case("another verifier of the password, where PgBouncer needs this one", true, true, true, s_otherSalt, false);
        yield return Case("a verifier of another password", true, true, false, s_otherPassword, false);
        yield return Case("no password", true, true, false, null, false);
        yield return Case("an MD5 hash", true, true, false, "md5d41d8cd98f00b204e9800998ecf8427e", false);
        yield return Case("only the password is known, and proved", true, false, false, s_otherSalt, true);
        yield return Case("only the password is known, and not proved", true, false, false, s_otherPassword, false);
        yield return Case("only the verifier is known, and there", false, true, false, s_verifier, true);
        yield return Case("only the verifier is known, and another there", false, true, false, s_otherSalt, false);

        static TestCaseData Case(string name, bool password, bool verifier, bool exact, string? stored, bool good) =>
            new TestCaseData(password, verifier, exact, stored, good).SetArgDisplayNames(name);
    }

    [TestCaseSource(nameof(Passwords))]
    public void A_stored_password_will_do_or_not(bool password, bool verifier, bool exact, string? stored, bool good)
    {
        var role = Role([
            .. password ? [("password", Secret("secret"))] : Array.Empty<(string, object)>(),
            .. verifier ? [("verifier", Secret(s_verifier))] : Array.Empty<(string, object)>(),
            ("exact", exact),
        ]);
        var desired = _provider.Desired(role)["password"];
        var observed = Present(role, stored)["password"];
        Assert.That(observed.Value == desired.Value, Is.EqualTo(good));
        Assert.That(desired.Secret?.HasSecret, Is.True);
        Assert.That(observed.Secret?.HasSecret ?? observed.Value.Length == 0, Is.True, "what is on the host is as secret");
    }

    [Test]
    public void A_role_that_patroni_makes_is_ours_without_a_record_only_while_its_password_is_proved()
    {
        var role = Role(("password", Secret("secret")), ("bootstrap", true));
        Assert.That(((Observation.Present)_provider.Observe(role, Found(s_otherSalt))).IsManaged);
        Assert.That(((Observation.Present)_provider.Observe(role, Found(s_otherPassword))).IsManaged, Is.False);
        Assert.That(
            ((Observation.Present)_provider.Observe(Role(("password", Secret("secret"))), Found(s_otherSalt))).IsManaged,
            Is.False,
            "not one that patroni makes"
        );
        Assert.That(_provider.IsForgotten(role));
        Assert.That(_provider.IsForgotten(Role()), Is.False);
    }

    [Test]
    public void Attributes_are_compared_and_a_superuser_has_them_all_anyway()
    {
        var role = Role(("createdb", true), ("member_of", (IReadOnlyList<string>)["b", "a", "b"]));
        Assert.That(
            _provider.Desired(role).Select(Shown),
            Is.EqualTo(
                new[]
                {
                    "connection_limit=-1",
                    "createdb=true",
                    "createrole=false",
                    "login=true",
                    "member_of=a\nb",
                    "replication=false",
                    "superuser=false",
                }
            )
        );
        var observed = Present(
            role,
            null,
            """ "login": false, "superuser": true, "replication": true, "createdb": false, "createrole": true, "connection_limit": 5, "member_of": ["z", "b"] """
        );
        Assert.That(
            observed.Select(Shown),
            Is.EqualTo(
                new[]
                {
                    "connection_limit=5",
                    "createdb=false",
                    "createrole=true",
                    "login=false",
                    "member_of=b\nz",
                    "replication=true",
                    "superuser=true",
                }
            )
        );
        Assert.That(_provider.Desired(Role(("superuser", true))).Keys, Is.EqualTo(new[] { "connection_limit", "login", "superuser" }));
        Assert.That(
            _provider.Desired(Role()).Keys,
            Does.Not.Contain("member_of").And.Not.Contain("password"),
            "not compared when left out"
        );

        static string Shown(KeyValuePair<string, AttributeValue> pair) => $"{pair.Key}={pair.Value.Value}";
    }

    [Test]
    public void A_role_that_leaves_the_configuration_loses_its_login_and_one_without_login_nothing()
    {
        var role = Role();
        Assert.That(
            _provider.Retirement(role, (Observation.Present)_provider.Observe(role, Found(null, """ "login": true """))),
            Does.StartWith("its login is revoked and its sessions end")
        );
        Assert.That(_provider.Retirement(role, (Observation.Present)_provider.Observe(role, Found(null, """ "login": false """))), Is.Null);
    }

    [Test]
    public void A_role_that_is_to_be_dropped_is_so_when_it_is_not_there_and_needs_no_adoption()
    {
        var role = Role(("absent", true));
        var there = (Observation.Present)_provider.Observe(role, Found(null));
        Assert.That(_provider.Desired(role)["absent"].Value, Is.EqualTo("true"));
        Assert.That((there.Attributes["absent"].Value, there.IsManaged), Is.EqualTo(("false", true)));
        Assert.That(_provider.IsForgotten(role), Is.True);
        Assert.That(
            _provider.Validate(Role(("absent", true), ("bootstrap", true))).Single().Summary,
            Is.EqualTo("a role that Patroni creates with the cluster cannot be dropped")
        );
    }

    [Test]
    public void A_second_login_acts_as_the_first_from_its_sessions_beginning()
    {
        var role = Role(("member_of", (IReadOnlyList<string>)["billing"]), ("set_role", "billing"));
        Assert.That(_provider.Validate(role), Is.Empty);
        Assert.That(
            _provider.Validate(Role(("set_role", "billing"))).Single().Summary,
            Is.EqualTo("'set_role' is a role that 'kb_app' is not a member of")
        );
        Assert.That(_provider.Desired(role)["set_role"].Value, Is.EqualTo("billing"));
        Assert.That(
            Present(role, null, """ "login": true, "member_of": ["billing"], "set_role": "billing" """)["set_role"].Value,
            Is.EqualTo("billing")
        );
        Assert.That(Present(role, null), Does.Not.ContainKey("set_role"));
    }

    [Test]
    public void A_role_that_is_not_there_is_absent_when_the_leader_says_so() =>
        Assert.That(
            _provider.Observe(Role(), Member(true, "\"found\": null"), Member(false, "\"found\": {\"login\": true}")),
            Is.EqualTo(new Observation.Absent())
        );

    [Test]
    public void The_answer_of_a_replica_does_not_count() =>
        Assert.That(
            (
                (Observation.Present)
                    _provider.Observe(Role(), Member(false, "\"found\": {\"login\": true}"), Member(true, "\"found\": {\"login\": false}"))
            )
                .Attributes["login"]
                .Value,
            Is.EqualTo("false")
        );

    [TestCase("pg_mine", "PostgreSQL reserves")]
    [TestCase("public", "PostgreSQL reserves")]
    [TestCase("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxé", "at most 63 bytes")]
    public void A_name_that_postgresql_would_not_take_is_refused(string name, string problem) =>
        Assert.That(_provider.Validate(Role(("role", name))).Select(finding => finding.Summary), Has.Some.Contains(problem));

    // Commands that only compare do without secrets.
    [Test]
    public void A_verifier_that_is_not_known_is_not_judged()
    {
        var unknown = Secret(SecretText.StandIn);
        Assert.That(_provider.Validate(Role(("password", unknown), ("verifier", unknown))), Is.Empty);
        Assert.That(_provider.Validate(Role(("password", Secret("other")), ("verifier", unknown))), Is.Empty);
        Assert.That(_provider.Validate(Role(("password", unknown), ("verifier", Secret(s_verifier)))), Is.Empty);
        Assert.That(
            (Secret("other").IsKnown, unknown.IsKnown, SecretText.Plain(SecretText.Mask).IsKnown),
            Is.EqualTo((true, false, false))
        );
    }

    [Test]
    public void Passwords_that_cannot_be_meant_are_refused()
    {
        Assert.That(Problem(("password", Secret(""))), Does.Contain("may not be empty"));
        Assert.That(Problem(("verifier", Secret("md5abc"))), Does.Contain("not a SCRAM-SHA-256 verifier"));
        Assert.That(Problem(("password", Secret("other")), ("verifier", Secret(s_verifier))), Does.Contain("does not match"));
        Assert.That(Problem(("password", Secret("secret")), ("exact", true)), Does.Contain("needs 'verifier'"));
        Assert.That(Problem(("member_of", (IReadOnlyList<string>)["kb_app"])), Does.Contain("member of itself"));

        string Problem(params (string, object)[] values) => _provider.Validate(Role(values)).Single().Summary;
    }

    [Test]
    public void A_name_with_a_semicolon_or_a_quote_is_still_one_select()
    {
        var query = ((SqlRead)_provider.Reads(Role(("role", "a;b\\'c"))).Last()).Query;
        Assert.That(query, Does.Not.Contain(";").And.Contain(@"E'a\x3Bb\\''c'"));
    }

    private SortedMap<AttributeValue> Present(Resource role, string? stored, string more = "\"login\": true") =>
        ((Observation.Present)_provider.Observe(role, Found(stored, more))).Attributes;

    private static Func<KeyBuzz.Reconciler.Hosts.Read, object> Found(string? stored, string more = "\"login\": true") =>
        Member(true, $$"""  "found": {"password": {{(stored is null ? "null" : $"\"{stored}\"")}}, {{more}} } """);

    private static SecretText Secret(string value) => new([new SecretText.Part(value, true)]);

    private Resource Role(params (string, object)[] values) => ProviderBench.Resource(_provider, "kb_app", values);
}
