using System.Text;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.SystemdTimer;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.Providers;

[TestFixture]
internal sealed class SystemdTimerTests
{
    private const string Service = "[Service]\nType=oneshot\nExecStart=/bin/true\n";
    private const string TimerPath = "/etc/systemd/system/nightly.timer";
    private const string ServicePath = "/etc/systemd/system/nightly.service";

    private static readonly Resource s_timer = Timer();
    private readonly SystemdTimerProvider _provider = new();

    [Test]
    public void The_timer_has_every_time_and_makes_up_for_a_missed_run() =>
        Assert.That(
            _provider.Desired(Timer(("schedule", (IReadOnlyList<string>)["Sun 01:00", "daily"])))["timer"].Value,
            Does.Contain("\n[Timer]\nOnCalendar=Sun 01:00\nOnCalendar=daily\nPersistent=true\n").And.Contain("WantedBy=timers.target")
        );

    [Test]
    public void As_declared_it_has_no_difference() => Assert.That(Differences(), Is.Empty);

    [Test]
    public void A_run_of_the_service_is_no_difference() => Assert.That(Differences(service: ("ActiveState", "activating")), Is.Empty);

    [Test]
    public void A_disabled_timer_is_drift() =>
        Assert.That(
            Differences(timer: [("UnitFileState", "disabled"), ("ActiveState", "inactive")]),
            Is.EquivalentTo(new[] { "active", "enabled" })
        );

    [Test]
    public void A_file_that_was_edited_is_drift()
    {
        Assert.That(Differences(timerText: "[Timer]\nOnCalendar=monthly\n"), Is.EqualTo(new[] { "timer" }));
        Assert.That(Differences(serviceText: "[Service]\nExecStart=/bin/false\n"), Is.EqualTo(new[] { "service" }));
        Assert.That(Differences(service: ("NeedDaemonReload", "yes")), Is.EqualTo(new[] { "loaded" }));
    }

    [Test]
    public void A_file_that_overrides_it_is_drift_and_the_plan_says_what_becomes_of_it()
    {
        const string DropIn = "/etc/systemd/system/nightly.timer.d/override.conf";
        Assert.That(Differences(dropIn: DropIn), Is.EqualTo(new[] { "overridden" }));
        Assert.That(((Observation.Present)Observe(dropIn: DropIn)).Note, Is.EqualTo($"apply renames {DropIn} to {DropIn}.before-kbr"));
    }

    [Test]
    public void A_masked_timer_is_drift() =>
        Assert.That(
            Differences(
                timer: [("LoadState", "masked"), ("UnitFileState", "masked"), ("ActiveState", "inactive"), ("FragmentPath", "/dev/null")],
                kind: "symbolic link"
            ),
            Is.EquivalentTo(new[] { "active", "enabled", "overridden" })
        );

    [Test]
    public void Without_its_file_it_is_to_be_made() => Assert.That(Observe(timerText: null), Is.InstanceOf<Observation.Absent>());

    [Test]
    public void Where_systemd_does_not_answer_it_is_unknown()
    {
        var answers = _provider
            .Reads(s_timer)
            .Select(read => (read, (object?)(read is UnitRead ? new UnitState(new Dictionary<string, string>()) : null)))
            .ToArray();
        Assert.That(_provider.Observe(s_timer, ProviderBench.Snapshot(answers)), Is.InstanceOf<Observation.Unknown>());
    }

    // The time of its last run belongs to the former schedule: a run would be made up for that was never due.
    [Test]
    public void Only_another_schedule_forgets_the_last_run()
    {
        Assert.That(Script(ResourceOperation.Update, "timer"), Does.Contain("systemctl clean --what=state"));
        Assert.That(Script(ResourceOperation.Create), Does.Contain("systemctl clean --what=state"));
        Assert.That(Script(ResourceOperation.Update, "service"), Does.Not.Contain("systemctl clean").And.Contain("systemctl start"));
    }

    [Test]
    public void Removed_it_is_stopped_disabled_and_gone_and_a_running_service_goes_on()
    {
        var script = Script(ResourceOperation.Delete);
        Assert.That(
            script,
            Does.Contain("systemctl disable --quiet --now -- \"$timer\"").And.Contain($"rm -f -- '{TimerPath}' '{ServicePath}'")
        );
        Assert.That(script, Does.Not.Contain("systemctl stop"));
    }

    [Test]
    public void Its_scripts_are_valid_shell()
    {
        foreach (var operation in Enum.GetValues<ResourceOperation>())
        {
            ProviderBench.Output("true || {\n" + Script(operation) + "\n}");
        }
    }

    [TestCase("schedule", "Sun 01:00\nExecStart=/bin/x")]
    [TestCase("schedule", "Some 01:00")]
    [TestCase("unit", "a/b")]
    public void What_cannot_be_meant_is_refused(string name, string value) =>
        Assert.That(_provider.Validate(Timer((name, name == "schedule" ? (IReadOnlyList<string>)[value] : value))), Has.Exactly(1).Items);

    [Test]
    public void A_service_with_a_secret_is_refused() =>
        Assert.That(
            _provider.Validate(Timer(("service", new SecretText([new SecretText.Part("canary-of-a-secret", true)])))).Single().Summary,
            Does.Contain("must not hold secrets").And.Not.Contain("canary")
        );

    private static Resource Timer(params (string Name, object Value)[] values) =>
        ProviderBench.Resource(
            new SystemdTimerProvider(),
            "nightly",
            [("schedule", (IReadOnlyList<string>)["Sun 01:00"]), ("service", SecretText.Plain(Service)), .. values]
        );

    private string Script(ResourceOperation operation, params string[] changed) =>
        _provider.Render(operation, s_timer, changed: changed).Text;

    private List<string> Differences(
        (string, string)[]? timer = null,
        (string, string)? service = null,
        string? timerText = "",
        string? serviceText = "",
        string? dropIn = null,
        string kind = "regular file"
    )
    {
        var found = ((Observation.Present)Observe(timer, service, timerText, serviceText, dropIn, kind)).Attributes;
        var desired = _provider.Desired(s_timer);
        Assert.That(found.Keys, Is.EquivalentTo(desired.Keys));
        return [.. desired.Keys.Where(key => !Equals(found[key], desired[key]))];
    }

    private Observation Observe(
        (string Name, string Value)[]? timer = null,
        (string Name, string Value)? service = null,
        string? timerText = "",
        string? serviceText = "",
        string? dropIn = null,
        string kind = "regular file"
    ) =>
        _provider.Observe(
            s_timer,
            ProviderBench.Snapshot([
                (new UnitRead("nightly.timer"), Unit(TimerPath, "active", timer ?? [], dropIn)),
                (new UnitRead("nightly.service"), Unit(ServicePath, "inactive", service is { } one ? [one] : [], null)),
                (new StatRead(TimerPath), timerText is null ? null : Stat(kind)),
                (new StatRead(ServicePath), Stat("regular file")),
                (new FileRead(TimerPath), File(timerText is "" ? _provider.Desired(s_timer)["timer"].Value : timerText)),
                (new FileRead(ServicePath), File(serviceText is "" ? Service : serviceText)),
            ])
        );

    private static UnitState Unit(string path, string state, (string Name, string Value)[] changed, string? dropIn)
    {
        var properties = new Dictionary<string, string>
        {
            ["LoadState"] = "loaded",
            ["ActiveState"] = state,
            ["UnitFileState"] = "enabled",
            ["NeedDaemonReload"] = "no",
            ["FragmentPath"] = path,
        };
        foreach (var (name, value) in changed)
        {
            properties[name] = value;
        }

        return new UnitState(properties) { DropIns = dropIn is null ? [] : [dropIn] };
    }

    private static FileStat Stat(string kind) => new(kind, 0, 0, "root", "root", "0644", DateTimeOffset.UnixEpoch);

    private static FileContent? File(string? text) => text is null ? null : new FileContent(Encoding.UTF8.GetBytes(text));
}
