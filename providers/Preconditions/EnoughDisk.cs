using System.Collections.Immutable;
using System.Globalization;
using KeyBuzz.Reconciler.Configuration;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Providers.Preconditions;

/// <summary>A path has at least so many bytes free.</summary>
internal sealed class EnoughDisk : PreconditionCheck
{
    private const string DefaultPath = "/var/lib";
    private const long DefaultFree = 1L << 30;

    public override string Kind => "disk";

    public override string Description => "A path has a number of free bytes.";

    public override AttributeSet Settings => Of(DefaultPath, DefaultFree);

    public override ImmutableArray<SectionKey> Keys =>
        [
            new("path", ValueForm.Word, "The path.") { Default = DefaultPath },
            new("free", ValueForm.Size, "How many bytes are free.") { Default = "1GiB" },
        ];

    public override IEnumerable<DeclaredPrecondition> Read(SectionReader settings, HostTable hosts, Findings findings) =>
        [
            new DeclaredPrecondition(
                Of(ReadPath(settings, findings, required: false) ?? DefaultPath, settings.Size("free", DefaultFree)),
                settings.Map
            ),
        ];

    public override Read Read(Precondition precondition) => Space(precondition);

    public override Finding? Evaluate(Precondition precondition, Snapshot snapshot)
    {
        var path = Path(precondition);
        var wanted = precondition.Settings.Integer("free") ?? 0;
        if (snapshot.Get(Space(precondition)) is not { } space)
        {
            return new Finding(
                $"the free space of {path} is unknown",
                $"there is no {path}",
                $"mkdir -p {path}, or correct the path of the precondition"
            );
        }

        return space.AvailableBytes >= wanted
            ? null
            : new Finding(
                $"too little disk space at {path}",
                $"{Bytes(space.AvailableBytes)} free of {Bytes(space.SizeBytes)}, wanted {Bytes(wanted)}",
                $"free or add disk space: du -xh --max-depth=2 {path} | sort -h shows what is large"
            );
    }

    internal static string Bytes(long bytes)
    {
        string[] units = ["B", "KiB", "MiB", "GiB", "TiB"];
        var value = (double)bytes;
        var unit = 0;
        while (value >= 1024 && unit < units.Length - 1)
        {
            value /= 1024;
            unit++;
        }

        return string.Create(CultureInfo.InvariantCulture, $"{value:0.#} {units[unit]}");
    }

    private static AttributeSet Of(string path, long free) => AttributeSet.Empty.With("path", path).With("free", free);

    private static string Path(Precondition precondition) => precondition.Settings.OptionalString("path") ?? "/";

    private static DiskSpaceRead Space(Precondition precondition) => new(Path(precondition));
}
