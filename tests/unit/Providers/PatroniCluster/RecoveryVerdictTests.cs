using System.Text;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.PatroniCluster;

namespace KeyBuzz.Reconciler.Tests.Providers.PatroniCluster;

[TestFixture]
internal sealed class RecoveryVerdictTests
{
    private const string Cluster = "pg";

    private static readonly RecoveryJournal s_begun = new("20261128T211000Z", "db-1", ["db-2", "db-3"]);
    private static readonly RecoveryJournal s_done = s_begun with { IsDone = true };
    private static readonly RecoveryJournal s_second = new("20261129T100000Z", "db-2", ["db-1", "db-3"], IsDone: true);

    // Members: a name, its journal ('-' none, 'b' begun, 'd' done, '2' a second one, '!' damaged, 'f' one that its survivor does not
    // have), and its password ('+' the desired, '~' another, '?' not known, '0' no container). One that is not there could not be read.
    [TestCase("db-1 -+; db-2 -+; db-3 -+", "db-1", ExpectedResult = "none")]
    [TestCase("db-1 d+; db-2 -~; db-3 -~", "db-1", ExpectedResult = "aside db-2, db-3")]
    [TestCase("db-1 d+; db-2 -~; db-3 -~", "db-1 db-2", ExpectedResult = "aside db-2, db-3", Description = "with a primary of their own")]
    [TestCase("db-1 d+; db-2 d+; db-3 -~", "db-1", ExpectedResult = "aside db-3", Description = "who has a copy is done")]
    [TestCase("db-1 d+; db-2 -+; db-3 -~", "db-1", ExpectedResult = "aside db-3", Description = "started as a recovered member")]
    [TestCase("db-1 d+; db-2 -?; db-3 -~", "db-1", ExpectedResult = "aside db-2, db-3", Description = "a new host has no container")]
    [TestCase("db-1 d+; db-2 d+; db-3 d+", "db-2", ExpectedResult = "aside ", Description = "another leads later")]
    [TestCase("db-1 d~; db-2 -+; db-3 -+", "db-1", ExpectedResult = "the credentials file is older than the recovery of pg")]
    [TestCase("db-1 d~; db-2 -+; db-3 -+", "db-2", ExpectedResult = "the credentials file is older than the recovery of pg")]
    [TestCase("db-1 b+; db-2 -~; db-3 -~", "", ExpectedResult = "a recovery of pg from db-1 is unfinished")]
    [TestCase("db-1 b+; db-2 -+; db-3 -+", "db-2", ExpectedResult = "a recovery of pg from db-1 is unfinished")]
    [TestCase(
        "db-1 b~; db-2 -~; db-3 -~",
        "db-1",
        ExpectedResult = "a recovery of pg from db-1 is unfinished",
        Description = "as before it"
    )]
    [TestCase("db-1 b+; db-2 -~; db-3 -~", "db-1", ExpectedResult = "aside db-2, db-3", Description = "it leads: only the note is missing")]
    [TestCase("db-1 d0; db-2 -~; db-3 d+", "db-3", ExpectedResult = "it is unknown whether db-2 took part in the recovered pg")]
    [TestCase("db-1 d0; db-2 -0; db-3 d+", "db-3", ExpectedResult = "it is unknown whether db-2 took part in the recovered pg")]
    [TestCase(
        "db-1 d?; db-2 d?; db-3 -0",
        "db-1",
        ExpectedResult = "aside db-3",
        Description = "a new host, with a store that tells no password"
    )]
    [TestCase("db-1 d?; db-2 d?; db-3 d?", "db-2", ExpectedResult = "aside ", Description = "such a store, and all are done")]
    [TestCase("db-1 d?; db-2 d?; db-3 -?", "db-1", ExpectedResult = "it is unknown whether db-3 took part in the recovered pg")]
    [TestCase("db-1 d+", "db-1", ExpectedResult = "db-2 and db-3 cannot be read")]
    [TestCase("db-1 d+; db-2 -~", "db-1", ExpectedResult = "aside db-2", Description = "db-3 alone elects nobody")]
    [TestCase("db-1 !+; db-2 -+; db-3 -+", "db-1", ExpectedResult = "db-1 has a record of a recovery of pg that cannot be read")]
    [TestCase("db-1 d+; db-2 !~; db-3 -~", "db-1", ExpectedResult = "db-2 has a record of a recovery of pg that cannot be read")]
    [TestCase("db-1 -+; db-2 f+; db-3 -+", "db-1", ExpectedResult = "db-1 does not confirm the recovery of pg")]
    [TestCase("db-2 d+; db-3 -~", "db-2", ExpectedResult = "db-1 does not confirm the recovery of pg")]
    [TestCase("db-2 d+; db-3 d+", "db-2", ExpectedResult = "none", Description = "the survivor is off, and all are done")]
    [TestCase("db-1 d~; db-2 2+; db-3 d~", "db-2", ExpectedResult = "aside db-1, db-3", Description = "a second recovery")]
    public string What_a_recovery_means_for_a_change(string members, string leaders)
    {
        var passwords = new Dictionary<Snapshot, bool?>();
        var absent = new HashSet<Snapshot>();
        var answers = new Dictionary<string, Snapshot>(StringComparer.Ordinal);
        foreach (var member in members.Split("; "))
        {
            var (name, what) = (member.Split(' ')[0], member.Split(' ')[1]);
            var text = what[0] switch
            {
                'b' => Json(s_begun),
                'd' or 'f' => Json(s_done),
                '2' => Json(s_second),
                '!' => "{\"format\":1,",
                _ => null,
            };
            answers[name] = ProviderBench.Snapshot(
                (RecoveryJournal.Read(Cluster), text is null ? null : new FileContent(Encoding.UTF8.GetBytes(text)))
            );
            if (what[1] == '0')
            {
                absent.Add(answers[name]);
            }

            passwords[answers[name]] = what[1] switch
            {
                '+' => true,
                '~' => false,
                _ => null,
            };
        }

        var names = leaders.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return RecoveryVerdict.Of(Cluster, answers, names, snapshot => passwords[snapshot], snapshot => !absent.Contains(snapshot)) switch
        {
            RecoveryVerdict.Known known => $"aside {string.Join(", ", known.Returned)}",
            RecoveryVerdict.Refused { Reason: var reason, Remedy.Length: > 0 } => reason.Split(',', ':')[0],
            _ => "none",
        };
    }

    // Such as after a move from RAFT: only the operator knows, and one command ends it.
    [Test]
    public void A_store_that_tells_no_password_names_the_command_that_ends_an_old_recovery()
    {
        Snapshot Member(RecoveryJournal? journal) =>
            ProviderBench.Snapshot(
                (RecoveryJournal.Read(Cluster), journal is null ? null : new FileContent(Encoding.UTF8.GetBytes(Json(journal))))
            );
        var verdict = RecoveryVerdict.Of(
            Cluster,
            new Dictionary<string, Snapshot>
            {
                ["db-1"] = Member(s_done),
                ["db-2"] = Member(s_done),
                ["db-3"] = Member(null),
            },
            ["db-1"],
            _ => null,
            _ => true
        );
        Assert.That(
            ((RecoveryVerdict.Refused)verdict).Remedy,
            Does.StartWith("where the cluster is healthy with db-3, run kbr recover confirm")
        );
    }

    [Test]
    public void A_record_is_read_back_and_one_that_contradicts_itself_is_damaged()
    {
        Assert.That(RecoveryJournal.Parse(Encoding.UTF8.GetBytes(Json(s_begun)))?.IsDone, Is.False);
        Assert.That(RecoveryJournal.Parse(Encoding.UTF8.GetBytes(Json(s_done)))?.IsDone, Is.True);
        foreach (
            var bad in new[]
            {
                Json(s_done with { Id = "../x" }),
                Json(s_done with { Others = ["db-1", "db-2"] }),
                Json(s_done).Replace("done", "over", StringComparison.Ordinal),
                "",
            }
        )
        {
            Assert.That(RecoveryJournal.Parse(Encoding.UTF8.GetBytes(bad)), Is.Null, bad);
        }
    }

    [Test]
    public void A_second_recovery_has_a_name_of_its_own_also_where_the_clock_stands()
    {
        Assert.That(RecoveryJournal.IdAfter(s_done.Begun, null), Is.EqualTo(s_done.Id));
        Assert.That(RecoveryJournal.IdAfter(s_done.Begun.AddHours(-1), s_done), Is.EqualTo("20261128T211001Z"));
        Assert.That(RecoveryJournal.IdAfter(s_done.Begun.AddHours(1), s_done), Is.EqualTo("20261128T221000Z"));
    }

    // With the tools of this machine; Docker Engine is not there, or answers for no container.
    [TestCase(false)]
    [TestCase(true)]
    public void Data_is_kept_aside_once_for_each_recovery_and_the_store_begins_empty(bool hasDocker)
    {
        var folder = Directory.CreateTempSubdirectory("kbr-aside-").FullName;
        try
        {
            var (data, store, tools) = ($"{folder}/data", $"{folder}/store", $"{folder}/tools");
            Directory.CreateDirectory(tools);
            if (hasDocker)
            {
                File.WriteAllText($"{tools}/docker", "#!/bin/sh\n[ \"$1\" = version ]\n");
                ProviderBench.Output($"chmod +x {tools}/docker");
            }

            // With nothing of this machine's own on its path but what it needs.
            var path = $"for tool in mv install stat ls; do ln -sf \"$(command -v $tool)\" {tools}/$tool; done\nPATH={tools}\n";
            foreach (var journal in new[] { s_done, s_second })
            {
                Directory.CreateDirectory(data);
                File.WriteAllText($"{data}/of", journal.Id);
                Directory.CreateDirectory(store);
                File.WriteAllText($"{store}/of", journal.Id);
                for (var time = 0; time < 2; time++)
                {
                    ProviderBench.Output(path + RecoveryJournal.Stop("patroni", null) + journal.SetAside(data, [store]));
                    Assert.That(File.ReadAllText($"{journal.Aside(data)}/of"), Is.EqualTo(journal.Id));
                    Assert.That(File.ReadAllText($"{journal.Aside(store)}/of"), Is.EqualTo(journal.Id));
                    Assert.That(Directory.Exists(data), Is.False);
                    Assert.That(Directory.GetFileSystemEntries(store), Is.Empty);
                }
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    // It was started meanwhile, as a member of the former cluster: its store must not remember that.
    [Test]
    public void A_store_that_was_filled_again_is_kept_aside_again()
    {
        var folder = Directory.CreateTempSubdirectory("kbr-aside-").FullName;
        try
        {
            var store = $"{folder}/store";
            foreach (var name in new[] { "", ".1", ".2" })
            {
                Directory.CreateDirectory(store);
                File.WriteAllText($"{store}/of", name);
                ProviderBench.Output("set -eu\n" + s_done.SetAside(null, [store]));
                Assert.That(File.ReadAllText($"{s_done.Aside(store)}{name}/of"), Is.EqualTo(name));
                Assert.That(Directory.GetFileSystemEntries(store), Is.Empty);
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static string Json(RecoveryJournal journal) => journal.Write(Cluster).Split('\'').First(part => part.StartsWith('{'));
}
