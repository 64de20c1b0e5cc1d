using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Database;
using KeyBuzz.Reconciler.Providers.Extension;
using KeyBuzz.Reconciler.Providers.PostgreSql;
using KeyBuzz.Reconciler.Providers.Role;
using KeyBuzz.Reconciler.Resources;
using static KeyBuzz.Reconciler.Tests.Providers.PostgreSql.GroupAnswers;

namespace KeyBuzz.Reconciler.Tests.Providers.PostgreSql;

/// <summary>What a role, a database and an extension have in common: whose answer counts, and what is said without one.</summary>
[TestFixture]
internal sealed class GroupObservationTests
{
    private static readonly SqlAnswer s_refused = new(
        null,
        "psql: error: connection to server on socket failed: No such file or directory\n\tIs the server running locally?"
    );

    private static IEnumerable<TestCaseData> Resources()
    {
        var (role, database, extension) = (new RoleProvider(), new DatabaseProvider(), new ExtensionProvider());
        yield return new TestCaseData(role, ProviderBench.Resource(role, "kb_app")).SetArgDisplayNames("role");
        yield return new TestCaseData(database, ProviderBench.Resource(database, "keybuzz", ("owner", "kb_app"))).SetArgDisplayNames(
            "database"
        );
        yield return new TestCaseData(extension, ProviderBench.Resource(extension, "vector", ("database", "keybuzz"))).SetArgDisplayNames(
            "extension"
        );
    }

    [TestCaseSource(nameof(Resources))]
    public void Where_no_member_has_the_container_it_is_absent(IGroupResourceProvider provider, Resource resource)
    {
        Assert.That(provider.Observe(resource, WithoutContainer, WithoutContainer), Is.EqualTo(new Observation.Absent()));
        var stopped = Answering(new SqlAnswer(null, "Error response from daemon: container is not running"), Stopped);
        Assert.That(
            provider.Observe(resource, stopped, WithoutContainer),
            Is.InstanceOf<Observation.Absent>().With.Property("Note").Contains("does not run; checked again once it does")
        );
    }

    [TestCaseSource(nameof(Resources))]
    public void Without_a_leader_it_is_unknown_with_the_reason_of_each_member(IGroupResourceProvider provider, Resource resource) =>
        Assert.That(
            provider.Observe(resource, Member(false, "\"found\": null"), Answering(s_refused), WithoutContainer),
            Is.EqualTo(
                new Observation.Unknown(
                    "no primary answers: db-1: it is a replica; db-2: psql: error: connection to server on socket failed: "
                        + "No such file or directory; db-3: its container patroni does not run"
                )
            )
        );

    [TestCaseSource(nameof(Resources))]
    public void Two_that_take_writes_are_asked_neither(IGroupResourceProvider provider, Resource resource) =>
        Assert.That(
            provider.Observe(resource, Member(true, "\"found\": null"), Member(true, "\"found\": null")),
            Is.InstanceOf<Observation.Unknown>().With.Property("Reason").StartsWith("db-1 and db-2 both accept writes")
        );

    [TestCaseSource(nameof(Resources))]
    public void A_broken_answer_is_never_an_exception(IGroupResourceProvider provider, Resource resource)
    {
        string[] broken = ["", "[", "[{\"in_recovery\": fa", "null", "[]", "[5]", "{}", "[{\"in_recovery\": 0}]"];
        foreach (var text in broken)
        {
            Assert.That(
                provider.Observe(resource, Answering(new SqlAnswer(text, ""))),
                Is.InstanceOf<Observation.Unknown>().With.Property("Reason").Contains("its answer was cut off"),
                text
            );
        }

        foreach (
            var columns in new[]
            {
                "\"found\": 5",
                "\"found\": {}",
                "\"found\": {\"password\": 1, \"owner\": [], \"version\": {}, \"member_of\": {}}, \"versions\": 7, "
                    + "\"database_exists\": \"yes\"",
                "\"x\": 1",
            }
        )
        {
            Assert.That(() => provider.Observe(resource, Member(true, columns)), Throws.Nothing, columns);
        }
    }

    [TestCaseSource(nameof(Resources))]
    public void It_holds_data(IGroupResourceProvider provider, Resource resource)
    {
        Assert.That(provider.HoldsData(resource));
        Assert.That(provider.Validate(resource), Is.Empty);
    }
}
