using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.SystemdUnit;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.Providers;

[TestFixture]
public sealed class SystemdUnitTests
{
    private const string Content =
        "[Unit]\nRequiresMountsFor=/data /more\n[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n";

    private static readonly DateTimeOffset Noon = new(2026, 11, 23, 12, 0, 0, TimeSpan.Zero);
    private readonly SystemdUnitProvider _provider = new();

    private static Resource Unit(params (string Name, object Value)[] values) =>
        new(
            new Address("systemd_unit", "app", "h1"),
            values.Aggregate(AttributeSet.Empty.With("enabled", true).With("active", true), (set, pair) => set.With(pair.Name, pair.Value))
        );

    private static Resource WithContent(params (string Name, object Value)[] values) =>
        Unit([("content", SecretText.Plain(Content)), .. values]);

    private Observation Observe(
        Resource resource,
        (string Name, string Value)[]? properties = null,
        string? content = Content,
        string? marker = null,
        string kind = "regular file",
        string[]? dropIns = null,
        string[]? startedWith = null
    )
    {
        var unit = new Dictionary<string, string>
        {
            ["LoadState"] = "loaded",
            ["ActiveState"] = "active",
            ["UnitFileState"] = "enabled",
            ["NeedDaemonReload"] = "no",
            ["FragmentPath"] = "/etc/systemd/system/app.service",
            ["ActiveEnterTimestamp"] = "Mon 2026-11-23 12:00:00.123456 UTC",
            ["InvocationID"] = "1d",
        };
        foreach (var (name, value) in properties ?? [])
        {
            unit[name] = value;
        }

        var answers = ImmutableDictionary<Read, object?>.Empty;
        foreach (var read in _provider.Reads(resource))
        {
            answers = answers.Add(
                read,
                read switch
                {
                    UnitRead => new UnitState(properties is [] ? new Dictionary<string, string>() : unit)
                    {
                        DropIns = [.. dropIns ?? []],
                        StartedWith = [.. startedWith ?? ["multi-user.target"]],
                    },
                    StatRead => content is null ? null : new FileStat(kind, 0, 0, "root", "root", "0644", Noon),
                    FileRead file => (file.Path == "/etc/systemd/system/app.service" ? content : marker) is { } text
                        ? new FileContent(Encoding.UTF8.GetBytes(text))
                        : null,
                    _ => throw new InvalidOperationException(read.ToString()),
                }
            );
        }

        return _provider.Observe(resource, new Snapshot(answers));
    }

    private IEnumerable<string> Differences(Resource resource, Observation observation)
    {
        var observed = ((Observation.Present)observation).Attributes;
        var desired = _provider.Desired(resource);
        Assert.That(observed.Keys, Is.EqualTo(desired.Keys));
        return desired.Where(pair => pair.Value.Value != observed[pair.Key].Value).Select(pair => $"{pair.Key}={observed[pair.Key].Value}");
    }

    [Test]
    public void A_unit_as_wanted_observes_as_desired() => Assert.That(Differences(WithContent(), Observe(WithContent())), Is.Empty);

    [TestCase("ActiveState", "inactive", "active=false")]
    [TestCase("ActiveState", "failed", "active=failed")]
    [TestCase("ActiveState", "activating", "active=activating")]
    [TestCase("UnitFileState", "disabled", "enabled=false")]
    [TestCase("UnitFileState", "enabled-runtime", "enabled=enabled-runtime")]
    [TestCase("NeedDaemonReload", "yes", "loaded=stale")]
    [TestCase("ActiveEnterTimestamp", "Mon 2026-11-23 11:00:00.123456 UTC", "loaded=stale")]
    [TestCase("FragmentPath", "/run/systemd/transient/app.service", "fragment=/run/systemd/transient/app.service")]
    public void One_property_that_changed_is_one_difference(string property, string value, string expected) =>
        Assert.That(Differences(WithContent(), Observe(WithContent(), [(property, value)])), Is.EqualTo(new[] { expected }));

    private const string DropIn = "/etc/systemd/system/app.service.d/x.conf";

    [Test]
    public void A_drop_in_is_one_difference_with_its_path_and_its_handling()
    {
        var observed = Observe(WithContent(), dropIns: [DropIn]);
        Assert.That(Differences(WithContent(), observed), Is.EqualTo(new[] { "drop_ins=" + DropIn }));
        Assert.That(
            ((Observation.Present)observed).Note,
            Is.EqualTo($"apply renames {DropIn} to {DropIn}.before-kbr; to keep it, list it under drop_ins")
        );
        Assert.That(_provider.Schema.EffectOf("drop_ins"), Is.EqualTo(ChangeEffect.Disruptive), "it waits for the member's turn");
    }

    [Test]
    public void A_drop_in_that_is_listed_may_be_there_and_need_not()
    {
        var unit = WithContent(("drop_ins", new[] { DropIn }));
        Assert.That(Differences(unit, Observe(unit, dropIns: [DropIn])), Is.Empty);
        Assert.That(Differences(unit, Observe(unit)), Is.Empty);
        Assert.That(
            Differences(unit, Observe(unit, dropIns: [DropIn, "/run/systemd/system/app.service.d/y.conf"])),
            Has.Exactly(1).Contains("y.conf")
        );
        Assert.That(_provider.Validate(unit), Is.Empty);
        Assert.That(
            _provider.Validate(WithContent(("drop_ins", new[] { "/etc/systemd/system/other.service.d/x.conf" }))),
            Has.Exactly(1).Items
        );
        Assert.That(_provider.Validate(Unit(("drop_ins", new[] { DropIn }))), Has.Exactly(1).Items, "a unit that kbr does not write");
    }

    [Test]
    public void A_masked_unit_is_two_differences_and_is_written_again()
    {
        var observed = Observe(
            WithContent(),
            [("LoadState", "masked"), ("UnitFileState", "masked"), ("FragmentPath", "/dev/null")],
            kind: "symbolic link"
        );
        Assert.That(Differences(WithContent(), observed), Is.EqualTo(new[] { "enabled=masked", "fragment=masked" }));
        Assert.That(
            _provider.Render(new ResourceChange(ResourceOperation.Update, WithContent(), ["enabled", "fragment"])).Text,
            Does.Contain("base64").And.Contain("unmask")
        );
    }

    [Test]
    public void A_link_that_is_missing_is_seen_though_another_one_is_there()
    {
        var content = Content.Replace("multi-user.target", "multi-user.target other.target", StringComparison.Ordinal);
        var unit = Unit(("content", SecretText.Plain(content)));
        Assert.That(Differences(unit, Observe(unit, content: content)), Is.EqualTo(new[] { "enabled=not with other.target" }));
        Assert.That(Differences(unit, Observe(unit, content: content, startedWith: ["multi-user.target", "other.target"])), Is.Empty);
    }

    [Test]
    public void An_edited_unit_is_one_difference() =>
        Assert.That(
            Differences(WithContent(), Observe(WithContent(), [("NeedDaemonReload", "yes")], Content + "# by hand\n")),
            Has.Exactly(1).StartsWith("content=")
        );

    [Test]
    public void A_unit_known_to_run_with_this_file_is_current_however_young_the_file_is()
    {
        var digest = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(Content)));
        Assert.That(
            Differences(
                WithContent(),
                Observe(WithContent(), [("ActiveEnterTimestamp", "Mon 2026-11-23 11:00:00.123456 UTC")], marker: $"{digest} 1d\n")
            ),
            Is.Empty
        );
    }

    [Test]
    public void Without_its_file_it_is_absent() => Assert.That(Observe(WithContent(), content: null), Is.InstanceOf<Observation.Absent>());

    [Test]
    public void A_link_in_its_place_is_unknown() =>
        Assert.That(Observe(WithContent(), kind: "symbolic link"), Is.InstanceOf<Observation.Unknown>());

    [Test]
    public void Without_systemd_it_is_unknown() => Assert.That(Observe(WithContent(), []), Is.InstanceOf<Observation.Unknown>());

    [Test]
    public void Without_content_only_its_state_is_compared()
    {
        Assert.That(_provider.Desired(Unit()).Keys, Is.EquivalentTo(new[] { "enabled", "active" }));
        Assert.That(Differences(Unit(), Observe(Unit(), [("NeedDaemonReload", "yes")])), Is.Empty);
        Assert.That(Observe(Unit(), [("LoadState", "not-found")]), Is.InstanceOf<Observation.Absent>());
        Assert.That(_provider.Render(new ResourceChange(ResourceOperation.Delete, Unit(), [])).Text, Does.Not.Contain("stop"));
    }

    [Test]
    public void It_needs_its_mounts_and_its_container()
    {
        var links = _provider.Links(WithContent(("container", "app")));
        Assert.That(links.Provides, Is.EqualTo(new[] { "unit:app.service" }));
        Assert.That(links.Needs, Is.EqualTo(new[] { "path:/data", "path:/more", "container:app" }));
        Assert.That(links.ManagedPaths, Is.EqualTo(new[] { "/etc/systemd/system/app.service" }));
    }

    [TestCase("enabled", "reenable", "daemon-reload", "stop", "\"$verb\"")]
    [TestCase("active", "\"$verb\"", "daemon-reload", "enable")]
    [TestCase("loaded", "daemon-reload", "enable", "base64", "verb=start")]
    [TestCase("mode", "chmod", "daemon-reload", "enable", "\"$verb\"", "before-kbr")]
    [TestCase("drop_ins", "daemon-reload", "enable", "base64", "verb=start")]
    public void An_update_changes_only_the_differences(string changed, string does, params string[] doesNot)
    {
        var text = _provider.Render(new ResourceChange(ResourceOperation.Update, WithContent(), [changed])).Text;
        Assert.That(text, Does.Contain(does));
        Assert.That(doesNot.Where(text.Contains), Is.Empty);
    }

    [Test]
    public void To_enable_a_unit_without_an_install_section_is_refused()
    {
        var unit = Unit(("content", SecretText.Plain("[Service]\nExecStart=/bin/true\n")));
        Assert.That(_provider.Validate(unit).Select(found => found.Summary), Has.One.Contains("[Install]"));
        Assert.That(_provider.Validate(WithContent()), Is.Empty);
    }
}
