using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.PostgresHa.Init;

namespace KeyBuzz.Reconciler.Tests.PostgresHa.Init;

/// <summary>Members and proxies out of servers.tsv.</summary>
[TestFixture]
public sealed class ServersTableTests
{
    private const string Header = "ENV\tIP_PUBLIQUE\tHOSTNAME\tIP_PRIVEE\tFQDN\tUSER_SSH\tPOOL\tROLE\tSUBROLE\tDOCKER_STACK\tCORE\tNOTES\n";

    private static string Whole =>
        Header
        + Row("db-master-01", "10.0.0.120", "db", "postgres", "patroni-node")
        + Row("db-slave-01", "10.0.0.121", "db", "postgres", "patroni-node", user: "ops")
        + Row("db-slave-02", "10.0.0.122", "db", "postgres", "patroni-node")
        + Row("temporal-db-01", "10.0.0.130", "db", "postgres", "temporal-db")
        + Row("analytics-db-01", "10.0.0.131", "db", "postgres", "")
        + Row("haproxy-01", "10.0.0.11", "lb", "internal-haproxy", "haproxy-node")
        + Row("haproxy-02", "10.0.0.12", "lb", "internal-haproxy", "haproxy-node")
        + Row("lb-haproxy", "10.0.0.10", "lb", "hetzner-lb", "")
        + Row("k3s-01", "10.0.0.50", "k3s", "master", "k3s-node")
        + Row("k3s-02", "10.0.0.51", "k3s", "worker", "k3s-node")
        + Row("redis-01", "10.0.0.60", "redis", "", "redis-node")
        + "\n\n";

    [Test]
    public void The_rows_of_the_two_stacks_are_taken_and_it_is_said_what_was_left_and_why()
    {
        var (taken, findings) = Select(Whole);
        Assert.Multiple(() =>
        {
            Assert.That(findings, Is.Empty);
            Assert.That(
                taken.Members.Select(host => (host.Name, host.Address, host.User)),
                Is.EqualTo(
                    new[]
                    {
                        ("db-master-01", "10.0.0.120", (string?)null),
                        ("db-slave-01", "10.0.0.121", "ops"),
                        ("db-slave-02", "10.0.0.122", null),
                    }
                )
            );
            Assert.That(taken.Proxies.Select(host => host.Name), Is.EqualTo(new[] { "haproxy-01", "haproxy-02" }));
            Assert.That(
                taken.Notes,
                Is.EqualTo(
                    new[]
                    {
                        "Members: db-master-01, db-slave-01, db-slave-02; DOCKER_STACK is patroni-node.",
                        "Proxies: haproxy-01, haproxy-02; DOCKER_STACK or SUBROLE is internal-haproxy.",
                        "Left: temporal-db-01, a single PostgreSQL machine: DOCKER_STACK is temporal-db, not patroni-node.",
                        "Left: analytics-db-01, a single PostgreSQL machine: DOCKER_STACK is empty, not patroni-node.",
                        "Left: lb-haproxy (10.0.0.10): neither DOCKER_STACK nor SUBROLE is internal-haproxy. Is it the load balancer? "
                            + "--load-balancer 10.0.0.10 takes it.",
                        "Left: 3 of other roles: k3s 2, redis 1.",
                    }
                )
            );
        });
    }

    [Test]
    public void A_byte_order_mark_line_ends_of_Windows_comments_quotes_and_short_rows_change_nothing()
    {
        var odd =
            "\uFEFF# les serveurs\n"
            + Whole
                .Replace("HOSTNAME", "\"hostname\"", StringComparison.Ordinal)
                .Replace("db-slave-01", "\"db-slave-01\"", StringComparison.Ordinal)
                .Replace("\tyes\tnote of redis-01\n", "\tyes\t\"a\ttab and a \"\"quote\"\"\"\n", StringComparison.Ordinal)
                .Replace("\tyes\tnote of k3s-01\n", "\n  # et voilà\n", StringComparison.Ordinal)
                .Replace("\n", "\r\n", StringComparison.Ordinal);
        Assert.That(odd, Does.Contain("a\ttab"));

        var ((one, _), (other, findings)) = (Select(Whole), Select(odd));

        Assert.That(findings, Is.Empty);
        Assert.That(other.Notes, Is.EqualTo(one.Notes));
        Assert.That(other.Members.Select(host => host.Address), Is.EqualTo(one.Members.Select(host => host.Address)));
    }

    [TestCase("DOCKER_STACK", "STACK", "1: the header has no DOCKER_STACK")]
    [TestCase("\t", " ", "1: the header has no HOSTNAME and no IP_PRIVEE and no DOCKER_STACK")]
    [TestCase("10.0.0.121", "10.0.0.120", "3: IP_PRIVEE 10.0.0.120 is in lines 2 and 3")]
    [TestCase("10.0.0.130", "10.0.0.120", "5: IP_PRIVEE 10.0.0.120 is in lines 2 and 5")]
    [TestCase("temporal-db-01", "db-slave-02", "5: HOSTNAME db-slave-02 is in lines 4 and 5")]
    [TestCase("10.0.0.122", "10.0.0.322", "4: bad IP_PRIVEE '10.0.0.322' of db-slave-02")]
    [TestCase("10.0.0.122", "", "4: db-slave-02 has no IP_PRIVEE")]
    [TestCase("note of db-slave-02", "a\tb", "4: this row has 13 cells, and the header has 12")]
    [TestCase("prod\t\tdb-slave-02", "dev\t\tdb-slave-02", "4: the rows are of 2 environments: dev, prod")]
    [TestCase("patroni-node", "patroni", "0: no row of servers.tsv has DOCKER_STACK patroni-node")]
    public void What_is_wrong_is_an_error_with_its_line(string from, string to, string expected)
    {
        var text = Whole.Replace(from, to, StringComparison.Ordinal);
        Assert.That(text, Is.Not.EqualTo(Whole));
        Assert.That(Select(text).Findings, Does.Contain(expected));
    }

    [Test]
    public void A_row_that_is_not_taken_may_be_incomplete_or_double()
    {
        var (taken, findings) = Select(
            Whole
                + Row("", "", "", "", "")
                + Row("k3s-02", "10.0.0.51", "k3s", "worker", "k3s-node")
                + Row("mail", "no address", "mail", "", "")
        );
        Assert.That(findings, Is.Empty);
        Assert.That(taken.Members, Has.Length.EqualTo(3));
    }

    [Test]
    public void The_file_is_told_by_its_header() =>
        Assert.Multiple(() =>
        {
            Assert.That(ServersTable.IsOne("\uFEFF" + Whole), Is.True);
            Assert.That(ServersTable.IsOne("[patroni]\ndb-1\n"), Is.False);
            Assert.That(ServersTable.IsOne(""), Is.False);
        });

    private static string Row(string name, string address, string role, string subrole, string stack, string user = "root") =>
        $"prod\t\t{name}\t{address}\t\t{user}\tpool\t{role}\t{subrole}\t{stack}\tyes\tnote of {name}\n";

    private static (InitSelection Taken, string[] Findings) Select(string text)
    {
        var findings = new Findings();
        var taken = ServersTable.Select(text, "servers.tsv", findings);
        return (
            taken,
            [.. findings.All.Where(one => one.Severity == Severity.Error).Select(one => $"{one.Location?.Line ?? 0}: {one.Summary}")]
        );
    }
}
