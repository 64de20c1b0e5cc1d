using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.PostgresHa.Drill;
using KeyBuzz.Reconciler.Providers.SqlProxies;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.PostgresHa;

/// <summary>What a drill takes of psql's answers.</summary>
[TestFixture]
internal sealed class DrillPsqlTests
{
    private static readonly DrillWay s_way = DrillWay.Of(new Fixture().Cluster())[0];
    private static readonly TlsLogin s_login = new("pgbouncer", "/ca.crt", "kb_app", SecretText.Plain("pass"), "app");

    [TestCase("10.0.0.1\t7\n", "10.0.0.1|7", false)]
    [TestCase("WARNING:  canceling wait for synchronous replication\nDETAIL:  x\n10.0.0.1\t7\n", "10.0.0.1|7", true)]
    [TestCase("", "", false)]
    public async Task Rows_have_tabs_and_a_warning_counts(string said, string rows, bool warned)
    {
        var lines = await new DrillPsql(s_login, s_way, new Proxy(new ScriptResult(0, said, "")), "lb-1").RunAsync("SELECT 1", default);

        Assert.That(string.Join('\n', DrillPsql.Rows(lines).Select(row => string.Join('|', row))), Is.EqualTo(rows));
        Assert.That(DrillPsql.Warns(lines), Is.EqualTo(warned));
    }

    [Test]
    public async Task What_psql_or_the_host_says_against_it_is_a_failure_of_SQL()
    {
        Assert.That(await Said(new ScriptResult(2, "psql: error: refused\n", "")), Is.EqualTo("psql: error: refused"));
        Assert.That(await Said(null), Is.EqualTo("gone"));

        static async Task<string> Said(ScriptResult? result)
        {
            var thrown = (
                await Assert.CatchAsync(() => new DrillPsql(s_login, s_way, new Proxy(result), "lb-1").RunAsync("SELECT 1", default))
            )!;
            Assert.That(DrillTable.IsSqlFailure(thrown), Is.True, $"{thrown}");
            return DrillTable.Said(thrown);
        }
    }

    private sealed class Fixture : BlueprintFixture
    {
        public PostgresTopology Cluster() => Topology(Minimal);
    }

    private sealed class Proxy(ScriptResult? result) : IGroupAccess
    {
        public ImmutableArray<Host> Members => [];

        public TimeProvider Time => TimeProvider.System;

        public Task<Snapshot> ReadAsync(string host, IReadOnlyCollection<Read> reads, CancellationToken cancellationToken) =>
            throw new NotSupportedException();

        public Task<ScriptResult> RunAsync(string host, Script script, CancellationToken cancellationToken) =>
            result is null ? throw new HostException(host, "gone") : Task.FromResult(result);

        public Task<ITunnel> OpenTunnelAsync(string host, string address, int port, CancellationToken cancellationToken) =>
            throw new NotSupportedException();
    }
}
