using System.Collections.Immutable;
using System.Text;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Backup;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Ssh;
using KeyBuzz.Reconciler.Tests.Providers.PostgreSql;

namespace KeyBuzz.Reconciler.Tests.Providers.Backup;

/// <summary>The repositories of a cluster, by what pgBackRest 2.55.1 answered to kbr's read.</summary>
[TestFixture]
internal sealed class BackupRepositoryTests
{
    private const string Place = "s3://b/pg at h:443";
    private const string Configuration = "/opt/keybuzz/patroni/pgbackrest.conf";
    private const string Identifier = "7500000000000000001";

    private readonly BackupRepositoryProvider _provider = new();

    [Test]
    public void Prepared_for_this_cluster_and_seen_by_every_member_it_is_as_declared() =>
        Assert.That(
            ((Observation.Present)Observe(Info(2, "no valid backups"), Info(0, "ok"))).Attributes,
            Is.EqualTo(_provider.Desired(Repository()))
        );

    [Test]
    public void A_bucket_that_knows_nothing_of_the_cluster_is_to_be_prepared()
    {
        var missing = Info(1, "missing stanza path", null);
        Assert.That(Observe(missing, missing), Is.InstanceOf<Observation.Absent>());
    }

    // As in the plan that turns backups on.
    [TestCase(55, "P00  ERROR: [055]: unable to open missing file '/etc/patroni/pgbackrest.conf' for read")]
    [TestCase(127, "sh: 1: exec: pgbackrest: not found")]
    public void Where_the_tool_is_not_set_up_yet_it_is_to_be_prepared(int status, string output) =>
        Assert.That(Observe(new ToolAnswer(status, output), new ToolAnswer(status, output)), Is.InstanceOf<Observation.Absent>());

    [TestCase(124, "", "the repositories did not answer within 10 s")]
    [TestCase(31, "P00   WARN: x\nERROR: [031]: invalid option 'repo9-path'\n", "[031]: invalid option 'repo9-path'")]
    [TestCase(0, "not JSON", "its answer cannot be read")]
    public void What_the_primary_cannot_see_is_unknown_with_the_reason(int status, string output, string reason) =>
        Assert.That(
            ((Observation.Unknown)Observe(new ToolAnswer(status, output), Info(0, "ok"))).Reason,
            Is.EqualTo("db-1: pgBackRest: " + reason)
        );

    [Test]
    public void A_member_that_cannot_reach_it_is_named_with_the_first_line_of_the_reason() =>
        Assert.That(
            State(
                Info(0, "ok"),
                Info(99, "[HostConnectError] unable to connect to 'h:443': [111] Connection refused\\n    [HostConnectError] on 4 retries")
            ),
            Is.EqualTo("db-2: [HostConnectError] unable to connect to 'h:443': [111] Connection refused")
        );

    [Test]
    public void A_repository_of_another_database_is_no_repository_of_this_one() =>
        Assert.That(
            State(Info(0, "ok", "7400000000000000009"), Info(0, "ok", "7400000000000000009")),
            Is.EqualTo($"db-1, db-2: prepared for another database (system identifier 7400000000000000009, this cluster's is {Identifier})")
        );

    // What the tool answers is of the former place: also that nothing of it can be reached, which may be why it is left.
    [TestCase(0, "ok")]
    [TestCase(124, "")]
    public void A_place_that_the_members_configuration_does_not_name_yet_is_to_be_prepared(int status, string message)
    {
        var answer = status == 0 ? Info(0, message) : new ToolAnswer(status, message);
        Assert.That(State(answer, answer, "s3://former/pg at h:443"), Is.EqualTo("db-1, db-2: not in the configuration yet"));
    }

    [TestCase("s3://former/pg at h:443", "take a full backup after the apply (kbr backup --full): a new place holds none")]
    [TestCase(Place, null)]
    public void A_new_place_wants_a_full_backup(string configured, string? note) =>
        Assert.That(((Observation.Present)Observe(Info(0, "ok"), Info(0, "ok"), configured)).Note, Is.EqualTo(note));

    // One place that does not answer makes the tool answer for none.
    [Test]
    public void Of_two_places_one_that_does_not_answer_can_be_left()
    {
        const string stays = "s3://stays/pg at h:443";
        var silent = new ToolAnswer(124, "");
        var configured = $"{stays}\n# Repository: s3://former/pg at h:443";

        var observed = _provider.Observe(Repository(stays, Place), Member(true, silent, configured), Member(false, silent, configured));

        Assert.That(
            ((Observation.Present)observed).Attributes.Select(pair => $"{pair.Key} = {pair.Value.Value}"),
            Is.EquivalentTo(
                new[]
                {
                    $"{Place} = db-1, db-2: not in the configuration yet",
                    $"{stays} = db-1, db-2: the repositories did not answer within 10 s",
                }
            )
        );
    }

    [Test]
    public async Task It_is_prepared_on_the_primary()
    {
        var group = new Group(new ScriptResult(0, "", ""));
        await _provider.ChangeAsync(Change(ResourceOperation.Create), group, CancellationToken.None);
        Assert.That(
            group.Scripts,
            Is.EqualTo(
                new[]
                {
                    "db-1: docker exec 'patroni' pgbackrest --config=/etc/patroni/pgbackrest.conf --stanza=pg --io-timeout=5 "
                        + "stanza-create 2>&1 </dev/null",
                }
            )
        );
    }

    [TestCase(
        "[028]: backup and archive info files exist but do not match the database",
        "[028]: backup and archive info files exist but do not match the database (another cluster's needs another 'path')"
    )]
    // What pgBackRest 2.55.1 said where the top directory of a repository was missing in a directory of root's.
    [TestCase(
        "[047]: unable to create path '/mnt/b/pg': [13] Permission denied",
        "[047]: unable to create path '/mnt/b/pg': [13] Permission denied (the directory must belong to the user that writes there, "
            + "PostgreSQL's in the container or that of SFTP: chown it on its server)"
    )]
    [TestCase(
        "[025]: x",
        "[025]: x. Check address, bucket, credentials and cipher key; a repository that holds another cluster needs another 'path'"
    )]
    public void A_refusal_has_the_tools_reason_and_what_to_do(string said, string shown)
    {
        var group = new Group(new ScriptResult(28, $"WARN: a\nERROR: {said}\n", ""));
        Assert.That(
            async () => await _provider.ChangeAsync(Change(ResourceOperation.Update), group, CancellationToken.None),
            Throws.InstanceOf<ChangeFailedException>().With.Message.EqualTo($"db-1: pgBackRest could not prepare {Place}: {shown}")
        );
    }

    [Test]
    public void An_error_that_is_made_of_others_is_shown_with_the_first_of_them()
    {
        var group = new Group(
            new ScriptResult(
                29,
                "ERROR: [029]: unable to load info file 'a':\n       FormatError: cipher header invalid\n       HINT: x\n",
                ""
            )
        );
        Assert.That(
            async () => await _provider.ChangeAsync(Change(ResourceOperation.Create), group, CancellationToken.None),
            Throws
                .InstanceOf<ChangeFailedException>()
                .With.Message.Contains("[029]: unable to load info file 'a': FormatError: cipher header invalid (the cipher key")
        );
    }

    private const string Shared = "/mnt/backups/pg";

    [TestCase("a", "a", "a", "ready on every member")]
    [TestCase("a", "a", null, "ready on every member", Description = "a member that does not say is named by the tool's answer")]
    [TestCase("a", "b", "a", "db-2: /mnt/backups/pg is not the directory that db-1 has there: mount the same file system")]
    [TestCase("a", "", "a", "db-2: /mnt/backups/pg is not the directory that db-1 has there: mount the same file system")]
    [TestCase("", "", "", "db-1: kbr has not marked it")]
    public void A_directory_is_shared_where_every_member_sees_the_primarys_mark(
        string leader,
        string replica,
        string? says,
        string state
    ) =>
        Assert.That(
            (
                (Observation.Present)
                    _provider.Observe(
                        SharedRepository(),
                        read => Seeing(true, leader)(read),
                        read => Seeing(false, says is null ? null : replica)(read)
                    )
            )
                .Attributes[Shared]
                .Value,
            Does.StartWith(state)
        );

    [Test]
    public async Task A_directory_is_marked_on_the_primary_before_it_is_prepared()
    {
        var group = new SharedGroup(isShared: true);
        await _provider.ChangeAsync(new(ResourceOperation.Create, SharedRepository(), []), group, CancellationToken.None);
        Assert.That(group.Done, Is.EqualTo(new[] { "db-1 marks", "db-1 prepares" }));

        await _provider.ChangeAsync(new(ResourceOperation.Update, SharedRepository(), []), group, CancellationToken.None);
        Assert.That(group.Done, Is.EqualTo(new[] { "db-1 marks", "db-1 prepares", "db-1 prepares" }), "a mark stays");
    }

    [Test]
    public void A_directory_of_each_members_own_is_refused_and_nothing_is_prepared()
    {
        var group = new SharedGroup(isShared: false);
        Assert.That(
            async () => await _provider.ChangeAsync(new(ResourceOperation.Create, SharedRepository(), []), group, CancellationToken.None),
            Throws
                .InstanceOf<ChangeFailedException>()
                .With.Message.StartsWith($"{Shared} is not the same directory on every member: db-1 see one, db-2 another. Mount one")
        );
        Assert.That(group.Done, Is.EqualTo(new[] { "db-1 marks" }));
    }

    // After a failover to a member without the file system.
    [Test]
    public void A_mark_that_only_another_member_sees_is_not_made_a_second_time()
    {
        var group = new SharedGroup(isShared: false) { Marks = { ["db-2"] = "of-before" } };
        Assert.That(
            async () => await _provider.ChangeAsync(new(ResourceOperation.Update, SharedRepository(), []), group, CancellationToken.None),
            Throws.InstanceOf<ChangeFailedException>().With.Message.StartsWith($"{Shared} is not the same directory on every member")
        );
        Assert.That(group.Done, Is.Empty);
    }

    [TestCase(0, "0f3e\n 1000 99\n", "0f3e 1000 99 True")]
    [TestCase(0, "\n 1000 100\n", " 1000 100 False")]
    [TestCase(0, "\n", "   False")]
    [TestCase(124, "", null)]
    public void The_answer_has_the_mark_and_the_room(int status, string output, string? expected)
    {
        var seen = RepositoryDirectory.Of(new ToolAnswer(status, output));
        Assert.That(seen is null ? null : $"{seen.Mark} {seen.SizeBytes} {seen.FreeBytes} {seen.IsNearlyFull}", Is.EqualTo(expected));
    }

    private static Resource SharedRepository() =>
        ProviderBench.Resource(
            new BackupRepositoryProvider(),
            "pg",
            ("repositories", (IReadOnlyList<string>)[Shared]),
            ("directories", (IReadOnlyList<string>)[Shared]),
            ("file", "/etc/patroni/pgbackrest.conf"),
            ("configuration", Configuration)
        );

    private static Func<Read, object> Seeing(bool leads, string? mark) =>
        read =>
            read is RepositoryDirectoryRead
                ? mark is null
                    ? new ToolAnswer(124, "")
                    : new ToolAnswer(0, $"{mark}\n 1000 500\n")
                : Member(leads, Info(0, "ok"), Shared)(read);

    private sealed class SharedGroup(bool isShared) : IGroupAccess
    {
        private readonly Group _hosts = new(new ScriptResult(0, "", ""));

        public Dictionary<string, string> Marks { get; } = [];

        public List<string> Done { get; } = [];

        public TimeProvider Time => _hosts.Time;

        public ImmutableArray<Host> Members => _hosts.Members;

        public Task<Snapshot> ReadAsync(string host, IReadOnlyCollection<Read> reads, CancellationToken cancellationToken) =>
            Task.FromResult(
                ProviderBench.Snapshot([
                    .. reads.Select(read => (read, (object?)Seeing(host == "db-1", Marks.GetValueOrDefault(host, ""))(read))),
                ])
            );

        public Task<ScriptResult> RunAsync(string host, Script script, CancellationToken cancellationToken)
        {
            if (script.Text.Contains("kbr-repository", StringComparison.Ordinal))
            {
                Done.Add($"{host} marks");
                foreach (var member in isShared ? Members.Select(one => one.Name) : [host])
                {
                    Marks.TryAdd(member, "new");
                }
            }
            else
            {
                Done.Add($"{host} prepares");
            }

            return Task.FromResult(new ScriptResult(0, "", ""));
        }

        public Task<ITunnel> OpenTunnelAsync(string host, string address, int port, CancellationToken cancellationToken) =>
            throw new NotSupportedException();
    }

    [Test]
    public async Task Removed_from_the_file_it_keeps_its_backups()
    {
        Assert.That(_provider.IsForgotten(Repository()), Is.True);
        var group = new Group(new ScriptResult(0, "", ""));
        await _provider.ChangeAsync(Change(ResourceOperation.Delete), group, CancellationToken.None);
        Assert.That(group.Scripts, Is.Empty);
    }

    private static Resource Repository(params string[] places) =>
        ProviderBench.Resource(
            new BackupRepositoryProvider(),
            "pg",
            ("repositories", (IReadOnlyList<string>)(places is [] ? [Place] : places)),
            ("file", "/etc/patroni/pgbackrest.conf"),
            ("configuration", Configuration)
        );

    private static ResourceChange Change(ResourceOperation operation) => new(operation, Repository(), []);

    private Observation Observe(ToolAnswer leader, ToolAnswer replica, string configured = Place) =>
        _provider.Observe(Repository(), Member(true, leader, configured), Member(false, replica, configured));

    private string State(ToolAnswer leader, ToolAnswer replica, string configured = Place) =>
        ((Observation.Present)Observe(leader, replica, configured)).Attributes[Place].Value;

    private static Func<Read, object> Member(bool leads, ToolAnswer tool, string configured = Place) =>
        read =>
            read is Read<ToolAnswer> ? tool
            : read is FileRead ? new FileContent(Encoding.UTF8.GetBytes($"[global]\n# Repository: {configured}\nrepo1-type=s3\n"))
            : GroupAnswers.Member(leads, $$""" "system_identifier": "{{Identifier}}" """)(read);

    private static ToolAnswer Info(int code, string message, string? identifier = Identifier)
    {
        var database = identifier is null ? "" : $$"""{"id": 1, "repo-key": 1, "system-id": {{identifier}}, "version": "17"}""";
        var status = $$"""{"code": {{code}}, "message": "{{message}}"}""";
        return new ToolAnswer(
            0,
            $$"""[{"archive": [], "backup": [], "db": [{{database}}], "name": "pg", "repo": [{"key": 1, "status": {{status}} }], "status": {{status}} }]"""
        );
    }

    private sealed class Group(ScriptResult result) : IGroupAccess
    {
        public List<string> Scripts { get; } = [];

        public TimeProvider Time => TimeProvider.System;

        public ImmutableArray<Host> Members { get; } =
        [
            new Host("db-2", "db", "10.0.0.2", new SshEndpoint("db-2", 22, "root", false)),
            new Host("db-1", "db", "10.0.0.1", new SshEndpoint("db-1", 22, "root", false)),
        ];

        public Task<Snapshot> ReadAsync(string host, IReadOnlyCollection<Read> reads, CancellationToken cancellationToken) =>
            Task.FromResult(
                ProviderBench.Snapshot([.. reads.Select(read => (read, (object?)Member(host == "db-1", new ToolAnswer(0, "[]"))(read)))])
            );

        public Task<ScriptResult> RunAsync(string host, Script script, CancellationToken cancellationToken)
        {
            Scripts.Add($"{host}: {script.Text}");
            return Task.FromResult(result);
        }

        public Task<ITunnel> OpenTunnelAsync(string host, string address, int port, CancellationToken cancellationToken) =>
            throw new NotSupportedException();
    }
}
