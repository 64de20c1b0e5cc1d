using System.Collections.Immutable;
using KeyBuzz.Reconciler.Hosts;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Configuration;

/// <summary>Reads the preconditions of the hosts, without those that are off.</summary>
internal sealed class PreconditionSection(HostTable hosts, Findings findings)
{
    private const long DefaultFree = 1L << 30;

    private static readonly (string Kind, PreconditionLevel Level)[] s_defaults =
    [
        ("swap", PreconditionLevel.Error),
        ("docker", PreconditionLevel.Error),
        ("dns", PreconditionLevel.Off),
        ("clock", PreconditionLevel.Warn),
        ("disk", PreconditionLevel.Off),
        ("xfs", PreconditionLevel.Off),
        ("ports", PreconditionLevel.Off),
    ];

    private readonly ImmutableArray<Precondition>.Builder _found = ImmutableArray.CreateBuilder<Precondition>();

    public ImmutableArray<Precondition> Read(YamlNode? node)
    {
        var section = SectionReader.Of(node, "'preconditions'", findings);
        section?.Allow([.. s_defaults.Select(known => known.Kind)]);
        foreach (var (kind, level) in s_defaults)
        {
            switch (section?.Find(kind))
            {
                case null:
                    Add(kind, level, hosts.All, AttributeSet.Empty, null);
                    break;
                case YamlScalar word:
                    ReadLevel(kind, word, section!.Choice(kind, level, Levels));
                    break;
                case YamlSequence rules when kind == "ports":
                    foreach (
                        var rule in rules
                            .Items.Select(item => SectionReader.Of(item, "a rule of precondition 'ports'", findings))
                            .OfType<SectionReader>()
                    )
                    {
                        ReadSettings(kind, rule);
                    }

                    break;
                case var other when SectionReader.Of(other, $"precondition '{kind}'", findings) is { } settings:
                    ReadSettings(kind, settings);
                    break;
            }
        }

        return _found.ToImmutable();
    }

    private static (string, PreconditionLevel)[] Levels =>
        [("error", PreconditionLevel.Error), ("warn", PreconditionLevel.Warn), ("off", PreconditionLevel.Off)];

    private void ReadLevel(string kind, YamlScalar word, PreconditionLevel level)
    {
        if (kind is "xfs" or "ports")
        {
            if (level != PreconditionLevel.Off)
            {
                findings.Error(
                    $"precondition '{kind}' needs settings",
                    word.At,
                    null,
                    kind == "xfs"
                        ? "write xfs: { level: error, path: /opt/data }"
                        : "write ports: { level: error, from: [ROLE], to: [{ host: HOST, port: 5432 }] }"
                );
            }

            return;
        }

        Add(kind, level, hosts.All, kind == "disk" ? Disk("/var/lib", DefaultFree) : AttributeSet.Empty, word);
    }

    private void ReadSettings(string kind, SectionReader settings)
    {
        string[] known = kind switch
        {
            "disk" => ["level", "hosts", "path", "free"],
            "xfs" => ["level", "hosts", "path"],
            "ports" => ["level", "from", "to", "must_answer"],
            _ => ["level", "hosts"],
        };
        settings.Allow(known);
        var level = settings.Word("level", "error, warn or off", required: true) is null
            ? PreconditionLevel.Off
            : settings.Choice("level", PreconditionLevel.Off, Levels);
        var placement = kind == "ports" ? "from" : "hosts";
        var where = settings.Find(placement) is null ? hosts.All : hosts.Select(settings.Words(placement, "host names or roles"));
        switch (kind)
        {
            case "disk":
                Add(
                    kind,
                    level,
                    where,
                    Disk(ReadPath(settings, required: false) ?? "/var/lib", settings.Size("free", DefaultFree)),
                    settings.Map
                );
                break;
            case "xfs":
                if (ReadPath(settings, required: true) is { } path)
                {
                    Add(kind, level, where, AttributeSet.Empty.With("path", path), settings.Map);
                }

                break;
            case "ports":
                ReadPorts(settings, level, where);
                break;
            default:
                Add(kind, level, where, AttributeSet.Empty, settings.Map);
                break;
        }
    }

    private void ReadPorts(SectionReader settings, PreconditionLevel level, ImmutableArray<Host> from)
    {
        if (settings.Find("to") is not YamlSequence { Items.Count: > 0 } targets)
        {
            findings.Error("'to' must be a list such as [{ host: db-1, port: 5432 }]", settings.Find("to")?.At ?? settings.At);
            return;
        }

        var mustAnswer = settings.Boolean("must_answer") ?? false;
        foreach (var item in targets.Items)
        {
            if (SectionReader.Of(item, "a target of precondition 'ports'", findings)?.Allow("host", "port") is not { } target)
            {
                continue;
            }

            var ports = ReadPortNumbers(target);
            if (target.Find("host") is null)
            {
                findings.Error("a target of precondition 'ports' has no 'host'", target.At);
                continue;
            }

            foreach (var peer in hosts.Select(target.Words("host", "a host name or a role")))
            {
                foreach (var port in ports)
                {
                    var spec = AttributeSet
                        .Empty.With("address", peer.Address)
                        .With("port", port)
                        .With("peer", peer.Name)
                        .With("must_answer", mustAnswer);
                    Add("ports", level, [.. from.Where(host => host.Name != peer.Name)], spec, item);
                }
            }
        }
    }

    // One port or a list of them.
    private List<long> ReadPortNumbers(SectionReader target)
    {
        if (target.Find("port") is not YamlSequence list)
        {
            return target.Port("port", required: true) is { } one ? [one] : [];
        }

        if (list.Items.Count == 0)
        {
            findings.Error("'port' must be a port number or a list of them, not an empty list", list.At);
        }

        var ports = new List<long>();
        foreach (var word in target.Words("port", "a port number or a list of them"))
        {
            if (ValueSyntax.TryParseInteger(word.Value, out var number) && number is >= 1 and <= 65535)
            {
                ports.Add(number);
            }
            else
            {
                findings.Error($"'port' must be a port number from 1 to 65535, not {word.Kind}", word.At);
            }
        }

        return ports;
    }

    private string? ReadPath(SectionReader settings, bool required)
    {
        if (settings.Word("path", "an absolute path", required) is not { } word)
        {
            return null;
        }

        if (HostPath.TryNormalize(word.Value, out var path, out var problem))
        {
            return path;
        }

        findings.Error($"'path' cannot be '{word.Value}'", word.At, problem);
        return null;
    }

    private static AttributeSet Disk(string path, long free) => AttributeSet.Empty.With("path", path).With("free", free);

    private void Add(string kind, PreconditionLevel level, ImmutableArray<Host> where, AttributeSet settings, YamlNode? node)
    {
        if (level == PreconditionLevel.Off)
        {
            return;
        }

        foreach (var host in where)
        {
            _found.Add(new Precondition(kind, level, host.Name, settings, node?.At));
        }
    }
}
