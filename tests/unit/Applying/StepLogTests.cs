using System.Collections.Immutable;
using KeyBuzz.Reconciler.Applying;
using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Records;
using KeyBuzz.Reconciler.Resources;
using Log = KeyBuzz.Reconciler.Applying.StepLog;

namespace KeyBuzz.Reconciler.Tests.Applying;

/// <summary>How the steps of an apply are kept that a maintenance window leaves for later.</summary>
[TestFixture]
internal sealed class StepLogTests
{
    private static readonly PlannedChange s_image = Change("container", "db-1") with { Disrupts = "pg" };
    private static readonly PlannedChange s_config = Change("patroni_config", "pg");
    private static readonly PlannedChange s_extension = Change("extension", "pg");

    private ApplyView _view = null!;

    [SetUp]
    public void Watch() =>
        _view = new ApplyView(new Terminal(TextWriter.Null, TextWriter.Null, color: false), json: false, TimeProvider.System);

    [TearDown]
    public void End() => _view.Dispose();

    [Test]
    public async Task A_change_that_is_left_half_way_is_in_the_history()
    {
        var log = NewLog();
        await log.PerformAsync(s_config, () => throw new ChangeHeldException("db-1 waits for a restart"));
        log.Leave(s_image, "outside the maintenance window");

        var result = log.Result();
        Assert.That(result.Left.Select(one => one.Step), Is.EqualTo(new IPlannedStep[] { s_config, s_image }));
        Assert.That(result.LeftHalfway, Is.EqualTo(new IPlannedStep[] { s_config }), "the other one has not begun");
        Assert.That(result.Failed, Is.Empty);
        var entry = Entry(result)!;
        Assert.That(
            (entry.Result, entry.DoneCount, entry.Done.Single()),
            Is.EqualTo((HistoryResult.Partly, 0, "begin patroni_config.it@pg, left for a maintenance window"))
        );
    }

    [Test]
    public async Task A_failure_beside_a_left_change_of_the_group_is_left_with_it()
    {
        var log = NewLog();
        string? Excuse() => log.FindLeftOf("pg") is { } left ? $"{left.Address} is left" : null;

        await log.PerformAsync(s_extension, () => Task.FromResult<string?>("it is not available"), Excuse);
        Assert.That(log.Result().Failed.Single().Reason, Is.EqualTo("it is not available"), "nothing of the group is left yet");

        log.Leave(s_image, "outside the maintenance window");
        await log.PerformAsync(s_extension, () => Task.FromResult<string?>("it is not available"), Excuse);
        Assert.That(log.Result().Failed, Has.Count.EqualTo(1));
        Assert.That(log.Result().Left[^1].Reason, Is.EqualTo("it is not available; container.it@db-1 is left"));
        Assert.That(log.FindLeftOf("another"), Is.Null);
    }

    [Test]
    public async Task A_local_file_that_cannot_be_read_fails_its_step_alone()
    {
        var log = NewLog();
        var error = await log.PerformAsync(s_image, () => throw new UnauthorizedAccessException("access to /a.tar is denied"));

        Assert.That(error, Is.EqualTo("the change failed: access to /a.tar is denied"));
        Assert.That(log.Result().Failed.Single(), Is.EqualTo(((IPlannedStep)s_image, error)));
    }

    private Log NewLog() => new(_view, new Secrets(ImmutableSortedDictionary<string, string>.Empty), TimeProvider.System);

    private static HistoryEntry? Entry(ApplyResult result) =>
        new HistoryWriter("pg", "1", text => text).EntryOf(
            result,
            new LockHolder("ops", "here", 1, "/", "apply", DateTimeOffset.UnixEpoch),
            DateTimeOffset.UnixEpoch,
            DateTimeOffset.UnixEpoch,
            ["db-1"]
        );

    private static PlannedChange Change(string type, string host)
    {
        var resource = new Resource(new Address(type, "it", host), AttributeSet.Empty);
        return new PlannedChange(resource.Address, ResourceAction.Update, Cause.ConfigurationChanged, resource, [], []);
    }
}
