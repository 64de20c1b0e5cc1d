using System.Collections.Immutable;

namespace KeyBuzz.Reconciler.Configuration;

/// <summary>Reads what <c>kbr drift</c> is to ignore.</summary>
internal static class DriftSection
{
    /// <summary>The keys of an entry of <c>ignore</c>.</summary>
    public static readonly SectionSchema Schema = new([
        new("address", ValueForm.Word, "The resources, with * for anything; without @ on every host.")
        {
            Required = true,
            Example = "config_file.app@db-1",
        },
        new("attribute", ValueForm.Word, "Only this attribute of them, with * for anything; default: the whole resource.")
        {
            Example = "mode",
        },
        new("reason", ValueForm.Word, "Why, in a line; it stands in every report.") { Required = true, Example = "until ticket 1234" },
    ]);

    public static ImmutableArray<IgnoreRule> Read(SectionReader? section, Findings findings)
    {
        switch (section?.Allow(ClusterSchema.Drift).Find("ignore"))
        {
            case null:
                return [];
            case YamlSequence list:
                return
                [
                    .. list
                        .Items.Select(item => ReadRule(SectionReader.Of(item, "an entry of 'drift.ignore'", findings)))
                        .OfType<IgnoreRule>(),
                ];
            case var other:
                findings.Error(
                    $"'ignore' must be a list, not {other.Kind}",
                    other.At,
                    "an entry has 'address', 'reason' and, for one attribute only, 'attribute'"
                );
                return [];
        }
    }

    private static IgnoreRule? ReadRule(SectionReader? entry)
    {
        var address = entry?.Allow(Schema).Word("address", "an address such as config_file.app@db-1, or a glob", required: true);
        var attribute = entry?.Word("attribute", "an attribute of the resource, or a glob");
        var reason = entry?.Word("reason", "a sentence that tells readers of the report why this drift is acceptable", required: true);
        if (entry is null || address is null || reason is null)
        {
            return null;
        }

        if (
            !IgnoreRule.TryParse(attribute is null ? address.Value : $"{address.Value}:{attribute.Value}", reason.Value, out var rule)
            || address.Value.Contains(':', StringComparison.Ordinal)
        )
        {
            entry.Error(
                $"{address.Kind} is not an address",
                address.At,
                "write type.name@host; `*` matches anything; the attribute has its own key"
            );
            return null;
        }

        return rule with
        {
            Location = entry.At,
        };
    }
}
