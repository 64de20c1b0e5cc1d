using KeyBuzz.Reconciler.LabTests;
using NUnit.Framework.Interfaces;

[assembly: KeyBuzz.Reconciler.HaTests.Evidence]

namespace KeyBuzz.Reconciler.HaTests;

/// <summary>After a failed test, prints what Patroni and PostgreSQL last said on each member: the next test changes it.</summary>
[AttributeUsage(AttributeTargets.Assembly)]
internal sealed class EvidenceAttribute : Attribute, ITestAction
{
    /// <inheritdoc />
    public ActionTargets Targets => ActionTargets.Test;

    /// <inheritdoc />
    public void BeforeTest(ITest test) { }

    /// <inheritdoc />
    public void AfterTest(ITest test)
    {
        if (TestContext.CurrentContext.Result.FailCount == 0)
        {
            return;
        }

        foreach (var member in Ha.Members)
        {
            var said = Lab.RunOn(member, "timeout 20 docker logs --timestamps --tail 80 patroni 2>&1");
            TestContext.Out.WriteLine($"--- {member} at the end of {test.Name}\n{said.All}");
        }
    }
}
