using KeyBuzz.Reconciler.Providers.ConsensusStore.Etcd;

namespace KeyBuzz.Reconciler.Tests.Providers.ConsensusStore;

/// <summary>How a member of etcd starts, by what is in its data directory. Only one with a write-ahead log is a member already.</summary>
[TestFixture]
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
internal sealed class EtcdStartTests : IDisposable
{
    private const string Wal = "member/wal/0000000000000000-0000000000000000.wal";
    private const string Database = "member/snap/db";
    private const string Joins = "existing db-2=http://10.0.0.2:2380,db-3=http://10.0.0.3:2380,db-1=http://10.0.0.1:2380";
    private const string Founds = "new db-1=http://10.0.0.1:2380,db-2=http://10.0.0.2:2380,db-3=http://10.0.0.3:2380";

    private readonly string _folder = Directory.CreateTempSubdirectory("kbr-etcd-").FullName;

    private string Data => $"{_folder}/data";

    [SetUp]
    public void Tools()
    {
        Directory.CreateDirectory(Data);
        Write("etc/members", Founds["new ".Length..] + "\n");
        Write("etc/others", "http://10.0.0.2:2379,http://10.0.0.3:2379\n");
        Write("etc/root-password", "canary\n");
        Write("bin/etcd", $"#!/bin/sh\nenv | grep ^ETCD >'{_folder}/environment'\n");
        Write(
            "bin/etcdctl",
            $$"""
            #!/bin/sh
            echo "$*" >>'{{_folder}}/asked'
            [ "$1 $2" != 'member add' ] || : >'{{_folder}}/added'
            [ "$1 $2" = 'member list' ] || exit 0
            echo '8211f1d0f64f3269, started, db-2, http://10.0.0.2:2380, http://10.0.0.2:2379, false'
            echo '91bc3c398fb3c146, started, db-3, http://10.0.0.3:2380, http://10.0.0.3:2379, false'
            [ ! -e '{{_folder}}/added' ] || echo 'fd422379fda50e48, unstarted, , http://10.0.0.1:2380, , true'
            """
        );
        Write("start", EtcdProgram.Start.Replace(EtcdProgram.Directory, $"{_folder}/etc", StringComparison.Ordinal));
        ProviderBench.Output($"chmod +x {_folder}/bin/*");
    }

    // etcd makes its database before it looks for a log, and before it joins.
    [TestCase("", false, Joins)]
    [TestCase("", true, Founds)]
    [TestCase(Database, false, Joins)]
    [TestCase(Database, true, Founds)]
    [TestCase(Database + " member/wal.tmp/0.tmp", false, Joins)]
    [TestCase(Database + " member/wal/0.tmp", false, Joins)]
    [TestCase(Database + " " + Wal, false, "existing")]
    [TestCase(Database + " " + Wal, true, "existing")]
    public void A_member_without_a_log_joins_or_founds_the_declared_cluster_and_no_other(string files, bool isMarked, string expected)
    {
        foreach (var file in files.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            Write($"data/{file}", "");
        }

        if (isMarked)
        {
            Write($"data/{EtcdProgram.Mark}", "");
        }

        Assert.That(Started(), Is.EqualTo(expected));
        Assert.That(File.Exists($"{Data}/{EtcdProgram.Mark}"), Is.EqualTo(expected == Founds), "it is gone with the first log");
        Assert.That(File.Exists($"{_folder}/added"), Is.EqualTo(expected == Joins));
    }

    [Test]
    public void What_a_member_without_a_log_had_is_kept_aside_once()
    {
        foreach (var content in new[] { "first", "second" })
        {
            Write($"data/{Database}", content);
            Assert.That(Started(), Is.EqualTo(Joins));
            Assert.That(Directory.Exists($"{Data}/member"), Is.False);
        }

        Assert.That(File.ReadAllText($"{Data}/{EtcdProgram.Aside}/snap/db"), Is.EqualTo("first"));
    }

    [Test]
    public void A_member_goes_on_alone_once_and_only_with_its_data()
    {
        Write($"data/{EtcdProgram.Alone}", "");
        Assert.That(Started(), Is.EqualTo(Joins), "it has nothing to go on with");

        Write($"data/{Wal}", "");
        Assert.That(Started(), Is.EqualTo("existing"), "the word was for what it had then");

        Write($"data/{EtcdProgram.Alone}", "");
        Assert.That(Started(), Is.EqualTo("existing alone"));
        Assert.That(Started(), Is.EqualTo("existing"));
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    // The state and the members of the cluster that etcd is told.
    private string Started()
    {
        ProviderBench.Output(
            $"""
            export PATH={_folder}/bin:$PATH ETCD_DATA_DIR={Data} ETCD_NAME=db-1 ETCD_INITIAL_ADVERTISE_PEER_URLS=http://10.0.0.1:2380
            sh {_folder}/start </dev/null
            """
        );
        var given = File.ReadAllLines($"{_folder}/environment")
            .Select(line => line.Split('=', 2))
            .ToDictionary(one => one[0], one => one[1]);
        Assert.That(given.Keys, Has.None.StartsWith("ETCDCTL_"), "etcd itself needs no password");
        return string.Join(
            ' ',
            new[]
            {
                given.GetValueOrDefault("ETCD_INITIAL_CLUSTER_STATE"),
                given.GetValueOrDefault("ETCD_INITIAL_CLUSTER"),
                given.GetValueOrDefault("ETCD_FORCE_NEW_CLUSTER") == "true" ? "alone" : null,
            }.OfType<string>()
        );
    }

    private void Write(string name, string text)
    {
        var path = Path.Combine(_folder, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, text);
    }
}
