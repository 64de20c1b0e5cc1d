using KeyBuzz.Reconciler.Providers.Database;
using KeyBuzz.Reconciler.Resources;
using static KeyBuzz.Reconciler.Tests.Providers.PostgreSql.GroupAnswers;

namespace KeyBuzz.Reconciler.Tests.Providers.Database;

[TestFixture]
internal sealed class DatabaseProviderTests
{
    private readonly DatabaseProvider _provider = new();

    [TestCase("UTF8")]
    [TestCase("utf-8")]
    [TestCase("Unicode")]
    public void A_database_with_that_owner_and_encoding_is_as_wanted_however_the_encoding_is_spelt(string encoding)
    {
        var database = Database(("encoding", encoding));
        var observed = (Observation.Present)
            _provider.Observe(database, Member(true, """ "found": {"owner": "kb_app", "encoding": "UTF8"} """));
        Assert.That(observed.Attributes, Is.EqualTo(_provider.Desired(database)));
    }

    [Test]
    public void Another_owner_or_encoding_shows_as_that()
    {
        var observed = (Observation.Present)
            _provider.Observe(Database(), Member(true, """ "found": {"owner": "postgres", "encoding": "LATIN1"} """));
        Assert.That((observed.Attributes["owner"].Value, observed.Attributes["encoding"].Value), Is.EqualTo(("postgres", "LATIN1")));
        Assert.That(_provider.Observe(Database(), Member(true, "\"found\": null")), Is.EqualTo(new Observation.Absent()));
    }

    [Test]
    public void It_needs_its_owner_and_offers_itself()
    {
        var links = _provider.Links(Database(("database", "other")));
        Assert.That(links.Provides, Is.EqualTo(new[] { "database:other" }));
        Assert.That(links.Needs, Does.Contain("role:kb_app"));
    }

    [TestCase("postgres")]
    [TestCase("template1")]
    [TestCase("")]
    public void A_database_of_every_cluster_cannot_be_declared(string name) =>
        Assert.That(_provider.Validate(Database(("database", name))), Is.Not.Empty);

    private Resource Database(params (string, object)[] values) =>
        ProviderBench.Resource(_provider, "keybuzz", [("owner", "kb_app"), .. values]);
}
