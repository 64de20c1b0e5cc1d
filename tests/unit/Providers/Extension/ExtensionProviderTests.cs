using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Docker;
using KeyBuzz.Reconciler.Providers.Extension;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Resources;
using static KeyBuzz.Reconciler.Tests.Providers.PostgreSql.GroupAnswers;

namespace KeyBuzz.Reconciler.Tests.Providers.Extension;

[TestFixture]
internal sealed class ExtensionProviderTests
{
    private const string Both = """ "database_exists": true, "versions": ["0.7.0", "0.8.0"], "default_version": "0.8.0" """;
    private const string Old = """ "database_exists": true, "versions": ["0.7.0"], "default_version": "0.7.0" """;
    private const string None = """ "database_exists": true, "versions": [], "default_version": null """;
    private const string Installed = """ "found": {"version": "0.8.0", "schema": "public"} """;

    private readonly ExtensionProvider _provider = new();

    // What the leader, and what a replica has files of; the version wanted; what "available" says.
    [TestCase(Both, Both, null, "on every member")]
    [TestCase(Both, Both, "0.8.0", "on every member")]
    [TestCase(Both, Old, null, "vector 0.8.0 is not available on db-2")]
    [TestCase(Both, Old, "0.7.0", "on every member")]
    [TestCase(Both, None, null, "vector 0.8.0 is not available on db-2")]
    [TestCase(Both, Old, "0.9.0", "vector 0.9.0 is not available on db-1, db-2")]
    public void Members_without_the_files_are_named(string leader, string replica, string? version, string available)
    {
        var extension = Extension(version is null ? [] : [("version", version)]);
        var observed = (Observation.Present)
            _provider.Observe(extension, Answers(true, leader, Installed), Answers(false, replica, Installed));
        Assert.That(observed.Attributes["available"].Value, Is.EqualTo(available));
        Assert.That(
            observed.Attributes.GetValueOrDefault("version")?.Value,
            Is.EqualTo(version is null ? null : "0.8.0"),
            "what is installed"
        );
        Assert.That(_provider.Desired(extension)["available"].Value, Is.EqualTo("on every member"));
    }

    [Test]
    public void A_newer_version_in_the_image_is_noted_and_changes_nothing()
    {
        var observed = (Observation.Present)
            _provider.Observe(Extension(), Answers(true, Both, """ "found": {"version": "0.7.0", "schema": "public"} """));
        Assert.That(observed.Note, Is.EqualTo("vector 0.7.0 is installed, the image has 0.8.0"));
        Assert.That(observed.Attributes, Is.EqualTo(_provider.Desired(Extension())));
    }

    [TestCase("0.7.0", "old", "old", "that of old", Description = "the image is still to come")]
    [TestCase("0.7.0", "new", "old", "that of old", Description = "not on the last member yet")]
    [TestCase("0.7.0", "new", "new", "0.7.0", Description = "the extension has still to follow")]
    [TestCase("0.8.0", "new", "new", "that of new")]
    [TestCase("0.9.0", "new", "new", "that of new", Description = "there is no way back")]
    public void Without_a_version_of_its_own_it_follows_the_members_image_once_all_have_it(
        string installed,
        string leaders,
        string replicas,
        string version
    )
    {
        const string Available = Both + """, "updatable": ["0.7.0"] """;
        var extension = Extension(("image", "new"));
        Assert.That(_provider.Desired(extension)["version"].Value, Is.EqualTo("that of new"));
        var found = $$""" "found": {"version": "{{installed}}", "schema": "public"} """;
        var observed = (Observation.Present)
            _provider.Observe(extension, Of(leaders, Answers(true, Available, found)), Of(replicas, Answers(false, Available, found)));
        Assert.That(observed.Attributes["version"].Value, Is.EqualTo(version));
        Assert.That(observed.Note, Is.EqualTo(installed == "0.9.0" ? "vector 0.9.0 is installed, the image has 0.8.0" : null));
        Assert.That(
            _provider.Desired(Extension(("image", "new"), ("version", "0.7.0")))["version"].Value,
            Is.EqualTo("0.7.0"),
            "a version of its own counts"
        );

        static Func<Read, object> Of(string image, Func<Read, object> member) =>
            read =>
                read is ContainerRead
                    ? new DockerAnswer(200, $$"""{"State": {"Running": true}, "Config": {"Image": "{{image}}"} }""")
                    : member(read);
    }

    [Test]
    public void It_is_absent_without_its_database_or_installation_and_missing_files_are_noted()
    {
        var withoutDatabase = Both.Replace("\"database_exists\": true", "\"database_exists\": false", StringComparison.Ordinal);
        Assert.That(_provider.Observe(Extension(), Failing(withoutDatabase)), Is.EqualTo(new Observation.Absent()));
        Assert.That(_provider.Observe(Extension(), Answers(true, Both, "\"found\": null")), Is.EqualTo(new Observation.Absent()));
        Assert.That(
            _provider.Observe(Extension(), Answers(true, Both, "\"found\": null"), Answers(false, None, "\"found\": null")),
            Is.EqualTo(new Observation.Absent("vector is not available on db-2"))
        );
        Assert.That(
            _provider.Observe(Extension(), Failing(Both)),
            Is.InstanceOf<Observation.Unknown>().With.Property("Reason").Contains("the database keybuzz does not answer: FATAL")
        );
    }

    [Test]
    public void It_needs_its_database() => Assert.That(_provider.Links(Extension()).Needs, Does.Contain("database:keybuzz"));

    private static Func<Read, object> Answers(bool leads, string available, string installed) =>
        read => Member(leads, read is SqlRead { Database: "postgres" } ? available : installed)(read);

    private static Func<Read, object> Failing(string available) =>
        read =>
            read is SqlRead { Database: "keybuzz" }
                ? new SqlAnswer(null, "FATAL:  it does not let anybody in")
                : Member(true, available)(read);

    private Resource Extension(params (string, object)[] values) =>
        ProviderBench.Resource(_provider, "vector", [("database", "keybuzz"), .. values]);
}
