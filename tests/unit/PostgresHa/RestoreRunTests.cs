using System.Collections.Immutable;
using System.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.PostgresHa.Restore;
using KeyBuzz.Reconciler.Providers.Backup.Restore;
using KeyBuzz.Reconciler.Providers.PatroniCluster;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Ssh;
using KeyBuzz.Reconciler.Tests.Hosts;
using KeyBuzz.Reconciler.Tests.Providers;
using KeyBuzz.Reconciler.Tests.Providers.PatroniCluster;

namespace KeyBuzz.Reconciler.Tests.PostgresHa;

/// <summary>What a restore does on members whose primary changes, or whose servers do not answer.</summary>
[TestFixture]
internal sealed class RestoreRunTests : BlueprintFixture
{
    private const string Master = "db-master-01";
    private const string Slave = "db-slave-01";
    private const string Refusing = "default_transaction_read_only = 'on'\n";

    private static readonly RestoreJournal s_journal = new("20261128T211000Z", "latest", Master, Master, RestorePhase.Look);

    // After a failover the next primary answers only once it is promoted.
    [Test]
    public async Task The_primary_is_waited_for_before_the_former_database_is_chosen()
    {
        var group = new Group(Slave) { Unled = 3 };
        Assert.That((await Run(group).ExchangeAsync(s_journal, default)).Former, Is.EqualTo(Slave));
    }

    // Undo brings back what the last primary had, and no member's older data.
    [TestCase(RestorePhase.Look, Slave, ExpectedResult = Slave)]
    [TestCase(RestorePhase.Look, Master, ExpectedResult = Master)]
    [TestCase(RestorePhase.Look, null, ExpectedResult = Master)]
    [TestCase(RestorePhase.Exchange, Slave, ExpectedResult = Master)]
    public async Task<string?> The_former_database_is_that_of_the_primary_when_the_members_are_stopped(RestorePhase phase, string? leader)
    {
        var group = new Group(leader);
        var next = await Run(group).ExchangeAsync(s_journal with { Phase = phase }, default);
        var begun = group.Done.FindIndex(one => one.Contains("\"phase\":\"Exchange\"", StringComparison.Ordinal));
        var stopped = group.Done.FindIndex(one => one.Contains("systemctl stop", StringComparison.Ordinal));
        Assert.That(begun, Is.Not.Negative.And.LessThan(stopped));
        Assert.That(group.Done[begun], Does.Contain($"\"former\":\"{next.Former}\""));
        return next.Former;
    }

    // The next primary, or a replica whose server did not answer, would refuse writes for good.
    [TestCase(null)]
    [TestCase(Master)]
    public async Task Given_up_no_member_goes_on_refusing_writes(string? leader)
    {
        var group = new Group(leader) { Fails = (host, text) => host != leader && text.Contains("ALTER SYSTEM", StringComparison.Ordinal) };
        await Run(group).RemoveAsync(s_journal, default);
        foreach (var member in new[] { Master, Slave })
        {
            var done = group.Done.FindAll(one => one.StartsWith(member + ": ", StringComparison.Ordinal));
            var asked = done.FindIndex(one => one.Contains("ALTER SYSTEM RESET default_transaction_read_only", StringComparison.Ordinal));
            var written = done.FindIndex(one => one.Contains("sed -i '/^default_transaction_read_only", StringComparison.Ordinal));
            var removed = done.FindIndex(one => one.Contains("rm -rf", StringComparison.Ordinal));
            Assert.That(new[] { asked, written, removed }, Is.Ordered.And.All.Not.Negative, member);
        }
    }

    [TestCase(true, false)]
    [TestCase(false, true)]
    public async Task A_restore_that_refused_no_writes_leaves_the_setting_alone(bool isCopy, bool keepsWrites)
    {
        var group = new Group(Master);
        await Run(group).RemoveAsync(s_journal with { IsCopy = isCopy, KeepsWrites = keepsWrites }, default);
        Assert.That(group.Done, Has.None.Contains("default_transaction_read_only"));
    }

    [TestCase(
        "work_mem = '8MB'\n" + Refusing + "# default_transaction_read_only\n",
        "work_mem = '8MB'\n# default_transaction_read_only\n",
        true
    )]
    [TestCase("work_mem = '8MB'\n", "work_mem = '8MB'\n", false)]
    [TestCase(null, null, false)]
    public void The_refusal_is_removed_from_a_members_own_file(string? before, string? after, bool isReadAgain)
    {
        ProviderBench.OnlyAsRootWith("sh", "sed", "grep");
        var data = Topology(Minimal).Directories.DataDirectory;
        var place = Directory.CreateDirectory(Path.Combine(Folder, Guid.NewGuid().ToString("N"))).FullName;
        var file = Path.Combine(place, "postgresql.auto.conf");
        if (before is not null)
        {
            System.IO.File.WriteAllText(file, before);
        }

        var text = new RestoreScripts(Topology(Minimal), s_journal.Id).ForgetRefusal().Text.Replace(data, place, StringComparison.Ordinal);
        var start = new ProcessStartInfo("sh", ["-euc", $"docker() {{ echo \"$*\" > {place}/asked; }}\n{text}"]);
        using var run = Process.Start(start)!;
        run.WaitForExit();
        Assert.That(run.ExitCode, Is.Zero);
        Assert.That(System.IO.File.Exists(file) ? System.IO.File.ReadAllText(file) : null, Is.EqualTo(after));
        var asked = Path.Combine(place, "asked");
        Assert.That(
            System.IO.File.Exists(asked) ? System.IO.File.ReadAllText(asked) : null,
            Is.EqualTo(isReadAgain ? $"exec patroni pg_ctl reload -D {place}\n" : null)
        );
    }

    // It may have been taken while an earlier restore refused them, whether or not this one does.
    [Test]
    public void A_restored_database_takes_writes_also_where_its_backup_refused_them()
    {
        var scripts = new RestoreScripts(Topology(Minimal), s_journal.Id);
        var lines = scripts.Finish(scripts.Restored, scripts.RestoredMark).Text.Split('\n').Select(line => line.Trim()).ToList();
        var removed = lines.IndexOf($"sed -i '/^default_transaction_read_only *=/d' {scripts.Restored}/postgresql.auto.conf");
        Assert.That(removed, Is.Not.Negative.And.LessThan(lines.IndexOf($"touch {scripts.RestoredMark}")));
    }

    private RestoreRun Run(Group group)
    {
        var cluster = Load(Minimal);
        return new RestoreRun(cluster.Model<PostgresTopology>()!, new RunningCluster(FindPolicy(cluster, "keybuzz-pg"), group), group, _ =>
        { });
    }

    // Members whose scripts succeed, but those that fail.
    private sealed class Group(string? leader) : IGroupAccess
    {
        private readonly Lock _lock = new();

        private int _looks;

        public TimeProvider Time { get; } = new LeapingTime();

        // So many looks find no primary.
        public int Unled { get; init; }

        public Func<string, string, bool> Fails { get; init; } = (_, _) => false;

        public List<string> Done { get; } = [];

        public ImmutableArray<Host> Members { get; } =
        [
            .. new[] { Master, Slave }.Select(
                (name, at) => new Host(name, "db", $"10.0.0.{at + 120}", new SshEndpoint(name, 22, "root", false))
            ),
        ];

        public Task<Snapshot> ReadAsync(string host, IReadOnlyCollection<Read> reads, CancellationToken cancellationToken) =>
            Task.FromResult(
                PatroniAnswers.Snapshot(
                    leader is null || Interlocked.Increment(ref _looks) <= 2 * Unled ? ""
                    : host == leader ? PatroniAnswers.Leader(host)
                    : PatroniAnswers.Replica(host)
                )
            );

        public Task<ScriptResult> RunAsync(string host, Script script, CancellationToken cancellationToken)
        {
            lock (_lock)
            {
                Done.Add($"{host}: {script.Text}");
            }

            return Task.FromResult(new ScriptResult(Fails(host, script.Text) ? 2 : 0, "", ""));
        }

        public Task<ITunnel> OpenTunnelAsync(string host, string address, int port, CancellationToken cancellationToken) =>
            throw new NotSupportedException();
    }
}
