using System.Collections.Immutable;
using System.Diagnostics;
using KeyBuzz.Reconciler.Diagnostics;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.PostgresHa;
using KeyBuzz.Reconciler.PostgresHa.Backups;
using KeyBuzz.Reconciler.PostgresHa.Restore;
using KeyBuzz.Reconciler.Providers.Backup;
using KeyBuzz.Reconciler.Providers.Backup.Restore;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Tests.Providers;

namespace KeyBuzz.Reconciler.Tests.PostgresHa;

/// <summary>The program of a scheduled proof and the scripts of one by hand, run by a real shell over a Docker that answers from
/// files.</summary>
[TestFixture]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
internal sealed class ProofShellTests : BlueprintFixture
{
    private const string Member = "db-slave-01";
    private const string Mine = "by-timer true";
    private const string Hand = "20261129-010203 true";
    private const string Backup =
        "backup: { repositories: [{ s3: { endpoint: minio.example.com:9000, bucket: kbr } }], schedule: { full: Sun }, prove: { schedule: Wed } }";

    private string _root = "";

    [SetUp]
    public void Begin()
    {
        ProviderBench.OnlyAsRootWith("sh", "sed", "date");
        Environment["BACKUP_S3_KEY"] = "canary-of-the-s3-key";
        Environment["BACKUP_S3_SECRET"] = "canary-of-the-s3-secret";
        Environment["BACKUP_CIPHER_KEY"] = "canary-of-the-cipher";
        _root = Path.Combine(Folder, Guid.NewGuid().ToString("N"));
        Directory.CreateDirectory(Path.Combine(_root, "containers"));
        Directory.CreateDirectory(Path.Combine(_root, "data"));
        Give("turn", Member);
        Give("target", "1795901700 31272092");
        Give("has-ledger", "t");
        Give("ledger", "3|3|abc");
        Give("found", "3|3|abc");
        Give("identifier", "7");
        Give("used", "1000");
        Give("free", "9000000000");
        Give("checksums", "1");
        Tool("pg_controldata", "echo 'Data page checksum version:           '$(cat @/checksums)");
        Tool("pg_checksums", "[ $(cat @/checksums) = 1 ] || { echo 'bad checksums: 1'; exit 1; }");
        Tool("df", "echo Avail; cat @/free");
        Tool("du", "printf '%s\\t/x\\n' $(cat @/used)");
        Tool(
            "docker",
            """
            case $* in
            'inspect -f '*)
                format=$3; shift 3; status=0
                for name; do
                    if [ ! -e @/containers/$name ]; then status=1; continue; fi
                    case $format in *State.Status*) echo "running 0 $(cut -d' ' -f1 @/containers/$name)";; *) cat @/containers/$name;; esac
                done
                exit $status ;;
            'rm -f '*) shift 2; for name; do rm -f @/containers/$name; done ;;
            *' member') cat @/turn ;;
            *.py' target '*) [ ! -e @/meanwhile ] || cp @/meanwhile @/containers/kbr-proof; cat @/target; [ ! -e @/refuted ] || exit 2 ;;
            'exec patroni '*pg_last_wal_replay_lsn*) echo 0/7000028 ;;
            'exec patroni '*to_regclass*) cat @/has-ledger ;;
            'exec patroni '*'row_number('*) cat @/ledger ;;
            'exec patroni '*system_identifier*) cat @/identifier ;;
            'run -d '*' --log-driver local '*) [ -e @/instead ] && cp @/instead @/containers/kbr-proof || echo 'by-timer true' > @/containers/kbr-proof ;;
            'exec kbr-proof '*system_identifier*) echo 7 ;;
            'exec kbr-proof '*'count('*) cat @/found ;;
            'exec kbr-proof '*pg_promote*) touch @/promoted ;;
            'exec kbr-proof '*pg_amcheck*) ;;
            'exec kbr-proof '*) if [ -e @/promoted ]; then echo 'f primary'; else echo 't paused'; fi ;;
            'logs '*) echo 'LOG: recovery stopping before commit' ;;
            'stop '*) ;;
            'run --rm '*) for last; do :; done; exec sh -c "$last" ;;
            *) echo "unexpected: $*" >&2; exit 99 ;;
            esac
            """
        );
    }

    [Test]
    public void What_is_whole_is_proven_and_recorded_and_removed()
    {
        Container("kbr-proof", "by-timer false");
        var (exit, said) = Run();
        Assert.That(exit, Is.Zero, said);
        Assert.That(said, Does.Match("\nproven: .*, 3 rows of the ledger\n$"));
        Assert.That((Record()!.Failure, Record()!.LedgerRows), Is.EqualTo(((string?)null, (long?)3)));
        Assert.That(Containers(), Is.Empty);
    }

    // Nothing was restored, so that no time has passed.
    [Test]
    public void What_is_refuted_at_once_leaves_a_record_that_can_be_read()
    {
        Give("target", "repository 1 lacks \"WAL\"");
        Give("refuted", "");
        Assert.That(Run(), Is.EqualTo((2, "not proven: repository 1 lacks \\\"WAL\\\"\n")));
        Assert.That((Record()!.Failure, Record()!.Duration), Is.EqualTo(("repository 1 lacks \"WAL\"", TimeSpan.Zero)));
    }

    [TestCase("1000", "8999999999")]
    [TestCase("8999999999", "1000")]
    public void Room_is_needed_for_the_larger_of_the_database_and_its_backups(string used, string largest)
    {
        Give("used", used);
        Give("target", "1795901700 " + largest);
        Assert.That(Run(), Is.EqualTo((3, "not tried: 10073741823 bytes are needed, and 9000000000 are free\n")));
    }

    [Test]
    public void Without_a_ledger_the_rest_is_proven()
    {
        Give("has-ledger", "f");
        Give("ledger", null);
        var (exit, said) = Run();
        Assert.That((exit, Record()?.LedgerRows), Is.EqualTo((0, (long?)null)), said);
    }

    [TestCase("0", 0)]
    [TestCase("1", 0)]
    [TestCase("2", 2, Description = "pages that are damaged")]
    public void Pages_without_checksums_are_no_damage(string checksums, int expected)
    {
        Give("checksums", checksums);
        var (exit, said) = Run();
        Assert.That((exit, Record()!.Failure), Is.EqualTo((expected, expected == 0 ? null : "bad checksums: 1")), said);
    }

    [TestCase("has-ledger", "not tried: the member does not say whether it has a ledger\n")]
    [TestCase("ledger", "not tried: the ledger of the member cannot be read\n")]
    [TestCase("identifier", "not tried: the member does not say its system identifier\n")]
    public void A_comparison_that_cannot_be_made_is_not_left_out(string question, string said)
    {
        Give(question, null);
        Assert.That(Run(), Is.EqualTo((3, said)));
        Assert.That(Record(), Is.Null);
    }

    // A restore to a second has the rows of that second, or of just before or after; the second itself, which a backup serves, stays.
    [TestCase("2|2|abb")]
    [TestCase("3|3|abc")]
    public void A_row_that_is_committed_at_the_very_second_may_be_in_or_out(string found)
    {
        Give("ledger", "2|2|abb\n3|3|abc");
        Give("found", found);
        var (exit, said) = Run();
        Assert.That((exit, Record()?.LedgerRows), Is.EqualTo((0, (long?)(found[0] - '0'))), said);
        Assert.That(Record()!.Target, Is.EqualTo("2026-11-28 21:35:00.000000+00"));
    }

    [TestCase("0|0|\n1|1|aba", true)]
    [TestCase("1|1|aba", false)]
    public void Before_its_first_row_there_was_no_ledger(string states, bool proven)
    {
        Give("ledger", states);
        Give("found", null);
        var (exit, said) = Run();
        Assert.That((exit, Record()?.Failure), Is.EqualTo(proven ? (0, null) : (2, "the ledger is missing in it")), said);
    }

    [Test]
    public void Another_ledger_refutes()
    {
        Give("found", "3|3|abd");
        var (exit, said) = Run();
        Assert.That((exit, Containers()), Is.EqualTo((2, Array.Empty<string>())), said);
        Assert.That(Record()!.Failure, Does.StartWith("the ledger is another one: "));
    }

    [TestCase("kbr-proof")]
    [TestCase("kbr-proof-pages")]
    public void It_yields_to_one_by_hand(string container)
    {
        Container(container, Hand);
        AssertYields("not tried: one is running by hand\n", container);
    }

    [Test]
    public void It_yields_to_one_by_hand_that_began_while_it_looked_for_its_second()
    {
        Give("meanwhile", Hand);
        AssertYields("not tried: one is running by hand\n", "kbr-proof");
    }

    [Test]
    public void What_is_in_its_place_is_neither_judged_nor_removed()
    {
        Give("instead", Hand);
        AssertYields("it was removed meanwhile\n", "kbr-proof");
    }

    [TestCase("kbr-proof")]
    [TestCase("kbr-proof-pages")]
    public void One_by_hand_is_refused_while_a_scheduled_one_runs(string container)
    {
        Container(container, Mine);
        Assert.That(
            async () => await ByHand(leader: null),
            Throws.InstanceOf<DiagnosticException>().With.Message.Contains($"{Member}: a scheduled proof is running")
        );
        Assert.That(Containers(), Is.EqualTo(new[] { container }));
    }

    [TestCase("has-ledger")]
    [TestCase("ledger")]
    public void One_by_hand_is_not_tried_where_the_ledger_cannot_be_read(string question)
    {
        Give(question, null);
        Give("ledger", null);
        Assert.That(
            async () => await ByHand(Member),
            Throws.InstanceOf<DiagnosticException>().With.Message.Contains($"{Member}: the ledger cannot be read")
        );
        Assert.That(Record(), Is.Null);
    }

    private void AssertYields(string said, string container)
    {
        var kept = Directory.CreateDirectory(Path.Combine(_root, "data", "proof-20261129-010203"));
        var (exit, output) = Run();
        Assert.That((exit, output[^Math.Min(said.Length, output.Length)..]), Is.EqualTo((3, said)), output);
        Assert.That(Containers(), Is.EqualTo(new[] { container }));
        if (said.StartsWith("not tried", StringComparison.Ordinal))
        {
            Assert.That(kept.Exists, Is.True);
        }

        Assert.That(Record(), Is.Null);
    }

    private Task<ProofRecord> ByHand(string? leader)
    {
        var topology = Topology(With(Backup));
        return new ProofRun(topology, new Group(topology.Members, script => Shell("-eu", script)), Member, _ => { }).RunAsync(
            DateTimeOffset.FromUnixTimeSeconds(1795901700),
            _ => throw new InvalidOperationException("drawn"),
            leader,
            new BackupLook(leader, null, ImmutableSortedDictionary<string, BackupReport>.Empty, ArchivedWal.Unknown),
            CancellationToken.None
        );
    }

    private (int Exit, string Output) Run()
    {
        var result = Shell("-u", Content(Load(With(Backup)), $"config_file.proof-program@{Member}"));
        return (result.ExitCode, result.Output);
    }

    private ScriptResult Shell(string flags, string text)
    {
        var data = Topology(With(Backup)).Directories.Data;
        var file = Path.Combine(_root, "program.sh");
        System.IO.File.WriteAllText(
            file,
            text.Replace("/var/log/kbr", _root, StringComparison.Ordinal)
                .Replace(data, Path.Combine(_root, "data"), StringComparison.Ordinal)
        );
        var start = new ProcessStartInfo("sh", [flags, file]) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["PATH"] = _root + ":" + System.Environment.GetEnvironmentVariable("PATH");
        using var run = Process.Start(start)!;
        var error = run.StandardError.ReadToEndAsync();
        var output = run.StandardOutput.ReadToEnd();
        run.WaitForExit();
        TestContext.Out.WriteLine(error.Result);
        return new ScriptResult(run.ExitCode, output, error.Result);
    }

    private ProofRecord? Record()
    {
        var file = Path.Combine(_root, "proof-keybuzz-pg.json");
        return System.IO.File.Exists(file)
            ? ProofRecord.Parse(System.IO.File.ReadAllBytes(file)) ?? throw new InvalidDataException(System.IO.File.ReadAllText(file))
            : null;
    }

    private string[] Containers() =>
        [
            .. Directory
                .EnumerateFiles(Path.Combine(_root, "containers"))
                .Select(file => Path.GetFileName(file))
                .Order(StringComparer.Ordinal),
        ];

    private void Container(string name, string state) => System.IO.File.WriteAllText(Path.Combine(_root, "containers", name), state + "\n");

    private void Give(string name, string? answer)
    {
        if (answer is null)
        {
            System.IO.File.Delete(Path.Combine(_root, name));
        }
        else
        {
            System.IO.File.WriteAllText(Path.Combine(_root, name), answer + "\n");
        }
    }

    private void Tool(string name, string text)
    {
        var file = Path.Combine(_root, name);
        System.IO.File.WriteAllText(file, "#!/bin/sh\n" + text.Replace("@/", _root + "/", StringComparison.Ordinal) + "\n");
        System.IO.File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    private sealed class Group(ImmutableArray<Host> members, Func<string, ScriptResult> run) : IGroupAccess
    {
        public TimeProvider Time => TimeProvider.System;

        public ImmutableArray<Host> Members { get; } = members;

        public Task<Snapshot> ReadAsync(string host, IReadOnlyCollection<Read> reads, CancellationToken cancellationToken) =>
            throw new NotSupportedException();

        public Task<ScriptResult> RunAsync(string host, Script script, CancellationToken cancellationToken) =>
            Task.FromResult(run(script.Text));

        public Task<ITunnel> OpenTunnelAsync(string host, string address, int port, CancellationToken cancellationToken) =>
            throw new NotSupportedException();
    }
}
