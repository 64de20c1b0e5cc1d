[assembly: NonParallelizable]

namespace KeyBuzz.Reconciler.LabTests;

/// <summary>Brings the lab up with fresh hosts; without a lab every test here fails, none is skipped.</summary>
[SetUpFixture]
public sealed class LabSetUp
{
    [OneTimeSetUp]
    public void Bring_up_the_lab() => Lab.WithNewHosts();
}
