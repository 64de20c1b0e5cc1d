using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.PostgresHa;

/// <summary>Names of users and databases that have to be quoted: each file by its own rules.</summary>
internal sealed class NamesTests : BlueprintFixture
{
    private const string Secret = "password: \"${secret.POSTGRES_APP_PASS}\"";

    [TestCase("plain_name-2", "plain_name-2")]
    [TestCase("Mein-Benutzer", "Mein-Benutzer")]
    [TestCase("app.v2", "app.v2")]
    [TestCase("größe", "größe")]
    [TestCase("weird \"quoted\"", "weird%20%22quoted%22")]
    [TestCase("a@b", "a%40b")]
    [TestCase("50%", "50%25")]
    [TestCase("*", "%2A")]
    [TestCase("😀", "%F0%9F%98%80")]
    public void An_address_can_be_read_again_whatever_the_thing_is_called(string called, string name)
    {
        var address = new Address("role", Address.NameOf(called), "keybuzz-pg");

        Assert.That(address.Name, Is.EqualTo(name));
        Assert.That(Address.TryParse(address.ToString(), out var read), Is.True);
        Assert.That(read, Is.EqualTo(address));
        Assert.That(new AddressPattern(address.ToString()).Matches(address), Is.True);
    }

    [Test]
    public void The_longest_name_fits_into_the_name_of_its_records_file()
    {
        foreach (
            var called in new[]
            {
                new string(' ', 63),
                string.Concat(Enumerable.Repeat("ö", 31)),
                string.Concat(Enumerable.Repeat("😀", 15)),
            }
        )
        {
            var script = RecordScript.Remove(new Address("database", Address.NameOf(called), "keybuzz-pg"), "keybuzz-pg");

            Assert.That(
                System.Text.RegularExpressions.Regex.Match(script, "records/([^']*\\.json)").Groups[1].Value,
                Has.Length.InRange(40, 250)
            );
        }
    }

    [Test]
    public void Every_file_quotes_a_name_by_its_own_rules_and_its_roles_address_escapes_it()
    {
        var cluster = Load(
            With(
                "superuser: Chef-Admin",
                "replication: \"repl \\\"one\\\"\"",
                "application: it's",
                $"users: [{{ name: \"weird \\\"quoted\\\"\", {Secret} }}, {{ name: größe, {Secret} }}]",
                "databases: [{ name: app.v2, owner: größe }, { name: \"my größe\", owner: \"it's\", pooled: false }]"
            )
        );
        var patroni = Content(cluster, "config_file.patroni@db-master-01");
        var users = Content(cluster, "config_file.pgbouncer-users@haproxy-01");
        var pgbouncer = Content(cluster, "config_file.pgbouncer@haproxy-01");

        Assert.Multiple(() =>
        {
            Assert.That(
                patroni,
                Does.Contain("'host all \"Chef-Admin\" 10.0.0.120/32 scram-sha-256'").And.Contain("'kbr postgres \"Chef-Admin\"'")
            );
            Assert.That(
                patroni,
                Does.Contain("'host replication \"repl \"\"one\"\"\" 127.0.0.1/32 scram-sha-256'").And.Contain("username: 'repl \"one\"'")
            );
            Assert.That(
                users,
                Does.Contain("\n\"weird \"\"quoted\"\"\" \"SCRAM-SHA-256$").And.Contain("\"größe\" \"SCRAM").And.Contain("\"it's\" \"SCRAM")
            );
            Assert.That(pgbouncer, Does.Contain("\napp.v2 = host=10.0.0.10 port=5432 dbname=app.v2\n").And.Not.Contain("my größe"));
            Assert.That(Find(cluster, "role.weird%20%22quoted%22@keybuzz-pg").Spec.String("role"), Is.EqualTo("weird \"quoted\""));
            Assert.That(
                Find(cluster, "database.my%20größe@keybuzz-pg").Requires.Select(address => address.ToString()),
                Does.Contain("role.it%27s@keybuzz-pg")
            );
            Assert.That(
                Find(cluster, "config_file.pgbouncer-users@haproxy-01").After.Select(address => address.ToString()),
                Does.Contain("role.weird%20%22quoted%22@keybuzz-pg")
            );
        });
    }

    [Test]
    public void A_dropped_user_has_no_password_no_line_and_goes_after_the_databases_have_other_owners()
    {
        var cluster = Load(With("users: [{ name: former, drop: true }]"));
        var role = Find(cluster, "role.former@keybuzz-pg");

        Assert.That(role.Spec.Boolean("absent"), Is.True);
        Assert.That(role.After.Select(address => address.ToString()), Does.Contain("database.keybuzz@keybuzz-pg"));
        Assert.That(Content(cluster, "config_file.pgbouncer-users@haproxy-01"), Does.Not.Contain("former"));
        Assert.That(OnlyError(With($"users: [{{ name: former, drop: true, {Secret} }}]")), Does.Contain("unknown key 'password'"));
        Assert.That(OnlyError(With("users: [{ name: kb_app, drop: true }]")), Does.Contain("'kb_app' is already declared"));
        Assert.That(
            Errors(With("users: [{ name: former, drop: true }]", "databases: [{ name: x, owner: former }]")),
            Has.One.Contains("the owner 'former' of the database 'x' is not a declared user")
        );
    }
}
