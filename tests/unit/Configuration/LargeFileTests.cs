namespace KeyBuzz.Reconciler.Tests.Configuration;

internal sealed class LargeFileTests : LoaderFixture
{
    private const int MiB = 1024 * 1024;

    [Test]
    public void A_cluster_file_may_be_larger_than_a_file_on_a_host() =>
        Assert.That(Load(Header + new string('\n', 9 * MiB)).Hosts, Has.Length.EqualTo(3));

    [Test]
    public void A_cluster_file_beyond_its_limit_is_refused() =>
        Assert.That(Failure(Header + new string('\n', 64 * MiB)).Message, Does.EndWith("cluster.yaml is larger than 64 MiB"));
}
