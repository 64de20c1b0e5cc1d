using KeyBuzz.Reconciler.Cli.Views;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Planning;
using KeyBuzz.Reconciler.Resources;
using KeyBuzz.Reconciler.Tests.Cli;

namespace KeyBuzz.Reconciler.Tests.Planning;

/// <summary>Which steps of a plan need a maintenance window, and how a plan shows them.</summary>
[TestFixture]
internal sealed class WindowOutlookTests
{
    private static readonly DateTimeOffset s_sunday = new(2026, 11, 29, 2, 30, 0, TimeSpan.Zero);
    private static readonly MaintenanceWindows s_windows = MaintenanceWindows.Parse("--within", ["Sun 02:00-04:00 UTC"]);

    private static readonly Address s_config = new("patroni_config", "pg", "pg");

    [Test]
    public void What_the_forecast_restarts_waits_and_what_it_starts_does_not()
    {
        var plan = Made(s_sunday.AddHours(3));

        Assert.That(
            plan.Changes.Select(change => change.Address).Where(plan.Window!.Waits).Select(address => address.ToString()),
            Is.EqualTo(new[] { "file.loaded@db-1", "container.db@db-1", "unit.db@db-1", "patroni_config.pg@pg" }),
            "db-2 does not serve, an image is only pulled, and a role disrupts nobody"
        );
        Assert.That(Made(s_sunday).Window!.IsClosed, Is.False);
        Assert.That(plan.Changes.Select(change => change.Address).Where(Made(s_sunday).Window!.Waits), Is.Empty, "the window is open");
    }

    [Test]
    public void Of_a_group_without_a_serving_member_that_stays_only_removals_wait()
    {
        var plan = Made(s_sunday.AddHours(3));
        var dark = plan with { Groups = [plan.Groups[0] with { Rollout = null }], Rollouts = [] };
        var leaving = dark with
        {
            Changes =
            [
                .. dark.Changes.Select(change =>
                    change.Address.Host == "db-2" && change.Disrupts is not null ? change with { Action = ResourceAction.Delete } : change
                ),
            ],
        };

        Assert.That(WindowOutlook.Of(dark, s_windows, s_sunday.AddHours(3)).Disruptive, Is.Empty);
        Assert.That(
            WindowOutlook.Of(leaving, s_windows, s_sunday.AddHours(3)).Disruptive.Select(address => address.ToString()).Order(),
            Is.EqualTo(new[] { "container.db@db-2", "file.loaded@db-2" })
        );
    }

    [Test]
    public void Of_a_group_whose_health_is_unknown_every_change_of_a_member_waits()
    {
        var plan = Made(s_sunday.AddHours(3));
        var unknown = plan with { Groups = [], Rollouts = [] };

        Assert.That(
            WindowOutlook.Of(unknown, s_windows, s_sunday.AddHours(3)).Disruptive.Select(address => address.ToString()).Order(),
            Is.EqualTo(new[] { "container.db@db-1", "container.db@db-2", "file.loaded@db-1", "file.loaded@db-2", "unit.db@db-1" })
        );
    }

    [Test]
    public void A_member_that_the_forecast_does_not_name_counts_as_disrupted()
    {
        var plan = Made(s_sunday.AddHours(3));
        var group = plan.Groups[0];
        var cut = plan with { Groups = [group with { Rollout = group.Rollout! with { Steps = [] } }] };

        Assert.That(
            WindowOutlook.Of(cut, s_windows, s_sunday).Disruptive.Select(address => address.ToString()),
            Does.Contain("container.db@db-2").And.Contain("container.db@db-1")
        );
    }

    [Test]
    public void A_plan_marks_the_steps_that_wait_in_every_format()
    {
        var text = new StringWriter();
        PlanView.Show(new Terminal(text, text, color: false), Made(s_sunday.AddHours(3)));

        var shown = text.ToString();
        Assert.That(
            shown,
            Does.Contain("Within the maintenance window Sun 02:00-04:00 UTC: closed, opens Sun 2026-12-06 02:00 +00:00\n")
                .And.Contain("  1. start db-2\n")
                .And.Contain("  2. restart db-1  # waits for the maintenance window\n")
                .And.Contain("container.db@db-1  new  # waits for the maintenance window\n")
                .And.Contain("image.db@db-1  new\n")
        );

        var json = JsonView.PlanDocument("pg", Made(s_sunday.AddHours(3)), []);
        Assert.That(JsonSchemas.Problems(json), Is.Empty);
        var report = PlanReport.Read(json, "now");
        Assert.That(
            PlanReport.StepsOf(report.Groups[0].Rollout!),
            Is.EqualTo(new[] { "start db-2", "restart db-1, waits for the maintenance window" })
        );
        Assert.That(
            report.Changes.Where(change => change.Remarks.Contains("waits for the maintenance window")).Select(change => change.Address),
            Does.Contain("container.db@db-1").And.Not.Contain("image.db@db-1")
        );

        var open = new StringWriter();
        PlanView.Show(new Terminal(open, open, color: false), Made(s_sunday));
        Assert.That(open.ToString(), Does.Contain("UTC: open, closes Sun 2026-11-29 04:00 +00:00\n").And.Not.Contain("# waits"));
    }

    // db-1 serves, db-2 does not.
    private static Plan Made(DateTimeOffset now)
    {
        PlannedChange Change(string type, string name, string host, bool disrupts)
        {
            var resource = new Resource(new Address(type, name, host), AttributeSet.Empty);
            return new PlannedChange(resource.Address, ResourceAction.Replace, Cause.New, resource, [], [])
            {
                Disrupts = disrupts ? "pg" : null,
            };
        }

        var policy = new GroupPolicy("pg", new FakePolicy(), AttributeSet.Empty);
        var plan = new Plan(
            [
                Change("image", "db", "db-1", disrupts: false),
                Change("file", "loaded", "db-1", disrupts: false) with
                {
                    ReplacedProcess = new Address("container", "db", "db-1"),
                },
                Change("file", "loaded", "db-2", disrupts: false) with
                {
                    ReplacedProcess = new Address("container", "db", "db-2"),
                },
                Change("container", "db", "db-1", disrupts: true),
                Change("unit", "db", "db-1", disrupts: true),
                Change("container", "db", "db-2", disrupts: true),
                Change("patroni_config", "pg", "pg", disrupts: false),
                Change("role", "app", "pg", disrupts: false),
            ],
            [],
            []
        )
        {
            Groups =
            [
                new PlannedGroup(policy, [])
                {
                    Rollout = new RolloutForecast(
                        policy.Address,
                        [new(RolloutStepKind.Start, ["db-2"], ""), new(RolloutStepKind.Restart, ["db-1"], "")],
                        null,
                        ""
                    ),
                },
            ],
            Rollouts = [new RolloutForecast(s_config, [new(RolloutStepKind.Switchover, ["db-1", "db-2"], "")], null, "")],
        };
        return plan with { Window = WindowOutlook.Of(plan, s_windows, now) };
    }
}
