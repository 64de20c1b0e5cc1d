using System.Collections.Immutable;
using KeyBuzz.Reconciler.Resources;

namespace KeyBuzz.Reconciler.Configuration;

/// <summary>Reads which resources got another name.</summary>
internal static class MovedSection
{
    private const string Wanted = "type.name for every host, or type.name@host";

    /// <summary>The keys of an entry.</summary>
    public static readonly SectionSchema Schema = new([
        new("from", ValueForm.Word, "The recorded address: type.name for every host, or type.name@host.")
        {
            Required = true,
            Example = "directory.spare",
        },
        new("to", ValueForm.Word, "The address that it has now: the same type on the same host.")
        {
            Required = true,
            Example = "directory.archive",
        },
    ]);

    public static ImmutableArray<MovedRule> Read(YamlNode? node, ImmutableArray<Resource> resources, Findings findings)
    {
        switch (node)
        {
            case null:
            case YamlScalar { IsNull: true }:
                return [];
            case YamlSequence list:
                var rules = list
                    .Items.Select(item => ReadRule(SectionReader.Of(item, "an entry of 'moved'", findings)))
                    .OfType<MovedRule>()
                    .ToImmutableArray();
                foreach (var rule in rules)
                {
                    Check(rule, rules, resources, findings);
                }

                return rules;
            default:
                findings.Error($"'moved' must be a list, not {node.Kind}", node.At, "an entry has 'from' and 'to'");
                return [];
        }
    }

    private static MovedRule? ReadRule(SectionReader? entry)
    {
        var from = entry?.Allow(Schema).Word("from", Wanted, required: true);
        var to = entry?.Word("to", Wanted, required: true);
        if (entry is null || from is null || to is null)
        {
            return null;
        }

        var everywhere = !from.Value.Contains('@', StringComparison.Ordinal);
        if (!Address.TryParse(everywhere ? from.Value + "@*" : from.Value, out var was))
        {
            entry.Error($"{from.Kind} is not an address", from.At, Wanted);
            return null;
        }

        if (!Address.TryParse(to.Value.Contains('@', StringComparison.Ordinal) ? to.Value : $"{to.Value}@{was.Host}", out var becomes))
        {
            entry.Error($"{to.Kind} is not an address", to.At, Wanted);
            return null;
        }

        if (was.Type != becomes.Type || was.Host != becomes.Host)
        {
            entry.Error($"{from.Value} cannot become {to.Value}", to.At, "the type and the host must stay the same");
            return null;
        }

        return new MovedRule(was.Type, was.Name, becomes.Name, everywhere ? null : was.Host, entry.At);
    }

    private static void Check(MovedRule rule, ImmutableArray<MovedRule> rules, ImmutableArray<Resource> resources, Findings findings)
    {
        bool On(Address address, string name) =>
            address.Type == rule.Type && address.Name == name && (rule.Host is null || rule.Host == address.Host);
        if (resources.FirstOrDefault(resource => On(resource.Address, rule.From)) is { } still)
        {
            findings.Error(
                $"{rule.Type}.{rule.From} is listed in 'moved', but still declared",
                rule.Location,
                still.Location is { } at ? $"it is given at {at}" : null,
                "rename it, or drop this entry"
            );
        }

        // The new name may have been moved again since.
        if (!resources.Any(resource => On(resource.Address, rule.To)) && !rules.Any(next => next.Type == rule.Type && next.From == rule.To))
        {
            findings.Unknown(
                $"'moved' names {rule.Type}.{rule.To}, which no resource has",
                rule.Location,
                $"{rule.Type}.{rule.To}",
                resources.Select(resource => $"{resource.Address.Type}.{resource.Address.Name}"),
                "resources are"
            );
        }

        var end = MovedRule.Follow(rules, new Address(rule.Type, rule.From, rule.Host ?? "*"));
        if (rules.Any(other => other.IsAbout(end)))
        {
            findings.Error($"the entries of 'moved' form a cycle from {rule.Type}.{rule.From}", rule.Location);
        }
    }
}
