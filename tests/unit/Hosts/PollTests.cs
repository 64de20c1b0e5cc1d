using KeyBuzz.Reconciler.Hosts;

namespace KeyBuzz.Reconciler.Tests.Hosts;

/// <summary>How often and how long a poll looks.</summary>
[TestFixture]
public sealed class PollTests
{
    private static readonly PollPace s_pace = new(TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(3));

    private LeapingTime _time = new();
    private readonly List<double> _looks = [];

    [SetUp]
    public void Restart()
    {
        _time = new();
        _looks.Clear();
    }

    [Test]
    public async Task It_ends_with_the_first_look_that_holds()
    {
        Assert.That(await RunAsync(look => look == 3), Is.EqualTo(3));
        Assert.That(_looks, Is.EqualTo(new[] { 0.0, 1, 2 }));
    }

    [Test]
    public async Task After_the_deadline_it_answers_the_last_look()
    {
        Assert.That(await RunAsync(_ => false), Is.EqualTo(5));
        Assert.That(_looks, Is.EqualTo(new[] { 0.0, 1, 2, 3, 4 }), "the deadline of 3 s has passed at the look after it");
    }

    [Test]
    public async Task It_looks_once_where_there_is_no_time()
    {
        Assert.That(await RunAsync(_ => false, new PollPace(TimeSpan.FromSeconds(1), TimeSpan.Zero), took: 1), Is.EqualTo(1));
    }

    [Test]
    public async Task Progress_restarts_the_deadline()
    {
        Assert.That(await RunAsync(_ => false, hasAdvanced: look => look <= 4), Is.EqualTo(8));
        Assert.That(_looks[^1], Is.EqualTo(7.0), "3 s after the fourth look, and one more");
    }

    [TestCase(false, 2, 3, 6)]
    [TestCase(true, 0, 1, 2)]
    [TestCase(true, 1, 4, 8)]
    [TestCase(true, 20, 25, 50, Description = "it has waited itself, for a host that does not answer")]
    public async Task A_slow_look_makes_a_pause_three_times_as_long_only_where_slow_hosts_are_spared(
        bool spares,
        int took,
        int second,
        int third
    )
    {
        await RunAsync(look => look == 3, s_pace with { Deadline = TimeSpan.FromSeconds(60), SparesSlowHosts = spares }, took: took);
        Assert.That(_looks, Is.EqualTo(new[] { 0.0, second, third }));
    }

    [Test]
    public async Task It_reports_each_look_that_another_one_follows()
    {
        var told = new List<int>();
        await RunAsync(look => look == 3, beforePause: told.Add);
        Assert.That(told, Is.EqualTo(new[] { 1, 2 }));
    }

    [Test]
    public void A_cancelled_pause_ends_it()
    {
        using var stop = new CancellationTokenSource();
        Assert.That(
            () =>
                Poll.UntilAsync(
                    async () =>
                    {
                        await stop.CancelAsync();
                        return false;
                    },
                    holds => holds,
                    s_pace,
                    TimeProvider.System,
                    stop.Token
                ),
            Throws.InstanceOf<OperationCanceledException>()
        );
    }

    // Answers the number of the last look.
    private Task<int> RunAsync(
        Func<int, bool> condition,
        PollPace? pace = null,
        int took = 0,
        Func<int, bool>? hasAdvanced = null,
        Action<int>? beforePause = null
    ) =>
        Poll.UntilAsync(
            () =>
            {
                _looks.Add(TimeSpan.FromTicks(_time.GetTimestamp()).TotalSeconds);
                _time.Leap(TimeSpan.FromSeconds(took));
                return Task.FromResult(_looks.Count);
            },
            condition,
            pace ?? s_pace,
            _time,
            CancellationToken.None,
            hasAdvanced,
            beforePause
        );
}
