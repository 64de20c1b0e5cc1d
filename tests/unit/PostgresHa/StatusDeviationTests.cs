using KeyBuzz.Reconciler.PostgresHa.Status;

namespace KeyBuzz.Reconciler.Tests.PostgresHa;

/// <summary>How the status describes a parameter that differs from cluster.yaml.</summary>
[TestFixture]
public sealed class StatusDeviationTests
{
    [TestCase("100, restart pending on db-1, db-2", ExpectedResult = "p is 100 in the configuration; restart pending on db-1, db-2")]
    [TestCase("90", ExpectedResult = "p is 90 instead of 100")]
    [TestCase("1000, restart pending on db-1", ExpectedResult = "p is 1000, restart pending on db-1 instead of 100")]
    [TestCase("100, 200", ExpectedResult = "p is 100, 200 instead of 100")]
    [TestCase(null, ExpectedResult = "p is not set instead of 100")]
    public string A_value_that_only_waits_for_a_restart_is_not_called_different(string? found) =>
        StatusJudgement.Deviation("p", found, "100");
}
