using System.Collections.Immutable;
using System.Text;
using KeyBuzz.Reconciler.Cli.Blueprints.Postgres;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.PostgresHa.Restore;
using KeyBuzz.Reconciler.Providers.Backup.Restore;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Ssh;
using KeyBuzz.Reconciler.Tests.Providers;
using KeyBuzz.Reconciler.Tests.Providers.PatroniCluster;

namespace KeyBuzz.Reconciler.Tests.PostgresHa;

/// <summary>A restore while a member's host is lost: who may be left out, and how such a member is kept out until an apply.</summary>
internal sealed class RestoreWithoutTests : BlueprintFixture
{
    private static readonly RestoreJournal s_journal = new(
        "20261128T211000Z",
        "latest",
        "db-master-01",
        "db-master-01",
        RestorePhase.Prepare
    );

    // The phase and the lost of the restore's journal ('-' for none), the members that the command names ('-' where it has no such option),
    // and those that do not answer.
    [TestCase("-", "", "", "", ExpectedResult = "without ")]
    [TestCase("-", "", "db-slave-02", "db-slave-02", ExpectedResult = "without db-slave-02")]
    [TestCase("-", "", "", "db-slave-02", ExpectedResult = "db-slave-02 cannot be reached, and may run or lead keybuzz-pg")]
    [TestCase("-", "", "db-slave-01", "db-slave-02", ExpectedResult = "db-slave-01 is named lost, but its host answers")]
    [TestCase("-", "", "db-9", "db-slave-02", ExpectedResult = "--lost names db-9, which is no member of keybuzz-pg")]
    [TestCase("-", "", "db-slave-01 db-slave-02", "db-slave-01 db-slave-02", ExpectedResult = "db-slave-01 and db-slave-02 are lost")]
    [TestCase("Look", "db-slave-02", "", "db-slave-02", ExpectedResult = "without db-slave-02", Description = "said once is enough")]
    [TestCase("Look", "db-slave-02", "", "", ExpectedResult = "without ", Description = "it is back before anything was exchanged")]
    [TestCase("Exchange", "db-slave-02", "", "", ExpectedResult = "without db-slave-02", Description = "it is back too late")]
    [TestCase("Exchange", "", "db-slave-02", "db-slave-02", ExpectedResult = "without db-slave-02", Description = "lost on the way")]
    [TestCase("Open", "db-slave-02", "-", "", ExpectedResult = "without db-slave-02")]
    [TestCase("Open", "", "db-slave-02", "db-slave-02", ExpectedResult = "db-slave-02 cannot be reached, and may run or lead keybuzz-pg")]
    [TestCase("Reopen", "db-slave-02", "", "db-slave-02", ExpectedResult = "without db-slave-02")]
    [TestCase("Kept", "db-slave-02", "-", "", ExpectedResult = "without ", Description = "an apply has made it a replica")]
    [TestCase("Kept", "db-slave-02", "-", "db-slave-02", ExpectedResult = "without db-slave-02")]
    [TestCase("Kept", "db-slave-02", "-", "db-slave-01", ExpectedResult = "db-slave-01 cannot be reached, and may run or lead keybuzz-pg")]
    public string Who_may_be_left_out(string phase, string lost, string named, string away)
    {
        var journal = phase == "-" ? null : s_journal with { Phase = Enum.Parse<RestorePhase>(phase), Lost = [.. Words(lost)] };
        try
        {
            var left = RestoreWithout.Of(
                Topology(Minimal),
                journal,
                named == "-" ? null : [.. Words(named)],
                [.. Words(away).Select(member => (member, (string?)"no route"))]
            );
            return "without " + string.Join(' ', left);
        }
        catch (DiagnosticException exception)
        {
            var refused = exception.Diagnostics.Single();
            Assert.That(refused.Remedy, Is.Not.Empty);
            return refused.Summary.Split([", and a", ": ", " all the same"], StringSplitOptions.None)[0];
        }
    }

    [TestCase(
        "-",
        "",
        "db-slave-02",
        ExpectedResult = "bring db-slave-02 back, then run this again. Is a host gone? Turn it off for good, "
            + "or cut it off the network, then say so: --lost db-slave-02"
    )]
    [TestCase("-", "", "db-slave-01 db-slave-02", ExpectedResult = "bring db-slave-01, db-slave-02 back, then run this again")]
    [TestCase("-", "-", "db-slave-02", ExpectedResult = "bring db-slave-02 back, then run this again", Description = "kbr restore confirm")]
    [TestCase(
        "Open",
        "",
        "db-slave-02",
        ExpectedResult = "bring db-slave-02 back, then run this again; or remove db-slave-02 from 'hosts', "
            + "run kbr apply, then this again"
    )]
    public string? A_restore_without_a_member_is_refused_with_what_to_do(string phase, string named, string away) =>
        Assert
            .Throws<DiagnosticException>(() =>
                RestoreWithout.Of(
                    Topology(Minimal),
                    phase == "-" ? null : s_journal with { Phase = Enum.Parse<RestorePhase>(phase) },
                    named == "-" ? null : [],
                    [.. Words(away).Select(member => (member, (string?)"no route"))]
                )
            )!
            .Diagnostics[0]
            .Remedy;

    [Test]
    public void The_others_know_nothing_of_a_lost_member_and_their_primary_makes_no_database()
    {
        var cluster = LoadWithout();
        Assert.That(cluster.Resources.Select(resource => resource.Address.Host), Has.None.EqualTo("db-slave-02"));
        var patroni = Content(cluster, "config_file.patroni@db-slave-01");
        Assert.That(patroni, Does.Contain("10.0.0.120").And.Not.Contain("10.0.0.122").And.Contain("\nbootstrap:"));
        Assert.That(Content(cluster, "config_file.haproxy@haproxy-01"), Does.Contain("10.0.0.121:5432").And.Not.Contain("10.0.0.122"));
        var policy = FindPolicy(cluster, "keybuzz-pg").Spec;
        Assert.That(
            (policy.OptionalString("recovers"), policy.OptionalString("bootstrap_host")),
            Is.EqualTo(("db-slave-01", "db-slave-01"))
        );
        Assert.That(policy.OptionalString("preferred_leader"), Is.Null);
    }

    // The new password before any member is stopped, and the journal of the fence on each before the data is exchanged.
    [TestCase(RestorePhase.Exchange, "former")]
    [TestCase(RestorePhase.Return, "undone")]
    public async Task A_lost_member_is_fenced_before_the_data_is_exchanged(RestorePhase phase, string aside)
    {
        var group = new Group("db-master-01", "db-slave-01");
        var journal = s_journal with { Phase = phase };
        var run = Run(group, ["db-slave-02"]);
        var next = await (phase == RestorePhase.Exchange ? run.ExchangeAsync(journal, default) : run.ReturnAsync(journal, default));
        Assert.That(next.Lost, Is.EqualTo(new[] { "db-slave-02" }));
        Assert.That(next.IsOpeningWithout, Is.True);
        var done = group.Done.Select(one => one.Split(": ", 2)[1]).ToList();
        var begun = done.FindIndex(text => text.Contains($"\"phase\":\"{phase}\"", StringComparison.Ordinal));
        var renewed = done.IndexOf("password");
        var fenced = done.FindLastIndex(text => text.Contains(RecoveryJournal.PathOf("keybuzz-pg"), StringComparison.Ordinal));
        var stopped = done.FindIndex(text => text.Contains("systemctl stop", StringComparison.Ordinal));
        var moved = done.FindIndex(text => text.Contains($".{aside}-", StringComparison.Ordinal));
        Assert.That(new[] { begun, renewed, fenced, stopped, moved }, Is.Ordered.And.All.Not.Negative);
        foreach (var member in new[] { "db-master-01", "db-slave-01" })
        {
            var text = group.Done.Single(one =>
                one.StartsWith(member, StringComparison.Ordinal) && one.Contains("/recover-", StringComparison.Ordinal)
            );
            var known = RecoveryJournal.Parse(Encoding.UTF8.GetBytes(text.Split('\'').First(part => part.StartsWith('{'))))!;
            Assert.That((known.Survivor, known.IsDone), Is.EqualTo(("db-master-01", true)));
            Assert.That(known.Others, Is.EqualTo(new[] { "db-slave-02" }));
        }
    }

    [Test]
    public async Task With_every_member_there_nobody_is_fenced_and_the_password_stays()
    {
        var group = new Group("db-master-01", "db-slave-01", "db-slave-02");
        await Run(group, []).ExchangeAsync(s_journal with { Phase = RestorePhase.Exchange }, default);
        Assert.That(group.Done, Has.None.Contains("/recover-").And.None.EqualTo("kbr: password"));
        Assert.That(group.Done, Has.Exactly(3).Contains("systemctl stop"));
    }

    [Test]
    public async Task Without_the_member_that_holds_what_is_needed_nothing_begins()
    {
        var group = new Group("db-slave-01", "db-slave-02");
        var run = Run(group, ["db-master-01"]);
        var restored = await Assert.ThrowsAsync<DiagnosticException>(() =>
            run.ExchangeAsync(s_journal with { Phase = RestorePhase.Look }, default)
        );
        var former = await Assert.ThrowsAsync<DiagnosticException>(() =>
            run.ReturnAsync(s_journal with { Phase = RestorePhase.Kept }, default)
        );
        Assert.That(restored!.Diagnostics[0].Summary, Does.StartWith("db-master-01 is lost, and it has the restored database"));
        Assert.That(former!.Diagnostics[0].Summary, Does.StartWith("db-master-01 is lost, and it has the former database"));
        Assert.That(group.Done, Is.Empty);
    }

    // What it has since an apply made it a replica comes from the restored database.
    [Test]
    public async Task An_undo_lets_a_member_that_was_left_out_copy_anew_once_it_is_back()
    {
        var group = new Group("db-master-01", "db-slave-01", "db-slave-02");
        var journal = s_journal with { Phase = RestorePhase.Kept, Lost = ["db-slave-02"] };
        var next = await Run(group, []).ReturnAsync(journal, default);
        Assert.That(next.IsOpeningWithout, Is.False);
        Assert.That(
            group.Done.Where(one => one.Contains("/undone-", StringComparison.Ordinal)).Select(one => one.Split(':')[0]),
            Is.EquivalentTo(new[] { "db-master-01", "db-slave-01", "db-slave-02" })
        );
        Assert.That(
            group.Done.Single(one =>
                one.StartsWith("db-slave-02: ", StringComparison.Ordinal) && one.Contains("/undone-", StringComparison.Ordinal)
            ),
            Does.StartWith("db-slave-02: if [ -d /opt/keybuzz/postgres/data/pgdata ]")
        );
    }

    private RestoreRun Run(Group group, ImmutableArray<string> lost)
    {
        var cluster = Load(Minimal);
        return new RestoreRun(cluster.Model<PostgresTopology>()!, new RunningCluster(FindPolicy(cluster, "keybuzz-pg"), group), group, _ =>
        { })
        {
            Lost = lost,
            RenewPassword = () =>
            {
                group.Done.Add("kbr: password");
                return Task.CompletedTask;
            },
        };
    }

    private Cluster LoadWithout()
    {
        System.IO.File.WriteAllText(File, Minimal);
        var blueprint = new PostgresBlueprint(TimeProvider.System) { Part = whole => whole.Without(["db-slave-02"], "db-slave-01") };
        return ClusterLoader.Load(File, RealSyntax with { Blueprints = [blueprint] }, Environment);
    }

    private static string[] Words(string text) => text.Split(' ', StringSplitOptions.RemoveEmptyEntries);

    // Members that do not answer Patroni's questions, and on which every script succeeds.
    private sealed class Group(params string[] names) : IGroupAccess
    {
        private readonly Lock _lock = new();

        public TimeProvider Time => TimeProvider.System;

        public List<string> Done { get; } = [];

        public ImmutableArray<Host> Members { get; } =
        [.. names.Select((name, at) => new Host(name, "db", $"10.0.0.{at + 120}", new SshEndpoint(name, 22, "root", false)))];

        public Task<Snapshot> ReadAsync(string host, IReadOnlyCollection<Read> reads, CancellationToken cancellationToken) =>
            Task.FromResult(PatroniAnswers.Snapshot("").With(ProviderBench.Snapshot((RecoveryJournal.Read("keybuzz-pg"), null))));

        public Task<ScriptResult> RunAsync(string host, Script script, CancellationToken cancellationToken)
        {
            lock (_lock)
            {
                Done.Add($"{host}: {script.Text}");
            }

            return Task.FromResult(new ScriptResult(0, "", ""));
        }

        public Task<ITunnel> OpenTunnelAsync(string host, string address, int port, CancellationToken cancellationToken) =>
            throw new NotSupportedException();
    }
}
