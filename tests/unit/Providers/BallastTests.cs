using System.Globalization;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Providers.Ballast;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Tests.Providers;

/// <summary>A ballast is made, found as it is, and given back on a real file system.</summary>
[TestFixture, FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
internal sealed class BallastTests : IDisposable
{
    private const long Size = 3 << 20;

    private readonly BallastProvider _provider = new();
    private readonly string _folder = Directory.CreateTempSubdirectory("kbr-ballast-").FullName;

    private string File => Path.Combine(_folder, "ballast");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Test]
    public void It_takes_its_room_and_gives_it_back()
    {
        var ballast = Ballast(Size);
        Assert.That(Observed(ballast), Is.InstanceOf<Observation.Absent>());

        ProviderBench.Succeeds(_provider.Render(ResourceOperation.Create, ballast));

        Assert.That(Values(ballast), Is.EqualTo(_provider.Desired(ballast)));
        Assert.That(new FileInfo(File).Length, Is.EqualTo(Size));
        ProviderBench.Succeeds(BallastProvider.Relief(File));
        Assert.That(Directory.GetFileSystemEntries(_folder), Is.Empty);
        ProviderBench.Succeeds(BallastProvider.Relief(File));
    }

    [Test]
    public void Another_size_and_a_file_without_room_of_its_own_are_seen_and_mended()
    {
        ProviderBench.Succeeds(_provider.Render(ResourceOperation.Create, Ballast(Size)));
        var larger = Ballast(3 * Size);
        Assert.That(Values(larger)["size"], Is.EqualTo(new AttributeValue(Allocated())));
        ProviderBench.Succeeds(_provider.Render(ResourceOperation.Update, larger, changed: "size"));
        Assert.That(Values(larger), Is.EqualTo(_provider.Desired(larger)));

        ProviderBench.Output($"rm {File}; truncate -s {3 * Size} {File}");
        Assert.That(Values(larger)["size"], Is.EqualTo(new AttributeValue("0")));
    }

    [Test]
    public void It_is_not_made_where_less_than_a_tenth_would_stay_free()
    {
        var huge = Ballast(1L << 50);
        Assert.That(
            ProviderBench.Fails(_provider.Render(ResourceOperation.Create, huge)),
            Does.Match(
                $@"^{_folder} has [0-9]+ MiB free: the ballast of 1073741824 MiB is made when [0-9]+ MiB are free; make room first\n$"
            )
        );
        Assert.That(Directory.GetFileSystemEntries(_folder), Is.Empty);
    }

    [Test]
    public void Something_else_at_its_path_is_left_alone()
    {
        Directory.CreateDirectory(File);
        Assert.That(Observed(Ballast(Size)), Is.InstanceOf<Observation.Unknown>());
        Assert.That(ProviderBench.Fails(_provider.Render(ResourceOperation.Create, Ballast(Size))), Does.Contain("is not a file"));
    }

    [Test]
    public void Less_than_a_mebibyte_is_an_error() => Assert.That(_provider.Validate(Ballast(1000)), Is.Not.Empty);

    private string Allocated() =>
        (long.Parse(ProviderBench.Output($"stat -c %b {File}"), CultureInfo.InvariantCulture) * 512).ToString(CultureInfo.InvariantCulture);

    private Resource Ballast(long size) => ProviderBench.Resource(_provider, "spare", ("path", File), ("size", size));

    private SortedMap<AttributeValue> Values(Resource ballast) => ((Observation.Present)Observed(ballast)).Attributes;

    private Observation Observed(Resource ballast)
    {
        var reads = _provider.Reads(ballast).ToList();
        const string Nonce = "0123456789abcdef0123456789abcdef";
        var output = ProviderBench.Shell(KeyBuzz.Reconciler.Providers.ReadList.Probe.Render(reads, Nonce)).Output;
        return _provider.Observe(
            ballast,
            KeyBuzz.Reconciler.Providers.ReadList.Probe.Parse(reads, Nonce, System.Text.Encoding.UTF8.GetBytes(output))
        );
    }
}
