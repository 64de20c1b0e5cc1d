using System.Collections.Immutable;
using KeyBuzz.Reconciler.Applying;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Surveying;
using KeyBuzz.Reconciler.Tests.Configuration;

namespace KeyBuzz.Reconciler.Tests.Applying;

/// <summary>What is done with records that nothing reads any more.</summary>
[TestFixture, FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
internal sealed class RecordCleanupTests : LoaderFixture
{
    [Test]
    public async Task A_host_that_fails_after_an_apply_keeps_records_and_the_others_are_cleaned()
    {
        using var lost = new Writer(fails: true);
        using var good = new Writer(fails: false);
        var cluster = Load(Header) with { Groups = [new HostGroup("pg", ["lb-1"])] };
        var cleanup = new RecordCleanup(cluster, new Dictionary<string, IHostWriter> { ["db-1"] = lost, ["db-2"] = good });
        var survey = new Survey(
            ImmutableDictionary<Address, ResourceRecord>.Empty,
            ImmutableDictionary<Address, Observation>.Empty,
            ImmutableSortedDictionary<string, string>.Empty,
            []
        )
        {
            ObsoleteRecords = new Dictionary<string, ImmutableArray<string>>
            {
                ["db-1"] = ["/one"],
                ["db-2"] = ["/two"],
                ["lb-1"] = ["/three"],
            },
        };

        await cleanup.RemoveFromFormerMembersAsync(new ApplyResult([Removed("db-1"), Removed("db-2")], [], []), CancellationToken.None);
        await cleanup.RemoveObsoleteAsync(survey, CancellationToken.None);

        Assert.That(lost.Ran, Has.Count.EqualTo(2));
        Assert.That(
            good.Ran.Select(text => text.Split('\n')[0]),
            Is.EqualTo(new[] { "rm -f -- '/var/lib/kbr/lab/records'/*'@pg.json'", "rm -f -- '/two'" })
        );
    }

    private static PlannedChange Removed(string host)
    {
        var resource = new Resource(new Address("thing", "runs", host), AttributeSet.Empty) { Group = "pg" };
        return new PlannedChange(resource.Address, ResourceAction.Delete, Cause.Removed, resource, [], []) { Disrupts = "pg" };
    }

    private sealed class Writer(bool fails) : IHostWriter, IDisposable
    {
        public List<string> Ran { get; } = [];

        public Task<ScriptResult> RunAsync(Script script, CancellationToken cancellationToken)
        {
            Ran.Add(script.Text);
            return fails ? throw new HostException("db-1", "the connection was lost") : Task.FromResult(new ScriptResult(0, "", ""));
        }

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;

        public void Dispose() { }
    }
}
