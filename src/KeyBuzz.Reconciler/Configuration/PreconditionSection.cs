using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Configuration;

/// <summary>Reads the preconditions of the hosts, without those that are off.</summary>
internal sealed class PreconditionSection(IReadOnlyList<IPreconditionKind> kinds, HostTable hosts, Findings findings)
{
    private readonly ImmutableArray<Precondition>.Builder _found = ImmutableArray.CreateBuilder<Precondition>();

    public ImmutableArray<Precondition> Read(YamlNode? node)
    {
        var section = SectionReader.Of(node, "'preconditions'", findings);
        section?.Allow([.. kinds.Select(kind => kind.Kind)]);
        foreach (var kind in kinds)
        {
            switch (section?.Find(kind.Kind))
            {
                case null:
                    Add(kind, kind.Default, hosts.All, kind.Settings, null);
                    break;
                case YamlScalar word:
                    ReadLevel(kind, word, section!.Choice(kind.Kind, kind.Default, Levels));
                    break;
                case YamlSequence rules when kind.IsList:
                    foreach (
                        var rule in rules
                            .Items.Select(item => SectionReader.Of(item, $"a rule of precondition '{kind.Kind}'", findings))
                            .OfType<SectionReader>()
                    )
                    {
                        ReadSettings(kind, rule);
                    }

                    break;
                case var other when SectionReader.Of(other, $"precondition '{kind.Kind}'", findings) is { } settings:
                    ReadSettings(kind, settings);
                    break;
            }
        }

        return _found.ToImmutable();
    }

    private static (string, PreconditionLevel)[] Levels =>
        [("error", PreconditionLevel.Error), ("warn", PreconditionLevel.Warn), ("off", PreconditionLevel.Off)];

    private void ReadLevel(IPreconditionKind kind, YamlScalar word, PreconditionLevel level)
    {
        if (kind.Example is null)
        {
            Add(kind, level, hosts.All, kind.Settings, word);
        }
        else if (level != PreconditionLevel.Off)
        {
            findings.Error($"precondition '{kind.Kind}' needs settings", word.At, null, "write " + kind.Example);
        }
    }

    private void ReadSettings(IPreconditionKind kind, SectionReader settings)
    {
        settings.Allow(["level", kind.PlacementKey, .. kind.Keys.Select(key => key.Name)]);
        var level = settings.Word("level", "error, warn or off", required: true) is null
            ? PreconditionLevel.Off
            : settings.Choice("level", PreconditionLevel.Off, Levels);
        var where = settings.Find(kind.PlacementKey) is null
            ? hosts.All
            : hosts.Select(settings.Words(kind.PlacementKey, "host names or roles"));
        foreach (var declared in kind.Read(settings, hosts, findings))
        {
            Add(kind, level, [.. where.Where(host => host.Name != declared.Peer)], declared.Settings, declared.At);
        }
    }

    private void Add(IPreconditionKind kind, PreconditionLevel level, ImmutableArray<Host> where, AttributeSet settings, YamlNode? node)
    {
        if (level != PreconditionLevel.Off)
        {
            _found.AddRange(where.Select(host => new Precondition(kind.Kind, level, host.Name, settings, node?.At)));
        }
    }
}
